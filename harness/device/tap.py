"""A tap interface in the sandbox's own network: the emulated board's Ethernet, with the kernel as its only neighbour.

The kernel's TCP then faces the device's own, with nothing in between (QEMU's user network ends TCP on both sides). The
broker stays on 127.0.0.1: `route_localnet` lets the interface carry it. Each tap is a network of its own,
10.200.N.0/24, with the bench at .2 and the device at .15, which the device learns from its MAC address (net/lwip.c).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from pathlib import Path

from harness.errors import LabError
from harness.lab import sandbox

TUN = Path("/dev/net/tun")
SYSCTL = Path("/proc/sys/net")
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_UP = 0x1
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
MAX_INDEX = 255
BROKER = "127.0.0.1"


def possible() -> bool:
    """In a network of our own, and the kernel gives taps to us. Never in the host's own network."""
    return sandbox.inside() and os.access(TUN, os.R_OK | os.W_OK)


class Tap:
    """Exists until `close`. LabError lab.tool_missing when the kernel refuses."""

    def __init__(self) -> None:
        if not sandbox.inside():
            raise LabError("lab.tool_missing", "a tap is only made in the sandbox", 'set kind = "qemu-user"')
        try:
            self.fd = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise LabError("lab.tool_missing", f"{TUN}: {error.strerror}", 'set kind = "qemu-user"') from error
        try:
            request = struct.pack("16sH22x", b"hil%d", IFF_TAP | IFF_NO_PI)
            self.name = fcntl.ioctl(self.fd, TUNSETIFF, request)[:16].rstrip(b"\0").decode()
            self.index = int(self.name.removeprefix("hil"))
            if self.index > MAX_INDEX:
                raise LabError("lab.board_busy", f"{MAX_INDEX + 1} emulated boards run already", "wait for some to end")
            self._configure()
        except (OSError, ValueError) as error:
            os.close(self.fd)
            raise LabError("lab.tool_missing", f"tap interface: {error}", 'set kind = "qemu-user"') from error
        except LabError:
            os.close(self.fd)
            raise

    @property
    def mac(self) -> str:
        return f"02:48:49:4c:c8:{self.index:02x}"

    @property
    def device_address(self) -> str:
        return f"10.200.{self.index}.15"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)

    def _configure(self) -> None:
        name = self.name.encode()
        (SYSCTL / "ipv4" / "conf" / self.name / "route_localnet").write_text("1\n")
        with contextlib.suppress(OSError):  # no IPv6, no router solicitations to silence
            (SYSCTL / "ipv6" / "conf" / self.name / "disable_ipv6").write_text("1\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for request, address in ((SIOCSIFADDR, f"10.200.{self.index}.2"), (SIOCSIFNETMASK, "255.255.255.0")):
                packed = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(address))
                fcntl.ioctl(control, request, packed)
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, IFF_UP))
