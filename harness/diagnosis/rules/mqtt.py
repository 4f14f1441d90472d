"""MQTT: refused, closed, denied. Codes on the wire first; the broker's log for what the wire does not say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.diagnosis.facts import Conn, Event, Story
from harness.diagnosis.outcome import accepted_in_logs, left_out, refusal_after_connect, works
from harness.diagnosis.rules.claim import (
    FALLBACK,
    LIKELY,
    LOGGED,
    MAYBE,
    PROVED,
    TOLD,
    Claim,
    failing,
    first_told,
    frame,
    log,
)

if TYPE_CHECKING:
    pass

PATIENCE = 5_000_000_000  # ns a device may take before its CONNECT
SOON = 100_000_000  # ns, Nagle and delayed ACK included, in which a device answers a bad record with an alert
_CONNACK_3 = {
    1: "mqtt.protocol_version_refused",
    2: "mqtt.client_id_refused",
    3: "mqtt.server_unavailable",
    4: "mqtt.bad_credentials",
    5: "mqtt.bad_credentials",
}
REASON_5 = {
    0x81: "mqtt.malformed_packet",
    0x82: "mqtt.malformed_packet",
    0x84: "mqtt.protocol_version_refused",
    0x85: "mqtt.client_id_refused",
    0x86: "mqtt.bad_credentials",
    0x87: "mqtt.bad_credentials",
    0x88: "mqtt.server_unavailable",
    0x89: "mqtt.server_unavailable",
    0x8A: "mqtt.not_authorised",
    0x8B: "mqtt.broker_closed",
    0x8C: "mqtt.bad_credentials",
    0x8D: "mqtt.keepalive_timeout",
    0x8E: "mqtt.session_taken_over",
    0x93: "mqtt.malformed_packet",
    0x94: "mqtt.malformed_packet",
    0x95: "mqtt.packet_too_large",
    0x97: "mqtt.server_unavailable",
    0x98: "mqtt.broker_closed",
    0x9A: "mqtt.malformed_packet",
    0x9B: "mqtt.malformed_packet",
    0x9C: "mqtt.server_unavailable",
    0x9D: "mqtt.server_unavailable",
    0x9F: "mqtt.server_unavailable",
}


def refused(story: Story) -> Iterable[Claim]:
    """CONNACK with a code other than 0."""
    for conn in failing(story)[-1:]:
        for answer in conn.packets("CONNACK", "s"):
            code = int(answer.get("code", 0))
            if code == 0:
                continue
            connect = (conn.packets("CONNECT", "c") or [{}])[0]
            named = (_CONNACK_3 if code < 0x80 else REASON_5).get(code, "")
            no_id = bool(connect) and not connect.get("client_id")
            cause = named or ("mqtt.client_id_refused" if no_id else "mqtt.server_unavailable")
            exact = bool(named) and (named != "mqtt.bad_credentials" or code in (4, 0x86))
            user = connect.get("username")
            sent = "no user name" if user is None else f"user name {str(user)[:40]!r}"
            said = [e for e in story.broker if e.kind in ("not_authorised", "sending_connack", "invalid_protocol")]
            yield Claim(
                id=cause,
                confidence="certain" if exact else "probable",
                weight=PROVED,
                evidence=(
                    *((frame(connect, f"CONNECT with {sent}"),) if connect else ()),
                    frame(answer, f"CONNACK {code if code < 0x80 else hex(code)}"),
                    *(log(e) for e in said[:1]),
                ),
                explain=f"The broker refuses CONNECT with code {code}; the device sent {sent}.",
                frame=int(answer.get("frame", 0)),
            )


def refused_by_log(story: Story) -> Iterable[Claim]:
    """The log's or the device's word for a refused CONNECT, when the packet cannot be read."""
    if any(c.packets("CONNACK", "s") for c in story.conns) or works(story) is True:
        return
    for entry in story.broker:
        if entry.kind == "sending_connack" and entry.connack:
            table = _CONNACK_3 if entry.connack < 0x80 else REASON_5
            cause = table.get(entry.connack, "mqtt.server_unavailable")
            listener = story.listener
            if entry.connack in (4, 0x86) and listener is not None and listener.identity_as_username:
                yield Claim(
                    id="client_certificate.missing", confidence="probable", weight=LOGGED + 6, evidence=(log(entry),)
                )
            yield Claim(id=cause, confidence="probable", weight=LOGGED + 5, evidence=(log(entry),))
            return
        if entry.kind == "not_authorised":
            yield Claim(id="mqtt.bad_credentials", confidence="probable", weight=LOGGED, evidence=(log(entry),))
            return
        if entry.kind == "invalid_protocol":
            yield Claim(
                id="mqtt.protocol_version_refused", confidence="probable", weight=LOGGED, evidence=(log(entry),)
            )
            return
    for cause in (
        "mqtt.bad_credentials",
        "mqtt.protocol_version_refused",
        "mqtt.client_id_refused",
        "mqtt.server_unavailable",
    ):
        evidence = first_told(story, cause)
        if evidence and any(h.causes[:1] == (cause,) for h in story.uart):
            yield Claim(id=cause, confidence="probable", weight=TOLD + 2, evidence=evidence)


def breaks_must(packet: Event) -> bool:
    return any(s.get("level", "must") == "must" for s in packet.get("statements") or ())


def broken_claim(packet: Event, where: int, weight: int = PROVED + 2) -> Claim:
    rules = [s for s in packet.get("statements") or () if s.get("level", "must") == "must"]
    what = "; ".join(f"[{s.get('id')}] {s.get('text', '')}" for s in rules[:3]) or str(packet.get("malformed"))
    return Claim(
        id="mqtt.malformed_packet",
        confidence="certain" if rules or packet.get("malformed") else "probable",
        weight=weight,
        evidence=(frame(packet, f"{packet.get('type')}: {what}"),),
        explain=f"{packet.get('type')} breaks the standard: {what}.",
        frame=where or int(packet.get("frame", 0)),
    )


def closed_after_connect(story: Story) -> Iterable[Claim]:
    """CONNECT, and the broker closes without CONNACK."""
    for conn in failing(story)[-1:]:
        connects = conn.packets("CONNECT", "c")
        if not connects or conn.packets("CONNACK", "s") or conn.fatal("broker"):
            continue
        if any(g.get("dir") == "s" for g in conn.gaps):
            continue  # the CONNACK may be what is missing
        if not conn.tls and not conn.payload("s") and _clear_on_tls(story, conn):
            continue
        if conn.sender_first == "c" and not any(a.sender == "broker" for a in conn.alerts):
            continue
        if not conn.fins and not conn.resets:
            continue
        connect = connects[0]
        said = [e for e in story.broker if e.kind in ("protocol_error", "malformed", "invalid_protocol")]
        level = connect.get("level")
        protocol = str(connect.get("protocol", ""))
        if connect.get("malformed") or breaks_must(connect):
            yield broken_claim(connect, 0)
        if protocol and (protocol, level) not in (("MQTT", 4), ("MQTT", 5), ("MQIsdp", 3)):
            yield Claim(
                id="mqtt.protocol_version_refused",
                confidence="probable",
                weight=PROVED + (3 if protocol in ("MQTT", "MQIsdp") else -1),
                evidence=(frame(connect, f"protocol {protocol!r} level {level}"), *(log(e) for e in said[:1])),
                frame=int(connect.get("frame", 0)),
            )
        others = [
            m for m in conn.mqtt if m.get("dir") == "c" and m is not connect and (m.get("malformed") or breaks_must(m))
        ]
        if others:
            yield broken_claim(others[0], 0, PROVED - 2)
        if said:
            yield Claim(
                id="mqtt.malformed_packet",
                confidence="probable",
                weight=LOGGED,
                evidence=(frame(connect, "CONNECT"), log(said[0])),
                frame=int(connect.get("frame", 0)),
            )
        yield Claim(
            id="mqtt.closed_without_connack",
            confidence="possible",
            weight=FALLBACK + 6,
            evidence=(frame(connect, "CONNECT, and the broker closes without CONNACK"),),
            explain="The broker closed after CONNECT and said nothing: authorisation, policy or a broken packet.",
            frame=int(connect.get("frame", 0)),
        )


def _clear_on_tls(story: Story, conn: Conn) -> bool:
    tls_port = conn.server.rpartition(":")[2] in ("8883", "443")
    return tls_port if story.listener is None else story.listener.tls


def first_packet_broken(story: Story) -> Iterable[Claim]:
    """The session never opens because the first packet is no CONNECT, or none that parses."""
    for conn in failing(story)[-1:]:
        mine = [m for m in conn.mqtt if m.get("dir") == "c"]
        if not mine or conn.packets("CONNECT", "c") or conn.how == "mid" or conn.gaps:
            continue
        yield broken_claim(mine[0], 0, PROVED)
    if works(story) is not True:
        said = [e for e in story.broker if e.kind in ("malformed", "protocol_error")]
        plain = any(c.hellos and c.server_hello is None for c in story.conns)
        seen = any(c.mqtt for c in story.conns)
        if said and not seen and not plain and not any(c.data for c in story.conns):
            yield Claim(id="mqtt.malformed_packet", confidence="probable", weight=LOGGED - 2, evidence=(log(said[0]),))


def sealed_refusal(story: Story) -> Iterable[Claim]:
    """Nothing readable: an answer as long as CONNACK, and everything ends at once. A refusal, of whatever kind."""
    for conn in failing(story)[-1:]:
        if conn.mqtt or conn.alerts or not conn.sealed or conn.decrypted:
            continue
        reply = refusal_after_connect(conn)
        if reply is None or any(e.code is not None for e in story.broker) or accepted_in_logs(story):
            continue
        for cause, weight in (("mqtt.bad_credentials", MAYBE + 4), ("mqtt.client_id_refused", MAYBE)):
            yield Claim(
                id=cause,
                confidence="possible",
                weight=weight,
                evidence=(frame(reply, "a record as long as CONNACK, then the connection ends at once"),),
                explain="Sealed, so the CONNACK's code is not readable; a key log or the broker's log names it.",
                frame=int(reply.get("frame", 0)),
            )


def no_connect(story: Story) -> Iterable[Claim]:
    """TLS is up and no CONNECT ever comes."""
    for conn in failing(story)[-1:]:
        if (
            conn.mqtt
            or conn.app
            or not conn.complete
            or left_out(conn)
            or conn.fatal("broker")
            or conn.fatal("device")
            or conn.gaps
        ):
            continue
        begun = int((conn.server_hello or {}).get("t", 0))
        if not conn.fins and not conn.resets and conn.last - begun < PATIENCE:
            continue  # the capture ends before the device could
        if any(
            s.get("dir") == "c" and s.get("phase") == "application" and s.get("guess") != "alert" for s in conn.sealed
        ):
            continue
        if any(e.code is not None and e.reason != "unexpected eof while reading" for e in story.broker):
            continue
        if conn.sealed and not conn.decrypted and conn.version == "1.3" and not _went_silent(conn):
            continue  # what is sealed may be anything
        doubt = _alert_at_once(conn)
        if doubt is not None:
            yield Claim(
                id="tls.record_corrupt",
                confidence="possible",
                weight=MAYBE + 2,
                evidence=(frame(doubt, "the device answers the broker's Finished with a sealed alert, and closes"),),
                explain="An alert right after Finished: the device could not verify it, or it said goodbye at once.",
                frame=int(doubt.get("frame", 0)),
            )
        yield Claim(
            id="device.no_connect",
            confidence="possible" if doubt is not None else "probable",
            weight=MAYBE if doubt is not None else LIKELY,
            evidence=(frame(conn.server_hello, "the TLS handshake completes and no CONNECT follows"),),
            explain="The TLS session is up and the device never sends CONNECT.",
            frame=int((conn.server_hello or {}).get("frame", 0)),
        )


def _went_silent(conn: Conn) -> bool:
    """TLS 1.3, sealed: the device sent its Finished and no data, the broker its tickets, and the device closed."""
    mine = [s for s in conn.sealed if s.get("dir") == "c"]
    tickets = [s for s in conn.sealed if s.get("dir") == "s" and s.get("phase") == "application"]
    done = any(s.get("guess") == "finished" or int(s.get("len", 0)) in (53, 69) for s in mine)
    return done and bool(tickets) and int(tickets[0].get("len", 0)) > 150 and conn.sender_first == "c"


def _alert_at_once(conn: Conn) -> Event | None:
    """TLS 1.2: the device's only sealed record after the broker's Finished is an alert, and it comes at once."""
    mine = [s for s in conn.sealed if s.get("dir") == "c" and s.get("phase") == "application"]
    theirs = [s for s in conn.sealed if s.get("dir") == "s" and s.get("guess") == "finished"]
    if len(mine) != 1 or not theirs or mine[0].get("type") != 21 or conn.decrypted:
        return None
    return mine[0] if int(mine[0].get("t", 0)) - int(theirs[-1].get("t", 0)) < SOON else None
