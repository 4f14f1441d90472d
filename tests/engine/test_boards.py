"""Boards before a run begins: missing, held, set aside: one line, the right exit code, at once, and nothing was
built."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lab import quarantine
from harness.lab.lease import acquire
from harness.paths import ROOT
from tests.engine.bench import hil

LIMIT = 3.0  # s, start of Python included


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lab of our own: `lab.toml`, locks and state."""
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HIL_RUN", str(tmp_path / "run"))
    (tmp_path / "lab.toml").write_text("")
    yield tmp_path


def board(lab: Path, name: str, target: str = "h563", more: str = "virtual = true") -> None:
    with (lab / "lab.toml").open("a") as file:
        file.write(f'[[board]]\nid = "{name}"\ntarget = "{target}"\n{more}\n')


def refused(lab: Path, *words: str) -> tuple[int, str]:
    """Exit code and the one line. Nothing was built, no run was begun. The time is the best of three: others may be
    using the machine."""
    times = []
    for _ in range(3):
        begun = time.monotonic()
        done = hil("run", *(words or ("--target", "h563")), "--run-dir", str(lab / "run"), timeout=60)
        times.append(time.monotonic() - begun)
        said = done.stderr.strip().splitlines()
        assert len(said) == 1 and said[0].startswith("hil: "), done.stderr
        assert not (lab / "run").exists()
        if times[-1] < LIMIT:
            break
    assert min(times) < LIMIT, times
    return done.returncode, said[0]


def test_no_board_of_the_kind(lab: Path) -> None:
    assert refused(lab) == (10, "hil: h563: no board of this kind in lab.toml: attach one and run hil boards --scan")


def test_no_lab_at_all(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIL_LAB")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab))
    if (ROOT / "lab.toml").exists():
        pytest.skip("this machine has a lab")
    assert refused(lab)[0] == 10


@pytest.mark.parametrize(
    ("more", "text"),
    [('serial = "/dev/serial/by-id/none"\nprobe_id = "A1"\ncapture = "lo"\nbroker_address = "127.0.0.1"',
      "no probe with serial number A1 is attached"),
     ('serial = "/dev/serial/by-id/none"\nprobe_path = "9-9.9"\ncapture = "lo"\nbroker_address = "127.0.0.1"',
      "no probe at USB path 9-9.9"),
     ('serial = "/dev/serial/by-id/none"\ncapture = "lo"\nbroker_address = "127.0.0.1"',
      "no console at /dev/serial/by-id/none"),
     ('virtual = "/nonexistent"', "no virtual board runs in /nonexistent")],
)  # fmt: skip
def test_a_board_that_is_not_attached(lab: Path, more: str, text: str) -> None:
    board(lab, "h563-1", more=more)
    code, said = refused(lab)
    assert code == 10 and "h563-1" in said and text in said


@pytest.mark.parametrize("key", ["serial", "capture", "broker_address"])
def test_an_entry_that_says_too_little(lab: Path, key: str) -> None:
    keys = {"serial": "/dev/null", "capture": "lo", "broker_address": "127.0.0.1"}
    board(lab, "h563-1", more="\n".join(f'{k} = "{v}"' for k, v in keys.items() if k != key))
    code, said = refused(lab)
    assert code == 4 and "h563-1" in said and f"`{key}`" in said


def test_held(lab: Path) -> None:
    board(lab, "h563-1")
    held = acquire("h563-1", "somebody's afternoon")
    try:
        code, said = refused(lab)
    finally:
        held.release()
    assert code == 11 and "h563-1 is held by" in said and "somebody's afternoon" in said and "--wait" in said


def test_held_by_one_that_dies(lab: Path) -> None:
    """A lock is the kernel's: nothing has to be cleaned up after kill -9."""
    board(lab, "h563-1")
    code = "from harness.lab.lease import acquire; h = acquire('h563-1', 'x'); print('held', flush=True); input()"
    words, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        assert refused(lab)[0] == 11
        holder.kill()
        holder.wait(10)
    acquire("h563-1", "next").release()


def test_waiting_for_a_held_board(lab: Path) -> None:
    board(lab, "h563-1")
    held = acquire("h563-1", "x")
    try:
        done = hil("run", "--target", "h563", "--wait", "1.5", "--run-dir", str(lab / "run"), timeout=30)
    finally:
        held.release()
    assert done.returncode == 11
    first, last = done.stderr.strip().splitlines()
    assert first.startswith("waiting: h563-1 is held by") and "waited 1.5 s" in last


def test_set_aside(lab: Path) -> None:
    board(lab, "h563-1")
    quarantine.put("h563-1", "smoke came out")
    code, said = refused(lab)
    assert code == 12 and "smoke came out" in said and "--release h563-1" in said


def test_one_set_aside_and_one_held_is_busy(lab: Path) -> None:
    """Waiting would help."""
    board(lab, "h563-1")
    board(lab, "h563-2")
    quarantine.put("h563-1", "broken")
    held = acquire("h563-2", "x")
    try:
        assert refused(lab)[0] == 11
    finally:
        held.release()


def test_several_targets_all_or_none(lab: Path) -> None:
    """The first target's board is free again after the second had none."""
    board(lab, "h563-1")
    assert refused(lab, "--target", "h563,s5d9")[0] == 10
    acquire("h563-1", "free").release()


def test_all_boards_of_an_empty_lab(lab: Path) -> None:
    code, said = refused(lab, "--all-boards")
    assert code == 10 and "no board in lab.toml" in said


def test_all_boards_and_a_target(lab: Path) -> None:
    assert refused(lab, "--all-boards", "--target", "h563")[0] == 4


def test_make_shows_the_line_and_the_code(lab: Path) -> None:
    """GNU make can only exit 2; it shows ours. `-o setup`: nothing is installed by a test."""
    done = subprocess.run(["make", "-o", "setup", "hil", "TARGET=h563"], cwd=ROOT, capture_output=True, text=True,
                          timeout=30, check=False, env={**os.environ, "MAKEFLAGS": ""})  # fmt: skip
    assert done.returncode == 2
    assert "hil: h563: no board of this kind in lab.toml: attach one and run hil boards --scan" in done.stderr
    assert "Error 10" in done.stderr


def test_the_other_door(lab: Path) -> None:
    words = [sys.executable, "-m", "pytest", "scenarios", "--target", "h563", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 10 and "no board of this kind" in done.stderr
