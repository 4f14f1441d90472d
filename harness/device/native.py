"""The firmware as a Linux process: UART on a pty of ours, network the host's (or the sandbox's) loopback.

The pty is made and put into raw mode before the process exists, and both its ends stay open here: nothing written early
is lost, and the console survives resets and the death of the firmware.
"""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from harness.errors import LabError
from harness.lab.process import spawn, stop
from harness.model import Image
from harness.target import Target

LOOPBACK = "127.0.0.1"
STDERR_KEPT = 2000  # characters of stderr in the last words
END_TIMEOUT = 1.0  # s for SIGTERM; the firmware holds nothing that needs more


class NativeBoard:
    """A `Board`; made by `native_board`."""

    capture_interface: str | None = "lo"
    device_address = ""
    listen_address = LOOPBACK
    baud = 115200  # a pty has none
    more: tuple[tuple[str, int], ...] = ()  # arguments whose value is a descriptor the process inherits

    def __init__(self, image: Path, workdir: Path, broker_address: str = LOOPBACK) -> None:
        if not os.access(image, os.X_OK):
            raise LabError("lab.build_failed", f"{image} is not there or not executable", "run `hil build`")
        self.broker_address = broker_address
        self._image = image
        self._log = workdir / "firmware.stderr"
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.console_path = os.ttyname(self._slave)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Spawns the process. Open the console first."""
        self._end()
        termios.tcflush(self._slave, termios.TCOFLUSH)  # commands the last process did not read
        try:
            with self._log.open("ab") as log:
                given = (("--uart-fd", self._master), *self.more)
                self._process = spawn(
                    [self._image, *(str(word) for pair in given for word in pair)],
                    stdout=log, stderr=log, pass_fds=tuple(fd for _, fd in given),
                )  # fmt: skip
        except OSError as error:
            raise LabError("lab.disk_full", f"{self._log}: {error.strerror}", "make room") from error

    def reset(self) -> None:
        """Ends the process and starts it again (boot says `reset=power`)."""
        self.start()

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        if self._process is None:
            return "never started"
        status = self._process.poll()
        if status is None:
            return ""
        if status < 0:
            with contextlib.suppress(ValueError):
                return self._with_stderr(f"the firmware process was killed by {signal.Signals(-status).name}")
        return self._with_stderr(f"the firmware process ended with status {status}")

    def collect_capture(self, out: Path) -> None:
        """Nothing: its packets are on `capture_interface`."""

    def close(self) -> None:
        self._end()
        for fd in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(fd)

    def _end(self) -> None:
        if self._process is not None:
            stop(self._process, term_timeout=END_TIMEOUT)
            self._process = None

    def _with_stderr(self, text: str) -> str:
        with contextlib.suppress(OSError):
            said = self._log.read_text(errors="replace")[-STDERR_KEPT:].strip()
            if said:
                return f"{text}: {said}"
        return text


@contextlib.contextmanager
def native_board(target: Target, image: Image, workdir: Path) -> Iterator[NativeBoard]:
    """A board that waits for `start`; its process and pty end with the block. LabError when there is no image."""
    board = NativeBoard(image.path, workdir, target.network.broker_address or LOOPBACK)
    try:
        yield board
    finally:
        board.close()
