"""A board that fails: its scenario is `lab`, the board is set aside after bounded tries, and nobody else notices.
(Each row of OpenOCD's table within a run: tests/flash/test_faults_in_a_run.py.)"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.device.virtual import ask
from harness.lab import quarantine
from harness.paths import BIN
from tests.engine.bench import hil, ready, verdicts
from tests.engine.shelf import Shelf, shelf

pytestmark = [
    pytest.mark.skipif(not (ready() and (BIN / "hil-vboard").exists()), reason="host programs are not built"),
    pytest.mark.xdist_group("boards"),
]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    with shelf(tmp_path, 2) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def run(shelf: Shelf, name: str, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    folder = shelf.folder / name
    done = hil("run", "--target", "f405-virtual", "--run-dir", str(folder), *words, timeout=280)
    return done.returncode, verdicts(folder) if (folder / "run.json").exists() else [], done.stderr


SIX = ("T12-01", "T12-02", "CH-04", "CH-05", "CH-06", "M3-02")


def test_a_wedged_board_is_set_aside_and_its_scenarios_say_so(two: Shelf) -> None:
    """The only board of the run: its scenarios are `lab` in bounded time, none vanishes, the next run is refused."""
    ask(two.boards["vb1"].folder, "fault verify_mismatch")
    quarantine.put("vb2", "not today")
    begun = time.monotonic()
    code, given, said = run(two, "a", *SIX)
    assert code == 10 and time.monotonic() - begun < 90, said
    assert len(given) == 6 and {v["verdict"] for v in given} == {"lab"}
    assert {v["causes"][0]["id"] for v in given} == {"lab.flash_verify_failed"}
    assert sum("no board is left" in v["why"] for v in given) == 5, "a wedged board is not tried again"
    assert quarantine.state("vb1").quarantined
    code, _, said = run(two, "b", "T12-01")
    assert code == 12 and "vb1" in said and len(said.splitlines()) == 1
    # Mended and released, it does its part again.
    ask(two.boards["vb1"].folder, "clear")
    quarantine.release("vb1")
    code, given, said = run(two, "c", "T12-01", "CH-05")
    assert code == 0 and [v["verdict"] for v in given] == ["pass", "pass"], said


def test_an_unchanged_image_is_not_programmed_again(two: Shelf) -> None:
    def programmed() -> int:
        status = ask(two.boards["vb1"].folder, "status")
        return int(dict(word.split("=", 1) for word in status.split(" note=")[0].split())["programmed"])

    words = ("CH-05", "-n", "1")
    assert run(two, "a", *words)[0] == 0
    once = programmed()
    assert once > 10000
    assert run(two, "b", *words)[0] == 0
    assert programmed() == once
    assert run(two, "c", "--reflash", *words)[0] == 0
    assert programmed() == 2 * once


def test_all_boards_go_on_without_those_that_are_not_there(two: Shelf) -> None:
    """Every board of lab.toml: one kind is not attached. Its scenarios say so, the others' are judged."""
    with (two.folder / "lab.toml").open("a") as lab:
        lab.write('[[board]]\nid = "nucleo"\ntarget = "h563"\nprobe_id = "ABC"\nserial = "usb:ABC"\n'
                  'capture = "lo"\nbroker_address = "127.0.0.1"\n')  # fmt: skip
    folder = two.folder / "a"
    done = hil("run", "--all-boards", "--run-dir", str(folder), "CH-05", "T12-02", timeout=280)
    assert done.returncode == 10, done.stderr
    assert "hil: h563: goes without: nucleo: no probe with serial number ABC is attached" in done.stderr
    given = {(v["target"], v["id"].partition("[")[0]): v for v in verdicts(folder)}
    assert {key: v["verdict"] for key, v in given.items()} == {
        ("f405-virtual", "CH-05"): "pass", ("f405-virtual", "T12-02"): "pass",
        ("h563", "CH-05"): "lab", ("h563", "T12-02"): "skip",
    }  # fmt: skip
    assert given["h563", "CH-05"]["causes"][0]["id"] == "lab.probe_missing"
