"""The firmware as a Linux process that has no sockets: its network is PPP on a second pty, which hil-uplink ends with
slirp and captures on the way, as for a board with a second UART (docs/describe-a-board.md).
"""

from __future__ import annotations

import contextlib
import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path

from harness.device.native import NativeBoard
from harness.errors import LabError
from harness.evidence import uplink
from harness.model import Image
from harness.target import Target

CAPTURE = "capture.pcapng"


class NativePppBoard(NativeBoard):
    """A `Board`; made by `native_ppp_board`. Its packets are in the uplink's capture."""

    capture_interface: str | None = None
    device_address = ""

    def __init__(self, image: Path, workdir: Path) -> None:
        super().__init__(image, workdir, uplink.HOST_ADDRESS)
        self._capture = workdir / CAPTURE
        self._line, self._end_of_line = pty.openpty()
        tty.setraw(self._end_of_line)
        self.more = (("--uplink-fd", self._line),)
        self._stack = contextlib.ExitStack()
        self._link: uplink.Uplink | None = None

    def start(self) -> None:
        """The link first: no packet is missed."""
        if self._link is None:
            self._link = self._stack.enter_context(uplink.uplink(os.ttyname(self._end_of_line), self._capture))
        super().start()

    def collect_capture(self, out: Path) -> None:
        """The link ends; its file is complete. LabError when the link broke meanwhile."""
        if self._link is None:
            raise LabError("lab.capture_failed", "the process was never started, so it had no link", "see uart.log")
        self._link.stop()
        if out != self._capture:
            self._capture.replace(out)

    def close(self) -> None:
        super().close()
        self._stack.close()
        for fd in (self._line, self._end_of_line):
            with contextlib.suppress(OSError):
                os.close(fd)


@contextlib.contextmanager
def native_ppp_board(target: Target, image: Image, workdir: Path) -> Iterator[NativePppBoard]:
    """As native_board. LabError when there is no image, or no slirp."""
    board = NativePppBoard(image.path, workdir)
    try:
        yield board
    finally:
        board.close()
