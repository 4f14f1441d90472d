"""A virtual board for a test: hil-vboard in a folder of its own, its control lines, and the stock OpenOCD beside it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.lab import process

PORTS = ("gdb_port disabled", "telnet_port disabled", "tcl_port disabled")
HERE = Path(__file__).parent
F4 = ("-f", "target/stm32f4x.cfg")


class Ran(NamedTuple):
    status: int  # as a shell gives it: 128 + signal
    text: str
    seconds: float

    def in_order(self, *lines: str) -> None:
        """Each of `lines` stands in the output, after the one before."""
        at = 0
        for line in lines:
            found = self.text.find(line, at)
            assert found >= 0, f"{line!r} is not there, or too early, in:\n{self.text[-4000:]}"
            at = found + len(line)


class VirtualBoard:
    """A running hil-vboard. `folder` is short: a unix socket's path has 107 bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jtag = folder / "jtag.sock"
        self._control = socket.socket(socket.AF_UNIX)
        self._control.settimeout(10.0)
        self._control.connect(str(folder / "control.sock"))
        self._lines = self._control.makefile("rb")

    def close(self) -> None:
        self._lines.close()
        self._control.close()

    def ask(self, line: str) -> str:
        """The answer to a control line, without its OK; AssertionError on ERR."""
        self._control.sendall(line.encode() + b"\n")
        answer = self._lines.readline().decode().rstrip("\n")
        verdict, _, rest = answer.partition(" ")
        assert verdict == "OK", answer
        return rest

    def refused(self, line: str | bytes) -> str:
        self._control.sendall((line.encode() if isinstance(line, str) else line) + b"\n")
        answer = self._lines.readline().decode().rstrip("\n")
        assert answer.startswith("ERR "), answer
        return answer

    def listing(self, line: str) -> list[str]:
        return [self._lines.readline().decode().rstrip("\n") for _ in range(int(self.ask(line)))]

    def status(self) -> dict[str, str]:
        words, _, note = self.ask("status").partition(' note="')
        return dict(word.split("=", 1) for word in words.split()) | {"note": note.rstrip('"')}

    def wait(self, key: str, value: str, seconds: float = 10.0) -> dict[str, str]:
        """Until `status` says key=value."""
        until = time.monotonic() + seconds
        while (status := self.status()).get(key) != value:
            assert time.monotonic() < until, status
            time.sleep(0.02)
        return status

    def openocd(
        self, *commands: str, target: Sequence[str] = F4, seconds: float = 40.0, before: Sequence[str] = ("init",),
        program: Sequence[str] = ("openocd",),
    ) -> Ran:  # fmt: skip
        """Runs the stock OpenOCD: its configuration, `before`, `commands`. Killed after `seconds`: status 137."""
        limit = ["timeout", "-s", "KILL", f"{seconds}"]
        argv = [*limit, *program, *self.arguments(*commands, target=target, before=before)]
        began = time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=seconds + 20, check=False,
                              cwd=self.folder, env=os.environ | {"HOME": str(self.folder)})  # fmt: skip
        status = 128 - done.returncode if done.returncode < 0 else done.returncode
        return Ran(status, done.stdout + done.stderr, time.monotonic() - began)

    def arguments(self, *commands: str, target: Sequence[str] = F4, before: Sequence[str] = ("init",)) -> list[str]:
        """OpenOCD's, for this board's probe."""
        argv: list[str] = []
        adapter = ("adapter driver remote_bitbang", f"remote_bitbang host {self.jtag}", "remote_bitbang port 0")
        for word in (*adapter, *PORTS):
            argv += ["-c", word]
        argv += list(target)
        for word in (*before, *commands):
            argv += ["-c", word]
        return argv

    def program(self, image: Path, seconds: float = 40.0, target: Sequence[str] = F4) -> Ran:
        """The separate steps, as the product's flasher runs them."""
        place = f"{image} 0x08000000 bin"
        return self.openocd("reset init", f"flash write_image erase {place}", f"verify_image {place}",
                            "echo {** Verified OK **}", "reset run", "shutdown",
                            seconds=seconds, target=target)  # fmt: skip


@contextlib.contextmanager
def virtual_board(*options: str) -> Iterator[VirtualBoard]:
    with tempfile.TemporaryDirectory(prefix="hil-vb-") as name:
        argv: list[str | Path] = [process.program("hil-vboard"), "--dir", name, *options]
        with process.running(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None) as child:
            assert child.stdout is not None
            ready, _, _ = select.select([child.stdout], [], [], 10.0)
            assert ready and child.stdout.readline() == b"READY\n"
            with contextlib.closing(VirtualBoard(Path(name))) as board:
                yield board


def firmware(folder: Path, banner: str = "one", padding: int = 0) -> Path:
    """The banner firmware as a raw image. `padding`: bytes that make it longer."""
    elf, raw = folder / f"{banner}.elf", folder / f"{banner}.bin"
    flags = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-nostdlib", "-ffreestanding", f'-DBANNER="{banner}"']
    flags += [f"-DPADDING={padding}"] if padding else []
    subprocess.run(["arm-none-eabi-gcc", *flags, "-T", HERE / "banner.ld", HERE / "banner.c", "-o", elf], check=True,
                   timeout=60)  # fmt: skip
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, raw], check=True, timeout=60)
    return raw


class Port:
    """A pty of the board, read until a text is there."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._seen = b""

    def close(self) -> None:
        os.close(self._fd)

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def wait(self, text: bytes, seconds: float = 10.0) -> bytes:
        """What came until `text` did, with it; the rest stays for the next call."""
        until = time.monotonic() + seconds
        while text not in self._seen:
            left = until - time.monotonic()
            assert left > 0, self._seen[-500:]
            if select.select([self._fd], [], [], left)[0]:
                self._seen += os.read(self._fd, 65536)
        head, _, self._seen = self._seen.partition(text)
        return head + text

    def quiet(self, seconds: float) -> bytes:
        """What comes within `seconds`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                self._seen += os.read(self._fd, 65536)
        seen, self._seen = self._seen, b""
        return seen
