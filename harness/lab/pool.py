"""The boards of one run. Two locks, one inside the other, and the kernel drops each when its holder dies:

  claim   the controller's, for the whole run: `harness/lab/lease.py`, one a board and host. Taken before anything is
          built; BoardBusy (11), BoardQuarantined (12) or what is missing (10), in one line.
  use     a worker's, for one attempt: a file in the run's folder. A worker that dies in the middle frees its board for
          the next one, while the run keeps it. What a worker leaves for the next user of a board (which image it holds,
          how often it failed) is written by whoever holds the lock, and by nobody else.

A board that fails too often is out for this run; scenarios that find no board left are told why, and become `lab`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.errors import BoardBusy, HilError, LabError
from harness.lab import attached, quarantine
from harness.lab.inventory import BoardEntry, of_target
from harness.lab.lease import Lease, acquire

LOOK = 0.05  # s between two looks for a free board of the run
FREE_WITHIN = 3600.0  # s a scenario waits for one; every use is bounded by its phases, so this is never met in health
OUT_AFTER = 3  # lab errors of one board in a row within a run
BOARD_CAUSES = frozenset({
    "lab.probe_missing", "lab.probe_ambiguous", "lab.probe_silent", "lab.wrong_board", "lab.target_unpowered",
    "lab.flash_failed", "lab.flash_protected", "lab.flash_verify_failed", "lab.serial_missing",
})  # fmt: skip
"""What is a board's own failure; a broker that cannot start is not."""


# -- the controller --


class Claims:
    """Boards held for a run: ids by target, in the order of lab.toml. `release` is safe to call twice."""

    def __init__(self) -> None:
        self.boards: dict[str, tuple[str, ...]] = {}
        self.refused: dict[str, HilError] = {}  # targets for which there is none, where the run goes on without
        self._leases: list[Lease] = []

    def __len__(self) -> int:
        return sum(len(ids) for ids in self.boards.values())

    def release(self) -> None:
        for lease in self._leases:
            lease.release()
        self._leases.clear()

    def add(self, target: str, leases: Sequence[Lease]) -> None:
        self._leases += leases
        self.boards[target] = tuple(lease.board for lease in leases)


def claim(
    targets: Sequence[str],
    lab: Mapping[str, BoardEntry],
    reason: str,
    *,
    wait: float = 0.0,
    most: int = 0,
    partial: bool = False,
    say: Callable[[str], None] = lambda text: None,
    calls: Callable[[BoardEntry], str] = lambda entry: "",
) -> Claims:
    """Holds the free boards of each target, `most` at most (0: all). All targets or none: who waits holds nothing, so
    that two runs that want the same boards never wait for each other.

    `calls`: the address and port that a board's firmware holds, "" where it is told one. Two boards that call the same
    would meet in one broker, so a run has one of them; `say` names the others.

    BoardBusy when all boards of a target are held after `wait` seconds, BoardQuarantined when all are set aside,
    LabError when none is there or none attached. `partial`: such targets are noted in `refused`; raises if nothing is
    left.
    """
    deadline = time.monotonic() + wait
    told = False
    while True:
        claims = Claims()
        busy: BoardBusy | None = None
        called: dict[str, str] = {}
        idle: list[str] = []
        try:
            for target in targets:
                try:
                    claims.add(target, _claim_target(target, lab, reason, most, calls, called, idle))
                except BoardBusy as error:
                    busy = busy or error
                    claims.refused[target] = error
                except HilError as error:
                    if not partial:
                        raise
                    claims.refused[target] = error
        except BaseException:
            claims.release()
            raise
        if busy is None or (partial and not wait and len(claims)):
            break
        claims.release()
        left = deadline - time.monotonic()
        if left <= 0:
            if partial and len(claims.refused) < len(targets):
                wait = 0.0  # the time is over: with those that are free
                continue
            raise busy if not wait else BoardBusy(f"{busy.what} (waited {wait:g} s)", busy.fix)
        if not told:
            say(f"waiting: {busy.what}")
            told = True
        time.sleep(min(left, random.uniform(0.1, 0.4)))  # noqa: S311 (flock on several files has no wait of its own)
    if not len(claims):
        raise next(iter(claims.refused.values()))
    for text in idle:
        say(text)
    return claims


def _claim_target(
    target: str, lab: Mapping[str, BoardEntry], reason: str, most: int, calls: Callable[[BoardEntry], str],
    called: dict[str, str], idle: list[str],
) -> list[Lease]:  # fmt: skip
    """At least one lease. The order of the checks: what is not there, what is set aside, what is held. `called`: by
    what it calls, the board of this run that does; `idle`: who is left out for it."""
    known = of_target(target, dict(lab))
    if not known:
        raise LabError(
            "lab.probe_missing", f"{target}: no board of this kind in lab.toml", "attach one and run hil boards --scan"
        )
    fit = [entry for entry in known if not quarantine.state(entry.id).quarantined]
    absent = {entry.id: attached.missing(entry) for entry in fit}
    there = [entry for entry in fit if absent[entry.id] is None]
    held: list[Lease] = []
    busy: BoardBusy | None = None
    for entry in there:
        if most and len(held) == most:
            break
        place = calls(entry)
        if place in called:
            idle.append(f"{entry.id} is left out: its firmware calls {place}, as that of {called[place]} does")
            continue
        try:
            held.append(_acquired(entry, reason))
            if place:
                called[place] = entry.id
        except BoardBusy as error:
            busy = busy or error
        except LabError as error:
            absent[entry.id] = error  # its place in a lab of many hosts cannot be reached
        except BaseException:
            for lease in held:
                lease.release()
            raise
    if held:
        return held
    if busy is not None:
        raise busy
    for gone in absent.values():
        if gone is not None:
            raise gone
    if there:
        raise LabError("lab.board_busy", f"{target}: {idle[-1]}",
                       "run the targets one after the other, or give each board a broker_address of its own"
                       )  # fmt: skip
    quarantine.check(known[0].id)
    raise LabError("lab.board_busy", f"{target}: the boards changed while they were looked at", "start the run again")


