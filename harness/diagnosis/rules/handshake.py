"""Records and handshake messages: corrupt, out of order, malformed, too large, cut; and who closed without a word."""

from __future__ import annotations

from collections.abc import Iterable

from harness.diagnosis.facts import AlertFact, Conn, Event, Story
from harness.diagnosis.outcome import connected, works
from harness.diagnosis.registry import suites
from harness.diagnosis.rules.claim import (
    LIKELY,
    LOGGED,
    MAYBE,
    PROVED,
    Claim,
    alert_evidence,
    entries,
    first_log,
    first_told,
    frame,
    log,
)
from harness.diagnosis.rules.negotiation import missing_extensions
from harness.diagnosis.rules.seen import from_broker, from_device, last_failing
from harness.diagnosis.rules.server_certificate import LARGE, name_mismatch

_CORRUPT_LOG = ("decryption failed or bad record mac", "bad record mac", "sslv3 alert bad record mac")


def every_failure(story: Story) -> list[Conn]:
    """Connections in which something went wrong, also after they worked for a while; nothing if a retry worked."""
    if works(story):
        return [c for c in story.conns if connected(c) is True and (c.fatal("broker") or c.fatal("device"))]
    return story.conns[-1:] if story.conns else []


def record_corrupt(story: Story) -> Iterable[Claim]:
    """bad_record_mac, from either side; or the log's word for it."""
    for conn in every_failure(story):
        for sender in ("broker", "device"):
            alert = conn.fatal(sender)
            if alert is None or alert.code not in (20, 21):
                continue
            suite = suites.lookup(int(conn.server_hello.get("suite", 0))) if conn.server_hello else None
            psk = suite is not None and "PSK" in suite.name
            yield Claim(
                id="tls.record_corrupt",
                confidence="certain" if alert.position == "application" and suite and not psk else "probable",
                weight=PROVED - (2 if psk else 0),
                evidence=(alert_evidence(alert), *first_log(story, *_CORRUPT_LOG)),
                explain=f"The {alert.sender} could not authenticate a record: bytes changed below TLS, or the other "
                "side's cipher is wrong.",
                frame=alert.frame,
            )
            return
    said = [e for e in story.broker if e.reason.lower() in _CORRUPT_LOG or e.alert == 20]
    let_in = max((e.line for e in story.broker if e.kind == "connected"), default=0)
    if works(story) and not (said and said[-1].line > let_in > 0):
        return
    if said:
        yield Claim(id="tls.record_corrupt", confidence="probable", weight=LOGGED, evidence=(log(said[0]),))


def device_decrypt_error(story: Story) -> Iterable[Claim]:
    """The device says 51: a signature of the broker's flight does not verify. With a good broker, bytes changed."""
    conn = last_failing(story)
    if conn is None and story.conns:
        return
    seen = from_device(story, conn)
    if seen is None or seen.code != 51 or (conn is not None and conn.server_hello is None):
        return
    if conn is not None and conn.version == "1.3":
        # bytes that changed would have changed the keys, or failed the record: bad_record_mac
        yield Claim(
            id="server_certificate.bad_signature",
            confidence="probable",
            weight=LIKELY + 2,
            evidence=seen.evidence,
            explain="A signature does not verify although the records do: a CA of the right name and another key in "
            "the device, or its signature check is wrong.",
            frame=seen.frame,
        )
        yield Claim(id="tls.finished_mismatch", confidence="possible", weight=MAYBE, evidence=seen.evidence)
        return
    yield Claim(
        id="tls.record_corrupt",
        confidence="probable",
        weight=LIKELY + 2,
        evidence=seen.evidence,
        explain="A signature over the handshake does not verify: the two sides saw different bytes.",
        frame=seen.frame,
    )
    yield Claim(id="server_certificate.bad_signature", confidence="possible", weight=MAYBE + 2, evidence=seen.evidence)
    yield Claim(id="tls.finished_mismatch", confidence="possible", weight=MAYBE, evidence=seen.evidence)


