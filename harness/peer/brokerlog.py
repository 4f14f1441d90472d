"""Reads a broker's stderr, stamps each line, keeps it in a file, and lets others wait for a line.

Mosquitto's own stamps have whole seconds; ours are taken when the line arrives: UTC, microseconds.
    2026-11-20T20:49:35.123456Z: mosquitto version 2.0.11 running
"""

from __future__ import annotations

import datetime as dt
import re
import threading
import time
from io import FileIO
from pathlib import Path
from typing import IO

MAX_LINE = 4096
MAX_FILE = 64 << 20
"""Bytes: a device that floods the broker must not fill the lab's disk. The rest is drained and not kept."""


class BrokerLog:
    """One thread from pipe to file. `lines` are without stamps; the last `KEEP` stay in memory."""

    KEEP = 2000

    def __init__(self, pipe: IO[bytes], path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self.error: OSError | None = None
        self._dropped = 0
        self._pipe = pipe
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._pump, name="broker-log", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        """Drains the pipe to its end whatever happens to the file: a full pipe would stop the broker."""
        file = self._open()
        written = 0
        with self._pipe:
            while raw := self._pipe.readline(MAX_LINE):
                now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                text = raw.decode("utf-8", "replace").rstrip("\r\n")
                if file is not None and written < MAX_FILE:
                    written += self._write(file, f"{now}: {text}\n".encode())
                    if written >= MAX_FILE:
                        self._write(file, b"hil: the rest is not kept\n")
                with self._changed:
                    self.lines.append(text)
                    if len(self.lines) > self.KEEP:
                        del self.lines[: self.KEEP // 2]
                        self._dropped += self.KEEP // 2
                    self._changed.notify_all()
        if file is not None:
            file.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _open(self) -> FileIO | None:
        try:
            return FileIO(self.path, "a")
        except OSError as error:
            self.error = error
            return None

    def _write(self, file: FileIO, data: bytes) -> int:
        try:
            return file.write(data)
        except OSError as error:
            self.error = self.error or error
            return 0

    def wait(self, pattern: str, timeout: float) -> re.Match[str] | None:
        """The first line that `pattern` is found in, waited for up to `timeout` seconds. None: it did not come in
        time, or the log ended without it."""
        wanted = re.compile(pattern)
        until = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[max(0, seen - self._dropped):]:
                    if match := wanted.search(line):
                        return match
                seen = self._dropped + len(self.lines)
                left = until - time.monotonic()
                if self._ended or left <= 0:
                    return None
                self._changed.wait(left)

    def join(self, timeout: float) -> bool:
        """Waits until the pipe's other end is closed and all is in the file."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def last_error(self) -> str:
        """The most telling line: the last one that says "Error", else the last one that is not a warning."""
        with self._changed:
            lines = [line for line in self.lines if line.strip() and not line.startswith("Warning:")]
        errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
        return (errors or lines or ["it printed nothing"])[-1]
