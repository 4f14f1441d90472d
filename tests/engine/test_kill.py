"""kill -9 at any moment: nothing stays behind but the verdicts already given."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from harness import store
from harness.errors import EXIT_LAB
from harness.paths import BUILD, ROOT
from tests.engine.bench import hil, ready

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("engine")]

TIMES = 30
LATEST = 3.5  # seconds after the start; sandbox, build and certificates take the first
GONE_WITHIN = 10.0
MARK = "HIL_TEST_MARK"


def marked(mark: str) -> dict[int, str]:
    """Processes that carry the mark in their environment: pid → command line. Zombies are not counted."""
    found = {}
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes():
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
        except OSError:
            continue
    return found


def gone(mark: str, timeout: float) -> dict[int, str]:
    """What is still there after at most `timeout` seconds."""
    until = time.monotonic() + timeout
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def unlocked(path: Path) -> bool:
    if not path.exists():
        return True
    until = time.monotonic() + GONE_WITHIN
    with path.open("a") as file:
        while time.monotonic() < until:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.05)
                continue
            return True
    return False


@pytest.mark.parametrize("number", range(TIMES))
def test_kill(number: int, tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)  # noqa: S311
    mark = uuid.uuid4().hex
    log = tmp_path / "stderr"
    run_dir = tmp_path / "run"
    words = [sys.executable, "-m", "harness.cli", "run", "--target", "native", "--run-dir", str(run_dir), "-n", "2"]
    with log.open("wb") as errors:
        top = subprocess.Popen(words, cwd=ROOT, env={**os.environ, MARK: mark}, stderr=errors, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        time.sleep(dice.uniform(0.05, LATEST))  # the random moment is the test, not a wait for something
        victims = [top.pid]
        victims += [pid for pid, line in marked(mark).items() if "harness.cli" in line and pid != top.pid]
        victim = dice.choice(victims)
        os.kill(victim, signal.SIGKILL)
        left = gone(mark, GONE_WITHIN)
        assert not left, f"seed {seed}: still there after {victim} of {victims} was killed: {left}"
    finally:
        if top.poll() is None:
            top.kill()
        top.wait(GONE_WITHIN)
    assert unlocked(BUILD / "fw" / ".native.lock")
    said = [line for line in log.read_text().splitlines() if line.startswith("[") and "/" in line.split("]")[0]]
    kept = store.read_verdicts(run_dir) if run_dir.exists() else []
    assert len(kept) >= len(said), f"seed {seed}: {len(said)} verdicts told, {len(kept)} on disk"
    if kept:
        done = hil("report", str(run_dir), timeout=60)
        assert done.returncode == 0, done.stderr
        assert (run_dir / "run.json").exists()
    damaged = [p for p in run_dir.glob("*/*/verdict.json") if not p.read_bytes().endswith(b"}\n")]
    assert damaged == []


def test_an_interrupt_keeps_what_was_judged(tmp_path: Path) -> None:
    """Ctrl-C: exit 2, run.json and the reports are there, nothing stays behind."""
    mark = uuid.uuid4().hex
    words = [sys.executable, "-m", "harness.cli", "run", "--target", "native", "--run-dir", str(tmp_path), "-n", "2"]
    top = subprocess.Popen(words, cwd=ROOT, env={**os.environ, MARK: mark}, stderr=subprocess.PIPE, text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0)  # fmt: skip
    try:
        assert top.stderr is not None
        for line in top.stderr:
            if line.startswith("[") and " pass " in line:
                break
        os.killpg(top.pid, signal.SIGINT)
        rest = top.stderr.read()
        assert top.wait(60) == 2, rest
    finally:
        if top.poll() is None:
            top.kill()
            top.wait(GONE_WITHIN)
    assert "Traceback" not in rest
    assert (tmp_path / "run.json").exists() and (tmp_path / "junit.xml").exists()
    totals = store.read_run(tmp_path).totals
    assert totals["pass"] >= 1 and "lab" not in totals, totals
    assert not gone(mark, GONE_WITHIN)


def test_a_worker_that_dies_is_a_lab_verdict_and_hides_nothing(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    words = [sys.executable, "-m", "harness.cli", "run", "--target", "native", "--run-dir", str(tmp_path), "-n", "2",
             "-k", "T12 or M3-35"]  # fmt: skip
    top = subprocess.Popen(words, cwd=ROOT, env={**os.environ, MARK: mark}, stderr=subprocess.PIPE, text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    told = []
    try:
        assert top.stderr is not None
        killed = False
        for line in top.stderr:
            told.append(line)
            if not killed and " pass " in line:
                workers = [pid for pid, command in marked(mark).items() if "sys.stdin.readline" in command]
                os.kill(workers[0], signal.SIGKILL)
                killed = True
        assert top.wait(60) == EXIT_LAB, "".join(told)
    finally:
        if top.poll() is None:
            top.kill()
            top.wait(GONE_WITHIN)
    summary = store.read_run(tmp_path)
    lost = [v for v in summary.verdicts if v.verdict == "lab"]
    assert len(lost) == 1 and "worker" in lost[0].why
    assert {v.id.partition("[")[0] for v in summary.verdicts} >= {f"T12-{n:02}" for n in range(1, 16)} | {"M3-35"}
    assert "Traceback" not in "".join(told)
