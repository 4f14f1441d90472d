"""Story 002 by hand: what the wire tells apart where the device says too little, and what is left alone."""

from __future__ import annotations

import pytest

from harness.diagnosis.engine import diagnose
from harness.evidence import broker_log, uart
from harness.model import DeviceFacts, Listener
from tests.diagnosis.cases import Wire

INVALID_RECORD = uart.UartHit(
    line=26, kind="code", stack="mbedtls", code=-0x7200, name="MBEDTLS_ERR_SSL_INVALID_RECORD",
    text="api name=mbedtls_ssl_handshake rc=-0x7200", causes=("tls.record_too_large", "device.transport_overreported"),
)  # fmt: skip
MISMATCH = uart.UartHit(
    line=27, kind="code", stack="mbedtls_verify", code=4, name="MBEDTLS_X509_BADCERT_CN_MISMATCH",
    causes=("server_certificate.name_mismatch",),
)  # fmt: skip
GAVE_UP = uart.UartHit(
    line=44, kind="event", name="done", text="done result=failed stage=mqtt rc=-1",
    fields={"result": "failed", "stage": "mqtt", "rc": "-1"},
)  # fmt: skip
CONNACK_SEEN = uart.UartHit(line=40, kind="event", name="mqtt", fields={"state": "connack", "code": "0"})


def log(*hits: uart.UartHit, version: str = "") -> uart.UartLog:
    return uart.UartLog(hits=hits, stack="mbedtls", version=version, size=100, lines=50)


def session() -> Wire:
    return Wire().open().hello(sni="broker.test").flight12().keys12().connect().mqtt("s", "CONNACK", code=0)


def leads(wire: Wire, heard: uart.UartLog, host: str = "") -> str:
    causes = diagnose(wire.done(), uart=heard, device=DeviceFacts(host=host)).causes
    return causes[0].id if causes else ""


def test_connack_stays_in_the_tls_buffer() -> None:
    assert leads(session().end("c", wait=8.0), log(GAVE_UP)) == "device.read_gated_on_socket"
    # The broker answers the device's close_notify with a FIN of its own, which then comes first.
    bye = session().alert("c", 0, encrypted=True, level=1).end("s")
    assert leads(bye, log(GAVE_UP)) == "device.read_gated_on_socket"


@pytest.mark.parametrize(
    ("wire", "heard"),
    [
        (session().end("c", wait=8.0), log()),  # nobody says that it waited
        (session().end("c", wait=8.0), log(CONNACK_SEEN, GAVE_UP)),  # it waited for something else
        (session().mqtt("c", "PUBLISH").end("c", wait=8.0), log(GAVE_UP)),
        (session().end("s", wait=8.0), log(GAVE_UP)),  # the broker went
    ],
)
def test_what_is_not_the_gate(wire: Wire, heard: uart.UartLog) -> None:
    assert leads(wire, heard) != "device.read_gated_on_socket"


def test_a_bad_record_of_a_good_wire_is_the_callback() -> None:
    assert leads(Wire().open().hello().flight12().end("c"), log(INVALID_RECORD)) == "device.transport_overreported"


def large() -> Wire:
    wire = Wire().open().hello().flight12().end("c")
    next(e for e in wire.events if e["ev"] == "certificate")["len"] = 5006
    return wire


def test_a_large_record_is_the_buffer_unless_the_version_says_otherwise() -> None:
    assert leads(large(), log(INVALID_RECORD)) in ("tls.record_too_large", "server_certificate.too_large")
    assert leads(large(), log(INVALID_RECORD, version="2.7.0")) != "device.transport_overreported"
    for version in ("2.28.3", "3.6.4"):
        assert leads(large(), log(INVALID_RECORD, version=version)) == "device.transport_overreported"


def refused(sni: str | None) -> Wire:
    extensions = [10, 11, 13] if sni is None else [0, 10, 11, 13]
    return Wire().open().hello(sni=sni, extensions=extensions).flight12().alert("c", 42).end("c")


def test_the_address_was_given_for_the_name() -> None:
    assert leads(refused(None), log(MISMATCH), host="broker.test") == "server_certificate.name_mismatch"
    found = diagnose(refused(None).done(), uart=log(MISMATCH), device=DeviceFacts(host="broker.test")).causes
    assert found[0].confidence == "certain"
    assert "tls.sni_missing" in [c.id for c in found]
    with_name = diagnose(refused("broker.test").done(), uart=log(MISMATCH), device=DeviceFacts(host="broker.test"))
    assert "tls.sni_missing" not in [c.id for c in with_name.causes]


