"""Who called whom in a Cortex-M program that hangs, from its registers and the words on its stack, without a debugger.

A word counts as a return address when it lies in code, has the Thumb bit, and the instruction before it is a call.
Words left over from earlier calls pass that test too; so from each function the walk looks for the next word whose call
goes to that very function. Where there is none (a jump instead of a call, a call through a pointer) the next candidate
is taken: from there on it is a guess.
"""

from __future__ import annotations

import bisect
import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

ADDR2LINE = "arm-none-eabi-addr2line"
MAX_FRAMES = 10
MAX_IMAGE = 64 << 20
OUTERMOST = "main"

SECTION_SYMBOLS = 2
FUNCTION = 2


class Code:
    """Functions of a 32-bit little-endian Arm ELF file. ValueError when it is none or is damaged; OSError."""

    def __init__(self, image: Path) -> None:
        if image.stat().st_size > MAX_IMAGE:
            raise ValueError(f"{image} is too large")
        data = image.read_bytes()
        if data[:6] != b"\x7fELF\x01\x01":
            raise ValueError(f"{image} is no 32-bit ELF file")
        try:
            self._read(data)
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"{image} is damaged") from error

    def _read(self, data: bytes) -> None:
        (section_offset,) = struct.unpack_from("<I", data, 32)
        size, count = struct.unpack_from("<HH", data, 46)
        sections = [struct.unpack_from("<10I", data, section_offset + size * n) for n in range(count)]
        found: dict[int, tuple[str, int, int]] = {}  # start: name, length, offset in the file
        for _, kind, _, _, offset, length, link, _, _, _ in sections:
            if kind != SECTION_SYMBOLS:
                continue
            names = sections[link][4]
            for at in range(offset, offset + length, 16):
                name_at, value, extent, info, _, home = struct.unpack_from("<IIIBBH", data, at)
                if info & 15 != FUNCTION or not 0 < home < count:
                    continue
                start = value & ~1
                base = sections[home]
                name = data[names + name_at : data.index(b"\0", names + name_at)].decode()
                at_file = base[4] + start - base[3]
                if 0 <= at_file <= len(data) - extent:
                    found[start] = (name, extent, at_file)
        self._data = data
        self._starts = sorted(found)
        self._found = found

    def function(self, address: int) -> int | None:
        """Where the function that holds `address` starts."""
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        start = self._starts[at]
        return start if address < start + self._found[start][1] else None

    def name(self, start: int | None) -> str:
        return self._found[start][0] if start is not None else ""

    def call_before(self, word: int) -> tuple[int, int | None] | None:
        """(address of the call, where it goes: None if through a register) when `word` is a return address."""
        start = self.function(word - 3)
        if word & 1 == 0 or start is None:
            return None
        at = word - 1 - start
        end = self._found[start][2] + at  # of the call, in the file
        if at >= 4:
            first, second = struct.unpack_from("<HH", self._data, end - 4)
            if first & 0xF800 == 0xF000 and second & 0xD000 == 0xD000:
                return word - 5, (word - 1 + _branch_offset(first, second)) & 0xFFFFFFFF
        if at >= 2 and struct.unpack_from("<H", self._data, end - 2)[0] & 0xFF87 == 0x4780:
            return word - 3, None
        return None


def _branch_offset(first: int, second: int) -> int:
    """Of BL, encoding T1 (Armv7-M ARM A7.7.18), relative to the address after it."""
    sign = first >> 10 & 1
    upper = 1 - (second >> 13 & 1 ^ sign)
    lower = 1 - (second >> 11 & 1 ^ sign)
    offset = sign << 24 | upper << 23 | lower << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
    return offset - (1 << 25) if sign else offset


def frames(code: Code, pc: int, lr: int, stack: Sequence[int]) -> list[int]:
    """Addresses, innermost first: the program counter, then the calls that led there."""
    found = [pc]
    calls = [call for word in (lr, *stack) if (call := code.call_before(word)) is not None]
    current = code.function(pc)
    while calls and len(found) < MAX_FRAMES and code.name(current) != OUTERMOST:
        match = next((n for n, (_, target) in enumerate(calls) if target is not None and target == current), 0)
        address, _ = calls[match]
        found.append(address)
        current = code.function(address)
        calls = calls[match + 1 :]
    return found


def places(image: Path, addresses: Sequence[int]) -> list[str]:
    """`0x100001e6 main at client.c:21` for each; without debug information the function, or the bare address."""
    texts = [f"0x{address:08x}" for address in addresses]
    try:
        code = Code(image)
    except (OSError, ValueError):
        return texts
    texts = [f"{text} {code.name(code.function(a & ~1))}".rstrip() for text, a in zip(texts, addresses, strict=True)]
    argv = [ADDR2LINE, "-s", "-e", str(image), *(hex(address & ~1) for address in addresses)]
    try:
        lines = subprocess.run(argv, capture_output=True, text=True, timeout=5, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return texts
    for number, line in enumerate(lines[: len(texts)]):
        if not line.startswith("??"):
            texts[number] += f" at {re.sub(r' .discriminator.*', '', line)[:100]}"
    return texts
