"""A shelf of boards, most of them broken in a way of their own, and two good ones, in one run: each broken board costs
one scenario, which is `lab` with that fault's cause; all others pass on the good boards; the exit code is 10."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from harness.device.virtual import ask
from harness.paths import BIN
from tests.engine.bench import hil, ready, verdicts
from tests.engine.shelf import shelf
from tests.flash.table import FAULTS

pytestmark = [
    pytest.mark.skipif(not (ready() and (BIN / "hil-vboard").exists()), reason="host programs are not built"),
    pytest.mark.xdist_group("boards"),
]

SLOW = ("bsy_stuck", "loader_stuck", "lockup", "probe_silent")  # OpenOCD's own waiting; see test_openocd_rows
SCENARIOS = ("T12-01", "T12-02", "CH-04", "CH-05", "CH-06", "M3-02")
GOOD = 2
REPEAT = 4


def test_a_shelf_of_broken_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [
        fault for fault in FAULTS
        if fault.fault and not fault.mends and not fault.change and fault.fault not in SLOW
        and fault.cause != "lab.probe_missing"  # refused before the run
    ]  # fmt: skip
    with shelf(tmp_path, len(wanted) + GOOD) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        broken = {f"vb{number}": fault for number, fault in enumerate(wanted, 1)}
        for board, fault in broken.items():
            ask(made.boards[board].folder, f"fault {fault.fault}")
        begun = time.monotonic()
        words = ("--repeat", str(REPEAT), "-n", "6", "--boards", str(len(made.boards)), *SCENARIOS)
        done = hil("run", "--target", "f405-virtual", "--run-dir", str(tmp_path / "run"), *words, timeout=280)
        assert done.returncode == 10, done.stderr
        assert time.monotonic() - begun < 200
        given = verdicts(tmp_path / "run")
        assert made.witness.clashes == []
    assert len(given) == len(SCENARIOS) * REPEAT
    counts = Counter(verdict["verdict"] for verdict in given)
    assert counts == {"lab": len(broken), "pass": len(given) - len(broken)}, done.stderr
    blamed = {}
    for verdict in given:
        if verdict["verdict"] == "lab":
            board = verdict["why"].split(":")[0].split()[-1]
            blamed[board] = verdict["causes"][0]["id"]
            assert verdict["causes"][0]["side"] == "lab"
            assert verdict["causes"][0]["fix"]
    assert blamed == {board: fault.cause for board, fault in broken.items()}
