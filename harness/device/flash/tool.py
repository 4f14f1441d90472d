"""One run of a flashing tool: a process in phases, each with a time-out; SIGTERM, then SIGKILL; every line in the log.

A phase begins with a line of the tool's output that holds its marker. A tool is ended when its phase's time is up;
OpenOCD ignores SIGTERM while it waits for a probe, so that is the first attempt only. What a tool prints is hostile (a
probe's serial number, a device's name): lines are cut, escaped and counted.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.device.flash.base import Rig, Say
from harness.errors import LabError
from harness.lab.process import spawn

TICK = 0.5  # s between two reports of progress
TERM_S = 2.0  # s a tool has to end after SIGTERM
KILL_S = 5.0  # s the kernel has to end it after SIGKILL
MAX_LINE = 500  # characters of one line
MAX_COMMAND = 8000  # characters of the command in the log, so that a person can run it again
HEAD, TAIL = 400, 1600  # lines kept of one run
MAX_BYTES = 8 << 20  # of output; a tool that says more is ended
UPLOAD_S = 60.0
MAX_LOG = 512 << 10  # bytes of one run in the log


@dataclass(frozen=True)
class Phase:
    """`marker`: what the line that begins it holds ("" for the first). `doing`: for people."""

    name: str
    seconds: float
    doing: str
    marker: str = ""


@dataclass(frozen=True)
class Outcome:
    """`status`: the exit status; 128 + n when signal n ended it. `timed_out`: the phase whose time was up, else "".
    `phases`: those begun. `flooded`: it was ended because it did not stop talking. `unread`: lines between the first
    and the last ones that are in none of `lines`."""

    status: int
    lines: tuple[str, ...]
    phases: tuple[str, ...]
    timed_out: str = ""
    flooded: bool = False
    unread: int = 0
    seconds: float = 0.0

    def began(self, phase: str) -> bool:
        return phase in self.phases


def run(
    argv: Sequence[str | Path],
    phases: Sequence[Phase],
    log: Path,
    *,
    total: float,
    say: Say,
    feed: Path | None = None,
    term_s: float = TERM_S,
    heard: Callable[[str], str | None] = lambda line: line,
) -> Outcome:
    """Runs `argv` to its end or to the end of its time: `total` seconds in all. `feed`: a file for its standard input.
    `heard`: what a line says to who judges the run; None: nothing, it is for the log alone.

    Raises LabError lab.tool_missing when it cannot be started, lab.disk_full when the log cannot be written.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file, contextlib.ExitStack() as stack:
            stdin: int | IO[bytes] = subprocess.DEVNULL
            if feed is not None:
                stdin = stack.enter_context(feed.open("rb"))
            book = _Book(file, heard)
            book.note(plain(f"$ {shlex.join(os.fspath(word) for word in argv)}", MAX_COMMAND))
            proc = spawn(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, tree=True)
            try:
                outcome = _attend(proc, phases, book, total, say, term_s)
            finally:
                _end(proc, term_s)
            book.note(f"# exit status {outcome.status}, {outcome.seconds:.1f} s"
                      + (f", ended in phase {outcome.timed_out}" if outcome.timed_out else ""))  # fmt: skip
            return outcome
    except OSError as error:
        raise LabError("lab.disk_full", f"{log}: {error.strerror or error}", "make room, or it writable") from error


def on_host(prefix: Sequence[str], words: Sequence[str | Path], seconds: float) -> list[str]:
    """`words` where the probe is. Through a prefix the tool is bounded there too: our signal ends the near end only."""
    plain = [os.fspath(word) for word in words]
    if not prefix:
        return plain
    far = ["timeout", "--kill-after=3", str(int(seconds) + 1), *plain]
    if Path(prefix[0]).name in ("ssh", "dbclient"):
        return [*prefix, shlex.join(far)]  # ssh joins its words with spaces for the far shell
    return [*prefix, *far]


def ask(rig: Rig, script: str, seconds: float, feed: Path | None = None) -> str:
    """What a few lines of shell print on the lab host. LabError lab.probe_missing when it cannot be reached."""
    argv = on_host(rig.prefix, ("sh", "-c", script), seconds)
    with contextlib.ExitStack() as stack:
        stdin = subprocess.DEVNULL if feed is None else stack.enter_context(feed.open("rb"))
        proc = spawn(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, tree=True)
        try:
            out, err = proc.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            out, err = b"", b"no answer"
        finally:
            _end(proc, TERM_S)
    if proc.returncode != 0:
        said = plain(err.decode(errors="replace").strip().rpartition("\n")[2]) or f"status {proc.returncode}"
        raise LabError("lab.probe_missing", f"{rig.board}: lab host `{shlex.join(rig.prefix)}`: {said[:200]}",
                       "is it up, and does the same command work in a shell?")  # fmt: skip
    return out[:MAX_BYTES].decode(errors="replace")


