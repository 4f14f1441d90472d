"""Drives OpenOCD: separate steps in one process, each a phase with a time-out, its servers off.

    identify    init, id registers                            the chip is known before anything is written
    program     init, reset init, flash write_image erase, verify_image, reset run
    holds       the same without the writing

`program` of OpenOCD itself is not used: it swallows the byte count and the differing addresses. Which OpenOCD: one that
has the target's configuration (harness/device/flash/tools.py). What a run was, openocd_judge.py says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.device.flash import image as images
from harness.device.flash import mcu, probes, tools
from harness.device.flash.base import FlashError, Rig, Say, Step, shown, silent, split
from harness.device.flash.openocd_judge import DONE, RESET, VERIFIED, Proof, judge, programmed, reset_steps
from harness.device.flash.rows import Verdict
from harness.device.flash.tool import Outcome, Phase, at_host, on_host, run

PORTS = "gdb_port disabled; telnet_port disabled; tcl_port disabled"
CONNECTED, HALTED, WRITTEN = "** hil: connected **", "** hil: halted **", "** hil: written **"
CONNECT_S = 10.0  # a probe opens in under 2 s
HALT_S = 15.0  # OpenOCD's own limits for reset and halt are 1 to 2 s a try
WRITE_S, WRITE_RATE = 45.0, 4096  # s for erasing (18 s pass before OpenOCD says that a sector never ends); bytes/s
VERIFY_S = 20.0
RESET_S = 10.0
ENDED = Proof()
TOUCHING = ("write", "erase")  # phases that change the flash

_WORD = re.compile(r"^0x([0-9a-fA-F]{8}): ([0-9a-fA-F]{8})\b")
_DEBUGGED = re.compile(r"^(Debug|Info |Warn |Error|User ) ?: \d+ \d+ [\w.-]+:\d+ \w+\(\): ?(.*)$")
KINDS = {"stlink": ("stlink",), "cmsis-dap": ("cmsis-dap",), "jlink": ("jlink",)}


class OpenOcd:
    """A `Flasher`."""

    name = "openocd"

    def identify(self, rig: Rig, log: Path) -> str:
        return self._identify(rig, log, silent)

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        facts = images.examine(image, rig.address)
        start = time.monotonic()
        found = self._identify(rig, log, say)
        rig = msgspec.structs.replace(rig, timeout_s=max(1, rig.timeout_s - int(time.monotonic() - start)))
        self.write(rig, image, facts, log, say)
        return found

    def write(self, rig: Rig, image: Path, facts: images.Facts, log: Path, say: Say) -> None:
        """The second half of `program`, for a board that is known."""
        outcome = self._through(rig, image, facts, log, say, write=True)
        try:
            self._check(rig, outcome, programmed(facts.size), log)
        except FlashError as error:
            if error.cause == "lab.flash_protected":
                raise self._which_protection(rig, error, log) from error
            raise

    def holds(self, rig: Rig, image: Path, log: Path) -> bool:
        facts = images.examine(image, rig.address)
        outcome = self._through(rig, image, facts, log, silent, write=False)
        proof = programmed(facts.size)._replace(write=False)
        verdict = _judged(outcome, proof, outcome.timed_out)
        if not verdict.ok and verdict.cause == "lab.flash_verify_failed":
            return False
        self._check(rig, outcome, proof, log)
        return True

    def reset(self, rig: Rig, log: Path) -> None:
        self._simple(rig, reset_steps(), RESET_S, log, proof=Proof(lines=(RESET, DONE), reset=True))

    def halt(self, rig: Rig, log: Path) -> None:
        self._simple(rig, ("reset halt",), HALT_S, log)

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        if step == "reset":
            under = ("reset_config srst_only srst_nogate connect_assert_srst",)
            self._simple(rig, ("reset halt",), HALT_S, log, before=under)
        else:
            self._simple(rig, ("reset init", "flash erase_sector 0 0 last"), WRITE_S, log, phase="erase")

    def tool(self, rig: Rig) -> tuple[str, ...]:
        """The OpenOCD for this rig. FlashError lab.tool_missing."""
        return tools.openocd_for(rig).argv

    def selection(self, rig: Rig) -> tuple[str, ...]:
        """The commands that pick the probe. One that is no USB device (remote_bitbang) is named by params."""
        kind, named = _interface(rig), bool(rig.probe_id or rig.probe_path)
        if not named and kind is None:
            return ()
        if not named and not kind and len([one for one in probes.attached(rig) if one.kind()]) < 2:
            return ()  # an adapter of a kind we do not know, or a configuration that brings its own
        probe = probes.meant(rig, KINDS.get(kind or "", probes.ANY))
        serial = probe.serial if rig.probe_id or not rig.probe_path else ""
        if rig.probe_path and "cmsis-dap" in (kind, probe.kind()):
            # OpenOCD's CMSIS-DAP drivers take no notice of a location (0.12.0 and master): the number has to do.
            serial = probe.serial
            same = [one for one in probes.attached(rig) if one.serial == serial]
            if not serial or len(same) > 1:
                what = f"a CMSIS-DAP without a serial number of its own ({', '.join(map(str, same[:4]))})"
                raise FlashError("lab.probe_ambiguous", f"{rig.board}: the probe at {probe.path} is {what}",
                                 "OpenOCD picks those by number alone: unplug the other one, or use another probe"
                                 )  # fmt: skip
        # Two probes with one number (clones): only the place tells them apart.
        place = (f"adapter usb location {rig.probe_path}",) if rig.probe_path else ()
        return (*((f"adapter serial {_tcl(serial)}",) if serial else ()), *place)

    # -- inside --

    def _through(
        self, rig: Rig, image: Path, facts: images.Facts, log: Path, say: Say, *, write: bool
    ) -> Outcome:
        """From connecting to a running board, with or without the writing."""
        what, slow = f"{facts.size / 1024:.0f} KB", facts.size / WRITE_RATE
        wrote = Phase("write", WRITE_S + slow, f"flash {rig.board}: erase and write {what}", HALTED)
        phases = (
            Phase("connect", CONNECT_S, f"flash {rig.board}: connect"),
            Phase("halt", HALT_S, f"flash {rig.board}: halt", CONNECTED),
            *((wrote,) if write else ()),
            Phase("verify", VERIFY_S + slow, f"flash {rig.board}: verify {what}", WRITTEN),
            Phase("reset", RESET_S, f"flash {rig.board}: reset", RESET),
        )
        with at_host(rig, image) as path:
            file = f"{_tcl(path)}{f' 0x{rig.address:08x} bin' if facts.raw else ''}"
            steps = (
                "init", f"echo {{{CONNECTED}}}", "reset init", f"echo {{{HALTED}}}",
                *((f"flash write_image erase {file}",) if write else ()), f"echo {{{WRITTEN}}}",
                f"verify_image {file}", f"echo {{{VERIFIED}}}", *reset_steps(), f"echo {{{DONE}}}", "shutdown",
            )  # fmt: skip
            return self._run(rig, steps, phases, log, say)

    def _which_protection(self, rig: Rig, error: FlashError, log: Path) -> FlashError:
        """OpenOCD says the same of read-out and of write protection; the option bytes tell them apart, where known."""
        register = mcu.option_register(rig)
        if not register:
            return error
        try:
            word = self._read(rig, (register,), log, silent)[register]
        except FlashError:
            return error
        level = mcu.read_protection(word)
        what = f"read-out protection level {level} is set" if level else "the sectors of the image are write-protected"
        return FlashError(error.cause, f"{rig.board}: {what} (option bytes {word:08x})", error.fix,
                          evidence=(*error.evidence, f"{word:08x}"), touched=error.touched)  # fmt: skip

    def _identify(self, rig: Rig, log: Path, say: Say) -> str:
        self.tool(rig)  # a tool that is not there says more than a chip that cannot be asked
        register = mcu.register(rig)
        words = self._read(rig, (mcu.CPUID, *((register,) if register else ())), log, say)
        return mcu.checked(rig, words[register]) if register else ""

    def _read(self, rig: Rig, addresses: Sequence[int], log: Path, say: Say) -> dict[int, int]:
        """Words of the board's memory, read without stopping it."""
        phases = (
            Phase("connect", CONNECT_S, f"flash {rig.board}: connect"),
            Phase("identify", RESET_S, f"flash {rig.board}: identify", CONNECTED),
        )
        reads = tuple(f"mdw 0x{address:08x}" for address in addresses)
        steps = ("init", f"echo {{{CONNECTED}}}", *reads, f"echo {{{DONE}}}", "shutdown")
        outcome = self._run(rig, steps, phases, log, say)
        self._check(rig, outcome, Proof(), log)
        words = {
            int(word[1], 16): int(word[2], 16) for line in outcome.lines if (word := _WORD.match(line)) is not None
        }
        if any(address not in words for address in addresses):
            raise FlashError("lab.flash_failed", f"{rig.board}: OpenOCD read no id from the board",
                             f"see {shown(log)}", evidence=outcome.lines[-3:])  # fmt: skip
        return words

    def _simple(
        self, rig: Rig, steps: Sequence[str], seconds: float, log: Path, *, phase: str = "reset",
        before: Sequence[str] = (), proof: Proof = ENDED,
    ) -> None:  # fmt: skip
        phases = (
            Phase("connect", CONNECT_S, f"{rig.board}: connect"),
            Phase(phase, seconds, f"{rig.board}: {phase}", CONNECTED),
        )
        words = (*before, "init", f"echo {{{CONNECTED}}}", *steps, f"echo {{{DONE}}}", "shutdown")
        self._check(rig, self._run(rig, words, phases, log, silent), proof, log)

    def _run(self, rig: Rig, steps: Sequence[str], phases: Sequence[Phase], log: Path, say: Say) -> Outcome:
        argv: list[str | Path] = [*self.tool(rig), *rig.params]
        for command in self.selection(rig):
            argv += ["-c", command]
        for config in split(rig.config, rig.target):
            argv += ["-f", config]
        for command in (PORTS, *steps):
            argv += ["-c", command]
        total = float(rig.timeout_s)
        return run(on_host(rig.prefix, argv, total), phases, log, total=total, say=say, heard=heard)

    def _check(self, rig: Rig, outcome: Outcome, proof: Proof, log: Path) -> None:
        doing = f"in phase {outcome.timed_out} ({outcome.seconds:.0f} s)" if outcome.timed_out else ""
        verdict = _judged(outcome, proof, doing)
        if verdict.ok:
            return
        raise FlashError(
            verdict.cause, f"{rig.board}: {verdict.sentence}", f"{verdict.remedy} (see {shown(log)})",
            evidence=verdict.matched, touched=any(outcome.began(phase) for phase in TOUCHING),
            climb=verdict.climb,
        )  # fmt: skip


def _judged(outcome: Outcome, proof: Proof, timed_out: str) -> Verdict:
    return judge(outcome.status, outcome.lines, proof, timed_out=timed_out, flooded=outcome.flooded,
                 unread=outcome.unread)  # fmt: skip


def heard(line: str) -> str | None:
    """With -d3 every line has a number, a time and a place in OpenOCD's source; what it debugs is nothing to judge."""
    found = _DEBUGGED.match(line)
    if found is None:
        return line
    level, text = found.groups()
    return None if level == "Debug" else text if level.startswith("User") else f"{level}: {text}"


def _interface(rig: Rig) -> str | None:
    """Which kind of USB probe the configuration drives; "" when it does not say; None is no USB device."""
    text = " ".join((*rig.params, rig.config))
    if re.search(r"remote_bitbang|adapter driver dummy|jtag_(vpi|dpi)", text):
        return None
    return next((kind for kind in KINDS if kind in text), "")


def _tcl(word: str) -> str:
    """`word` as one word of Tcl, whatever it holds."""
    return re.sub(r"([^A-Za-z0-9_./:@%+=,-])", r"\\\1", word)
