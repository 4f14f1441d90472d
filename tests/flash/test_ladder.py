"""`put`: what is remembered, which rungs are climbed for what, and that it ends in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.device.flash import put, remembered
from harness.device.flash.base import FlashError, Rig, Say, Step
from harness.device.flash.ladder import LADDER
from harness.errors import EXIT_LAB, LabError
from harness.model import Image
from tests.flash.standin import rig


class Scripted:
    """A flasher whose `program` fails as told, once for each entry, then succeeds."""

    def __init__(
        self, *causes: str, touched: bool = True, keeps: bool = True, broken_rungs: tuple[str, ...] = ()
    ) -> None:
        self.causes = list(causes)
        self.touched = touched
        self.keeps = keeps
        self.broken = broken_rungs
        self.did: list[str] = []
        self.times: list[int] = []

    def identify(self, rig: Rig, log: Path) -> str:
        return "0x484"

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        self.did.append("program")
        self.times.append(rig.timeout_s)
        if self.causes:
            cause = self.causes.pop(0)
            raise FlashError(cause, "it went wrong", "do this", evidence=("Error: x",), touched=self.touched)
        return "0x484"

    def holds(self, rig: Rig, image: Path, log: Path) -> bool:
        self.did.append("compare")
        return self.keeps

    def reset(self, rig: Rig, log: Path) -> None:
        self.did.append("run")

    def halt(self, rig: Rig, log: Path) -> None:
        self.did.append("halt")

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        self.did.append(step)
        if step in self.broken:
            raise FlashError("lab.flash_failed", f"{step} failed", touched=step == "erase")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIL_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(b"image")
    return path


def attempt(tool: Scripted, image: Path, power: Callable[[], None] | None = None, **more: object) -> FlashError:
    with pytest.raises(FlashError) as caught:
        put(rig("x", "y", **more), image, image.with_name("log"), say=lambda _t: None, by=tool, power=power)
    return caught.value


def test_written_once(image: Path) -> None:
    tool, log = Scripted(), image.with_name("log")
    first = put(rig("x", "y"), image, log, say=lambda _t: None, by=tool)
    again = put(rig("x", "y"), image, log, say=lambda _t: None, by=tool)
    assert (first.written, first.mcu, again.written, again.mcu) == (True, "0x484", False, "0x484")
    assert tool.did == ["program", "compare"]
    put(rig("x", "y"), image, log, say=lambda _t: None, by=tool, reflash=True)
    assert tool.did == ["program", "compare", "program"]


@pytest.mark.parametrize("change", [
    {"board": "b2"}, {"address": 0x08010000}, {"probe_id": "other"}, {"probe_path": "1-9"}, {"target": "z"},
    {"params": ("a",)}, {"prefix": ("env",)},
])  # fmt: skip
def test_another_board_or_place_is_written(change: dict[str, object], image: Path) -> None:
    tool, log = Scripted(), image.with_name("log")
    put(rig("x", "y"), image, log, say=lambda _t: None, by=tool)
    put(rig("x", "y", **change), image, log, say=lambda _t: None, by=tool)
    assert tool.did == ["program", "program"]


def test_another_image_is_written(image: Path) -> None:
    tool, log = Scripted(), image.with_name("log")
    put(rig("x", "y"), image, log, say=lambda _t: None, by=tool)
    image.write_bytes(b"other")
    assert put(rig("x", "y"), image, log, say=lambda _t: None, by=tool).written


def test_a_board_somebody_else_wrote_is_written_again(image: Path) -> None:
    tool, log = Scripted(keeps=False), image.with_name("log")
    put(rig("x", "y"), image, log, say=lambda _t: None, by=tool)
    assert put(rig("x", "y"), image, log, say=lambda _t: None, by=tool).written
    assert tool.did == ["program", "compare", "program"]


def test_a_failed_write_is_forgotten(image: Path, state: Path) -> None:
    tool, log = Scripted(), image.with_name("log")
    put(rig("x", "y"), image, log, say=lambda _t: None, by=tool)
    image.write_bytes(b"other")
    attempt(Scripted("lab.flash_protected"), image)
    image.write_bytes(b"image")
    assert not list(state.glob("flashed-*"))
    assert put(rig("x", "y"), image, log, say=lambda _t: None, by=tool).written


@pytest.mark.parametrize("garbage", [b"", b"{}", b"\xff" * 9000, b'{"sha256": 1}'])
def test_a_record_that_is_none(garbage: bytes, image: Path, state: Path) -> None:
    tool, log = Scripted(), image.with_name("log")
    put(rig("x", "y"), image, log, say=lambda _t: None, by=tool)
    (record,) = state.glob("flashed-*")
    record.write_bytes(garbage)
    assert not remembered.holds(rig("x", "y"), "0" * 64)
    assert put(rig("x", "y"), image, log, say=lambda _t: None, by=tool).written


def test_image_that_changed_since_it_was_built(image: Path) -> None:
    built = Image(path=image, sha256="0" * 64, git="x")
    with pytest.raises(FlashError) as caught:
        put(rig("x", "y"), built, image.with_name("log"), say=lambda _t: None, by=Scripted())
    assert caught.value.cause == "lab.build_failed"
    with pytest.raises(FlashError) as caught:
        put(rig("x", "y"), image.with_name("none"), image.with_name("log"), say=lambda _t: None, by=Scripted())
    assert caught.value.cause == "lab.build_failed"


CLIMBS = (
    (1, ["program", "reset", "program"], ("reset",)),
    (2, ["program", "reset", "program", "erase", "program"], ("reset", "erase")),
    (3, ["program", "reset", "program", "erase", "program", "power", "program"], ("reset", "erase", "power")),
)


@pytest.mark.parametrize(("failures", "did", "recovered"), CLIMBS)
def test_climbing(failures: int, did: list[str], recovered: tuple[str, ...], image: Path) -> None:
    tool = Scripted(*["lab.flash_failed"] * failures)
    done = put(rig("x", "y"), image, image.with_name("log"), say=lambda _t: None, by=tool,
               power=lambda: tool.did.append("power"))  # fmt: skip
    assert tool.did == did
    assert (done.written, done.recovered) == (True, recovered)
    assert len(done.trouble) == failures
    assert "recover by reset" in image.with_name("log").read_text()


def test_the_ladder_ends(image: Path) -> None:
    tool = Scripted(*["lab.flash_failed"] * 9)
    error = attempt(tool, image, power=lambda: tool.did.append("power"))
    assert tool.did == ["program", "reset", "program", "erase", "program", "power", "program"]
    assert (error.cause, error.wedged, error.exit_code) == ("lab.flash_failed", True, EXIT_LAB)
    assert error.evidence == ("Error: x",)
    assert "reset, erase, power" in error.what


def test_a_rung_that_fails_leads_to_the_next(image: Path) -> None:
    tool = Scripted("lab.flash_failed", broken_rungs=("reset",))
    done = put(rig("x", "y"), image, image.with_name("log"), say=lambda _t: None, by=tool)
    assert tool.did == ["program", "reset", "erase", "program"]
    assert done.recovered == ("reset", "erase")


def test_an_unknown_board_is_not_erased(image: Path) -> None:
    class Unknown(Scripted):
        def identify(self, rig: Rig, log: Path) -> str:
            self.did.append("look")
            raise FlashError("lab.wrong_board", "it is another one")

    tool = Unknown(*["lab.flash_failed"] * 9)
    error = attempt(tool, image)
    assert tool.did == ["program", "reset", "program", "look"]
    assert error.cause == "lab.flash_failed"
    assert "at last lab.wrong_board" in error.what


def test_power_that_fails(image: Path) -> None:
    def power() -> None:
        raise LabError("lab.target_unpowered", "the relay does not answer", "")

    error = attempt(Scripted(*["lab.flash_failed"] * 9), image, power=power)
    assert error.cause == "lab.flash_failed"
    assert error.wedged


@pytest.mark.parametrize("cause", [
    "lab.tool_missing", "lab.build_failed", "lab.probe_missing", "lab.probe_ambiguous", "lab.wrong_board",
    "lab.flash_protected", "lab.board_busy",
])  # fmt: skip
def test_what_is_for_a_person(cause: str, image: Path) -> None:
    """No rung helps, nothing is erased that somebody protected, and no other board is touched."""
    tool = Scripted(*[cause] * 9)
    error = attempt(tool, image, power=lambda: tool.did.append("power"))
    assert tool.did == ["program"]
    assert (error.cause, error.wedged) == (cause, False)


@pytest.mark.parametrize("cause", ["lab.target_unpowered", "lab.probe_silent"])
def test_who_does_not_answer_is_not_erased(cause: str, image: Path) -> None:
    tool = Scripted(*[cause] * 9, touched=False)
    error = attempt(tool, image, power=lambda: tool.did.append("power"))
    assert "erase" not in tool.did
    assert "power" in tool.did
    assert (error.cause, error.wedged) == (cause, False), "a loose cable is no wedged board"
    assert attempt(Scripted(*[cause] * 9, touched=True), image).wedged


def test_a_wrong_board_on_the_way_stops_it(image: Path) -> None:
    """After a power cycle another board answers: nothing more is done to it."""
    tool = Scripted("lab.flash_failed", "lab.wrong_board")
    error = attempt(tool, image)
    assert tool.did == ["program", "reset", "program"]
    assert error.cause == "lab.flash_failed"
    assert "lab.wrong_board" in error.what


def test_time_is_divided(image: Path) -> None:
    class Slow(Scripted):
        def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
            time.sleep(1.2)
            return super().program(rig, image, log, say)

    tool = Slow(*["lab.flash_failed"] * 9)
    start = time.monotonic()
    attempt(tool, image, timeout_s=7)
    assert time.monotonic() - start < 7
    assert len(tool.times) == 2, "no further try with less than 5 s left"
    assert tool.times[0] > tool.times[1]


def test_every_rung_is_a_lab_cause() -> None:
    assert all(cause.startswith("lab.") for cause in LADDER)


def test_a_state_folder_that_takes_nothing_is_said_before_the_board_is_written(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run would write its board anew for each scenario, and each would end with this error."""
    monkeypatch.setenv("HIL_STATE", "/proc/nothing")
    tool = Scripted()
    with pytest.raises(LabError, match="HIL_STATE") as caught:
        put(rig("x", "y"), image, tmp_path / "log", say=lambda _t: None, by=tool)
    assert caught.value.cause == "lab.disk_full" and tool.did == []


