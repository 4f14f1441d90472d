"""`hil build`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.target import Target


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default=os.environ.get("HIL_TARGET", "qemu-m33"), metavar="ID",
                        help="which target (HIL_TARGET, else qemu-m33)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print data")


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n  hil build --target native\n"
        "  hil build --target h563 --package h563.tar.zst     to test on another host"
    )
    _add(parser)
    parser.add_argument("--package", default="", metavar="OUT", help="also write it to OUT.tar.zst or OUT.tar.gz")
    parser.add_argument("--with-keys", action="store_true", help="package an image that holds a private key")


def run_build(arguments: argparse.Namespace) -> int:
    from harness import firmware, store
    from harness.target import find, load

    target = find(arguments.target, load())
    live = sys.stderr.isatty()

    def say(text: str) -> None:
        if live:
            print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)

    if arguments.package:
        return _package(arguments, target, say)
    image = firmware.built(target, progress=say)
    if live:
        print("\r\x1b[K", end="", file=sys.stderr)
    if arguments.json:
        print(store.encode(image).decode(), end="")
    else:
        print(f"{image.path}  sha256 {image.sha256[:16]}…  {image.git}")
    return 0


def _package(arguments: argparse.Namespace, target: Target, say: Callable[[str], None]) -> int:
    """A copy of its own is packaged: another build may replace the image meanwhile."""
    import tempfile

    from harness import firmware, package, store

    out = Path(arguments.package)
    with tempfile.TemporaryDirectory(prefix="hil-package-") as folder:
        image = firmware.built(target, keep=Path(folder), progress=say)
        manifest = package.write(out, target, image, with_keys=arguments.with_keys)
    say("")
    if arguments.json:
        print(store.encode(manifest).decode(), end="")
    else:
        print(f"{out}  {out.stat().st_size >> 10} KB  {target.id}  sha256 {image.sha256[:16]}…  {image.git}")
    return 0
