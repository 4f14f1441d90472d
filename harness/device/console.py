"""A device's UART through pyserial: read without a gap from before the reset on, timestamped, logged, bounded.

What a device prints is hostile: lines, memory and the log file (harness/device/uartlog.py) are bounded, and a flood is
read at full speed, so that the device is neither blocked nor able to starve the bench.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import serial

from harness.device.uartlog import MARKER, MAX_LOG, UartLog, escape
from harness.errors import LabError

MAX_LINE = 4096  # bytes; longer ones are cut in two
KEEP = 5000  # lines in memory, of all and of the shim's
MARKER_ROOM = 240  # a shim line is at most so long: a cut leaves it whole
READ_SIZE = 1 << 16
REOPEN_EVERY = 0.1  # seconds between two tries to open a port that vanished
LOST_TIMEOUT = 10.0  # seconds a port may be away (USB enumerates again after a flash) before it is an error
WRITE_TIMEOUT = 5.0


class Line(NamedTuple):
    """`seq` counts all lines from 0 since the console was opened; `number` is that in the log file (0: no room there);
    `t` is when its first byte came, ns since 1970; `text` is escaped."""

    seq: int
    number: int
    t: int
    text: str


class ConsoleTimeout(Exception):
    """Something did not appear in time. Not an error of the lab: the caller knows what its absence means."""


class Console:
    """`url`: anything pyserial takes (/dev/pts/N, /dev/serial/by-id/…, rfc2217://host:port, socket://host:port)."""

    def __init__(
        self,
        url: str,
        log: Path,
        *,
        baud: int = 115200,
        max_log: int = MAX_LOG,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.url = url
        self._baud = baud
        self._clock = clock
        self._changed = threading.Condition()
        self._all: deque[Line] = deque(maxlen=KEEP)
        self._marked: deque[Line] = deque(maxlen=KEEP)
        self._count = 0
        self._next = 0  # what wait_for looks at next
        self._partial = bytearray()
        self._partial_t = 0
        self._gone_since: float | None = None
        self._failure: LabError | None = None
        self._stop = threading.Event()
        self._port = self._open_port()
        self._wake_read, self._wake_write = os.pipe()
        try:
            self._log = UartLog(log, max_log)
        except OSError as error:
            self._port.close()
            raise LabError("lab.disk_full", f"{log}: {error.strerror}", "make room or choose another folder") from error
        self._thread = threading.Thread(target=self._read_all, name=f"console {url}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Reads what is there already, ends the thread, closes port and log. LabError lab.disk_full if the log failed
        and nobody was told yet."""
        if self._stop.is_set():
            return
        self._stop.set()
        os.write(self._wake_write, b"x")
        self._thread.join(5.0)
        self._port.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # -- what the bench asks --

    def send(self, data: bytes) -> None:
        """Writes all of `data`. ConsoleTimeout when the device takes nothing for 5 s, LabError when the port is
        gone."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise ConsoleTimeout(f"{self.url}: the device takes no input") from error
        except (serial.SerialException, OSError) as error:
            raise LabError("lab.serial_missing", f"{self.url}: {error}", "is the board still plugged in?") from error

    def wait_for(self, predicate: Callable[[Line], bool], timeout: float, what: str) -> Line:
        """The first line, after the one this returned last, that `predicate` accepts.

        Raises ConsoleTimeout naming `what` and the last line seen, LabError when the port or the log is gone.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self._since(self._all, self._next):
                    self._next = line.seq + 1
                    if predicate(line):
                        return line
                self._check()
                left = deadline - time.monotonic()
                if left <= 0:
                    last = self._all[-1].text[:120] if self._all else "nothing at all"
                    raise ConsoleTimeout(f"no {what} within {timeout:g} s; last on the UART: {last}")
                self._changed.wait(min(left, 1.0))

    def wait_marked(self, since: int, timeout: float) -> list[Line]:
        """Lines with a shim marker and a seq of at least `since`; waits at most `timeout` for the first."""
        with self._changed:
            found = self._since(self._marked, since)
            if not found:
                self._check()
                self._changed.wait(timeout)
                found = self._since(self._marked, since)
            return found

    def tail(self, lines: int = 20) -> list[Line]:
        """The last lines, for a person."""
        with self._changed:
            return list(self._all)[-lines:]

    def note(self, text: str) -> None:
        """A line of ours in the log (a reset, a power cycle)."""
        with self._changed:
            self._logged(lambda: self._log.note(self._clock(), text))

    @property
    def count(self) -> int:
        """How many lines there were so far."""
        with self._changed:
            return self._count

    # -- the reading thread --

    def _read_all(self) -> None:
        while not self._stop.is_set():
            try:
                data = self._read()
            except (serial.SerialException, OSError, TypeError):  # TypeError: pyserial, closed while reading
                data = b""
                self._reopen()
            if data:
                self._take(data, self._clock())
        with contextlib.suppress(serial.SerialException, OSError, TypeError):
            while data := self._read(0.0):
                self._take(data, self._clock())
        with self._changed:
            if self._partial:
                self._add(bytes(self._partial), self._partial_t)
                self._partial.clear()
            self._logged(lambda: self._log.close(self._clock()))
            self._changed.notify_all()

    def _read(self, timeout: float = 1.0) -> bytes:
        """What is there; waits for it. OSError when the port is gone."""
        fd = self._fileno()
        if fd is None:
            # rfc2217: a queue inside pyserial, filled by its own thread.
            self._port.timeout = min(timeout, 0.1)
            return bytes(self._port.read(max(1, self._port.in_waiting)))
        ready, _, _ = select.select([fd, self._wake_read], [], [], timeout)
        if fd not in ready:
            return b""
        data = os.read(fd, READ_SIZE)
        if not data:
            raise OSError("end of file")
        return data

    def _fileno(self) -> int | None:
        try:
            return int(self._port.fileno())
        except (AttributeError, OSError):
            return None

    def _take(self, data: bytes, t: int) -> None:
        with self._changed:
            before = self._count
            if not self._partial:
                self._partial_t = t
            if self._log.full and MARKER not in data and self._skim(data, t):
                return
            self._partial += data
            *lines, rest = bytes(self._partial).split(b"\n")
            for raw in lines:
                self._add(raw, self._partial_t)
                self._partial_t = t
            self._partial[:] = self._cut_long(rest, t)
            self._logged(self._log.flush)
            if self._count != before:
                self._changed.notify_all()

    def _skim(self, data: bytes, t: int) -> bool:
        """A flood after the log is full: counts lines and keeps only the last. Not where a marker could be split."""
        if len(self._partial) > MAX_LINE or MARKER in self._partial or b"\n" not in data:
            return False
        head, _, rest = data.rpartition(b"\n")
        if MARKER in bytes(self._partial[-4:]) + data[:4]:
            return False
        lines = head.count(b"\n")
        self._log.skip(lines, len(self._partial) + len(head))
        self._count += lines
        self._add(head.rpartition(b"\n")[2][-MAX_LINE:], t)
        self._partial[:] = rest
        self._partial_t = t
        self._changed.notify_all()
        return True

    def _cut_long(self, rest: bytes, t: int) -> bytes:
        while len(rest) > MAX_LINE:
            at = rest.rfind(MARKER, MAX_LINE - MARKER_ROOM, MAX_LINE)
            at = at if at > 0 else MAX_LINE
            self._add(rest[:at], self._partial_t)
            self._partial_t = t
            rest = rest[at:]
        return rest

    def _add(self, raw: bytes, t: int) -> None:
        raw = raw.removesuffix(b"\r")
        if len(raw) > MAX_LINE:
            raw = self._cut_long(raw, t)
        marked = MARKER in raw
        text = escape(raw)
        number = 0

        def write() -> None:
            nonlocal number
            number = self._log.line(t, text, marked)

        self._logged(write)
        line = Line(self._count, number, t, text)
        self._count += 1
        self._all.append(line)
        if marked:
            self._marked.append(line)

    def _logged(self, write: Callable[[], None]) -> None:
        """Runs `write`; a full disk is told to whoever waits, once, and reading goes on."""
        try:
            write()
        except OSError as error:
            if self._failure is None:
                self._failure = LabError("lab.disk_full", f"UART log: {error.strerror}", "make room")
        except ValueError:
            pass  # a note after the log was closed

    def _reopen(self) -> None:
        """The port vanished: opens it again as soon as it is back."""
        with self._changed:
            self._gone_since = time.monotonic()
            self._logged(lambda: self._log.note(self._clock(), f"console {self.url} is gone"))
            self._changed.notify_all()
        self._port.close()
        while not self._stop.wait(REOPEN_EVERY):
            with contextlib.suppress(LabError):
                self._port = self._open_port()
                break
        with self._changed:
            if not self._stop.is_set():
                self._gone_since = None
                self._logged(lambda: self._log.note(self._clock(), f"console {self.url} is back"))

    def _open_port(self) -> serial.Serial:
        try:
            port: serial.Serial = serial.serial_for_url(
                self.url, baudrate=self._baud, timeout=1.0, write_timeout=WRITE_TIMEOUT
            )
        except (serial.SerialException, OSError, ValueError) as error:
            hint = "see `hil doctor` for the ports there are"
            raise LabError("lab.serial_missing", f"{self.url}: {error}", hint) from error
        return port

    # -- under the lock --

    def _since(self, lines: deque[Line], seq: int) -> list[Line]:
        if not lines or lines[-1].seq < seq:
            return []
        found: list[Line] = []
        for line in reversed(lines):
            if line.seq < seq:
                break
            found.append(line)
        found.reverse()
        return found

    def _check(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._gone_since is not None and time.monotonic() - self._gone_since > LOST_TIMEOUT:
            raise LabError("lab.serial_missing", f"{self.url} vanished", "is the board still plugged in?")
        if self._stop.is_set():
            raise ConsoleTimeout(f"{self.url} is closed")


@contextlib.contextmanager
def console(url: str, log: Path, *, baud: int = 115200) -> Iterator[Console]:
    """An open `Console` for the length of a with-block."""
    with Console(url, log, baud=baud) as opened:
        yield opened
