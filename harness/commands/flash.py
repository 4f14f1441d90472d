"""`hil flash`: the target's firmware, or an image of one's own, onto one board of lab.toml."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import msgspec

from harness.commands.values import seconds
from harness.errors import EXIT_OK, LabError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = """examples:
  hil flash --target h563
  hil flash --board h563-2 --image build/app.elf --reflash"""
    parser.add_argument("--target", default=os.environ.get("HIL_TARGET", "qemu-m33"), metavar="ID",
                        help="which target (HIL_TARGET, else qemu-m33)")  # fmt: skip
    parser.add_argument("--board", default="", metavar="ID", help="which board of lab.toml, where there are several")
    parser.add_argument("--image", default="", metavar="FILE", help="this image instead of the target's firmware")
    parser.add_argument("--reflash", action="store_true", help="also when the board holds the image already")
    parser.add_argument("--wait", type=seconds, default=0.0, metavar="S", help="wait so long for a held board (0)")
    parser.add_argument("--json", action="store_true", help="print data")


def run(arguments: argparse.Namespace) -> int:
    from harness.device.boards import self_made
    from harness.lab import inventory
    from harness.target import find, load

    boards = inventory.load()
    name = arguments.board or arguments.target
    if not arguments.board:
        target = find(arguments.target, load())
        if not inventory.of_target(target.id, boards):
            if not self_made(target):
                what = f"{target.id}: no board of this kind in lab.toml"
                raise LabError("lab.probe_missing", what, "attach one and run hil boards --scan")
            return _nothing(arguments, target.id)
    entry = inventory.find(name, boards)
    if entry.virtual is True:
        return _nothing(arguments, entry.id)
    return _flash(arguments, entry.id)


def _nothing(arguments: argparse.Namespace, name: str) -> int:
    if arguments.json:
        print(msgspec.json.encode({"target": name, "flashed": False, "reason": "emulated"}).decode())
    else:
        print(f"{name}: nothing to flash: each run starts its own board with the built image")
    return EXIT_OK


def _flash(arguments: argparse.Namespace, board: str) -> int:
    from harness import firmware
    from harness.commands.check import evidence, put
    from harness.commands.locks import in_hand
    from harness.device.wiring import BY_HAND, rig_of
    from harness.lab import attached, inventory, quarantine
    from harness.target import find, load

    listed = inventory.find(board)
    target = find(listed.target, load())
    quarantine.check(listed.id)
    gone = attached.missing(listed)
    if gone is not None:
        raise gone
    with in_hand(listed, "hil flash", arguments.wait) as entry:
        rig = rig_of(entry, target)
        if rig.flasher == BY_HAND:
            raise UsageError(f"board `{entry.id}` has no flasher (`runner = \"none\"`)", "program it by hand")
        image = Path(arguments.image) if arguments.image else firmware.built(target, progress=_say)
        with evidence("flash", entry.id) as folder:
            done = put(entry, rig, image, folder / "flash.log", say=_say, reflash=arguments.reflash)
            shutil.rmtree(folder, ignore_errors=True)
    _say("")
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(done)) + b"\n")
    else:
        how = "written and verified" if done.written else "was there already"
        more = f", recovered by {', '.join(done.recovered)}" if done.recovered else ""
        print(f"{done.board}: {done.sha256[:16]}… {how} in {done.seconds:.1f} s{more}")
    return EXIT_OK


def _say(text: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)
