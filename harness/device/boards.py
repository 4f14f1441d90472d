"""Which driver drives a target's board: `open_board(target, image, workdir)`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from harness.device.base import Board
from harness.errors import LabError
from harness.model import Image
from harness.target import Target


def emulated(target: Target) -> bool:
    """Whether each run makes a board of its own, so that none has to be leased."""
    return target.network.kind == "loopback" or target.qemu is not None


def open_board(target: Target, image: Image, workdir: Path) -> AbstractContextManager[Board]:
    """A board that holds `image` and waits for `start`; leaving the block ends everything it started."""
    if target.network.kind == "loopback":
        from harness.device.native import native_board

        return native_board(target, image, workdir)
    if target.qemu is not None:
        from harness.device.qemu import qemu_board

        return qemu_board(target, image, workdir)
    raise LabError(
        "lab.tool_missing", f"target {target.id}: no driver for a board with flasher `{target.flash.flasher}` yet",
        "run native, qemu-m33 or qemu-m4",
    )  # fmt: skip