@contextlib.contextmanager
def at_host(rig: Rig, file: Path) -> Iterator[str]:
    """`file`'s path where the tool runs; a lab host gets a copy, which goes away again."""
    if not rig.prefix:
        yield str(file.resolve())
        return
    make = f'umask 077; f=$(mktemp "${{TMPDIR:-/tmp}}/hil-XXXXXXXX{_suffix(file)}") && cat >"$f" && echo "$f"'
    path = ask(rig, make, UPLOAD_S, feed=file).strip()
    if not re.fullmatch(r"/[A-Za-z0-9._/+-]+", path):
        raise LabError("lab.probe_missing", f"{rig.board}: the lab host took no copy of the image", "is it full?")
    try:
        yield path
    finally:
        ask(rig, f"rm -f {shlex.quote(path)}", UPLOAD_S)


def _suffix(file: Path) -> str:
    return file.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", file.suffix) else ""


def plain(text: str, most: int = MAX_LINE) -> str:
    """One line that every terminal shows as it is."""
    cut = text[:most] + ("…" if len(text) > most else "")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut.replace("\t", " "))


class _Book:
    """Lines in memory and in the log, both bounded."""

    def __init__(self, file: IO[bytes], heard: Callable[[str], str | None]) -> None:
        self._file = file
        self._heard = heard
        self._written = 0
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._start = time.monotonic()
        self.unread = 0

    def add(self, text: str) -> str:
        printed = plain(text.rstrip())
        if printed:
            self.note(printed)
        line = self._heard(printed)
        if line is None:
            return ""
        if len(self._head) < HEAD:
            self._head.append(line)
        else:
            self._tail.append(line)
            if len(self._tail) > TAIL:
                self.unread += 1
                self._tail.popleft()
        return line

    def note(self, line: str) -> None:
        raw = f"{time.monotonic() - self._start:8.3f} {line}\n".encode()
        if self._written <= MAX_LOG:
            over = self._written + len(raw) > MAX_LOG
            self._file.write(b"         ... the rest is cut\n" if over else raw)
            self._file.flush()
        self._written += len(raw)

    def lines(self) -> tuple[str, ...]:
        return (*self._head, *self._tail)


def _attend(
    proc: subprocess.Popen[bytes], phases: Sequence[Phase], book: _Book, total: float, say: Say, term_s: float
) -> Outcome:
    assert proc.stdout is not None
    start = begun = time.monotonic()
    current, rest = phases[0], list(phases[1:])
    seen, timed_out, size, partial = [current.name], "", 0, b""
    say(current.doing)
    with selectors.DefaultSelector() as selector:
        selector.register(proc.stdout, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            deadline = min(begun + current.seconds, start + total)
            if now >= deadline or size > MAX_BYTES:
                timed_out = current.name
                break
            if not selector.select(min(TICK, deadline - now)):
                say(f"{current.doing} ({now - begun:.0f} s)")
                continue
            chunk = os.read(proc.stdout.fileno(), 1 << 16)
            size += len(chunk)
            if not chunk:
                break
            *whole, partial = (partial + chunk).replace(b"\r", b"\n").split(b"\n")
            partial = partial[-2 * MAX_LINE :]
            for raw in whole:
                line = book.add(raw.decode(errors="replace"))
                for number, phase in enumerate(rest):
                    if phase.marker in line:
                        current, begun = phase, time.monotonic()
                        seen.append(phase.name)
                        del rest[: number + 1]
                        say(current.doing)
                        break
    if partial:
        book.add(partial.decode(errors="replace"))
    if not timed_out:
        # Its output is closed; the end follows at once unless it daemonises. It keeps what is left of its phase.
        left = max(0.1, min(begun + current.seconds, start + total) - time.monotonic())
        try:
            proc.wait(left)
        except subprocess.TimeoutExpired:
            timed_out = current.name
    _end(proc, term_s)
    status = proc.returncode if proc.returncode is not None else -signal.SIGKILL
    return Outcome(
        status=status if status >= 0 else 128 - status, lines=book.lines(), phases=tuple(seen), timed_out=timed_out,
        flooded=size > MAX_BYTES, unread=book.unread, seconds=time.monotonic() - start,
    )  # fmt: skip


def _end(proc: subprocess.Popen[bytes], term_s: float) -> None:
    """SIGTERM to the guard reaches the tool; then SIGKILL to the tool itself, whereupon the guard ends what the tool
    left behind; the whole group at last."""
    try:
        steps: tuple[tuple[float, Callable[[], None]], ...] = (
            (term_s, proc.terminate),
            (KILL_S, lambda: _kill_children(proc.pid)),
            (KILL_S, lambda: os.killpg(proc.pid, signal.SIGKILL)),
        )
        for seconds, act in steps:
            if proc.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                act()
            with contextlib.suppress(subprocess.TimeoutExpired):
                proc.wait(seconds)
    finally:
        for pipe in (proc.stdout, proc.stderr):
            if pipe is not None:
                pipe.close()


def _kill_children(pid: int) -> None:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        text = ""
    children = [int(word) for word in text.split()]
    if not children:
        os.kill(pid, signal.SIGKILL)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
