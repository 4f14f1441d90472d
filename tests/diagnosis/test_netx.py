"""NetX Duo with less than all evidence: its console alone, or with the broker's log, in the format its firmware prints.

The codes, alerts and log lines are those that NetX Duo 6.4 and Mosquitto 2.0 give for each fault.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.diagnosis import remedies
from harness.diagnosis.engine import diagnose
from harness.evidence import broker_log, uart
from harness.model import Diagnosis
from tests.diagnosis.cases import NOW, Wire

ADD = ("CA nx_secure_x509_certificate_initialize: 0", "nx_secure_tls_trusted_certificate_add: 0")
OWN = ("client cert nx_secure_x509_certificate_initialize: 0",)
LOCAL = (*OWN, "client cert nx_secure_tls_local_certificate_add: 0")
TRUSTED = (*OWN, "client cert nx_secure_tls_trusted_certificate_add: 0")
START, SECURE, PLAIN = "nx_secure_tls_session_start: ", "nxd_mqtt_client_secure_connect: ", "nxd_mqtt_client_connect: "
CUT = (START + "114", SECURE + "10005")


def console(tmp_path: Path, *calls: str, tls: bool = True, ecc: bool = True, wait: float = 0.004) -> uart.UartLog:
    """A UART log: the set-up calls, then `calls` as "name: hexadecimal code", `wait` seconds later."""
    lines = ["[   0.001] [SYS ] NetX Duo 6.4.2 firmware build=n12, IP 10.77.0.2"]
    lines.append(f"[   0.001] [APP ] connecting to 10.77.0.1:8883 ({'tls' if tls else 'tcp'})")
    setup = ["nxd_mqtt_client_create: 0"]
    if tls:
        setup += ["nx_secure_tls_session_create: 0", *(["nx_secure_tls_ecc_initialize: 0"] if ecc else [])]
        setup += ["nx_secure_tls_session_packet_buffer_set: 0", *ADD]
    setup += [c for c in calls if c.startswith("client cert")]
    results = [c for c in calls if not c.startswith("client cert")]
    for call, t in [*((c, 0.001) for c in setup), *((c, 0.001 + wait) for c in results)]:
        name, _, code = call.rpartition(": ")
        tag = "TLS " if "nx_secure" in name else "MQTT"
        lines.append(f"[{t:8.3f}] [{tag}] {name}: 0x{int(code, 16):08X}")
    path = tmp_path / "uart.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return uart.read(path)


def refused(reason: str, code: str = "0A000086", race: bool = False) -> list[broker_log.BrokerEntry]:
    """Mosquitto's two forms of the same refusal."""
    if race:
        text = f"12:00:00: Client connection from 10.77.0.2 failed: error:{code}:SSL routines::{reason}.\n"
    else:
        text = "12:00:00: New connection from 10.77.0.2:50001 on port 8883.\n"
        text += f"12:00:00: OpenSSL Error[0]: error:{code}:SSL routines::{reason}\n"
        text += "12:00:00: Client <unknown> disconnected: Protocol error.\n"
    return broker_log.parse_text(text)


def first(found: Diagnosis) -> tuple[str, str]:
    assert found.outcome == "failed"
    cause = found.causes[0]
    assert cause.evidence
    return cause.id, cause.confidence