def unexpected(story: Story) -> Iterable[Claim]:
    """unexpected_message(10), from either side; renegotiation refused; handshake messages nobody expects."""
    for conn in every_failure(story):
        for sender in ("broker", "device"):
            alert = conn.fatal(sender)
            if alert is None or alert.code != 10:
                continue
            yield Claim(
                id="tls.unexpected_message",
                confidence="probable",
                weight=PROVED,
                evidence=(*_before(conn, alert), alert_evidence(alert), *first_log(story, "unexpected message")),
                explain=f"The {alert.sender} got a message it does not expect at this point, or does not know.",
                frame=alert.frame,
            )
            return
        again = conn.hellos[1] if len(conn.hellos) > 1 and conn.retry is None else None
        refused = conn.fatal("broker")
        if again is not None and refused is not None and not conn.complete:
            yield Claim(
                id="tls.unexpected_message",
                confidence="probable",
                weight=PROVED,
                evidence=(frame(again, "a second ClientHello that nobody asked for"), alert_evidence(refused)),
                explain="The device sends a second ClientHello in one handshake, without a HelloRetryRequest.",
                frame=int(again.get("frame", 0)),
            )
            return
        refusal = next((a for a in conn.alerts if a.code == 100), None)
        if refusal is not None and (conn.fatal("device") or connected(conn) is not True):
            yield Claim(
                id="tls.unexpected_message",
                confidence="probable",
                weight=PROVED,
                evidence=(alert_evidence(refusal),),
                explain="The device asks for renegotiation, which the broker refuses.",
                frame=refusal.frame,
            )
            return
    if works(story):
        return
    said = entries(story, "unexpected message", "unexpected record", "app data in handshake", "ccs received early")
    if said:
        yield Claim(id="tls.unexpected_message", confidence="probable", weight=LOGGED, evidence=(log(said[0]),))


def _before(conn: Conn, alert: AlertFact) -> tuple[str, ...]:
    """The record of the other side just before an alert: what was not expected."""
    other = "c" if alert.sender == "broker" else "s"
    earlier: list[Event] = [r for r in conn.records if r.get("dir") == other and int(r.get("frame", 0)) <= alert.frame]
    names = {20: "ChangeCipherSpec", 21: "alert", 22: "handshake", 23: "application data"}
    if not earlier:
        return ()
    kind = earlier[-1].get("type")
    return (frame(earlier[-1], f"a record of type {names.get(int(kind or 0), kind)}"),)


def malformed(story: Story) -> Iterable[Claim]:
    """decode_error or illegal_parameter that is no echo of a close, or a message that does not parse."""
    conn = last_failing(story)
    if conn is None:
        return
    broken = [o for o in conn.odd if o.get("malformed")] + [h for h in conn.hellos if h.get("malformed")]
    for sender in ("broker", "device"):
        alert = conn.fatal(sender)
        if alert is None or alert.code not in (47, 50):
            continue
        if alert.code == 47 and alert.position in ("client_flight", "application"):
            continue
        hello = conn.hello or {}
        if alert.code == 47 and (hello.get("psk") or (alert.position == "hello" and missing_extensions(hello))):
            continue
        yield Claim(
            id="tls.malformed_message",
            confidence="probable",
            weight=PROVED if broken or sender == "broker" else LIKELY,
            evidence=(
                *(frame(b, f"does not parse: {b.get('malformed')}") for b in broken[:1]),
                alert_evidence(alert),
                *first_log(
                    story, "length mismatch", "bad extension", "bad length", "decode error", "bad digest length"
                ),
            ),
            explain=f"The {alert.sender} could not parse a message, or found a forbidden value in it.",
            frame=alert.frame,
        )
        return
    ended = bool(conn.fins or conn.resets)  # else the capture's end may have cut the message
    if broken and not conn.alerts and ended and not conn.gaps:
        yield Claim(
            id="tls.malformed_message",
            confidence="probable",
            weight=LIKELY,
            evidence=(frame(broken[0], f"does not parse: {broken[0].get('malformed')}"),),
            frame=int(broken[0].get("frame", 0)),
        )


def too_large(story: Story) -> Iterable[Claim]:
    """record_overflow(22); or the device stops after a large flight and says its buffer is too small."""
    for conn in every_failure(story):
        for sender in ("broker", "device"):
            alert = conn.fatal(sender)
            if alert is not None and alert.code == 22:
                yield Claim(
                    id="tls.record_too_large",
                    confidence="probable",
                    weight=PROVED,
                    evidence=(
                        alert_evidence(alert),
                        *first_log(story, "packet length too long", "data length too long"),
                    ),
                    explain=f"A record exceeds what the {alert.sender} takes.",
                    frame=alert.frame,
                )
                return
    if works(story):
        return
    said = entries(story, "packet length too long", "data length too long")
    if said and not any(c.packets("CONNECT", "c") for c in story.conns):
        yield Claim(id="tls.record_too_large", confidence="probable", weight=LOGGED, evidence=(log(said[0]),))


