"""`hil boards --check` over several boards: one that cannot be had hides no other, and Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from harness import cli
from harness.commands import check
from harness.commands.check import put
from harness.device import flash
from harness.device.flash.base import FlashError, Rig
from harness.errors import LabError
from harness.lab import quarantine
from harness.lab.health import Say, Step
from harness.lab.inventory import BoardEntry, Lab

NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def lab(lab_folder: Path) -> Path:
    rows = (f'[[board]]\nid = "{name}"\ntarget = "h563"\nvirtual = true\n' for name in NAMES)
    (lab_folder / "lab.toml").write_text("".join(rows))
    return lab_folder


def good(board: str) -> list[Step]:
    return [Step(board=board, step="attached", result="ok", seconds=0.0, bound=1.0, what="there")]


def test_a_board_that_cannot_be_had_hides_no_other(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def looked(entry: BoardEntry, lab: Lab, may_flash: bool, say: Say) -> list[Step]:
        if entry.id == "b":
            raise LabError("lab.tool_missing", "no labgrid coordinator answers", "start it")
        return good(entry.id)

    monkeypatch.setattr(check, "_check", looked)
    assert cli.main(["boards", "--check"]) == 10
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["a", "b", "next:", "c", "d", "e", "f"]
    assert "no labgrid coordinator answers" in said[1] and "start it" in said[2]
    assert cli.main(["boards", "--check", "b"]) == 10
    assert capsys.readouterr().err == "hil: no labgrid coordinator answers: start it\n"


def test_ctrl_c_ends_it_and_shows_what_was_done(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pressed = threading.Lock()

    def looked(entry: BoardEntry, lab: Lab, may_flash: bool, say: Say) -> list[Step]:
        if entry.id == "a":
            return good("a")
        if pressed.acquire(blocking=False):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            say("")
            time.sleep(0.01)
        return good(entry.id)

    monkeypatch.setattr(check, "_check", looked)
    begun = time.monotonic()
    assert cli.main(["boards", "--check"]) == 2
    assert time.monotonic() - begun < 20
    done = capsys.readouterr()
    assert done.err.endswith("hil: interrupted\n")
    assert done.out.splitlines()[0].split()[:3] == ["a", "attached", "ok"]
    rest = done.out.splitlines()[1:]
    assert [line[0] for line in rest] == list(NAMES[1:]), "each board is accounted for"
    assert "b: ended in the middle" in rest and "f: not looked at" in rest


def test_a_board_left_wedged_by_hand_is_set_aside_too(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(*_: object, **__: object) -> None:
        error = FlashError("lab.flash_verify_failed", "a: differs", "power-cycle it")
        error.wedged = True
        raise error

    monkeypatch.setattr(flash, "put", failed)
    entry = BoardEntry(id="a", target="h563")
    rig = Rig(board="a", target="h563", flasher="openocd", config="x.cfg", address=0)
    with pytest.raises(FlashError, match="hil boards --release a"):
        put(entry, rig, lab / "x.bin", lab / "log", say=print)
    found = quarantine.state("a")
    assert found.quarantined and found.cause == "lab.flash_verify_failed" and "wedged" in found.reason
