"""Holding places: who has them, and that they are given back in every exit path."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.device.console import Console
from harness.errors import BoardBusy, LabError, UsageError
from harness.lab import labgrid, labgrid_lock, lease
from harness.lab.inventory import BoardEntry, Labgrid
from harness.paths import ROOT
from tests.labgrid.rig import HOST, USER, Echo, Rig, until

ME = f"{HOST}/{USER}"
HOLDER = """
import os, signal, sys
from harness.lab import labgrid, lease
from harness.lab.inventory import BoardEntry, Labgrid
how, board, place, tags = sys.argv[1], sys.argv[2], sys.argv[3], dict(w.split("=") for w in sys.argv[4:])
entry = BoardEntry(id=board, target="native", labgrid=Labgrid(tags=tags) if tags else place)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
held = labgrid.claim(lease.acquire(board, "test"), entry, "test")
try:
    print("held", labgrid.reached(entry).serial, flush=True)
    sys.stdin.read()
    if how == "raise":
        raise RuntimeError("something else went wrong")
    if how == "exit":
        os._exit(7)  # no finaliser runs
finally:
    held.release()
"""


class Holder:
    """Another process that holds a place; it has it when `ready` returns."""

    def __init__(self, how: str, board: str, place: str, *tags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, how, board, place, *tags], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self.process.pid

    def ready(self) -> Holder:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("held rfc2217://127.0.0.1:"), (line, self.process.communicate(timeout=20))
        return self

    def end(self, number: int = 0) -> None:
        """By a signal, or of its own accord."""
        if number:
            os.kill(self.pid, number)
        self.process.communicate("", timeout=30)

    def kill_keeper(self) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        keepers = [c for c in children if b"hil-labgrid-keeper" in Path(f"/proc/{c}/cmdline").read_bytes()]
        assert len(keepers) == 1
        os.kill(int(keepers[0]), signal.SIGKILL)


@contextlib.contextmanager
def holder(how: str, board: str, place: str, *tags: str) -> Iterator[Holder]:
    child = Holder(how, board, place, *tags)
    try:
        yield child.ready()
    finally:
        child.end()


def board(name: str = "b1", **spec: object) -> BoardEntry:
    given = Labgrid(**spec) if spec else "p1"  # type: ignore[arg-type]
    return BoardEntry(id=name, target="native", labgrid=given)


def test_a_place_is_held_with_its_console_and_given_back(lab: Rig, tmp_path: Path) -> None:
    for _ in range(2):
        with labgrid.held(board(), "test") as reached:
            assert lab.holders() == {"p1": ME}
            assert reached.runner_prefix == () and reached.labgrid == ""
            with Console(reached.serial, tmp_path / "uart.log") as console:
                console.send(b"hello\n")
                assert console.wait_for(lambda line: "echo: hello" in line.text, 5.0, "the echo")
        assert lab.holders() == {}


def test_given_back_in_every_exit_path(lab: Rig) -> None:
    """Ends, raises, Ctrl-C, SIGTERM; and without any finaliser: os._exit and kill -9, where the keeper does it."""
    hows = {"end": 0, "raise": 0, "int": signal.SIGINT, "term": signal.SIGTERM, "exit": 0, "kill": signal.SIGKILL}
    children = {how: Holder(how, f"b{n}", f"p{n}") for n, how in enumerate(hows, 1)}
    for child in children.values():
        child.ready()
    assert lab.holders() == {f"p{n}": ME for n in range(1, 7)}
    for how, child in children.items():
        child.end(hows[how])
    with lease.lease("b6", "next"):  # of the one that was killed: free at once
        pass
    assert [child.process.returncode for child in children.values()] == [0, 1, -2, 143, 7, -9]
    until(lambda: lab.holders() == {}, 20.0, "all places are free")
    with labgrid.held(board("b6", place="p6"), "next"):
        pass


def test_killed_with_its_keeper(lab: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container torn down: nobody gave the place back. The next run on this host does, or `release-from` elsewhere;
    neither while the run lives."""
    with holder("wait", "b1", "p1") as first, holder("wait", "b2", "p2") as second:
        assert labgrid_lock.release_from(ME) == []
        assert lab.holders() == {"p1": ME, "p2": ME}
        for child in (first, second):
            child.kill_keeper()
            child.end(signal.SIGKILL)
    assert lab.holders() == {"p1": ME, "p2": ME}
    monkeypatch.setenv("LG_USERNAME", "ci-78")  # the next job has another name
    with labgrid.held(board(), "next"):
        assert lab.holders() == {"p1": f"{HOST}/ci-78", "p2": ME}
    assert labgrid_lock.release_from(f"{HOST}/ci-1") == []
    assert labgrid_lock.release_from(ME) == ["p2"]


