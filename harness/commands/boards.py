"""`hil boards`: the boards of this host and their state; `--scan`, `--check`, `--quarantine`, `--release`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import EXIT_OK, LabError, UsageError
from harness.lab import inventory, lease, quarantine
from harness.lab.inventory import BoardEntry

EXAMPLE = """examples:
  hil boards                         what there is, who holds it and why
  hil boards --scan                  a first lab.toml from what is attached
  hil boards --check                 can each board be programmed, does it talk, does it reach the broker?
  hil boards --check h563-1          one of them
  hil boards --quarantine h563-1 --reason "USB plug is loose"
  hil boards --release h563-1        after somebody has looked at it"""
COLUMNS = ("board", "target", "state", "since", "why")


def add_boards_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLE
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scan", action="store_true", help="write a first lab.toml; print it where there is one already")
    what.add_argument("--check", nargs="?", const="", metavar="ID", help="smoke test of one board, or of all free ones")
    what.add_argument("--quarantine", metavar="ID", help="set a board aside: runs refuse it (exit 12)")
    what.add_argument("--release", metavar="ID", help="end its quarantine")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why it is set aside")
    parser.add_argument("--out", default="", metavar="FILE", help="with --scan: a file that does not exist yet")
    parser.add_argument("--no-flash", action="store_true", help="with --check: leave the board's firmware alone")
    parser.add_argument("--json", action="store_true", help="print data")


def run_boards(arguments: argparse.Namespace) -> int:
    if arguments.scan:
        return _scan(arguments.out)
    lab = inventory.load_lab()
    if arguments.check is not None:
        from harness.commands.check import run_check

        return run_check(lab, arguments)
    if arguments.quarantine:
        entry = inventory.find(arguments.quarantine, lab.boards)
        if not arguments.reason:
            raise UsageError(f"board `{entry.id}`: why is it set aside?", 'add --reason "…"')
        print(quarantine.put(entry.id, arguments.reason))
        return EXIT_OK
    if arguments.release:
        return release(inventory.find(arguments.release, lab.boards))
    rows = [state(entry) for entry in lab.boards.values()]
    emulated = _self_made()
    if arguments.json:
        path = str(lab.path) if lab.path else None
        print(json.dumps({"schema": 1, "lab": path, "boards": rows, "emulated": emulated}, indent=2))
        return EXIT_OK
    _table(rows)
    if not rows:
        where = f"{lab.path} has no [[board]]" if lab.path else "this host has no lab.toml"
        print(f"{where}: `hil boards --scan` writes a first one")
    print(f"emulated, as many as wanted: {', '.join(emulated)}")
    return EXIT_OK


def release(entry: BoardEntry) -> int:
    old = quarantine.release(entry.id)
    print(f"{entry.id} is back: it was set aside since {old.since}: {old.reason}" if old.quarantined
          else f"{entry.id} was not in quarantine")  # fmt: skip
    return EXIT_OK


def state(entry: BoardEntry) -> dict[str, Any]:
    """One row: `state` is the first of quarantined, held, not attached, free that holds; every fact has a key."""
    from harness.lab import attached

    who, set_aside, gone = lease.holder(entry.id), quarantine.state(entry.id), attached.missing(entry)
    row: dict[str, Any] = {
        "board": entry.id, "target": entry.target, "state": "free", "since": "", "why": entry.notes,
        "holder": msgspec.to_builtins(who) if who else None,
        "quarantine": msgspec.to_builtins(set_aside) if set_aside.quarantined else None,
        "errors": set_aside.errors, "attached": gone is None, "missing": gone.what if gone else "",
        "fixtures": list(entry.fixtures), "power": entry.power.kind, "notes": entry.notes,
    }  # fmt: skip
    if set_aside.quarantined:
        row |= {"state": "quarantined", "since": set_aside.since, "why": set_aside.reason}
    elif who is not None:
        by = f"{who.user}@{who.host} (process {who.pid})"
        row |= {"state": "held", "since": who.since, "why": f"{by}: {who.reason}"}
    elif gone is not None:
        row |= {"state": "not attached", "why": str(gone)}
    elif set_aside.errors:
        row["why"] = f"{set_aside.errors} lab errors in a row, the last at {set_aside.last_at}: {set_aside.last_error}"
    return row


def _self_made() -> list[str]:
    from harness.device.boards import self_made
    from harness.target import load

    return [target.id for target in load().values() if self_made(target)]


def _table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    cells = [COLUMNS, *(tuple(_plain(row[column]) for column in COLUMNS) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(COLUMNS))]
    for row in cells:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _plain(text: str) -> str:
    """What another user's lock or state file says is not for this terminal to obey."""
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


def _scan(out: str) -> int:
    from serial.tools import list_ports

    from harness import target
    from harness.lab import scan

    targets = target.load()
    usual = {"jlink": "j-link"}
    only: dict[str, str] = {}
    for kind in usual:
        fit = [one.id for one in targets.values() if one.flash.flasher == kind]
        if len(fit) == 1:
            only[usual[kind]] = fit[0]
    found = scan.look(list_ports.comports(), only)
    path, known = _where(out)
    hardware = [name for name in targets if name not in _self_made()]
    text = scan.as_toml(found, hardware, known)
    if not found.probes:
        what = "no ST-LINK, J-Link or CMSIS-DAP probe is attached"
        fix = "plug a board in; in a container, pass /dev/bus/usb and /sys to it"
        if found.others:
            what += f"; there are serial ports: {', '.join(found.others[:8])}"
            fix += "; a board programmed by hand has one of them as `serial`, and runner = \"none\""
        raise LabError("lab.probe_missing", what, fix)
    if path is None:
        sys.stdout.write(text)
        print("hil: not written, there is a lab.toml already: take over what you want", file=sys.stderr)
        return EXIT_OK
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists and is not overwritten", "choose another --out") from None
    except OSError as error:
        raise LabError("lab.disk_full", f"{path}: {error.strerror}", "choose another --out") from error
    print(f"{path}: {len(found.probes)} boards; correct it, then `hil boards --check`")
    return EXIT_OK


def _where(out: str) -> tuple[Path | None, dict[str, BoardEntry]]:
    """Where to write (None: there is a lab.toml, print instead) and the boards that are known already. A lab.toml with
    errors counts as none known: whoever corrects it wants to see all."""
    import os

    from harness import paths

    named = os.environ.get("HIL_LAB")
    there = Path(named).expanduser() if named else inventory.lab_file()
    known: dict[str, BoardEntry] = {}
    if there is not None and there.is_file():
        try:
            known = inventory.load(there)
        except UsageError as error:
            print(f"hil: {error}", file=sys.stderr)
        return (Path(out) if out else None), known
    return Path(out) if out else there or paths.ROOT / "lab.toml", known
