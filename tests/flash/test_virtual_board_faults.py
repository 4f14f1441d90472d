"""Every row of "What OpenOCD prints": the virtual board has the fault, the stock OpenOCD meets it and prints the lines.

The lines are what the product's flasher judges by; here they are OpenOCD's own, from a real run.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.flash.vboard import Ran, VirtualBoard, firmware, virtual_board

STEPS = "steps"  # init, reset init, flash write_image, verify_image, reset run
PROGRAM = "program"  # OpenOCD's own procedure with `verify reset`


class Row(NamedTuple):
    fault: str
    lines: tuple[str, ...]
    status: int = 1
    how: str = STEPS
    after: str = ""  # state of the core; "": of no interest
    seconds: float = 40.0


STICKY = "JTAG-DP STICKY ERROR"
STUCK = ("timeout waiting for algorithm, a target reset is recommended", "flash write failed = 0x00000040")
SCAN = "JTAG scan chain interrogation failed: all "
CABLE = "Check JTAG interface, timings, target power, etc."
NO_RESET = "** Unable to reset target **"
ABORTED = "flash write algorithm aborted by target"
BROKEN = "remote_bitbang_putc': errno==32, message: Broken pipe."

ROWS = (
    Row("wrperr", (ABORTED, "flash memory write protected", "flash write failed = 0x00000010")),
    Row("wrperr", (ABORTED, "flash memory write protected", "** Programming Failed **"), how=PROGRAM),
    Row("pgserr", (ABORTED, "flash write failed = 0x00000080")),
    Row("pgperr", (ABORTED, "flash write failed = 0x00000040")),
    Row("pgaerr", (ABORTED, "flash write failed = 0x00000020")),
    Row("rdp1", ("stm32x device protected", "failed erasing sectors 0 to 1")),
    Row("nwrp 2", ("stm32x device protected", "failed erasing sectors 0 to 1")),
    Row("bsy_stuck", ("timed out waiting for flash", "failed erasing sectors")),
    Row("verify_mismatch 0x101", ("wrote 32768 bytes", "checksum mismatch - attempting binary compare",
                                  "diff 0 address 0x08000101. Was 0x")),
    Row("verify_mismatch", ("checksum mismatch - attempting binary compare", "** Verify Failed **"), how=PROGRAM),
    Row("loader_stuck", STUCK, after="code"),
    Row("reset_mid_write", STUCK, after="firmware"),
    Row("power_cycle_mid_write", ("Debug regions are unpowered, an unexpected reset might have happened", STICKY,
                                  "external reset detected"), after="halted"),
    Row("no_power", (SCAN + "zeroes", CABLE)),
    Row("no_power", (SCAN + "zeroes", CABLE, "** OpenOCD init failed **"), how=PROGRAM),
    Row("all_ones", (SCAN + "ones", CABLE)),
    Row("rdp2", (SCAN + "ones", CABLE)),
    Row("lost_mid_write", ("Invalid ACK (7) in DAP response", "Failed to write memory")),
    Row("wait_forever", ("Timeout during WAIT recovery", "DAP transaction stalled (WAIT)")),
    Row("wait_at_connect", ("Timeout during WAIT recovery", "examination failed", "DAP transaction stalled (WAIT)",
                            NO_RESET), how=PROGRAM),
    Row("ap_fault", (STICKY, "Failed to read memory at 0x2000")),
    Row("ap_fault_at_connect", (STICKY, "examination failed", NO_RESET), how=PROGRAM),
    Row("no_halt", ("timed out while waiting for target halted", NO_RESET), how=PROGRAM, after="firmware"),
    Row("reset_ignored", ("timed out while waiting for target halted", NO_RESET), how=PROGRAM, after="firmware"),
    Row("lockup", ("clearing lockup after double fault", "timeout waiting for algorithm"), after="lockup"),
    Row("wrong_device_id", ("Cannot identify target as a STM32 family.", "auto_probe failed")),
    Row("wrong_idcode", ("UNEXPECTED: 0x3ba00477", "expected 1 of 1: 0x4ba00477", "verified 30"), status=0,
        after="firmware"),
    Row("probe_eof", ("remote_bitbang_read_sample: Assertion `!remote_bitbang_recv_buf_empty()' failed.",), status=134),
    Row("probe_killed", (BROKEN, BROKEN)),
    Row("probe_unplugged", ("message: No such file or directory",)),
    Row("probe_silent", ("remote_bitbang driver initialized",), status=137, seconds=5.0),
    Row("boots_nothing", ("** Verified OK **",), status=0, after="firmware"),
)  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware(tmp_path_factory.mktemp("image"), padding=30_000)


@pytest.fixture(scope="module")
def board(image: Path) -> Iterator[VirtualBoard]:
    with virtual_board() as board:
        yield board


def run(board: VirtualBoard, row: Row, image: Path) -> Ran:
    if row.how == PROGRAM:
        return board.openocd(f"program {image} 0x08000000 verify reset", "shutdown", seconds=row.seconds, before=())
    return board.program(image, seconds=row.seconds)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.fault.replace(' ', '-')}-{row.how}" for row in ROWS])
def test_what_openocd_prints(board: VirtualBoard, row: Row, image: Path) -> None:
    board.ask("clear")
    board.ask("power cycle")
    first = board.program(image)  # an image runs, as on a board that is in use
    assert first.status == 0, first.text
    board.wait("emulator", "running")
    board.ask(f"fault {row.fault}")
    ran = run(board, row, image)
    assert ran.status == row.status, ran.text
    ran.in_order(*row.lines)
    if row.after:
        assert board.status()["core"] == row.after
    if row.status == 1:
        assert "** Verified OK **" not in ran.text
    # When it is over, the board works as before.
    board.ask("clear")
    board.ask("power cycle")
    again = board.program(image)
    assert again.status == 0, again.text
    assert "** Verified OK **" in again.text


def test_every_fault_has_a_row(board: VirtualBoard) -> None:
    elsewhere = {"console_silent", "console_noise", "uplink_silent"}  # test_virtual_board.py
    names = {line.split(":")[0] for line in board.listing("faults")}
    assert names == {row.fault.split()[0] for row in ROWS} | elsewhere


def test_rows_without_a_fault_of_the_board(board: VirtualBoard, image: Path, tmp_path: Path) -> None:
    """An image outside of the flash, a missing image, a missing configuration."""
    board.ask("clear")
    outside = board.openocd(f"program {image} 0x60000000 reset", "shutdown")
    assert outside.status == 0
    outside.in_order("no flash bank found for address 0x60000000", "** Programming Finished **")
    missing = board.openocd("reset init", f"flash write_image erase {tmp_path}/x.bin 0x08000000", "shutdown")
    assert missing.status == 1
    assert "couldn't open" in missing.text
    nowhere = board.openocd("shutdown", target=("-f", "target/x.cfg"))
    assert nowhere.status == 1
    assert "Can't find target/x.cfg" in nowhere.text


def test_a_fault_that_a_power_cycle_heals(board: VirtualBoard, image: Path) -> None:
    """What a recovery ladder climbs to: neither a second try nor a reset helps, the power does."""
    board.ask("clear")
    board.ask("fault ap_fault_at_connect")
    board.ask("heal power")
    assert board.program(image).status == 1
    board.ask("reset")
    assert board.program(image).status == 1
    board.ask("power cycle")
    assert board.program(image).status == 0


def test_a_second_client_is_refused_at_once(board: VirtualBoard, image: Path) -> None:
    board.ask("clear")
    board.ask("power cycle")
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(board.jtag))
        board.wait("probe", "held")
        ran = board.program(image, seconds=20)
        assert ran.status == 1
        assert BROKEN in ran.text
        assert ran.seconds < 10
        first.sendall(b"0R4R")
        assert first.recv(16) == b"11"  # the first one does not notice
    board.wait("probe", "free")
    assert board.program(image).status == 0
