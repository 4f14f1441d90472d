"""A session that worked and was then closed by the broker, or denied in silence: why?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from harness.diagnosis.facts import NS, Conn, Event, Story
from harness.diagnosis.outcome import PING_SIZES, accepted_in_logs, answer, connected
from harness.diagnosis.rules.claim import (
    LIKELY,
    LOGGED,
    MAYBE,
    PROVED,
    Claim,
    frame,
    log,
)
from harness.diagnosis.rules.mqtt import REASON_5, breaks_must, broken_claim

if TYPE_CHECKING:
    from harness.evidence.broker_log import BrokerEntry

LARGE = 1000  # bytes of a packet that small limits refuse
AT_ONCE = 0.05  # seconds between a packet and the close that it provokes
_DISCONNECT_5 = {**REASON_5, 0x87: "mqtt.not_authorised", 0x90: "mqtt.malformed_packet"}


def denied(story: Story) -> Iterable[Claim]:
    """An ACL refuses: 3.1.1 says nothing on the wire, so often only the log knows."""
    for entry in story.broker:
        if entry.kind in ("denied_publish", "denied_subscribe"):
            yield Claim(
                id="mqtt.not_authorised",
                confidence="certain",
                weight=LOGGED + 5,
                evidence=(log(entry),),
                explain=f"The ACL denies {entry.topic or 'this topic'!r}; MQTT 3.1.1 does not tell the device.",
            )
            return
    for conn in story.conns:
        for packet in conn.mqtt:
            if packet.get("dir") != "s":
                continue
            codes = [packet.get("code"), *(packet.get("codes") or ())]
            kind = packet.get("type")
            if kind in ("PUBACK", "PUBREC", "SUBACK", "UNSUBACK") and 0x87 in codes:
                yield _packet_claim("mqtt.not_authorised", packet, "reason 0x87 not authorised", "certain")
                return
            if kind == "SUBACK" and 0x80 in codes:
                yield _packet_claim("mqtt.not_authorised", packet, "the subscription is refused (0x80)", "probable")
                return
            if kind in ("PUBACK", "PUBREC") and any(c in (0x95, 0x97, 0x99, 0x90) for c in codes):
                cause = "mqtt.packet_too_large" if 0x95 in codes else "mqtt.malformed_packet"
                yield _packet_claim(cause, packet, f"reason {codes[0]}", "probable")
                return


def _packet_claim(cause: str, packet: Event, text: str, confidence: Any) -> Claim:
    return Claim(
        id=cause,
        confidence=confidence,
        weight=PROVED,
        evidence=(frame(packet, f"{packet.get('type')}: {text}"),),
        explain=text[:1].upper() + text[1:] + ".",
        frame=int(packet.get("frame", 0)),
    )


def ended_by_broker(story: Story) -> Iterable[Claim]:
    """A session that worked and was then closed by the broker: why?"""
    for conn in story.conns:
        if connected(conn) is not True and not _sealed_session(story, conn):
            continue
        reason = next((m for m in conn.packets("DISCONNECT", "s")), None)
        if reason is not None:
            code = int(reason.get("code", 0) or 0)
            cause = _DISCONNECT_5.get(code, "mqtt.broker_closed")
            yield _packet_claim(
                cause, reason, f"reason {hex(code)}", "certain" if code in _DISCONNECT_5 else "probable"
            )
            continue
        if not _closed_by_broker(conn):
            continue
        yield from _why_closed(story, conn)


def _closed_by_broker(conn: Conn) -> bool:
    """The broker ended it while the device had not said goodbye."""
    if conn.packets("DISCONNECT", "c"):
        return False
    goodbye = [a for a in conn.alerts if a.sender == "device" and not a.after_fin]
    if conn.mqtt:
        closing = [a for a in conn.alerts if a.sender == "broker"]
        ended = conn.sender_first == "s" or bool(closing and not closing[0].after_fin)
        return ended and not (goodbye and (not closing or goodbye[0].t <= closing[0].t))
    return conn.sender_first == "s" and not goodbye and not _device_said_bye(conn)


def _device_said_bye(conn: Conn) -> bool:
    """Sealed: the device's last record is as long as DISCONNECT or close_notify, and ends the talk."""
    closed = min((int(e.get("t", 0)) for e in [*conn.fins, *conn.resets] if e.get("dir") == "s"), default=0)
    mine = [s for s in conn.sealed if s.get("dir") == "c" and int(s.get("t", 0)) <= (closed or conn.last)]
    theirs = [s for s in conn.sealed if s.get("dir") == "s"]
    if not mine:
        return False
    last = mine[-1]
    said = int(last.get("t", 0))
    alerts = {int(s.get("len", 0)) for s in conn.sealed if s.get("type") == 21}  # 2 bytes, whatever the suite adds
    short = last.get("type") == 21 or int(last.get("len", 0)) in {*PING_SIZES, *alerts}
    after = [s for s in theirs if int(s.get("t", 0)) > said]
    return short and (len(after) <= 1 or 0 < closed - said < AT_ONCE * NS)


