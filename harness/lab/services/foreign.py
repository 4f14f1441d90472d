"""Asks a wire whether somebody already hands out addresses there (RFC 2131 4.4.1): two servers are one too many.

`python -m harness.lab.services.foreign IFACE SECONDS` prints the servers that offered, one a line. A process of its
own, so that it can be started inside a network namespace.
"""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import struct
import sys
import time

OP_REQUEST, OP_REPLY = 1, 2
COOKIE = bytes((99, 130, 83, 99))
FIXED = 240  # bytes up to and with the cookie
MESSAGE_TYPE, SERVER_ID, END, PAD = 53, 54, 255, 0
DISCOVER, OFFER = 1, 2
EXIT_NO_SOCKET = 3


def discover(xid: int, mac: bytes) -> bytes:
    """A DHCPDISCOVER whose answer shall be broadcast."""
    head = struct.pack("!BBBBIHH4s4s4s4s", OP_REQUEST, 1, 6, 0, xid, 0, 0x8000, *[bytes(4)] * 4)
    body = mac.ljust(16, b"\0") + bytes(64 + 128) + COOKIE
    return head + body + bytes((MESSAGE_TYPE, 1, DISCOVER, 55, 3, 1, 3, 6, END)).ljust(60, b"\0")


def offered_by(data: bytes, xid: int) -> str:
    """The server of a DHCPOFFER that answers `xid`; "" for anything else."""
    if len(data) < FIXED or data[0] != OP_REPLY or data[FIXED - 4 : FIXED] != COOKIE:
        return ""
    if struct.unpack_from("!I", data, 4)[0] != xid:
        return ""
    found = options(data[FIXED:])
    if found.get(MESSAGE_TYPE) != bytes((OFFER,)):
        return ""
    server = found.get(SERVER_ID, data[20:24])
    return str(ipaddress.IPv4Address(server)) if len(server) == 4 else ""


def options(data: bytes) -> dict[int, bytes]:
    """Code → value, as far as the bytes hold what their lengths say."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == PAD:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            break
        found.setdefault(data[at], data[at + 2 : at + 2 + data[at + 1]])
        at += 2 + data[at + 1]
    return found


def ask(interface: str, seconds: float) -> list[str]:
    """The servers that offered within `seconds`. OSError when the socket cannot be had."""
    xid = int.from_bytes(os.urandom(4), "big")
    mac = bytes((2,)) + os.urandom(5)  # locally administered: nobody's
    servers: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.bind(("", 68))
        sock.sendto(discover(xid, mac), ("255.255.255.255", 67))
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and len(servers) < 8:
            if not select.select([sock], [], [], left)[0]:
                break
            server = offered_by(sock.recv(2048), xid)
            if server and server not in servers:
                servers.append(server)
                until = min(until, time.monotonic() + 0.2)  # one is enough to refuse; a second may be on its way
    return servers


if __name__ == "__main__":
    try:
        print("\n".join(ask(sys.argv[1], float(sys.argv[2]))))
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
        sys.exit(EXIT_NO_SOCKET)