def test_a_file_that_is_no_image_is_not_read_to_its_end(tmp_path: Path) -> None:
    huge = tmp_path / "huge.bin"
    with huge.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    for path in (huge, Path("/dev/zero"), tmp_path):
        tool = Scripted()
        with pytest.raises(FlashError) as caught:
            put(rig("x", "y"), path, tmp_path / "log", say=lambda _t: None, by=tool)
        assert caught.value.cause == "lab.build_failed" and tool.did == []


def test_a_board_that_cannot_be_told_from_others_is_not_erased(image: Path) -> None:
    """No `mcu` in the target's table: whatever hangs on that probe would lose its whole flash."""
    tool = Scripted(*["lab.flash_failed"] * 9)
    assert attempt(tool, image, lambda: None, mcu="").wedged
    assert tool.did == ["program", "reset", "program", "program"]
    own = Scripted(*["lab.flash_failed"] * 9)
    with pytest.raises(FlashError):
        put(rig("command", "x", mcu=""), image, image.with_name("log"), say=lambda _t: None, by=own)
    assert "erase" in own.did, "who names a command for it wants it"


def test_an_image_that_fits_no_board_costs_none_its_flash(image: Path) -> None:
    """It lies outside the flash: no rung can help, and the board is not to blame."""
    tool = Scripted()

    def program(rig: Rig, image: Path, log: Path, say: Say) -> str:
        tool.did.append("program")
        raise FlashError("lab.flash_failed", "outside the chip's flash", "check it", touched=True, climb=False)

    tool.program = program  # type: ignore[method-assign]
    error = attempt(tool, image, lambda: None)
    assert (error.cause, error.wedged, error.climb) == ("lab.flash_failed", False, False)
    assert tool.did == ["program"]
