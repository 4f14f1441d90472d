"""MQTT: refused, closed, denied. Codes on the wire first; the broker's log for what the wire does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from harness.diagnosis.facts import NS, Conn, Event, Story
from harness.diagnosis.outcome import PING_SIZES, connected, refusal_after_connect, works
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
    from harness.evidence.broker_log import BrokerEntry

_CONNACK_3 = {
    1: "mqtt.protocol_version_refused",
    2: "mqtt.client_id_refused",
    3: "mqtt.server_unavailable",
    4: "mqtt.bad_credentials",
    5: "mqtt.bad_credentials",
}
_REASON_5 = {
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
_DISCONNECT_5 = {**_REASON_5, 0x87: "mqtt.not_authorised", 0x90: "mqtt.malformed_packet"}


def refused(story: Story) -> Iterable[Claim]:
    """CONNACK with a code other than 0."""
    for conn in failing(story)[-1:]:
        for answer in conn.packets("CONNACK", "s"):
            code = int(answer.get("code", 0))
            if code == 0:
                continue
            cause = (_CONNACK_3 if code < 0x80 else _REASON_5).get(code, "mqtt.server_unavailable")
            connect = (conn.packets("CONNECT", "c") or [{}])[0]
            user = connect.get("username")
            sent = "no user name" if user is None else f"user name {str(user)[:40]!r}"
            said = [e for e in story.broker if e.kind in ("not_authorised", "sending_connack", "invalid_protocol")]
            yield Claim(
                id=cause,
                confidence="certain" if cause != "mqtt.bad_credentials" or code in (4, 5, 0x86) else "probable",
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
            table = _CONNACK_3 if entry.connack < 0x80 else _REASON_5
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
            yield Claim(id="mqtt.protocol_version_refused", confidence="probable", weight=LOGGED, evidence=(log(entry),))
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
        if connected(conn) is not True:
            continue
        reason = next((m for m in conn.packets("DISCONNECT", "s")), None)
        if reason is not None:
            code = int(reason.get("code", 0) or 0)
            cause = _DISCONNECT_5.get(code, "mqtt.broker_closed")
            yield _packet_claim(cause, reason, f"reason {hex(code)}", "certain" if code in _DISCONNECT_5 else "probable")
            continue
        if not _closed_by_broker(conn):
            continue
        yield from _why_closed(story, conn)


def _closed_by_broker(conn: Conn) -> bool:
    """The broker ended it while the device had not said goodbye."""
    if conn.packets("DISCONNECT", "c"):
        return False
    goodbye = [a for a in conn.alerts if a.sender == "device"]
    if conn.mqtt:
        closing = [a for a in conn.alerts if a.sender == "broker"]
        ended = conn.sender_first == "s" or bool(closing and not closing[0].after_fin)
        return ended and not (goodbye and (not closing or goodbye[0].t <= closing[0].t))
    return conn.sender_first == "s" and not goodbye and not _device_said_bye(conn)


def _device_said_bye(conn: Conn) -> bool:
    """Sealed: the device's last record is as long as DISCONNECT or close_notify and nothing of the broker precedes it."""
    mine = [s for s in conn.sealed if s.get("dir") == "c"]
    theirs = [s for s in conn.sealed if s.get("dir") == "s"]
    if not mine:
        return False
    last = mine[-1]
    short = last.get("type") == 21 or int(last.get("len", 0)) in PING_SIZES
    after = [s for s in theirs if int(s.get("t", 0)) > int(last.get("t", 0))]
    return short and len(after) <= 1


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
    logged = _session_log(story)
    broken = next((m for m in mine if m.get("malformed") or _breaks_must(m)), None)
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
        yield _broken_claim(broken, where)
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
    else:
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


def _session_log(story: Story) -> tuple[str, BrokerEntry] | None:
    for entry in story.broker:
        if entry.kind == "exceeded_timeout":
            return "mqtt.keepalive_timeout", entry
        if entry.kind == "already_connected":
            return "mqtt.session_taken_over", entry
        if entry.kind == "oversize":
            return "mqtt.packet_too_large", entry
        if entry.kind in ("malformed", "protocol_error") and entry.client not in ("", "<unknown>"):
            return "mqtt.malformed_packet", entry
    return None


def session_by_log(story: Story) -> Iterable[Claim]:
    """The same from the log alone, when the wire is missing or sealed."""
    said = _session_log(story)
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


def _taken_over(story: Story, conn: Conn, closed_at: int) -> bool:
    name = (conn.packets("CONNECT", "c") or [{}])[0].get("client_id")
    for other in story.conns:
        if other is conn or other.opened <= conn.opened or other.opened > closed_at:
            continue
        theirs = (other.packets("CONNECT", "c") or [{}])[0].get("client_id")
        if (name is None and theirs is None and closed_at - other.opened < NS) or (name and name == theirs):
            return True
    return False


