"""The boards of a run: claimed whole or not at all, used by one worker at a time, free again when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from harness.errors import BoardBusy, BoardQuarantined, LabError
from harness.lab import pool, quarantine
from harness.lab.inventory import BoardEntry
from harness.lab.lease import acquire, holder
from harness.paths import ROOT

LAB = {
    name: BoardEntry(id=name, target=target, virtual=True)
    for name, target in (("a1", "h563"), ("a2", "h563"), ("a3", "h563"), ("b1", "s5d9"))
}


# -- claims --


def test_a_claim_takes_every_free_board() -> None:
    held = acquire("a2", "somebody else")
    claims = pool.claim(["h563", "s5d9"], LAB, "run")
    assert claims.boards == {"h563": ("a1", "a3"), "s5d9": ("b1",)} and len(claims) == 3
    who = holder("a1")
    assert who is not None and who.reason == "run"
    claims.release()
    claims.release()
    held.release()
    assert [holder(name) for name in LAB] == [None] * 4


def test_a_claim_takes_no_more_than_asked_for() -> None:
    claims = pool.claim(["h563"], LAB, "run", most=2)
    assert claims.boards == {"h563": ("a1", "a2")}
    assert holder("a3") is None
    claims.release()


def test_all_targets_or_none() -> None:
    held = acquire("b1", "x")
    with pytest.raises(BoardBusy, match="b1 is held by"):
        pool.claim(["h563", "s5d9"], LAB, "run")
    assert [holder(name) for name in ("a1", "a2", "a3")] == [None] * 3
    held.release()


def test_a_partial_claim_says_what_it_goes_without() -> None:
    held = acquire("b1", "x")
    claims = pool.claim(["h563", "s5d9", "f429-w5500"], LAB, "run", partial=True)
    assert set(claims.boards) == {"h563"}
    assert isinstance(claims.refused["s5d9"], BoardBusy)
    assert "no board of this kind" in str(claims.refused["f429-w5500"])
    claims.release()
    held.release()


def test_waiting_ends_when_the_holder_lets_go() -> None:
    held = acquire("b1", "x")
    said: list[str] = []
    threading.Timer(0.5, held.release).start()
    claims = pool.claim(["h563", "s5d9"], LAB, "run", wait=20, say=said.append)
    assert claims.boards["s5d9"] == ("b1",)
    assert len(said) == 1 and "b1 is held by" in said[0]
    claims.release()


def test_who_waits_holds_nothing() -> None:
    """Two runs that want the same two boards can never wait for each other."""
    held = acquire("b1", "x")
    free = []

    def look() -> None:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            free.append(holder("a1") is None)
            time.sleep(0.005)
        held.release()

    thread = threading.Thread(target=look)
    thread.start()
    pool.claim(["h563", "s5d9"], LAB, "run", wait=20).release()
    thread.join()
    assert sum(free) > len(free) / 2


def test_quarantine() -> None:
    quarantine.put("b1", "dead")
    with pytest.raises(BoardQuarantined, match="dead"):
        pool.claim(["s5d9"], LAB, "run")
    for name in ("a1", "a3"):
        quarantine.put(name, "dead too")
    claims = pool.claim(["h563"], LAB, "run")
    assert claims.boards == {"h563": ("a2",)}
    claims.release()


def test_two_boards_that_call_the_same_broker_are_not_in_one_run() -> None:
    """Unmodified firmware: its broker's address and port are in it."""
    said: list[str] = []
    same = {"a1": "10.0.0.1:8883", "a2": "10.0.0.1:8883", "a3": "10.0.0.2:8883", "b1": "10.0.0.1:8883"}
    claims = pool.claim(["h563"], LAB, "run", calls=lambda entry: same[entry.id], say=said.append)
    assert claims.boards == {"h563": ("a1", "a3")} and holder("a2") is None
    assert said == ["a2 is left out: its firmware calls 10.0.0.1:8883, as that of a1 does"]
    claims.release()
    held = acquire("a1", "x")
    claims = pool.claim(["h563"], LAB, "run", calls=lambda entry: same[entry.id])
    assert claims.boards == {"h563": ("a2", "a3")}, "only who is in the run counts"
    claims.release()
    held.release()
    with pytest.raises(LabError, match=r"s5d9: b1 is left out: .* as that of a1 does: run the targets one after"):
        pool.claim(["h563", "s5d9"], LAB, "run", calls=lambda entry: same[entry.id])
    claims = pool.claim(["h563", "s5d9"], LAB, "run", partial=True, calls=lambda entry: same[entry.id])
    assert set(claims.boards) == {"h563"} and "b1 is left out" in str(claims.refused["s5d9"])
    claims.release()


# -- uses --


def test_two_workers_get_two_boards(tmp_path: Path) -> None:
    first, second = (pool.Pool(tmp_path, {"h563": ("a1", "a2")}, {}, turn) for turn in (0, 1))
    with first.use("h563", "x") as one, second.use("h563", "y") as two:
        assert (one.board, two.board) == ("a1", "a2")
    with second.use("h563", "z") as again:
        assert again.board == "a2", "a worker stays with its board"


def test_a_board_in_use_is_waited_for(tmp_path: Path) -> None:
    first, second = (pool.Pool(tmp_path, {"h563": ("a1",)}, {}, turn) for turn in (0, 1))
    refused = pytest.raises(LabError, match="no board of this run became free")
    with first.use("h563", "x"), refused, second.use("h563", "y", wait=0.2):
        pytest.fail("one board was used twice")
    with second.use("h563", "y", wait=0.2) as use:
        assert use.board == "a1"


