"""The network of a device that has only a serial line: PPP or SLIP over it, ended by slirp, captured by hil-uplink
(harness/uplink/uplink.h says how). One uplink serves one scenario; `with uplink(…)` is to it what `with capture(…)` is
to a board with an interface of its own.

    with uplink(board_dir / "uplink", workdir / "capture.pcapng", comment="T12-01") as link:
        ...                     # the device reaches our loopback at link.host_address, and is link.device_address
        link.stop()             # the file holds every frame that passed before this call
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import LabError, UsageError
from harness.evidence.capture import read_line
from harness.lab import process

Mode = Literal["ppp", "slip"]

SLIRP = "slirp-fullbolt"
HOST_ADDRESS = "10.0.2.2"  # slirp's name for this host's loopback
DEVICE_ADDRESS = "10.0.2.15"  # what slirp tells its one client by PPP, whatever its own address
READY_TIMEOUT = 10.0  # seconds; starting slirp takes 5 ms on a quiet machine
DONE_TIMEOUT = 10.0  # seconds; hil-uplink bounds its own draining at 1, ending slirp at 1
EXIT_DISK_FULL = 3
SAID_MAX = 500  # characters of what it said that a message repeats


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What hil-uplink says at its end: frames in the file; those with a wrong check sequence, cut short or no frames at
    all; packets for slirp's own services, not passed on; how often the link was made anew after slirp had ended."""

    packets: int
    damaged: int
    refused: int
    restarts: int


class Uplink:
    """A link that is live. Made by `uplink`."""

    def __init__(self, proc: subprocess.Popen[bytes], serial: str, path: Path, host_address: str) -> None:
        self.serial = serial
        self.path = path
        self.host_address = host_address
        self.device_address = DEVICE_ADDRESS
        self.pid = proc.pid
        self._proc = proc
        self._counts: Counts | None = None
        self._failure: LabError | None = None

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, well or badly."""
        return self._counts is not None or self._failure is not None

    def alive(self) -> bool:
        return not self.stopped and self._proc.poll() is None

    def stop(self) -> Counts:
        """Ends the link; the file then holds every frame that passed before. May be called again.

        LabError lab.serial_missing when the serial line ended meanwhile, lab.disk_full when the file could not be
        written, lab.capture_failed for the rest. The file stays, and can be read, in each case.
        """
        if self._failure is not None:
            raise self._failure
        if self._counts is None:
            try:
                self._counts = self._end()
            except LabError as error:
                self._failure = error
                raise
        return self._counts

    def _end(self) -> Counts:
        assert self._proc.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._proc.stdin.close()
        words = self._await("DONE", DONE_TIMEOUT)
        said = self._said()
        status = process.stop(self._proc)
        if status != 0:
            raise self._failed(said, status)
        fields = dict(word.split("=", 1) for word in words[1:])
        return Counts(**{name: int(fields[name]) for name in Counts.__struct_fields__})

    def abandon(self) -> None:
        """Ends the process, whatever its state; for the way out of an error."""
        if not self.stopped:
            process.stop(self._proc)

    def await_ready(self) -> None:
        self._await("READY", READY_TIMEOUT)

    def _await(self, word: str, timeout: float) -> list[str]:
        """The next line of stdout, which must start with `word`."""
        line = read_line(self._proc, timeout)
        if line is not None and line.split()[:1] == [word]:
            return line.split()
        if line is None:
            process.stop(self._proc)
            raise LabError("lab.capture_failed", f"uplink on {self.serial}: no {word} within {timeout:g} s")
        said = self._said()
        raise self._failed(said, process.stop(self._proc))

    def _said(self) -> str:
        """Its stderr up to its end; it is about to end, or has."""
        assert self._proc.stderr is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._proc.wait(DONE_TIMEOUT)
        if self._proc.poll() is None:
            return ""
        return self._proc.stderr.read(4096).decode(errors="replace").strip()[:SAID_MAX]

    def _failed(self, said: str, status: int) -> LabError:
        said = said or f"hil-uplink ended with status {status}"
        if status == EXIT_DISK_FULL:
            return LabError("lab.disk_full", said, f"make room for {self.path.parent}")
        if self.serial in said:
            return LabError("lab.serial_missing", said, "is the board's second serial line there and nobody else's?")
        return LabError("lab.capture_failed", said, "run `hil doctor`")


@contextlib.contextmanager
def uplink(
    serial: str | Path, out: Path, *, comment: str = "", mode: Mode = "ppp", baud: int = 115200,
    host_address: str = HOST_ADDRESS, slirp: str = SLIRP,
) -> Iterator[Uplink]:
    """Carries the network of the device at `serial` (tty, pty or Unix socket) and captures it into the pcapng file
    `out`; live when this returns, so start or reset the device inside the block. One at a time on a line.

    The end of the block stops it, if `stop` was not called. LabError as `Uplink.stop`; lab.tool_missing without slirp.
    """  # fmt: skip
    if shutil.which(slirp) is None:
        raise LabError("lab.tool_missing", f"{slirp} not found", "apt-get install slirp")
    if not host_address.endswith(".2"):
        raise UsageError(f"`{host_address}` cannot be slirp's host address", "an address that ends in .2, as 10.0.2.2")
    argv: list[str | Path] = [
        process.program("hil-uplink"), "--serial", serial, "--mode", mode, "--out", out, "--slirp", slirp,
        "--host-address", host_address, "--baud", str(baud), "--comment", comment,
    ]  # fmt: skip
    pipe = subprocess.PIPE
    live = Uplink(process.spawn(argv, stdin=pipe, stdout=pipe, stderr=pipe), str(serial), out, host_address)
    try:
        live.await_ready()
        yield live
        if not live.stopped:
            live.stop()
    finally:
        live.abandon()
