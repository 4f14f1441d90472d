"""`hil build` and `hil flash`."""

from __future__ import annotations

import argparse
import os
import sys

from harness.errors import LabError


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default=os.environ.get("HIL_TARGET", "qemu-m33"), metavar="ID",
                        help="which target (HIL_TARGET, else qemu-m33)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print data")


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: hil build --target native"
    _add(parser)


def run_build(arguments: argparse.Namespace) -> int:
    from harness import firmware, store
    from harness.target import find, load

    target = find(arguments.target, load())
    live = sys.stderr.isatty()

    def say(text: str) -> None:
        if live:
            print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)

    image = firmware.built(target, progress=say)
    if live:
        print("\r\x1b[K", end="", file=sys.stderr)
    if arguments.json:
        print(store.encode(image).decode(), end="")
    else:
        print(f"{image.path}  sha256 {image.sha256[:16]}…  {image.git}")
    return 0


def add_flash_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: hil flash --target native"
    _add(parser)


def run_flash(arguments: argparse.Namespace) -> int:
    from harness.device.boards import emulated
    from harness.target import find, load

    target = find(arguments.target, load())
    if not emulated(target):
        raise LabError("lab.flash_failed", f"target {target.id}: no flasher `{target.flash.flasher}` yet",
                       "program it by hand, or use an emulated target")  # fmt: skip
    if arguments.json:
        print('{"target": "%s", "flashed": false, "reason": "emulated"}' % target.id)  # noqa: UP031
    else:
        print(f"{target.id}: nothing to flash: each run starts its own board with the built image")
    return 0