def _acquired(entry: BoardEntry, reason: str) -> Lease:
    """Its kernel lock, and its place where it is another host's."""
    lease = acquire(entry.id, reason)
    if not entry.labgrid:
        return lease
    from harness.lab import labgrid

    return labgrid.claim(lease, entry, reason)


# -- a worker --


class Held(msgspec.Struct, kw_only=True):
    """What is known of a board within this run. `out`: why nobody shall use it any more, with `cause` and `fix`."""

    holds: str = ""  # sha256 of the image it was given last; "" while that is uncertain
    errors: int = 0
    out: str = ""
    cause: str = ""
    fix: str = ""


class Use:
    """One board, ours for the length of a with-block. Made by `Pool.use`. `fresh`: a board that did not exist before,
    which holds nothing whatever is remembered of its name."""

    def __init__(self, board: str, path: Path | None, known: Held, *, fresh: bool = False) -> None:
        self.board = board
        self.known = known
        self.fresh = fresh
        self._path = path

    def holds(self, sha256: str) -> None:
        """Notes what the board holds from now on; "" before it is written to."""
        self.known.holds = sha256
        self._write()

    def worked(self) -> None:
        if self.known.errors:
            self.known.errors = 0
            self._write()

    def failed(self, error: LabError, *, out: str = "") -> None:
        """Counts a lab error; the board is out when there were too many, or at once with `out` as the reason."""
        self.known.errors += 1
        self.known.holds = ""
        if out or self.known.errors >= OUT_AFTER:
            self.known.out = out or f"{self.known.errors} lab errors in a row, the last: {error.what}"
            self.known.cause, self.known.fix = error.cause, error.fix
        self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            fresh.write_bytes(msgspec.json.encode(self.known))
            fresh.replace(self._path)
        except OSError as error:
            raise LabError("lab.disk_full", f"{self._path}: {error.strerror}", "make room") from error


class Pool:
    """The run's boards, for its workers. `folder` is the run's own; `boards`: ids by target; `refused`: why a target
    has none, as (cause, what, fix). `turn`: this worker's number, so that workers begin with different boards."""

    def __init__(
        self, folder: Path, boards: Mapping[str, Sequence[str]], refused: Mapping[str, tuple[str, str, str]],
        turn: int = 0,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._boards = boards
        self._refused = refused
        self.turn = turn
        self._last: dict[str, str] = {}

    def serves(self, target: str) -> bool:
        """Whether the target's boards come from lab.toml."""
        return target in self._boards or target in self._refused

    @contextlib.contextmanager
    def use(self, target: str, why: str, wait: float = FREE_WITHIN) -> Iterator[Use]:
        """A board of `target` that nobody else of this run uses, the one used last if it is free. LabError with the
        reason when none is left, `lab.board_busy` when none became free within `wait` seconds."""
        if target in self._refused:
            raise LabError(*self._refused[target])
        deadline = time.monotonic() + wait
        while True:
            left = [board for board in self._order(target) if not self._read(board).out]
            if not left:
                raise self._none_left(target)
            for board in left:
                fd = self._try(board, why)
                if fd is None:
                    continue
                try:
                    known = self._read(board)
                    if known.out:
                        continue
                    self._last[target] = board
                    yield Use(board, self._state(board), known)
                    return
                finally:
                    os.close(fd)  # closing unlocks
            if time.monotonic() > deadline:
                raise LabError("lab.board_busy", f"{target}: no board of this run became free in {wait:g} s", "see -n")
            time.sleep(LOOK)

    def _order(self, target: str) -> list[str]:
        ids = list(self._boards[target])
        first = self._last.get(target)
        at = ids.index(first) if first in ids else self.turn % len(ids)
        return ids[at:] + ids[:at]

    def _state(self, board: str) -> Path:
        return self._folder / f"{board}.json"

    def _read(self, board: str) -> Held:
        try:
            return msgspec.json.decode(self._state(board).read_bytes(), type=Held)
        except (FileNotFoundError, msgspec.DecodeError):
            return Held()
        except OSError as error:
            raise LabError("lab.disk_full", f"{self._state(board)}: {error.strerror}", "") from error

    def _try(self, board: str, why: str) -> int | None:
        path = self._folder / f"{board}.lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LabError("lab.disk_full", f"{path}: {error.strerror}", "make room") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        with contextlib.suppress(OSError):  # for a person who looks
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {why}\n".encode(), 0)
        return fd

    def _none_left(self, target: str) -> LabError:
        boards = self._boards[target]
        last = self._read(boards[-1])
        others = f" (nor any of the other {len(boards) - 1})" if len(boards) > 1 else ""
        return LabError(
            last.cause or "lab.probe_missing", f"no board is left: {boards[-1]} is out{others}: {last.out}",
            last.fix or f"hil boards --check {boards[-1]}",
        )  # fmt: skip