def flight_not_digested(story: Story) -> Iterable[Claim]:
    """The device stops inside the broker's flight, with no alert or internal_error: size is the strongest hint."""
    conn = last_failing(story)
    if conn is None or conn.server_hello is None or conn.mqtt:
        return
    alert = conn.fatal("device")
    if alert is not None and alert.code not in (80, 22, 40, 50, 10, 47):
        return
    if alert is None and (conn.sender_first != "c" or conn.client_key_exchange or conn.client_certificate):
        return
    if any(s.get("dir") == "c" for s in conn.sealed) or "c" in conn.finished:
        return
    message = conn.server_certificate
    size = int(message.get("len", 0)) if message else _flight_size(conn)
    spanned = int(message.get("records", 1)) if message else 1
    told = (
        *first_told(story, "tls.handshake_fragmentation_unsupported"),
        *first_told(story, "tls.record_too_large"),
        *first_told(story, "device.buffer_too_small"),
    )
    seen = (frame(message, f"Certificate message of {size} bytes in {spanned} record(s)"),) if message else ()
    where = alert.frame if alert else _end(conn)
    if spanned > 1 and (alert is None or alert.code != 80):
        yield Claim(
            id="tls.handshake_fragmentation_unsupported",
            confidence="probable",
            weight=LIKELY + (15 if told else 9),
            evidence=(*seen, *told[:1], *((alert_evidence(alert),) if alert else ())),
            explain="The broker's Certificate message spans several records; the device did not join them.",
            frame=where,
        )
    if size > LARGE and (alert is None or alert.code in (80, 22, 50)) and not _named_otherwise(story):
        for index, cause in enumerate(
            ("server_certificate.too_large", "device.buffer_too_small", "tls.record_too_large")
        ):
            yield Claim(
                id=cause,
                confidence="possible",
                weight=(LIKELY if spanned == 1 else MAYBE) - index,
                evidence=(*seen, *((alert_evidence(alert),) if alert else ())),
                explain=f"The broker's chain takes {size} bytes; the device stopped right after it.",
                frame=where,
            )


_SIZES = ("server_certificate.too_large", "device.buffer_too_small", "tls.record_too_large",
          "tls.handshake_fragmentation_unsupported")  # fmt: skip


def _named_otherwise(story: Story) -> bool:
    """The device's own code names a cause, and none that has to do with size."""
    named = {cause for hit in story.uart for cause in hit.causes}
    return bool(named) and not named & set(_SIZES)


def _flight_size(conn: Conn) -> int:
    """Largest sealed record of the broker before the device answered: its Certificate, in TLS 1.3."""
    return max((int(s.get("len", 0)) for s in conn.sealed if s.get("dir") == "s"), default=0)


def _end(conn: Conn) -> int:
    ends = [*conn.fins, *conn.resets]
    return int(ends[0].get("frame", 0)) if ends else 0


def device_internal_error(story: Story) -> Iterable[Claim]:
    """internal_error(80) from the device, when nothing better explains it."""
    conn = last_failing(story)
    if conn is None and story.conns:
        return
    seen = from_device(story, conn)
    if seen is None or seen.code != 80:
        return
    if conn is not None and name_mismatch(story, conn) is not None:
        return
    sealed = conn is not None and conn.server_hello is not None and conn.server_certificate is None
    yield Claim(
        id="tls.device_internal_error",
        confidence="possible" if sealed else "probable",
        weight=MAYBE - 5,
        evidence=seen.evidence,
        explain="internal_error(80): the crypto engine, memory, the random source, or any error without an alert.",
        frame=seen.frame,
    )


def device_handshake_failure(story: Story) -> Iterable[Claim]:
    """Alert 40 or 47 from the device after the broker's flight: a curve, suite or format it does not have."""
    conn = last_failing(story)
    if conn is None or conn.server_hello is None:
        return
    alert = conn.fatal("device")
    if alert is None or alert.code not in (40, 71):
        return
    if any(a.code == 100 for a in conn.alerts):
        return
    yield Claim(
        id="server_certificate.unsupported",
        confidence="possible",
        weight=MAYBE,
        evidence=(alert_evidence(alert),),
        explain="The device cannot use the broker's curve, key or suite.",
        frame=alert.frame,
    )
    yield Claim(id="tls.no_common_group", confidence="possible", weight=MAYBE - 1, evidence=(alert_evidence(alert),))


def broker_failed(story: Story) -> Iterable[Claim]:
    """internal_error(80) from the broker, or a listener that cannot use its certificate."""
    conn = last_failing(story)
    if conn is None:
        return
    seen = from_broker(story, conn)
    if seen is None or seen.code != 80 or (conn.server_hello is not None and conn.complete):
        return
    said = [e for e in story.broker if e.code is not None and e.alert is None]
    yield Claim(
        id="tls.broker_misconfigured",
        confidence="possible",
        weight=MAYBE,
        evidence=(*seen.evidence, *(log(e) for e in said[:1])),
        explain="The broker failed inside: its certificate, key or cipher list cannot be used.",
        frame=seen.frame,
    )
