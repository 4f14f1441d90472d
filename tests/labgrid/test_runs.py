"""Whole runs through labgrid: virtual boards whose console an exporter of labgrid has, flashed by OpenOCD through a
command prefix (here a program called `ssh` that notes each call and does what sshd would), their verdicts as without
labgrid.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.device.virtual import VirtualBoard, interface
from harness.errors import EXIT_BUSY, EXIT_INTERRUPTED, EXIT_LAB, EXIT_OK
from harness.lab import lease
from harness.paths import ROOT
from tests.engine.bench import hil, verdicts
from tests.labgrid.rig import HOST, USER, VENV, Rig, rig, until

ME = f"{HOST}/{USER}"
TARGET = "f405-virtual"
SUITE = ("CH-01", "CH-02", "CH-04", "CH-05", "CH-06", "CH-07", "CH-08", "CH-15", "CH-16", "T12-01", "T12-02", "T12-08",
         "T12-10", "X5-03", "M3-01", "M3-02", "M3-16")  # fmt: skip
LEAST = 20  # instances of it
DEFECT = "name_unchecked"  # so that some fail
RUN_TIMEOUT = 300.0  # s; 40 on a quiet machine


class Shelf:
    """Two virtual boards, their consoles exported as the places vb1 and vb2."""

    def __init__(self, lab: Rig, folder: Path, boards: dict[str, VirtualBoard]) -> None:
        self.lab = lab
        self.folder = folder
        self.boards = boards
        self.ssh_log = folder / "ssh.log"
        self._ssh = folder / "ssh"
        self._ssh.write_text(f'#!/bin/sh\nshift\necho "$*" >>{self.ssh_log}\nexec sh -c "$*"\n')
        self._ssh.chmod(0o755)

    def write(self, path: Path, through_labgrid: bool, *names: str) -> None:
        """A lab.toml with these boards (all)."""
        blocks = []
        for name in names or tuple(self.boards):
            where = self.boards[name].folder
            keys: dict[str, object] = {"id": name, "target": TARGET}
            if through_labgrid:
                keys |= {"labgrid": name, "uplink": str(where / "uplink"), "runner_params": list(interface(where)),
                         "runner_prefix": [str(self._ssh), "labhost"]}  # fmt: skip
            else:
                keys["virtual"] = str(where)
            blocks.append("[[board]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
        path.write_text("\n".join(blocks))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    assert (VENV / "labgrid-client").exists(), "labgrid is not installed: run setup/labgrid.sh"
    folder = tmp_path_factory.mktemp("night")
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(rig(folder, {"vb1": {}, "vb2": {}}))
        boards = {}
        for name in ("vb1", "vb2"):
            boards[name] = VirtualBoard(folder / name, "stm32f405", "netduinoplus2")
            stack.callback(boards[name].close)
            lab.export(name, os.path.realpath(boards[name].folder / "console"))
        lab.start_exporter()
        yield Shelf(lab, folder, boards)


@pytest.fixture
def shelf_toml(night: Shelf, lab_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LG_COORDINATOR", night.lab.address)
    return lab_folder / "lab.toml"


class Run:
    """`hil run`, as a person starts it."""

    def __init__(self, run_dir: Path, *words: str) -> None:
        self.dir = run_dir
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.cli", "run", "--target", TARGET, "--run-dir", str(run_dir), *words],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self.pid = self._process.pid

    def wait_for(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        """Something that happens while it runs."""
        until(lambda: true() or self._process.poll() is not None, seconds, what)
        assert true(), f"the run ended before {what}: {self._process.communicate(timeout=10)[0]}"

    def end(self, timeout: float = RUN_TIMEOUT) -> tuple[int, str]:
        """Exit status and what it said."""
        out, _ = self._process.communicate(timeout=timeout)
        return self._process.returncode, out

    def told(self) -> list[dict[str, Any]]:
        """Verdicts of attempts that are on disk."""
        return [json.loads(path.read_text()) for path in sorted(self.dir.glob("*/*/attempt-*/verdict.json"))]

    def labs(self) -> int:
        return sum(v["verdict"] == "lab" for v in self.told())

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.communicate(timeout=30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts a run by a name and its words; whatever still runs at the end of the test is killed."""
    with contextlib.ExitStack() as stack:

        def made(name: str, *words: str) -> Run:
            run = Run(tmp_path / name, *words)
            stack.callback(run.close)
            return run

        yield made


def judged(run_dir: Path) -> dict[str, Any]:
    """By scenario: verdict, causes, alerts."""
    return {
        v["id"]: (v["verdict"], [c["id"] for c in v["causes"]], [(a["sender"], a["code"]) for a in v["alerts"]])
        for v in verdicts(run_dir)
    }


