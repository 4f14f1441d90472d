"""pyOCD. Its words and messages are from its source (0.36 and later); it was never run on a board by us.

It ends with 0 after a Ctrl-C and does not verify by itself, so the image is read back and compared byte by byte. It
waits for ever for a probe that is not there: `--no-wait`.
"""

from __future__ import annotations

from pathlib import Path

from harness.device.flash import mcu
from harness.device.flash.base import Rig, Say, Step, silent
from harness.device.flash.cli import Cli, pieces, word_at, write_seconds
from harness.device.flash.rows import Row
from harness.device.flash.tool import at_host

ATTACH = "plug the probe in, or correct probe_id in lab.toml (`hil boards --scan` lists probes)"
POWER = "check the board's power and the cable to the probe, then try again"
FLASH = "power-cycle the board and try again"
ROWS = (
    Row("no probe", (r"No (available|connected) debug probes?|No target device available",), "lab.probe_missing",
        "no debug probe is attached, or it does not answer", ATTACH, "doc"),
    Row("no access", (r"Access denied|Insufficient permissions|libusb.*permission",), "lab.probe_missing",
        "the debug probe is there, but this user may not open it", "install pyOCD's udev rules", "doc"),
    Row("in use", (r"Resource busy|already in use|exclusive access",), "lab.board_busy",
        "another program holds the debug probe", "end it, then try again", "unverified"),
    Row("unknown target", (r"Target type \S+ not recognized",), "lab.tool_missing",
        "this pyOCD does not know the microcontroller ({line})", "pyocd pack install DEVICE", "doc"),
    Row("no file", (r"No such file",), "lab.build_failed", "pyOCD cannot read the image ({line})",
        "run `hil build`", "doc"),
    Row("mismatch", (r"Mismatched byte at",), "lab.flash_verify_failed",
        "what was read back differs from the image ({line})", FLASH, "doc", always=True),
    Row("outside flash", (r"is not writable|no memory region defined|no flash region",), "lab.flash_failed",
        "the image lies outside the chip's flash ({line})", "check `address` and the linker script", "unverified",
        climb=False),
    Row("locked", (r"(device|target|chip) is (locked|protected)|flash.*protected",), "lab.flash_protected",
        "read-out or write protection is set", "remove it by hand; that erases the flash", "unverified"),
    Row("flash", (r"flash (erase|program|init|uninit)\S* .*(fail|error)|flash (erase|program) \w+ failure",),
        "lab.flash_failed", "the flash could not be erased or written ({line})", FLASH, "doc"),
    Row("no target", (r"communication failure \(No ACK\)|Unable to find a target|No ACK|target (lost|not responding)",),
        "lab.target_unpowered", "the probe answers, the board does not ({line})", POWER, "doc"),
    Row("bus", (r"communication failure|Memory transfer fault|Transfer(Timeout|Fault)?Error|\(FAULT ACK\)",),
        "lab.flash_failed", "the board's memory could not be reached ({line})", POWER, "doc"),
    Row("probe lost", (r"\[Errno 19\]|No such device|Pipe error|device disconnected",), "lab.probe_silent",
        "the probe vanished from USB in the middle of the run", "plug it in again", "unverified"),
)  # fmt: skip


class PyOcd(Cli):
    """A `Flasher`. The rig's `config` is pyOCD's name of the part: stm32h563zitx."""

    name = "pyocd"
    rows = ROWS

    def identify(self, rig: Rig, log: Path) -> str:
        return self._identify(rig, log, silent)

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        seconds = write_seconds(image, rig.address)
        found = self._identify(rig, log, say)
        with at_host(rig, image) as path:
            raw = ("-a", f"0x{rig.address:08x}") if image.suffix.lower() == ".bin" else ()
            self.call(rig, ("load", *self._which(rig), *raw, "--no-reset", path), log, doing="erase and write",
                      seconds=seconds, say=say, writes=True)  # fmt: skip
        self._compare(rig, image, log, say)
        self.reset(rig, log)
        return found

    def holds(self, rig: Rig, image: Path, log: Path) -> bool:
        from harness.device.flash.base import FlashError

        try:
            self._compare(rig, image, log, silent)
        except FlashError as error:
            if error.cause != "lab.flash_verify_failed":
                raise
            return False
        self.reset(rig, log)
        return True

    def reset(self, rig: Rig, log: Path) -> None:
        self.call(rig, ("reset", *self._which(rig)), log, doing="reset")

    def halt(self, rig: Rig, log: Path) -> None:
        self.call(rig, ("reset", *self._which(rig), "--halt"), log, doing="halt")

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        if step == "reset":
            self.call(rig, ("reset", *self._which(rig), "-M", "under-reset", "--halt"), log, doing="reset under reset")
        else:
            self.call(rig, ("erase", *self._which(rig), "--chip"), log, doing="erase", seconds=60.0, writes=True)

    def _identify(self, rig: Rig, log: Path, say: Say) -> str:
        address = mcu.register(rig)
        read = address or mcu.CPUID
        words = ("commander", *self._which(rig), "-M", "attach", "-c", f"read32 0x{read:08x}")
        pattern = rf"^{read:08x}:\s+([0-9a-f]{{8}})\b"
        outcome = self.call(rig, words, log, doing="identify", proofs=(pattern,), say=say)
        return mcu.checked(rig, word_at(outcome, pattern, rig)) if address else ""

    def _compare(self, rig: Rig, image: Path, log: Path, say: Say) -> None:
        with pieces(rig, image) as parts:
            commands = [word for part in parts for word in ("-c", f"compare 0x{part.address:08x} {part.path}")]
            proofs = [rf"All {part.size} bytes match" for part in parts]
            self.call(rig, ("commander", *self._which(rig), *commands), log, doing="verify", proofs=proofs,
                      seconds=write_seconds(image, rig.address), say=say)  # fmt: skip

    def _which(self, rig: Rig) -> tuple[str, ...]:
        return ("--no-wait", "-t", rig.config, "-u", self.probe(rig).serial, *rig.params)
