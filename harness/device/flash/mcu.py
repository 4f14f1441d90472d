"""Which microcontroller is there: the device id every STM32 has, at an address that its family decides."""

from __future__ import annotations

import re

from harness.device.flash.base import FlashError, Rig

CPUID = 0xE000ED00  # every Cortex-M
MASK = 0xFFF
REGISTERS = {
    "stm32f0": 0x40015800, "stm32g0": 0x40015800, "stm32l0": 0x40015800, "stm32f1": 0xE0042000,
    "stm32f2": 0xE0042000, "stm32f3": 0xE0042000, "stm32f4": 0xE0042000, "stm32f7": 0xE0042000,
    "stm32g4": 0xE0042000, "stm32l1": 0xE0042000, "stm32l4": 0xE0042000, "stm32wb": 0xE0042000,
    "stm32wl": 0xE0042000, "stm32l5": 0xE0044000, "stm32u5": 0xE0044000, "stm32h5": 0x44024000,
    "stm32h7": 0x5C001000,
}  # fmt: skip
"""DBGMCU_IDCODE by the start of a device's or a configuration's name; its low 12 bits are the device id (ST's reference
manuals). A part of two cores or with the debug unit elsewhere needs the address in `mcu`."""

OPTIONS = {"stm32f2": 0x40023C14, "stm32f4": 0x40023C14, "stm32f7": 0x40023C14}
"""FLASH_OPTCR, whose bits 8 to 15 are the level of read-out protection."""


def option_register(rig: Rig) -> int:
    return _of_family(rig, OPTIONS)


def read_protection(word: int) -> int:
    """Level 0, 1 or 2."""
    return {0xAA: 0, 0xCC: 2}.get(word >> 8 & 0xFF, 1)


def _of_family(rig: Rig, table: dict[str, int]) -> int:
    found = re.search(r"stm32[a-z][a-z0-9]", rig.config.lower())
    return table.get(found.group(0) if found else "", 0)


def register(rig: Rig) -> int:
    """The address to read; 0 when it is not known and nothing is asked for. FlashError when an id that is asked for
    cannot be read: what cannot be checked is not flashed."""
    wanted, _, place = rig.mcu.partition("@")
    try:
        address = int(place, 16) if place else _of_family(rig, REGISTERS)
        known = not wanted or (int(wanted, 16) <= MASK and address > 0)
    except ValueError:
        known = False
    if not known:
        raise FlashError(
            "lab.wrong_board", f"{rig.target}: mcu `{rig.mcu}` cannot be checked with `{rig.config}`",
            "write mcu = \"0x413@0xe0042000\", the id and the address of the register that holds it",
        )  # fmt: skip
    return address


def checked(rig: Rig, word: int, mask: int = MASK) -> str:
    """The device id in the register's `word`. FlashError lab.wrong_board when it is not the rig's."""
    found = word & mask
    text = rig.mcu.partition("@")[0]
    try:
        wanted = int(text, 16) if text else found
    except ValueError:
        raise FlashError("lab.wrong_board", f"{rig.target}: mcu `{rig.mcu}` is no device id", "write mcu = \"0x413\""
                         ) from None  # fmt: skip
    if found != wanted:
        raise FlashError(
            "lab.wrong_board", f"{rig.board}: the microcontroller's device id is 0x{found:03x}, {rig.target} is "
            f"0x{wanted:03x}; nothing was written",
            "attach the target's own board, or correct probe_id in lab.toml", evidence=(f"{word:x}",),
        )  # fmt: skip
    return f"0x{found:03x}"
