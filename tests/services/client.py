"""What a board does on its wire, by hand: DHCP, DNS and NTP, each packet made and read here. Prints JSON.

python -m tests.services.client dhcp IFACE MAC | dns SERVER NAME | ntp SERVER [PORT]
"""

from __future__ import annotations

import ipaddress
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

from harness.lab.services.foreign import COOKIE, FIXED, options

WAIT = 3.0
ERA0 = 2208988800


def dhcp(interface: str, mac: str) -> dict[str, Any]:
    """DISCOVER to ACK. {} when nobody offers."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    xid = int.from_bytes(os.urandom(4), "big")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.bind(("", 68))
        offer = _exchange(sock, _message(xid, hardware, 1, b""), xid, 2)
        if not offer:
            return {}
        wanted = bytes((50, 4)) + offer["yiaddr"] + bytes((54, 4)) + offer[54]
        ack = _exchange(sock, _message(xid, hardware, 3, wanted), xid, 5)
        if not ack:
            return {}
    addresses = {key: _addresses(ack.get(code, b"")) for key, code in (("router", 3), ("dns", 6), ("ntp", 42))}
    return {"address": _addresses(ack["yiaddr"])[0], "server": _addresses(ack[54])[0],
            "mask": _addresses(ack.get(1, b""))[0], "lease": int.from_bytes(ack[51], "big"), **addresses}  # fmt: skip


def _message(xid: int, mac: bytes, kind: int, more: bytes) -> bytes:
    head = struct.pack("!BBBBIHH4s4s4s4s", 1, 1, 6, 0, xid, 0, 0x8000, *[bytes(4)] * 4)
    asked = bytes((53, 1, kind, 55, 5, 1, 3, 6, 42, 51)) + bytes((12, 5)) + b"b\x1b[31" + more + b"\xff"
    return head + mac.ljust(16, b"\0") + bytes(192) + COOKIE + asked.ljust(60, b"\0")


def _exchange(sock: socket.socket, data: bytes, xid: int, kind: int) -> dict[Any, bytes]:
    sock.sendto(data, ("255.255.255.255", 67))
    until = time.monotonic() + WAIT
    while (left := until - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
        answer = sock.recv(2048)
        found: dict[Any, bytes] = dict(options(answer[FIXED:]))
        if answer[4:8] == xid.to_bytes(4, "big") and found.get(53) == bytes((kind,)):
            return found | {"yiaddr": answer[16:20]}
    return {}


def _addresses(data: bytes) -> list[str]:
    return [str(ipaddress.IPv4Address(data[i : i + 4])) for i in range(0, len(data), 4)]


def dns(server: str, name: str) -> dict[str, Any]:
    """An A query (RFC 1035). `rcode` 3 is NXDOMAIN; -1 no answer."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    query = struct.pack("!HHHHHH", 0x4242, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
    data = _udp(server, 53, query)
    if len(data) < 12:
        return {"rcode": -1, "addresses": []}
    count = struct.unpack_from("!H", data, 6)[0]
    at, found = len(query), []
    for _ in range(count):
        _, kind, _, _ttl, size = struct.unpack_from("!HHHIH", data, at)  # names are compressed: two bytes
        found += [str(ipaddress.IPv4Address(data[at + 12 : at + 16]))] if kind == 1 else []
        at += 12 + size
    return {"rcode": data[3] & 15, "addresses": found}


def ntp(server: str, port: str = "123") -> dict[str, Any]:
    """One SNTP query (RFC 4330 5), with what a client must check. {} when nobody answers."""
    mark = os.urandom(8)
    data = _udp(server, int(port), bytes((4 << 3 | 3,)) + bytes(39) + mark)
    if len(data) != 48:
        return {}
    seconds = int.from_bytes(data[40:44], "big") - ERA0
    return {"leap": data[0] >> 6, "mode": data[0] & 7, "stratum": data[1], "ours": data[24:32] == mark,
            "ahead": seconds - time.time(), "refid": data[12:16].decode("latin1"), "sent": seconds}  # fmt: skip


def _udp(server: str, port: int, data: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(WAIT)
        sock.connect((server, port))
        sock.send(data)
        try:
            return sock.recv(2048)
        except OSError:
            return b""


if __name__ == "__main__":
    print(json.dumps({"dhcp": dhcp, "dns": dns, "ntp": ntp}[sys.argv[1]](*sys.argv[2:])))
