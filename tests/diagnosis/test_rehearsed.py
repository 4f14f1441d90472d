"""What the live cases taught: each a story by hand, so that the rule stays even where the live tools are missing."""

from __future__ import annotations

from typing import Any

import pytest

from harness.diagnosis.compare import offered_versions
from harness.diagnosis.engine import diagnose
from harness.diagnosis.rules.protocol import packet_type
from harness.evidence import broker_conf, broker_log, uart
from harness.model import Diagnosis
from tests.diagnosis.cases import DATA, Wire


def tell(wire: Wire, log: str = "") -> Diagnosis:
    return diagnose(wire.done(), broker=broker_log.parse_text(log))


def first(diagnosis: Diagnosis) -> tuple[str, str]:
    return (diagnosis.causes[0].id, diagnosis.causes[0].confidence) if diagnosis.causes else ("", "")


def sealed12() -> Wire:
    wire = Wire().open().hello().flight12().keys12().add("ccs", "s")
    return wire.add("sealed", "s", type=22, len=40, phase="handshake", guess="finished")


def sealed13() -> Wire:
    wire = Wire().open().hello13().server_hello("0304", 0x1302)
    for size in (23, 1722, 281, 69):
        wire.add("sealed", "s", type=23, len=size, phase="handshake")
    wire.add("sealed", "c", type=23, len=69, phase="handshake", guess="finished")
    return wire.add("sealed", "s", type=23, len=250, phase="application", guess="new_session_ticket")


def record(wire: Wire, side: str, size: int, wait: float = 0.001, kind: int = 23) -> Wire:
    guess = "alert" if kind == 21 else ""
    return wire.add("sealed", side, wait=wait, type=kind, len=size, phase="application", guess=guess)


def test_versions_are_ordered_by_number() -> None:
    assert offered_versions({"legacy_version": "0303"})[0] == "1.2"
    assert offered_versions({"versions": [0x0303, 0x0304]}) == ["1.3", "1.2"]


def test_a_sealed_refusal_is_seen_although_the_device_speaks_after_the_close() -> None:
    wire = record(record(sealed13(), "c", 36), "s", 21)
    record(record(wire, "s", 19, 0.0).add("fin", "s", wait=0.0), "c", 19).add("rst", "s")
    diagnosis = tell(wire.end("s", how="rst"))
    assert first(diagnosis) == ("mqtt.bad_credentials", "possible")


def test_the_same_picture_is_no_refusal_when_the_log_let_the_client_in() -> None:
    wire = record(record(sealed13(), "c", 36), "s", 21)
    record(wire, "s", 19, 0.0)
    log = (
        "12:00:00: New client connected from 10.0.0.2:1 as dut (p2, c1, k60).\n"
        "12:00:01: mosquitto version 2.0.11 terminating\n"
    )
    assert first(tell(wire.end("s"), log=log))[0] == "mqtt.broker_closed"


def test_a_broker_that_dies_is_named_although_the_device_complains_after_it() -> None:
    wire = Wire().open().hello().flight12().keys12().add("ccs", "s").add("finished", "s", len=12)
    wire.connect().mqtt("s", "CONNACK", code=0).add("fin", "s").alert("c", 50, encrypted=True)
    assert first(tell(wire.end("s", how="rst")))[0] == "mqtt.broker_closed"


def test_an_answer_on_the_way_does_not_hide_the_devices_goodbye() -> None:
    wire = record(record(sealed12(), "c", 43), "s", 28)
    record(wire, "c", 34)
    for side, size in (("s", 29), ("c", 35), ("s", 33), ("c", 26), ("s", 28)):
        record(wire, side, size, 0.0001)
    record(wire, "s", 26, 0.0001, kind=21)
    assert tell(wire.end("s", wait=0.0001)).outcome == "ok"


def test_a_port_that_spoke_tls_is_no_plain_port() -> None:
    wire = Wire().open().hello().flight12().keys12().add("ccs", "s").add("finished", "s", len=12)
    wire.connect().mqtt("s", "CONNACK", code=0)
    wire.open().hello().end("s")
    wire.conn = 1
    wire.mqtt("c", "DISCONNECT").end("c")
    assert first(tell(wire)) == ("mqtt.server_unavailable", "possible")


@pytest.mark.parametrize(
    ("data", "size", "kind"),
    [
        ("30070003612f626869", 9, "PUBLISH"),
        ("c000", 2, "PINGREQ"),
        ("820800010003612f6200", 10, "SUBSCRIBE"),
        ("474554202f20485454502f312e310d0a", 32, ""),
        ("68656c6c6f0a", 6, ""),
        ("", 0, ""),
        ("30ffffffff7f", 6, ""),
    ],
)
def test_a_first_packet_that_is_no_connect(data: str, size: int, kind: str) -> None:
    assert packet_type({"first": data, "len": size}) == kind
    wire = Wire().open().hello().flight12().keys12().add("ccs", "s").add("finished", "s", len=12)
    wire.add("app", "c", first=data, len=size).alert("s", 0, encrypted=True, level=1)
    said = first(tell(wire.end("s", handshake="complete")))[0]
    assert said == ("mqtt.malformed_packet" if kind else "protocol.not_mqtt")


