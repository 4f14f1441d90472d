"""What kind of file an image is, and how many bytes of it must reach the flash. Bounded reading of a hostile file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from harness.device.flash.base import FlashError

MAX_IMAGE = 64 << 20
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
            head = file.read(64 << 10)
    except OSError as error:
        raise FlashError("lab.build_failed", f"{path}: {error.strerror}", "run `hil build`") from error
    if size == 0:
        raise FlashError("lab.build_failed", f"{path}: the image is empty", "run `hil build`")
    if size > MAX_IMAGE:
        raise FlashError("lab.build_failed", f"{path}: {size} bytes are no microcontroller's image", "check `image`")
    if head.startswith(b"\x7fELF"):
        loaded = _loaded(head)
        if loaded == 0:
            raise FlashError("lab.build_failed", f"{path}: an ELF file with nothing to load", "check the linker script")
        return Facts(False, loaded, "elf")
    if path.suffix.lower() in (".hex", ".ihex") and head.startswith(b":"):
        return Facts(False, _hex_bytes(path), "hex")
    if path.suffix.lower() in (".srec", ".s19", ".mot") and head.startswith(b"S"):
        return Facts(False, 1, "srec")
    if address <= 0 and path.suffix.lower() != ".bin":
        raise FlashError("lab.build_failed", f"{path}: neither ELF nor HEX, and no address is given",
                         "set `address` in the target's [flash]")  # fmt: skip
    return Facts(True, size, "bin")


def _loaded(head: bytes) -> int:
    """Bytes of all loadable segments (32-bit, little-endian: every Cortex-M). 0 when it is nothing of the kind."""
    if len(head) < 52 or head[4] != 1 or head[5] != 1:
        return 0
    (offset,) = struct.unpack_from("<I", head, 28)
    size, count = struct.unpack_from("<HH", head, 42)
    total = 0
    for number in range(min(count, MAX_SEGMENTS)):
        at = offset + number * size
        if size < 32 or at + 32 > len(head):
            return 0
        kind, _, _, _, filesz = struct.unpack_from("<5I", head, at)
        if kind == PT_LOAD and filesz <= MAX_IMAGE:
            total += filesz
    return total


def _hex_bytes(path: Path) -> int:
    """Data bytes of an Intel HEX file, at least 1."""
    total = 0
    with path.open("rb") as file:
        for line in file:
            if line[7:9] == b"00" and line[:1] == b":":
                try:
                    total += int(line[1:3], 16)
                except ValueError:
                    break
    return max(total, 1)
