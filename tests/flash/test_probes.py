"""Which probe is meant: exactly one, or nothing is started."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.device.flash import mcu, probes, tool, tools
from harness.device.flash import openocd as openocds
from harness.device.flash.base import FlashError, Rig, silent
from harness.device.flash.openocd import OpenOcd
from harness.errors import LabError, UsageError
from harness.target import load
from tests.flash.standin import rig, usb

STLINK, JLINK, DAP = "0483:374e", "1366:0101", "0d28:0204"


def one(**more: object) -> Rig:
    return rig("openocd", "target/stm32f4x.cfg", params=("-f", "interface/stlink.cfg"), mcu="0x419", **more)


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    def plugged(*devices: tuple[str, str, str]) -> None:
        monkeypatch.setattr(probes, "USB", usb(tmp_path / "usb", *devices))

    return plugged


CASES: tuple[tuple[list[tuple[str, str, str]], dict[str, str], object], ...] = (
    # devices, rig → commands that pick it, or a cause
    ([("1-2", STLINK, "A")], {"probe_id": "A"}, ("adapter serial A",)),
    ([("1-2", STLINK, "ab")], {"probe_id": "AB"}, ("adapter serial ab",)),
    ([("1-2", STLINK, "A"), ("1-3", STLINK, "B")], {"probe_id": "B"}, ("adapter serial B",)),
    ([("1-2", STLINK, "A"), ("1-3", STLINK, "B")], {"probe_id": ""}, "lab.probe_ambiguous"),
    ([("1-2", STLINK, "A"), ("1-3", STLINK, "A")], {"probe_id": "A"}, "lab.probe_ambiguous"),
    ([("1-2", STLINK, "A"), ("1-3.4", STLINK, "A")], {"probe_id": "A", "probe_path": "1-3.4"},
     ("adapter serial A", "adapter usb location 1-3.4")),
    ([("1-2", STLINK, "A"), ("1-3", STLINK, "B")], {"probe_id": "", "probe_path": "1-3"},
     ("adapter usb location 1-3",)),
    ([("1-2", STLINK, "A")], {"probe_id": "A", "probe_path": "1-3"}, "lab.probe_missing"),
    ([("1-2", STLINK, "A")], {"probe_id": "B"}, "lab.probe_missing"),
    ([("1-2", "046d:c31c", ""), ("1-3", JLINK, "5"), ("1-4", DAP, "6")], {"probe_id": ""}, "lab.probe_missing"),
    ([("1-2", STLINK, "A"), ("1-3", JLINK, "5")], {"probe_id": ""}, ("adapter serial A",)),
    ([], {"probe_id": ""}, "lab.probe_missing"),
    ([("1-2", STLINK, 'x"; shutdown [exit] $a')], {"probe_id": 'x"; shutdown [exit] $a'},
     (r"adapter serial x\"\;\ shutdown\ \[exit\]\ \$a",)),
)  # fmt: skip


@pytest.mark.parametrize(("devices", "more", "wanted"), CASES)
def test_selection(devices: list[tuple[str, str, str]], more: dict[str, str], wanted: object, plug: object) -> None:
    plug(*devices)  # type: ignore[operator]
    if isinstance(wanted, str):
        with pytest.raises(FlashError) as caught:
            OpenOcd().selection(one(**more))
        assert caught.value.cause == wanted
        assert not caught.value.touched
        assert caught.value.fix
    else:
        assert OpenOcd().selection(one(**more)) == wanted


@pytest.mark.parametrize(("params", "config"), [
    ((), "board/st_nucleo_f4.cfg"), (("-f", "interface/ftdi/olimex-arm-usb-ocd.cfg"), "target/stm32f4x.cfg"),
])  # fmt: skip
def test_an_adapter_we_do_not_know(params: tuple[str, ...], config: str, plug: object) -> None:
    """It is left to OpenOCD while nothing can be mixed up."""
    rig_ = rig("openocd", config, params=params, probe_id="")
    for devices in ([], [("1-2", STLINK, "A")]):
        plug(*devices)  # type: ignore[operator]
        assert OpenOcd().selection(rig_) == ()
    plug(("1-4", STLINK, "B"))  # type: ignore[operator]
    with pytest.raises(FlashError) as caught:
        OpenOcd().selection(rig_)
    assert caught.value.cause == "lab.probe_ambiguous"


def test_nothing_is_started_when_it_is_ambiguous(plug: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(("1-2", STLINK, "A"), ("1-3", STLINK, "B"))  # type: ignore[operator]
    monkeypatch.setattr(openocds, "run", lambda *_a, **_k: pytest.fail("OpenOCD was started"))
    image = tmp_path / "image.bin"
    image.write_bytes(b"x")
    with pytest.raises(FlashError) as caught:
        OpenOcd().program(one(probe_id=""), image, tmp_path / "log", silent)
    assert caught.value.cause == "lab.probe_ambiguous"


def test_on_a_lab_host(plug: object) -> None:
    """The same folder, read by a shell through a prefix."""
    plug(("1-2", STLINK, "A"), ("1-3", "046d:c31c", ""))  # type: ignore[operator]
    script = probes._SCRIPT.replace("/sys/bus/usb/devices", shlex.quote(str(probes.USB)))
    said = tool.ask(one(prefix=("env",)), script, 10.0)
    assert sorted(said.split()) == ["1-2|0483|374e|A", "1-3|046d|c31c|"]


def test_a_lab_host_that_is_not_there() -> None:
    with pytest.raises(LabError) as caught:
        tool.ask(one(prefix=("false",)), "true", 5.0)
    assert caught.value.cause == "lab.probe_missing"


@pytest.mark.parametrize(("config", "wanted", "register"), [
    ("target/stm32f4x.cfg", "0x413", 0xE0042000), ("target/stm32h5x.cfg", "0x484", 0x44024000),
    ("stm32h563zitx", "0x484", 0x44024000), ("STM32F429ZI", "0x419", 0xE0042000),
    ("x.cfg", "0x1@0x40000000", 0x40000000),
    ("R7FS5D97E", "", 0),
])  # fmt: skip
def test_id_register(config: str, wanted: str, register: int) -> None:
    assert mcu.register(rig("openocd", config, mcu=wanted)) == register


@pytest.mark.parametrize(("config", "wanted"), [
    ("x.cfg", "0x413"), ("target/stm32f4x.cfg", "F405"), ("target/stm32f4x.cfg", "0x10413"), ("x", "0x413@here"),
])  # fmt: skip
def test_an_id_that_cannot_be_checked_is_not_flashed(config: str, wanted: str) -> None:
    with pytest.raises(FlashError) as caught:
        mcu.register(rig("openocd", config, mcu=wanted))
    assert caught.value.cause == "lab.wrong_board"


def stand_in(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_what_a_target_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hil doctor`: the tool that can, else another that could, else where to get one."""
    targets = load()
    for variable in ("HIL_OPENOCD", "HIL_PYOCD", "HIL_CUBEPROGRAMMER", "HIL_JLINK", "HIL_PROBE_RS"):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    bare = tools.needs(targets["h563"])
    assert (bare.usable, bare.flasher) == (False, "openocd")
    assert "not installed" in bare.what
    assert "STM32CubeIDE" in bare.fix
    assert tools.needs(targets["qemu-m33"]).usable
    assert not tools.needs(targets["s5d9"]).usable
    monkeypatch.setenv("HIL_PYOCD", str(stand_in(tmp_path / "pyocd")))
    other = tools.needs(targets["h563"])
    assert not other.usable
    assert "pyocd" in other.what
    assert 'runner = "pyocd"' in other.fix
    assert tools.needs(targets["h563"], "pyocd").usable
    assert not tools.needs(targets["h563"], "command").usable
    assert tools.needs(targets["h563"], "command", ("reset=x", "write=true {image}")).usable
    assert not tools.needs(targets["h563"], "command", ("write=no-such-program x",)).usable
    assert tools.needs(targets["h563"], "none").usable
    monkeypatch.setenv("HIL_JLINK", str(stand_in(tmp_path / "JLinkExe")))
    assert tools.needs(targets["s5d9"]).usable
    monkeypatch.delenv("HIL_OPENOCD")
    assert tools.needs(targets["f429-w5500"]).usable == bool(tools.openocd_with("target/stm32f4x.cfg"))


