"""The model's ClientHello is the captured one of NetX Duo 6.4.2, byte by byte but for the random and the key share."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import Any

import pytest

from harness.paths import ROOT
from tests.firmware.fw import Device
from tests.firmware.wire import Hello, tap
from tests.netx.conftest import codes

CAPTURES = ROOT / "tests" / "data" / "field-captures"
WIRE = ROOT / "build" / "host" / "bin" / "hil-wire"
VERSIONS, GROUPS, POINTS, SIGALGS, KEY_SHARE = 43, 10, 11, 13, 51
COMPARED = (
    "record_version", "legacy_version", "session_id", "suites", "compression", "extensions", "groups", "sigalgs",
    "versions", "key_shares", "point_formats", "sni", "len",
)  # fmt: skip


@cache
def captured() -> dict[str, dict[str, Any]]:
    """The first ClientHello of every NetX capture that has one."""
    found = {}
    for path in sorted(CAPTURES.glob("netx-*.pcap")):
        done = subprocess.run([WIRE, "--events", "client_hello", path], capture_output=True, timeout=30, check=True)
        hellos = [json.loads(line) for line in done.stdout.splitlines()]
        hellos = [h for h in hellos if h["ev"] == "client_hello"]
        if hellos:
            found[path.stem] = hellos[0]
    return found


def offered(dut: Device, **settings: object) -> Hello:
    with tap(None) as seen:
        run = dut.run(port=seen.port, script="connect", **settings)
        assert not run.ok
        return seen.hello()


def as_event(h: Hello) -> dict[str, Any]:
    """The same words as hil-wire's, for what is compared."""
    body = 2 + 32 + 1 + len(h.session_id) + 2 + 2 * len(h.suites) + 1 + len(h.compression)
    body += 2 + sum(4 + len(e) for e in h.extensions.values())
    said: dict[str, Any] = {
        "record_version": f"{h.record_version:04x}", "legacy_version": f"{h.version:04x}",
        "session_id": h.session_id.hex(), "suites": list(h.suites), "compression": list(h.compression),
        "extensions": list(h.order), "len": body,
        "sigalgs": list(h.list16(SIGALGS)),
    }  # fmt: skip
    if GROUPS in h.extensions:
        said["groups"] = list(h.list16(GROUPS))
        said["point_formats"] = list(h.extensions[POINTS][1:])
    if VERSIONS in h.extensions:
        said["versions"] = list(h.list16(VERSIONS, 1))
    if KEY_SHARE in h.extensions:
        share = h.extensions[KEY_SHARE][2:]
        assert len(share) == 4 + int.from_bytes(share[2:4], "big"), "one share"
        said["key_shares"] = [int.from_bytes(share[:2], "big")]
    if 0 in h.extensions:
        said["sni"] = h.sni
    return said


def settings_of(hello: dict[str, Any]) -> dict[str, object]:
    """How the shim is set to do what the captured firmware did."""
    only13 = hello.get("versions") == [0x0304]
    defects = [] if "sni" in hello else ["no_sni"]
    if 0xC02F not in hello["suites"]:
        defects.append("no_aead")  # that firmware was built so
    bounds = {"tls_min": "1.3", "tls_max": "1.3"} if only13 else {"tls_min": "1.2", "tls_max": "1.2"}
    return {"host": hello.get("sni", "broker.test"), "defect": ",".join(defects), **bounds}


NAMES = sorted(path.stem for path in CAPTURES.glob("netx-*.pcap"))
WITHOUT = {  # plain MQTT, or a set-up that failed
    "netx-12-ec-mutual-wrong-keytype", "netx-tcp-broker-down", "netx-tcp-mqtt-server-silent",
    "netx-tcp-password-missing",
}  # fmt: skip


def test_there_is_something_to_compare() -> None:
    assert set(NAMES) - set(captured()) == WITHOUT
    assert len(captured()) >= 20
    assert {tuple(h.get("versions", ())) for h in captured().values()} == {(), (0x0304,)}
    assert any("sni" in h for h in captured().values())


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITHOUT))
def test_equals_the_captured_one(dut: Device, name: str) -> None:
    wanted = captured()[name]
    mine = as_event(offered(dut, **settings_of(wanted)))
    assert {k: mine.get(k) for k in COMPARED} == {k: wanted.get(k) for k in COMPARED}


BOTH: dict[str, Any] = {
    "record_version": "0303", "legacy_version": "0303", "session_id": "", "compression": [0],
    "suites": [0x1301, 0x1304, 0x1305, 0xC02B, 0xC02F, 0xC023, 0xC027, 0x009C, 0x003D, 0x003C],
    "extensions": [10, 11, 43, 51, 13, 0], "versions": [0x0304, 0x0303], "key_shares": [23], "groups": [23, 24, 25],
    "point_formats": [0], "sigalgs": [0x0403, 0x0503, 0x0603, 0x0401, 0x0501, 0x0601, 0x0303], "sni": "broker.test",
    "len": 203,
}  # fmt: skip
"""TLS 1.3 with 1.2 beside it is in no capture: this is what the shim linked with NetX Secure 6.4.2 itself sent."""


def test_both_versions(dut: Device) -> None:
    assert as_event(offered(dut, tls_min="1.2", tls_max="1.3")) == BOTH
    alone = as_event(offered(dut, tls_min="1.3", tls_max="1.3"))
    assert alone == BOTH | {"versions": [0x0304], "len": 201}


def test_without_ecc_initialize(dut: Device) -> None:
    """Suites with ECDHE and neither groups nor point formats: the fingerprint of the missing call."""
    h = offered(dut, tls_min="1.2", tls_max="1.2", defect="ecc_uninitialised,no_sni")
    assert h.suites[:2] == (0xC02B, 0xC02F)
    assert h.order == (0xFF01, SIGALGS)


def test_hand_added_suite_is_offered_first(dut: Device) -> None:
    h = offered(dut, tls_max="1.2", defect="sha384_suite")
    assert h.suites[0] == 0xC030
    assert len(h.suites) == 8


def test_nothing_is_sent_in_13_without_curves(dut: Device) -> None:
    with tap(None) as seen:
        run = dut.run(port=seen.port, script="connect", tls_min="1.2", tls_max="1.3", defect="ecc_uninitialised")
        assert codes(run, "nx_secure_tls_session_start") == ["0x43"]
        assert not any(seen.client)
