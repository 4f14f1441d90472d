"""Captures rewritten as pcapng: secrets put in, frames commented, times moved. One packet in memory at a time.

Reads pcap (µs and ns, both byte orders) and pcapng, plain or gzip. Writes pcapng in the host's byte order with
nanosecond times. Blocks follow draft-ietf-opsawg-pcapng. Raises NotACapture for anything else; a file that ends inside
a packet gives what is whole.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_BLOCK = 64 << 20  # bytes; more is no packet

SECTION = 0x0A0D0D0A
BYTE_ORDER = 0x1A2B3C4D
INTERFACE, SIMPLE, STATISTICS, ENHANCED, SECRETS = 1, 3, 5, 6, 10
OLD_PACKET = 2
OPT_END, OPT_COMMENT = 0, 1
IF_NAME, IF_TSRESOL, IF_TSOFFSET = 2, 9, 14
SHB_APPLICATION = 4
TLS_KEY_LOG = 0x544C534B
SNAPLEN = 262144

_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


class NotACapture(ValueError):
    """The file is neither pcap nor pcapng."""


class Interface(NamedTuple):
    """Link type (LINKTYPE_*), snap length, name and comment of one interface."""

    link: int
    snaplen: int = SNAPLEN
    name: str = ""
    comment: str = ""


class Packet(NamedTuple):
    """One packet: `ns` since 1970, `interface` its number in the file, `length` on the wire, comments it carries."""

    ns: int
    interface: int
    data: bytes
    length: int
    comments: tuple[str, ...] = ()


class Secrets(NamedTuple):
    """A Decryption Secrets Block: its type (TLS_KEY_LOG, …) and text."""

    kind: int
    data: bytes


Item = Interface | Packet | Secrets


# -- reading --


def read(path: Path) -> Iterator[Item]:
    """Everything in the file that matters, in its order; each interface before its packets."""
    with _opened(path) as file:
        head = _read_exactly(file, 4)
        if head in _MAGIC:
            yield from _read_pcap(file, *_MAGIC[head])
        elif head == struct.pack("<I", SECTION):
            yield from _read_pcapng(file)
        else:
            raise NotACapture(f"{path}: neither pcap nor pcapng")


def _opened(path: Path) -> BinaryIO:
    file = path.open("rb")
    magic = file.read(2)
    file.seek(0)
    if magic == b"\x1f\x8b":
        file.close()
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return file


def _read_exactly(file: BinaryIO, n: int) -> bytes:
    """`n` bytes, or b"" when the file ends before (also inside damaged gzip data)."""
    try:
        data = file.read(n)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""
    return data if len(data) == n else b""


def _read_pcap(file: BinaryIO, order: str, scale: int) -> Iterator[Item]:
    head = _read_exactly(file, 20)
    if not head:
        raise NotACapture("pcap header is cut")
    _, _, _, _, snaplen, link = struct.unpack(order + "HHiIII", head)
    yield Interface(link & 0xFFFF, snaplen or SNAPLEN)
    record = struct.Struct(order + "IIII")
    while head := _read_exactly(file, 16):
        seconds, fraction, captured, length = record.unpack(head)
        if captured > MAX_BLOCK:
            return
        data = _read_exactly(file, captured)
        if len(data) != captured:
            return
        yield Packet(seconds * 1_000_000_000 + fraction * scale, 0, data, length)


class _Clock(NamedTuple):
    """How an interface counts time: ticks a second, offset in seconds."""

    per_second: int = 1_000_000
    offset: int = 0

    def ns(self, ticks: int) -> int:
        return self.offset * 1_000_000_000 + ticks * 1_000_000_000 // self.per_second


def _read_pcapng(file: BinaryIO) -> Iterator[Item]:
    order = "<"
    base = 0  # interfaces of the sections before
    clocks: list[_Clock] = []
    links: list[Interface] = []
    head = struct.pack("<I", SECTION) + _read_exactly(file, 4)
    while len(head) == 8:
        if head[:4] == struct.pack("<I", SECTION):
            magic = _read_exactly(file, 4)
            if magic not in (struct.pack("<I", BYTE_ORDER), struct.pack(">I", BYTE_ORDER)):
                return
            order = "<" if magic == struct.pack("<I", BYTE_ORDER) else ">"
            base += len(clocks)
            clocks, links = [], []
            have = 12
        else:
            have = 8
        kind, total = struct.unpack(order + "II", head)
        if total < have + 4 or total > MAX_BLOCK:
            return
        body = _read_exactly(file, total - have)
        if not body:
            return
        item = _block(kind, body[:-4], order, clocks, links, base)
        if item is not None:
            yield item
        head = _read_exactly(file, 8)


def _block(
    kind: int, body: bytes, order: str, clocks: list[_Clock], links: list[Interface], base: int
) -> Item | None:
    if kind == INTERFACE and len(body) >= 8:
        link, _, snaplen = struct.unpack_from(order + "HHI", body)
        options = _options(body[8:], order)
        clocks.append(_clock(options, order))
        name = options.get(IF_NAME, [b""])[0].decode(errors="replace")
        comment = options.get(OPT_COMMENT, [b""])[0].decode(errors="replace")
        links.append(Interface(link, snaplen or SNAPLEN, name, comment))
        return links[-1]
    if kind == ENHANCED and len(body) >= 20:
        number, high, low, captured, length = struct.unpack_from(order + "IIIII", body)
        if number >= len(clocks) or captured > len(body) - 20:
            return None
        rest = body[20 + (captured + 3) // 4 * 4 :]
        comments = tuple(c.decode(errors="replace") for c in _options(rest, order).get(OPT_COMMENT, []))
        ns = clocks[number].ns(high << 32 | low)
        return Packet(ns, base + number, body[20 : 20 + captured], length, comments)
    if kind == OLD_PACKET and len(body) >= 20:
        number, _, high, low, captured, length = struct.unpack_from(order + "HHIIII", body)
        if number >= len(clocks) or captured > len(body) - 20:
            return None
        return Packet(clocks[number].ns(high << 32 | low), base + number, body[20 : 20 + captured], length)
    if kind == SIMPLE and len(body) >= 4 and links:
        (length,) = struct.unpack_from(order + "I", body)
        return Packet(0, base, body[4 : 4 + min(length, links[0].snaplen)], length)
    if kind == SECRETS and len(body) >= 8:
        secret, size = struct.unpack_from(order + "II", body)
        return Secrets(secret, body[8 : 8 + size])
    return None


def _options(data: bytes, order: str) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(order + "HH", data, at)
        if code == OPT_END or at + 4 + size > len(data):
            break
        found.setdefault(code, []).append(data[at + 4 : at + 4 + size])
        at += 4 + (size + 3) // 4 * 4
    return found


def _clock(options: dict[int, list[bytes]], order: str) -> _Clock:
    per_second, offset = 1_000_000, 0
    resolution = options.get(IF_TSRESOL, [b""])[0]
    if resolution:
        power = resolution[0] & 0x7F
        per_second = 2**power if resolution[0] & 0x80 else 10 ** min(power, 18)
    seconds = options.get(IF_TSOFFSET, [b""])[0]
    if len(seconds) == 8:
        (offset,) = struct.unpack(order + "q", seconds)
    return _Clock(per_second, offset)


# -- writing --


class Writer:
    """A pcapng file. Secrets must be written before the packets they open."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        application = _option(SHB_APPLICATION, b"hil")
        self._write(SECTION, struct.pack("=IHHq", BYTE_ORDER, 1, 0, -1) + application + _END)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def secrets(self, data: bytes, kind: int = TLS_KEY_LOG) -> None:
        self._write(SECRETS, struct.pack("=II", kind, len(data)) + _padded(data))

    def interface(self, interface: Interface) -> None:
        """Interfaces are numbered from 0 in the order of these calls."""
        options = _option(IF_TSRESOL, b"\x09")
        if interface.name:
            options += _option(IF_NAME, interface.name.encode())
        if interface.comment:
            options += _option(OPT_COMMENT, interface.comment.encode())
        snaplen = interface.snaplen
        self._write(INTERFACE, struct.pack("=HHI", interface.link, 0, snaplen) + options + _END)

    def packet(self, packet: Packet) -> None:
        ns = max(packet.ns, 0)
        numbers = (packet.interface, ns >> 32 & 0xFFFFFFFF, ns & 0xFFFFFFFF, len(packet.data), packet.length)
        head = struct.pack("=IIIII", *numbers)
        options = b"".join(_option(OPT_COMMENT, text.encode()) for text in packet.comments)
        self._write(ENHANCED, head + _padded(packet.data) + (options + _END if options else b""))

    def close(self) -> None:
        self._file.close()

    def _write(self, kind: int, body: bytes) -> None:
        size = len(body) + 12
        self._file.write(struct.pack("=II", kind, size) + body + struct.pack("=I", size))


