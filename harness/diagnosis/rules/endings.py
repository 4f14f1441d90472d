"""Who ended a handshake without a readable alert. Fallbacks, and what sealed records allow to say."""

from __future__ import annotations

from collections.abc import Iterable

from harness.diagnosis.facts import Conn, Event, Story
from harness.diagnosis.outcome import works
from harness.diagnosis.rules.claim import (
    FALLBACK,
    MAYBE,
    Claim,
    entries,
    failing,
    frame,
    log,
)
from harness.diagnosis.rules.seen import from_device, last_failing


def closed_without_a_word(story: Story) -> Iterable[Claim]:
    """Somebody closed during the handshake with no alert. Fallback."""
    conn = last_failing(story)
    if conn is None or not conn.established or conn.refused is not None or joined_late(conn):
        return
    if conn.fatal("broker") or conn.fatal("device") or conn.packets("CONNECT", "c"):
        return
    ends = sorted([*conn.fins, *conn.resets], key=lambda e: (int(e.get("t", 0)), int(e.get("frame", 0))))
    if not ends or conn.complete or sealed_alert(conn, str(ends[0].get("dir"))) is not None:
        return
    first = ends[0]
    by_device = first.get("dir") == "c"
    how = "FIN" if first.get("ev") == "fin" else "RST"
    if conn.server_hello is not None:
        place = "after the broker's flight"
    elif conn.hellos:
        place = "after the ClientHello"
    else:
        place = "before a whole ClientHello"
    echo = [a for a in conn.alerts if a.after_fin]
    eof = entries(story, "unexpected eof while reading")
    yield Claim(
        id="tls.closed_by_device" if by_device else "tls.closed_by_broker",
        confidence="probable",
        weight=FALLBACK + (3 if how == "FIN" or by_device else 1),
        evidence=(
            frame(first, f"{how} from the {'device' if by_device else 'broker'} {place}, no alert before it"),
            *(f"frame {a.frame}: alert {a.code} {a.name} is only the echo of that close" for a in echo[:1]),
            *(log(e) for e in eof[:1]),
        ),
        explain=f"The {'device' if by_device else 'broker'} closed {place} and said nothing.",
        frame=int(first.get("frame", 0)),
    )


def joined_late(conn: Conn) -> bool:
    """The capture begins in the middle of this connection: how far it had come is not known."""
    return conn.how == "mid" and not conn.hellos


def sealed_alert(conn: Conn, side: str) -> Event | None:
    """The last sealed record of the side that closes, when it is as long as an alert."""
    mine = [s for s in conn.sealed if s.get("dir") == side]
    if not mine:
        return None
    short = mine[-1].get("type") == 21 or (mine[-1].get("type") == 23 and int(mine[-1].get("len", 0)) in (19, 11))
    return mine[-1] if short else None


def device_refuses_sealed(story: Story) -> Iterable[Claim]:
    """TLS 1.3: the device answers the broker's flight with one sealed alert, as for every certificate fault."""
    conn = last_failing(story)
    if conn is None or conn.server_hello is None or conn.alerts or conn.mqtt or conn.decrypted:
        return
    mine = [s for s in conn.sealed if s.get("dir") == "c"]
    alert = sealed_alert(conn, "c")
    if len(mine) != 1 or alert is None:
        return
    if any(e.alert is not None for e in story.broker) or from_device(story, conn) is not None:
        return
    picture = (frame(alert, f"one sealed record of {alert.get('len')} bytes (an alert), then the device closes"),)
    for index, cause in enumerate(
        ("server_certificate.untrusted", "server_certificate.expired", "server_certificate.name_mismatch")
    ):
        yield Claim(
            id=cause,
            confidence="possible",
            weight=MAYBE - index,
            evidence=picture,
            explain="The device refuses the broker's flight, most likely its certificate; the alert is sealed.",
            frame=int(alert.get("frame", 0)),
        )


def broker_refuses_sealed(story: Story) -> Iterable[Claim]:
    """TLS 1.2: the broker answers the device's first data with a sealed alert, and no CONNACK."""
    conn = last_failing(story)
    if conn is None or conn.version == "1.3" or conn.alerts or conn.mqtt or conn.decrypted or joined_late(conn):
        return
    alert = sealed_alert(conn, "s")
    if alert is None or alert.get("type") != 21 or not _broker_spoke_first(conn, alert):
        return
    if any(s.get("dir") == "s" and s.get("type") == 23 for s in conn.sealed) or any(e.code for e in story.broker):
        return
    for cause, weight in (("mqtt.closed_without_connack", MAYBE), ("tls.record_corrupt", MAYBE - 1)):
        yield Claim(
            id=cause,
            confidence="possible",
            weight=weight,
            evidence=(frame(alert, "a sealed alert of the broker instead of CONNACK"),),
            explain="The broker answers the first data with an alert whose number is sealed.",
            frame=int(alert.get("frame", 0)),
        )


def _broker_spoke_first(conn: Conn, alert: Event) -> bool:
    """The broker's alert, or its close, came before the device's: whose FIN follows first is a race."""
    if conn.sender_first != "c":
        return conn.sender_first == "s"
    sealed = [s for s in conn.sealed if s.get("dir") == "c" and s.get("type") == 21]
    ends = [*sealed, *(e for e in (*conn.fins, *conn.resets) if e.get("dir") == "c")]
    return int(alert.get("t", 0)) < min(int(e.get("t", 0)) for e in ends)


def closed_by_log(story: Story) -> Iterable[Claim]:
    """No capture: the broker's log says that the client closed in the handshake."""
    if story.conns:
        return
    said = entries(story, "unexpected eof while reading")
    unknown = any(
        e.kind == "client_connection_failed" or (e.kind == "tls_protocol_error" and e.client == "<unknown>")
        for e in story.broker
    )
    if said and unknown and not works(story):
        yield Claim(id="tls.closed_by_device", confidence="possible", weight=FALLBACK, evidence=(log(said[0]),))


def stops_mid_handshake(story: Story) -> Iterable[Claim]:
    """The device goes quiet in the handshake and the connection stays open: a hang, or the capture ended."""
    for conn in failing(story)[-1:]:
        if not conn.established or conn.fins or conn.resets or conn.alerts or not conn.hellos:
            continue
        if conn.server_hello is None or conn.client_key_exchange or conn.mqtt or conn.complete:
            continue
        if any(s.get("dir") == "c" for s in conn.sealed):
            continue
        yield Claim(
            id="device.hang",
            confidence="possible",
            weight=FALLBACK,
            evidence=(frame(conn.server_hello, "the broker's flight, then nothing from the device"),),
            explain="The device does not answer the broker's flight.",
            frame=int(conn.server_hello.get("frame", 0)),
        )
