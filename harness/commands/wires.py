"""`hil console` and `hil power`: a board's UART and its power switch, by hand. Both hold the board meanwhile."""

from __future__ import annotations

import argparse
import os
import select
import sys
import tempfile
import time
from pathlib import Path

from harness.commands.locks import board_named, in_hand
from harness.commands.values import seconds
from harness.device.console import Console, ConsoleTimeout, Line
from harness.device.uartlog import stamp
from harness.errors import EXIT_OK, LabError, UsageError
from harness.lab.inventory import BoardEntry
from harness.target import Target

LOOK = 0.05  # s between two looks at the standard input
MAX_INPUT = 4096


def add_console_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = """examples:
  hil console h563-1                     its lines with time stamps; what is typed goes to the board; Ctrl-C ends it
  hil console h563-1 --seconds 30 --log boot.log
  echo RUN | hil console h563-1 --seconds 5"""
    parser.add_argument("board", metavar="ID", help="a board of lab.toml")
    parser.add_argument("--seconds", type=seconds, default=0.0, metavar="S", help="end after S seconds (0: never)")
    parser.add_argument("--wait", type=seconds, default=0.0, metavar="S", help="wait so long for a held board (0)")
    parser.add_argument("--log", default="", metavar="FILE", help="keep the UART log")
    parser.add_argument("--reset", action="store_true", help="reset the board once the console is open")


def run_console(arguments: argparse.Namespace) -> int:
    from harness.device import probe
    from harness.device.wiring import power_of, rig_of
    from harness.target import find, load

    listed = board_named(arguments.board, "talk to")
    target = find(listed.target, load())
    with (
        in_hand(listed, "hil console", arguments.wait) as entry,
        tempfile.TemporaryDirectory(prefix="hil-console-") as folder,
    ):
        url, baud = port_of(entry, target)
        log = Path(arguments.log) if arguments.log else Path(folder) / "uart.log"
        with Console(url, log, baud=baud) as console:
            print(f"hil: {url} at {baud} baud; Ctrl-C ends", file=sys.stderr)
            if arguments.reset:
                probe.reset(rig_of(entry, target), power_of(entry), Path(folder) / "reset.log")
            try:
                _talk(console, arguments.seconds)
            except KeyboardInterrupt:
                print("", file=sys.stderr)
    return EXIT_OK


def port_of(entry: BoardEntry, target: Target) -> tuple[str, int]:
    """Where a board's UART is, and its bit rate. UsageError when lab.toml does not say."""
    from harness.device.virtual import CONSOLE

    baud = entry.baud or target.console.baud
    if entry.serial:
        return entry.serial, baud
    if isinstance(entry.virtual, str):
        return str(Path(entry.virtual) / CONSOLE), baud
    if entry.virtual:
        raise UsageError(f"board `{entry.id}` exists while a run uses it only", "see the run's uart.log")
    raise UsageError(f"board `{entry.id}`: key `serial` is missing", "hil boards --scan names the ports")


def _talk(console: Console, length: float) -> None:
    """Lines out, input in, until the time is over. The end of the input ends nothing: a board talks on. LabError when
    the board takes no input."""
    deadline = time.monotonic() + length if length else None
    seen, typing = 0, sys.stdin is not None  # None: closed by whoever started us
    while deadline is None or time.monotonic() < deadline:
        for line in console.wait_lines(seen, LOOK):
            _show(line, missed=line.seq - seen)
            seen = line.seq + 1
        sys.stdout.flush()
        if typing and select.select([sys.stdin], [], [], 0)[0]:
            data = os.read(sys.stdin.fileno(), MAX_INPUT)
            typing = bool(data)
            try:
                console.send(data)
            except ConsoleTimeout as error:
                what = f"{error}; of the last {len(data)} bytes some are lost"
                raise LabError("lab.serial_missing", what, "does the board run, and read this port?") from None


def _show(line: Line, missed: int) -> None:
    if missed:
        print(f"-- hil: {missed} lines were not shown: too many at once")
    print(f"{stamp(line.t)} {line.text}")


def add_power_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "examples:\n  hil power h563-1 cycle\n  hil power h563-1 off"
    parser.add_argument("board", metavar="ID", help="a board of lab.toml")
    parser.add_argument("action", nargs="?", default="cycle", choices=("on", "off", "cycle"), help="what to do (cycle)")
    parser.add_argument("--wait", type=seconds, default=0.0, metavar="S", help="wait so long for a held board (0)")


def run_power(arguments: argparse.Namespace) -> int:
    from harness.lab import power

    listed = board_named(arguments.board, "switch")
    with in_hand(listed, f"hil power {arguments.action}", arguments.wait) as entry:
        power.switch(entry, arguments.action)
    print(f"{listed.id}: power {arguments.action}: done")
    return EXIT_OK