def test_openocd_of_the_ide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """STM32CubeIDE keeps the program in one plugin and the scripts in another: the scripts are named to it."""
    plugins = tmp_path / "stm32cubeide_1.17.0" / "plugins"
    made = stand_in(plugins / "com.st.stm32cube.ide.mcu.externaltools.openocd.linux64_2.4.0/tools/bin/openocd")
    scripts = plugins / "com.st.stm32cube.ide.mcu.debug.openocd_2.3.0/resources/openocd/st_scripts"
    for name in ("target/stm32h5x.cfg", "interface/stlink.cfg"):
        (scripts / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts / name).touch()
    places = tuple((tmp_path, pattern) for pattern in tools.CUBE_IDE)
    monkeypatch.setitem(tools.TOOLS, "openocd", tools.TOOLS["openocd"]._replace(places=places, programs=()))
    found = tools.openocd_for(rig("openocd", "target/stm32h5x.cfg", params=("-f", "interface/stlink.cfg")))
    assert found.argv == (str(made), "-s", str(scripts))


def test_openocd_without_the_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's knows F4, not H5; one that has both files is taken."""
    made = tmp_path / "st" / "bin" / "openocd"
    made.parent.mkdir(parents=True)
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    scripts = tmp_path / "st" / "share" / "openocd" / "scripts"
    for name in ("target/stm32h5x.cfg", "interface/stlink.cfg"):
        (scripts / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts / name).touch()
    h5 = rig("openocd", "target/stm32h5x.cfg", params=("-f", "interface/stlink.cfg"))
    monkeypatch.setenv("HIL_OPENOCD", str(made))
    assert tools.openocd_for(h5).path == str(made)
    (scripts / "target/stm32h5x.cfg").unlink()
    with pytest.raises(FlashError) as caught:
        tools.openocd_for(h5)
    assert caught.value.cause == "lab.tool_missing"
    assert "target/stm32h5x.cfg" in caught.value.what
    monkeypatch.setenv("HIL_OPENOCD", str(tmp_path / "nothing"))
    with pytest.raises(FlashError) as caught:
        tools.openocd_for(h5)
    assert "HIL_OPENOCD" in caught.value.what


