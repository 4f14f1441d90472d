"""`hil certs header`, `hil certs check`, `hil jwt check`: options in, text or JSON out."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import EXIT_FAILED, EXIT_OK, LabError, UsageError

SCHEMA = 1
CHECK_EXAMPLE = """examples:
  hil certs check ca.h client.h key.h --stack netx               what the device was given
  hil certs check server.pem ca.pem --stack netx --tls 1.3 --host mqtt.example.org --clock 2026-11-01"""
HEADER_EXAMPLE = """examples:
  hil certs header ca.pem --stack netx --name ca_der --out ca.h
  hil certs header client.key --stack netx                       any key becomes PKCS#1 or SEC1"""
JWT_EXAMPLE = """examples:
  hil jwt check eyJhbGciOi… --key device.pub.pem --audience my-project
  hil jwt check token.txt --clock 1630421000"""


def add_certs_arguments(actions: Any) -> None:
    """Sub-commands of `hil certs`."""
    from harness.materials.model import stacks

    formatter = argparse.RawDescriptionHelpFormatter
    check = actions.add_parser("check", help="say what is wrong with files of certificates and keys",
                               epilog=CHECK_EXAMPLE, formatter_class=formatter)  # fmt: skip
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="PEM, DER, C headers and sources, keys")
    check.add_argument("--stack", choices=sorted(stacks()), default="mbedtls", help="what will read them (mbedtls)")
    check.add_argument("--clock", default="", metavar="TIME", help="the device's clock: a date or Unix seconds (now)")
    check.add_argument("--host", default="", metavar="NAME", help="what the device connects to")
    check.add_argument("--buffer", type=int, default=0, metavar="BYTES", help="receive buffer (the stack's default)")
    check.add_argument("--tls", choices=("", "1.2", "1.3"), default="", metavar="VERSION", help="1.2 or 1.3")
    check.add_argument("--suite", default="", metavar="NAME", help="the broker's only cipher suite")
    check.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print data instead of text")
    header = actions.add_parser("header", help="C arrays from PEM or DER", epilog=HEADER_EXAMPLE,
                                formatter_class=formatter)  # fmt: skip
    header.add_argument("files", nargs="+", type=Path, metavar="FILE", help="certificates and keys, PEM or DER")
    header.add_argument("--stack", choices=sorted(stacks()), default="mbedtls", help="what will read them (mbedtls)")
    header.add_argument("--name", default="", metavar="NAME", help="the array's name (from the file's)")
    header.add_argument("--form", choices=("pem", "der"), default="", help="what stands in the array (der)")
    header.add_argument("--ram", action="store_true", help="not const: some stacks and DMA engines want RAM")
    header.add_argument("--align", type=int, choices=(1, 2, 4, 8, 16, 32), default=4, help="alignment in bytes (4)")
    header.add_argument("--out", type=Path, metavar="FILE", help="write it there (a key's file gets mode 0600)")


