"""Is this the board's own wire? Services that hand out addresses must never start on a network of somebody else."""

from __future__ import annotations

import ipaddress
import subprocess
from typing import Any

import msgspec

from harness.errors import LabError, UsageError
from harness.lab.services.model import Services

IP_TIMEOUT = 5.0


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """An interface as `ip` shows it. `default_route`: packets to the rest of the world leave through it."""

    up: bool
    loopback: bool
    addresses: tuple[str, ...]
    default_route: bool
    master: str = ""


def prefix(services: Services) -> tuple[str, ...]:
    """What stands before a command that shall see the interface."""
    return ("ip", "netns", "exec", services.namespace) if services.namespace else ()


def look(services: Services) -> Wire:
    """UsageError when there is no such interface or namespace."""
    rows = _ip(services, "address", "show", "dev", services.interface)
    routes = _ip(services, "route", "show", "default")
    row = rows[0] if rows else {}
    flags = row.get("flags", [])
    # An IPv6 link-local address comes by itself with any interface that is up.
    addresses = tuple(
        f"{a.get('local')}/{a.get('prefixlen')}" for a in row.get("addr_info", []) if a.get("scope") != "link"
    )
    return Wire(
        up="UP" in flags, loopback="LOOPBACK" in flags, addresses=addresses, master=str(row.get("master", "")),
        default_route=any(r.get("dev") == services.interface for r in routes),
    )  # fmt: skip


def check(services: Services, wire: Wire) -> None:
    """UsageError with the next step, unless services may start here. Pure."""
    name = services.interface
    allowed = {_plain(a) for a in (services.address, *services.also)}
    foreign = [a for a in wire.addresses if _plain(a) not in allowed]
    if wire.loopback:
        raise UsageError(f"{name} is a loopback interface", "name the interface of the board's wire")
    if wire.default_route:
        raise UsageError(f"{name} carries this host's default route: it is no wire of a board's own",
                         "use a second network interface (a USB one does)")  # fmt: skip
    if wire.master:
        raise UsageError(f"{name} is part of {wire.master}", f"name {wire.master}, if that is the board's wire")
    if foreign:
        raise UsageError(f"{name} also has {', '.join(foreign)}: it may be another network",
                         "name the address under `also` in [services] if the wire is the board's")  # fmt: skip
    if services.address not in wire.addresses:
        raise UsageError(f"{name} lacks {services.address}", f"sudo ip address add {services.address} dev {name}")
    if not wire.up:
        raise UsageError(f"{name} is down", f"sudo ip link set {name} up")


def _plain(address: str) -> str:
    return str(ipaddress.ip_interface(address))


def _ip(services: Services, *words: str) -> list[dict[str, Any]]:
    argv = [*prefix(services), "ip", "-json", *words]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=IP_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise LabError("lab.tool_missing", "ip not found", "apt-get install iproute2") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError("lab.tool_missing", f"ip does not run: {error}", "see the message") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:200]
        raise UsageError(f"{services.interface}: {said or 'ip failed'}", "`ip -brief link` names the interfaces")
    try:
        return msgspec.json.decode(done.stdout or "[]", type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise LabError("lab.tool_missing", f"ip printed no JSON: {error}", "a newer iproute2 is needed") from error
