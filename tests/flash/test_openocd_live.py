"""OpenOCD driven by the product's flasher against virtual boards: what the table of faults does not hold."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from harness.device import flash
from harness.device.flash import openocd as openocds
from harness.device.flash import tools
from harness.device.flash.base import FlashError, Rig, silent
from harness.device.flash.openocd import OpenOcd
from tests.flash.table import FLASH, contents, rig_for
from tests.flash.vboard import VirtualBoard, virtual_board


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_STATE", str(tmp_path / "state"))


@pytest.fixture
def board() -> Iterator[VirtualBoard]:
    with virtual_board("--machine", "none") as made:
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(contents())
    return path


def held(board: VirtualBoard, size: int = len(contents())) -> str:
    return board.ask(f"sha256 0x{FLASH:x} {size}").split()[-1]


def test_unchanged_is_compared_not_written(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    rig, log = rig_for("b1", board.jtag), tmp_path / "openocd.log"
    first = flash.put(rig, image, log, say=silent)
    programmed = board.status()["programmed"]
    again = flash.put(rig, image, log, say=silent)
    assert (first.written, again.written, board.status()["programmed"]) == (True, False, programmed)
    assert flash.put(rig, image, log, say=silent, reflash=True).written
    # Somebody else writes the board meanwhile: seen, and put right.
    other = tmp_path / "other.bin"
    other.write_bytes(contents(2))
    OpenOcd().program(rig, other, log, silent)
    assert flash.put(rig, image, log, say=silent).written
    assert held(board) == first.sha256


def test_with_debug_output_it_is_judged_as_without(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    """runner_params = ["-d3"], for whoever looks for a fault: other lines, the same verdicts."""
    rig = rig_for("b1", board.jtag)
    rig = msgspec.structs.replace(rig, params=("-d3", *rig.params))
    done = flash.put(rig, image, tmp_path / "log", say=silent)
    assert (done.written, done.recovered, done.mcu) == (True, (), "0x413") and held(board) == done.sha256
    assert "Debug: " in (tmp_path / "log").read_text()
    board.ask("fault wrong_idcode")
    with pytest.raises(FlashError) as caught:
        flash.put(rig, image, tmp_path / "log", say=silent, reflash=True)
    assert caught.value.cause == "lab.wrong_board"


def test_an_image_larger_than_the_flash(board: VirtualBoard, tmp_path: Path) -> None:
    """At once, in words about the image; the board is not erased for it, and wants nobody's hand."""
    big = tmp_path / "big.bin"
    big.write_bytes(contents() * 40)
    with pytest.raises(FlashError) as caught:
        flash.put(rig_for("b1", board.jtag), big, tmp_path / "log", say=silent)
    assert (caught.value.cause, caught.value.wedged, caught.value.climb) == ("lab.flash_failed", False, False)
    assert "outside the chip's flash" in caught.value.what and "tried" not in caught.value.what


def test_progress_names_the_phases(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    said: list[str] = []
    flash.put(rig_for("b1", board.jtag), image, tmp_path / "log", say=said.append)
    text = "\n".join(said)
    for phase in ("connect", "identify", "halt", "erase and write 59 KB", "verify 59 KB", "reset"):
        assert f"flash b1: {phase}" in text


def test_halt_and_run(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    rig, log = rig_for("b1", board.jtag), tmp_path / "log"
    OpenOcd().halt(rig, log)
    resets = int(board.status()["resets"])
    assert board.status()["core"] == "halted"
    OpenOcd().reset(rig, log)
    assert int(board.status()["resets"]) > resets
    OpenOcd().recover(rig, "reset", log)
    flash.put(rig, image, log, say=silent)
    OpenOcd().recover(rig, "erase", log)
    board.ask(f"read 0x{FLASH:x} 1024 {tmp_path / 'flash.bin'}")
    assert (tmp_path / "flash.bin").read_bytes() == b"\xff" * 1024
    assert OpenOcd().identify(rig, log) == "0x413"


def test_eight_side_by_side(tmp_path: Path, image: Path) -> None:
    """No port, file or probe is shared."""

    def one(number: int) -> bool:
        with virtual_board("--machine", "none") as board:
            mine = tmp_path / f"image-{number}.bin"
            mine.write_bytes(contents(number))
            done = flash.put(rig_for(f"b{number}", board.jtag), mine, tmp_path / f"{number}.log", say=silent)
            return held(board) == done.sha256 and not done.recovered

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(8)))


