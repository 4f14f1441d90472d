"""Mosquitto's log: both forms of one cause, the shared captures' logs, other versions, hostile text."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from harness import paths
from harness.errors import UsageError
from harness.evidence import broker_log
from harness.evidence.broker_log import BrokerEntry, parse_text

CAPTURES = Path(os.environ.get("HIL_FIELD_CAPTURES", paths.ROOT / "tests" / "data" / "field-captures"))


def one(text: str) -> BrokerEntry:
    entries = parse_text(text)
    assert len(entries) == 1
    return entries[0]


def test_two_forms_of_one_cause_give_the_same_code_and_address() -> None:
    before = one("10:00:00: Client connection from 10.0.0.9 failed: error:0A0000C1:SSL routines::no shared cipher.")
    after = parse_text(
        "10:00:00: New connection from 10.0.0.9:5000 on port 8883.\n"
        "10:00:00: OpenSSL Error[0]: error:0A0000C1:SSL routines::no shared cipher\n"
        "10:00:00: Client <unknown> disconnected: Protocol error.\n"
    )
    assert before.kind == "client_connection_failed"
    assert [entry.kind for entry in after] == ["new_connection", "openssl_error", "tls_protocol_error"]
    assert (before.code, before.reason) == (after[1].code, after[1].reason) == (0x0A0000C1, "no shared cipher")
    assert before.alerts_sent == after[1].alerts_sent == (40,)
    assert before.address == after[1].address == "10.0.0.9"
    assert after[1].paired and after[2].paired and not before.paired
    assert after[2].port == 5000


def test_pairing_takes_the_open_connection_not_a_finished_one() -> None:
    entries = parse_text(
        "1795207670: New connection from 10.0.0.1:1 on port 8883.\n"
        "1795207670: New client connected from 10.0.0.1:1 as a (p2, c1, k60).\n"
        "1795207670: New connection from 10.0.0.2:2 on port 8883.\n"
        "1795207670: OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed\n"
        "1795207670: Client <unknown> disconnected: Protocol error.\n"
        "1795207670: OpenSSL Error[0]: error:0A000126:SSL routines::unexpected eof while reading\n"
    )
    assert entries[3].address == "10.0.0.2"
    assert entries[5].address == "" and not entries[5].paired


@pytest.mark.parametrize(
    ("text", "kind", "more"),
    [
        ("mosquitto version 2.0.11 starting", "starting", {"version": "2.0.11"}),
        ("mosquitto version 2.0.18 terminating", "terminating", {"version": "2.0.18"}),
        ("Opening ipv4 listen socket on port 8883.", "listen", {"listener": 8883}),
        ("New client connected from 10.0.0.9:50 as dut (p5, c1, k60, u'bob').", "connected",
         {"client": "dut", "protocol": 5, "keepalive": 60, "user": "bob", "port": 50}),
        ("New client connected from 10.0.0.9 as 0022 (c1, k60, u'x').", "connected",
         {"client": "0022", "keepalive": 60}),
        ("OpenSSL Error[0]: error:0A000418:SSL routines::tlsv1 alert unknown ca", "openssl_error", {"alert": 48}),
        ("OpenSSL Error: error:14094412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate", "openssl_error",
         {"alert": 42, "reason": "sslv3 alert bad certificate"}),
        ("Client dut disconnected.", "disconnected", {"client": "dut", "reason": ""}),
        ("Client dut closed its connection.", "closed", {"client": "dut"}),
        ("Client dut has exceeded timeout, disconnecting.", "exceeded_timeout", {"client": "dut"}),
        ("Client dut [10.0.0.9:50] disconnected: exceeded timeout.", "exceeded_timeout",
         {"client": "dut", "address": "10.0.0.9", "port": 50}),
        ("Client dut already connected, closing old connection.", "already_connected", {"client": "dut"}),
        ("Client dut disconnected due to oversize packet.", "oversize", {"client": "dut"}),
        ("Client dut disconnected due to malformed packet.", "malformed", {"client": "dut"}),
        ("Client <unknown> disconnected due to protocol error.", "protocol_error", {"client": "<unknown>"}),
        ("Client <unknown> disconnected: Protocol error.", "tls_protocol_error", {}),
        ("Client <unknown> disconnected, not authorised.", "not_authorised", {}),
        ("Client dut disconnected: not authorised.", "not_authorised", {"client": "dut"}),
        ("Socket error on client dut, disconnecting.", "disconnected", {"client": "dut"}),
        ("Denied PUBLISH from dut (d0, q1, r0, m1, 'ro/x', ... (2 bytes))", "denied_publish",
         {"client": "dut", "topic": "ro/x"}),
        ("Sending CONNACK to 10.0.0.9 (0, 5)", "sending_connack", {"connack": 5}),
        ("Sending CONNACK to dut (1, 0)", "sending_connack", {"connack": 0, "client": "dut"}),
        ("Received PINGREQ from dut", "received", {"packet": "PINGREQ", "client": "dut"}),
        ("Invalid protocol version 6 in CONNECT from 10.0.0.9.", "invalid_protocol", {"address": "10.0.0.9"}),
        ("Error: Address already in use", "address_in_use", {}),
        ('Error: Unable to load server key file "k". Check keyfile.', "config_error", {}),
        ("Error: Server certificate/key are inconsistent.", "config_error", {}),
        ('Error: Unable to set TLS ciphers. Check cipher list "NOSUCH".', "config_error", {}),
        ("Error found at /etc/mosquitto/m.conf:3.", "config_error", {}),
        ("Error: The connection was refused.", "error", {}),
        ("Warning: Mosquitto should not be run as root/administrator.", "warning", {}),
        ("wolfSSL 5.5.4", "other", {}),
        ("Client mosq1 sending CONNECT", "other", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("stamp", "t"),
    [("", None), ("1795207670: ", 1795207670.0), ("10:00:01: ", 36001.0), ("2026-11-20T20:47:50: ", 1795207670.0),
     ("2026-11-20 20:47:50: ", 1795207670.0), ("2026-11-20T20:47:50.250000Z ", 1795207670.25)],
)  # fmt: skip
def test_line(text: str, kind: str, more: dict[str, object], stamp: str, t: float | None) -> None:
    entry = one(stamp + text)
    assert (entry.kind, entry.t, entry.line, entry.text) == (kind, t, 1, text)
    for name, value in more.items():
        assert getattr(entry, name) == value, name


def test_a_journal_s_prefix_is_skipped() -> None:
    entry = one("Nov 20 20:47:50 host mosquitto[812]: 1795207670: Client dut closed its connection.")
    assert (entry.kind, entry.client, entry.t) == ("closed", "dut", 1795207670.0)


def test_every_log_of_the_shared_captures_is_understood() -> None:
    """No line is "other" but the details below SUBSCRIBE and the will; no error stays unexplained."""
    files = sorted(CAPTURES.glob("*.broker.log"))
    assert len(files) >= 80
    for file in files:
        entries = broker_log.read(file)
        for entry in entries:
            if entry.kind in ("other", "error", "disconnected") and entry.reason == "":
                assert (
                    entry.text == "No will message specified."
                    or entry.text.endswith(("(QoS 0)", " 0 dut/echo"))
                    or entry.kind == "disconnected"
                ), (file.name, entry)
            if entry.kind in ("openssl_error", "client_connection_failed"):
                assert entry.code and entry.reason, (file.name, entry)
        assert {"running", "config_error", "address_in_use"} & {entry.kind for entry in entries} or not entries, (
            file.name
        )


@pytest.mark.parametrize(
    ("name", "kind", "attribute", "value"),
    [
        ("netx-12-ec-server-expired", "openssl_error", "alert", 45),
        ("netx-12-ec-stale-ca", "client_connection_failed", "alert", 42),
        ("netx-13-client-12only-broker-rsa", "client_connection_failed", "alerts_sent", (70,)),
        ("netx-tcp-password-missing", "sending_connack", "connack", 5),
        ("stacks-broker-keymismatch", "config_error", "version", ""),
        ("stacks-mqtt-oversize-v311-raw", "oversize", "client", "cli-1"),
        ("stacks-mqtt-keepalive-timeout-13-raw", "exceeded_timeout", "client", "cli-1"),
        ("stacks-acl-pubdenied-qos0-v311-mosq", "denied_publish", "topic", "ro/x"),
        ("stacks-mqtt-duplicate-clientid-13-raw", "already_connected", "client", "cli-1"),
    ],
)
def test_the_telling_line_of_a_capture(name: str, kind: str, attribute: str, value: object) -> None:
    found = [entry for entry in broker_log.read(CAPTURES / f"{name}.broker.log") if entry.kind == kind]
    assert found, f"no {kind}"
    assert getattr(found[0], attribute) == value


def test_hostile_text(tmp_path: Path) -> None:
    noise = random.Random(3).randbytes(300_000)  # noqa: S311
    file = tmp_path / "broker.log"
    file.write_bytes(noise + b"\n" + b"Client " * 100_000 + b"\n1795207670: Client dut closed its connection.\n")
    entries = broker_log.read(file)
    assert entries[-1].kind == "closed"
    assert all(len(entry.text) <= 400 and entry.text.isprintable() for entry in entries)
    assert parse_text("") == parse_text("\n\n") == []


def test_a_flood_keeps_its_beginning_its_end_and_the_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "broker.log"
    lines = 700_000
    with file.open("wb") as out:
        out.write(b"1795207670: mosquitto version 2.0.11 starting\n")
        for i in range(lines):
            out.write(b"1795207670: Received PINGREQ from device-%d\n" % (i % 9))
        out.write(b"1795207670: Client dut disconnected due to oversize packet.\n")
    assert file.stat().st_size > 28 << 20
    entries = broker_log.read(file)
    assert entries[0].kind == "starting"
    assert (entries[-1].kind, entries[-1].line) == ("oversize", lines + 2)
    assert len(entries) < 70_000


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="directory"):
        broker_log.read(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        broker_log.read(tmp_path / "none")
