"""Boards with a debug probe, real or virtual: flashed once, kept over scenarios, reset for each attempt.

`ProbeBoard` is one attempt's view of a board (`Board`), reached as harness/device/wiring.py says. `Kept` is the
worker's source of them: it takes a board of the run, sees that it holds the image, and counts what goes wrong with it.

A board that ran before still talks. It is halted before the console is opened, so that the first line of an attempt is
the first line after its own reset.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.device import flash, ports
from harness.device import wiring as wirings
from harness.device.base import Board
from harness.device.boards import emulated, open_board
from harness.device.flash.base import FlashError, Rig
from harness.device.virtual import VirtualBoard
from harness.device.wiring import BY_HAND, Wiring, no_reset, wired
from harness.errors import LabError
from harness.evidence import uplink
from harness.lab import inventory, quarantine
from harness.lab.pool import BOARD_CAUSES, Held, Pool, Use
from harness.model import Image
from harness.target import Target

Step = Callable[[str], None]
CAPTURE = "capture.pcapng"
LOG = "openocd.log"
UPLINK_BAUD = 115200
PARTS = {"f405": ("stm32f405", "netduinoplus2")}
"""hil-vboard's part and QEMU's machine by the `board` of a target's table."""


def reset(rig: Rig, cycle: Callable[[], None] | None, log: Path) -> None:
    """By its flasher; by its power where it is programmed by hand. UsageError when it has neither."""
    if rig.flasher != BY_HAND:
        flash.flasher(rig.flasher).reset(rig, log)
    elif cycle is not None:
        cycle()
    else:
        raise no_reset(rig.board)


class ProbeBoard:
    """A `Board` for one attempt; made by `Kept.take`, closed by it."""

    def __init__(self, wiring: Wiring, workdir: Path, node: str) -> None:
        self._wiring = wiring
        self._log = workdir / LOG
        self._capture = workdir / CAPTURE
        self._node = node
        self._stack = contextlib.ExitStack()
        self._link: uplink.Uplink | None = None
        self.console_path = wiring.console
        self.baud = wiring.baud
        self.broker_address = wiring.broker_address
        self.listen_address = wiring.listen_address
        self.capture_interface = wiring.capture
        self.device_address = wiring.device_address

    def halt(self) -> None:
        """Stops it, whatever it does; one that is programmed by hand runs on until its power goes."""
        rig = self._wiring.rig
        if rig.flasher != BY_HAND:
            flash.flasher(rig.flasher).halt(rig, self._log)

    def start(self) -> None:
        """The link first, then a reset: no packet is missed."""
        wiring = self._wiring
        if wiring.uplink and self._link is None:
            comment = f"hil {self._node} on {wiring.board}"
            self._link = self._stack.enter_context(
                uplink.uplink(ports.resolve(wiring.uplink), self._capture, comment=comment, mode=wiring.framing,
                              baud=UPLINK_BAUD)
            )  # fmt: skip
        self.reset()

    def reset(self) -> None:
        reset(self._wiring.rig, self._wiring.power, self._log)

    def alive(self) -> bool:
        return self._wiring.alive()

    def last_words(self) -> str:
        return "" if self.alive() else "the virtual board's process ended"

    def collect_capture(self, out: Path) -> None:
        """The link ends; its file is complete. LabError when the link broke meanwhile."""
        if self._link is None:
            raise LabError("lab.capture_failed", f"{self._wiring.board}: its link was never up", "see uart.log")
        self._link.stop()
        if out != self._capture:
            self._capture.replace(out)

    def close(self) -> None:
        self._stack.close()


