"""Captures for the tests: read, changed and written back. Ethernet and IPv4 only, as all the field captures are."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

FIELD = Path(__file__).resolve().parent.parent / "data" / "field-captures"
ETHER = 14


@dataclass(frozen=True)
class Packet:
    """One frame; `t` in nanoseconds."""

    t: int
    data: bytes
    wirelen: int = 0  # 0: as long as data

    @property
    def is_tcp(self) -> bool:
        d = self.data
        return len(d) >= ETHER + 40 and d[12:14] == b"\x08\x00" and d[ETHER + 9] == 6

    @property
    def ip_head(self) -> int:
        return (self.data[ETHER] & 15) * 4

    @property
    def tcp_at(self) -> int:
        return ETHER + self.ip_head

    @property
    def payload_at(self) -> int:
        return self.tcp_at + (self.data[self.tcp_at + 12] >> 4) * 4

    @property
    def payload(self) -> bytes:
        """TCP payload without Ethernet padding."""
        total = int.from_bytes(self.data[ETHER + 2 : ETHER + 4], "big")
        return self.data[self.payload_at : ETHER + total]

    @property
    def seq(self) -> int:
        return int.from_bytes(self.data[self.tcp_at + 4 : self.tcp_at + 8], "big")

    @property
    def flags(self) -> int:
        return self.data[self.tcp_at + 13]

    @property
    def source(self) -> tuple[bytes, int]:
        at = self.tcp_at
        return self.data[ETHER + 12 : ETHER + 16], int.from_bytes(self.data[at : at + 2], "big")

    def with_payload(self, payload: bytes, seq: int, *, flags: int | None = None) -> Packet:
        """The same packet carrying other bytes at another place of the stream."""
        head = bytearray(self.data[: self.payload_at])
        head[ETHER + 2 : ETHER + 4] = (self.payload_at - ETHER + len(payload)).to_bytes(2, "big")
        at = self.tcp_at
        head[at + 4 : at + 8] = (seq & 0xFFFFFFFF).to_bytes(4, "big")
        if flags is not None:
            head[at + 13] = flags
        return replace(self, data=bytes(head) + payload)


def read(path: Path) -> list[Packet]:
    """Packets of a little-endian microsecond pcap."""
    raw = path.read_bytes()
    assert raw[:4] == b"\xd4\xc3\xb2\xa1", path
    at, out = 24, []
    while at + 16 <= len(raw):
        sec, usec, cap, wire = struct.unpack_from("<IIII", raw, at)
        out.append(Packet(sec * 10**9 + usec * 1000, raw[at + 16 : at + 16 + cap], wire))
        at += 16 + cap
    return out


def pcap(packets: Iterable[Packet], *, link: int = 1, nano: bool = False, big: bool = False) -> bytes:
    """A pcap of any byte order and resolution."""
    order = ">" if big else "<"
    out = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)]
    for p in packets:
        sec, ns = divmod(p.t, 10**9)
        frac = ns if nano else ns // 1000
        out += [struct.pack(order + "IIII", sec, frac, len(p.data), p.wirelen or len(p.data)), p.data]
    return b"".join(out)


def reported(packets: Sequence[Packet], old: int, new: int) -> list[Packet]:
    """The same packets with another port number for `old`."""
    out = []
    for p in packets:
        data = bytearray(p.data)
        for at in (p.tcp_at, p.tcp_at + 2) if p.is_tcp else ():
            if int.from_bytes(data[at : at + 2], "big") == old:
                data[at : at + 2] = new.to_bytes(2, "big")
        out.append(replace(p, data=bytes(data)))
    return out


def moved(packets: Sequence[Packet], number: int, start: int) -> list[Packet]:
    """The same packets between other addresses (10.n.n.x), beginning at `start`: many captures fit one file."""
    base = packets[0].t if packets else 0
    out = []
    for p in packets:
        data = bytearray(p.data)
        if data[12:14] == b"\x08\x00" and len(data) >= ETHER + 20:
            for at in (ETHER + 12, ETHER + 16):
                data[at : at + 3] = bytes((10, number >> 8, number & 255))
        out.append(replace(p, data=bytes(data), t=start + p.t - base))
    return out


# ---- what a network, or a capture, may do to a stream ----


def split(packets: Sequence[Packet], rng: random.Random) -> list[Packet]:
    """Payload cut into segments at random places."""
    out: list[Packet] = []
    for p in packets:
        if not p.is_tcp or len(p.payload) < 2:
            out.append(p)
            continue
        body, cuts = p.payload, sorted(rng.sample(range(1, len(p.payload)), min(3, len(p.payload) - 1)))
        for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True):
            last = b == len(body)
            out.append(p.with_payload(body[a:b], p.seq + a, flags=p.flags if last else p.flags & ~9))
    return out


def duplicate(packets: Sequence[Packet], rng: random.Random) -> list[Packet]:
    """Some segments come twice."""
    out: list[Packet] = []
    for p in packets:
        out.append(p)
        if p.is_tcp and p.payload and rng.random() < 0.5:
            out.append(p)
    return out


def overlap(packets: Sequence[Packet], rng: random.Random) -> list[Packet]:
    """Segments whose beginning repeats the end of the one before, of the same side."""
    out: list[Packet] = []
    before: dict[tuple[bytes, int], bytes] = {}
    for p in split(packets, rng):
        if p.is_tcp and p.payload:
            tail = before.get(p.source, b"")[-rng.randint(1, 40) :]
            before[p.source] = p.payload
            if tail and p.seq > len(tail):
                out.append(p.with_payload(tail + p.payload, p.seq - len(tail)))
                continue
        out.append(p)
    return out


def reorder(packets: Sequence[Packet], rng: random.Random) -> list[Packet]:
    """Neighbouring segments of one side change places (their times stay in order)."""
    out = split(packets, rng)
    times = [p.t for p in out]
    for i in range(len(out) - 1):
        a, b = out[i], out[i + 1]
        both = a.is_tcp and b.is_tcp and a.payload and b.payload and a.source == b.source
        if both and not (a.flags | b.flags) & 7 and rng.random() < 0.5:
            out[i], out[i + 1] = b, a
    return [replace(p, t=t) for p, t in zip(out, times, strict=True)]


def lose(packets: Sequence[Packet], rng: random.Random) -> tuple[list[Packet], Packet | None]:
    """One segment with payload was not captured, though its receiver got it."""
    candidates = [i for i, p in enumerate(packets) if p.is_tcp and p.payload and not p.flags & 7]
    if not candidates:
        return list(packets), None
    lost = rng.choice(candidates)
    return [p for i, p in enumerate(packets) if i != lost], packets[lost]


def snap(packets: Sequence[Packet], length: int) -> list[Packet]:
    """As captured with a snap length."""
    return [replace(p, data=p.data[:length], wirelen=len(p.data)) for p in packets]
