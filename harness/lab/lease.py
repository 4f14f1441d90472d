"""One board, one user: a kernel lock per board, so that no crash leaves a board taken.

The lock is `flock` on a file in a folder that all users of the host share; the kernel lets go when the holder dies, and
what the file says about the holder counts only while the lock is held.

Who holds a board may lend it: `HIL_LEASE=<board>=<pid of the holder>` in a process's environment (`hil lock` prints it)
lets that process use the board under the holder's lock, one at a time, by a second lock of the same kind. A board is
free again when neither is held.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import getpass
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.errors import BoardBusy, LabError

LOOK = 0.2  # s between two tries while waiting
LENT = "HIL_LEASE"
SETTLE = 1.0  # s in which a lock without a holder's name must get one or be free
OPEN_TRIES = 10
MAX_PID = 1 << 22  # of Linux


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a board, and why. `since` in ISO-8601 UTC."""

    pid: int
    host: str
    user: str
    reason: str
    since: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}) since {self.since}: {self.reason}"


class Lease:
    """A held board; `release` gives it back, and is safe to call twice."""

    def __init__(self, board: str, fd: int, path: Path) -> None:
        self.board = board
        self._fd = fd
        self._path = path

    def release(self) -> None:
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)  # closing unlocks
        self._fd = -1


def folder() -> Path:
    """Where locks are: HIL_LOCKS, or `hil-locks` beside other temporary files: one place for all users of the host,
    since a board is one thing for all of them."""
    named = os.environ.get("HIL_LOCKS")
    return Path(named) if named else Path(tempfile.gettempdir()) / "hil-locks"


def holder(board: str) -> Holder | None:
    """Who holds `board` now; None when it is free."""
    path = _path(board)
    return _holder(board, path) or _holder(board, path.with_suffix(".lent"))


def _holder(board: str, path: Path) -> Holder | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _trouble(board, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read_holder(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def lease(board: str, reason: str, wait: float | None = None, *, exclusive: bool = True) -> Iterator[Lease | None]:
    """Holds `board` for the length of the block. `wait`: seconds to wait for it; None: not at all.

    `exclusive=False` (emulated boards, of which there are as many as wanted) takes no lock and yields None.
    Raises BoardBusy (exit 11) naming the holder.
    """
    if not exclusive:
        yield None
        return
    held = acquire(board, reason, wait)
    try:
        yield held
    finally:
        held.release()


def acquire(board: str, reason: str, wait: float | None = None) -> Lease:
    """As `lease`, for callers whose block is not a with-statement (`hil lock`)."""
    start = time.monotonic()
    deadline = start + (wait or 0.0)
    path = _path(board)
    _make_folder(board)
    while True:
        fd = _try_board(board, path)
        if fd is not None:
            _write_holder(fd, reason)
            return Lease(board, fd, path)
        now = time.monotonic()
        left = deadline - now
        if left <= 0:
            who = _holder(board, path.with_suffix(".lent")) or _holder(board, path)
            if who is None and now - start < (wait or 0.0) + SETTLE:
                # Only somebody looking who holds it, or a holder that has not written its name yet.
                time.sleep(0.01)
                continue
            text = f"{board} is held by {who or 'somebody unknown'}"
            waited = f" (waited {wait:g} s)" if wait else ""
            raise BoardBusy(text + waited, "wait with --wait SECONDS, or ask the holder")
        time.sleep(min(LOOK, left))  # flock has no time-out of its own


def lock_file(name: str) -> int | None:
    """A locked descriptor of `<name>.lock` in the same folder, or None when somebody else has it: for locks beside a
    board's, whose content is the caller's. Closing it, and every copy that a child got, unlocks."""
    _make_folder(name)
    return _try_lock(name, _path(name))


def _try_board(board: str, path: Path) -> int | None:
    """The board's own lock, or the second one where it is lent to us; None when it is held."""
    lent = path.with_suffix(".lent")
    if _lent_to_us(board, path):
        fd = _try_lock(board, lent)
        if fd is None or _lent_to_us(board, path):
            return fd
        os.close(fd)  # the lender ended meanwhile: as everybody else
    fd = _try_lock(board, path)
    if fd is None:
        return None
    second = _try_lock(board, lent)
    if second is None:  # the lender is gone, who borrowed is not
        os.close(fd)
        return None
    os.close(second)
    return fd


def _lent_to_us(board: str, path: Path) -> bool:
    name, _, pid = os.environ.get(LENT, "").partition("=")
    if name != board or not pid.isdigit():
        return False
    who = _holder(board, path)
    return who is not None and who.pid == int(pid) != os.getpid() and who.host == socket.gethostname()


def _make_folder(board: str) -> None:
    try:
        folder().mkdir(mode=0o1777, parents=True, exist_ok=True)
        if folder().stat().st_uid == os.getuid():
            folder().chmod(0o1777)  # the umask took bits away
    except OSError as error:
        raise _trouble(board, error) from error


def _try_lock(board: str, path: Path) -> int | None:
    """A locked descriptor of the file that is at `path` now, or None when somebody else has it."""
    for _ in range(OPEN_TRIES):
        # Not both in one call: with O_CREAT the kernel may refuse another user's file in a shared folder.
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue
            except OSError as error:
                raise _trouble(board, error) from error
        except OSError as error:
            raise _trouble(board, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError as error:
            os.close(fd)
            raise _trouble(board, error) from error
        # A cleaner of temporary files may have removed the file between open and lock.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), path.stat()):
                with contextlib.suppress(OSError):
                    os.fchmod(fd, 0o666)
                return fd
        os.close(fd)
    raise LabError("lab.board_busy", f"the lock file {path} keeps vanishing", "set HIL_LOCKS to a folder that stays")


def _path(board: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", board):
        raise LabError("lab.board_busy", f"`{board}` is no name for a board", "use letters, digits, dot and dash")
    return folder() / f"{board}.lock"


def _write_holder(fd: int, reason: str) -> None:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    who = Holder(pid=os.getpid(), host=socket.gethostname(), user=user, reason=reason[:200], since=now)
    with contextlib.suppress(OSError):  # a full disk costs the explanation, not the lock
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(who) + b"\n", 0)


def _read_holder(fd: int) -> Holder | None:
    """None for what no holder of ours writes: all users of the host may write there."""
    try:
        who = msgspec.json.decode(os.pread(fd, 4096, 0), type=Holder)
    except (OSError, ValueError, RecursionError, msgspec.DecodeError):
        return None
    return who if 0 < who.pid <= MAX_PID else None


def _trouble(board: str, error: OSError) -> LabError:
    return LabError("lab.board_busy", f"cannot lock {board}: {error}", "set HIL_LOCKS to a folder you may write")