def run_certs(arguments: argparse.Namespace) -> int:
    return _check(arguments) if arguments.certs_action == "check" else _header(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from harness.materials import checks
    from harness.materials.model import Context
    from harness.materials.read import read

    pieces, calls = read(arguments.files)
    if arguments.buffer < 0:
        raise UsageError(f"--buffer {arguments.buffer}: bytes", "for example --buffer 4096")
    if not pieces and not calls:
        raise UsageError(f"{arguments.files[0]}: no certificate, key or array in it", "name PEM, DER or C files")
    context = Context(stack=arguments.stack, clock=moment(arguments.clock), host=arguments.host,
                      buffer=arguments.buffer, tls=arguments.tls, suite=arguments.suite)  # fmt: skip
    problems = checks.check(pieces, calls, context)
    if getattr(arguments, "json", False):
        _print({"schema": SCHEMA, "stack": context.stack, "clock": context.clock,
                "files": [_row(p) for p in pieces], "problems": problems})  # fmt: skip
    else:
        for piece in pieces:
            print(_clean(f"{piece.blob.where:36}  {_words(piece)}"))
        for problem in problems:
            print(_clean(f"{problem.severity:7}  {problem.cause}  {problem.where}: {problem.what}"))
            print(_clean(f"         fix: {problem.fix}"))
        if not problems:
            print(f"nothing wrong for {context.stack}, as far as files can tell")
    return EXIT_FAILED if any(p.severity == "error" for p in problems) else EXIT_OK


def _row(piece: Any) -> dict[str, Any]:
    return {"file": piece.blob.path, "array": piece.blob.name, "form": piece.form, "what": piece.what,
            "key_form": piece.form_of_key, "bytes": len(piece.der), "about": _words(piece)}  # fmt: skip


def _words(piece: Any) -> str:
    from harness.materials import chains

    if piece.certificate is not None:
        one = piece.certificate
        kind = "CA certificate" if chains.is_ca(one) else "certificate"
        identifier = chains.subject_key_identifier(one)
        shown = f", key identifier {identifier.hex()}" if chains.is_ca(one) and identifier else ""
        return (f"{kind} ({piece.form.upper()}) of {chains.short(one.subject)}, {_key(one.public_key())}, "
                f"{one.not_valid_before_utc:%Y-%m-%d} to {one.not_valid_after_utc:%Y-%m-%d}{shown}")  # fmt: skip
    if piece.what == "private key":
        forms = {"pkcs1": "PKCS#1", "sec1": "SEC1", "pkcs8": "PKCS#8"}
        return f"private key ({piece.form.upper()}, {forms[piece.form_of_key]}), {_key(piece.value.public_key())}"
    return f"{piece.what} ({piece.form.upper()})" + (f": {piece.trouble}" if piece.trouble else "")


def _key(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return str(key.curve.name)
    return type(key).__name__.strip("_")


def _header(arguments: argparse.Namespace) -> int:
    from harness.materials.header import header
    from harness.materials.read import read

    pieces, _ = read(arguments.files)
    text = header(pieces, stack=arguments.stack, name=arguments.name, form=arguments.form, ram=arguments.ram,
                  align=arguments.align)  # fmt: skip
    if arguments.out is None:
        sys.stdout.write(text)
        return EXIT_OK
    secret = any(p.what == "private key" for p in pieces)
    try:
        if secret:
            with contextlib.suppress(FileNotFoundError):
                arguments.out.chmod(0o600)
        fd = os.open(arguments.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
        with os.fdopen(fd, "w") as out:
            out.write(text)
    except OSError as error:
        raise LabError("lab.disk_full", f"{arguments.out}: {error.strerror}", "choose another --out") from error
    print(f"{arguments.out}: {len(pieces)} array{'s' if len(pieces) != 1 else ''}", file=sys.stderr)
    return EXIT_OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`hil jwt`."""
    parser.epilog = JWT_EXAMPLE
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say what is wrong with a token", epilog=JWT_EXAMPLE,
                               formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    check.add_argument("token", metavar="TOKEN", help="the token, a file that holds it, or - for standard input")
    check.add_argument("--key", type=Path, default=None, metavar="FILE", help="the device's public key or certificate")
    check.add_argument("--audience", default="", metavar="ID", help="what aud must be: the project")
    check.add_argument("--clock", default="", metavar="TIME", help="the service's clock: a date or Unix seconds (now)")
    check.add_argument("--json", action="store_true", help="print data instead of text")


def run(arguments: argparse.Namespace) -> int:
    from harness.materials import token as tokens

    text = _token(arguments.token)
    key = _public(arguments.key) if arguments.key is not None else None
    facts = tokens.describe(text)
    faults = tokens.check(text, now=moment(arguments.clock), audience=arguments.audience, key=key)
    if arguments.json:
        _print({"schema": SCHEMA, "token": facts, "signature_checked": key is not None, "problems": faults})
    else:
        shown = [f"{name} {facts[name]}" for name in ("alg", "aud", "iat", "exp", "sig_len") if name in facts]
        print(_clean("token: " + (", ".join(shown) or "unreadable")))
        for fault in faults:
            print(_clean(f"error    {fault.cause}  {fault.what}"))
            print(f"         fix: {fault.fix}")
        if not faults:
            print("nothing wrong" + ("" if key is not None else "; the signature was not checked: give --key"))
    return EXIT_FAILED if faults else EXIT_OK


def _token(given: str) -> str:
    limit = 1 << 16
    if given == "-":
        text = sys.stdin.read(limit)
    elif given.startswith("eyJ") or len(given) > 255:  # base64url of `{"`: what every token begins with
        text = given
    else:
        try:
            with Path(given).open(encoding="latin-1") as file:
                text = file.read(limit)
        except OSError as error:
            raise UsageError(f"{given}: {error.strerror}", "give a token, a file with one, or -") from error
    text = text.strip()
    if not text:
        raise UsageError(f"{given}: empty", "give a token, a file with one, or -")
    return text


def _public(path: Path) -> Any:
    from harness.materials.read import read

    for piece in read([path])[0]:
        if piece.certificate is not None:
            return piece.certificate.public_key()
        if piece.what == "public key":
            return piece.value
        if piece.what == "private key":
            return piece.value.public_key()
    raise UsageError(f"{path}: no public key in it", "name the public key or certificate that is registered")


def moment(text: str) -> int:
    """Unix seconds of a date, a time in ISO 8601 (UTC) or a number; "" is now."""
    if not text:
        return int(dt.datetime.now(dt.UTC).timestamp())
    if text.lstrip("-").isdigit():
        return int(text[:20])
    with contextlib.suppress(ValueError):
        at = dt.datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp())
    raise UsageError(f"--clock {text}: no time", "for example 2026-11-01, 2026-11-01T12:00:00Z or 1793534400")


def _clean(text: str) -> str:
    """One line, no control characters: certificates are somebody else's text."""
    return "".join(c if c.isprintable() else "?" for c in text)[:1000].rstrip()


def _print(data: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(data)) + b"\n")


