"""What a NetX console says by itself: the set-up calls it prints, those it does not, and what connect returned when.

The MQTT client hides the code of `nx_secure_tls_session_start`, and uninstrumented firmware prints nothing else, so the
calls before it and the time it took are read too. Where a capture or the broker's log knows better, these are silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.diagnosis.facts import Story
from harness.diagnosis.rules.claim import LOGGED, MAYBE, TOLD, Claim, entries, failing, log, uart
from harness.diagnosis.rules.client_certificate import wrong_store_lines
from harness.diagnosis.rules.seen import from_broker

if TYPE_CHECKING:
    from harness.evidence.uart import UartHit

START = "nx_secure_tls_session_start"
SECURE = "nxd_mqtt_client_secure_connect"
PLAIN = "nxd_mqtt_client_connect"
CONNECT_FAILURE, COMMUNICATION_FAILURE, NOT_CONNECTED = 0x10005, 0x10007, 0x10002
UNRECOGNISED_NAME = 112
CUT = (0x114, 0x38)  # an alert was received, or the RST overtook it
PATIENCE = 0.9  # seconds: a refusal comes at once, a wait option is a second at least


def calls(story: Story, *names: str) -> list[UartHit]:
    """Return codes that the log shows for these calls, in order."""
    return [h for h in story.uart if h.stack == "netx" and h.code is not None and h.api.lstrip("_") in names]


def took(story: Story, hit: UartHit) -> float | None:
    """Seconds between the line before (the last set-up call, or the start) and this result."""
    before = [h.t for h in story.uart if h.line < hit.line and h.t is not None and h.api.lstrip("_") != START]
    return hit.t - before[-1] if before and hit.t is not None else None


def _cut_in_handshake(story: Story) -> UartHit | None:
    """The result that says: the broker ended the handshake (or, from firmware that prints only this, TLS failed).
    Firmware with an MQTT client of its own starts the session itself."""
    ends = calls(story, SECURE)
    starts = calls(story, START)
    if not ends:
        return starts[-1] if starts and starts[-1].code in CUT else None
    if ends[-1].code not in (CONNECT_FAILURE, COMMUNICATION_FAILURE):
        return None
    if not starts:
        return ends[-1]
    return starts[-1] if starts[-1].code in (*CUT, 0) else None


def _unheard(story: Story) -> bool:
    """Neither a capture nor a word of the broker about TLS."""
    return not story.has_wire and not any(e.code is not None for e in story.broker)


def _curves_not_set(story: Story) -> UartHit | None:
    """The log shows the session's set-up, call by call, and none to nx_secure_tls_ecc_initialize."""
    created = [h for h in calls(story, "nx_secure_tls_session_create") if h.code == 0]
    others = calls(story, "nx_secure_tls_session_packet_buffer_set", "nx_secure_tls_trusted_certificate_add")
    if not created or not others or calls(story, "nx_secure_tls_ecc_initialize"):
        return None
    return created[-1]


def curves_not_set(story: Story) -> Iterable[Claim]:
    """No call to nx_secure_tls_ecc_initialize, and no ClientHello, or one without a common suite."""
    made = _curves_not_set(story)
    if made is None or any(c.hellos for c in story.conns):
        return
    said = entries(story, "no shared cipher")
    silent = [c for c in failing(story)[-1:] if c.established]
    end = _cut_in_handshake(story)
    evidence: tuple[str, ...] = (uart(made), "uart: no call of nx_secure_tls_ecc_initialize follows")
    if silent:
        evidence = (*evidence, "wire: TCP opens and no ClientHello follows")
    elif said:
        evidence = (*evidence, log(said[-1]))
    elif end is None or not _unheard(story):
        return
    else:
        evidence = (*evidence, uart(end))
    yield Claim(
        id="tls.ecc_not_initialised",
        confidence="probable",
        weight=LOGGED + 4 if said else TOLD + 6,
        evidence=evidence,
        explain="The session is set up without its curves, so ECDHE suites cannot be agreed on.",
    )


def name_not_sent(story: Story) -> Iterable[Claim]:
    """The set-up is printed call by call, none sets the server name, and the alert is about it."""
    created = [h for h in calls(story, "nx_secure_tls_session_create") if h.code == 0]
    others = calls(story, "nx_secure_tls_session_packet_buffer_set", "nx_secure_tls_trusted_certificate_add")
    if not created or not others or calls(story, "nx_secure_tls_session_sni_extension_set"):
        return
    seen = None if story.has_wire else from_broker(story, None)
    if seen is not None and seen.code == UNRECOGNISED_NAME:
        yield Claim(
            id="tls.sni_missing",
            confidence="probable",
            weight=TOLD + 6,
            evidence=(*seen.evidence, uart(created[-1]), "uart: no call of nx_secure_tls_session_sni_extension_set"),
            explain="The session is set up without a server name, and the front end refuses who sends none.",
        )


def wrong_store(story: Story) -> Iterable[Claim]:
    """The device's certificate is added as trusted, and the broker ends the handshake."""
    end = _cut_in_handshake(story)
    lines = wrong_store_lines(story)
    if end is None or not lines or not _unheard(story):
        return
    yield Claim(
        id="client_certificate.wrong_store",
        confidence="probable",
        weight=TOLD + 4,
        evidence=(*lines, uart(end)),
        explain="The device's certificate is added as a trusted CA, so there is none to send.",
    )