def _breaks_must(packet: Event) -> bool:
    return any(s.get("level", "must") == "must" for s in packet.get("statements") or ())


def _broken_claim(packet: Event, where: int, weight: int = PROVED + 2) -> Claim:
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
        if connect.get("malformed") or _breaks_must(connect):
            yield _broken_claim(connect, 0)
        if protocol and (protocol, level) not in (("MQTT", 4), ("MQTT", 5), ("MQIsdp", 3)):
            yield Claim(
                id="mqtt.protocol_version_refused",
                confidence="probable",
                weight=PROVED + (3 if protocol in ("MQTT", "MQIsdp") else -1),
                evidence=(frame(connect, f"protocol {protocol!r} level {level}"), *(log(e) for e in said[:1])),
                frame=int(connect.get("frame", 0)),
            )
        others = [m for m in conn.mqtt if m.get("dir") == "c" and m is not connect and (m.get("malformed") or _breaks_must(m))]
        if others:
            yield _broken_claim(others[0], 0, PROVED - 2)
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
        if not mine or conn.packets("CONNECT", "c"):
            continue
        yield _broken_claim(mine[0], 0, PROVED)
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
        if reply is None or any(e.code is not None for e in story.broker):
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
        if conn.mqtt or conn.app or not conn.complete or conn.fatal("broker") or conn.fatal("device"):
            continue
        if any(s.get("dir") == "c" and s.get("phase") == "application" and s.get("guess") != "alert" for s in conn.sealed):
            continue
        if any(e.code is not None and e.reason != "unexpected eof while reading" for e in story.broker):
            continue
        if conn.sealed and not conn.decrypted and conn.version == "1.3":
            continue  # what is sealed may be anything
        yield Claim(
            id="device.no_connect",
            confidence="probable",
            weight=LIKELY,
            evidence=(frame(conn.server_hello, "the TLS handshake completes and no CONNECT follows"),),
            explain="The TLS session is up and the device never sends CONNECT.",
            frame=int((conn.server_hello or {}).get("frame", 0)),
        )


_JWT = {
    "padding": "jwt.padding",
    "not_base64url": "jwt.not_base64url",
    "malformed": "jwt.malformed",
    "algorithm_key_mismatch": "jwt.algorithm_key_mismatch",
    "bad_signature": "jwt.bad_signature",
    "expired": "jwt.expired",
    "issued_in_future": "jwt.issued_in_future",
    "lifetime_too_long": "jwt.lifetime_too_long",
    "wrong_audience": "jwt.wrong_audience",
}
DAY = 86_400


def jwt(story: Story) -> Iterable[Claim]:
    """The password is a token: what is wrong with it, when the broker refused or closed."""
    for conn in failing(story)[-1:]:
        for connect in conn.packets("CONNECT", "c")[:1]:
            token = connect.get("jwt")
            if not isinstance(token, dict):
                continue
            for cause, text in jwt_problems(token, story.now):
                yield Claim(
                    id=cause,
                    confidence="probable",
                    weight=PROVED + 4,
                    evidence=(frame(connect, f"the password is a JWT: {text}"),),
                    explain=f"The token in the password: {text}.",
                    frame=int(connect.get("frame", 0)),
                )


def jwt_problems(token: dict[str, Any], now: int) -> Iterator[tuple[str, str]]:
    """(cause, why) for each defect of a token as `hil-wire` describes it. `now` in Unix seconds, 0 unknown."""
    problems = token.get("problems") or token.get("problem") or ()
    for problem in [problems] if isinstance(problems, str) else problems:
        key = str(problem).rpartition(".")[2]
        if key in _JWT:
            yield _JWT[key], key.replace("_", " ")
    if token.get("padding"):
        yield "jwt.padding", "base64 padding '=' in the token"
    if token.get("base64url") is False or token.get("not_base64url"):
        yield "jwt.not_base64url", "'+' or '/' of the standard alphabet"
    if token.get("malformed"):
        yield "jwt.malformed", str(token["malformed"])
    expires, issued = token.get("exp"), token.get("iat")
    if isinstance(expires, int) and now and expires < now:
        yield "jwt.expired", f"exp {expires} is {now - expires} s before the capture"
    if isinstance(issued, int) and now and issued > now + 600:
        yield "jwt.issued_in_future", f"iat {issued} is {issued - now} s ahead of the capture"
    if isinstance(expires, int) and isinstance(issued, int) and expires - issued > DAY:
        yield "jwt.lifetime_too_long", f"exp - iat is {expires - issued} s; services allow 24 h"
    if "aud" in token and not token["aud"]:
        yield "jwt.wrong_audience", "aud is missing"
