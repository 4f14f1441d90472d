"""Whether a board is there, without touching it."""

from __future__ import annotations

from pathlib import Path

import msgspec
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


@pytest.mark.parametrize(
    ("keys", "cause", "word"),
    [({"capture": "lo", "broker_address": "127.0.0.1"}, "", ""),
     ({"capture": "nope0", "broker_address": "127.0.0.1"}, "lab.capture_failed", "nope0"),
     ({"capture": "lo", "broker_address": "203.0.113.9"}, "lab.broker_failed", "203.0.113.9"),
     ({"capture": "lo", "broker_address": "a-name"}, "", ""),
     ({"capture": "nope0", "broker_address": "203.0.113.9", "uplink": "/dev/null"}, "", "")],
)  # fmt: skip
def test_this_hosts_end_of_the_wire(usb: Path, keys: dict[str, str], cause: str, word: str) -> None:
    for more in ({"probe_id": "731004455"}, {"labgrid": "shelf-1"}):
        entry = msgspec.convert({"id": "x", "target": "s5d9"} | keys | more, BoardEntry)
        gone = attached.missing(entry)
        assert (gone.cause if gone else "") == cause and word in (gone.what if gone else "")
