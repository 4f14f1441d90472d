"""A board that fails: its scenario is `lab`, the board is set aside after bounded tries, and nobody else notices."""

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


def test_one_of_two_cannot_be_programmed(two: Shelf) -> None:
    ask(two.boards["vb1"].folder, "fault wrperr")
    code, given, said = run(two, "a", *SIX)
    assert code == 10, said
    bad = [v for v in given if v["verdict"] != "pass"]
    assert len(given) == 6 and len(bad) == 1, said
    assert bad[0]["verdict"] == "lab" and bad[0]["causes"][0]["id"] == "lab.flash_protected", bad[0]
    assert "vb1" in bad[0]["why"] and len(bad[0]["attempts"]) == 1
    assert two.witness.clashes == []


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


def test_a_reset_in_the_middle_of_programming_is_recovered(two: Shelf) -> None:
    """The ladder helps; the verdict is the device's."""
    for board in two.boards.values():
        ask(board.folder, "fault reset_mid_write")
    code, given, said = run(two, "a", "T12-01", "T12-02")
    assert code == 0 and [v["verdict"] for v in given] == ["pass", "pass"], said
    assert not quarantine.state("vb1").quarantined


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