def test_what_a_board_holds_is_known_to_the_next_worker(tmp_path: Path) -> None:
    first, second = (pool.Pool(tmp_path, {"h563": ("a1",)}, {}) for _ in range(2))
    with first.use("h563", "x") as use:
        assert use.known.holds == ""
        use.holds("abc")
    with second.use("h563", "y") as use:
        assert use.known.holds == "abc"
        use.holds("")  # programming begins, and the worker dies in it


def test_a_board_that_fails_is_out_after_three_times_in_a_row(tmp_path: Path) -> None:
    one = pool.Pool(tmp_path, {"h563": ("a1",)}, {})
    error = LabError("lab.flash_failed", "WRPERR", "unlock it")
    for again in (False, True):
        for _ in range(2):
            with one.use("h563", "x") as use:
                use.failed(error)
        if not again:
            with one.use("h563", "x") as use:
                use.worked()
    with one.use("h563", "x") as use:
        use.failed(error)
    said = "no board is left: a1 is out: 3 lab errors in a row, the last: WRPERR"
    with pytest.raises(LabError, match=said) as left, one.use("h563", "x"):
        pytest.fail("it is out")
    assert (left.value.cause, left.value.fix) == ("lab.flash_failed", "unlock it")


def test_the_others_go_on_without_it(tmp_path: Path) -> None:
    one = pool.Pool(tmp_path, {"h563": ("a1", "a2")}, {})
    with one.use("h563", "x") as use:
        use.failed(LabError("lab.probe_silent", "no answer"), out="wedged")
    for _ in range(3):
        with one.use("h563", "x") as use:
            assert use.board == "a2"


def test_a_target_without_boards_says_why(tmp_path: Path) -> None:
    one = pool.Pool(tmp_path, {}, {"s5d9": ("lab.board_busy", "b1 is held", "wait")})
    assert one.serves("s5d9") and not one.serves("native")
    with pytest.raises(LabError, match="b1 is held") as error, one.use("s5d9", "x"):
        pytest.fail("there is none")
    assert error.value.cause == "lab.board_busy"


def test_an_error_in_the_block_frees_the_board(tmp_path: Path) -> None:
    one = pool.Pool(tmp_path, {"h563": ("a1",)}, {})
    with pytest.raises(LabError, match="boom"), one.use("h563", "x"):
        raise LabError("lab.disk_full", "boom")
    with one.use("h563", "x", wait=0.1):
        pass


WORKER = """
import os, sys, time
from pathlib import Path
from harness.lab import pool

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

def dead(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True

def enter(mark):
    # Nobody else may be in here. A mark that is there is a dead worker's, or the proof that a board was used twice.
    # A link, so that it never is without its owner's number, whenever that one is killed.
    own = mark.with_name(f"{mark.name}.{os.getpid()}")
    own.write_text(str(os.getpid()))
    until = time.monotonic() + 5
    while True:
        try:
            os.link(own, mark)
            own.unlink()
            return
        except FileExistsError:
            owner = mark.read_text() if mark.exists() else ""
        if owner and dead(owner):
            say("took over", mark.name)
            mark.unlink()
        elif not owner or time.monotonic() > until:
            say("CLASH", mark.name, owner)
            mark.unlink(missing_ok=True)
        time.sleep(0.01)  # a process that was killed takes a moment to be gone

one = pool.Pool(Path(sys.argv[1]), {"h563": tuple(sys.argv[2].split(","))}, {}, int(sys.argv[3]))
while True:
    with one.use("h563", f"worker {sys.argv[3]}") as use:
        mark = Path(sys.argv[4]) / use.board
        enter(mark)
        time.sleep(0.002)
        mark.unlink()
    say("used", use.board)
"""


def test_killed_workers_free_their_boards_and_none_is_used_twice(tmp_path: Path) -> None:
    """Eight processes, three boards, kill -9 again and again; a marker file that only one may create is the witness."""
    marks = tmp_path / "marks"
    marks.mkdir()
    boards = tmp_path / "boards"
    out = tmp_path / "out"

    def start(number: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", WORKER, str(boards), "a1,a2,a3", str(number), str(marks)]
        with out.open("ab") as file:
            return subprocess.Popen(words, cwd=ROOT, stdout=file, stderr=file)

    workers = [start(number) for number in range(8)]
    until = time.monotonic() + float(os.environ.get("HIL_SOAK_SECONDS", "30")) / 5
    latest = until + 60  # a loaded machine starts workers slowly
    kills = 0
    try:
        while (now := time.monotonic()) < until or (now < latest and out.read_text().count("used") < 500):
            time.sleep(0.15 if now < until else 1.0)
            victim = kills % len(workers)
            workers[victim].send_signal(signal.SIGKILL)
            workers[victim].wait(10)
            workers[victim] = start(victim)
            kills += 1
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait(10)
    said = out.read_text().splitlines()
    assert not [line for line in said if "CLASH" in line or "Error" in line], said[-20:]
    assert kills >= 10 and sum(line.startswith("used") for line in said) > 100
    used = {line.split()[1] for line in said if line.startswith("used")}
    assert used == {"a1", "a2", "a3"}
    # All free now.
    with pool.Pool(boards, {"h563": ("a1",)}, {}).use("h563", "after", wait=1.0):
        pass
    assert all(msgspec.json.decode(path.read_bytes()) for path in boards.glob("*.json"))
