"""QEMU's packet dump in the host's time.

`filter-dump` stamps each packet with `base + virtual time`, where `base` is the machine's RTC, in whole seconds, when
the filter was made. The machine is started with an RTC that stands at a known second and with its clock stopped (`-S`),
so `base` is known exactly, and virtual time 0 is the moment of `cont`, which QEMU stamps to the microsecond in its
RESUME event. Hence host time = RESUME + (stamp - base), as long as the machine is never stopped in between. Measured
against a capture on the host's loopback at the same time (120 segments): off by less than 0.1 ms.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PCAP_HEADER = struct.Struct("<IHHiIII")
PCAP_PACKET = struct.Struct("<IIII")
PCAP_MAGIC = 0xA1B2C3D4
LINKTYPE_ETHERNET = 1
MAX_PACKET = 262144

SECTION = 0x0A0D0D0A
INTERFACE = 1
ENHANCED_PACKET = 6
OPTION_COMMENT = 1
IF_NAME = 2
IF_TSRESOL = 9


@dataclass(frozen=True)
class Dump:
    """One dump file of one power-on."""

    path: Path
    base_s: int  # the RTC the machine was given, Unix seconds
    resume_ns: int  # host time of virtual time 0


def read_pcap(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """(nanoseconds, length on the wire, bytes) of each whole packet; ends quietly at a packet still being written.

    ValueError when this is not the little-endian microsecond pcap of Ethernet frames that QEMU writes.
    """
    header = stream.read(PCAP_HEADER.size)
    if len(header) < PCAP_HEADER.size:
        return
    magic, _, _, _, _, _, link = PCAP_HEADER.unpack(header)
    if magic != PCAP_MAGIC or link != LINKTYPE_ETHERNET:
        raise ValueError("not a packet dump of QEMU")
    while len(head := stream.read(PCAP_PACKET.size)) == PCAP_PACKET.size:
        seconds, micros, captured, length = PCAP_PACKET.unpack(head)
        if captured > MAX_PACKET:
            raise ValueError("a packet of the dump is too long")
        data = stream.read(captured)
        if len(data) < captured:
            return
        yield (seconds * 1_000_000 + micros) * 1000, length, data


def rebase_pcap(dumps: Sequence[Dump], out: Path, comment: str = "") -> int:
    """Write the dumps as one pcapng in host time with nanosecond stamps; the number of packets.

    A dump that does not exist or is empty counts as no packets. Reads and writes a packet at a time.
    """
    count = 0
    with out.open("wb") as target:
        target.write(_block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        options = _option(OPTION_COMMENT, comment.encode()) if comment else b""
        options += _option(IF_NAME, b"qemu") + _option(IF_TSRESOL, b"\x09") + struct.pack("<HH", 0, 0)
        target.write(_block(INTERFACE, struct.pack("<HHI", LINKTYPE_ETHERNET, 0, 0) + options))
        for dump in dumps:
            if not dump.path.exists():
                continue
            shift = dump.resume_ns - dump.base_s * 1_000_000_000
            with dump.path.open("rb") as source:
                for stamp, length, data in read_pcap(source):
                    host = stamp + shift
                    fixed = struct.pack("<IIIII", 0, host >> 32, host & 0xFFFFFFFF, len(data), length)
                    target.write(_block(ENHANCED_PACKET, fixed + data + b"\0" * (-len(data) % 4)))
                    count += 1
    return count


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total