# What the man of story 002 had: a capture without keys, the console, the broker's log.
MISPARSED = uart.UartHit(
    line=44, kind="code", stack="paho", code=255, name="CONNACK_RC_255", api="MQTTConnect",
    text="api name=MQTTConnect rc=255", causes=("device.connack_misparsed", "device.read_gated_on_socket"),
)  # fmt: skip


def said(*lines: str) -> list[broker_log.BrokerEntry]:
    return broker_log.parse_text("".join(f"1795000000: {line}\n" for line in lines))


ACCEPTED = said("New client connected from 127.0.0.1:38106 as dut (p2, c1, k60).", "Sending CONNACK to dut (0, 0)")
REFUSED = said("Sending CONNACK to dut (0, 5)", "Client dut disconnected, not authorised.")


def sealed(reply: int = 29) -> Wire:
    wire = Wire().open().hello(sni="broker.test").flight12().keys12()
    wire.add("ccs", "s").add("sealed", "s", type=22, len=40, phase="handshake", guess="finished")
    wire.add("sealed", "c", type=23, len=60, phase="application")
    return wire.add("sealed", "s", type=23, len=reply, phase="application")


def sealed_end() -> Wire:
    return sealed().end("c", wait=8.0, handshake="complete")


@pytest.mark.parametrize("wire", [sealed_end(), None], ids=["sealed", "log only"])
@pytest.mark.parametrize(
    ("word", "cause"), [(GAVE_UP, "device.read_gated_on_socket"), (MISPARSED, "device.connack_misparsed")]
)
def test_a_session_that_looks_good_is_not_where_the_device_says_otherwise(
    wire: Wire | None, word: uart.UartHit, cause: str
) -> None:
    events = wire.done() if wire else []
    without = diagnose(events, uart=log(), broker=ACCEPTED)
    assert without.outcome == "ok"
    found = diagnose(events, uart=log(word), broker=ACCEPTED)
    assert found.outcome == "failed"
    assert found.causes[0].id == cause
    assert found.causes[0].confidence != "certain"
    assert any(e.startswith("broker 2: Sending CONNACK") for e in found.causes[0].evidence)
    assert any(e.startswith("uart 44: ") for e in found.causes[0].evidence)


def test_a_session_that_came_about_or_was_refused_is_none_of_it() -> None:
    later = diagnose(sealed_end().done(), uart=log(CONNACK_SEEN, GAVE_UP), broker=ACCEPTED)
    assert later.outcome == "ok"  # it waited for something else
    refusal = diagnose(sealed().end("s", wait=0.01).done(), uart=log(GAVE_UP), broker=REFUSED)
    assert refusal.causes[0].id == "mqtt.bad_credentials"
    plain = diagnose([], uart=log(GAVE_UP), broker=ACCEPTED, listener=Listener(source="config", tls=False))
    assert "device.read_gated_on_socket" not in [c.id for c in plain.causes]


FAILED_VERIFY = uart.UartHit(
    line=26, kind="code", stack="mbedtls", code=-0x2700, name="MBEDTLS_ERR_X509_CERT_VERIFY_FAILED",
    text="api name=mbedtls_ssl_handshake rc=-0x2700", causes=("server_certificate.untrusted",),
)  # fmt: skip
BAD_CERTIFICATE = said("OpenSSL Error[0]: error:0A000412:SSL routines::sslv3 alert bad certificate")


@pytest.mark.parametrize("broker", [(), BAD_CERTIFICATE], ids=["console", "console and log"])
def test_the_flags_say_why_the_verification_failed(broker: list[broker_log.BrokerEntry]) -> None:
    found = diagnose([], uart=log(FAILED_VERIFY, MISMATCH), broker=broker)
    assert [c.id for c in found.causes] == ["server_certificate.name_mismatch"]
    assert "only word" not in found.causes[0].explain
    alone = diagnose([], uart=log(FAILED_VERIFY), broker=())
    assert alone.causes[0].id == "server_certificate.untrusted"


def test_what_a_later_attempt_overcame_is_not_the_cause() -> None:
    through = uart.UartHit(line=41, kind="event", name="tls", fields={"state": "ok"})
    found = diagnose([], uart=log(FAILED_VERIFY, MISMATCH, through, MISPARSED)).causes
    assert found[0].id == "device.connack_misparsed"


def test_a_bad_record_by_the_console_alone() -> None:
    first = {v: diagnose([], uart=log(INVALID_RECORD, version=v)).causes[0].id for v in ("", "2.7.0", "2.28.3")}
    assert first == {"": "tls.record_too_large", "2.7.0": "tls.record_too_large",
                     "2.28.3": "device.transport_overreported"}  # fmt: skip
