"""What can go wrong with a flash, one row a fault, and what must come of it. The recorder, the test of recorded output
and the live test share this table."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from harness.device.flash.base import Rig

F4 = "target/stm32f4x.cfg"
FLASH = 0x08000000


class Fault(NamedTuple):
    """`fault`: asked of the virtual board ("" for none). `row`: what the judge calls it in the recorded run. `change`:
    of the rig. `mends`: it strikes once, so the ladder gets the image onto the board. `wedged`: at the ladder's end."""

    name: str
    cause: str
    row: str
    fault: str = ""
    change: tuple[tuple[str, str | int | tuple[str, ...]], ...] = ()
    mends: bool = False
    wedged: bool = False
    timeout_s: int = 30
    image: str = "image.bin"


FAULTS = (
    Fault("write-wrperr", "lab.flash_protected", "write protected", "wrperr"),
    Fault("write-pgserr", "lab.flash_failed", "write error", "pgserr", wedged=True),
    Fault("write-pgperr", "lab.flash_failed", "write error", "pgperr", wedged=True),
    Fault("write-pgaerr", "lab.flash_failed", "write error", "pgaerr", wedged=True),
    Fault("rdp1", "lab.flash_protected", "protected", "rdp1"),
    Fault("nwrp", "lab.flash_protected", "protected", "nwrp"),
    Fault("rdp2", "lab.target_unpowered", "no target", "rdp2"),
    Fault("bsy-stuck", "lab.flash_failed", "flash busy", "bsy_stuck", wedged=True),
    Fault("verify-mismatch", "lab.flash_verify_failed", "verify", "verify_mismatch", wedged=True),
    Fault("loader-stuck", "lab.flash_failed", "loader lost", "loader_stuck", wedged=True),
    Fault("reset-mid-write", "lab.flash_failed", "loader lost", "reset_mid_write", mends=True),
    Fault("power-cycle-mid-write", "lab.target_unpowered", "power lost", "power_cycle_mid_write", mends=True),
    Fault("no-power", "lab.target_unpowered", "no target", "no_power"),
    Fault("cable-off", "lab.target_unpowered", "no target", "all_ones"),
    Fault("lost-mid-write", "lab.target_unpowered", "target lost", "lost_mid_write", wedged=True),
    Fault("wait-for-ever", "lab.flash_failed", "WAIT", "wait_forever", wedged=True),
    Fault("wait-at-connect", "lab.flash_failed", "WAIT", "wait_at_connect", wedged=True),
    Fault("ap-fault", "lab.flash_failed", "AP fault", "ap_fault", wedged=True),
    Fault("ap-fault-at-connect", "lab.flash_failed", "AP fault", "ap_fault_at_connect", wedged=True),
    Fault("no-halt", "lab.flash_failed", "no halt", "no_halt", wedged=True),
    Fault("reset-ignored", "lab.flash_failed", "reset ignored", "reset_ignored", wedged=True),
    Fault("lockup", "lab.flash_failed", "loader lost", "lockup", wedged=True),
    Fault("wrong-device-id", "lab.wrong_board", "wrong device id", "wrong_device_id"),
    Fault("wrong-device-id-unasked", "lab.wrong_board", "wrong device id", "wrong_device_id", (("mcu", ""),)),
    Fault("wrong-idcode", "lab.wrong_board", "wrong IDCODE", "wrong_idcode"),
    Fault("outside-flash", "lab.flash_failed", "image outside flash", change=(("address", 0x08200000),)),
    Fault("no-adapter", "lab.probe_missing", "no adapter", change=(("params", ()),)),
    Fault("probe-eof", "lab.probe_silent", "probe left", "probe_eof", mends=True),
    Fault("probe-killed", "lab.probe_silent", "probe died", "probe_killed", mends=True),
    Fault("probe-silent", "lab.probe_silent", "", "probe_silent"),
    Fault("probe-unplugged", "lab.probe_missing", "no probe server", "probe_unplugged"),
    Fault("no-stlink", "lab.probe_missing", "no ST-LINK", change=(("params", ("-f", "interface/stlink.cfg")),)),
    Fault("no-cmsis-dap", "lab.probe_missing", "no CMSIS-DAP", change=(("params", ("-f", "interface/cmsis-dap.cfg")),)),
    Fault("no-jlink", "lab.probe_missing", "no J-Link",
          change=(("params", ("-f", "interface/jlink.cfg", "-c", "transport select jtag")),)),
    Fault("cfg-missing", "lab.tool_missing", "configuration missing", change=(("config", "target/none.cfg"),)),
    Fault("image-missing", "lab.build_failed", "image missing", image="none.bin"),
)  # fmt: skip


def contents(seed: int = 1) -> bytes:
    """An image long enough for what strikes in the middle of a write."""
    return random.Random(seed).randbytes(60_000)  # noqa: S311


def rig_for(board: str, jtag: Path, fault: Fault | None = None) -> Rig:
    commands = ("adapter driver remote_bitbang", "remote_bitbang port 0", f"remote_bitbang host {jtag}")
    adapter = tuple(word for command in commands for word in ("-c", command))
    values = {
        "board": board, "target": "f405-virtual", "flasher": "openocd", "config": F4, "address": FLASH,
        "params": adapter, "mcu": "0x413", "timeout_s": 30 if fault is None else fault.timeout_s,
    }  # fmt: skip
    return Rig(**{**values, **dict(fault.change if fault else ())})  # type: ignore[arg-type]
