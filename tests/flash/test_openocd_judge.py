"""The judge of OpenOCD's runs on recorded output: every row, the false passes, and what must not alarm it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from harness.device.flash.openocd import heard
from harness.device.flash.openocd_judge import DONE, MARK, RESET, VERIFIED, VTOR, Proof, judge, programmed
from harness.device.flash.openocd_rows import ROWS
from harness.device.flash.rows import Verdict
from harness.paths import CAUSES
from tests.flash.table import FAULTS, Fault, contents

RECORDED = Path(__file__).parent / "recorded"
SIZE = len(contents())
KNOWN = tomllib.loads(CAUSES.read_text())["lab"]
GOOD = (
    "Error: Translation from khz to adapter speed not implemented", "auto erase enabled",
    f"wrote {SIZE} bytes from file x.bin in 0.1s (1 KiB/s)", f"verified {SIZE} bytes in 0.1s (1 KiB/s)",
    VERIFIED, RESET, f"0x{VTOR:08x}: {MARK:08x} ", f"0x{VTOR:08x}: 00000000 ", DONE,
)  # fmt: skip


def replay(name: str) -> Verdict:
    """The judge's word on a recorded log. A run that we ended says in which phase."""
    lines, status, timed_out = [], None, ""
    for raw in (RECORDED / f"{name}.log").read_text().splitlines():
        line = raw[9:]
        if found := re.match(r"# exit status (\d+), [\d.]+ s(?:, ended in phase (\w+))?$", line):
            status, timed_out = int(found[1]), found[2] or ""
        elif not line.startswith("$ "):
            lines.append(line)
    assert status is not None
    return judge(status, lines, programmed(SIZE), timed_out=timed_out)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_recorded_fault(fault: Fault) -> None:
    verdict = replay(fault.name)
    assert not verdict.ok
    assert (verdict.cause, verdict.row) == (fault.cause, fault.row)
    assert verdict.matched
    assert "\n" not in verdict.sentence + verdict.remedy
    assert len(verdict.sentence) > 20
    assert verdict.remedy


def test_recorded_good_run() -> None:
    assert replay("good").ok


