"""C arrays of certificates and keys, in the form a stack takes. Pure: pieces in, text out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.errors import UsageError
from harness.materials import chains
from harness.materials.model import Piece, Stack, stacks

COLUMNS = 12


def header(
    pieces: Sequence[Piece], *, stack: str, name: str = "", form: str = "", ram: bool = False, align: int = 4
) -> str:
    """The whole header file. `form` "pem" or "der", "" as the stack prefers; `name` of the first array, "" from the
    file's name. UsageError when something cannot be turned into what the stack takes."""
    facts = stacks()[stack]
    kind = form or "der"
    if kind == "pem" and not facts.pem:
        raise UsageError(f"--form pem: {stack} takes DER only", "leave --form out")
    rows: list[str] = []
    used: set[str] = set()
    guard = ""
    for piece in pieces:
        data, remark = _converted(piece, facts, kind, stack)
        array = _free(name or _identifier(piece), used)
        guard = guard or f"{array.upper()}_H"
        if len(data) >= 1 << facts.length_bits:
            raise UsageError(f"{piece.blob.where}: {len(data)} bytes do not fit the length of {stack}",
                             f"at most {(1 << facts.length_bits) - 1}")  # fmt: skip
        rows += _array(array, data, remark, ram=ram, align=align)
    if not rows:
        raise UsageError("nothing to convert: no certificate, key or revocation list", "name PEM or DER files")
    about = f"/* Made by `hil certs header` for {stack}. Do not edit; make it anew. */"
    return "\n".join([about, f"#ifndef {guard}", f"#define {guard}", "", *rows, f"#endif /* {guard} */", ""])


def _converted(piece: Piece, facts: Stack, form: str, stack: str) -> tuple[bytes, str]:
    """Bytes of the array, and what they are."""
    if piece.what == "private key":
        return _key(piece, facts, form, stack)
    if piece.what not in ("certificate", "CRL", "public key"):
        raise UsageError(f"{piece.blob.where}: {piece.trouble or piece.what}", "name certificates and private keys")
    data = piece.der
    if form == "pem":
        data = _armoured({"certificate": "CERTIFICATE", "CRL": "X509 CRL"}.get(piece.what, "PUBLIC KEY"), piece.der)
        data += b"\0" if facts.nul else b""
    remark: str = piece.what
    if piece.certificate is not None:
        certificate = piece.certificate
        remark = (f"{chains.short(certificate.subject)}, {certificate.not_valid_before_utc:%Y-%m-%d} to "
                  f"{certificate.not_valid_after_utc:%Y-%m-%d}, SHA-256 "
                  f"{certificate.fingerprint(hashes.SHA256()).hex()[:16]}…")  # fmt: skip
    return data, _safe(f"{remark}; {form.upper()}")


def _key(piece: Piece, facts: Stack, form: str, stack: str) -> tuple[bytes, str]:
    old = "pkcs1" in facts.keys  # every stack here takes the traditional form; some nothing else
    encoding = serialization.Encoding.PEM if form == "pem" else serialization.Encoding.DER
    style = serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8
    try:
        data = piece.value.private_bytes(encoding, style, serialization.NoEncryption())
    except ValueError as error:
        raise UsageError(f"{piece.blob.where}: {stack} takes RSA and EC keys ({error})", "use a P-256 or RSA key") \
            from error  # fmt: skip
    data += b"\0" if form == "pem" and facts.nul else b""
    is_rsa = isinstance(piece.value, rsa.RSAPrivateKey)
    constant = facts.key_constant.get("rsa" if is_rsa else "ec", "")
    kind = "PKCS#1" if is_rsa else "SEC1"
    return data, f"PRIVATE KEY, {kind} {form.upper()}{f'; its type is {constant}' if constant else ''}"


def _armoured(label: str, der: bytes) -> bytes:
    import base64

    text = base64.b64encode(der).decode()
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _array(name: str, data: bytes, remark: str, *, ram: bool, align: int) -> Iterator[str]:
    const = "" if ram else "const "
    aligned = f" __attribute__((aligned({align})))" if align > 1 else ""
    yield f"/* {remark} */"
    yield f"static {const}unsigned char {name}[]{aligned} = {{"
    for at in range(0, len(data), COLUMNS):
        yield "    " + " ".join(f"0x{byte:02x}," for byte in data[at : at + COLUMNS])
    yield "};"
    yield f"static const unsigned int {name}_len = {len(data)};"
    yield ""


def _identifier(piece: Piece) -> str:
    """`ca_der` of `ca.der`, as xxd names it."""
    text = piece.blob.name or piece.blob.path.replace("\\", "/").rpartition("/")[2]
    word = re.sub(r"\W", "_", text, flags=re.ASCII)[:100] or "data"
    return f"_{word}" if word[0].isdigit() else word


def _free(name: str, used: set[str]) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w{0,127}", name, flags=re.ASCII):
        raise UsageError(f"--name {name}: no C identifier", "letters, digits and underscore")
    free, number = name, 2
    while free in used:
        free, number = f"{name}_{number}", number + 1
    used.add(free)
    return free


def _safe(text: str) -> str:
    """For a C comment: a certificate's name is somebody else's text."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("*/", "* /").replace("/*", "/ *")[:200]