class Kept:
    """A worker's boards that outlive scenarios: those of lab.toml through the run's pool, or a virtual one of its
    own."""

    def __init__(self, pool: Pool, run_dir: Path, *, reflash: bool) -> None:
        self._pool = pool
        self._run_dir = run_dir
        self._reflash = reflash
        self._virtual: dict[str, tuple[VirtualBoard, Use]] = {}
        self._lab = inventory.load_lab()

    @contextlib.contextmanager
    def take(self, target: Target, image: Image, node: str, workdir: Path, step: Step) -> Iterator[Board]:
        step("lease")
        if not self._pool.serves(target.id):
            with self._own(f"{target.id}-{self._pool.turn}", target, image, node, workdir, step) as board:
                yield board
            return
        with self._pool.use(target.id, node) as use:
            try:
                with self._listed(use, target, image, node, workdir, step) as board:
                    yield board
            except LabError as error:
                self._failed(use, error)
                raise
            use.worked()
            quarantine.note_success(use.board)

    @contextlib.contextmanager
    def _listed(
        self, use: Use, target: Target, image: Image, node: str, workdir: Path, step: Step
    ) -> Iterator[Board]:
        """A board of lab.toml. `virtual = true` there is a name: the board itself is made here."""
        entry = self._lab.boards[use.board]
        if entry.labgrid:
            from harness.lab import labgrid

            entry = labgrid.reached(entry)
        if entry.virtual is True and emulated(target):
            with open_board(target, image, workdir) as made:
                yield made
        elif entry.virtual is True:
            with self._own(use.board, target, image, node, workdir, step) as board:
                yield board
        else:
            with self._flashed(wired(entry, target), use, image, node, workdir, step) as board:
                yield board

    @contextlib.contextmanager
    def _own(
        self, name: str, target: Target, image: Image, node: str, workdir: Path, step: Step
    ) -> Iterator[Board]:
        """A virtual board of this worker's own, kept; after a lab error the next attempt gets a new one."""
        made, use = self._made(name, target)
        wiring = wirings.virtual(name, made.folder, target, alive=made.alive)
        try:
            with self._flashed(wiring, use, image, node, workdir, step) as board:
                yield board
        except LabError:
            self._end(name)
            raise

    def close(self) -> None:
        for name in list(self._virtual):
            self._end(name)

    @contextlib.contextmanager
    def _flashed(
        self, wiring: Wiring, use: Use, image: Image, node: str, workdir: Path, step: Step
    ) -> Iterator[ProbeBoard]:
        """Holding the image, halted."""
        if wiring.rig.flasher == BY_HAND:
            step(f"{wiring.board} is programmed by hand")
        else:
            self._put(wiring, use, image, workdir, step)
        board = ProbeBoard(wiring, workdir, node)
        try:
            board.halt()
            yield board
        finally:
            board.close()

    def _put(self, wiring: Wiring, use: Use, image: Image, workdir: Path, step: Step) -> None:
        step(f"flash {wiring.board}")
        if use.known.holds == image.sha256:
            return
        use.holds("")
        again = self._reflash or use.fresh
        try:
            flash.put(wiring.rig, image, workdir / LOG, say=step, reflash=again, power=wiring.power)
        except FlashError as error:
            error.again = False  # it climbed its own ladder
            raise
        use.holds(image.sha256)

    def _failed(self, use: Use, error: LabError) -> None:
        """A board's own failure counts, in this run and beyond. One that could not be flashed, after all that its
        ladder tries, is out of this run: it would fail fast and draw scenarios from the others. A wedged one is set
        aside."""
        if error.cause not in BOARD_CAUSES:
            return
        why = error.what
        if isinstance(error, FlashError) and not error.climb:
            use.failed(error, out=why)  # the image's fault: no board is set aside for it
            return
        if isinstance(error, FlashError) and error.wedged:
            state = quarantine.put(use.board, f"wedged: {why}", cause=error.cause, by="bench")
        else:
            state = quarantine.note_error(use.board, error.cause, why, self._lab.settings.quarantine_after)
        use.failed(error, out=state.reason if state.quarantined else "" if error.again else why)

    def _made(self, name: str, target: Target) -> tuple[VirtualBoard, Use]:
        known = self._virtual.get(name)
        if known is not None and known[0].alive():
            return known
        self._end(name)
        if target.board not in PARTS:
            what = f"target {target.id}: no virtual board is a `{target.board}`"
            raise LabError("lab.tool_missing", what, f"there are: {', '.join(PARTS)}; describe a real one in lab.toml")
        folder = self._run_dir / "secrets" / "vb" / f"{name}.{self._pool.turn}"
        made = VirtualBoard(folder, *PARTS[target.board])
        self._virtual[name] = made, Use(name, None, Held(), fresh=True)
        return self._virtual[name]

    def _end(self, name: str) -> None:
        known = self._virtual.pop(name, None)
        if known is not None:
            known[0].close()
