"""Eight runs on one host at once: native processes, an emulated Cortex-M33, virtual boards of their own and of a shelf.
No port, capture, UART or broker is anybody else's; every verdict is what it is alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.evidence import wire
from harness.lab import lease
from harness.paths import BIN, ROOT
from tests.engine.bench import ready, verdicts
from tests.engine.shelf import Shelf, shelf
from tests.engine.test_kill import GONE_WITHIN, MARK, gone

pytestmark = [
    pytest.mark.skipif(not (ready() and (BIN / "hil-vboard").exists()), reason="host programs are not built"),
    pytest.mark.xdist_group("boards"),
]

GOOD = {"T12-01": "pass", "T12-02": "pass", "CH-05": "pass", "M3-02": "pass"}
RUNS: tuple[tuple[tuple[str, ...], dict[str, str]], ...] = (
    (("--target", "native", "-n", "2"), GOOD),
    (("--target", "native", "-n", "2", "--defect", "no_client_cert"), GOOD | {"T12-01": "fail", "T12-02": "fail"}),
    (("--target", "native-mbedtls", "-n", "0"), GOOD),
    (("--target", "qemu-m33", "-n", "2"), GOOD),
    (("--target", "qemu-m4", "-n", "0"), GOOD),
    (("--target", "f405-virtual", "-n", "1", "OWN"), GOOD),
    (("--target", "f405-virtual", "-n", "1", "--wait", "100"), GOOD),
    (("--target", "f405-virtual,native", "-n", "2", "--wait", "100"), GOOD),
)


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[Shelf]:
    with shelf(tmp_path, 2) as made:
        yield made


def start(shelf: Shelf, number: int, words: tuple[str, ...], mark: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, **shelf.environment, MARK: mark}
    if "OWN" in words:  # an empty lab: it makes its own board
        env["HIL_LAB"] = str(shelf.folder / "empty.toml")
        (shelf.folder / "empty.toml").touch()
    command = [sys.executable, "-m", "harness.cli", "run", *(w for w in words if w != "OWN"), *GOOD,
               "--run-dir", str(shelf.folder / f"run-{number}")]  # fmt: skip
    with (shelf.folder / f"run-{number}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def test_eight_runs_at_once(boards: Shelf) -> None:
    mark = uuid.uuid4().hex
    runs = [start(boards, number, words, mark) for number, (words, _) in enumerate(RUNS)]
    until = time.monotonic() + 240
    try:
        codes = [run.wait(max(0.1, until - time.monotonic())) for run in runs]
    finally:
        for run in runs:
            if run.poll() is None:
                run.kill()
            run.wait(GONE_WITHIN)
    for number, (words, expected) in enumerate(RUNS):
        folder = boards.folder / f"run-{number}"
        said = f"{words}: " + (boards.folder / f"run-{number}.log").read_text()[-2500:]
        given = [(v["id"].partition("[")[0], v["verdict"]) for v in verdicts(folder)]
        wanted = sorted(expected.items()) * words[1].count(",") + sorted(expected.items())
        assert sorted(given) == sorted(wanted), said
        assert codes[number] == (1 if "fail" in expected.values() else 0), said
        captures = list(folder.glob("*/*/attempt-1/capture.pcapng"))
        assert len(captures) == len(wanted)
        for path in captures:
            servers = {event["server"] for event in wire.decode(path) if event["ev"] == "open"}
            assert len(servers) == 1, f"{path} holds packets of {servers}"
    assert boards.witness.clashes == []
    assert not gone(mark, GONE_WITHIN)


@pytest.mark.parametrize("after", [0.5, 3.0, 6.0])
def test_a_run_on_boards_that_is_killed_leaves_nothing(boards: Shelf, after: float) -> None:
    """-9 for the controller while it builds, programs, runs: no process, no lock; the boards are the next one's."""
    mark = uuid.uuid4().hex
    top = start(boards, 0, ("--target", "f405-virtual", "-n", "2", "--repeat", "50"), mark)
    try:
        time.sleep(after)  # the moment is the test
        assert top.poll() is None
        os.kill(top.pid, signal.SIGKILL)
        left = gone(mark, GONE_WITHIN)
        assert not left, left
    finally:
        if top.poll() is None:
            top.kill()
        top.wait(GONE_WITHIN)
    os.environ["HIL_LOCKS"] = boards.environment["HIL_LOCKS"]
    try:
        for name in boards.boards:
            lease.acquire(name, "the next one").release()
    finally:
        del os.environ["HIL_LOCKS"]
