"""hil-ntp as a context manager: an NTP server on the board's wire whose behaviour changes while it runs."""

from __future__ import annotations

import contextlib
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from harness.errors import LabError, UsageError
from harness.lab import process

ANSWER_TIMEOUT = 5.0
LOG_READ = 16 << 20  # bytes of a log that are looked at


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One datagram hil-ntp got. `t` and `said` in Unix seconds; `result` as in hil_ntp.h."""

    t: float
    from_: str = msgspec.field(name="from")
    size: int
    version: int
    result: str
    said: float


class RunningNtp:
    """A running server. `behave` returns when the new behaviour is in force."""

    def __init__(self, proc: subprocess.Popen[bytes], log: Path) -> None:
        self._proc = proc
        self.log = log
        self.port = 0

    def behave(self, text: str) -> None:
        """UsageError when `text` is no behaviour; the one before then stays. LabError when the server is gone."""
        assert self._proc.stdin is not None
        try:
            self._proc.stdin.write(" ".join(text.split()).encode() + b"\n")
            self._proc.stdin.flush()
        except OSError as error:
            raise _gone(self._proc) from error
        words = self.answer()
        if words[:1] != ["OK"]:
            raise UsageError(f"ntp `{text}`: {' '.join(words[1:])}", "see harness/ntp/include/hil_ntp.h")

    def answer(self) -> list[str]:
        line = _read_line(self._proc)
        if not line:
            raise _gone(self._proc)
        return line.split()

    def queries(self) -> tuple[Query, ...]:
        """What was asked so far, from the log."""
        with self.log.open("rb") as file:
            lines = file.read(LOG_READ).split(b"\n")[:-1]
        return tuple(msgspec.json.decode(line, type=Query) for line in lines)

    @property
    def alive(self) -> bool:
        return self._proc.poll() is None


@contextlib.contextmanager
def ntp(
    address: str, workdir: Path, *, port: int = 123, interface: str = "", behave: str = "honest",
    prefix: Sequence[str] = (),
) -> Iterator[RunningNtp]:  # fmt: skip
    """An NTP server at `address`; it answers when this returns. `port` 0: any free one (`.port`)."""
    log = workdir / "ntp.log"
    argv: list[str | Path] = [*prefix, process.program("hil-ntp"), "--address", address, "--port", str(port),
                              "--behave", behave, "--log", log]  # fmt: skip
    argv += ["--interface", interface] if interface else []
    pipe = subprocess.PIPE
    with process.running(argv, stdin=pipe, stdout=pipe, stderr=pipe) as proc:
        server = RunningNtp(proc, log)
        words = server.answer()
        if words[:1] != ["READY"] or len(words) != 2:
            raise _gone(proc)
        server.port = int(words[1])
        yield server


def _gone(proc: subprocess.Popen[bytes]) -> LabError | UsageError:
    assert proc.stderr is not None
    proc.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        proc.wait(process.TERM_TIMEOUT)
    said = " ".join(proc.stderr.read(2048).decode(errors="replace").split())
    if proc.returncode == 2:
        return UsageError(said or "hil-ntp: wrong arguments", "see harness/ntp/include/hil_ntp.h")
    return LabError("lab.broker_failed", said or "hil-ntp ended", "is another NTP server on that address (ss -ulpn)?")


def _read_line(proc: subprocess.Popen[bytes]) -> str:
    """One line of stdout; "" at its end or after ANSWER_TIMEOUT."""
    assert proc.stdout is not None
    text, until = b"", time.monotonic() + ANSWER_TIMEOUT
    while not text.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([proc.stdout], [], [], left)[0]:
            return ""
        byte: bytes = proc.stdout.read1(1)  # type: ignore[attr-defined]
        if not byte:
            return ""
        text += byte
    return text.decode(errors="replace")