def test_the_same_suite_gives_the_same_verdicts(night: Shelf, shelf_toml: Path, start: Callable[..., Run]) -> None:
    results = {}
    for way in ("local", "labgrid"):
        night.write(shelf_toml, way == "labgrid")
        run = start(way, "--defect", DEFECT, *SUITE)
        if way == "labgrid":
            run.wait_for(lambda: night.lab.holders() == {"vb1": ME, "vb2": ME}, 60.0, "both places are held")
        code, out = run.end()
        assert code == 1, out
        results[way] = judged(run.dir)
    assert results["local"] == results["labgrid"]
    names = [verdict for verdict, _, _ in results["local"].values()]
    assert len(names) >= LEAST and names.count("fail") >= 2 and names.count("pass") >= 15
    assert set(names) <= {"pass", "fail", "warn", "skip"}, results["local"]
    assert night.lab.holders() == {}
    assert "openocd" in night.ssh_log.read_text()


def test_who_is_second_who_waits_and_how_runs_end(night: Shelf, shelf_toml: Path, start: Callable[..., Run]) -> None:
    """Killed -9, the place goes to the run that waits; Ctrl-C and SIGTERM give it back; others are told who has it."""
    night.write(shelf_toml, True, "vb1")
    lab = night.lab
    first = start("first", "CH-01", "--repeat", "50")
    first.wait_for(lambda: bool(first.told()), 90.0, "a verdict")
    code, out = start("second", "CH-01").end(60.0)
    assert code == EXIT_BUSY and "vb1 is held by" in out and f"process {first.pid}" in out, out
    third = start("third", "CH-01", "--repeat", "50", "--wait", "120")
    assert lab.holders() == {"vb1": ME}
    os.kill(first.pid, signal.SIGKILL)
    first.end()
    third.wait_for(lambda: bool(third.told()), 90.0, "a verdict of the run that waited")
    assert lab.holders() == {"vb1": ME}
    os.killpg(third.pid, signal.SIGINT)
    code, out = third.end()
    assert code == EXIT_INTERRUPTED and lease.holder("vb1") is None, out
    assert lab.holders() == {}
    lab.client("-p", "vb1", "acquire", user="bob", host="far")
    code, out = start("fourth", "CH-01").end(60.0)
    assert code == EXIT_BUSY and "labgrid place vb1 is held by far/bob" in out, out
    lab.client("-p", "vb1", "release", user="bob", host="far")
    fifth = start("fifth", "CH-01", "--repeat", "50")
    fifth.wait_for(lambda: bool(fifth.told()), 90.0, "a verdict")
    os.kill(fifth.pid, signal.SIGTERM)
    fifth.end()
    until(lambda: lab.holders() == {}, 30.0, "the place is free after SIGTERM")


def test_the_lab_fails_in_the_middle_and_the_run_ends_well(
    night: Shelf, shelf_toml: Path, start: Callable[..., Run]
) -> None:
    """The coordinator restarts (it forgets who has what); then the exporter's host loses power and comes back."""
    night.write(shelf_toml, True, "vb1")
    lab, exporter = night.lab, night.lab.exporter
    assert exporter is not None
    run = start("run", "CH-01", "--repeat", "8")
    run.wait_for(lambda: bool(run.told()), 90.0, "a first verdict")
    lab.coordinator.kill()
    exporter.ended()
    assert lease.holder("vb1") is not None
    lab.coordinator.start()
    exporter.start()
    run.wait_for(lambda: lab.holders() == {"vb1": ME}, 60.0, "the place is taken again")
    passed = sum(v["verdict"] != "lab" for v in run.told())
    run.wait_for(lambda: sum(v["verdict"] != "lab" for v in run.told()) > passed, 60.0, "a verdict after that")
    before = run.labs()
    exporter.kill()
    run.wait_for(lambda: run.labs() > before, 60.0, "an attempt that is the lab's fault")
    exporter.start()
    code, out = run.end()
    given = verdicts(run.dir)
    assert len(given) == 8 and lab.holders() == {}
    assert {v["verdict"] for v in given} == {"pass", "flaky"}, [(v["verdict"], v["why"], v["notes"]) for v in given]
    assert code == EXIT_OK, out
    lost = [v for v in run.told() if v["verdict"] == "lab"]
    assert lost and {c["id"] for v in lost for c in v["causes"]} == {"lab.serial_missing"}, [v["why"] for v in lost]


def test_a_place_that_is_not_there_ends_with_10(night: Shelf, shelf_toml: Path, start: Callable[..., Run]) -> None:
    night.write(shelf_toml, True, "vb1")
    shelf_toml.write_text(shelf_toml.read_text().replace('labgrid = "vb1"', 'labgrid = "vb9"'))
    code, out = start("run", "CH-01").end(60.0)
    assert code == EXIT_LAB and "has no place vb9" in out and out.count("\n") <= 2, out


def test_a_board_is_looked_at_through_labgrid(night: Shelf, shelf_toml: Path) -> None:
    """`hil boards --check` holds the place and lends it to the run that is its last step."""
    night.write(shelf_toml, True, "vb1")
    done = hil("boards", "--check", "vb1", "--json", timeout=180)
    steps = {step["step"]: step["result"] for step in json.loads(done.stdout)["steps"]}
    assert done.returncode == EXIT_OK and set(steps.values()) == {"ok"} and "network" in steps, done.stderr
    assert night.lab.holders() == {}