def _may_have_said_bye(story: Story, conn: Conn) -> bool:
    """Bytes of the device are missing from the capture, or the log of one session knows its DISCONNECT."""
    lost = any(g.get("dir") == "c" for g in conn.gaps)
    logged = any(e.kind == "received" and e.packet == "DISCONNECT" for e in story.broker)
    return lost or (logged and len(story.conns) == 1)


def _why_closed(story: Story, conn: Conn) -> Iterator[Claim]:
    ends = [e for e in [*conn.fins, *conn.resets] if e.get("dir") == "s"]
    end = ends[0] if ends else None
    where = int((end or {}).get("frame", 0))
    closing = frame(end, "the broker closes") if end else "the broker closes"
    mine = [m for m in conn.mqtt if m.get("dir") == "c"]
    connect = (conn.packets("CONNECT", "c") or [{}])[0]
    last = mine[-1] if mine else None
    closed_at = int(end.get("t", 0)) if end else conn.last
    sealed = [s for s in conn.sealed if s.get("dir") == "c"]
    spoken = last or (sealed[-1] if sealed else None)
    quiet = (closed_at - int(spoken.get("t", 0))) / NS if spoken else 0.0
    keepalive = int(connect.get("keepalive", 0) or 0)
    logged = _session_log(story, conn)
    broken = next((m for m in mine if m.get("malformed") or breaks_must(m)), None) if not conn.gaps else None
    limit = story.listener.max_packet if story.listener else None
    if logged is not None:
        cause, entry = logged
        yield Claim(
            id=cause,
            confidence="certain",
            weight=LOGGED + 10,
            evidence=(log(entry), closing),
            explain=_SAYS[cause],
            frame=where,
        )
        if cause != "mqtt.malformed_packet":
            return
    if broken is not None and last is broken:
        yield broken_claim(broken, where)
    elif limit and last is not None and int(last.get("len", 0)) > limit:
        yield Claim(
            id="mqtt.packet_too_large",
            confidence="probable",
            weight=PROVED,
            evidence=(frame(last, f"{last.get('type')} of {last.get('len')} bytes; the limit is {limit}"), closing),
            frame=where,
        )
    elif keepalive and quiet >= 1.4 * keepalive:
        yield Claim(
            id="mqtt.keepalive_timeout",
            confidence="probable",
            weight=PROVED - 5,
            evidence=(
                frame(connect, f"CONNECT with keep-alive {keepalive} s"),
                frame(end, f"the broker closes after {quiet:.1f} s without a packet from the device"),
            ),
            explain=f"The device promised a packet every {keepalive} s and was silent for {quiet:.1f} s.",
            frame=where,
        )
    elif not conn.mqtt and quiet > 1.0 and not _taken_over(story, conn, closed_at):
        yield Claim(
            id="mqtt.keepalive_timeout",
            confidence="possible",
            weight=MAYBE + 4,
            evidence=(frame(end, f"the broker closes after {quiet:.1f} s without a record from the device"),),
            explain="The broker closed a session in which the device had gone quiet.",
            frame=where,
        )
        yield Claim(id="mqtt.broker_closed", confidence="possible", weight=MAYBE + 3, evidence=(closing,), frame=where)
    elif _taken_over(story, conn, closed_at):
        yield Claim(
            id="mqtt.session_taken_over",
            confidence="probable",
            weight=PROVED - 5,
            evidence=(closing, "another connection opens just before this one is closed"),
            explain="A second connection came, and the broker closed the first: the same client identifier.",
            frame=where,
        )
    elif not _may_have_said_bye(story, conn):
        if last is not None and last.get("type") == "PUBLISH" and int(last.get("len", 0)) > LARGE and quiet < AT_ONCE:
            yield Claim(
                id="mqtt.packet_too_large",
                confidence="possible",
                weight=LIKELY + 2,
                evidence=(frame(last, f"PUBLISH of {last.get('len')} bytes, and the broker closes at once"), closing),
                explain="The broker closed right after a large packet: its limit (max_packet_size) may be smaller.",
                frame=where,
            )
        yield Claim(
            id="mqtt.broker_closed",
            confidence="probable" if any(e.kind == "terminating" for e in story.broker) else "possible",
            weight=LIKELY,
            evidence=(closing, *(log(e) for e in story.broker if e.kind == "terminating")),
            explain="The broker closed a working session: restart, shutdown or a limit.",
            frame=where,
        )


