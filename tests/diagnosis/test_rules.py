"""Rows of the reference tables (alerts.md 2a, 2b, 3; netx.md) that the 83 captures do not cover, as exchanges by hand.

Each row: the story, the cause that must come first, and the most that may be claimed about it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from harness.diagnosis import remedies, rules
from harness.diagnosis.engine import diagnose
from harness.diagnosis.vocabulary import causes
from harness.evidence import broker_log, uart
from harness.model import DeviceFacts, Diagnosis, Listener, ServerCertificate
from harness.paths import CAUSES
from tests.diagnosis.cases import NOW, Wire

RSA = ServerCertificate(key="rsa", bits=2048, names=("broker.test",), not_before=NOW - 9, not_after=NOW + 9)
P384 = ServerCertificate(key="ec", bits=384, curve="secp384r1")
PROFILE = Listener(
    source="profile",
    versions=("1.2", "1.3"),
    suites12=(0xC02F, 0xC030),
    suites13=(0x1301, 0x1302),
    groups=(23, 29),
    certificate=RSA,
    client_certificate="none",
    checks_crl=False,
)


def hit(name: str, *cause: str, stack: str = "netx", code: int = 1, text: str = "") -> uart.UartHit:
    return uart.UartHit(line=7, text=text or name, kind="code", stack=stack, code=code, name=name, causes=cause)


def said(*hits: uart.UartHit, stack: str = "netx") -> uart.UartLog:
    return uart.UartLog(hits=hits, stack=stack, size=100, lines=9)


def log(text: str) -> list[broker_log.BrokerEntry]:
    return broker_log.parse_text(text)


def refused(reason: str, code: str = "0A000086") -> list[broker_log.BrokerEntry]:
    return log(
        "12:00:00: New connection from 10.0.0.2:50001 on port 8883.\n"
        f"12:00:00: OpenSSL Error[0]: error:{code}:SSL routines::{reason}\n"
        "12:00:00: Client <unknown> disconnected: Protocol error.\n"
    )


def tell(wire: Wire, **other: Any) -> Diagnosis:
    return diagnose(wire.done(), **other)


def first(found: Diagnosis) -> tuple[str, str]:
    assert found.outcome == "failed"
    return found.causes[0].id, found.causes[0].confidence


def device_alert(code: int, **leaf: Any) -> Wire:
    return Wire().open().hello(sni="broker.test").flight12(**leaf).alert("c", code).end("c")


def broker_alert(code: int, **leaf: Any) -> Wire:
    wire = Wire().open().hello().flight12(request=True).certificate("c", 1, subject="CN=dut", **leaf)
    return wire.add("certificate_verify", "c", sigalg=0x0804, sig_len=256).keys12().alert("s", code).end("s", "rst")


DAY = 86400
SERVER_ROWS: list[tuple[str, int, dict[str, Any], str]] = [
    ("expired", 45, {"not_after": NOW - DAY}, "server_certificate.expired"),
    ("expired, GnuTLS", 42, {"not_after": NOW - DAY}, "server_certificate.expired"),
    ("not yet valid, OpenSSL", 42, {"not_before": NOW + DAY}, "server_certificate.not_yet_valid"),
    ("not yet valid, mbedTLS", 46, {"not_before": NOW + DAY}, "server_certificate.not_yet_valid"),
    ("not yet valid, wolfSSL", 45, {"not_before": NOW + DAY}, "server_certificate.not_yet_valid"),
    ("wrong name", 42, {"dns": ["other.example"], "ip": []}, "server_certificate.name_mismatch"),
    ("wrong name, libmosquitto", 80, {"dns": ["other.example"], "ip": []}, "server_certificate.name_mismatch"),
    ("client-only EKU", 43, {"eku": ["clientAuth"]}, "server_certificate.wrong_usage"),
    ("client-only EKU, wolfSSL", 42, {"eku": ["clientAuth"]}, "server_certificate.wrong_usage"),
    ("unknown CA", 48, {}, "server_certificate.untrusted"),
    ("self-signed", 48, {"self_signed": True, "issuer": "CN=broker"}, "server_certificate.untrusted"),
    ("missing intermediate", 48, {"chain": 1, "issuer": "CN=Int CA 2"}, "server_certificate.chain_incomplete"),
    ("revoked", 44, {}, "server_certificate.revoked"),
    ("clock in the past: dates are good", 45, {}, "device.clock_unset"),
    ("key type", 43, {"key": "ec", "curve": "secp521r1"}, "server_certificate.unsupported"),
    ("internal error", 80, {}, "tls.device_internal_error"),
]


@pytest.mark.parametrize(("why", "code", "leaf", "cause"), SERVER_ROWS, ids=[r[0] for r in SERVER_ROWS])
def test_device_refuses_the_broker(why: str, code: int, leaf: dict[str, Any], cause: str) -> None:
    found, confidence = first(tell(device_alert(code, **leaf)))
    assert found == cause
    assert confidence != "certain" or cause in ("server_certificate.expired", "server_certificate.revoked")


def test_mbedtls_says_46_for_a_clock_that_is_not_set() -> None:
    found = tell(device_alert(46), uart=said(hit("X", stack="mbedtls"), stack="mbedtls"))
    assert first(found)[0] == "device.clock_unset"


def test_a_known_clock_settles_it() -> None:
    found = tell(device_alert(45), device=DeviceFacts(stack="netx", epoch=0))
    assert first(found) == ("device.clock_unset", "certain")


CLIENT_ROWS: list[tuple[str, int, dict[str, Any], bool | None, str]] = [
    ("unknown CA", 48, {"issuer": "CN=other"}, None, "client_certificate.untrusted"),
    ("CRL missing", 48, {}, True, "client_certificate.crl_missing"),
    ("expired", 45, {"not_after": NOW - DAY}, None, "client_certificate.expired"),
    ("CRL expired", 45, {}, True, "client_certificate.crl_expired"),
    ("not yet valid", 42, {"not_before": NOW + DAY}, None, "client_certificate.not_yet_valid"),
    ("RSA-1024", 42, {"bits": 1024}, None, "client_certificate.weak"),
    ("SHA-1", 42, {"sig": "sha1WithRSAEncryption"}, None, "client_certificate.weak"),
    ("server-only EKU", 43, {"eku": ["serverAuth"]}, None, "client_certificate.wrong_usage"),
    ("revoked", 44, {}, True, "client_certificate.revoked"),
    ("key mismatch", 51, {}, None, "client_key.mismatch"),
    ("key of another type", 47, {}, None, "client_key.mismatch"),
]


@pytest.mark.parametrize(("why", "code", "leaf", "crl", "cause"), CLIENT_ROWS, ids=[r[0] for r in CLIENT_ROWS])
def test_broker_refuses_the_device(why: str, code: int, leaf: dict[str, Any], crl: bool | None, cause: str) -> None:
    listener = Listener(source="config", checks_crl=crl) if crl is not None else None
    assert first(tell(broker_alert(code, **leaf), listener=listener))[0] == cause


@pytest.mark.parametrize("code", [40, 116])
def test_empty_certificate(code: int) -> None:
    wire = Wire().open().hello().flight12(request=True).certificate("c", 0).keys12().alert("s", code).end("s", "rst")
    found = tell(wire)
    assert first(found) == ("client_certificate.missing", "certain")
    assert found.connections[0]["alerts"][0]["code"] == code
    store = hit("NX_SUCCESS", code=0, text="client cert nx_secure_tls_trusted_certificate_add: 0x0")
    assert first(tell(wire, uart=said(store)))[0] == "client_certificate.wrong_store"


def after_hello(code: int = 40, **hello: Any) -> Wire:
    wire = Wire().open()
    wire = wire.hello13(**hello) if "versions" in hello else wire.hello(**hello)
    return wire.alert("s", code).end("s")


def test_sets_against_a_profile() -> None:
    assert first(tell(after_hello(suites=[0xC02B]), listener=PROFILE)) == ("tls.no_common_cipher_suite", "certain")
    assert first(tell(after_hello(groups=[24]), listener=PROFILE)) == ("tls.no_common_group", "certain")
    sha1 = after_hello(sigalgs=[0x0201])
    assert first(tell(sha1, listener=PROFILE)) == ("tls.no_common_signature_algorithm", "certain")
    pkcs1 = after_hello(versions=[0x0304], sigalgs=[0x0401, 0x0403])
    assert first(tell(pkcs1, listener=PROFILE)) == ("tls.no_common_signature_algorithm", "certain")
    curve = Listener(source="profile", versions=("1.2",), suites12=(0xC02B,), groups=(23, 24, 29), certificate=P384)
    found = tell(after_hello(suites=[0xC02B], groups=[23]), listener=curve)
    assert first(found)[0] == "tls.no_common_group"
    assert "server_certificate.unsupported" in [c.id for c in found.causes]


def test_the_logs_word_names_the_set_where_it_can() -> None:
    for reason, cause in (
        ("no suitable key share", "tls.no_common_group"),
        ("no suitable signature algorithm", "tls.no_common_signature_algorithm"),
        ("no shared cipher", "tls.no_common_cipher_suite"),
    ):
        assert first(tell(after_hello(versions=[0x0304]), broker=refused(reason, "0A0000C1")))[0] == cause


def test_nothing_unusual_is_never_more_than_possible() -> None:
    found = tell(after_hello())
    assert found.outcome == "failed"
    assert {c.confidence for c in found.causes} == {"possible"}
    assert any("--broker-config" in a for a in found.advice)


def test_curves_never_set() -> None:
    wire = after_hello(groups=None, extensions=[13], suites=[0xC02B, 0xC02F])
    assert first(tell(wire))[0] == "tls.ecc_not_initialised"
    bare = Wire().open().end("c", "rst")
    found = tell(bare, uart=said(hit("NX_NOT_SUCCESSFUL", "tls.ecc_not_initialised", code=0x43)))
    assert first(found)[0] == "tls.ecc_not_initialised"


@pytest.mark.parametrize(
    ("code", "hello", "cause"),
    [
        (70, {}, "tls.no_common_version"),
        (80, {"legacy_version": "0302"}, "tls.no_common_version"),
        (109, {"versions": [0x0304], "extensions": [13, 43]}, "tls.missing_extension"),
        (112, {"sni": "x.example"}, "tls.sni_unrecognised"),
        (112, {}, "tls.sni_missing"),
        (120, {"alpn": ["mqtt"]}, "tls.alpn_mismatch"),
        (115, {"suites": [0x00A8]}, "tls.psk_unknown_identity"),
        (40, {"versions": [0x0304], "psk": True}, "tls.psk_unknown_identity"),
        (47, {"versions": [0x0304], "psk": True}, "tls.psk_wrong_key"),
        (50, {}, "tls.malformed_message"),
        (22, {}, "tls.record_too_large"),
        (10, {}, "tls.unexpected_message"),
    ],
)
def test_alerts_that_answer_the_client_hello(code: int, hello: dict[str, Any], cause: str) -> None:
    assert first(tell(after_hello(code, **hello)))[0] == cause


def test_psk_wrong_key_in_12() -> None:
    wire = Wire().open().hello(suites=[0x00A8]).server_hello(suite=0x00A8).add("server_hello_done", "s", len=4)
    assert first(tell(wire.keys12().alert("s", 20).end("s")))[0] == "tls.psk_wrong_key"


def test_hash_mismatch() -> None:
    wire = Wire().open().hello().server_hello(suite=0xC030).certificate().add("server_hello_done", "s", len=4)
    wire.keys12().alert("s", 51).end("s", "rst")
    assert first(tell(wire, broker=refused("digest check failed", "0A000095")))[0] == "tls.handshake_hash_mismatch"


def test_decode_error_after_fin_is_an_echo() -> None:
    wire = Wire().open().hello().flight12().add("fin", "c").alert("s", 50).end("s", "rst", first="c")
    assert first(tell(wire))[0] == "tls.closed_by_device"


def test_fragmented_certificate_without_alert() -> None:
    wire = Wire().open().hello().server_hello()
    wire.certificate().events[-1].update(len=21600, records=2)
    assert first(tell(wire.end("c")))[0] == "tls.handshake_fragmentation_unsupported"


NETX_ROWS: list[tuple[str, Callable[[], Wire], uart.UartHit, str]] = [
    ("wrong CA, root sent", lambda: device_alert(46), hit("INVALID_SELF_SIGNED", "server_certificate.untrusted"),
     "server_certificate.untrusted"),
    ("wrong CA, leaf only", lambda: device_alert(48, chain=1),
     hit("ISSUER", "server_certificate.untrusted", "server_certificate.chain_incomplete"),
     "server_certificate.untrusted"),
    ("same DN, other key", lambda: device_alert(42), hit("PKCS7", "server_certificate.bad_signature"),
     "server_certificate.bad_signature"),
    ("clock in the past", lambda: device_alert(45),
     hit("NOT_YET", "device.clock_unset", "server_certificate.not_yet_valid"), "device.clock_unset"),
    ("name checked", lambda: device_alert(80, dns=["other.example"], ip=[]),
     hit("DNS_MISMATCH", "server_certificate.name_mismatch"), "server_certificate.name_mismatch"),
    ("certificate buffer", lambda: device_alert(80), hit("CERT_SPACE", "server_certificate.too_large"),
     "device.buffer_too_small"),
    ("packet buffer", Wire, hit("INVALID_PARAMETERS", "device.buffer_too_small"), "device.buffer_too_small"),
    ("PKCS#8 key", Wire, hit("PKCS1_INVALID", "client_key.wrong_format"), "client_key.wrong_format"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "wire", "code", "cause"), NETX_ROWS, ids=[r[0] for r in NETX_ROWS])
def test_netx(why: str, wire: Callable[[], Wire], code: uart.UartHit, cause: str) -> None:
    found = tell(wire(), uart=said(code))
    assert first(found)[0] == cause
    assert "NetX" in found.causes[0].fix or "nx" in found.causes[0].fix.lower() or "0x" in found.causes[0].fix


def test_silence() -> None:
    tls = Wire().open().hello().end("c", "rst", wait=3.0)
    assert first(tell(tls)) == ("network.peer_silent", "certain")
    syn = Wire().open(answered=False).add("syn", "c", wait=1.0, retransmission=True).end("", "idle")
    assert first(tell(syn))[0] == "network.unreachable"
    reset = Wire().open(answered=False).add("rst", "s").end("s", "rst", wait=0)
    assert first(tell(reset))[0] == "network.refused"


def test_wrong_protocol() -> None:
    clear = Wire().open().connect(tls=False).end("s", "rst")
    assert first(tell(clear))[0] == "protocol.plain_mqtt_on_tls_port"
    tls = Wire("10.0.0.1:1883").open().hello().end("s", "rst")
    assert first(tell(tls))[0] == "protocol.tls_on_plain_port"
    http = Wire().open().add("data", "c", len=20, first="474554202f20485454", text="GET / HTTP/1.1").end("s", "rst")
    assert first(tell(http))[0] == "protocol.not_tls"


def session() -> Wire:
    return Wire().open().hello().flight12().keys12().add("ccs", "s").add("finished", "s", len=16)


def up(**connect: Any) -> Wire:
    return session().connect(**connect).mqtt("s", "CONNACK", code=0, session_present=False)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, "mqtt.protocol_version_refused"),
        (2, "mqtt.client_id_refused"),
        (3, "mqtt.server_unavailable"),
        (4, "mqtt.bad_credentials"),
        (5, "mqtt.bad_credentials"),
        (0x84, "mqtt.protocol_version_refused"),
        (0x85, "mqtt.client_id_refused"),
        (0x87, "mqtt.bad_credentials"),
        (0x95, "mqtt.packet_too_large"),
        (0x97, "mqtt.server_unavailable"),
    ],
)
def test_connack(code: int, cause: str) -> None:
    assert first(tell(session().connect().mqtt("s", "CONNACK", code=code).end("s")))[0] == cause


def test_a_session_that_the_broker_ends() -> None:
    quiet = up(keepalive=2).end("s", wait=3.2)
    assert first(tell(quiet))[0] == "mqtt.keepalive_timeout"
    code = up(level=5).mqtt("s", "DISCONNECT", code=0x8E).end("s")
    assert first(tell(code)) == ("mqtt.session_taken_over", "certain")
    broken = up().mqtt("c", "PUBLISH", topic="a/#", statements=[{"id": "MQTT-3.3.2-2", "text": "t", "level": "must"}])
    assert first(tell(broken.end("s"))) == ("mqtt.malformed_packet", "certain")
    limit = Listener(source="config", max_packet=1000)
    large = up().mqtt("c", "PUBLISH", topic="a", len=3000).end("s")
    assert first(tell(large, listener=limit))[0] == "mqtt.packet_too_large"
    stopped = up().end("s", wait=0.2)
    assert first(tell(stopped))[0] == "mqtt.broker_closed"
    over = up(client_id="x").open().hello().flight12().keys12().connect(client_id="x")
    over.conn = 1
    over.end("s")
    assert "mqtt.session_taken_over" in [c.id for c in tell(over).causes]


def test_denials_are_silent_in_311() -> None:
    wire = up().mqtt("c", "PUBLISH", topic="ro/x", qos=0).mqtt("c", "DISCONNECT").end("c")
    assert tell(wire).outcome == "ok"
    entry = log("12:00:00: Denied PUBLISH from dut (d0, q0, r0, m0, 'ro/x', ... (2 bytes))\n")
    assert first(tell(wire, broker=entry)) == ("mqtt.not_authorised", "certain")
    five = up(level=5).mqtt("s", "PUBACK", id=1, code=0x87).mqtt("c", "DISCONNECT").end("c")
    assert first(tell(five))[0] == "mqtt.not_authorised"


def test_closed_after_connect() -> None:
    assert first(tell(session().connect().end("s")))[0] == "mqtt.closed_without_connack"
    name = session().connect(protocol="MQXX").end("s")
    assert first(tell(name))[0] == "mqtt.protocol_version_refused"
    assert first(tell(session().end("c", handshake="complete")))[0] == "device.no_connect"


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        ({"padding": True}, "jwt.padding"),
        ({"standard_alphabet": True, "padding": False}, "jwt.not_base64url"),
        ({"malformed": "not three parts"}, "jwt.malformed"),
        ({"times_are_text": True}, "jwt.malformed"),
        ({"alg": "ES256", "sig_len": 71}, "jwt.bad_signature"),
        ({"alg": "RS256", "sig_len": 64}, "jwt.algorithm_key_mismatch"),
        ({"missing": ["aud"]}, "jwt.wrong_audience"),
        ({"exp": NOW - 60, "iat": NOW - 3600, "aud": "p"}, "jwt.expired"),
        ({"exp": 3600, "iat": NOW, "aud": "p"}, "jwt.expired"),  # the lifetime, not the moment
        ({"exp": NOW + 7200, "iat": NOW + 3600, "aud": "p"}, "jwt.issued_in_future"),
        ({"exp": NOW + 90000, "iat": NOW - 60, "aud": "p"}, "jwt.lifetime_too_long"),
        ({"exp": NOW + 60, "iat": NOW - 60, "aud": ""}, "jwt.wrong_audience"),
    ],
)
def test_token_in_the_password(token: dict[str, Any], cause: str) -> None:
    assert first(tell(session().connect(jwt=token).end("s")))[0] == cause


def test_the_device_contradicts_the_wire() -> None:
    wire = up().end("c", wait=1.0)
    bad = hit("CONNACK 255", "device.connack_misparsed", stack="paho", code=255)
    assert first(tell(wire, uart=said(bad, stack="paho")))[0] == "device.connack_misparsed"
    gone = hit("MBEDTLS_ERR_SSL_CONN_EOF", "device.transport_returned_zero", stack="mbedtls", code=-0x7280)
    open_wire = Wire().open().hello().flight12().end("c")
    assert first(tell(open_wire, uart=said(gone, stack="mbedtls")))[0] == "device.transport_returned_zero"


def test_faults_come_first() -> None:
    dog = uart.Fault(line=3, t=None, kind="watchdog", text="IWDG reset", registers={})
    fault = uart.Fault(line=3, t=None, kind="fault", text="HardFault", registers={"pc": "0x08001234"})
    wire = Wire().open().hello().flight12().end("", "idle")
    for what, cause in ((dog, "device.watchdog_reset"), (fault, "device.hard_fault")):
        assert first(tell(wire, uart=uart.UartLog(faults=(what,), size=10)))[0] == cause


def test_retries_are_one_story() -> None:
    wire = Wire()
    for _ in range(8):
        wire.open().hello(suites=[0xC02B]).alert("s", 40).end("s")
    found = tell(wire, listener=PROFILE)
    assert [c.id for c in found.causes] == ["tls.no_common_cipher_suite", "device.retry_storm"]
    good = (
        wire.open().hello().flight12().keys12().connect().mqtt("s", "CONNACK", code=0).mqtt("c", "DISCONNECT").end("c")
    )
    assert tell(good).outcome == "ok"


def test_findings() -> None:
    def ended(**leaf: Any) -> Wire:
        wire = Wire().open().hello(sni="broker.test").flight12(**leaf).keys12().connect().mqtt("s", "CONNACK", code=0)
        return wire.mqtt("c", "DISCONNECT").end("c")

    for leaf, cause in (
        ({"not_after": NOW - DAY}, "server_certificate.accepted_expired"),
        ({"dns": ["other.example"], "ip": []}, "server_certificate.accepted_wrong_name"),
        ({"self_signed": True}, "server_certificate.accepted_untrusted"),
    ):
        found = tell(ended(**leaf))
        assert (found.outcome, found.causes) == ("ok", ())
        assert [f.id for f in found.findings] == [cause]
    assert tell(ended()).findings == ()
    static = Wire().open().hello().server_hello(suite=0x009C).certificate().keys12().connect()
    found = tell(static.mqtt("s", "CONNACK", code=0).mqtt("c", "DISCONNECT").end("c"))
    assert [f.id for f in found.findings] == ["tls.weak_suite"]


def test_empty_evidence_is_never_sure() -> None:
    found = tell(Wire())
    assert found.outcome == "incomplete"
    assert all(c.confidence == "possible" for c in found.causes)


def test_every_rule_survives_events_without_fields() -> None:
    """A hostile or cut capture may give any event with nothing in it."""
    kinds = [
        "open", "syn", "synack", "fin", "rst", "gap", "record", "client_hello", "server_hello", "certificate",
        "server_key_exchange", "certificate_request", "finished", "certificate_verify", "new_session_ticket",
        "handshake", "ccs", "alert", "sealed", "app", "mqtt", "data", "close", "icmp",
    ]  # fmt: skip
    for kind in kinds:
        for side in ("c", "s", ""):
            diagnose(
                [{"ev": "capture"}, {"ev": kind, "conn": 1, "dir": side}, {"ev": "close", "conn": 1}, {"ev": "end"}]
            )
    diagnose([{"ev": kind, "conn": 1, "dir": side} for side in "cs" for kind in kinds])


def test_each_cause_that_evidence_can_show_has_a_rule() -> None:
    """Every id outside `lab.` stands in the sources of the rules, a code names it, or the bench itself does."""
    modules = {rule.__module__ for rule in (*rules.ALWAYS, *rules.FAILED, *rules.FINDINGS)}
    modules |= {"harness.diagnosis.compare", "harness.diagnosis.rules.suspects"}
    texts = [inspect.getsource(importlib.import_module(name)) for name in modules]
    texts += [path.read_text(encoding="utf-8") for path in (CAUSES.parent / "codes").glob("*.toml")]
    texts += [path.read_text(encoding="utf-8") for path in CAUSES.parent.parent.rglob("*.py")]
    sources = "".join(texts)
    assert [c for c in causes() if not c.startswith("lab.") and f'"{c}"' not in sources] == []


def test_each_cause_has_a_remedy_and_no_table_invents_one() -> None:
    assert [c for c in causes() if not remedies.table("generic").get(c)] == []
    for stack in remedies.STACKS:
        assert [c for c in remedies.table(stack) if c not in causes()] == []
        assert remedies.table(stack)


def test_0x28_on_the_console_alone_stays_open() -> None:
    alert = hit("handshake_failure", stack="tls_alert", code=40, text="alert value 0x28")
    found = diagnose([], uart=said(alert))
    assert found.outcome == "failed"
    assert {c.confidence for c in found.causes} == {"possible"}
    assert "client_certificate.missing" in [c.id for c in found.causes]
    assert any("capture" in a for a in found.advice)


def test_other_traffic_of_the_device_is_another_story() -> None:
    wire = after_hello(suites=[0xC02B])
    wire.server = "93.184.216.34:443"
    wire.open(port=60000).hello(sni="www.example").flight12().keys12().end("c", handshake="complete")
    found = tell(wire, listener=PROFILE)
    assert first(found)[0] == "tls.no_common_cipher_suite"
    assert [c["server"] for c in found.connections] == ["10.0.0.1:8883"]


NETX_12 = [0xC02B, 0xC02F, 0xC023, 0xC027, 0x009C, 0x003D, 0x003C]


def test_netx_against_a_broker_whose_certificate_is_not_known() -> None:
    """The suites of NetX without curves (static RSA) help only with an RSA certificate: groups stay suspected."""
    default = Listener(source="config", versions=("1.2", "1.3"), suites12=(*NETX_12, 0xC030), suites13=(0x1302,))
    hello: dict[str, Any] = {
        "suites": NETX_12,
        "groups": [23, 24, 25],
        "sigalgs": [0x0403, 0x0401],
        "extensions": [10, 11, 13],
    }
    said = refused("no shared cipher", "0A0000C1")
    assert first(tell(after_hello(**hello), listener=default, broker=said))[0] == "tls.no_common_group"
    bare = {**hello, "groups": None, "extensions": [13]}
    for listener, broker in ((default, said), (None, said), (None, ()), (default, ())):
        assert first(tell(after_hello(**bare), listener=listener, broker=broker))[0] == "tls.ecc_not_initialised"


def test_a_large_chain_is_not_suspected_where_the_device_names_another_cause() -> None:
    wire = Wire().open().hello().flight12().alert("c", 80).end("c")
    next(e for e in wire.events if e["ev"] == "certificate")["len"] = 5006
    engine = uart.UartLog(hits=(hit("NX_CRYPTO", "tls.device_internal_error"),), stack="netx", size=9)
    ids = [c.id for c in diagnose(wire.done(), uart=engine).causes]
    assert ids[0] == "tls.device_internal_error"
    assert "server_certificate.too_large" not in ids
    silent = [c.id for c in diagnose(wire.done()).causes]
    assert "server_certificate.too_large" in silent
