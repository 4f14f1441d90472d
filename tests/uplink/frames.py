"""PPP frames by hand, independent of the C that reads them (RFC 1662)."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path


def fcs16(data: bytes) -> int:
    fcs = 0xFFFF
    for byte in data:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ 0x8408 if fcs & 1 else fcs >> 1
    return fcs ^ 0xFFFF


def ppp(payload: bytes, *, flip: int = 0) -> bytes:
    """`payload` with its check sequence (wrong by `flip`), escaped, between flags."""
    body = payload + (fcs16(payload) ^ flip).to_bytes(2, "little")
    escaped = (bytes([0x7D, b ^ 0x20]) if b in (0x7D, 0x7E) or b < 0x20 else bytes([b]) for b in body)
    return b"\x7e" + b"".join(escaped) + b"\x7e"


LCP_REQUEST = b"\xff\x03\xc0\x21\x01\x01\x00\x04"  # Configure-Request without options


def slip(packet: bytes) -> bytes:
    return b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def ones_sum(data: bytes | bytearray) -> int:
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ping(to: bytes, sequence: int) -> bytes:
    """An IPv4 echo request from slirp's client."""
    echo = bytearray(b"\x08\x00\x00\x00\x00\x01" + sequence.to_bytes(2, "big") + b"\xc0\xdbflags")
    echo[2:4] = ones_sum(echo).to_bytes(2, "big")
    head = bytearray(20)
    head[0:1], head[8], head[9], head[12:16], head[16:20] = b"\x45", 64, 1, b"\x0a\x00\x02\x0f", to
    head[2:4] = (20 + len(echo)).to_bytes(2, "big")
    head[10:12] = ones_sum(head).to_bytes(2, "big")
    return bytes(head + echo)


def syn(to: bytes, port: int) -> bytes:
    """The beginning of a TCP connection from slirp's client."""
    device = b"\x0a\x00\x02\x0f"
    tcp = bytearray(struct.pack(">HHIIBBHHH", 4000, port, 1000, 0, 0x50, 2, 8192, 0, 0))
    tcp[16:18] = ones_sum(device + to + struct.pack(">HH", 6, len(tcp)) + tcp).to_bytes(2, "big")
    head = bytearray(20)
    head[0:1], head[8], head[9], head[12:16], head[16:20] = b"\x45", 64, 6, device, to
    head[2:4] = (20 + len(tcp)).to_bytes(2, "big")
    head[10:12] = ones_sum(head).to_bytes(2, "big")
    return bytes(head + tcp)


def tshark(capture: Path, *fields: str) -> list[tuple[str, ...]]:
    """The fields of every frame; every frame must be one that tshark finds nothing malformed in."""
    command = ["tshark", "-r", str(capture), "-T", "fields", "-e", "_ws.malformed"]
    for name in fields:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    rows = [tuple(line.split("\t")) for line in done.stdout.splitlines()]
    assert not any(row[0] for row in rows), "malformed"
    return [row[1:] for row in rows]
