"""What an image is: linkers differ in where they put things, and a file may be cut."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from harness.device.flash import image as images
from harness.device.flash.base import FlashError

BASE = 0x08000000


def elf(path: Path, parts: dict[int, bytes], *, behind: bool = False, debug: int = 0) -> Path:
    """`parts`: bytes by load address. `behind`: program headers after `debug` bytes and all else, as armlink does."""
    data = b"".join(parts.values())
    table = 52 + len(data) + debug if behind else 52
    at = 52 if behind else 52 + 32 * len(parts)
    headers = b""
    for address, part in parts.items():
        headers += struct.pack("<8I", images.PT_LOAD, at, address, address, len(part), len(part), 5, 4)
        at += len(part)
    head = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, BASE, table, 0, 0, 52, 32, len(parts),
                                                     0, 0, 0)  # fmt: skip
    path.write_bytes(head + (data + bytes(debug) + headers if behind else headers + data + bytes(debug)))
    return path


@pytest.mark.parametrize("behind", [False, True])
def test_program_headers_anywhere(tmp_path: Path, behind: bool) -> None:
    path = elf(tmp_path / "app.axf", {BASE: b"abc", BASE + 0x100: b"defg"}, behind=behind, debug=200_000)
    assert images.examine(path, BASE) == images.Facts(False, 7, "elf")
    assert images.segments(path, BASE) == (images.Segment(BASE, b"abc"), images.Segment(BASE + 0x100, b"defg"))


def test_one_that_is_cut_short_is_no_image(tmp_path: Path) -> None:
    """A copy that did not end: what is missing would be neither written nor compared."""
    path = elf(tmp_path / "app.elf", {BASE: b"a" * 1000, BASE + 0x1000: b"b" * 1000})
    path.write_bytes(path.read_bytes()[:-1])
    for look in (images.examine, images.segments):
        with pytest.raises(FlashError, match="cut short") as caught:
            look(path, BASE)
        assert caught.value.cause == "lab.build_failed"


def test_one_without_anything_to_load(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="nothing to load"):
        images.examine(elf(tmp_path / "app.elf", {}), BASE)
