"""What the values of one `[[board]]` may be, beyond their types; harness/lab/inventory.py reads the file. Pure.

Each check raises the UsageError that `wrong` makes: file, board, key, what is wrong, the next step, in one line.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.lab.inventory import Labgrid, Power

MAX_TEXT = 500  # characters of any one value
_MOVING = re.compile(r"/dev/(ttyACM|ttyUSB)\d+")
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_NETWORK_PORTS = ("rfc2217", "socket")


def check_text(path: Path, label: str, row: dict[str, Any]) -> None:
    """Every string printable and bounded: they end up in terminals, argument lists and file names."""
    for key, value in row.items():
        for text in _strings(value):
            if len(text) > MAX_TEXT or not text.isprintable():
                problem = "control characters" if len(text) <= MAX_TEXT else f"longer than {MAX_TEXT} characters"
                raise wrong(path, label, key, problem, "write one short line of plain text")


def same_probe(one: str, other: str) -> bool:
    """J-Link numbers stand on USB with zeros in front, and without on the label and in SEGGER's tools."""
    return one.lower().lstrip("0") == other.lower().lstrip("0")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def check_port(path: Path, label: str, key: str, port: str) -> None:
    if not port:
        return
    if _MOVING.fullmatch(port):
        raise wrong(
            path,
            label,
            key,
            f"{port} may be another board after the next plug",
            "use /dev/serial/by-id/… or usb:SERIAL (`hil boards --scan` prints them)",
        )
    if port.startswith("usb:"):
        if not re.fullmatch(r"usb:[^:\s]+(:\d{1,2})?", port):
            raise wrong(
                path,
                label,
                key,
                f"`{port}` is no usb:SERIAL[:INTERFACE]",
                "for example usb:0669FF3130 or usb:0669FF3130:2",
            )
        return
    if port.startswith("/"):
        return
    scheme, sign, _ = port.partition("://")
    if not sign or scheme not in _NETWORK_PORTS:
        raise wrong(
            path,
            label,
            key,
            f"`{port}` is no serial port",
            "use /dev/serial/by-id/…, usb:SERIAL, rfc2217://host:port or socket://host:port",
        )
    try:
        parts = urlsplit(port)
        good = bool(parts.hostname) and bool(parts.port)
    except ValueError:
        good = False
    if not good:
        raise wrong(path, label, key, f"`{port}` lacks host or port", f"for example {scheme}://labhost:7001")


def check_address(path: Path, label: str, key: str, address: str) -> None:
    if not address:
        return
    try:
        ipaddress.ip_address(address)
    except ValueError:
        numeric = re.fullmatch(r"[\d.]+", address) or ":" in address
        if key == "device_address" or numeric or not _HOST.fullmatch(address):
            what = "is no IP address" if key == "device_address" else "is neither an IP address nor a name"
            raise wrong(path, label, key, f"`{address}` {what}", "for example 192.168.7.10") from None


def check_labgrid(path: Path, label: str, labgrid: Labgrid) -> None:
    if bool(labgrid.place) == bool(labgrid.tags):
        raise wrong(path, label, "labgrid", "needs either `place` or `tags`", 'for example { place = "shelf-3" }')
    for key, value in labgrid.tags.items():
        if not (re.fullmatch(r"[a-z][a-z0-9_]{1,63}", key) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value)):
            raise wrong(path, label, "labgrid.tags", "not tags of labgrid", 'for example { board = "h563" }')


def check_power(path: Path, label: str, power: Power) -> None:
    switches = {key: getattr(power, key) for key in ("on", "off", "cycle") if getattr(power, key)}
    given = [*switches, *(["hub"] if power.hub else []), *(["port"] if power.port else [])]
    allowed = {"none": (), "uhubctl": ("hub", "port")}.get(power.kind, ("on", "off", "cycle"))
    if foreign := [key for key in given if key not in allowed]:
        raise wrong(
            path,
            label,
            f"power.{foreign[0]}",
            f"not a key of kind `{power.kind}`",
            f"remove it, or correct `kind`; it takes: {', '.join(allowed) or 'nothing'}",
        )
    if power.kind == "uhubctl":
        if not re.fullmatch(r"\d+(-\d+(\.\d+)*)?", power.hub):
            raise wrong(
                path, label, "power.hub", f"`{power.hub}` is no hub's location", "as `uhubctl` prints it: 1-1.4"
            )
        if not 1 <= power.port <= 32:
            raise wrong(path, label, "power.port", f"{power.port} is no port", "1 to 32, as `uhubctl` prints it")
    if power.kind in ("command", "http") and "cycle" not in switches and not {"on", "off"} <= set(switches):
        raise wrong(path, label, "power", "neither `cycle` nor both `on` and `off`", "say how to switch it")
    if power.kind == "http":
        for key, url in switches.items():
            if not isinstance(url, str) or not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", url):
                raise wrong(
                    path,
                    label,
                    f"power.{key}",
                    "not one http:// or https:// URL without a password",
                    "for example http://10.0.0.5/relay/1/on",
                )
    if not (0.0 <= power.off_s <= 300.0 and 0.1 <= power.timeout_s <= 300.0):
        raise wrong(path, label, "power", "`off_s` or `timeout_s` is out of bounds", "0 to 300 seconds")


def near(name: str, known: Iterable[str]) -> str:
    """`did you mean …? `, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean `{found[0]}`? " if found else ""


def wrong(path: Path, label: str, key: str, problem: str, fix: str) -> UsageError:
    place = f"{label}: " if label else ""
    shown = key.encode("unicode_escape").decode()[:60]
    return UsageError(f"{path}: {place}key `{shown}`: {problem}", fix.strip())
