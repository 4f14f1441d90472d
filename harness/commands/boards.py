"""`hil boards`, `lock`, `unlock`, `console`, `power`: the boards of this host.

Emulated boards are made for each run: as many as wanted, nothing to hold. Boards with a probe, their consoles and power
belong to a later version and are refused.
"""

from __future__ import annotations

import argparse
import json

from harness.errors import LabError, UsageError
from harness.target import Target, find, load

NOT_YET = "boards with a probe are not driven yet"


def add_boards_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: hil boards --json"
    parser.add_argument("--json", action="store_true", help="print data")


def run_boards(arguments: argparse.Namespace) -> int:
    from harness.device.boards import emulated

    rows = []
    for target in load().values():
        kind = "emulated" if emulated(target) else "hardware"
        state = "as many as wanted" if kind == "emulated" else NOT_YET
        rows.append({"target": target.id, "board": target.board, "kind": kind, "state": state})
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['target']:16}  {row['board']:12}  {row['kind']:9}  {row['state']}")
    return 0


def _add_target(parser: argparse.ArgumentParser, example: str) -> None:
    parser.epilog = f"example: {example}"
    parser.add_argument("target", metavar="TARGET", help="the board's target")


def add_lock_arguments(parser: argparse.ArgumentParser) -> None:
    _add_target(parser, "hil lock h563")


def add_unlock_arguments(parser: argparse.ArgumentParser) -> None:
    _add_target(parser, "hil unlock h563")


def add_console_arguments(parser: argparse.ArgumentParser) -> None:
    _add_target(parser, "hil console h563")


def add_power_arguments(parser: argparse.ArgumentParser) -> None:
    _add_target(parser, "hil power h563 cycle")
    parser.add_argument("action", nargs="?", default="cycle", choices=("on", "off", "cycle"), help="what to do")


def _hardware(name: str, verb: str) -> Target:
    from harness.device.boards import emulated

    target = find(name, load())
    if emulated(target):
        raise UsageError(f"{target.id} is emulated: there is no board to {verb}", "each run makes its own")
    return target


def _refuse(arguments: argparse.Namespace, verb: str) -> int:
    target = _hardware(arguments.target, verb)
    raise LabError("lab.tool_missing", f"{target.id}: {NOT_YET}", "use an emulated target: `hil boards`")


def run_lock(arguments: argparse.Namespace) -> int:
    return _refuse(arguments, "hold")


def run_unlock(arguments: argparse.Namespace) -> int:
    return _refuse(arguments, "give back")


def run_console(arguments: argparse.Namespace) -> int:
    return _refuse(arguments, "talk to")


def run_power(arguments: argparse.Namespace) -> int:
    return _refuse(arguments, "switch")
