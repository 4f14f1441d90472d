"""SEGGER's JLinkExe. Its commands are from SEGGER's documentation, most messages from memory; it was never run on a
board by us.

It ends with 0 after most errors unless told otherwise, so the image is compared with `verifybin`, piece by piece, and
each piece must be confirmed. A script's file is its only way to be told more than one command.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.device.flash import mcu
from harness.device.flash.base import FlashError, Rig, Say, Step, silent
from harness.device.flash.cli import Cli, pieces, word_at, write_seconds
from harness.device.flash.rows import Row
from harness.device.flash.tool import Outcome, at_host

ATTACH = "plug the J-Link in, or correct probe_id in lab.toml (`hil boards --scan` lists probes)"
POWER = "check the board's power and the cable to the probe, then try again"
FLASH = "power-cycle the board and try again"
VERIFIED = r"Verify successful"
ROWS = (
    Row("no probe", (r"Cannot connect to J-Link|Connecting to J-Link via USB\.\.\.FAILED|No emulators connected|"
                     r"Could not connect to J-Link|J-Link.*not found",), "lab.probe_missing",
        "no J-Link is attached, or not the one meant ({line})", ATTACH, "doc", always=True),
    Row("ambiguous", (r"Multiple (J-Links|emulators)|Please select emulator",), "lab.probe_ambiguous",
        "more than one J-Link is attached and none was picked", "add probe_id to the board in lab.toml", "unverified",
        always=True),
    Row("no power", (r"VTref=0\.0|Target voltage too low|VTarget = 0\.0",), "lab.target_unpowered",
        "the J-Link answers, the board has no supply ({line})", POWER, "doc", always=True),
    Row("no target", (r"Cannot connect to target|Could not connect to target|Could not find core|"
                      r"Connecting to target.*failed|No Cortex-[MAR] SW Device",), "lab.target_unpowered",
        "the J-Link answers, the board does not ({line})", POWER, "doc", always=True),
    Row("unknown device", (r"Unknown device|Device \S+ (is unknown|not found)|Selected device .* unknown",),
        "lab.tool_missing", "this J-Link software does not know the microcontroller ({line})",
        "install a newer J-Link software pack, or correct [flash] config", "unverified", always=True),
    Row("no file", (r"Failed to open file|Could not open file|File is of unknown",), "lab.build_failed",
        "JLinkExe cannot read the image ({line})", "run `hil build`", "unverified", always=True),
    Row("verify", (r"Verify failed|Verification failed|Verification error|contents differ",), "lab.flash_verify_failed",
        "what was read back differs from the image ({line})", FLASH, "unverified", always=True),
    Row("protected", (r"(read|write)[- ]?protect|device is (secured|locked|protected)|active read protected",),
        "lab.flash_protected", "read-out or write protection is set ({line})",
        "remove it by hand; that erases the flash", "unverified"),
    Row("flash", (r"Error while programming flash|Failed to (erase|program|download)|Writing target memory failed|"
                  r"Erase failed|Programming failed|Unspecified error",), "lab.flash_failed",
        "the flash could not be erased or written ({line})", FLASH, "doc", always=True),
    Row("error", (r"^\s*(\*+ )?Error:|^ERROR:",), "lab.flash_failed", "JLinkExe failed ({line})", FLASH, "unverified",
        always=True),
)  # fmt: skip


class JLink(Cli):
    """A `Flasher`. The rig's `config` is SEGGER's name of the part: R7FS5D97E, STM32H563ZI."""

    name = "jlink"
    kinds = ("jlink",)
    rows = ROWS

    def identify(self, rig: Rig, log: Path) -> str:
        return self._identify(rig, log, silent)

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        seconds = write_seconds(image, rig.address)
        found = self._identify(rig, log, say)
        with at_host(rig, image) as path:
            place = f", 0x{rig.address:08x}" if image.suffix.lower() == ".bin" else ""
            script = ("r", "h", f"loadfile {_word(path)}{place}")
            self._script(rig, script, log, doing="erase and write", seconds=seconds, say=say, writes=True)
        self._compare(rig, image, log, say)
        self.reset(rig, log)
        return found

    def holds(self, rig: Rig, image: Path, log: Path) -> bool:
        try:
            self._compare(rig, image, log, silent)
        except FlashError as error:
            if error.cause != "lab.flash_verify_failed":
                raise
            return False
        self.reset(rig, log)
        return True

    def reset(self, rig: Rig, log: Path) -> None:
        self._script(rig, ("r", "g"), log, doing="reset")

    def halt(self, rig: Rig, log: Path) -> None:
        self._script(rig, ("r", "h"), log, doing="halt")

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        if step == "reset":
            self._script(rig, ("RSetType 2", "r", "h"), log, doing="reset by the pin")
        else:
            self._script(rig, ("r", "h", "erase"), log, doing="erase", seconds=60.0, writes=True)

    def _identify(self, rig: Rig, log: Path, say: Say) -> str:
        address = mcu.register(rig)
        read = address or mcu.CPUID
        pattern = rf"^{read:08x} = ([0-9a-f]{{8}})\b"
        outcome = self._script(rig, (f"mem32 0x{read:08x}, 1",), log, doing="identify", proofs=(pattern,), say=say)
        return mcu.checked(rig, word_at(outcome, pattern, rig)) if address else ""

    def _compare(self, rig: Rig, image: Path, log: Path, say: Say) -> None:
        with pieces(rig, image) as parts:
            script = [f"verifybin {_word(part.path)}, 0x{part.address:08x}" for part in parts]
            self._script(rig, script, log, doing="verify", proofs=[VERIFIED] * len(parts),
                         seconds=write_seconds(image, rig.address), say=say)  # fmt: skip

    def _script(
        self, rig: Rig, commands: Sequence[str], log: Path, *, doing: str, proofs: Sequence[str] = (),
        seconds: float = 25.0, say: Say = silent, writes: bool = False,
    ) -> Outcome:  # fmt: skip
        serial = self.probe(rig).serial.lstrip("0")
        with TemporaryDirectory(prefix="hil-jlink-") as name, ExitStack() as stack:
            file = Path(name) / "commands.jlink"
            file.write_text("".join(f"{command}\n" for command in (*commands, "exit")))
            script = stack.enter_context(at_host(rig, file))
            words = (
                "-NoGui", "1", "-ExitOnError", "1", "-AutoConnect", "1", "-Device", rig.config, "-If", "SWD",
                "-Speed", "4000", "-SelectEmuBySN", serial, *rig.params, "-CommandFile", script,
            )  # fmt: skip
            return self.call(rig, words, log, doing=doing, proofs=("Connecting to J-Link", *proofs), seconds=seconds,
                             say=say, writes=writes)  # fmt: skip


def _word(path: str) -> str:
    """A path in a script, which has no way to write a quote or the end of a line."""
    if '"' in path or not path.isprintable():
        raise FlashError("lab.build_failed", f"{path!r}: JLinkExe cannot be told such a path", "use plain names")
    return f'"{path}"' if " " in path or "," in path else path