def test_somebody_elses_openocd_on_the_usual_ports(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    """3333, 4444 and 6666 are taken (or are by somebody else): ours opens none."""
    with contextlib.ExitStack() as stack:
        for port in (3333, 4444, 6666):
            busy = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                busy.bind(("127.0.0.1", port))
                busy.listen()
        assert flash.put(rig_for("b1", board.jtag), image, tmp_path / "log", say=silent).written
    log = (tmp_path / "log").read_text()
    assert "gdb port disabled" in log
    assert "couldn't bind" not in log


@pytest.mark.parametrize("name", ["with space.bin", "x [exit] $y; shutdown.bin", '"{}\\.bin', "ünïcode.bin"])
def test_names_that_are_tcl(name: str, board: VirtualBoard, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(contents(3))
    done = flash.put(rig_for("b1", board.jtag), path, tmp_path / "log", say=silent)
    assert held(board) == done.sha256


def test_through_a_prefix(board: VirtualBoard, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a lab host: the image is copied there, OpenOCD runs there under `timeout`, the copy goes away."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "far"))
    (tmp_path / "far").mkdir()
    rig = msgspec.structs.replace(rig_for("b1", board.jtag), prefix=("env", "FAR=1"))
    done = flash.put(rig, image, tmp_path / "log", say=silent)
    assert held(board) == done.sha256
    assert "env FAR=1 timeout --kill-after=3" in (tmp_path / "log").read_text()
    assert list((tmp_path / "far").iterdir()) == []


def with_words(text: str) -> set[int]:
    """Every process of this machine whose command line holds `text`."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (folder / "cmdline").read_bytes():
                    found.add(int(folder.name))
    return found


def test_a_mute_probe_is_left_in_time(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenOCD ignores SIGTERM here; nothing of it stays."""
    monkeypatch.setattr(openocds, "CONNECT_S", 1.0)
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(8)
        start = time.monotonic()
        with pytest.raises(FlashError) as caught:
            flash.put(rig_for("b1", path), image, tmp_path / "log", say=silent)
        assert time.monotonic() - start < 12
    assert caught.value.cause == "lab.probe_silent"
    assert not caught.value.touched
    assert with_words(str(path)) == set()
    assert "exit status 137" in (tmp_path / "log").read_text()


def test_a_probe_somebody_holds_comes_free(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    """Another client is on the probe at first; the retry finds it free."""
    holder = socket.socket(socket.AF_UNIX)
    holder.connect(str(board.jtag))
    board.wait("probe", "held")
    trouble: list[str] = []

    def say(text: str) -> None:
        if "recover by" in text:
            trouble.append(text)
            holder.close()

    done = flash.put(rig_for("b1", board.jtag), image, tmp_path / "log", say=say)
    assert done.recovered == ("retry",)
    assert "lab.probe_silent" in trouble[0]
    assert held(board) == done.sha256


def test_power_brings_it_back(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    board.ask("power off")
    rig = rig_for("b1", board.jtag)
    with pytest.raises(FlashError) as caught:
        flash.put(rig, image, tmp_path / "log", say=silent)
    assert (caught.value.cause, caught.value.wedged) == ("lab.target_unpowered", False)

    def power() -> None:
        board.ask("power on")

    done = flash.put(rig, image, tmp_path / "log", say=silent, power=power)
    assert done.recovered == ("reset", "power")
    assert held(board) == done.sha256


def test_killed_in_the_middle_leaves_no_record(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    """The bench dies between writing and verifying: the next run writes again, though it is the image of before."""
    rig, log = rig_for("b1", board.jtag), tmp_path / "log"
    flash.put(rig, image, log, say=silent)

    class Dies(OpenOcd):
        def write(self, *_words: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flash.put(rig, image, log, say=silent, reflash=True, by=Dies())
    assert flash.put(rig, image, log, say=silent).written


def test_an_h563(image: Path, tmp_path: Path) -> None:
    """Debian's OpenOCD has no driver for it; ST's does. HIL_OPENOCD names one."""
    if tools.openocd_with("target/stm32h5x.cfg") is None:
        pytest.skip("no OpenOCD here has target/stm32h5x.cfg (HIL_OPENOCD names one that has)")
    with virtual_board("--part", "stm32h563", "--machine", "none") as board:
        rig = msgspec.structs.replace(rig_for("h5", board.jtag), config="target/stm32h5x.cfg", mcu="0x484@0x44024000")
        done = flash.put(rig, image, tmp_path / "log", say=silent)
        assert (done.mcu, held(board)) == ("0x484", done.sha256)


def test_two_threads_two_boards_one_fails(image: Path, tmp_path: Path) -> None:
    """The faulty board's error names that board, and the other one is written meanwhile."""
    results: dict[str, object] = {}

    def one(name: str, fault: str) -> None:
        with virtual_board("--machine", "none") as board:
            if fault:
                board.ask(f"fault {fault}")
            rig: Rig = rig_for(name, board.jtag)
            try:
                results[name] = flash.put(rig, image, tmp_path / f"{name}.log", say=silent).sha256 == held(board)
            except FlashError as error:
                results[name] = error

    threads = [threading.Thread(target=one, args=words) for words in (("good", ""), ("bad", "wrperr"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results["good"] is True
    assert isinstance(results["bad"], FlashError)
    assert results["bad"].what.startswith("bad: ")