def dap(**more: str) -> Rig:
    return rig("openocd", "target/stm32f4x.cfg", params=("-f", "interface/cmsis-dap.cfg"), mcu="0x419", **more)


def test_a_cmsis_dap_at_a_place_is_picked_by_its_number_too(plug: object) -> None:
    """OpenOCD's CMSIS-DAP drivers ignore `adapter usb location` and take the first one: another board was flashed."""
    plug(("1-2", DAP, "A"), ("1-3", DAP, "B"))  # type: ignore[operator]
    picked = OpenOcd().selection(dap(probe_id="", probe_path="1-3"))
    assert picked == ("adapter serial B", "adapter usb location 1-3")


@pytest.mark.parametrize("serials", [("A", "A"), ("", "")])
def test_cmsis_daps_that_only_their_place_tells_apart_are_refused(serials: tuple[str, str], plug: object) -> None:
    plug(("1-2", DAP, serials[0]), ("1-3", DAP, serials[1]))  # type: ignore[operator]
    with pytest.raises(FlashError) as caught:
        OpenOcd().selection(dap(probe_id=serials[1], probe_path="1-3"))
    assert caught.value.cause == "lab.probe_ambiguous" and "1-2" in caught.value.what


def test_scripts_in_a_folder_that_the_board_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stand_in(tmp_path / "bin" / "openocd")
    monkeypatch.setenv("HIL_OPENOCD", str(made))
    for name in ("mine/target/x9.cfg", "mine/interface/own.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    words = ("-s", str(tmp_path / "mine"), "-f", "interface/own.cfg")
    assert tools.openocd_for(rig("openocd", "target/x9.cfg", params=words)).path == str(made)
    with pytest.raises(FlashError, match=r"other\.cfg"):
        tools.openocd_for(rig("openocd", "target/x9.cfg", params=(*words, "-f", "interface/other.cfg")))


def test_quotes_that_are_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_OPENOCD", "/opt/open ocd'")
    with pytest.raises(UsageError, match="HIL_OPENOCD"):
        tools.openocd_for(one(prefix=("ssh", "labhost")))
    with pytest.raises(UsageError, match="quot"):
        tools.usable_program("command", "cp 'x")


def test_an_id_that_is_no_number() -> None:
    with pytest.raises(FlashError, match="no device id"):
        mcu.checked(rig("stm32cubeprogrammer", "port=SWD", mcu="F4xx"), 0x413)
