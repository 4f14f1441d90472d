"""The UART log of a run: `<ISO-8601 UTC, µs>Z <line>` a line, bounded, nothing in it a terminal obeys."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

MARKER = b"@H1 "
MAX_LOG = 20 << 20  # bytes of log before only the shim's own lines are kept
MAX_MARKED = 4 << 20  # bytes of those beyond that
NOTE = "-- hil: "  # starts the lines that are ours, not the device's


def stamp(t: int) -> str:
    """Nanoseconds since 1970 as `2026-11-21T01:47:28.123456Z`."""
    moment = dt.datetime.fromtimestamp(t // 1_000_000_000, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{t // 1000 % 1_000_000:06d}Z"


def escape(raw: bytes) -> str:
    """What a device sent as one printable line: control characters and bytes that are no UTF-8 become `\\xNN`.

    Backslashes and tabs stay as they are, so that the checksum of a shim line can be computed from the log.
    """
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\t" else "".join(f"\\x{b:02x}" for b in c.encode()) for c in text
    )


class UartLog:
    """The file. Lines are numbered from 1 as an editor shows them. OSError (disk full) comes out of every call."""

    def __init__(self, path: Path, max_log: int = MAX_LOG) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1 << 16)
        self._left = max_log
        self._left_marked = MAX_MARKED
        self._cut = False
        self._number = 0
        self.skipped_lines = 0
        self.skipped_bytes = 0

    def line(self, t: int, text: str, marked: bool) -> int:
        """Writes one line; returns its number, or 0 when there was no room for it."""
        size = len(text) + 29
        if self._left >= size:
            self._left -= size
        elif marked and self._left_marked >= size:
            self._left_marked -= size
        else:
            self.skip(1, len(text))
            return 0
        return self._write(t, text)

    def skip(self, lines: int, size: int) -> None:
        """Counts what was not written."""
        self.skipped_lines += lines
        self.skipped_bytes += size

    @property
    def full(self) -> bool:
        """Whether only marked lines still have room."""
        return self._left < 4200

    def note(self, t: int, text: str) -> None:
        """A line of ours between the device's."""
        self._write(t, NOTE + text)

    def flush(self) -> None:
        self._file.flush()

    def close(self, t: int) -> None:
        try:
            if self.skipped_lines:
                self.note(t, f"{self.skipped_lines} lines ({self.skipped_bytes} bytes) are not in this log: too many")
        finally:
            self._file.close()

    def _write(self, t: int, text: str) -> int:
        self._file.write(f"{stamp(t)} {text}\n")
        self._number += 1
        if self.full and not self._cut:
            self._cut = True
            self.note(t, "log full: from here on only lines of the shim")
        return self._number
