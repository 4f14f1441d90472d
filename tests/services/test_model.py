"""[services]: what is accepted, what is refused and how it is said; dnsmasq's files; packets that are damaged."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.lab import inventory
from harness.lab.services import dnsmasq, foreign, interface
from harness.lab.services.interface import Wire
from harness.lab.services.model import checked

GOOD: dict[str, Any] = {"interface": "enp3s0"}
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no interface", {}, "missing required field `interface`"),
    ("unknown key", GOOD | {"interfce": 1}, "unknown field `interfce`"),
    ("type", GOOD | {"leases": "many"}, "key `leases`"),
    ("option", {"interface": "-x"}, "key `interface`"),
    ("newline", {"interface": "eth0\nuser=root"}, "key `interface`"),
    ("loopback", {"interface": "lo"}, "reaches no board"),
    ("no prefix", GOOD | {"address": "192.168.77.1"}, "key `address`"),
    ("public", GOOD | {"address": "8.8.8.8/24"}, "no private address"),
    ("all ones", GOOD | {"address": "255.255.255.250/29"}, "no private address"),
    ("no room", GOOD | {"address": "192.168.77.1/30"}, "no room"),
    ("network", GOOD | {"address": "192.168.77.0/24"}, "no room"),
    ("too many", GOOD | {"leases": 251}, "key `leases`"),
    ("none", GOOD | {"leases": 0}, "key `leases`"),
    ("over the end", GOOD | {"first": "192.168.77.250"}, "key `leases`"),
    ("elsewhere", GOOD | {"first": "192.168.78.10"}, "key `leases`"),
    ("ours too", GOOD | {"address": "192.168.77.105/24"}, "key `first`"),
    ("short lease", GOOD | {"lease_s": 10}, "key `lease_s`"),
    ("name", GOOD | {"names": {"a b": ""}}, "key `names`"),
    ("injection", GOOD | {"names": {"a\nserver=8.8.8.8": ""}}, "key `names`"),
    ("name's address", GOOD | {"names": {"a.test": "here"}}, "key `names`"),
    ("mac", GOOD | {"hosts": {"02:00": "192.168.77.9"}}, "key `hosts`"),
    ("host elsewhere", GOOD | {"hosts": {"02:00:00:00:00:01": "10.0.0.1"}}, "key `hosts`"),
    ("host is us", GOOD | {"hosts": {"02:00:00:00:00:01": "192.168.77.1"}}, "key `hosts`"),
    ("twice", GOOD | {"hosts": {f"02:00:00:00:00:0{n}": "192.168.77.9" for n in (1, 2)}}, "key `hosts`"),
    ("ntp", GOOD | {"ntp": "kiss\nRATE"}, "key `ntp`"),
    ("namespace", GOOD | {"namespace": "../x"}, "key `namespace`"),
]


@pytest.mark.parametrize(("table", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_wrong_tables_are_one_line(table: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked("lab.toml", table)
    text = str(caught.value)
    assert said in text and text.startswith("lab.toml: [services]: "), text
    assert "\n" not in text


def test_defaults_and_small_networks() -> None:
    assert [str(a) for a in checked("x", GOOD).pool] == ["192.168.77.100", "192.168.77.115"]
    small = checked("x", GOOD | {"address": "10.0.0.1/29", "leases": 5})
    assert [str(a) for a in small.pool] == ["10.0.0.2", "10.0.0.6"]


def test_services_in_a_lab_file(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text('[services]\ninterface = "enp3s0"\nntp = "offset -3600"\n', encoding="utf-8")
    found = inventory.load_lab(path).services
    assert found is not None and found.ntp == "offset -3600"
    path.write_text('[services]\ninterface = "enp3s0"\ndhpc = false\n', encoding="utf-8")
    with pytest.raises(UsageError, match="dhpc"):
        inventory.load_lab(path)


def test_configuration_forwards_nothing_and_listens_nowhere_else() -> None:
    config = checked("x", GOOD | {"names": {"broker.hil.test": "192.168.77.9"}, "router": False})
    lines = dnsmasq.configuration(config, ("broker.hil.test", ""), Path("/x"), user="nobody").splitlines()
    assert {"interface=enp3s0", "bind-interfaces", "no-resolv", "no-hosts", "local=/#/"} <= set(lines)
    assert [line for line in lines if line.startswith("host-record")] == ["host-record=broker.hil.test,192.168.77.9"]
    assert "dhcp-option=option:router" in lines
    assert not any(line.startswith(("server=", "conf-", "addn-hosts", "dhcp-script")) for line in lines)
    quiet = dnsmasq.configuration(checked("x", GOOD | {"dhcp": False, "dns": False}), (), Path("/x"), user="nobody")
    assert "port=0" in quiet.splitlines() and "dhcp-range" not in quiet


def test_leases_from_devices_are_hostile() -> None:
    text = ("1700000000 02:00:5e:00:00:01 192.168.77.50 * 01:02\n"
            "1700000001 02:00:5e:00:00:02 192.168.77.51 a\x1b[31mred ff\n"
            "x 02:00:5e:00:00:02 192.168.77.51 b ff\n1 zz 192.168.77.51 b ff\n1 02:00:5e:00:00:02 1.2.3 b ff\n"
            "duid 00:01\n\n1 02:00")  # fmt: skip
    found = dnsmasq.leases(text)
    assert [(lease.address, lease.name) for lease in found] == [("192.168.77.50", ""), ("192.168.77.51", "a?[31mred")]


WIRES: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"loopback": True}, "loopback"),
    ({"default_route": True}, "default route"),
    ({"master": "br0"}, "part of br0"),
    ({"addresses": ("192.168.77.1/24", "10.0.0.1/8")}, "also has 10.0.0.1/8"),
    ({"addresses": ("192.168.77.1/24", "fd00::2/64")}, "also has fd00::2/64"),
    ({"addresses": ("192.168.77.1/16",)}, "also has 192.168.77.1/16"),
    ({"addresses": ()}, "lacks 192.168.77.1/24"),
    ({"up": False}, "is down"),
]


@pytest.mark.parametrize(("changed", "said"), WIRES)
def test_only_the_boards_wire(changed: dict[str, Any], said: str) -> None:
    plain: dict[str, Any] = {"up": True, "loopback": False, "addresses": ("192.168.77.1/24",), "default_route": False}
    config = checked("x", GOOD)
    if not said:
        interface.check(config, Wire(**plain))
        return
    with pytest.raises(UsageError, match=said):
        interface.check(config, Wire(**plain | changed))


def test_damaged_offers_are_none() -> None:
    head = bytearray(foreign.discover(7, bytes(6)))
    head[0] = foreign.OP_REPLY
    offer = bytes(head[: foreign.FIXED]) + bytes((53, 1, 2, 54, 4, 10, 0, 0, 1, 255))
    assert foreign.offered_by(offer, 7) == "10.0.0.1"
    assert foreign.offered_by(offer, 8) == "" and foreign.offered_by(bytes(head), 7) == ""
    for size in range(len(offer)):
        assert foreign.offered_by(offer[:size], 7) in ("", "0.0.0.0", "10.0.0.1")  # noqa: S104
    chance = random.Random(4)  # noqa: S311
    for _ in range(3000):
        damaged = bytearray(offer)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        foreign.offered_by(bytes(damaged), 7)
