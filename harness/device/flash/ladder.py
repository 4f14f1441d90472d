"""`put`: the image onto the board, with a bounded ladder for a board that fails.

    remembered and still there → nothing to do
    program; on failure        → reset under reset, program → erase all, program → power cycle, program → wedged

Which rungs make sense is the cause's: no reset helps a probe that is not there, and what somebody protected is not
erased. All of it together, retries included, ends within the rig's `timeout_s` and the few seconds a killed tool takes.
"""

from __future__ import annotations

import hashlib
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from harness.device.flash import remembered
from harness.device.flash.backends import flasher
from harness.device.flash.base import Flashed, Flasher, FlashError, Rig, Say
from harness.device.flash.image import MAX_IMAGE
from harness.errors import LabError
from harness.model import Image

Rung = Literal["retry", "reset", "erase", "power"]

LADDER: dict[str, tuple[Rung, ...]] = {
    "lab.flash_failed": ("reset", "erase", "power"),
    "lab.flash_verify_failed": ("reset", "erase", "power"),
    "lab.target_unpowered": ("reset", "power"),
    "lab.probe_silent": ("retry", "power"),
}
"""By cause; any other is for a person, and the board is as it was."""
LEAST_S = 5.0  # no further try is begun with less time left
FAIR = 3  # a reset or a look may take at most 1/3 of the time left


def put(
    rig: Rig,
    image: Image | Path,
    log: Path,
    *,
    say: Say,
    reflash: bool = False,
    power: Callable[[], None] | None = None,
    by: Flasher | None = None,
) -> Flashed:
    """The board holds `image`, verified, and runs. `power` cycles the board's power (LabError when it cannot).
    `by`: instead of the back-end the rig names.

    FlashError (exit 10) with `wedged` when the ladder is used up.
    """
    start = time.monotonic()
    deadline = start + rig.timeout_s
    path, sha256 = _image(image)
    tool = by or flasher(rig.flasher)
    if not reflash and remembered.holds(rig, sha256):
        held = _held(tool, rig, path, log, say)
        if held is not None:
            return Flashed(board=rig.board, sha256=sha256, written=False, mcu=held, seconds=time.monotonic() - start)
    remembered.forget(rig)
    done = _try(tool, rig, path, log, say, deadline)
    taken: list[str] = []
    trouble: list[FlashError] = []
    while isinstance(done, FlashError):
        trouble.append(done)
        rung = _next(rig, trouble[0].cause, taken, power)
        helps = trouble[-1].climb and trouble[-1].cause in LADDER
        if rung is None or not helps or deadline - time.monotonic() < LEAST_S:
            raise _given_up(rig, trouble, taken)
        taken.append(rung)
        say(f"flash {rig.board}: {trouble[-1].cause}, recover by {rung}")
        _note(log, f"recover by {rung} after {trouble[-1].what}")
        done = _climb(tool, rig, rung, log, power, deadline) or _try(tool, rig, path, log, say, deadline)
    remembered.remember(rig, sha256)
    return Flashed(
        board=rig.board, sha256=sha256, written=True, mcu=done, seconds=time.monotonic() - start,
        recovered=tuple(taken), trouble=tuple(f"{error.cause}: {error.what}" for error in trouble),
    )  # fmt: skip


def _image(image: Image | Path) -> tuple[Path, str]:
    """Path and hash of what is there now. LabError lab.build_failed when it is not what was built."""
    path = image.path if isinstance(image, Image) else image
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode) or there.st_size > MAX_IMAGE:
            raise FlashError("lab.build_failed", f"{path} is no microcontroller's image", "name another file")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FlashError("lab.build_failed", f"{path}: {error.strerror}", "run `hil build`") from error
    if isinstance(image, Image) and image.sha256 and sha256 != image.sha256:
        raise FlashError("lab.build_failed", f"{path} is not what was built (another hash)", "start the run again")
    return path, sha256


def _held(tool: Flasher, rig: Rig, path: Path, log: Path, say: Say) -> str | None:
    """The MCU when the remembered image is still on the board. A board that cannot even be looked at is programmed, so
    that the ladder may help it; what is for a person to see to is raised."""
    say(f"flash {rig.board}: holds this image already?")
    try:
        mcu = tool.identify(rig, log)
        return mcu if tool.holds(rig, path, log) else None
    except FlashError as error:
        if error.cause not in LADDER:
            raise
        return None


def _try(tool: Flasher, rig: Rig, path: Path, log: Path, say: Say, deadline: float) -> FlashError | str:
    """The MCU, or why it failed."""
    left = max(1, int(deadline - time.monotonic()))
    try:
        return tool.program(msgspec.structs.replace(rig, timeout_s=left), path, log, say)
    except FlashError as error:
        return error


def _next(rig: Rig, cause: str, taken: list[str], power: Callable[[], None] | None) -> Rung | None:
    """What cannot be told from somebody else's board is not erased; whose command erases has said that it may."""
    cannot = {*taken, *(() if power else ("power",)), *(() if rig.mcu or rig.flasher == "command" else ("erase",))}
    return next((rung for rung in LADDER.get(cause, ()) if rung not in cannot), None)


def _climb(
    tool: Flasher, rig: Rig, rung: Rung, log: Path, power: Callable[[], None] | None, deadline: float
) -> FlashError | None:
    """Why the rung itself failed; the next one is taken then."""
    left = max(1, int(deadline - time.monotonic()))
    try:
        if rung == "power" and power is not None:
            power()
        elif rung == "reset":
            tool.recover(msgspec.structs.replace(rig, timeout_s=max(1, left // FAIR)), "reset", log)
        elif rung == "erase":
            some = msgspec.structs.replace(rig, timeout_s=max(1, left // FAIR))
            tool.identify(some, log)
            tool.recover(msgspec.structs.replace(rig, timeout_s=left), "erase", log)
    except FlashError as error:
        return error
    except LabError as error:
        return FlashError(error.cause, error.what, error.fix)
    return None


def _given_up(rig: Rig, trouble: list[FlashError], taken: list[str]) -> FlashError:
    """The first error names the cause: later ones are often its consequences."""
    first = trouble[0]
    # What was never touched and never answered is as good as before: a loose cable wants a hand, not a quarantine.
    wedged = first.climb and first.cause in LADDER and ("erase" in taken or any(one.touched for one in trouble))
    if not taken:
        first.wedged = wedged
        return first
    what = f"{first.what} (tried: {', '.join(taken)}"
    last = trouble[-1]
    what += ")" if last.cause == first.cause else f"; at last {last.cause})"
    error = FlashError(
        first.cause, what, first.fix, evidence=first.evidence, touched=any(one.touched for one in trouble),
        climb=first.climb,
    )  # fmt: skip
    error.wedged = wedged
    return error


def _note(log: Path, text: str) -> None:
    try:
        with log.open("a") as file:
            file.write(f"# {text}\n")
    except OSError as error:
        raise LabError("lab.disk_full", f"{log}: {error.strerror}", "make it writable, or make room") from error
