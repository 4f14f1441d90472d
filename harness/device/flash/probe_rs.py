"""probe-rs. Options and messages are from its documentation and issue threads; it was never run on a board by us."""

from __future__ import annotations

from pathlib import Path

from harness.device.flash import mcu
from harness.device.flash.base import FlashError, Rig, Say, Step, silent
from harness.device.flash.cli import Cli, word_at, write_seconds
from harness.device.flash.image import examine
from harness.device.flash.rows import Row
from harness.device.flash.tool import at_host

ATTACH = "plug the probe in, or correct probe_id in lab.toml (`hil boards --scan` lists probes)"
POWER = "check the board's power and the cable to the probe, then try again"
FLASH = "power-cycle the board and try again"
ROWS = (
    Row("no probe", (r"No (connected )?(debug )?probes? (was|were) found|Probe was not found|no probe was found",),
        "lab.probe_missing", "no debug probe is attached, or not the one meant", ATTACH, "doc", always=True),
    Row("ambiguous", (r"[Mm]ultiple (debug )?probes|more than one probe",), "lab.probe_ambiguous",
        "more than one probe fits and none was picked", "add probe_id to the board in lab.toml", "doc", always=True),
    Row("no access", (r"Failed to open the debug probe|could not be (opened|created)|[Pp]ermission",),
        "lab.probe_missing", "the debug probe cannot be opened: no permission, or another program holds it",
        "install probe-rs's udev rules", "doc"),
    Row("unknown chip", (r"chip .* (was )?not found|Unable to load specification for chip",), "lab.tool_missing",
        "this probe-rs does not know the microcontroller ({line})",
        "install a newer probe-rs, or correct [flash] config", "unverified"),
    Row("verify", (r"Flash content verification failed|verification failed",), "lab.flash_verify_failed",
        "what was read back differs from the image", FLASH, "doc", always=True),
    Row("no file", (r"[Ff]ailed to open|No such file or directory",), "lab.build_failed",
        "probe-rs cannot read the image ({line})", "run `hil build`", "unverified"),
    Row("outside flash", (r"No flash memory contains|does not contain .* flash|not.* in any flash",),
        "lab.flash_failed", "the image lies outside the chip's flash ({line})",
        "check `address` and the linker script", "unverified", climb=False),
    Row("protected", (r"permission to (unlock|erase)|chip is (locked|protected)|allow-erase-all",),
        "lab.flash_protected", "read-out or write protection is set",
        "remove it by hand; that erases the flash", "unverified"),
    Row("no target", (r"JtagNoDeviceConnected|JtagGetIdcodeError|Target device did not respond|No ACK|NoAcknowledge",),
        "lab.target_unpowered", "the probe answers, the board does not ({line})", POWER, "doc"),
    Row("probe", (r"error specific to a probe type|USB (communication )?error|error with the usage of the probe",),
        "lab.probe_silent", "the probe failed in the middle of the run ({line})", "plug it in again", "doc"),
    Row("flash", (r"flashing procedure|Error while flashing|failed to (flash|erase)",), "lab.flash_failed",
        "the flash could not be erased or written ({line})", FLASH, "doc", always=True),
    Row("error", (r"^\s*Error:? ",), "lab.flash_failed", "probe-rs failed ({line})", FLASH, "doc"),
)  # fmt: skip


class ProbeRs(Cli):
    """A `Flasher`. The rig's `config` is probe-rs's name of the part: STM32H563ZITx."""

    name = "probe-rs"
    rows = ROWS

    def identify(self, rig: Rig, log: Path) -> str:
        return self._identify(rig, log, silent)

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        facts, seconds = examine(image, rig.address), write_seconds(image, rig.address)
        if facts.kind == "srec":
            raise FlashError("lab.build_failed", f"{image}: probe-rs does not read S-records", "use ELF, HEX or BIN")
        found = self._identify(rig, log, say)
        with at_host(rig, image) as path:
            base = ("--base-address", f"0x{rig.address:08x}") if facts.raw else ()
            words = ("download", *self._which(rig), "--binary-format", facts.kind, *base, "--verify", path)
            self.call(rig, words, log, doing="erase, write and verify", proofs=("Finished in",), seconds=seconds,
                      say=say, writes=True)  # fmt: skip
        self.reset(rig, log)
        return found

    def reset(self, rig: Rig, log: Path) -> None:
        self.call(rig, ("reset", *self._which(rig)), log, doing="reset")

    def halt(self, rig: Rig, log: Path) -> None:
        """probe-rs has no command that leaves the core halted; the board runs."""

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        if step == "reset":
            self.call(rig, ("reset", *self._which(rig), "--connect-under-reset"), log, doing="reset under reset")
        else:
            self.call(rig, ("erase", *self._which(rig)), log, doing="erase", seconds=60.0, writes=True)

    def _identify(self, rig: Rig, log: Path, say: Say) -> str:
        address = mcu.register(rig)
        words = ("read", *self._which(rig), "b32", f"0x{address or mcu.CPUID:08x}", "1")
        pattern = r"^\s*(?:0x)?([0-9a-f]{8})\s*$"
        outcome = self.call(rig, words, log, doing="identify", proofs=(pattern,), say=say)
        return mcu.checked(rig, word_at(outcome, pattern, rig)) if address else ""

    def _which(self, rig: Rig) -> tuple[str, ...]:
        probe = self.probe(rig)
        return ("--non-interactive", "--chip", rig.config, "--probe", f"{probe.usb_id}:{probe.serial}", *rig.params)
