"""Holding a board by hand. A kernel lock belongs to a process, so `hil lock` leaves one behind that does nothing else.

`hold` starts it, `let_go` ends it. It ends by itself after `seconds`, and when the process `while_pid` ends (a CI job's
shell), so that nobody has to come and take a forgotten lock away; killed in any way, the kernel frees the board.
`let_go` ends holders of this kind and this user only: a run that holds a board is ended where it runs.

As a program: `python -m harness.lab.holder BOARD SECONDS WHILE_PID WAIT REASON`. It prints one line, `held <pid>` or
`no <exit code> <what>\\t<fix>`, and then holds.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from harness.errors import EXIT_LAB, BoardBusy, HilError, LabError, UsageError
from harness.lab import lease
from harness.paths import ROOT

MODULE = "harness.lab.holder"
LONGEST = 30 * 86400  # s
START_TIMEOUT = 15.0  # s a Python needs on a loaded host
END_TIMEOUT = 5.0
MAX_LINE = 4096


def hold(board: str, reason: str, *, seconds: float = 0.0, while_pid: int = 0, wait: float = 0.0) -> int:
    """Leaves a process that holds `board`; returns its pid. `seconds` 0: no end. BoardBusy, LabError as `lease`."""
    if not 0 <= seconds <= LONGEST:
        raise UsageError(f"--seconds {seconds:g}: not within 0 to {LONGEST}", "0 holds until `hil unlock`")
    argv = [sys.executable, "-m", MODULE, board, f"{seconds}", f"{while_pid}", f"{wait}", reason]
    # Not through spawn: outliving this command is what it is for.
    child = subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    done = False
    try:
        line = _line(child, wait + START_TIMEOUT)
        word, _, rest = line.partition(" ")
        if word == "held":
            done = True
            return child.pid
        code, _, text = rest.partition(" ")
        what, _, fix = text.partition("\t")
        if word != "no" or not code.isdigit():
            raise LabError("lab.board_busy", f"{board}: the holding process did not start", "run `hil doctor`")
        if int(code) == BoardBusy.exit_code:
            raise BoardBusy(what, fix)
        raise LabError("lab.board_busy", what, fix)
    finally:
        if not done:
            child.kill()
            child.wait(END_TIMEOUT)
        if child.stdout is not None:
            child.stdout.close()


def let_go(board: str) -> lease.Holder | None:
    """Ends the holding process; returns what it was, None when the board was free. BoardBusy when it is not ours."""
    who = lease.holder(board)
    if who is None:
        return None
    fix = "end it where it runs"
    if who.host != socket.gethostname():
        raise BoardBusy(f"{board} is held by {who}", f"{fix}, on {who.host}")
    try:
        process = os.pidfd_open(who.pid)  # names this process, whoever gets its number later
    except ProcessLookupError:
        return who if _free(board) else None
    except OSError as error:
        raise LabError("lab.board_busy", f"{board}: process {who.pid}: {error.strerror}", fix) from error
    try:
        if not _is_holder(who.pid, board):
            raise BoardBusy(f"{board} is held by {who}, which is no `hil lock` of yours", fix)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGTERM)
    except PermissionError:
        raise BoardBusy(f"{board} is held by {who}", f"ask {who.user}") from None
    finally:
        os.close(process)
    if not _free(board):
        raise LabError("lab.board_busy", f"{board}: process {who.pid} does not let go of it", f"kill -9 {who.pid}")
    return who


def _is_holder(pid: int, board: str) -> bool:
    """Whether process `pid` is one of these for `board`, and ours."""
    folder = Path(f"/proc/{pid}")
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")
        mine = folder.stat().st_uid == os.getuid()
    except OSError:
        return False
    wanted = [b"-m", MODULE.encode(), board.encode()]
    return words[1:4] == wanted and (mine or os.getuid() == 0)


def _free(board: str) -> bool:
    deadline = time.monotonic() + END_TIMEOUT
    while lease.holder(board) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)  # flock tells nobody when it becomes free
    return True


def _line(child: subprocess.Popen[bytes], timeout: float) -> str:
    """The first line a child prints; "" when it prints none in time."""
    if child.stdout is None:
        return ""
    fd, data, deadline = child.stdout.fileno(), b"", time.monotonic() + timeout
    while b"\n" not in data and len(data) < MAX_LINE:
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return ""
        chunk = os.read(fd, MAX_LINE)
        if not chunk:
            break
        data += chunk
    return data.partition(b"\n")[0].decode(errors="replace")


# -- the process that holds --


def main(words: list[str]) -> int:
    board, seconds, while_pid, wait, reason = words[0], float(words[1]), int(words[2]), float(words[3]), words[4]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    watched = -1
    try:
        if while_pid:
            watched = os.pidfd_open(while_pid)
        held = lease.acquire(board, reason, wait or None)
    except HilError as error:
        _say(f"no {error.exit_code} {error.what}\t{error.fix}")
        return error.exit_code
    except OSError as error:
        _say(f"no {EXIT_LAB} process {while_pid}: {error.strerror}\tname a process that runs")
        return EXIT_LAB
    try:
        _say(f"held {os.getpid()}")
        _hold_on(time.monotonic() + seconds if seconds else None, watched)
    finally:
        held.release()
    return 0


def _hold_on(deadline: float | None, watched: int) -> None:
    """Returns on SIGTERM, at the deadline (the clock does not run while the host sleeps), or when `watched` ends."""
    # Two things to wait for, neither of which wakes the other: look at one, wait for the other.
    while deadline is None or time.monotonic() < deadline:
        left = 1.0 if watched >= 0 else 3600.0
        if deadline is not None:
            left = min(left, max(0.0, deadline - time.monotonic()))
        if signal.sigtimedwait({signal.SIGTERM}, left) is not None:
            return
        if watched >= 0 and select.select([watched], [], [], 0)[0]:
            return


def _say(line: str) -> None:
    """One line to whoever started us, then nothing of theirs is kept open."""
    with contextlib.suppress(OSError):
        os.write(1, (" ".join(line.split(" ")).replace("\n", " ") + "\n").encode())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
