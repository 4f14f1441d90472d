"""A device's UART through pyserial: read without a gap from before the reset on, timestamped, logged, bounded.

A port that vanishes (a probe enumerates again after a flash, an exporter restarts) is opened again as soon as it is
back, under whatever name; the log says from when to when nothing could be read.

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

from harness.device import ports
from harness.device.uartlog import MARKER, MAX_LOG, UartLog, escape
from harness.errors import LabError

MAX_LINE = 4096  # bytes; longer ones are cut in two
KEEP = 5000  # lines in memory, of all and of the shim's
MARKER_ROOM = 240  # a shim line is at most so long: a cut leaves it whole
READ_SIZE = 1 << 16
REOPEN_EVERY = 0.1  # seconds between two tries to open a port that vanished
REOPEN_MOST = 1.0  # the same for one that vanishes again and again
LOST_TIMEOUT = 10.0  # seconds a port may be away (USB enumerates again after a flash) before it is an error
STEADY = 1.0  # seconds a port must stay before it counts as back
MAX_GAPS = 1000  # gaps told in one log


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
    """`url`: a path or URL as in harness/device/ports.py. `lost_timeout`: seconds a port may be away before whoever
    waits is told (LabError lab.serial_missing)."""

    def __init__(
        self,
        url: str,
        log: Path,
        *,
        baud: int = 115200,
        max_log: int = MAX_LOG,
        lost_timeout: float = LOST_TIMEOUT,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.url = url
        self._lost_timeout = lost_timeout
        self._baud = baud
        self._clock = clock
        self._changed = threading.Condition()
        self._all: deque[Line] = deque(maxlen=KEEP)
        self._marked: deque[Line] = deque(maxlen=KEEP)
        self._count = 0
        self._next = 0  # what wait_for looks at next
        self._partial = bytearray()
        self._partial_t = 0
        self._away = False  # no port to read from or write to just now
        self._gone_since: float | None = None  # since when it has not been steady
        self._gaps = 0
        self._failure: LabError | None = None
        self._stop = threading.Event()
        self._port = ports.open_port(url, baud)
        self._opened = time.monotonic()
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
        self._thread.join(10.0)  # an opening of the port under way takes 8 s at most
        with contextlib.suppress(serial.SerialException, OSError):
            self._port.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # -- what the bench asks --

    def send(self, data: bytes) -> None:
        """Writes all of `data`; waits for a port that is away. ConsoleTimeout when the device takes nothing for 5 s,
        LabError when the port stays away."""
        deadline = time.monotonic() + self._lost_timeout
        with self._changed:
            while self._away:
                self._check()
                if time.monotonic() >= deadline:
                    raise self._vanished()
                self._changed.wait(REOPEN_EVERY)
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
        return self._wait_for_new(self._marked, since, timeout)

    def wait_lines(self, since: int, timeout: float) -> list[Line]:
        """Lines with a seq of at least `since` that are still in memory; waits at most `timeout` for the first.
        LabError when the port or the log is gone."""
        return self._wait_for_new(self._all, since, timeout)

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
            if self._gone_since is not None and time.monotonic() - self._opened > STEADY:
                self._gone_since = None
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
            # rfc2217: a queue inside pyserial, filled by its own thread; waits READ_TIMEOUT of ports.py.
            if timeout == 0.0 and not self._port.in_waiting:
                return b""
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
        """The port vanished: opens it again as soon as it is back. A line cut by the gap stays cut."""
        now = time.monotonic()
        pause = REOPEN_EVERY if now - self._opened > STEADY else REOPEN_MOST
        if rest := ports.leftover(self._port):
            self._take(rest, self._clock())
        with self._changed:
            self._away = True
            if self._gone_since is None:
                self._gone_since = now
            if self._partial:
                self._add(bytes(self._partial), self._partial_t)
                self._partial.clear()
            self._gap(f"console {self.url} is gone")
            self._changed.notify_all()
        with contextlib.suppress(serial.SerialException, OSError):
            self._port.close()
        while not self._stop.wait(pause):
            with contextlib.suppress(LabError):
                self._port = ports.open_port(self.url, self._baud, keep=True)
                break
            pause = REOPEN_EVERY
        with self._changed:
            self._opened = time.monotonic()
            self._away = self._stop.is_set()
            if not self._away:
                where = f" as {self._port.port}" if self.url.startswith("usb:") else ""
                seconds = self._opened - now
                self._gap(f"console {self.url} is back{where}; nothing was read for {seconds:.1f} s")
            self._changed.notify_all()

    def _gap(self, text: str) -> None:
        """A note about a gap. A port that comes and goes for ever does not fill the disk."""
        self._gaps += 1
        if self._gaps <= MAX_GAPS:
            more = "; further gaps are not told" if self._gaps == MAX_GAPS else ""
            self._logged(lambda: self._log.note(self._clock(), text + more))
            self._logged(self._log.flush)

    def _wait_for_new(self, lines: deque[Line], since: int, timeout: float) -> list[Line]:
        with self._changed:
            found = self._since(lines, since)
            if not found:
                self._check()
                self._changed.wait(timeout)
                found = self._since(lines, since)
            return found

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
        bound = self._lost_timeout + (0.0 if self._away else 3 * STEADY)
        if self._gone_since is not None and time.monotonic() - self._gone_since > bound:
            raise self._vanished()
        if self._stop.is_set():
            raise ConsoleTimeout(f"{self.url} is closed")

    def _vanished(self) -> LabError:
        how = f"gone for {self._lost_timeout:g} s" if self._away else "comes and goes"
        return LabError("lab.serial_missing", f"{self.url}: {how}", "is the board still plugged in and powered?")


@contextlib.contextmanager
def console(url: str, log: Path, *, baud: int = 115200) -> Iterator[Console]:
    """An open `Console` for the length of a with-block."""
    with Console(url, log, baud=baud) as opened:
        yield opened
