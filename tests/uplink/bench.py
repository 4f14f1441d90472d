"""The f405 firmware under a plain QEMU with two ptys: console and uplink, nothing of the virtual board."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.device.console import Console
from harness.device.shim import Shim
from harness.device.shimline import ShimEvent
from harness.lab.process import spawn, stop

PATIENCE_S = 20.0  # the tail on a loaded host reached seconds


@dataclass
class Line:
    """A pty whose master is one of QEMU's UARTs and whose slave stays while QEMU comes and goes."""

    master: int = field(init=False)
    slave: int = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        # QEMU switches output processing on for a standard input; with no flag to carry out it changes no byte.
        mode = termios.tcgetattr(self.slave)
        mode[1] = 0
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)
        self.path = os.ttyname(self.slave)

    def close(self) -> None:
        for fd in (self.master, self.slave):
            os.close(fd)


class Bench:
    """A board that can be powered on and off; its console is open all the time."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._log = folder / "qemu.log"
        self._console_line, self.uplink_line = Line(), Line()
        self._process: subprocess.Popen[bytes] | None = None
        self._console = Console(self._console_line.path, folder / "uart.log")
        self.shim = Shim(self._console, alive=self.alive, last_words=lambda: self._log.read_text()[:500])

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def power_on(self) -> None:
        fd = self.uplink_line.master
        argv = [
            "qemu-system-arm", "-M", "netduinoplus2", "-kernel", str(self._image), "-display", "none", "-nodefaults",
            "-monitor", "none", "-accel", "tcg,tb-size=32",
            "-chardev", "stdio,id=uart0,signal=off", "-serial", "chardev:uart0",
            "-add-fd", f"fd={fd},set=1",
            "-chardev", "serial,id=uart1,path=/dev/fdset/1", "-serial", "chardev:uart1",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            master = self._console_line.master
            self._process = spawn(argv, stdin=master, stdout=master, stderr=log, pass_fds=(fd,))

    def power_off(self) -> None:
        if self._process is not None:
            self._process.kill()
            stop(self._process)
            self._process = None

    def wait_boot(self) -> ShimEvent:
        return self.shim.wait_ready(PATIENCE_S)

    def named(self, name: str, **fields: str) -> list[ShimEvent]:
        """Every event so far of that name with those fields."""
        return [event for event in self.shim.events if event.name == name and fields.items() <= event.fields.items()]

    def run(self) -> ShimEvent:
        self.shim.run()
        return self.shim.wait_event(("done",), 60.0)

    def close(self) -> None:
        self.power_off()
        with contextlib.suppress(OSError):
            self._console.close()
        self._console_line.close()
        self.uplink_line.close()


@contextlib.contextmanager
def bench(image: Path, folder: Path) -> Iterator[Bench]:
    made = Bench(image, folder)
    try:
        yield made
    finally:
        made.close()
