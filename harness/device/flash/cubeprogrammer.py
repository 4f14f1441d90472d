"""STM32_Programmer_CLI. What it prints is from logs its users published; it was never run on a board by us.

It has said `Error: Failed to download data!` and then `Download verified successfully`: here any line that begins with
`Error:` is a failure, whatever follows.
"""

from __future__ import annotations

from pathlib import Path

from harness.device.flash import mcu
from harness.device.flash.base import Rig, Say, Step, silent, split
from harness.device.flash.cli import Cli, word_at, write_seconds
from harness.device.flash.rows import Row
from harness.device.flash.tool import at_host

ATTACH = "plug the ST-LINK in, or correct probe_id in lab.toml (`hil boards --scan` lists probes)"
POWER = "check the board's power and the cable to the probe, then try again"
PROTECTION = "remove the protection by hand (-ob RDP=0xAA and the WRP bytes); that erases the flash"
FLASH = "power-cycle the board and try again"
ROWS = (
    Row("no probe", (r"No (debug probe|ST-?LINK|STLink) detected|ST-?LINK not (found|detected)",), "lab.probe_missing",
        "no ST-LINK is attached, or not the one meant ({line})", ATTACH, "doc", always=True),
    Row("probe taken", (r"ST-?LINK (is )?(already )?in use|DEV_USB_COMM_ERR|Error: ST-LINK error",), "lab.probe_silent",
        "the ST-LINK does not answer, or another program holds it ({line})", "plug it in again, end other programs",
        "unverified", always=True),
    Row("no target", (r"No STM32 target found|Unable to get core ID|Error: Cannot connect|DEV_TARGET_\w+_ERR|"
                      r"Target (voltage|not powered)",), "lab.target_unpowered",
        "the probe answers, the board does not ({line})", POWER, "doc", always=True),
    Row("no file", (r"(File|file).*(does not exist|not found|cannot be opened)|Error: Wrong file",), "lab.build_failed",
        "STM32_Programmer_CLI cannot read the image ({line})", "run `hil build`", "unverified", always=True),
    Row("verify", (r"Data mismatch|Error: Download verification failed|verification failed",),
        "lab.flash_verify_failed", "what was read back differs from the image ({line})", FLASH, "unverified",
        always=True),
    Row("erase", (r"Error: failed to erase memory|Error: .*(protect|RDP)|may be not erased or protected",),
        "lab.flash_protected", "the flash refuses to be erased or written: it is protected, as a rule ({line})",
        PROTECTION, "doc", always=True),
    Row("error", (r"^\s*Error:",), "lab.flash_failed", "STM32_Programmer_CLI failed ({line})", FLASH, "doc",
        always=True),
)  # fmt: skip


class CubeProgrammer(Cli):
    """A `Flasher`. The rig's `config` is what follows -c: `port=SWD`, perhaps `freq=4000`."""

    name = "stm32cubeprogrammer"
    kinds = ("stlink",)
    rows = ROWS

    def identify(self, rig: Rig, log: Path) -> str:
        return self._identify(rig, log, silent)

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        seconds = write_seconds(image, rig.address)
        found = self._identify(rig, log, say)
        with at_host(rig, image) as path:
            raw = (f"0x{rig.address:08x}",) if image.suffix.lower() == ".bin" else ()
            words = (*self._connect(rig, "mode=UR"), "-w", path, *raw, "-v", "-rst")
            proofs = ("File download complete", "Download verified successfully", "reset is performed|MCU Reset")
            self.call(rig, words, log, doing="erase, write and verify", proofs=proofs, seconds=seconds, say=say,
                      writes=True)  # fmt: skip
        return found

    def reset(self, rig: Rig, log: Path) -> None:
        words = (*self._connect(rig, "mode=HOTPLUG"), "-rst")
        self.call(rig, words, log, doing="reset", proofs=("reset is performed|MCU Reset",))

    def halt(self, rig: Rig, log: Path) -> None:
        self.call(rig, (*self._connect(rig, "mode=UR"), "-halt"), log, doing="halt")

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        words = self._connect(rig, "mode=UR")
        if step == "reset":
            self.call(rig, (*words, "-hardRst"), log, doing="reset under reset")
        else:
            self.call(rig, (*words, "-e", "all"), log, doing="erase", seconds=60.0, writes=True)

    def _identify(self, rig: Rig, log: Path, say: Say) -> str:
        """The greeting names the device id; it is read without a reset."""
        pattern = r"^\s*Device ID\s*:\s*0x([0-9a-f]{1,8})\b"
        outcome = self.call(rig, self._connect(rig, "mode=HOTPLUG"), log, doing="identify", proofs=(pattern,), say=say)
        return mcu.checked(rig, word_at(outcome, pattern, rig))

    def _connect(self, rig: Rig, mode: str) -> tuple[str, ...]:
        return ("-c", *split(rig.config, rig.target), f"sn={self.probe(rig).serial}", mode, *rig.params)