# What OpenOCD's own `program` prints (measured elsewhere), and what it says of probes that no test has (its source).
SAID: tuple[tuple[str, int, str, str], ...] = (
    ("flash write algorithm aborted by target|flash memory write protected|flash write failed = 0x00000010|"
     "** Programming Failed **", 1, "lab.flash_protected", "write protected"),
    ("flash write algorithm aborted by target|flash write failed = 0x00000080|** Programming Failed **", 1,
     "lab.flash_failed", "write error"),
    ("stm32x device protected|failed erasing sectors 0 to 1", 1, "lab.flash_protected", "protected"),
    ("timed out waiting for flash|failed erasing sectors 0 to 1", 1, "lab.flash_failed", "flash busy"),
    ("checksum mismatch - attempting binary compare|** Verify Failed **", 1, "lab.flash_verify_failed", "verify"),
    ("diff 0 address 0x08000100. Was 0x00 instead of 0x01", 1, "lab.flash_verify_failed", "verify"),
    ("timeout waiting for algorithm, a target reset is recommended|flash write failed = 0x00000040", 1,
     "lab.flash_failed", "loader lost"),
    ("Debug regions are unpowered, an unexpected reset might have happened|JTAG-DP STICKY ERROR|"
     "Failed to write memory at 0x20000000|external reset detected", 1, "lab.target_unpowered", "power lost"),
    ("JTAG scan chain interrogation failed: all zeroes|Check JTAG interface, timings, target power, etc.|"
     "** OpenOCD init failed **", 1, "lab.target_unpowered", "no target"),
    ("Invalid ACK (7) in DAP response|** Programming Failed **", 1, "lab.target_unpowered", "target lost"),
    ("DAP transaction stalled (WAIT) - slowing down|Timeout during WAIT recovery", 1, "lab.flash_failed", "WAIT"),
    ("DAP transaction stalled (WAIT)|** Unable to reset target **", 1, "lab.flash_failed", "WAIT"),
    ("JTAG-DP STICKY ERROR|** Programming Failed **", 1, "lab.flash_failed", "AP fault"),
    ("[stm32f4x.cpu] Examination failed, GDB will be halted|** Unable to reset target **", 1, "lab.flash_failed",
     "examination"),
    ("timed out while waiting for target halted|** Unable to reset target **", 1, "lab.flash_failed", "no halt"),
    ("[stm32f4x.cpu] clearing lockup after double fault", 1, "lab.flash_failed", "lockup"),
    ("Cannot identify target as a STM32 family.|auto_probe failed", 1, "lab.wrong_board", "wrong device id"),
    ("JTAG tap: x UNEXPECTED: 0x3ba00477|expected 1 of 1: 0x4ba00477|** Verified OK **|** Resetting Target **", 0,
     "lab.wrong_board", "wrong IDCODE"),
    ("no flash bank found for address 0x20000000|** Programming Finished **|** Resetting Target **", 0,
     "lab.flash_failed", "image outside flash"),
    ("Debug adapter does not support any transports? Check config file order.", 0, "lab.probe_missing", "no adapter"),
    ("couldn't bind gdb to socket on port 3333: Address already in use|** Verified OK **|** Resetting Target **", 0,
     "lab.board_busy", "port busy"),
    ("openocd: x.c:196: Assertion `!remote_bitbang_recv_buf_empty()' failed.", 134, "lab.probe_silent", "probe left"),
    ("Error on socket 'remote_bitbang_putc': errno==32, message: Broken pipe.", 1, "lab.probe_silent", "probe died"),
    ("Error: open failed|** OpenOCD init failed **", 1, "lab.probe_missing", "no ST-LINK"),
    ("unable to find a matching CMSIS-DAP device|** OpenOCD init failed **", 1, "lab.probe_missing", "no CMSIS-DAP"),
    ("No J-Link device found|** OpenOCD init failed **", 1, "lab.probe_missing", "no J-Link"),
    ("couldn't open x.bin|** Programming Failed **", 1, "lab.build_failed", "image missing"),
    ("Can't find target/stm32h5x.cfg", 1, "lab.tool_missing", "configuration missing"),
    ("Error: libusb_open() failed with LIBUSB_ERROR_ACCESS|Error: open failed", 1, "lab.probe_missing",
     "probe not allowed"),
    ("Error: unable to claim interface: LIBUSB_ERROR_BUSY", 1, "lab.board_busy", "probe taken"),
    ("Error: init mode failed (unable to connect to the target)", 1, "lab.target_unpowered", "no target over SWD"),
    ("Error: Error connecting DP: cannot read IDR", 1, "lab.target_unpowered", "no target over SWD"),
)  # fmt: skip


@pytest.mark.parametrize(("said", "status", "cause", "row"), SAID, ids=[f"{n}-{r[3]}" for n, r in enumerate(SAID)])
def test_what_program_says(said: str, status: int, cause: str, row: str) -> None:
    verdict = judge(status, said.split("|"), programmed(SIZE))
    assert (verdict.ok, verdict.cause, verdict.row) == (False, cause, row)


@pytest.mark.parametrize("row", [row for row in ROWS if row.always], ids=lambda row: row.name)
def test_no_false_pass(row: object) -> None:
    """Lines that never stand in a good run are a failure even among every sign of success."""
    said = {
        "wrong IDCODE": "Warn : JTAG tap: x.cpu UNEXPECTED: 0x3ba00477",
        "image outside flash": "no flash bank found for 0x0",
        "no adapter": "Error: Debug adapter does not support any transports?",
        "port busy": "Error: couldn't bind gdb to socket on port 3333: Address already in use",
    }[row.name]  # type: ignore[attr-defined]  # fmt: skip
    assert judge(0, GOOD, programmed(SIZE)).ok
    assert not judge(0, (*GOOD, said), programmed(SIZE)).ok
    assert not judge(0, (said, *GOOD), programmed(SIZE)).ok


