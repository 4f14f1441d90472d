"""Which TCP ports are free, and which are listened at, without connecting to any."""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from pathlib import Path

from harness.errors import LabError

# Below Linux's ephemeral range (32768…), so that no outgoing connection sits on a port between our look and the bind.
FIRST, LAST = 20000, 32000
_LISTEN = "0A"
_random = random.SystemRandom()


def is_ipv4(address: str) -> bool:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return True


def candidate(address: str, avoid: set[int]) -> int:
    """A port that can be bound at this moment. Somebody may still be faster: the caller tries again."""
    for _ in range(200):
        port = _random.randint(FIRST, LAST)
        if port not in avoid and _can_bind(address, port):
            return port
    raise LabError("lab.broker_failed", f"no free TCP port from {FIRST} to {LAST} at {address}", "end what holds them")


def _can_bind(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:  # no port will do
                raise LabError(
                    "lab.broker_failed", f"{address} is not an address of this machine", "set the interface up first"
                ) from error
            return False
    return True


def listening(address: str, port: int) -> bool:
    """Whether somebody listens at exactly this IPv4 address and port, from the kernel's table of this network
    namespace: a connection to find out would be in the capture and in the broker's log."""
    packed = socket.inet_aton(address)
    wanted = f"{int.from_bytes(packed, 'little'):08X}:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == wanted and fields[3] == _LISTEN:
            return True
    return False
