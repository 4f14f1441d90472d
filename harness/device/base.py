"""What the run needs of a board, whichever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Board(Protocol):
    """A board that is held by a context manager; leaving it ends everything it started."""

    @property
    def console_path(self) -> str:
        """The tty to open with pyserial; stays the same over resets and power cycles."""

    @property
    def broker_address(self) -> str:
        """What the device calls to reach the bench: `127.0.0.1`, `10.0.2.2`, …"""

    @property
    def capture_interface(self) -> str | None:
        """Where to capture live; None when the wire is inside the board (then `collect_capture`)."""

    def start(self) -> None:
        """Let it boot. The console is open by then, so the first line is not lost."""

    def reset(self) -> None:
        """Start it over, as its reset button would."""

    def alive(self) -> bool: ...

    def last_words(self) -> str:
        """Why it died, as bounded text; "" while it lives."""

    def collect_capture(self, out: Path) -> None:
        """Write what went over the wire so far as pcapng, in the host's time."""