@pytest.mark.parametrize("left_out", range(2, len(GOOD)))
def test_each_proof_is_needed(left_out: int) -> None:
    """Status 0 with one sign of success missing is a failure; only the reset's mark may be unreadable."""
    lines = GOOD[:left_out] + GOOD[left_out + 1 :]
    assert judge(0, lines, programmed(SIZE)).ok == GOOD[left_out].startswith("0x")


def test_fewer_bytes_than_the_image() -> None:
    short = tuple(line.replace(f"wrote {SIZE} ", f"wrote {SIZE - 1} ") for line in GOOD)
    assert not judge(0, short, programmed(SIZE)).ok
    short = tuple(line.replace(f"verified {SIZE} ", f"verified {SIZE - 1} ") for line in GOOD)
    assert not judge(0, short, programmed(SIZE)).ok


def test_ignored_reset_is_no_pass() -> None:
    stood = tuple(line.replace("00000000 ", f"{MARK:08x} ") for line in GOOD)
    verdict = judge(0, stood, programmed(SIZE))
    assert (verdict.ok, verdict.row) == (False, "reset ignored")


@pytest.mark.parametrize("status", [1, 134, 137, 143])
def test_status_not_zero_is_never_a_pass(status: int) -> None:
    assert not judge(status, GOOD, programmed(SIZE)).ok


def test_ended_by_us_is_never_a_pass() -> None:
    verdict = judge(0, GOOD, programmed(SIZE), timed_out="in phase connect (10 s)")
    assert (verdict.ok, verdict.cause) == (False, "lab.probe_silent")
    assert not judge(137, (), Proof(), timed_out="x", flooded=True).ok


def test_silence_is_the_probe() -> None:
    verdict = judge(137, ("Info : remote_bitbang driver initialized",), Proof(), timed_out="in phase connect (10 s)")
    assert (verdict.cause, verdict.ok) == ("lab.probe_silent", False)


def test_rows_are_complete() -> None:
    """Each row names a known lab cause, says a sentence and a next step, and its patterns compile."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for row in ROWS:
        assert KNOWN[row.cause.removeprefix("lab.")]["side"] == "lab", row.name
        assert row.sentence and row.remedy and row.source in ("seen", "doc", "unverified")
        for pattern in row.lines:
            re.compile(pattern)


def test_every_row_of_the_recordings_is_marked_seen() -> None:
    seen = {fault.row for fault in FAULTS if fault.row}
    assert {row.name for row in ROWS if row.name in seen and row.source != "seen"} == set()


def test_a_run_of_which_not_every_line_was_kept_is_no_pass() -> None:
    """`UNEXPECTED` may have been among the others."""
    assert judge(0, GOOD, programmed(SIZE)).ok
    verdict = judge(0, GOOD, programmed(SIZE), unread=1)
    assert (verdict.ok, verdict.cause) == (False, "lab.flash_failed") and "1 of its lines" in verdict.sentence


@pytest.mark.parametrize(("line", "said"), [
    ("Debug: 186 210 command.c:155 script_debug(): command - echo ** Verified OK **", None),
    ("User : 210 210 command.c:685 handle_echo(): ** hil: connected **", "** hil: connected **"),
    ("User : 187 210 options.c:52 configuration_output_handler(): 0xe000ed00: 410fc241", "0xe000ed00: 410fc241"),
    ("Error: 9 1 core.c:1 jtag_examine_chain_check(): JTAG scan chain interrogation failed: all ones",
     "Error: JTAG scan chain interrogation failed: all ones"),
    ("Info : 9 1 adapter.c:12 f(): x", "Info : x"),
    ("Info : clock speed 2000 kHz", "Info : clock speed 2000 kHz"),
])  # fmt: skip
def test_what_it_says_with_d3_is_judged_as_without(line: str, said: str | None) -> None:
    assert heard(line) == said
