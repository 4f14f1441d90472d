"""Serial ports by what stays the same: `open_port(name, baud)`.

    /dev/serial/by-id/…           a link udev keeps; /dev/pts/N, /dev/ttyAMA0 work too
    usb:SERIAL, usb:SERIAL:2      the port of the USB device with this serial number (its interface 2), whatever its
                                  name is now
    rfc2217://host:port           ser2net and labgrid exporters; the bit rate is set at the far end
    socket://host:port            bytes over TCP
    any other URL of pyserial

Names are looked up again at each opening, so that a board which comes back as another /dev/ttyACMn is found.
"""

from __future__ import annotations

import contextlib
import errno
import queue
import socket
from collections.abc import Callable, Iterable
from typing import Any

import serial
from serial import rfc2217
from serial.tools import list_ports
from serial.urlhandler import protocol_socket

from harness.errors import LabError

READ_TIMEOUT = 0.1  # s; for ports that cannot be waited for with select
WRITE_TIMEOUT = 5.0
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))  # a dead host: 11 s

IN_USE = "another client may read this port: ser2net serves one at a time"

FAR = "is ser2net or the exporter running there, and is this the URL of its port?"

PortList = Callable[[], Iterable[Any]]
"""pyserial's `comports`: objects with device, serial_number, location."""


class _Keeps:
    """pyserial throws away what came before a port was open. After a gap that may be a board's first words."""

    def _reset_input_buffer(self) -> None: ...

    def reset_input_buffer(self) -> None: ...


class _Tty(_Keeps, serial.Serial): ...


class _Quiet(rfc2217.Serial):
    """pyserial's reading thread ends with a traceback when the far end hangs up while they still negotiate (OSError),
    or ends a negotiation that it did not begin (TypeError). Who reads is told that the thread has died."""

    def _telnet_read_loop(self) -> None:
        with contextlib.suppress(OSError, TypeError):
            super()._telnet_read_loop()  # type: ignore[misc]


class _Rfc2217(_Keeps, _Quiet): ...


class _Socket(_Keeps, protocol_socket.Serial): ...


_FIRST: dict[str, type[serial.SerialBase]] = {"rfc2217": _Quiet}
_AGAIN: dict[str, type[serial.SerialBase]] = {"": _Tty, "rfc2217": _Rfc2217, "socket": _Socket}


def open_port(name: str, baud: int, *, keep: bool = False, listing: PortList = list_ports.comports) -> serial.Serial:
    """An open port. `keep`: with what has arrived already. LabError lab.serial_missing, or lab.board_busy when another
    program has it. Bounded: 5 s to connect, 3 s to agree."""
    url = resolve(name, listing)
    scheme = url.partition("://")[0] if "://" in url else ""
    options: dict[str, Any] = {"baudrate": baud, "timeout": READ_TIMEOUT}
    if scheme != "rfc2217":  # pyserial refuses one there; its socket has 5 s
        options["write_timeout"] = WRITE_TIMEOUT
    if not scheme and not url.startswith("/dev/pts/"):
        options["exclusive"] = True  # two readers would share the bytes between them
    try:
        kind = (_AGAIN if keep else _FIRST).get(scheme)
        port: Any = kind(url, **options) if kind else serial.serial_for_url(url, **options)
    except (serial.SerialException, OSError, ValueError) as error:
        raise _refused(name, url, error) from error
    _keep_alive(port)
    opened: serial.Serial = port
    return opened


def resolve(name: str, listing: PortList = list_ports.comports) -> str:
    """What pyserial opens for `name` now. LabError lab.serial_missing or lab.probe_ambiguous for a `usb:` name."""
    if name.startswith("rfc2217://") and "?" not in name:
        return f"{name}?ign_set_control"  # ser2net on a port without modem lines never answers for DTR
    if not name.startswith("usb:"):
        return name
    number, _, interface = name.removeprefix("usb:").partition(":")
    ports = list(listing())
    fit = [p for p in ports if (p.serial_number or "").lower() == number.lower()]
    if interface:
        fit = [p for p in fit if (p.location or "").rpartition(":")[2].rpartition(".")[2] == interface]
    if len(fit) == 1:
        return str(fit[0].device)
    if fit:
        names = ", ".join(f"{p.device} at {p.location}" for p in fit)
        raise LabError("lab.probe_ambiguous", f"{name} is {len(fit)} serial ports: {names}",
                       f"add the interface to it: usb:{number}:N, or use /dev/serial/by-id/…")  # fmt: skip
    there = sorted({str(p.serial_number) for p in ports if p.serial_number})
    raise LabError("lab.serial_missing", f"no serial port with USB serial number {number}",
                   f"plug the board in; attached: {', '.join(there[:8]) or 'none'}")  # fmt: skip


def leftover(port: object) -> bytes:
    """What a dead RFC 2217 connection had received and pyserial does not hand out any more."""
    waiting = getattr(port, "_read_buffer", None)
    found = bytearray()
    if isinstance(waiting, queue.Queue):
        with contextlib.suppress(queue.Empty):
            while data := waiting.get_nowait():
                found += data
    return bytes(found)


def _refused(name: str, url: str, error: Exception) -> LabError:
    shown = f"{name} ({url})" if name.startswith("usb:") else name
    # Of a network port pyserial tells the text alone; the error itself lies behind it.
    number = getattr(error, "errno", None) or getattr(error.__context__, "errno", None)
    if number in (errno.EAGAIN, errno.EWOULDBLOCK):  # flock of another reader
        return LabError(
            "lab.board_busy", f"{shown}: another program reads this port", "end it; `hil boards` may name it"
        )
    hint = {
        errno.EACCES: "join the group that owns the port (often `dialout`), then log in anew",
        errno.ENOENT: "is the board plugged in? `hil boards --scan` lists the ports there are",
        errno.ECONNREFUSED: FAR,
        errno.EPIPE: IN_USE,
        errno.ECONNRESET: IN_USE,
    }.get(number or 0, FAR if "://" in url else "`hil boards --scan` lists the ports there are")
    return LabError("lab.serial_missing", f"{shown}: {' '.join(str(error).split())[:300]}", hint)


def _keep_alive(port: object) -> None:
    """A lab host that dies closes nothing: TCP has to ask."""
    link = getattr(port, "_socket", None)
    if isinstance(link, socket.socket):
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                link.setsockopt(socket.IPPROTO_TCP, option, value)