_SAYS = {
    "mqtt.keepalive_timeout": "The broker heard nothing for 1.5 times the keep-alive and closed.",
    "mqtt.session_taken_over": "Another client connected with the same identifier; the broker closed this one.",
    "mqtt.packet_too_large": "A packet exceeds the broker's max_packet_size; the broker closes without a code.",
    "mqtt.malformed_packet": "The broker could not accept a packet and closed.",
}


def _session_log(story: Story, conn: Conn | None) -> tuple[str, BrokerEntry] | None:
    """The log's word about this connection's client (or any of the story's): a broker has other clients too."""
    ours = {str(c["client_id"]) for one in story.conns if conn in (None, one) for c in _connects(one)}
    for entry in story.broker:
        if ours and entry.client and entry.client not in ours:
            continue
        if entry.kind == "exceeded_timeout":
            return "mqtt.keepalive_timeout", entry
        if entry.kind == "already_connected":
            return "mqtt.session_taken_over", entry
        if entry.kind == "oversize":
            return "mqtt.packet_too_large", entry
        if entry.kind in ("malformed", "protocol_error") and entry.client not in ("", "<unknown>"):
            return "mqtt.malformed_packet", entry
    return None


def _connects(conn: Conn) -> list[Event]:
    return [c for c in conn.packets("CONNECT", "c") if c.get("client_id")]


def session_by_log(story: Story) -> Iterable[Claim]:
    """The same from the log alone, when the wire is missing or sealed."""
    said = _session_log(story, None)
    if said is None or any(connected(c) is True and c.mqtt and _closed_by_broker(c) for c in story.conns):
        return
    cause, entry = said
    yield Claim(
        id=cause,
        confidence="probable",
        weight=LOGGED + 10,
        evidence=(log(entry),),
        explain=_SAYS[cause],
    )


def _sealed_session(story: Story, conn: Conn) -> bool:
    """Sealed: answered, then cut by the broker, and it was no refusal: the log knows of none, or another connection
    was opened in between (a refusal ends at once)."""
    reply = answer(conn) if conn.sealed and not conn.mqtt and conn.sender_first == "s" else None
    ends = [int(e.get("t", 0)) for e in [*conn.fins, *conn.resets]]
    if reply is None or not ends:
        return False
    if accepted_in_logs(story):
        return True
    return any(int(reply.get("t", 0)) < c.opened < min(ends) for c in story.conns if c is not conn and c.server_hello)


def _taken_over(story: Story, conn: Conn, closed_at: int) -> bool:
    name = (conn.packets("CONNECT", "c") or [{}])[0].get("client_id")
    for other in story.conns:
        if other is conn or other.server != conn.server or not conn.opened < other.opened <= closed_at:
            continue
        theirs = (other.packets("CONNECT", "c") or [{}])[0].get("client_id")
        if (name is None and theirs is None and closed_at - other.opened < NS) or (name and name == theirs):
            return True
    return False
