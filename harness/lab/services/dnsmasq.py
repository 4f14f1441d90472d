"""dnsmasq's configuration as text, and its file of leases as values. No I/O here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from harness.lab.services.model import Services

LEASES_READ = 64 << 10  # bytes of a lease file that are looked at
NAME_TTL = 10  # s: a name that moves is seen by the next scenario
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class DhcpLease(msgspec.Struct, frozen=True, kw_only=True):
    """Who has which address, until when (Unix seconds). `name` is what the device calls itself, made printable."""

    mac: str
    address: str
    until: int
    name: str = ""


def configuration(services: Services, broker_names: Iterable[str], folder: Path, *, user: str) -> str:
    """A whole dnsmasq.conf: it reads no other file, forwards no query and listens on no other interface."""
    own = services.own
    lines = [
        "# made by `hil services`: everything this dnsmasq does",
        f"interface={services.interface}", "except-interface=lo", "bind-interfaces",
        "no-resolv", "no-hosts", "no-poll", f"user={user}", "pid-file=", "log-facility=-", "log-async=100",
    ]  # fmt: skip
    lines += _dns(services, broker_names) if services.dns else ["port=0"]
    lines += _dhcp(services, folder) if services.dhcp else [f"no-dhcp-interface={services.interface}"]
    if services.dhcp:
        lines.append(f"dhcp-option=option:router{f',{own}' if services.router else ''}")
        lines.append(f"dhcp-option=option:dns-server{f',{own}' if services.dns else ''}")
        lines += [f"dhcp-option=option:ntp-server,{own}"] if services.ntp != "off" else []
    return "\n".join(lines) + "\n"


def names(services: Services, broker_names: Iterable[str]) -> dict[str, str]:
    """Every name with its address; a name of the table wins over a broker's of the same name."""
    own = str(services.own)
    return dict.fromkeys((n for n in broker_names if n), own) | {n: a or own for n, a in services.names.items()}


def _dns(services: Services, broker_names: Iterable[str]) -> list[str]:
    known = names(services, broker_names)
    # `local=/#/`: whatever is not named here does not exist, and is asked of nobody.
    return ["port=53", "local=/#/", "log-queries=extra", f"local-ttl={NAME_TTL}",
            *(f"host-record={name},{address}" for name, address in known.items())]  # fmt: skip


def _dhcp(services: Services, folder: Path) -> list[str]:
    first, last = services.pool
    return [
        f"dhcp-range={first},{last},{services.network.netmask},{services.lease_s}",
        f"dhcp-lease-max={services.leases + len(services.hosts)}", f"dhcp-leasefile={folder / 'leases'}",
        "no-ping",  # 3 s at each first lease; the wire is ours, and somebody else's server was looked for before
        "log-dhcp", "dhcp-ignore-names",  # what a device calls itself is no name of this DNS
        *(f"dhcp-host={mac},{address}" for mac, address in services.hosts.items()),
    ]  # fmt: skip


def leases(text: str) -> tuple[DhcpLease, ...]:
    """The lines of a lease file that are whole; the names in it come from devices."""
    found = []
    for line in text[:LEASES_READ].splitlines():
        words = line.split(" ")
        if len(words) < 4 or not words[0].isdigit() or len(words[0]) > 12 or not _MAC.fullmatch(words[1].lower()):
            continue
        try:
            address = ipaddress.IPv4Address(words[2])
        except ValueError:
            continue
        name = "" if words[3] == "*" else "".join(c if c.isascii() and c.isprintable() else "?" for c in words[3][:63])
        found.append(DhcpLease(mac=words[1].lower(), address=str(address), until=int(words[0]), name=name))
    return tuple(found)
