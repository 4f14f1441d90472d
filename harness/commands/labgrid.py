"""`hil labgrid`: the places through which boards of lab.toml are reached, and the clean-up after a job that is gone.

Holding and releasing needs no command: `hil run` does both (harness/lab/labgrid.py).
"""

from __future__ import annotations

import argparse
import json
import sys

from harness.errors import UsageError

EXAMPLE = """examples:
  hil labgrid show                           the places of lab.toml's boards and who has them
  hil labgrid release-from                   give back what this user of this host still holds
  hil labgrid release-from runner3/ci-1234   what a CI job held (its LG_USERNAME was ci-1234)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLE
    parser.add_argument("action", choices=("show", "release-from"), help="look, or clean up")
    parser.add_argument("who", nargs="?", default="", metavar="HOST/USER", help="whose places (ours)")
    parser.add_argument("--json", action="store_true", help="print data")


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "show":
        return _show(arguments.json)
    if arguments.who and arguments.who.count("/") != 1:
        raise UsageError(f"`{arguments.who}` is no HOST/USER", "`hil labgrid show` names the holders")
    from harness.lab import inventory, labgrid
    from harness.lab.labgrid_client import coordinator, identity
    from harness.lab.labgrid_lock import release_from

    boards = [entry for entry in inventory.load().values() if entry.labgrid]
    named = [labgrid.spec_of(entry).coordinator for entry in boards]
    freed = [place for address in dict.fromkeys(map(coordinator, named or [""]))
             for place in release_from(arguments.who, address)]  # fmt: skip
    if arguments.json:
        print(json.dumps({"schema": 1, "released": freed}))
    else:
        who = arguments.who or identity()
        print(f"released from {who}: {', '.join(freed)}" if freed else f"nothing is held by {who} that no run uses")
    return 0


def check() -> tuple[bool, str, str]:
    """For `hil doctor`: whether labgrid is needed, and if so whether its client and each coordinator answer. LabError
    when not."""
    from harness.lab import inventory, labgrid
    from harness.lab.labgrid_client import Client, coordinator, find_program, program

    boards = [entry for entry in inventory.load().values() if entry.labgrid]
    if not boards:
        found = find_program()
        return True, f"not needed: no board of lab.toml names a place{f' ({found} is there)' if found else ''}", ""
    where = program()
    for address in dict.fromkeys(coordinator(labgrid.spec_of(entry).coordinator) for entry in boards):
        Client(address).places()
    return True, f"{where}; the coordinator of {len(boards)} board{'s' if len(boards) > 1 else ''} answers", ""


def _show(as_json: bool) -> int:
    from harness.lab import inventory, labgrid
    from harness.lab.labgrid_client import Client, coordinator
    from harness.lab.labgrid_lock import record_of

    rows = []
    for entry in inventory.load().values():
        if not entry.labgrid:
            continue
        spec = labgrid.spec_of(entry)
        address = coordinator(spec.coordinator)
        wanted = spec.place or " ".join(f"{key}={value}" for key, value in sorted(spec.tags.items()))
        fit = [place for place in Client(address).places()
               if place.name == spec.place or (spec.tags and spec.tags.items() <= place.tags.items())]  # fmt: skip
        record = record_of(entry.id)
        rows.append({
            "board": entry.id, "target": entry.target, "wanted": wanted, "coordinator": address,
            "places": {place.name: place.acquired for place in fit}, "run": str(record) if record else "",
            "console": record.serial if record else "",
        })  # fmt: skip
    if as_json:
        print(json.dumps({"schema": 1, "boards": rows}, indent=2))
        return 0
    if not rows:
        print("no board of lab.toml is reached through labgrid", file=sys.stderr)
    for row in rows:
        places = row["places"]
        assert isinstance(places, dict)
        held = ", ".join(f"{name} {f'held by {who}' if who else 'free'}" for name, who in places.items())
        print(f"{row['board']:16}  {row['wanted']:20}  {held or 'no such place'}")
        if row["run"]:
            print(f"{'':16}  {row['run']}; console {row['console'] or 'of lab.toml'}")
    return 0
