"""`hil explain CAPTURE …`: the cause of a failed connection from evidence somebody already has.

Imports are lazy: with `--json` nothing but the readers and the rules is loaded. Exit 0 when the evidence could be read,
whatever it says; 4 when it could not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.errors import EXIT_OK, HilError, UsageError

EXAMPLE = """examples:
  hil explain capture.pcap
  hil explain capture.pcapng --uart uart.log --broker-log mosquitto.log --broker-config mosquitto.conf
  hil explain capture.pcap --keylog keys.log --html why.html --annotate commented.pcapng
  hil explain --uart uart.log
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `hil explain`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument("capture", nargs="?", type=Path, help="pcap or pcapng, plain or gzip")
    parser.add_argument("--uart", type=Path, metavar="LOG", help="what the device printed")
    parser.add_argument("--broker-log", type=Path, metavar="LOG", help="Mosquitto's log")
    parser.add_argument("--broker-config", type=Path, metavar="CONF", help="mosquitto.conf of the listener")
    parser.add_argument("--keylog", type=Path, metavar="KEYS", help="TLS key log (SSLKEYLOGFILE format)")
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")
    parser.add_argument("--annotate", type=Path, metavar="OUT.pcapng", help="write the capture with a comment where it "
                        "went wrong, and with the keys if given")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Read, diagnose, print. Errors that people can act on become one line and exit 4."""
    try:
        return _run(args)
    except HilError as error:
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(error))
        print(f"hil explain: {text}", file=sys.stderr)
        return error.exit_code


def _run(args: argparse.Namespace) -> int:
    from harness import explain
    from harness.diagnosis.engine import diagnose_story, where
    from harness.model import Evidence

    _check(args)
    evidence = Evidence(
        capture=args.capture,
        uart=args.uart,
        broker_log=args.broker_log,
        broker_config=args.broker_config,
        keylog=args.keylog,
    )
    story, events = explain.read(evidence)
    diagnosis = diagnose_story(story)
    if args.annotate:
        _annotate(args, *where(story))
    if args.json:
        import msgspec

        shown = {"schema": 1, **msgspec.to_builtins(diagnosis)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n")
    if args.html or not args.json:
        from harness.report import explain_rows

        rows = explain_rows.exchanges(events, story, where(story)[0])
        sets = explain_rows.sets(story)
        title = ", ".join(p.name for p in (args.capture, args.uart, args.broker_log, args.broker_config) if p)
        if args.html:
            from harness.report import explain_html

            _write(args.html, explain_html.page(diagnosis, rows, sets, title))
        if not args.json:
            from harness.report import explain_text
            from harness.report.terminal import columns, wants_colour

            text = explain_text.render(diagnosis, rows, sets, title, wants_colour(sys.stdout), columns())
            sys.stdout.write(text)
    return EXIT_OK


def _check(args: argparse.Namespace) -> None:
    if args.annotate and not args.capture:
        raise UsageError("--annotate needs a capture", "name it first")
    if args.keylog and not args.capture:
        raise UsageError("--keylog needs a capture", "name it first")
    if args.keylog and not args.keylog.is_file():
        raise UsageError(f"key log {args.keylog}: no such file", "name a file in SSLKEYLOGFILE format")
    if args.annotate and args.annotate.exists() and args.annotate.samefile(args.capture):
        raise UsageError(f"--annotate {args.annotate} is the capture itself", "name another file")


def _annotate(args: argparse.Namespace, frame: int, cause: str) -> None:
    from harness.diagnosis.vocabulary import causes
    from harness.evidence import pcapng

    comments = {frame: f"hil explain: {cause}: {causes()[cause].text}"} if frame else {}
    try:
        pcapng.annotate(args.capture, args.annotate, comments, args.keylog)
    except pcapng.NotACapture as error:
        raise UsageError(f"{args.capture}: {error}", "--annotate rewrites pcap and pcapng files") from error
    except OSError as error:
        raise UsageError(f"{args.annotate}: {error.strerror or error}", "name a file that can be written") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", "name a file that can be written") from error
