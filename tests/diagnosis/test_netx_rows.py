"""The fault table of netx.md, row by row, with the console lines as NetX firmware prints them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.diagnosis.engine import diagnose
from harness.evidence import broker_log, uart
from tests.diagnosis.cases import Wire
from tests.diagnosis.test_rules import NETX_12, after_hello, device_alert

HEAD = """[   0.001] [SYS ] NetX Duo 6.4.2 firmware build=n12, IP 10.77.0.2
[   0.001] [APP ] connecting to 10.77.0.1:8883 (tls)
[   0.001] [MQTT] nxd_mqtt_client_create: 0x00000000
"""
START = "[TLS ] nx_secure_tls_session_start: 0x{:08X}"
CONNECT = "[MQTT] nxd_mqtt_client_secure_connect: 0x{:08X}"
TRUSTED = "[TLS ] client cert nx_secure_tls_trusted_certificate_add: 0x00000000"


def codes(start: int, connect: int = 0x10005) -> tuple[str, ...]:
    return START.format(start), CONNECT.format(connect)


def empty_certificate_12() -> Wire:
    wire = Wire().open().hello(suites=NETX_12).flight12(request=True).certificate("c", 0).keys12()
    return wire.alert("s", 40).end("s", "rst")


def empty_certificate_13_sealed() -> Wire:
    wire = Wire().open().hello13().server_hello("0304", 0x1301)
    for side, size, phase in (
        ("s", 23, "handshake"), ("s", 1000, "handshake"), ("c", 25, "handshake"), ("c", 53, "handshake"),
        ("c", 39, "application"), ("s", 19, "application"),
    ):  # fmt: skip
        guess = {25: "empty_certificate", 19: "alert"}.get(size, "")
        wire.add("sealed", side, type=23, len=size, phase=phase, guess=guess)
    return wire.end("s", "rst", handshake="complete")


def hand_added_suite() -> Wire:
    wire = Wire().open().hello(suites=[*NETX_12, 0xC030]).server_hello(suite=0xC030).certificate()
    return wire.add("server_hello_done", "s", len=4).keys12().alert("s", 51).end("s", "rst")


ROWS: list[tuple[str, Callable[[], Wire], tuple[str, ...], str, str]] = [
    ("only AES-256-GCM", lambda: after_hello(suites=NETX_12), codes(0x114), "0A0000C1 no shared cipher",
     "tls.no_common_cipher_suite"),
    ("the RST overtakes the alert", lambda: after_hello(suites=NETX_12), codes(0x38), "0A0000C1 no shared cipher",
     "tls.no_common_cipher_suite"),
    ("suite added by hand", hand_added_suite, codes(0x114), "0A000095 digest check failed",
     "tls.handshake_hash_mismatch"),
    ("no client certificate", empty_certificate_12, codes(0x114), "0A0000C7 peer did not return a certificate",
     "client_certificate.missing"),
    ("certificate added as trusted", empty_certificate_12, (TRUSTED, *codes(0x38)),
     "0A0000C7 peer did not return a certificate", "client_certificate.wrong_store"),
    ("certificate added as trusted, 1.3", empty_certificate_13_sealed, (TRUSTED, *codes(0, 0x10007)), "",
     "client_certificate.wrong_store"),
    ("ecc_initialize missing, 1.2", lambda: after_hello(suites=NETX_12, groups=None, extensions=[13]), codes(0x114),
     "0A0000C1 no shared cipher", "tls.ecc_not_initialised"),
    ("ecc_initialize missing, 1.3", lambda: Wire().open().end("c", "rst"), codes(0x43),
     "0A000126 unexpected eof while reading", "tls.ecc_not_initialised"),
    ("PKCS#8 key", Wire, ("[TLS ] client cert nx_secure_x509_certificate_initialize: 0x0000018A",
     CONNECT.format(0x18A)), "", "client_key.wrong_format"),
    ("wrong CA, root sent", lambda: device_alert(46), codes(0x11A), "0A000416 sslv3 alert certificate unknown",
     "server_certificate.untrusted"),
    ("wrong CA, leaf only", lambda: device_alert(48, chain=1), codes(0x11B), "0A000418 tlsv1 alert unknown ca",
     "server_certificate.untrusted"),
    ("intermediate missing", lambda: device_alert(48, chain=1, issuer="O=o, CN=Intermediate CA"), codes(0x11B),
     "0A000418 tlsv1 alert unknown ca", "server_certificate.chain_incomplete"),
    ("CA with the same DN, RSA", lambda: device_alert(42), codes(0x18D), "0A000412 sslv3 alert bad certificate",
     "server_certificate.bad_signature"),
    ("CA with the same DN, EC", lambda: device_alert(42, key="ec"), codes(0x117),
     "0A000412 sslv3 alert bad certificate", "server_certificate.bad_signature"),
    ("clock in the past", lambda: device_alert(45), codes(0x194), "0A000415 sslv3 alert certificate expired",
     "device.clock_unset"),
    ("host name", lambda: device_alert(80, dns=["other.example"], ip=[]), codes(0x195),
     "0A000438 tlsv1 alert internal error", "server_certificate.name_mismatch"),
    ("silent TLS server", lambda: Wire().open().hello(suites=NETX_12).end("c", "rst", wait=5.0), codes(0x1), "",
     "network.peer_silent"),
    ("TLS client to plain port", lambda: Wire("10.0.0.1:1883").open().hello(suites=NETX_12).end("s", "rst"),
     codes(0x38), "", "protocol.tls_on_plain_port"),
    ("plain client to TLS port", lambda: Wire().open().connect(tls=False).end("s", "rst"),
     ("[MQTT] nxd_mqtt_client_connect: 0x00010007",), "0A00010B wrong version number",
     "protocol.plain_mqtt_on_tls_port"),
    ("metadata too small", Wire, ("[TLS ] nx_secure_tls_session_create: 0x0000004D", CONNECT.format(0x4D)), "",
     "device.buffer_too_small"),
    ("remote certificate buffer", lambda: device_alert(80), codes(0x12D), "0A000438 tlsv1 alert internal error",
     "device.buffer_too_small"),
    ("session not deleted", lambda: after_hello(suites=NETX_12).open().end("c"),
     (*codes(0x114), "[TLS ] nx_secure_tls_session_create: 0x00000007"), "", "tls.no_common_cipher_suite"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wire", "said", "logged", "cause"), ROWS, ids=[row[0] for row in ROWS])
def test_row(
    name: str, wire: Callable[[], Wire], said: tuple[str, ...], logged: str, cause: str, tmp_path: Path
) -> None:
    console = tmp_path / "uart.log"
    lines = "".join(f"[   0.005] {line}\n" for line in said)
    console.write_text(f"{HEAD}{lines}[   0.006] [APP ] MQTT test FAILED\n", encoding="utf-8")
    code, _, reason = logged.partition(" ")
    line = f"2026-11-20T20:51:02: Client connection from 10.0.0.2 failed: error:{code}:SSL routines::{reason}.\n"
    broker = broker_log.parse_text(line) if logged else []
    found = diagnose(wire().done(), uart.read(console), broker)
    assert found.outcome == "failed"
    assert found.causes[0].id == cause
    assert found.causes[0].fix
