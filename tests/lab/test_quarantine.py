"""Boards set aside: counted, remembered, refused, released."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.device.flash.base import FlashError
from harness.device.probe import Kept
from harness.errors import EXIT_QUARANTINED, BoardQuarantined, LabError
from harness.lab import quarantine
from harness.lab.pool import Held, Pool, Use


def test_a_board_without_history_is_fit() -> None:
    quarantine.check("h563-1")
    assert quarantine.state("h563-1") == quarantine.State(board="h563-1")
    assert not quarantine.folder().exists(), "looking leaves nothing behind"


def test_the_third_error_in_a_row_sets_it_aside() -> None:
    for n in (1, 2):
        assert quarantine.note_error("b", "lab.probe_silent", f"error {n}").errors == n
        quarantine.check("b")
    assert quarantine.note_error("b", "lab.flash_failed", "no reset").quarantined
    with pytest.raises(BoardQuarantined) as caught:
        quarantine.check("b")
    assert caught.value.exit_code == EXIT_QUARANTINED and caught.value.cause == "lab.flash_failed"
    assert "3 lab errors in a row, the last: no reset" in caught.value.what and "--release b" in caught.value.fix


def test_a_good_run_in_between_starts_the_count_again() -> None:
    for _ in range(5):
        quarantine.note_error("b", "lab.probe_silent", "x")
        quarantine.note_error("b", "lab.probe_silent", "x")
        quarantine.note_success("b")
    quarantine.check("b")
    assert quarantine.state("b").errors == 0


def test_success_does_not_end_a_quarantine_but_release_does() -> None:
    quarantine.put("b", "smells", by="ann")
    first = quarantine.state("b")
    quarantine.note_success("b")
    quarantine.put("b", "another reason", by="bob")
    assert quarantine.state("b") == first and (first.reason, first.by) == ("smells", "ann")
    assert quarantine.release("b") == first
    quarantine.check("b")
    assert quarantine.state("b").errors == 0


def test_other_bounds() -> None:
    assert quarantine.note_error("once", "lab.probe_silent", "x", after=1).quarantined
    for _ in range(10):
        quarantine.note_error("never", "lab.probe_silent", "x", after=0)
    quarantine.check("never")


@pytest.mark.parametrize("content", [b"", b"{", b'{"board": "other"}', b"\xff" * 100, b" " * 100_000])
def test_a_file_that_cannot_be_read_is_no_clean_bill(content: bytes) -> None:
    quarantine.note_error("b", "lab.probe_silent", "x")
    (quarantine.folder() / "board-b.json").write_bytes(content)
    with pytest.raises(BoardQuarantined, match="cannot be read"):
        quarantine.check("b")
    quarantine.release("b")
    quarantine.check("b")


def test_no_error_is_lost_between_processes() -> None:
    words = "from harness.lab import quarantine\nfor _ in range(25): quarantine.note_error('b', 'lab.x', 'y', after=0)"
    running = [subprocess.Popen([sys.executable, "-c", words]) for _ in range(4)]
    assert [one.wait(60) for one in running] == [0, 0, 0, 0]
    assert quarantine.state("b").errors == 100
    assert sorted(p.name for p in quarantine.folder().iterdir()) == ["board-b.json", "board-b.lock"]


def test_names_and_places_that_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no name"):
        quarantine.state("../x")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HIL_STATE", str(tmp_path / "file"))
    with pytest.raises(LabError, match="HIL_STATE"):
        quarantine.note_error("b", "lab.x", "y")


def test_a_long_reason_stays_one_line() -> None:
    quarantine.put("b", "x" * 10_000)
    assert len(str(quarantine.state("b"))) < 500
    quarantine.note_error("b", "lab.flash_failed", "what \x1b]0;the device\n said")
    assert quarantine.state("b").last_error.isprintable()
    assert (quarantine.folder() / "board-b.json").stat().st_size < 2000


@pytest.mark.parametrize("climb", [True, False])
def test_a_board_is_not_to_blame_for_its_image(climb: bool, tmp_path: Path) -> None:
    """In a run: either way the board is out of it, since its next scenario would end the same."""
    kept = Kept(Pool(tmp_path / "boards", {"h563": ("b1",)}, {}), tmp_path, reflash=False)
    use = Use("b1", None, Held())
    error = FlashError("lab.flash_failed", "outside the chip's flash", touched=True, climb=climb)
    error.again = False
    kept._failed(use, error)
    assert use.known.out == "outside the chip's flash"
    assert quarantine.state("b1").errors == (1 if climb else 0)
