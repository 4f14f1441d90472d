"""Twelve boards, four workers, holders killed at random: workers with -9, and whole runs.

The boards are hil-vboards that live as long as the test; OpenOCD programs them, QEMU runs the firmware.
HIL_SOAK_SECONDS is how long (30; 600 by hand). Each run claims all twelve, so that the next one can only begin when the
dead one holds none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import firmware, store
from harness.lab import lease
from harness.paths import BIN, ROOT
from harness.target import load
from tests.engine.bench import ready
from tests.engine.shelf import Shelf, shelf
from tests.engine.test_kill import GONE_WITHIN, MARK, gone

pytestmark = [
    pytest.mark.skipif(not (ready() and (BIN / "hil-vboard").exists()), reason="host programs are not built"),
    pytest.mark.xdist_group("boards"),
]

SECONDS = float(os.environ.get("HIL_SOAK_SECONDS", "30"))
BOARDS = 12
SCENARIOS = ("T12-02", "T12-01", "CH-05", "M3-02")
CLAIM_WITHIN = 20.0  # s for the next run to have its boards; a loaded machine needs 2


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[Shelf]:
    firmware.built(load()["f405-virtual"])  # not within the bound of a run's beginning
    with shelf(tmp_path, BOARDS) as made:
        yield made


class Run:
    """One `hil run` as a process."""

    def __init__(self, shelf: Shelf, number: int, *words: str) -> None:
        self.mark = uuid.uuid4().hex
        self.folder = shelf.folder / f"run-{number}"
        self.log = shelf.folder / f"run-{number}.log"
        command = [sys.executable, "-m", "harness.cli", "run", "--target", "f405-virtual", *SCENARIOS,
                   "--run-dir", str(self.folder), *words]  # fmt: skip
        env = {**os.environ, **shelf.environment, MARK: self.mark}
        nowhere = subprocess.DEVNULL
        with self.log.open("wb") as log:
            self.top = subprocess.Popen(command, cwd=ROOT, stdin=nowhere, stdout=nowhere, stderr=log, env=env)

    def holders(self) -> list[int]:
        """Workers that use a board now. (One that is only being started holds none; pytest-xdist gives the whole
        session up when such a one dies.)"""
        found = []
        for path in (self.folder / "secrets" / "boards").glob("*.lock"):
            with path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found += [int(word) for word in file.read().split()[:1]]
        return found

    def begun(self, within: float) -> bool:
        """Until the first verdict is told."""
        until = time.monotonic() + within
        while time.monotonic() < until and self.top.poll() is None:
            if "] " in self.log.read_text():
                return True
            time.sleep(0.05)
        return "] " in self.log.read_text()

    def kill(self) -> dict[int, str]:
        """-9; returns what is still there afterwards."""
        self.top.kill()
        self.top.wait(GONE_WITHIN)
        return gone(self.mark, GONE_WITHIN)

    def told(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith("[") and "] " in line[:12]]

    def accounted(self) -> Counter[str]:
        """Every verdict that was told is on disk; none is a failure of the device; those that are the lab's are because
        a worker was killed."""
        kept = store.read_verdicts(self.folder) if self.folder.exists() else []
        assert len(kept) >= len(self.told()), self.log.read_text()[-3000:]
        for verdict in kept:
            assert verdict.verdict in ("pass", "lab"), (verdict.id, verdict.verdict, verdict.why, verdict.notes)
            assert verdict.verdict == "pass" or "worker" in verdict.why, (verdict.id, verdict.why)
        # (A worker that was just being started when its controller was killed says so in execnet's words.)
        lines = self.log.read_text().splitlines()
        assert not [line for line in lines if line.startswith("  File") and "harness" in line]
        return Counter(verdict.verdict for verdict in kept)


def test_holders_are_killed_and_no_board_is_lost(boards: Shelf) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)  # noqa: S311
    print(f"seed {seed}")
    until = time.monotonic() + SECONDS
    totals: Counter[str] = Counter()
    endless = ("-n", "4", "--boards", str(BOARDS), "--repeat", "400", "--wait", str(CLAIM_WITHIN), "--",
               "--max-worker-restart=100000")  # fmt: skip
    number = killed_workers = killed_runs = 0
    while time.monotonic() < until:
        boards.turn(number * 5)
        run = Run(boards, number, *endless)
        number += 1
        try:
            assert run.begun(CLAIM_WITHIN + 40), run.log.read_text()[-2000:]
            held = [name for name in boards.boards if _holder(boards, name) is not None]
            assert len(held) == BOARDS, held
            for _ in range(dice.randint(2, 6)):
                time.sleep(dice.uniform(0.2, 2.5))  # the random moment is the test
                if holders := run.holders():
                    with contextlib.suppress(ProcessLookupError):  # the name of the one before
                        os.kill(dice.choice(holders), signal.SIGKILL)
                        killed_workers += 1
            assert run.top.poll() is None, run.log.read_text()[-2000:]
        finally:
            left = run.kill()
        killed_runs += 1
        assert not left, f"seed {seed}: still there: {left}"
        held = [name for name in boards.boards if _holder(boards, name) is not None]
        assert held == [], f"seed {seed}: held by the dead: {held}"
        totals += run.accounted()
    # And undisturbed: all there, each scenario exactly once a round.
    last = Run(boards, number, "-n", "4", "--boards", str(BOARDS), "--repeat", "3")
    assert last.top.wait(180) == 0, last.log.read_text()[-3000:]
    assert last.accounted()["pass"] == len({v.id for v in store.read_verdicts(last.folder)}) * 3
    assert not gone(last.mark, GONE_WITHIN)
    assert boards.witness.clashes == [], f"seed {seed}"
    used = Counter(board for board, _, _ in boards.witness.uses)
    print(f"{killed_workers} workers and {killed_runs} runs killed, verdicts {dict(totals)}, uses {dict(used)}")
    assert killed_workers >= 3 and killed_runs >= 1 and len(used) >= 4
    assert totals["lab"] <= killed_workers, "only what a killed worker was in"


def _holder(shelf: Shelf, board: str) -> lease.Holder | None:
    before = os.environ.get("HIL_LOCKS")
    os.environ["HIL_LOCKS"] = shelf.environment["HIL_LOCKS"]
    try:
        return lease.holder(board)
    finally:
        if before is None:
            del os.environ["HIL_LOCKS"]
        else:
            os.environ["HIL_LOCKS"] = before
