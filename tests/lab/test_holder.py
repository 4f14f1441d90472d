"""Boards held by hand: a process holds, and whatever ends it frees the board."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from harness.errors import BoardBusy, LabError, UsageError
from harness.lab import holder, lease


def soon(what: Callable[[], bool], timeout: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free(board: str) -> bool:
    return lease.holder(board) is None


def test_it_holds_until_let_go() -> None:
    pid = holder.hold("b1", "soldering")
    who = lease.holder("b1")
    assert who is not None and (who.pid, who.reason, who.host) == (pid, "soldering", socket.gethostname())
    with pytest.raises(BoardBusy, match="soldering"), lease.lease("b1", "me"):
        pytest.fail("two have it")
    assert holder.let_go("b1") == who
    assert free("b1")
    assert holder.let_go("b1") is None


def test_kill_9_frees_the_board() -> None:
    pid = holder.hold("b1", "soldering")
    os.kill(pid, signal.SIGKILL)
    assert soon(lambda: free("b1"))
    with lease.lease("b1", "next"):
        pass


def test_it_ends_after_its_seconds() -> None:
    holder.hold("b1", "a moment", seconds=0.3)
    assert soon(lambda: free("b1"), 5.0)


def test_it_ends_with_the_job_it_is_for() -> None:
    with subprocess.Popen(["sleep", "60"]) as job:
        holder.hold("b1", "CI job", while_pid=job.pid)
        assert not free("b1")
        job.kill()
    assert soon(lambda: free("b1"))


def test_a_job_that_ended_already() -> None:
    with subprocess.Popen(["true"]) as job:
        pass
    with pytest.raises(LabError, match="No such process"):
        holder.hold("b1", "CI job", while_pid=job.pid)
    assert free("b1")


def test_held_by_somebody_else_is_busy_at_once_or_after_the_wait() -> None:
    first = holder.hold("b1", "first")
    with pytest.raises(BoardBusy, match=f"process {first}.*first"):
        holder.hold("b1", "second")
    with pytest.raises(BoardBusy, match=r"waited 0\.3 s"):
        holder.hold("b1", "second", wait=0.3)
    holder.let_go("b1")


def test_waiting_gets_it() -> None:
    holder.hold("b1", "first", seconds=0.5)
    second = holder.hold("b1", "second", wait=20.0)
    who = lease.holder("b1")
    assert who is not None and who.pid == second
    holder.let_go("b1")


def test_a_run_is_not_ended_by_unlock() -> None:
    words = "import sys; from harness.lab.lease import acquire; acquire('b1', 'nightly')"
    words += "; print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None and run.stdout.readline() == b"1\n"
        with pytest.raises(BoardBusy, match="nightly, which is no `hil lock` of yours"):
            holder.let_go("b1")
        assert run.poll() is None and not free("b1")
    assert free("b1")


def test_another_boards_holder_is_left_alone() -> None:
    holder.hold("b1", "mine")
    holder.hold("b2", "also mine")
    holder.let_go("b1")
    assert free("b1") and not free("b2")
    holder.let_go("b2")


def test_no_terminal_is_needed_and_no_pipe_kept() -> None:
    """The command's output ends while the holder lives: `$(hil lock …)` returns."""
    words = "from harness.lab import holder; print(holder.hold('b1', 'x'))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=30, check=True)
    pid = int(done.stdout)
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert not free("b1")
    holder.let_go("b1")


def test_names_and_bounds() -> None:
    with pytest.raises(LabError, match="no name"):
        holder.hold("../b1", "x")
    with pytest.raises(UsageError, match="--seconds"):
        holder.hold("b1", "x", seconds=1e12)
    pid = holder.hold("b1", "line\nbreak \x1b[2J")
    assert lease.holder("b1") is not None and pid
    holder.let_go("b1")
