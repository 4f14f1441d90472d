"""The flashers beside OpenOCD, against stand-ins: how each is called, and what its words become. None of the real tools
is on this machine; see standin.py for what that proves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.device.flash import backends, cli, probes
from harness.device.flash import cubeprogrammer as cube
from harness.device.flash import jlink as jlinks
from harness.device.flash import probe_rs as probe_rss
from harness.device.flash import pyocd as pyocds
from harness.device.flash.base import FlashError, Rig, silent
from harness.errors import UsageError
from tests.flash.standin import SERIAL, Reply, StandIn, rig, usb
from tests.flash.test_openocd_judge import KNOWN

SIZE = 1000
JLINK_OK = "Connecting to J-Link via USB...O.K."
BANNER = "ST-LINK SN  : 0669FF3130\nDevice ID   : 0x484\nDevice name : STM32H56x/573"
WRITTEN = "Memory Programming ...\nFile download complete\nVerifying ...\nDownload verified successfully"
GOOD: dict[str, tuple[str, str, str, tuple[Reply, ...]]] = {
    "pyocd": ("stm32h563zitx", "HIL_PYOCD", "pyocd", (
        Reply("read32 0x44024000", "44024000:  10006484    |..d.|"),
        Reply("load ", "1 I Erased 8192 bytes (1 sector), programmed 8192 bytes (8 pages), identical 0 bytes"),
        Reply("compare ", f"Comparing {SIZE} bytes @ 0x08000000\nAll {SIZE} bytes match."),
        Reply("reset ", ""), Reply("erase ", ""),
    )),
    "stm32cubeprogrammer": ("port=SWD", "HIL_CUBEPROGRAMMER", "STM32_Programmer_CLI", (
        Reply(" -w ", f"{BANNER}\n{WRITTEN}\nMCU Reset\nSoftware reset is performed"),
        Reply("-rst", f"{BANNER}\nMCU Reset\nSoftware reset is performed"),
        Reply("-c ", BANNER),
    )),
    "jlink": ("STM32H563ZI", "HIL_JLINK", "JLinkExe", (
        Reply("mem32 0x44024000", f"{JLINK_OK}\n44024000 = 10006484"),
        Reply("loadfile ", f"{JLINK_OK}\nDownloading file [x.bin]...\nJ-Link: Flash download: Total: 0.4s\nO.K."),
        Reply("verifybin ", f"{JLINK_OK}\nReading 1000 bytes data from target memory.\nVerify successful."),
        Reply("exit", JLINK_OK),
    )),
    "probe-rs": ("STM32H563ZITx", "HIL_PROBE_RS", "probe-rs", (
        Reply("read ", "10006484"), Reply("download ", "      Erasing\n  Programming\n     Finished in 1.20s"),
        Reply("reset ", ""), Reply("erase ", ""),
    )),
}  # fmt: skip
WRITES = {"pyocd": "load ", "stm32cubeprogrammer": " -w ", "jlink": "loadfile ", "probe-rs": "download "}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One ST-LINK with the serial number, and one J-Link with the same (padded) number are never both there."""
    monkeypatch.setattr(probes, "USB", usb(tmp_path / "usb", ("1-2", "0483:374e", SERIAL), ("1-3", "046d:c31c", "")))
    return tmp_path


def standin(name: str, bench: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StandIn, Rig]:
    config, variable, program, replies = GOOD[name]
    made = StandIn(bench, program)
    made.says(*replies)
    monkeypatch.setenv(variable, str(made.path))
    return made, rig(name, config)


