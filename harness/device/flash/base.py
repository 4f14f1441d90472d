"""What a flasher is. One file of this folder is one back-end; `harness.device.flash` picks it and climbs the ladder.

A back-end runs a tool of somebody else (openocd, pyocd, STM32_Programmer_CLI, JLinkExe, probe-rs, a command) and judges
what it printed. No tool's exit status is believed alone. It never writes to a board before the probe it was told to use
answered, alone, and the microcontroller behind it is the target's.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from harness import paths
from harness.errors import LabError, UsageError

Say = Callable[[str], None]
Step = Literal["reset", "erase"]


def shown(path: Path) -> str:
    """A path for people: short where it lies in the repository."""
    return str(path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path)


def split(line: str, where: str) -> list[str]:
    """Words as a shell would see them. UsageError for a quote that is not closed."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{where}: `{line[:80]}`: {str(error).lower()}", "correct its quotes") from None


def silent(_text: str) -> None:
    """A `Say` for nobody."""


class Rig(msgspec.Struct, frozen=True, kw_only=True):
    """What a flasher needs to know of one board.

    `config`: what the target's table says to this flasher: a configuration file, a device's name, a command line.
    `mcu`: the device id that must be found before anything is written ("0x413"; "0x413@0xe0042000" with the address of
    the id register where the configuration's family is unknown); "" when the target cannot tell.
    `timeout_s` bounds everything `put` does to the board, recovery included.
    """

    board: str
    target: str
    flasher: str
    config: str
    address: int
    probe_id: str = ""
    probe_path: str = ""
    params: tuple[str, ...] = ()  # extra arguments of the tool (interface cfg, remote_bitbang socket …)
    prefix: tuple[str, ...] = ()  # command prefix (ssh to a lab host)
    timeout_s: int = 120
    mcu: str = ""


class FlashError(LabError):
    """The board does not hold the image. `cause` is a `lab.*` id.

    `evidence`: the tool's lines that say so. `touched`: something may have been written, so nobody knows what the board
    holds. `wedged`: the recovery ladder is used up; the board wants a person (quarantine it). `climb` is False where
    the image is at fault, on whatever board.
    """

    def __init__(
        self, cause: str, what: str, fix: str = "", *, evidence: tuple[str, ...] = (), touched: bool = False,
        climb: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(cause, what, fix)
        self.evidence = evidence
        self.touched = touched
        self.climb = climb
        self.wedged = False


class Flashed(msgspec.Struct, frozen=True, kw_only=True):
    """What `put` did. `written` is False when the board held the image already. `recovered`: the ladder's steps that
    were needed, and `trouble` why: a board that needs them often is failing."""

    board: str
    sha256: str
    written: bool
    seconds: float
    mcu: str = ""
    recovered: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()


class Flasher(Protocol):
    """A back-end. Every call is bounded in time, appends what the tool printed to `log` (escaped, bounded), and raises
    FlashError; LabError lab.disk_full when the log cannot be written."""

    def identify(self, rig: Rig, log: Path) -> str:
        """The probe answers, is the only one meant, and which MCU is behind it ("0x413"; "" when the tool cannot
        tell). FlashError lab.wrong_board when it is not the target's."""

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        """`identify`, then writes and verifies; the board runs afterwards. The MCU, as `identify` gives it."""

    def holds(self, rig: Rig, image: Path, log: Path) -> bool:
        """Whether the board holds exactly `image`, as far as the tool can compare without writing (else True: the
        record is believed). The board runs afterwards."""

    def reset(self, rig: Rig, log: Path) -> None:
        """Reset and run."""

    def halt(self, rig: Rig, log: Path) -> None:
        """Reset and stay at the first instruction, where the tool can; it says nothing on its UART then."""

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        """One step of the ladder: `reset` connects under reset, `erase` erases the whole flash."""
