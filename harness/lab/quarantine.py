"""Boards nobody should use: set aside after several lab errors in a row, or by hand, until somebody releases them.

A wedged board costs every run its time-outs; in quarantine it is refused at once (exit 12) with the reason. A board
that works again after an error starts counting from 0; a quarantine ends only by `release` (`hil boards --release ID`),
because somebody has to look at the board.

    check(board)                             # BoardQuarantined when set aside
    note_error(board, error.cause, str(error))   # after a verdict `lab` that is the board's; may quarantine it
    note_success(board)                      # after any verdict that is not `lab`
    put(board, "probe dead", by="nightly")   # at once (a flash ladder that ended with the board wedged)

State: one JSON file a board in `HIL_STATE`, else `/var/lib/hil` where that exists and is ours to write (all users of
the host then agree), else `~/.local/state/hil`. It outlives reboots, unlike locks.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import getpass
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from harness.errors import BoardQuarantined, LabError
from harness.lab.inventory import QUARANTINE_AFTER

SYSTEM = Path("/var/lib/hil")
EXAMINED = "HIL_EXAMINED"
MAX_REASON = 300
MAX_FILE = 1 << 16
UNREADABLE = "its state file cannot be read"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a board. `since` is "" unless it is in quarantine. Times in ISO-8601 UTC."""

    board: str
    since: str = ""
    reason: str = ""
    cause: str = ""  # of the last error, a lab.* id of causes.toml
    by: str = ""  # who set it aside: "bench" or a user
    errors: int = 0  # lab errors in a row
    last_error: str = ""
    last_at: str = ""

    @property
    def quarantined(self) -> bool:
        return bool(self.since)

    def __str__(self) -> str:
        if not self.quarantined:
            return f"{self.board} is fit"
        return f"{self.board} is in quarantine since {self.since}: {self.reason}"


def state(board: str) -> State:
    """Never raises for a board that has no file: it is fit. A file that cannot be read counts as a quarantine. Within
    `hil boards --check` the board that is looked at counts as fit: its run is the look."""
    found = _read(board)
    if found.quarantined and os.environ.get(EXAMINED) == board:
        return msgspec.structs.replace(found, since="")
    return found


def _read(board: str) -> State:
    path = _path(board)
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError("too long")
        found = msgspec.json.decode(path.read_bytes(), type=State)
        if found.board != board:
            raise ValueError("of another board")
        return found
    except FileNotFoundError:
        return State(board=board)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        return State(board=board, since="unknown", reason=f"{UNREADABLE} ({path}: {error})", by="bench")


def check(board: str) -> None:
    """BoardQuarantined (exit 12) with reason, since when and the next step, when the board is set aside."""
    found = state(board)
    if found.quarantined:
        raise BoardQuarantined(
            found.cause or "lab.board_busy", str(found),
            f"`hil boards --check {board}` looks at it, `hil boards --release {board}` frees it",
        )  # fmt: skip


def note_error(board: str, cause: str, why: str, after: int = QUARANTINE_AFTER) -> State:
    """Counts one lab error of this board; the `after`-th in a row sets it aside (0: never). Returns the new state."""

    def change(old: State) -> State:
        errors = old.errors + 1
        new = msgspec.structs.replace(old, errors=errors, cause=cause, last_error=_plain(why), last_at=_now())
        if old.quarantined or not after or errors < after:
            return new
        return msgspec.structs.replace(
            new, since=_now(), by="bench", reason=f"{errors} lab errors in a row, the last: {_plain(why)}"
        )

    return _change(board, change)


def note_success(board: str) -> None:
    """The board did its part: the count starts again. A quarantine stays. Writes nothing when nothing changes."""
    if state(board).errors:
        _change(board, lambda old: msgspec.structs.replace(old, errors=0))


def put(board: str, reason: str, *, cause: str = "", by: str = "") -> State:
    """Sets the board aside now. One already set aside keeps its first reason and time."""

    def change(old: State) -> State:
        if old.quarantined:
            return old
        return msgspec.structs.replace(
            old, since=_now(), reason=_plain(reason), cause=cause or old.cause, by=by or _user()
        )

    return _change(board, change)


def release(board: str) -> State:
    """Ends the quarantine and the count; returns what it was."""
    old = _read(board)
    with _alone(board):
        try:
            _path(board).unlink(missing_ok=True)
        except OSError as error:
            raise _trouble(board, error) from error
    return old


def folder() -> Path:
    named = os.environ.get("HIL_STATE")
    if named:
        return Path(named)
    if os.access(SYSTEM, os.W_OK):
        return SYSTEM
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hil"


def _change(board: str, change: Callable[[State], State]) -> State:
    """Read, change, write whole; two processes one after the other."""
    with _alone(board):
        new = change(_read(board))
        path = _path(board)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with fresh.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(new)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise _trouble(board, error) from error
    return new


@contextlib.contextmanager
def _alone(board: str) -> Iterator[None]:
    path = _path(board).with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise _trouble(board, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # held for one small write
        yield


def _path(board: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", board):
        raise LabError("lab.board_busy", f"`{board}` is no name for a board", "use letters, digits, dot and dash")
    return folder() / f"board-{board}.json"


def _plain(text: str) -> str:
    """One line that a terminal shows as it is: reasons quote what devices and tools said."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)[:MAX_REASON]


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _trouble(board: str, error: OSError) -> LabError:
    return LabError("lab.disk_full", f"state of {board}: {error}", "set HIL_STATE to a folder you may write")
