"""Whether a board is there, without touching it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.lab import attached
from harness.lab.inventory import BoardEntry


@pytest.fixture
def usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sysfs with one J-Link, whose number stands there with zeros in front."""
    device = tmp_path / "usb" / "1-2"
    device.mkdir(parents=True)
    (device / "serial").write_text("000731004455\n")
    monkeypatch.setattr(attached, "USB", tmp_path / "usb")
    return tmp_path


@pytest.mark.parametrize("number", ["000731004455", "731004455"])
def test_a_jlink_by_the_number_on_its_label(usb: Path, number: str) -> None:
    assert attached.missing(BoardEntry(id="x", target="s5d9", probe_id=number)) is None


def test_another_number_is_another_probe(usb: Path) -> None:
    gone = attached.missing(BoardEntry(id="x", target="s5d9", probe_id="31004455"))
    assert gone is not None and gone.cause == "lab.probe_missing"


def test_names_no_file_system_takes_are_not_there(usb: Path) -> None:
    long = "a" * 400
    for entry, cause in (
        (BoardEntry(id="x", target="s5d9", runner="none", serial=f"/{long}"), "lab.serial_missing"),
        (BoardEntry(id="x", target="s5d9", probe_path="1-" + ".".join("1" * 200)), "lab.probe_missing"),
    ):
        gone = attached.missing(entry)
        assert gone is not None and gone.cause == cause
