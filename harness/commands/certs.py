"""`hil certs`: what certs/pki.toml makes, and making it.

    hil certs                      every certificate and revocation list, one a line
    hil certs --json               the same as data
    hil certs make --out DIR       generate all of it into DIR (private keys included: mode 0700)
    hil certs header FILE …        C arrays of your own certificates and keys (harness/materials/)
    hil certs check FILE …         what is wrong with them for a stack
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from harness.commands import materials
from harness.errors import EXIT_OK
from harness.lab import pki
from harness.lab.issue import CertTable, CrlTable, moment

EXAMPLE = """examples:
  hil certs                                          the bench's own, one a line
  hil certs make --out build/pki                     generate them, keys included
  hil certs check ca.h client.h key.h --stack netx   what is wrong with yours
  hil certs header ca.pem --stack netx --out ca.h    a C array of yours"""
SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `hil certs`."""
    parser.epilog = EXAMPLE
    parser.add_argument("--json", action="store_true", help="print data instead of text")
    parser.add_argument("--table", type=Path, default=pki.TABLES, metavar="FILE", help="another pki.toml")
    actions = parser.add_subparsers(dest="certs_action", metavar="ACTION")
    make = actions.add_parser("make", help="generate everything into a folder",
                              epilog="example: hil certs make --out build/pki")  # fmt: skip
    make.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for it (created, mode 0700)")
    make.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print data instead of text")
    materials.add_certs_arguments(actions)


def run(args: argparse.Namespace) -> int:
    """Exit code. UsageError for what is wrong in the table."""
    if args.certs_action in ("check", "header"):
        return materials.run_certs(args)
    if args.certs_action == "make":
        return _make(args.table, args.out, as_json=args.json)
    return _list(args.table, as_json=args.json)


def _make(table: Path, out: Path, *, as_json: bool) -> int:
    start = time.monotonic()
    made = pki.generate(out, table=table)
    seconds = time.monotonic() - start
    if as_json:
        _print_json({
            "schema": SCHEMA, "out": str(out), "seconds": round(seconds, 3),
            "certificates": len(made.certs), "crls": len(made.crls),
        })
    else:
        print(f"{len(made.certs)} certificates and {len(made.crls)} revocation lists in {out} ({seconds:.2f} s)")
    return EXIT_OK


def _list(table: Path, *, as_json: bool) -> int:
    certs, crls = pki.load(table)
    if as_json:
        _print_json({
            "schema": SCHEMA,
            "certificates": [_cert_row(name, cert) for name, cert in certs.items()],
            "crls": [_crl_row(name, crl) for name, crl in crls.items()],
        })
        return EXIT_OK
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("certificate", "kind", "key", "issuer", "valid", "special"):
        shown.add_column(heading, no_wrap=True)
    for name, cert in certs.items():
        valid = f"{cert.not_before} … {cert.not_after}"
        shown.add_row(name, cert.kind, cert.key, cert.issuer or "itself", valid, _special(cert))
    for name, crl in crls.items():
        valid = f"{crl.this_update} … {crl.next_update}"
        shown.add_row(name, "crl", "", crl.issuer, valid, f"revokes {', '.join(crl.revoked) or 'nobody'}")
    terminal = Console()
    # A pipe has no width: nothing is cut there, one certificate stays one line.
    console = terminal if terminal.is_terminal else Console(width=240, file=sys.stdout)
    console.print(shown)
    return EXIT_OK


def _cert_row(name: str, cert: CertTable) -> dict[str, Any]:
    return {
        "name": name, "kind": cert.kind, "key": cert.key, "issuer": cert.issuer or None,
        "subject": cert.subject or name, "names": [*cert.dns, *cert.ip], "not_before": cert.not_before,
        "not_after": cert.not_after, "usage": list(cert.usage), "eku": list(cert.eku),
        "signature": cert.signature or None, "chain": cert.chain, "chain_bytes": cert.chain_bytes or None,
        "key_of": cert.key_of or None,
    }


def _crl_row(name: str, crl: CrlTable) -> dict[str, Any]:
    return {
        "name": name, "issuer": crl.issuer, "revoked": list(crl.revoked), "this_update": crl.this_update,
        "next_update": crl.next_update,
    }


def _special(cert: CertTable) -> str:
    now = dt.datetime.now(dt.UTC)
    notes = []
    if moment(cert.not_after, now) < now:
        notes.append("expired")
    if moment(cert.not_before, now) > now:
        notes.append("not yet valid")
    if cert.key_of:
        notes.append(f"key of {cert.key_of}")
    if cert.signature:
        notes.append(f"signed with {cert.signature}")
    if cert.chain_bytes:
        notes.append(f"chain of {cert.chain_bytes} bytes")
    if cert.chain != "full":
        notes.append({"leaf": "sent without its chain", "root": "sent with its root"}[cert.chain])
    if cert.kind in ("server", "device") and not cert.issuer:
        notes.append("self-signed")
    if cert.eku != {"server": ("server_auth",), "device": ("client_auth",)}.get(cert.kind, ()):
        notes.append(f"usage {', '.join(cert.eku) or 'any'}")
    return "; ".join(notes)


def _print_json(data: dict[str, Any]) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))
