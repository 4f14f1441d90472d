"""A live capture by hil-capture: complete from its start to its stop (harness/capture/capture.h says how)."""

from __future__ import annotations

import contextlib
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.errors import LabError
from harness.lab import process

READY_TIMEOUT = 10.0  # seconds; mapping the ring takes 15 ms on a quiet machine
DONE_TIMEOUT = 15.0  # seconds; hil-capture bounds its own draining at 5
EXIT_DISK_FULL = 3

_ending: list[subprocess.Popen[bytes]] = []


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What hil-capture says at its end: packets in the file, packets the kernel had no room for."""

    packets: int
    dropped: int


class RunningCapture:
    """A capture that is live. Made by `capture`."""

    def __init__(self, proc: subprocess.Popen[bytes], interface: str, path: Path) -> None:
        self.interface = interface
        self.path = path
        self._proc = proc
        self._counts: Counts | None = None

    def stop(self) -> Counts:
        """Ends the capture; the file then holds every packet sent before this call. May be called again.

        Raises LabError lab.capture_failed when it died or packets were dropped, lab.disk_full when the file could
        not be written. The file stays, and can be read, in each case.
        """
        if self._counts is None:
            assert self._proc.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._proc.stdin.close()
            words = self._await("DONE", DONE_TIMEOUT)
            fields = dict(word.split("=", 1) for word in words[1:])
            self._counts = Counts(packets=int(fields["packets"]), dropped=int(fields["dropped"]))
            _reap_later(self._proc)
        if self._counts.dropped:
            raise LabError(
                "lab.capture_failed",
                f"capture on {self.interface} lost {self._counts.dropped} of "
                f"{self._counts.packets + self._counts.dropped} packets",
                "the machine is overloaded: run fewer boards at once (-n)",
            )
        return self._counts

    def abandon(self) -> None:
        """Ends the process, whatever its state; for the way out of an error."""
        if self._counts is None:
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
            raise LabError("lab.capture_failed", f"capture on {self.interface}: no {word} within {timeout:g} s")
        assert self._proc.stderr is not None
        said = self._proc.stderr.read(4096).decode(errors="replace").strip()
        status = process.stop(self._proc)
        said = said or f"hil-capture ended with status {status}"
        if status == EXIT_DISK_FULL:
            raise LabError("lab.disk_full", said, f"make room for {self.path.parent}")
        raise LabError("lab.capture_failed", said, "run `hil doctor`")


@contextlib.contextmanager
def capture(interface: str, bpf: str, out: Path, comment: str) -> Iterator[RunningCapture]:
    """Captures `interface` through the libpcap filter `bpf` into the pcapng file `out`; live when this returns.

    The end of the block stops it, if `stop` was not called. `comment` names the run in the file.
    """
    for proc in _ending[:]:
        if proc.poll() is not None:
            _ending.remove(proc)
    argv: list[str | Path] = [process.program("hil-capture"), "-i", interface, "-o", out, "-f", bpf, "-c", comment]
    pipe = subprocess.PIPE
    live = RunningCapture(process.spawn(argv, stdin=pipe, stdout=pipe, stderr=pipe), interface, out)
    try:
        live.await_ready()
        yield live
        live.stop()
    finally:
        live.abandon()


def _reap_later(proc: subprocess.Popen[bytes]) -> None:
    """After DONE the file is closed; nobody needs to wait the 25 ms in which the kernel takes the ring back."""
    for pipe in (proc.stdout, proc.stderr):
        if pipe is not None:
            pipe.close()
    if proc.poll() is None:
        _ending.append(proc)


def read_line(proc: subprocess.Popen[bytes], timeout: float) -> str | None:
    """One line of stdout, "" at its end, None after `timeout` seconds."""
    assert proc.stdout is not None
    fd = proc.stdout.fileno()
    deadline = time.monotonic() + timeout
    text = b""
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            return None
        chunk = proc.stdout.read1(1)  # type: ignore[attr-defined]
        if not chunk:
            break
        text += chunk
    return str(text.decode(errors="replace"))
