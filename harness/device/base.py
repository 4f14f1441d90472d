"""What the engine needs from a board, emulated or real. Drivers: native.py, qemu.py, and the boards with a probe."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Board(Protocol):
    """One device under test, leased and flashed.

    `console_path`: what pyserial opens (path or URL), there before `start`; `baud`: its bit rate. `broker_address`:
    where the device reaches a broker that runs on this host; `listen_address`: where that broker listens.
    `capture_interface`: the interface that carries the device's packets, or None when the board itself records them
    (`collect_capture`). `device_address`: the device's own, where that interface may carry others' packets; "" else.
    """

    console_path: str
    baud: int
    broker_address: str
    listen_address: str
    capture_interface: str | None
    device_address: str

    def start(self) -> None:
        """Powers it up. The console is open by then, so the first line is not lost. LabError when it cannot."""

    def reset(self) -> None:
        """From its reset vector again; the console stays open."""

    def alive(self) -> bool:
        """Whether it can still answer, as far as the host can tell (a process that ended cannot)."""

    def last_words(self) -> str:
        """How it ended, or what it said outside its UART: exit status, signal, registers. "" when nothing."""

    def collect_capture(self, out: Path) -> None:
        """Writes what the board recorded itself as pcapng, in host time. Nothing to do with a capture interface."""


@runtime_checkable
class Locates(Protocol):
    """A board that can be looked at from outside while it hangs (the emulator's monitor, a debug probe)."""

    def hang_place(self) -> str:
        """Where the program is now, with function and line where known; "" when it cannot be told."""
