"""Which board a scenario gets. `source(...)` picks one of two:

  Fresh   emulated targets: each attempt starts a board of its own, as many as wanted.
  Kept    everything with a probe (harness/device/probe.py): boards that outlive scenarios, real or virtual. Flashed
          once, reset for each attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from harness.device.base import Board
from harness.errors import LabError
from harness.lab.inventory import BoardEntry
from harness.lab.pool import Pool
from harness.model import Image
from harness.target import Target

Step = Callable[[str], None]
PROCESSES = ("loopback", "ppp-process")
"""Network kinds of firmware that runs as a process of this machine: its loopback, or PPP on a second pty."""


class Source(Protocol):
    """Where a worker's boards come from. One for each worker; `close` at its end."""

    def take(
        self, target: Target, image: Image, node: str, workdir: Path, step: Step
    ) -> AbstractContextManager[Board]:
        """A board that holds `image` and waits for `start`, ours for the length of the block. `node` is the scenario it
        is for; logs go to `workdir`. LabError when there is none, or it cannot be flashed."""

    def close(self) -> None:
        """Ends what was kept."""


def emulated(target: Target) -> bool:
    """Whether each attempt makes a board of its own, so that none has to be leased or flashed."""
    return target.network.kind in PROCESSES or target.qemu is not None


def virtual(target: Target) -> bool:
    """Whether each worker makes a virtual board of its own (hil-vboard): flashed and driven as hardware is, with its
    console on a pty."""
    return target.console.kind == "pty" and target.flash.flasher != "none"


def self_made(target: Target) -> bool:
    """Whether a run needs no lab.toml for it, and may live in a sandbox."""
    return emulated(target) or virtual(target)


def open_board(target: Target, image: Image, workdir: Path) -> AbstractContextManager[Board]:
    """A fresh emulated board that waits for `start`; leaving the block ends everything it started."""
    if target.network.kind == "loopback":
        from harness.device.native import native_board

        return native_board(target, image, workdir)
    if target.network.kind == "ppp-process":
        from harness.device.native_ppp import native_ppp_board

        return native_ppp_board(target, image, workdir)
    if target.qemu is not None:
        from harness.device.qemu import qemu_board

        return qemu_board(target, image, workdir)
    raise LabError("lab.tool_missing", f"target {target.id} is not emulated", "use it through a board of lab.toml")


class Fresh:
    """See above."""

    def take(
        self, target: Target, image: Image, node: str, workdir: Path, step: Step
    ) -> AbstractContextManager[Board]:
        step("flash")
        return open_board(target, image, workdir)

    def close(self) -> None:
        """Nothing is kept."""


def check_entry(entry: BoardEntry, target: Target) -> None:
    """UsageError when a board of lab.toml lacks what its target needs."""
    if entry.virtual is not True:
        from harness.device.wiring import wired

        wired(entry, target)


def source(target: Target, pool: Pool, run_dir: Path, *, reflash: bool) -> Source:
    """The source of a target's boards for this worker."""
    if emulated(target) and not pool.serves(target.id):
        return Fresh()
    from harness.device.probe import Kept

    return Kept(pool, run_dir, reflash=reflash)
