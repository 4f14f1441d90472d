"""`[services]` of lab.toml: what a board on a wire of its own is given (docs/nightly-lab.md). Nothing is started here.

    [services]
    interface = "enp3s0"            # the wire; never guessed
    address = "192.168.77.1/24"     # this host's address on it, where the broker listens
    ntp = "offset -3600"            # a lie; default "honest", "off" for none
    names = { "mqtt.example.com" = "" }          # beside the broker's; "" is this host
    hosts = { "02:00:5e:00:00:01" = "192.168.77.50" }
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.lab import tables

LEASES_MAX = 250
LEASE_S = (120, 86400)
"""Bounds of a lease in seconds; dnsmasq raises anything shorter to 120."""
FIRST_LEASE = 100
"""Without `first`, leases begin at this number of the network where it is large enough."""
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_NTP = re.compile(r"[A-Za-z0-9 .,+-]{1,200}")


class Services(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wire. `checked` makes one whose values fit together."""

    interface: str  # as `ip link` names it
    namespace: str = ""  # a named network namespace that holds the interface (`ip netns`); "": this one
    address: str = "192.168.77.1/24"  # ours, with the prefix length; must be on the interface already
    also: tuple[str, ...] = ()  # further addresses the interface may carry: naming them says that this is known
    dhcp: bool = True
    first: str = ""  # first address handed out; "": number 100 of the network, or the first free one
    leases: int = 16  # how many at most
    lease_s: int = 600
    router: bool = True  # offer this host as default router (it forwards nothing by itself)
    dns: bool = True
    names: dict[str, str] = {}  # beside the broker's names; "" is this host's address
    hosts: dict[str, str] = {}  # hardware address → the address it always gets
    ntp: str = "honest"  # a behaviour of hil-ntp (harness/ntp/include/hil_ntp.h), or "off"

    @property
    def own(self) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Interface(self.address).ip

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Interface(self.address).network

    @property
    def pool(self) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
        """First and last address handed out."""
        start = ipaddress.IPv4Address(self.first) if self.first else self.network.network_address + FIRST_LEASE
        if not self.first and start + self.leases > self.network.broadcast_address:
            start = self.own + 1
        return start, start + (self.leases - 1)


def read(path: Path) -> Services | None:
    """`[services]` of the file at `path`, checked; None when it has none."""
    table = tables.read(path).get("services")
    return None if table is None else checked(path, table)


def checked(where: Path | str, table: Any) -> Services:
    """The table as `Services`, or a UsageError that names file, key and next step. `where`: a file, or a command."""
    made = _convert(where, table)
    for wrong, key, what, fix in _problems(made):
        if wrong:
            raise UsageError(f"{where}: [services]: key `{key}`: {what}", fix)
    return made


def _convert(where: Path | str, table: Any) -> Services:
    try:
        return msgspec.convert(table, Services, strict=True)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$")
        keys = ", ".join(Services.__struct_fields__)
        key = at.rstrip("`").lstrip(".")
        place = f"key `{key}`: " if key else ""
        raise UsageError(f"{where}: [services]: {place}{text}", f"the keys are: {keys}") from None


def _problems(made: Services) -> list[tuple[bool, str, str, str]]:
    """What may be wrong, in an order in which each may rely on those before."""
    found = [
        (not _INTERFACE.fullmatch(made.interface), "interface", "no name of an interface", "as `ip link` prints it"),
        (made.interface == "lo", "interface", "lo reaches no board", "name the interface of the board's wire"),
        (made.namespace != "" and not _NAMESPACE.fullmatch(made.namespace), "namespace", "no name of a namespace",
         "as `ip netns` prints it"),
        (not _interface_address(made.address), "address", f"`{made.address}` is no IPv4 address with a prefix length",
         "for example 192.168.77.1/24"),
        (not all(_interface_address(a) for a in made.also), "also", "not all are addresses with a prefix length",
         "as `ip address` prints them: 10.0.0.5/24"),
        (not 1 <= made.leases <= LEASES_MAX, "leases", f"{made.leases} addresses", f"1 to {LEASES_MAX}"),
        (not LEASE_S[0] <= made.lease_s <= LEASE_S[1], "lease_s", f"{made.lease_s} s", f"{LEASE_S[0]} to {LEASE_S[1]}"),
        (not all(_NAME.fullmatch(name) for name in made.names), "names", "not all are host names",
         "letters, digits, dots and dashes"),
        (not all(a == "" or _address(a) for a in made.names.values()), "names", "not all lead to an IPv4 address",
         'write "" for this host'),
        (not all(_MAC.fullmatch(mac) for mac in made.hosts), "hosts", "not all keys are hardware addresses",
         "for example 02:00:5e:00:00:01"),
        (not _NTP.fullmatch(made.ntp), "ntp", "no behaviour", "honest, off, offset -3600 …"),
        (made.first != "" and not _address(made.first), "first", f"`{made.first}` is no IPv4 address", "or no `first`"),
    ]  # fmt: skip
    if any(wrong for wrong, *_ in found):
        return found
    return found + _fits(made)


def _fits(made: Services) -> list[tuple[bool, str, str, str]]:
    network, own, last = made.network, made.own, made.network.broadcast_address
    usual = own.is_private and not (own.is_reserved or own.is_loopback or own.is_multicast or own.is_unspecified)
    if not usual:
        return [(True, "address", f"{own} is no private address", "use a private network, such as 192.168.77.1/24")]
    first, end = made.pool
    fixed = [ipaddress.IPv4Address(a) for a in made.hosts.values() if _address(a)]
    usable = network.prefixlen <= 29 and own not in (network.network_address, last)
    return [
        (not usable, "address", f"{made.address} leaves no room for boards", "use a network of /29 or larger"),
        (made.dhcp and not (network.network_address < first and end < last), "leases",
         f"{first} to {end} is not inside {network}", "fewer leases, or another `first`"),
        (made.dhcp and first <= own <= end, "first", f"this host's {own} lies among the leases", "another `first`"),
        (len(fixed) != len(made.hosts) or not all(a in network and a not in (own, last) for a in fixed), "hosts",
         f"not all lead into {network}", "give each an address of the board's network"),
        (len(set(fixed)) != len(fixed), "hosts", "two boards get the same address", "one address, one board"),
    ]  # fmt: skip


def _address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _interface_address(text: str) -> bool:
    try:
        ipaddress.IPv4Interface(text)
    except ValueError:
        return False
    return "/" in text