@pytest.mark.parametrize("name", GOOD)
def test_good_run(name: str, bench: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, one = standin(name, bench, monkeypatch)
    assert backends.flasher(name).program(one, image, bench / "openocd.log", silent) == "0x484"
    calls = tool.calls
    first_write = next(n for n, call in enumerate(calls) if WRITES[name] in call)
    assert first_write > 0, "the chip is looked at before anything is written"
    assert all(SERIAL.lstrip("0") in call for call in calls), "the probe is named each time"
    assert str(image) in calls[first_write]
    assert "0x08000000" in calls[first_write]


@pytest.mark.parametrize("name", GOOD)
def test_wrong_chip_is_never_written(name: str, bench: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, one = standin(name, bench, monkeypatch)
    tool.says(*(reply._replace(say=reply.say.replace("484", "419")) for reply in GOOD[name][3]))
    with pytest.raises(FlashError) as caught:
        backends.flasher(name).program(one, image, bench / "openocd.log", silent)
    assert caught.value.cause == "lab.wrong_board"
    assert not [call for call in tool.calls if WRITES[name] in call]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("reply", [Reply("", "", 1), Reply("", "", 0), Reply("", "all is well", 0), Reply("", "", 139)])
def test_no_proof_is_no_pass(
    name: str, reply: Reply, bench: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, one = standin(name, bench, monkeypatch)
    tool.says(reply)
    with pytest.raises(FlashError):
        backends.flasher(name).program(one, image, bench / "openocd.log", silent)


@pytest.mark.parametrize("name", GOOD)
def test_each_step_must_be_proved(name: str, bench: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call after the other says nothing, or fails, while all others are good."""
    replies = GOOD[name][3]
    silent_is_fine = {"pyocd": ("load ", "reset ", "erase "), "jlink": (), "probe-rs": ("reset ", "erase "),
                      "stm32cubeprogrammer": ("-rst",)}[name]  # fmt: skip
    for number, broken in enumerate(replies):
        tool, one = standin(name, bench, monkeypatch)
        for reply in (Reply(broken.when, "", 0), Reply(broken.when, broken.say, 1)):
            if broken.when in ("erase ", "-rst") or (reply.status == 0 and broken.when in silent_is_fine):
                continue  # not part of this, or a command that has nothing to say
            tool.says(*replies[:number], reply, *replies[number + 1 :])
            with pytest.raises(FlashError):
                backends.flasher(name).program(one, image, bench / "openocd.log", silent)


SAID: tuple[tuple[str, str, int, str], ...] = (
    ("pyocd", "No connected debug probe matches unique ID '0669FF3130'", 1, "lab.probe_missing"),
    ("pyocd", "0000123 C Target type stm32h563zitx not recognized. Use 'pyocd list --targets'", 1, "lab.tool_missing"),
    ("pyocd", "0000123 C SWD/JTAG communication failure (No ACK) [__main__]", 1, "lab.target_unpowered"),
    ("pyocd", "0000123 C Memory transfer fault (FAULT ACK) @ 0x08000000-0x08000003 [__main__]", 1, "lab.flash_failed"),
    ("pyocd", "0000123 C flash erase sector failure (address 0x08000000; result code 0x1)", 1, "lab.flash_failed"),
    ("pyocd", "Mismatched byte at 0x08000000 (offset 0x0): 0xff (memory) != 0x00 (file)", 0, "lab.flash_verify_failed"),
    ("stm32cubeprogrammer", "Error: No debug probe detected.", 1, "lab.probe_missing"),
    ("stm32cubeprogrammer", "Error: No STM32 target found! If your product embeds Debug Authentication, …", 1,
     "lab.target_unpowered"),
    ("stm32cubeprogrammer", "Error: failed to erase memory", 1, "lab.flash_protected"),
    ("stm32cubeprogrammer", f"{BANNER}\nError: Failed to download data! If it's a Flash memory, it may be not erased "
     f"or protected\n{WRITTEN}\nMCU Reset", 0, "lab.flash_protected"),
    ("stm32cubeprogrammer", "Error: failed to download Sector[0]\nError: failed to download the File", 1,
     "lab.flash_failed"),
    ("stm32cubeprogrammer", "Error: Data mismatch found at address 0x08000000", 1, "lab.flash_verify_failed"),
    ("jlink", "Connecting to J-Link via USB...FAILED: Cannot connect to J-Link.", 0, "lab.probe_missing"),
    ("jlink", f"{JLINK_OK}\nVTref=0.000V", 0, "lab.target_unpowered"),
    ("jlink", f"{JLINK_OK}\nVTref=3.300V\nCannot connect to target.", 0, "lab.target_unpowered"),
    ("jlink", f"{JLINK_OK}\n****** Error: Failed to erase sectors @ address 0x08000000", 0, "lab.flash_failed"),
    ("jlink", f"{JLINK_OK}\nVerify failed @ address 0x08000000.", 0, "lab.flash_verify_failed"),
    ("probe-rs", "Error: No connected probes were found.", 1, "lab.probe_missing"),
    ("probe-rs", "Error: The flashing procedure failed for 'x.elf'.\n\nCaused by:\n  Flash content verification "
     "failed.", 1, "lab.flash_verify_failed"),
    ("probe-rs", "Error: The flashing procedure failed for 'x.elf'.\n\nCaused by:\n    0: Failed to erase", 1,
     "lab.flash_failed"),
    ("probe-rs", "Error: Failed to open the debug probe.", 1, "lab.probe_missing"),
    ("probe-rs", "stlink: send_jtag_command 242 failed: JtagNoDeviceConnected", 1, "lab.target_unpowered"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "said", "status", "cause"), SAID)
def test_what_it_says(
    name: str, said: str, status: int, cause: str, bench: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever step it says so, the first included."""
    tool, one = standin(name, bench, monkeypatch)
    for when in ("", WRITES[name]):
        tool.says(Reply(when, said, status), *GOOD[name][3])
        with pytest.raises(FlashError) as caught:
            backends.flasher(name).program(one, image, bench / "openocd.log", silent)
        assert caught.value.cause == cause
        assert caught.value.fix
        assert caught.value.evidence
        assert caught.value.touched == bool(when)


@pytest.mark.parametrize("name", GOOD)
def test_silence_is_bounded(name: str, bench: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, one = standin(name, bench, monkeypatch)
    tool.says(Reply("", "", "silent"))
    monkeypatch.setattr(cli, "SHORT_S", 0.0)  # a default that was bound before: the rig's time counts
    start = time.monotonic()
    with pytest.raises(FlashError) as caught:
        backends.flasher(name).program(rig(name, one.config, timeout_s=1), image, bench / "openocd.log", silent)
    assert caught.value.cause == "lab.probe_silent"
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("name", GOOD)
def test_other_steps(name: str, bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, one = standin(name, bench, monkeypatch)
    tool = backends.flasher(name)
    log = bench / "openocd.log"
    tool.reset(one, log)
    tool.halt(one, log)
    tool.recover(one, "reset", log)
    tool.recover(one, "erase", log)
    assert tool.identify(one, log) == "0x484"


@pytest.mark.parametrize("name", GOOD)
def test_tool_that_is_not_there(name: str, bench: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, variable, *_ = GOOD[name]
    monkeypatch.setenv(variable, str(bench / "nothing"))
    with pytest.raises(FlashError) as caught:
        backends.flasher(name).program(rig(name, config), image, bench / "openocd.log", silent)
    assert caught.value.cause == "lab.tool_missing"


def test_rows_are_complete() -> None:
    for rows in (pyocds.ROWS, cube.ROWS, jlinks.ROWS, probe_rss.ROWS):
        for row in rows:
            assert KNOWN[row.cause.removeprefix("lab.")]["side"] == "lab", row.name
            assert row.sentence and row.remedy and row.source in ("seen", "doc", "unverified")
            assert row.source != "seen", "nobody has seen these tools here"


def test_no_such_flasher() -> None:
    with pytest.raises(UsageError):
        backends.flasher("magic")


# -- a command of the user's --


def test_command(bench: Path, image: Path) -> None:
    tool = StandIn(bench, "rfp")
    tool.says(Reply("id", "0x484"), Reply("write", "wrote it all"), Reply("reset", ""))
    one = rig("command", f"{tool.path} write {{image}} {{address}} {{probe_id}}",
              params=(f"identify={tool.path} id", f"reset={tool.path} reset", "ok=wrote it all"))  # fmt: skip
    command = backends.flasher("command")
    log = bench / "openocd.log"
    assert command.program(one, image, log, silent) == "0x484"
    command.reset(one, log)
    assert tool.calls == ["id", f"write {image} 0x08000000 {SERIAL}", "reset"]
    tool.says(Reply("id", "0x419"), Reply("write", "wrote it all"))
    with pytest.raises(FlashError) as caught:
        command.program(one, image, log, silent)
    assert caught.value.cause == "lab.wrong_board"
    tool.says(Reply("id", "0x484"), Reply("write", "nothing to do"))
    with pytest.raises(FlashError) as caught:
        command.program(one, image, log, silent)
    assert caught.value.cause == "lab.flash_failed"


@pytest.mark.parametrize("params", [("reset",), ("nothing=x",), ("ok=(",)])
def test_command_params_are_strict(params: tuple[str, ...], bench: Path, image: Path) -> None:
    with pytest.raises(UsageError):
        backends.flasher("command").program(rig("command", "true", params=params), image, bench / "x.log", silent)


def test_command_that_is_not_there(bench: Path, image: Path) -> None:
    with pytest.raises(FlashError) as caught:
        backends.flasher("command").program(rig("command", "no-such-thing {image}"), image, bench / "x.log", silent)
    assert caught.value.cause == "lab.tool_missing"
    with pytest.raises(UsageError):
        backends.flasher("command").program(rig("command", "true {imago}"), image, bench / "x.log", silent)
