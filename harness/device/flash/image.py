"""What kind of file an image is, and how many bytes of it must reach the flash. Bounded reading of a hostile file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.device.flash.base import FlashError

MAX_IMAGE = 64 << 20
ELF = b"\x7fELF"
PT_LOAD = 1
MAX_SEGMENTS = 256


class Facts(NamedTuple):
    """`raw`: it holds no addresses of its own. `size`: bytes to be written (0: not counted)."""

    raw: bool
    size: int
    kind: str


def examine(path: Path, address: int) -> Facts:
    """FlashError lab.build_failed when there is nothing that could be written."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4)
            if head == ELF and size <= MAX_IMAGE:
                head += file.read(MAX_IMAGE)  # Keil and IAR put the program headers behind everything else
    except OSError as error:
        raise FlashError("lab.build_failed", f"{path}: {error.strerror}", "run `hil build`") from error
    if size == 0:
        raise FlashError("lab.build_failed", f"{path}: the image is empty", "run `hil build`")
    if size > MAX_IMAGE:
        raise FlashError("lab.build_failed", f"{path}: {size} bytes are no microcontroller's image", "check `image`")
    if head.startswith(ELF):
        headers = tuple(_program_headers(head))
        if not headers:
            raise FlashError("lab.build_failed", f"{path}: an ELF file with nothing to load", "check the linker script")
        if any(at + length > len(head) for at, _, length in headers):
            raise FlashError("lab.build_failed", f"{path}: an ELF file that is cut short", "run `hil build`")
        return Facts(False, sum(length for _, _, length in headers), "elf")
    if path.suffix.lower() in (".hex", ".ihex") and head.startswith(b":"):
        return Facts(False, _hex_bytes(path), "hex")
    if path.suffix.lower() in (".srec", ".s19", ".mot") and head.startswith(b"S"):
        return Facts(False, 1, "srec")
    if address <= 0 and path.suffix.lower() != ".bin":
        raise FlashError("lab.build_failed", f"{path}: neither ELF nor HEX, and no address is given",
                         "set `address` in the target's [flash]")  # fmt: skip
    return Facts(True, size, "bin")


class Segment(NamedTuple):
    address: int
    data: bytes


def segments(path: Path, address: int) -> tuple[Segment, ...]:
    """What is to lie where, for tools that compare plain bytes. FlashError lab.build_failed otherwise."""
    facts = examine(path, address)
    raw = path.read_bytes()
    if facts.kind == "bin":
        return (Segment(address, raw),)
    found = _elf_segments(raw) if facts.kind == "elf" else _hex_segments(raw) if facts.kind == "hex" else ()
    if not found:
        raise FlashError("lab.build_failed", f"{path}: nothing to load in it", "use an ELF, HEX or BIN file")
    return found


def _program_headers(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Offset, load address and size of all loadable segments (32-bit, little-endian: every Cortex-M)."""
    if len(raw) < 52 or raw[4] != 1 or raw[5] != 1:
        return
    (offset,) = struct.unpack_from("<I", raw, 28)
    size, count = struct.unpack_from("<HH", raw, 42)
    for number in range(min(count, MAX_SEGMENTS)):
        at = offset + number * size
        if size < 32 or at + 32 > len(raw):
            return
        kind, start, _, load, filesz = struct.unpack_from("<5I", raw, at)
        if kind == PT_LOAD and 0 < filesz <= MAX_IMAGE:
            yield start, load, filesz


def _elf_segments(raw: bytes) -> tuple[Segment, ...]:
    return tuple(Segment(load, raw[at : at + size]) for at, load, size in _program_headers(raw))


def _hex_bytes(path: Path) -> int:
    return max(sum(len(segment.data) for segment in _hex_segments(path.read_bytes())), 1)


def _hex_segments(raw: bytes) -> tuple[Segment, ...]:
    """Intel HEX: data, end, and the two kinds of extended address. () when a line is none."""
    base, parts = 0, list[tuple[int, bytearray]]()
    for line in raw.split():
        try:
            record = bytes.fromhex(line[1:].decode("ascii"))
        except (ValueError, UnicodeDecodeError):
            return ()
        if line[:1] != b":" or len(record) < 5 or record[0] != len(record) - 5 or sum(record) & 0xFF:
            return ()
        data, at = record[4:-1], base + int.from_bytes(record[1:3], "big")
        if record[3] in (2, 4) and len(data) == 2:
            base = int.from_bytes(data, "big") << (4 if record[3] == 2 else 16)
        elif record[3] == 0:
            if parts and parts[-1][0] + len(parts[-1][1]) == at:
                parts[-1][1].extend(data)
            else:
                parts.append((at, bytearray(data)))
        elif record[3] == 1:
            break
    return tuple(Segment(at, bytes(data)) for at, data in parts)