def test_a_code_without_a_name_is_never_certain() -> None:
    wire = Wire().open().hello().flight12().keys12().add("ccs", "s").add("finished", "s", len=12)
    wire.connect(client_id="", level=5).mqtt("s", "CONNACK", code=0x80)
    assert first(tell(wire.end("s"))) == ("mqtt.client_id_refused", "probable")


def test_an_answer_after_the_device_gave_up_is_no_answer() -> None:
    wire = Wire().open().hello().add("fin", "c", wait=6.0).server_hello().certificate()
    assert first(tell(wire.end("c", how="rst")))[0] == "network.peer_silent"


def test_version_alert_after_server_hello_is_no_version_fault() -> None:
    wire = Wire().open().hello().hello().flight12().alert("s", 70)
    assert first(tell(wire.end("s")))[0] == "tls.unexpected_message"


@pytest.mark.parametrize("side", ["c", "s"])
def test_a_capture_that_begins_late_accuses_nobody(side: str) -> None:
    wire = Wire()
    wire.conn = 1
    wire.add("open", client="10.0.0.2:1", server="10.0.0.1:8883", how="mid")
    wire.add("sealed", side, type=21, len=26, phase="handshake", guess="alert")
    assert [c.id for c in tell(wire.end(side, tls=True, handshake="unknown")).causes] == []


def test_a_capture_that_ends_early_accuses_nobody() -> None:
    after = sealed12().add("close", wait=0, how="end", tls=True, handshake="complete", bytes_c=9, bytes_s=9)
    assert tell(after).outcome == "incomplete"
    lone = Wire().open(answered=False).add("close", wait=0, how="end", tls=False, bytes_c=0, bytes_s=0)
    assert [c.id for c in tell(lone).causes] == []


def test_finished_that_does_not_verify_or_a_goodbye_at_once() -> None:
    wire = record(sealed12(), "c", 26, kind=21)
    said = tell(wire.end("c", handshake="complete"))
    assert [(c.id, c.confidence) for c in said.causes[:2]] == [
        ("tls.record_corrupt", "possible"),
        ("device.no_connect", "possible"),
    ]


def test_alert_of_a_foreign_order_still_names_the_certificate() -> None:
    """Two queues of a network card: the alert stands before the Certificate that it answers."""
    wire = Wire().open().hello().flight12(request=True).alert("s", 48)
    wire.certificate("c", chain=1, subject="CN=dut", issuer="CN=other").keys12()
    assert first(tell(wire.end("s", how="rst")))[0] == "client_certificate.untrusted"


def test_the_curve_of_a_certificate_nobody_saw() -> None:
    wire = Wire().open().hello(groups=[29, 23]).alert("s", 40)
    log = "12:00:00: Client connection from 10.0.0.2 failed: error:0A0000C1:SSL routines::no shared cipher.\n"
    listener = broker_conf.read(DATA / "stacks-ok-mtls-12-mosq.conf")
    said = diagnose(wire.end("s").done(), broker=broker_log.parse_text(log), listener=listener)
    assert first(said) == ("tls.no_common_group", "possible")


def test_what_the_device_refused_it_did_not_accept() -> None:
    complaint = uart.UartHit(
        line=1, text="verify error:num=20", kind="code", stack="openssl", code=20, name="x",
        causes=("server_certificate.untrusted",),
    )  # fmt: skip
    log = uart.UartLog(hits=(complaint,), stack="openssl", size=9, lines=1)

    def story(refused: bool) -> list[dict[str, Any]]:
        wire = Wire()
        if refused:
            wire.open().hello().flight12().alert("c", 48).end("c")
        wire.open().hello().flight12().keys12().add("ccs", "s").add("finished", "s", len=12)
        wire.connect().mqtt("s", "CONNACK", code=0).mqtt("c", "DISCONNECT")
        return wire.end("c").done()

    assert diagnose(story(True), uart=log).findings == ()
    assert [f.id for f in diagnose(story(False), uart=log).findings] == ["server_certificate.accepted_untrusted"]


def test_decrypt_error_of_the_device_in_13_is_no_changed_byte() -> None:
    """What changed on the way would have failed the record protection first (RFC 8446 5.2, 7.1)."""
    assert first(tell(sealed13().alert("c", 51).end("c")))[0] == "server_certificate.bad_signature"
    assert first(tell(Wire().open().hello().flight12().alert("c", 51).end("c")))[0] == "tls.record_corrupt"


def test_packets_after_a_gap_are_not_judged() -> None:
    wire = Wire().open().hello().flight12().keys12().add("ccs", "s").add("finished", "s", len=12)
    wire.add("gap", "c", missing=40, offset=0)
    wire.mqtt("c", "SUBSCRIBE", statements=[{"id": "MQTT-3.1.0-1", "text": "t", "level": "must"}])
    assert all(c.confidence != "certain" for c in tell(wire.end("s")).causes)


@pytest.mark.parametrize("size", [52, 84], ids=["DISCONNECT", "more than that"])
def test_a_sealed_goodbye_is_as_long_as_an_alert_of_the_same_session(size: int) -> None:
    """CBC pads: its DISCONNECT has no length of its own; the broker's FIN may overtake the device's close_notify."""
    wire = record(record(record(sealed12(), "c", 84), "s", 52), "c", size)
    record(wire, "s", 52, kind=21).end("s")
    told = tell(record(wire, "c", 52, kind=21))
    assert told.outcome == ("ok" if size == 52 else "failed"), told
