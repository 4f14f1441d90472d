"""The plainest tar there is (POSIX ustar), written so that equal contents are equal bytes, and read as strictly: plain
files with plain names in one folder, within bounds. Everything else a tar may hold (links, devices, paths, sparse
files, extended headers) is refused, so nothing can be written outside the folder that is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO, Protocol

BLOCK = 512
RECORD = 10240
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}")
_HEADER = (("name", 100), ("mode", 8), ("uid", 8), ("gid", 8), ("size", 12), ("mtime", 12), ("sum", 8), ("type", 1),
           ("link", 100), ("magic", 8), ("user", 32), ("group", 32), ("major", 8), ("minor", 8), ("prefix", 155),
           ("pad", 12))  # fmt: skip


class BadArchive(ValueError):
    """What is wrong with it, in words for a person."""


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def write(out: IO[bytes], files: Iterable[tuple[str, bytes]]) -> None:
    """Name and contents of each file, in the order given. ValueError for a name that `read` would refuse."""
    written = 0
    for name, data in files:
        if not NAME.fullmatch(name):
            raise ValueError(f"`{name}` is no name for a file in an archive")
        padding = -len(data) % BLOCK
        out.write(_header(name, len(data)) + data + bytes(padding))
        written += BLOCK + len(data) + padding
    out.write(bytes(2 * BLOCK + -(written + 2 * BLOCK) % RECORD))


def read(source: Source, *, limit: int, most: int) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Name, size and contents of each file; the contents must be used up before the next. BadArchive when there is
    anything but files, more than `most` of them, a name twice, or more than `limit` bytes altogether."""
    seen: set[str] = set()
    left = limit
    while any(header := _exactly(source, BLOCK)):
        name, size = _parse(header)
        left -= size
        if left < 0:
            raise BadArchive(f"more than {limit >> 20} MB")
        if name in seen or len(seen) >= most:
            raise BadArchive(f"`{name}` is in it twice" if name in seen else f"more than {most} files")
        seen.add(name)
        yield name, size, _contents(source, size)
    _nothing_more(source)


def _header(name: str, size: int) -> bytes:
    values = {"name": name.encode(), "mode": b"0000644\0", "uid": b"0000000\0", "gid": b"0000000\0",
              "size": b"%011o\0" % size, "mtime": b"%011o\0" % 0, "sum": b" " * 8, "type": b"0",
              "magic": b"ustar\00000", "major": b"0000000\0", "minor": b"0000000\0"}  # fmt: skip
    block = b"".join(values.get(key, b"").ljust(width, b"\0") for key, width in _HEADER)
    return block.replace(b" " * 8, b"%06o\0 " % sum(block), 1)


def _parse(header: bytes) -> tuple[str, int]:
    """Only what `_header` makes is taken: every other field must be as it writes it."""
    name = header[:100].rstrip(b"\0").decode("ascii", errors="replace")
    shown = "".join(c if c.isprintable() else "?" for c in name)
    if header[257:262] != b"ustar":
        raise BadArchive("no tar archive")
    if header[156:157] not in (b"0", b"\0"):
        raise BadArchive(f"`{shown}` is no plain file")
    if not NAME.fullmatch(name):
        raise BadArchive(f"`{shown}` is no plain name")
    digits = header[124:136].rstrip(b"\0 ")
    if not re.fullmatch(rb"[0-7]{1,11}", digits):
        raise BadArchive(f"`{shown}` has no size")
    size = int(digits, 8)
    if header != _header(name, size):
        raise BadArchive(f"`{shown}`: not a header as `hil build --package` writes it")
    return name, size


def _contents(source: Source, size: int) -> Iterator[bytes]:
    left = size
    while left:
        data = _some(source, min(left, 1 << 16))
        left -= len(data)
        yield data
    _exactly(source, -size % BLOCK)


def _some(source: Source, size: int) -> bytes:
    data = source.read(size)
    if not data:
        raise BadArchive("cut short")
    return data


def _exactly(source: Source, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += _some(source, size - len(data))
    return data


def _nothing_more(source: Source) -> None:
    """After the first empty block only zeros, and no more than a record of them."""
    left = RECORD
    while data := source.read(RECORD):
        left -= len(data)
        if any(data) or left < 0:
            raise BadArchive("something follows its end")
