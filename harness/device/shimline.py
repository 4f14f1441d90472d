"""Shim lines, read and written (docs/shim-protocol.md). Pure: text in, values out."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote_to_bytes

import msgspec

MARKER = "@H1 "
MAX_LINE = 240
MAX_COMMAND = 640  # bytes the firmware takes on one line

_SHAPE = re.compile(r"@H1 (\d{1,10}) (\d{1,10}) ([a-z_]{1,16}) ((?:[A-Za-z0-9_.]{1,32}=[!-~]* )*)\Z")
_END = re.compile(r" \*([0-9a-f]{4})")
_KEPT = bytes(range(0x21, 0x7F)).replace(b"%", b"")


class ShimEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `ms` since the device's boot, `t` when its line's first byte came (ns since 1970), `line` its number
    in the UART log (0: none)."""

    seq: int
    ms: int
    name: str
    fields: dict[str, str]
    t: int = 0
    line: int = 0


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What one UART line held: events, and how many markers began nothing valid."""

    events: tuple[ShimEvent, ...] = ()
    damaged: int = 0


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    return binascii.crc_hqx(data, 0xFFFF)


def parse(text: str, t: int = 0, line: int = 0) -> Parsed:
    """Every event in one line of UART text, foreign text before, between and after them notwithstanding."""
    events: list[ShimEvent] = []
    damaged = 0
    at = text.find(MARKER)
    while at >= 0:
        found = _one(text, at, t, line)
        if found is None:
            damaged += 1
            at = text.find(MARKER, at + 1)
        else:
            events.append(found[0])
            at = text.find(MARKER, found[1])
    return Parsed(events=tuple(events), damaged=damaged)


def _one(text: str, start: int, t: int, line: int) -> tuple[ShimEvent, int] | None:
    """The event that begins at `start` and where it ends."""
    for end in _END.finditer(text, start, start + MAX_LINE):
        body = text[start : end.start() + 1]
        if not body.isascii() or crc16(body.encode()) != int(end.group(1), 16):
            continue
        shape = _SHAPE.match(body)
        if shape is None:
            return None
        seq, ms, name, pairs = shape.groups()
        fields = {key: unescape(value) for key, _, value in (pair.partition("=") for pair in pairs.split())}
        event = ShimEvent(seq=int(seq), ms=int(ms), name=name, fields=fields, t=t, line=line)
        return event, end.end()
    return None


def unescape(value: str) -> str:
    """`%XX` undone; bytes that are no UTF-8 become U+FFFD."""
    return unquote_to_bytes(value).decode("utf-8", "replace")


def escape(value: str) -> str:
    """`%XX` for everything but printable ASCII without space and `%`."""
    return "".join(chr(b) if b in _KEPT else f"%{b:02X}" for b in value.encode())


def command(*words: str) -> bytes:
    """A command line with its checksum. ValueError when the device could not take it."""
    body = " ".join(words) + " "
    if not body.isascii() or not body.isprintable():
        raise ValueError(f"not printable ASCII: {body!r}")
    line = f"{body}*{crc16(body.encode()):04x}\n".encode()
    if len(line) > MAX_COMMAND:
        raise ValueError(f"a command of {len(line)} bytes; the shim takes {MAX_COMMAND}")
    return line