_END = struct.pack("=HH", OPT_END, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    value = value[:65535]
    return struct.pack("=HH", code, len(value)) + _padded(value)


# -- the three uses --


def rebase(source: Path, target: Path, offset_ns: int, comment: str = "") -> int:
    """Copies `source` with `offset_ns` added to every time and `comment` on its interfaces. Returns the packets."""
    return _copy(source, target, offset_ns=offset_ns, comment=comment)


def with_secrets(source: Path, keylog: Path, target: Path) -> int:
    """Copies `source` with the key log as a Decryption Secrets Block, so that readers decrypt with no option."""
    return _copy(source, target, secrets=keylog.read_bytes())


def annotate(source: Path, target: Path, comments: Mapping[int, str], keylog: Path | None = None) -> int:
    """Copies `source` with a comment on each frame named (1-based), and the key log if given."""
    secrets = b"" if keylog is None else keylog.read_bytes()
    return _copy(source, target, comments=comments, secrets=secrets)


def _copy(
    source: Path, target: Path, *, offset_ns: int = 0, comment: str = "",
    comments: Mapping[int, str] | None = None, secrets: bytes = b"",
) -> int:  # fmt: skip
    frame = 0
    items = read(source)
    item = next(items, None)  # NotACapture comes out of here, before the target is touched
    with Writer(target) as writer:
        if secrets:
            writer.secrets(secrets)
        while item is not None:
            match item:
                case Interface():
                    writer.interface(item._replace(comment=comment or item.comment))
                case Secrets():
                    writer.secrets(item.data, item.kind)
                case Packet():
                    frame += 1
                    said = (comments or {}).get(frame)
                    texts = (*item.comments, said) if said else item.comments
                    writer.packet(item._replace(ns=item.ns + offset_ns, comments=texts))
            item = next(items, None)
    return frame
