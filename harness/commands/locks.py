"""`hil lock` and `hil unlock`: a board for somebody's own use.

A kernel lock belongs to a process. With a command, that is this one, for as long as the command runs. Without, a
process stays behind that holds the board until `hil unlock`, `--seconds` or the end of the process `--while`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from harness.commands.values import count, seconds
from harness.errors import EXIT_OK, UsageError
from harness.lab import inventory, lease, quarantine
from harness.lab.inventory import BoardEntry

USUAL_SECONDS = 8 * 3600
LOCK = """examples:
  hil lock h563-1 --reason "new antenna"          yours for 8 hours, or until `hil unlock h563-1`
  hil lock h563-1 --while $PPID                   as long as this job's shell lives
  hil lock h563-1 --wait 600 -- ./my-test.sh      for this command; its exit code is ours
  export HIL_LEASE=$(hil lock h563-1 --lease)     then `hil run --target h563` uses the board under this lock"""


def add_lock_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = LOCK
    parser.add_argument("board", metavar="ID", help="a board of lab.toml (or its target, where it is the only one)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="what others are told")
    parser.add_argument("--wait", type=seconds, default=0.0, metavar="S", help="wait so long for a held board (0)")
    parser.add_argument("--seconds", type=seconds, default=float(USUAL_SECONDS), metavar="S",
                        help=f"give it back after S seconds ({USUAL_SECONDS}; 0: only by hil unlock)")  # fmt: skip
    parser.add_argument("--while", dest="while_pid", type=count(1), default=0, metavar="PID",
                        help="give it back when this process ends")  # fmt: skip
    parser.add_argument("--lease", action="store_true", help="print only ID=PID, for HIL_LEASE")
    parser.add_argument("--json", action="store_true", help="print data")


def run_lock(arguments: argparse.Namespace) -> int:
    entry = board_named(arguments.board, "hold")
    command: list[str] = getattr(arguments, "command", None) or []
    if getattr(arguments, "command", None) == []:  # an empty variable: nobody wants the board for 8 hours then
        raise UsageError("no command after `--`", f"hil lock {entry.id} -- COMMAND, or no `--`")
    reason = arguments.reason or (f"hil lock -- {command[0]}" if command else "hil lock")
    found = quarantine.state(entry.id)
    if found.quarantined:
        print(f"hil: note: {found}", file=sys.stderr)
    if command:
        with in_hand(entry, reason, arguments.wait):
            return _for_command(entry, command)
    if entry.labgrid:
        raise UsageError(f"board `{entry.id}` is reached through labgrid, which no process behind can hold",
                         f"hil lock {entry.id} -- COMMAND, or labgrid-client acquire")  # fmt: skip
    from harness.lab import holder

    pid = holder.hold(
        entry.id, reason, seconds=arguments.seconds, while_pid=arguments.while_pid, wait=arguments.wait
    )  # fmt: skip
    if arguments.json:
        print(json.dumps({"board": entry.id, "pid": pid, "seconds": arguments.seconds, "while": arguments.while_pid}))
    elif arguments.lease:
        print(f"{entry.id}={pid}")
    else:
        end = f"for {arguments.seconds:g} s" if arguments.seconds else "without an end"
        end += f", while process {arguments.while_pid} lives" if arguments.while_pid else ""
        print(f"{entry.id} is yours {end} (process {pid}); give it back: hil unlock {entry.id}")
        print(f"to run scenarios on it: export {lease.LENT}={entry.id}={pid}")
    return EXIT_OK


@contextlib.contextmanager
def in_hand(entry: BoardEntry, reason: str, wait: float) -> Iterator[BoardEntry]:
    """Holds the board for the length of the block, its labgrid place too; yields it as it can be reached now."""
    with lease.lease(entry.id, reason, wait or None):
        if not entry.labgrid:
            yield entry
            return
        from harness.lab import labgrid

        with labgrid.held(entry, reason, wait or None) as here:
            yield here


def _for_command(entry: BoardEntry, command: list[str]) -> int:
    """Runs it with the terminal; Ctrl-C is its business. Its exit code; 128 + n when signal n ended it."""
    from harness.lab.process import spawn, stop

    env = {**os.environ, "HIL_BOARD": entry.id, lease.LENT: f"{entry.id}={os.getpid()}"}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process: subprocess.Popen[bytes] = spawn(command, env=env, stdin=None, foreground=True)
        try:
            status = process.wait()
        finally:
            stop(process)
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status


def add_unlock_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "examples:\n  hil unlock h563-1\n  hil unlock h563-1 --quarantine     back into use after a repair"
    parser.add_argument("board", metavar="ID", help="a board of lab.toml")
    parser.add_argument("--quarantine", action="store_true", help="end its quarantine too")


def run_unlock(arguments: argparse.Namespace) -> int:
    from harness.lab import holder

    entry = board_named(arguments.board, "give back")
    who = holder.let_go(entry.id)
    print(f"{entry.id} is free; it was held by {_plain(str(who))}" if who else f"{entry.id} was not held")
    if arguments.quarantine:
        from harness.commands.boards import release

        return release(entry)
    return EXIT_OK


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def board_named(name: str, verb: str) -> BoardEntry:
    """A board of lab.toml. UsageError for an emulated target, which is no single thing."""
    from harness.device.boards import self_made
    from harness.target import load

    boards = inventory.load()
    targets = load()
    if name not in boards and name in targets and self_made(targets[name]) and not inventory.of_target(name, boards):
        raise UsageError(f"{name} is emulated: there is no board to {verb}", "each run makes its own")
    return inventory.find(name, boards)