CONSOLE_ROWS: list[tuple[str, tuple[str, ...], dict[str, object], str, str]] = [
    ("certificate as trusted", (*TRUSTED, *CUT), {}, "client_certificate.wrong_store", "probable"),
    ("the same, quiet", (*TRUSTED, SECURE + "10005"), {}, "client_certificate.wrong_store", "probable"),
    ("the same, the RST first", (*TRUSTED, START + "38", SECURE + "10005"), {}, "client_certificate.wrong_store",
     "probable"),
    ("the same, TLS 1.3", (*TRUSTED, START + "0", SECURE + "10007"), {}, "client_certificate.wrong_store", "probable"),
    ("alert alone", CUT, {}, "client_certificate.missing", "possible"),
    ("alert, with a certificate", (*LOCAL, *CUT), {}, "client_certificate.untrusted", "possible"),
    ("TLS 1.3 is up, then cut", (START + "0", SECURE + "10007"), {"wait": 1.0}, "client_certificate.missing",
     "possible"),
    ("curves never set", CUT, {"ecc": False}, "tls.ecc_not_initialised", "probable"),
    ("curves never set, TLS 1.3", (START + "43", SECURE + "10005"), {"ecc": False}, "tls.ecc_not_initialised",
     "probable"),
    ("CA in PEM", ("CA nx_secure_x509_certificate_initialize: 1A2", SECURE + "1A2"), {}, "certificate.wrong_format",
     "probable"),
    ("key in PEM", ("client cert nx_secure_x509_certificate_initialize: 186", SECURE + "186"), {},
     "client_key.wrong_format", "probable"),
    ("key in PKCS#8", ("client cert nx_secure_x509_certificate_initialize: 18A", SECURE + "18A"), {},
     "client_key.wrong_format", "probable"),
    ("refused port", (PLAIN + "10005",), {"tls": False}, "network.refused", "probable"),
    ("no such host", (PLAIN + "10005",), {"tls": False, "wait": 3.0}, "network.unreachable", "probable"),
    ("silent server", (PLAIN + "10007",), {"tls": False, "wait": 3.0}, "network.peer_silent", "probable"),
    ("silent TLS server", (START + "1", SECURE + "10005"), {"wait": 3.0}, "network.peer_silent", "probable"),
    ("password", (PLAIN + "10085",), {"tls": False}, "mqtt.bad_credentials", "probable"),
    ("lost later", (PLAIN + "0", "nxd_mqtt_client_publish: 10002"), {"tls": False}, "mqtt.broker_closed", "possible"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("calls", "how", "cause", "level"), [r[1:] for r in CONSOLE_ROWS], ids=[r[0] for r in CONSOLE_ROWS]
)
def test_console_alone(tmp_path: Path, calls: tuple[str, ...], how: dict[str, object], cause: str, level: str) -> None:
    found = diagnose([], uart=console(tmp_path, *calls, **how))  # type: ignore[arg-type]
    assert first(found) == (cause, level)


def test_a_session_in_the_console_is_a_session(tmp_path: Path) -> None:
    found = diagnose([], uart=console(tmp_path, START + "0", SECURE + "0", "nxd_mqtt_client_publish: 0"))
    assert (found.outcome, found.causes) == ("ok", ())


@pytest.mark.parametrize("race", [False, True])
def test_the_brokers_word_comes_before_guesses(tmp_path: Path, race: bool) -> None:
    for reason, code, calls, cause in (
        ("peer did not return a certificate", "0A0000C7", CUT, "client_certificate.missing"),
        ("peer did not return a certificate", "0A0000C7", (*TRUSTED, *CUT), "client_certificate.wrong_store"),
        ("no shared cipher", "0A0000C1", (*TRUSTED, *CUT), "tls.no_common_cipher_suite"),
        ("digest check failed", "0A000095", CUT, "tls.handshake_hash_mismatch"),
        ("sslv3 alert bad certificate", "0A000412", (SECURE + "10005",), "server_certificate.bad_signature"),
        ("tlsv1 alert internal error", "0A000438", (SECURE + "10005",), "server_certificate.name_mismatch"),
        ("sslv3 alert unsupported certificate", "0A000413", (*LOCAL, SECURE + "10005"),
         "client_certificate.unsupported"),
    ):  # fmt: skip
        found = diagnose([], uart=console(tmp_path, *calls), broker=refused(reason, code, race))
        assert first(found)[0] == cause


def test_curves_never_set_explain_no_shared_cipher(tmp_path: Path) -> None:
    log = console(tmp_path, *CUT, ecc=False)
    assert first(diagnose([], uart=log, broker=refused("no shared cipher", "0A0000C1")))[0] == "tls.ecc_not_initialised"
    quiet = console(tmp_path, SECURE + "10005", ecc=False)
    bare = Wire().open().end("c", "rst").done()
    assert first(diagnose(bare, uart=quiet))[0] == "tls.ecc_not_initialised"


def test_wrong_protocols_by_both_logs(tmp_path: Path) -> None:
    text = "12:00:00: New connection from 10.77.0.2:50001 on port 1883.\n"
    text += "12:00:00: Client <unknown> disconnected due to protocol error.\n"
    for calls in ((START + "38", SECURE + "10005"), (SECURE + "10005",)):
        found = diagnose([], uart=console(tmp_path, *calls), broker=broker_log.parse_text(text))
        assert first(found) == ("protocol.tls_on_plain_port", "probable")
    plain = console(tmp_path, PLAIN + "10007", tls=False)
    found = diagnose([], uart=plain, broker=refused("wrong version number", "0A00010B"))
    assert first(found) == ("protocol.plain_mqtt_on_tls_port", "probable")


NETX = {
    "suites": [0xC02B, 0xC02F, 0xC023, 0xC027, 0x009C, 0x003D, 0x003C],
    "extensions": [10, 11, 0xFF01, 13],
    "groups": [23, 24, 25],
}


def wire(code: int, **leaf: object) -> Wire:
    """NetX refuses a certificate that has none of the names it could have been called by."""
    names: dict[str, object] = {"dns": ["broker.local"], "ip": [], **leaf}
    return Wire().open().hello(**NETX).flight12(**names).alert("c", code).end("c")  # type: ignore[arg-type]


def test_what_netx_means_by_its_alerts() -> None:
    """42 is a signature, never a name; 80 a name, or what it cannot read; 45 with good dates its clock."""
    assert first(diagnose(wire(42).done()))[0] == "server_certificate.bad_signature"
    assert first(diagnose(wire(80).done()))[0] == "server_certificate.name_mismatch"
    assert "server_certificate.too_large" in [c.id for c in diagnose(wire(80).done()).causes]
    assert first(diagnose(wire(80, sig="rsassaPss").done()))[0] == "server_certificate.unsupported"
    assert first(diagnose(wire(45, not_after=NOW - 9).done()))[0] == "server_certificate.expired"


def test_a_sealed_43_is_the_devices_own_key() -> None:
    """TLS 1.3 without keys: the broker's log alone says what NetX sent."""
    hello = {**NETX, "suites": [0x1301, 0x1304, 0x1305, *NETX["suites"]], "extensions": [10, 11, 43, 51, 13]}
    sealed = Wire().open().hello13(**hello).server_hello("0304", 0x1301)
    sealed.add("sealed", "s", type=23, len=900, phase="handshake").add("sealed", "c", type=23, len=19)
    heard = refused("sslv3 alert unsupported certificate", "0A000413")
    assert first(diagnose(sealed.end("c").done(), broker=heard))[0] == "client_certificate.unsupported"


def test_expired_by_a_clock_in_the_future(tmp_path: Path) -> None:
    log = console(tmp_path, START + "193", SECURE + "10005")
    assert first(diagnose(wire(45).done(), uart=log))[0] == "device.clock_unset"


def test_a_refusal_of_connect_under_a_cbc_suite(tmp_path: Path) -> None:
    """CONNACK takes 64 bytes with AES-CBC and HMAC-SHA256; NetX answers it with an alert and RST."""
    sealed = Wire().open().hello(**NETX).server_hello(suite=0x003D).certificate().add("server_hello_done", "s", len=0)
    sealed.keys12().add("ccs", "s").add("sealed", "s", type=22, len=80, phase="handshake", guess="finished")
    for side, length, kind in (("c", 96, 23), ("s", 64, 23), ("c", 64, 21)):
        sealed.add("sealed", side, type=kind, len=length, phase="application")
    events = sealed.end("c", "rst", handshake="complete").done()
    assert first(diagnose(events)) == ("mqtt.bad_credentials", "possible")
    told = diagnose(events, uart=console(tmp_path, START + "0", SECURE + "10085"))
    assert first(told) == ("mqtt.bad_credentials", "probable")


def test_space_for_certificates_and_no_check_of_names(tmp_path: Path) -> None:
    """Quiet firmware: 80 from a device that was given a buffer for the broker's certificate."""
    given = ("client cert nx_secure_tls_remote_certificate_allocate: 0", SECURE + "10005")
    log = console(tmp_path, *given)
    assert first(diagnose(wire(80).done(), uart=log))[0] == "server_certificate.too_large"
    heard = refused("tlsv1 alert internal error", "0A000438")
    assert first(diagnose([], uart=log, broker=heard))[0] == "server_certificate.too_large"


def test_the_first_word_about_an_rsa_signature(tmp_path: Path) -> None:
    text = "12:00:00: Client connection from 10.77.0.2 failed: error:0200008A:rsa routines::invalid padding.\n"
    log = console(tmp_path, *LOCAL, *CUT)
    assert first(diagnose([], uart=log, broker=broker_log.parse_text(text)))[0] == "client_key.mismatch"


FAMILY = (
    "client_certificate.expired", "client_certificate.missing", "client_certificate.unsupported",
    "client_certificate.untrusted", "client_certificate.wrong_store", "client_key.mismatch", "client_key.wrong_format",
    "certificate.wrong_format", "device.buffer_too_small", "device.clock_unset", "mqtt.bad_credentials",
    "mqtt.broker_closed", "mqtt.keepalive_timeout", "mqtt.not_authorised", "mqtt.session_taken_over",
    "network.peer_silent", "network.refused", "network.unreachable", "protocol.plain_mqtt_on_tls_port",
    "protocol.tls_on_plain_port", "server_certificate.accepted_expired", "server_certificate.accepted_wrong_name",
    "server_certificate.bad_signature", "server_certificate.chain_incomplete", "server_certificate.expired",
    "server_certificate.name_mismatch", "server_certificate.too_large", "server_certificate.unsupported",
    "server_certificate.untrusted", "tls.ecc_not_initialised", "tls.handshake_hash_mismatch",
    "tls.no_common_cipher_suite", "tls.no_common_group", "tls.no_common_signature_algorithm", "tls.no_common_version",
)  # fmt: skip


@pytest.mark.parametrize("cause", FAMILY)
def test_the_remedy_names_the_call_or_the_code(cause: str) -> None:
    text = remedies.remedy(cause, "netx")
    assert any(word in text for word in ("nx_", "nxd_", "NX_", "0x", "NetX", "stock tables"))