def failed_alone(story: Story) -> Iterable[Claim]:
    """The codes and nothing else: which alert it was is on the wire only, so the common causes stay open."""
    end = _cut_in_handshake(story)
    if end is None or not _unheard(story) or story.broker or not calls(story, SECURE):
        return
    if wrong_store_lines(story) or _curves_not_set(story):
        return
    own = bool(calls(story, "nx_secure_tls_local_certificate_add"))
    late = (took(story, calls(story, SECURE)[-1]) or 0.0) > PATIENCE
    order: tuple[str, ...]
    identity = ("client_certificate.untrusted", "client_certificate.expired", "client_key.mismatch")
    if end.code == 0:  # TLS 1.3: the device is done before the broker has looked at its certificate
        connect = calls(story, SECURE)[-1]
        late = end.t is not None and connect.t is not None and connect.t - end.t > PATIENCE
        order = identity if own else ("client_certificate.missing", "mqtt.closed_without_connack")
        order = ("network.peer_silent",) if late else order
    elif end.code in CUT:
        hello = ("tls.no_common_cipher_suite", "tls.no_common_signature_algorithm")
        order = identity if own else ("client_certificate.missing", *hello)
    elif late:
        order = ("network.unreachable", "network.peer_silent")
    else:
        order = ("network.refused", "server_certificate.untrusted")
        order = (*order, identity[0] if own else "client_certificate.missing")
    for index, cause in enumerate(order):
        yield Claim(
            id=cause,
            confidence="possible",
            weight=MAYBE + 3 - index,
            evidence=(uart(end), *(uart(h) for h in calls(story, SECURE)[-1:] if h is not end)),
            explain="The codes do not say which alert ended the handshake, and after which message; a capture does.",
        )


def tls_on_plain_port(story: Story) -> Iterable[Claim]:
    """No capture: the handshake fails and the broker takes what it got for a broken MQTT packet."""
    end = _cut_in_handshake(story)
    said = [e for e in story.broker if e.kind == "protocol_error" and e.client == "<unknown>"]
    if end is None or end.code in (0, COMMUNICATION_FAILURE) or not said or not _unheard(story):
        return
    if story.listener is not None and story.listener.tls and story.listener.source != "inferred":
        return
    yield Claim(
        id="protocol.tls_on_plain_port",
        confidence="probable",
        weight=LOGGED + 3,
        evidence=(uart(end), log(said[-1])),
        explain="The device starts TLS, and the broker reads it as a broken MQTT packet: a plain listener.",
    )


def connect_timing(story: Story) -> Iterable[Claim]:
    """No capture, and no TLS seen: how long connect took tells a refused port from an address that is not there."""
    ends = calls(story, PLAIN) or ([] if calls(story, START) else calls(story, SECURE))
    if not ends or story.has_wire or any(e.code is not None or e.kind == "new_connection" for e in story.broker):
        return
    end, seconds = ends[-1], took(story, ends[-1])
    plain = end.api.lstrip("_") == PLAIN
    if seconds is None or not (plain or story.broker):
        return
    cause, explain = "", ""
    if end.code == CONNECT_FAILURE:
        late = seconds > PATIENCE
        cause = "network.unreachable" if late else "network.refused"
        explain = f"TCP did not open; connect gave up after {seconds:.1f} s" + ("." if late else ", so it was refused.")
    elif end.code == COMMUNICATION_FAILURE and seconds > PATIENCE:
        cause, explain = "network.peer_silent", f"TCP opened and no CONNACK came within {seconds:.1f} s."
    elif end.code == COMMUNICATION_FAILURE and plain:
        cause = "protocol.plain_mqtt_on_tls_port"
        explain = "TCP opened and the other side closed as soon as CONNECT came: no plain MQTT listener."
    if cause:
        sure = plain and not cause.startswith("protocol.")
        yield Claim(
            id=cause,
            confidence="probable" if sure else "possible",
            weight=TOLD if sure else MAYBE + 4,
            evidence=(uart(end),),
            explain=explain,
        )


def plain_to_tls(story: Story) -> Iterable[Claim]:
    """No capture: connect without TLS fails, and OpenSSL in the broker finds no TLS version in what came."""
    ends = calls(story, PLAIN)
    said = entries(story, "wrong version number")
    if story.has_wire or not said or not ends or not ends[-1].code or calls(story, SECURE):
        return
    yield Claim(
        id="protocol.plain_mqtt_on_tls_port",
        confidence="probable",
        weight=LOGGED + 3,
        evidence=(uart(ends[-1]), log(said[-1])),
        explain="The device sends CONNECT without TLS, and the listener expects TLS.",
    )


def other_hash(story: Story) -> Iterable[Claim]:
    """No capture: the broker's check of Finished fails, as with a SHA-384 suite added to the table by hand."""
    end = _cut_in_handshake(story)
    said = entries(story, "digest check failed")
    if story.has_wire or not said or (end is None and calls(story, SECURE, START)):
        return
    if end is None and story.stack != "netx":
        return
    for cause, level, weight in (
        ("tls.handshake_hash_mismatch", "probable", LOGGED),
        ("tls.finished_mismatch", "possible", MAYBE),
    ):
        yield Claim(
            id=cause,
            confidence=level,  # type: ignore[arg-type]
            weight=weight,
            evidence=(*((uart(end),) if end else ()), log(said[-1])),
            explain="NetX hashes every handshake with SHA-256: a suite with SHA-384 ends in a Finished that is wrong.",
        )


def session_lost(story: Story) -> Iterable[Claim]:
    """No capture: the session was up, and a later call finds it gone."""
    ends = calls(story, SECURE, PLAIN)
    if story.has_wire or not ends or ends[-1].code != 0:
        return
    gone = [h for h in story.uart if h.stack == "netx" and h.code == NOT_CONNECTED and h.line > ends[-1].line]
    if gone:
        yield Claim(
            id="mqtt.broker_closed",
            confidence="possible",
            weight=MAYBE + 3,
            evidence=(uart(ends[-1]), uart(gone[0])),
            explain="The session was up, and a later call finds it closed.",
        )
