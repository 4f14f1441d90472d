"""Firmware of one's own: HIL_<TARGET>_PROJECT, its command and its image; and the hardware targets' tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import firmware
from harness.device.boards import self_made
from harness.device.project import project, variable
from harness.errors import LabError, UsageError
from harness.lab.inventory import RUNNERS
from harness.target import Target, load
from tests.engine.bench import hil

HARDWARE = ("h563", "f429-w5500", "s5d9", "f401-spwf04")


@pytest.fixture
def target() -> Target:
    return load()["h563"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose build is `make`, and where images of this test's targets lie."""
    path = tmp_path / "my firmware"
    path.mkdir()
    monkeypatch.setenv("HIL_H563_PROJECT", str(path))
    monkeypatch.setattr(firmware, "BUILD", tmp_path / "build")
    return path


def test_the_variables_name() -> None:
    assert variable("f429-w5500", "PROJECT") == "HIL_F429_W5500_PROJECT"


@pytest.mark.parametrize("name", HARDWARE)
def test_without_a_project_the_line_says_what_to_set(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        project(load()[name], {})
    assert variable(name, "PROJECT") in caught.value.fix and caught.value.exit_code == 4
    done = hil("build", "--target", name)
    assert done.returncode == 4 and done.stderr.count("\n") == 1 and variable(name, "PROJECT") in done.stderr


def test_its_own_command_in_its_own_folder(folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_H563_BUILD", "mkdir -p build/Debug && pwd > build/Debug/app.elf")
    image = firmware.built(target)
    assert image.path == folder / "build/Debug/app.elf" and image.path.read_text().strip() == str(folder)
    monkeypatch.setenv("HIL_H563_BUILD", "touch other.bin")
    monkeypatch.setenv("HIL_H563_IMAGE", "other.bin")
    assert firmware.built(target).path == folder / "other.bin"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("true", "made no"),
        ("mkdir -p build/Debug && touch build/Debug/a.elf build/Debug/b.elf", "2 files fit build/Debug/*.elf: build/"),
        ("echo 'main.c:3:1: error: nonsense' >&2; false", "main.c:3:1: nonsense"),
    ],
)
def test_builds_that_give_no_image(
    command: str, says: str, folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_H563_BUILD", command)
    with pytest.raises(LabError) as caught:
        firmware.built(target)
    assert says in caught.value.what and caught.value.cause == "lab.build_failed"


def test_a_project_that_is_not_there(target: Target, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="from HIL_H563_PROJECT"):
        project(target, {"HIL_H563_PROJECT": str(tmp_path / "nowhere")})


def test_this_repositorys_own_firmware_is_not_asked_for_a_project() -> None:
    made = project(load()["qemu-m33"], {})
    assert not made.own and made.image == "build/fw/qemu-m33/firmware"


def test_own_firmware_may_replace_ours(tmp_path: Path) -> None:
    env = {"HIL_QEMU_M33_PROJECT": str(tmp_path)}
    with pytest.raises(UsageError, match="HIL_QEMU_M33_BUILD"):
        project(load()["qemu-m33"], env)
    with pytest.raises(UsageError, match="HIL_QEMU_M33_IMAGE"):
        project(load()["qemu-m33"], env | {"HIL_QEMU_M33_BUILD": "make"})
    assert project(load()["qemu-m33"], env | {"HIL_QEMU_M33_BUILD": "make", "HIL_QEMU_M33_IMAGE": "x"}).own


@pytest.mark.parametrize("name", HARDWARE)
def test_hardware_tables(name: str) -> None:
    one = load()[name]
    assert not self_made(one) and one.level == "observe" and one.build.command == ""
    assert one.flash.flasher in RUNNERS and set(one.flash.runners) <= set(RUNNERS)
    for runner in (one.flash.flasher, *one.flash.runners):
        assert one.flash.config_for(runner)
    assert one.flash.config_for("") == one.flash.config
    with pytest.raises(UsageError, match=r"no \[flash.runners\] entry"):
        one.flash.config_for("command")


def test_boards_of_one_maker_are_told_apart_by_their_id() -> None:
    ids = [load()[name].mcu for name in HARDWARE if load()[name].flash.flasher == "openocd"]
    assert all(ids) and len(set(ids)) == len(ids)
