"""A board has one user; a dead user's board is free; the holder is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import paths
from harness.errors import EXIT_BUSY, BoardBusy, LabError
from harness.lab import lease

HOLD = """
import sys
from harness.lab import lease
with lease.lease("h563", "nightly"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds h563."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate(timeout=10)


def test_the_holder_is_named(other: subprocess.Popen[bytes]) -> None:
    with pytest.raises(BoardBusy) as busy, lease.lease("h563", "me"):
        pass
    assert busy.value.exit_code == EXIT_BUSY
    assert f"(process {other.pid})" in str(busy.value)
    assert "nightly" in str(busy.value)
    held = lease.holder("h563")
    assert held is not None
    assert (held.pid, held.reason) == (other.pid, "nightly")


def test_another_board_is_free(other: subprocess.Popen[bytes]) -> None:
    with lease.lease("f429", "me"):
        assert lease.holder("f429") is not None
    assert lease.holder("f429") is None
    assert lease.holder("never-locked") is None


def test_a_killed_holder_frees_it_for_one_who_waits(other: subprocess.Popen[bytes]) -> None:
    threading.Timer(0.3, lambda: os.kill(other.pid, signal.SIGKILL)).start()
    start = time.monotonic()
    with lease.lease("h563", "me", wait=10.0):
        assert 0.2 < time.monotonic() - start < 5.0
        held = lease.holder("h563")
        assert held is not None
        assert held.pid == os.getpid()


def test_waiting_is_bounded(other: subprocess.Popen[bytes]) -> None:
    start = time.monotonic()
    with pytest.raises(BoardBusy, match=r"waited 0\.5 s"), lease.lease("h563", "me", wait=0.5):
        pass
    assert time.monotonic() - start < 3.0


def test_twice_in_one_process_is_busy_too() -> None:
    with lease.lease("h563", "first"), pytest.raises(BoardBusy, match="first"), lease.lease("h563", "second"):
        pass
    with lease.lease("h563", "third"):
        pass


def test_emulated_boards_are_shared() -> None:
    with lease.lease("native", "a", exclusive=False), lease.lease("native", "b", exclusive=False):
        assert lease.holder("native") is None


def test_release_is_safe_to_call_twice_and_a_lookers_glance_does_not_block() -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            lease.holder("h563")

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(50):
            held = lease.acquire("h563", "me")
            held.release()
            held.release()
    finally:
        stop.set()
        looker.join()


def test_a_lock_file_removed_by_a_cleaner_does_not_give_two_holders(locks: Path) -> None:
    with lease.lease("h563", "first"):
        (locks / "h563.lock").unlink()
        # The first lock is on a file nobody can find: that cannot be prevented, but what follows is whole again.
        with lease.lease("h563", "second"), pytest.raises(BoardBusy, match="second"), lease.lease("h563", "third"):
            pass


def test_garbage_in_the_file_does_not_matter(locks: Path) -> None:
    with lease.lease("h563", "first"):
        (locks / "h563.lock").write_bytes(b"\xff{{{")
        with pytest.raises(BoardBusy, match="somebody unknown"), lease.lease("h563", "second"):
            pass


@pytest.mark.parametrize("content", [
    b'{"x":' + b"[" * 4000, b'{"pid":99999999999999999999,"host":"","user":"","reason":"","since":""}',
    b'{"pid":1099511627776,"host":"","user":"","reason":"","since":""}', b'{"pid":0', b"\xff",
])  # fmt: skip
def test_what_another_user_writes_beside_a_held_lock_is_no_holder(locks: Path, content: bytes) -> None:
    """The folder is everybody's; who holds the board is unknown then, and busy it is."""
    with lease.lease("h563", "mine"):
        (locks / "h563.lock").write_bytes(content)
        assert lease.holder("h563") is None
        with pytest.raises(BoardBusy, match="somebody unknown"):
            lease.acquire("h563", "me")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", "x" * 65])
def test_names_that_are_no_board(name: str) -> None:
    with pytest.raises(LabError, match="no name for a board"), lease.lease(name, "me"):
        pass


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "file" / "x"))
    with pytest.raises(LabError, match="HIL_LOCKS"), lease.lease("h563", "me"):
        pass