def test_a_second_run_is_told_who_has_it_or_waits(lab: Rig) -> None:
    with holder("wait", "b1", "p1") as first:
        for name in ("b1", "other"):  # the same board, and another name for the same place
            with pytest.raises(BoardBusy) as busy, lease.lease(name, "second"), labgrid.held(board(name), "second"):
                pass
            assert busy.value.exit_code == 11 and f"process {first.pid}" in busy.value.what
        begun = time.monotonic()
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill {first.pid}"])
        with labgrid.held(board("other"), "third", wait=30.0):
            assert lab.holders() == {"p1": ME} and time.monotonic() - begun > 1.0
        killer.wait(5)


def test_a_place_of_another_host_is_busy(lab: Rig) -> None:
    lab.client("-p", "p1", "acquire", user="bob", host="far")
    with pytest.raises(BoardBusy, match="p1 is held by far/bob") as busy, labgrid.held(board(), "test"):
        pass
    assert busy.value.exit_code == 11
    with pytest.raises(BoardBusy, match="p1 by far/bob"), labgrid.held(board(tags={"slot": "1"}), "test"):
        pass
    assert lab.holders() == {"p1": "far/bob"} and lab.reservations() == 0
    lab.client("-p", "p1", "release", user="bob", host="far")


def test_the_users_own_labgrid(lab: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is acquired or reserved by hand is used and left; LG_ENV and the like lead nobody astray."""
    monkeypatch.setenv("LG_ENV", "/nonexistent.yaml")
    monkeypatch.setenv("LG_PLACE", "another")
    monkeypatch.setenv("LG_STATE", "shell")
    lab.client("-p", "p1", "acquire", user=USER)
    with labgrid.held(board(), "test") as reached:
        assert reached.serial
    assert lab.holders() == {"p1": ME}
    lab.client("-p", "p1", "release", user=USER)
    with pytest.raises(UsageError, match="LG_TOKEN"), labgrid.held(board(place="+"), "test"):
        pass
    token = lab.client("reserve", "--wait", "--shell", "slot=2", user=USER).split("=")[1].strip()
    monkeypatch.setenv("LG_TOKEN", token)
    with labgrid.held(board(place="+"), "test"):
        assert lab.holders() == {"p2": ME}
    assert lab.holders() == {} and lab.reservations() == 1
    lab.client("cancel-reservation", token)


def test_reserved_by_tags_two_boards_for_two_runs(lab: Rig) -> None:
    wanted = {"board": "h563"}
    with holder("wait", "b1", "", "board=h563"), holder("wait", "b2", "", "board=h563") as second:
        assert lab.holders() == {"p7": ME, "p8": ME}
        with pytest.raises(BoardBusy, match=r"p7 by host1/ci-77, p8 by host1/ci-77"):
            labgrid.hold(board("b3", tags=wanted), "third")
        with pytest.raises(LabError, match="no place with the tags board=s5d9") as none:
            labgrid.hold(board("b3", tags={"board": "s5d9"}), "third")
        assert none.value.exit_code == 10
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill {second.pid}"])
        with labgrid.held(board("b3", tags=wanted), "third", wait=30.0):
            assert set(lab.holders()) == {"p7", "p8"}
        killer.wait(5)


def test_what_is_missing_is_one_line(own: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Echo(own.port("p1"))
    exporter = own.start_exporter()
    with pytest.raises(LabError, match=r"has no place nix: .*there are: p1") as gone:
        labgrid.hold(board(place="nix"), "test")
    assert gone.value.exit_code == 10
    with pytest.raises(LabError, match="has no place p:"):  # labgrid itself takes any part of a name
        labgrid.hold(board(place="p"), "test")
    with pytest.raises(LabError, match="no run of this host holds its labgrid place") as error:
        labgrid.reached(board())
    assert error.value.cause == "lab.board_busy" and error.value.exit_code == 10
    monkeypatch.setenv("HIL_LABGRID_CLIENT", str(tmp_path / "none"))
    with pytest.raises(LabError, match=r"labgrid-client not found .*: run setup/labgrid.sh"):
        labgrid.hold(board(), "test")
    monkeypatch.delenv("HIL_LABGRID_CLIENT")
    exporter.kill()
    with pytest.raises(LabError, match=r"p1 cannot be acquired: .*no matching remote resource") as lost:
        labgrid.hold(board(), "test")
    assert lost.value.cause == "lab.serial_missing"
    own.coordinator.stop()
    begun = time.monotonic()
    with pytest.raises(LabError, match=f"no labgrid coordinator answers at {own.address}"):
        labgrid.hold(board(), "test")
    assert time.monotonic() - begun < 15
