"""Did a connection work, and did the story? Pure.

Without keys this is read from who sent what in which order: a session that works is closed by the device, or lives
to the end of the capture; one that fails is closed by the broker, or by an alert. What cannot be told is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.diagnosis.facts import NS, Conn, Event, Story

if TYPE_CHECKING:
    from harness.evidence.uart import UartHit

GRACE = NS // 10  # after a refusal the connection ends within this time


def connected(conn: Conn) -> bool | None:
    """True: a working session was seen. False: it failed. None: cannot be told."""
    answers = conn.packets("CONNACK", "s")
    if answers:
        return int(answers[0].get("code", 0)) == 0
    if conn.packets("CONNECT", "c"):
        return None if conn.close and conn.close.get("how") == "end" and not conn.payload("s") else False
    if conn.fatal("broker") or conn.fatal("device"):
        return False
    if not conn.tls:
        return False if conn.refused or not conn.established else None
    if conn.mqtt:  # joined in mid-session, or the first packet is no CONNECT
        return conn.how == "mid" or any(m.get("dir") == "s" for m in conn.mqtt)
    if conn.how == "mid" and not conn.hellos:
        return True if sealed_session(conn) else None  # its beginning is not in the capture
    if left_out(conn):
        return True if min(conn.payload("c"), conn.payload("s")) > TALK else None
    if not conn.sealed:
        return False if conn.close and conn.close.get("how") in ("fin", "rst") else None
    return sealed_session(conn)


TALK = 4096  # bytes from each side: more than any handshake without a session takes


def left_out(conn: Conn) -> bool:
    """The handshake completed under keys we do not have, yet no sealed record is there: a large capture, cut down."""
    return conn.complete and not conn.decrypted and not conn.sealed


def sealed_session(conn: Conn) -> bool | None:
    """The same question when nothing could be decrypted."""
    if not data_records(conn, "c") or answer(conn) is None:
        return None if not _broker_ended(conn) and not _device_ended(conn) else False
    return refusal_after_connect(conn) is None


def answer(conn: Conn) -> Event | None:
    """The broker's first sealed record that can be a CONNACK: the one after the device's first data."""
    sent = data_records(conn, "c")
    if not sent:
        return None
    first = int(sent[0].get("t", 0))
    return next((s for s in data_records(conn, "s") if int(s.get("t", 0)) >= first), None)


def data_records(conn: Conn, side: str) -> list[Event]:
    """Sealed records of a side that can hold MQTT: application phase, and in TLS 1.3 neither ticket nor alert."""
    found = []
    for s in conn.sealed:
        if s.get("dir") != side or s.get("type") != 23:
            continue
        if conn.version == "1.3" and not is_application13(conn, s):
            continue
        found.append(s)
    return found


def is_application13(conn: Conn, sealed: Event) -> bool:
    """TLS 1.3 hides what a record holds; phase and guess of the decoder, and length, tell what it cannot be."""
    if sealed.get("phase") == "handshake":
        return False
    if sealed.get("guess") in ("alert", "new_session_ticket", "finished", "empty_certificate"):
        return False
    return not (sealed.get("dir") == "s" and int(sealed.get("len", 0)) > 150 and _before_answer(conn, sealed))


def _before_answer(conn: Conn, sealed: Event) -> bool:
    """Large records of the broker right after the handshake are session tickets (Mosquitto sends two)."""
    before = [s for s in conn.sealed if s.get("dir") == "s" and s.get("phase") == "application"]
    return sealed in before[:2]


def refusal_after_connect(conn: Conn) -> Event | None:
    """The broker's answer to CONNECT after which everything ends at once: a refusal, as far as lengths can tell.

    Either the broker closes, or the device does without a DISCONNECT (one data record from each side, no more).
    """
    reply = answer(conn)
    if reply is None or int(reply.get("len", 0)) not in CONNACK_SIZES:
        return None
    ends = [int(e.get("t", 0)) for e in [*conn.fins, *conn.resets]]
    if not ends or min(ends) - int(reply.get("t", 0)) > GRACE:
        return None
    sent = [s for s in data_records(conn, "c") if _before(s, ends, conn)]
    return reply if len(sent) == 1 and int(sent[0].get("len", 0)) not in PING_SIZES else None


def _before(sealed: Event, ends: list[int], conn: Conn) -> bool:
    """What the device says after the broker closed is no part of the session."""
    return conn.sender_first != "s" or int(sealed.get("t", 0)) <= min(ends)


# 4 or 5 bytes of CONNACK: 1.3 and 1.2 AEAD, CCM_8; CBC with SHA-1, SHA-256, SHA-384 (explicit IV, MAC, padding)
CONNACK_SIZES = (20, 21, 22, 13, 28, 29, 48, 52, 53, 64, 69, 80, 85)
EOF = "unexpected eof while reading"  # OpenSSL: the other side closed without close_notify
PING_SIZES = (19, 18, 26, 11, 10)  # 2 bytes: DISCONNECT, PINGREQ, or an alert


def _broker_ended(conn: Conn) -> bool:
    return conn.sender_first == "s"


def _device_ended(conn: Conn) -> bool:
    return conn.sender_first == "c"


def _end_time(conn: Conn, side: str) -> int:
    ends = [int(e.get("t", 0)) for e in [*conn.fins, *conn.resets] if e.get("dir") == side]
    return min(ends) if ends else conn.last


def works(story: Story) -> bool | None:
    """Did the story end well? The last attempt that says something decides; logs decide when there is no wire.

    Where the wire is sealed, success is a guess from lengths, and a log that says otherwise is believed.
    """
    for conn in reversed(story.conns):
        state = connected(conn)
        if state is not None:
            guessed = bool(conn.sealed) and not conn.mqtt
            if guessed and connack_lost(story) is not None:
                return False
            if guessed and not state and accepted_in_logs(story) and refusal_after_connect(conn) is not None:
                return True
            return False if state and guessed and refused_in_logs(story) else state
    lost = connack_lost(story) is not None
    if any(c.established for c in story.conns):
        return not lost if accepted_in_logs(story) and not any(e.code for e in story.broker) else None
    if any(e.kind == "connected" for e in story.broker):
        return not lost
    if any(e.code is not None or e.kind in ("not_authorised", "token_refused", "config_error") for e in story.broker):
        return False
    return None if story.conns else told_by_device(story)


_CONNECTS = ("nxd_mqtt_client_secure_connect", "nxd_mqtt_client_connect")


def told_by_device(story: Story) -> bool | None:
    """What the last connect call of the NetX MQTT client returned; None once a later call finds the session gone."""
    results = [h for h in story.uart if h.stack == "netx" and h.code is not None and h.api.lstrip("_") in _CONNECTS]
    if not results or results[-1].code:
        return False if results else None
    later = [h for h in story.uart if h.stack == "netx" and h.code == 0x10002 and h.line > results[-1].line]
    return None if later else True


UNSET = 255  # what a Paho-style client holds as CONNACK's code before it reads one


def connack_lost(story: Story) -> UartHit | None:
    """The device's last word of its CONNECT, when that is: no CONNACK came, or one with a code that no broker sends.

    The shim's `done`, or MQTTConnect's result; a session said to be up, or a refusal that was read, is neither.
    """
    lost, answered = None, False
    for hit in story.uart:
        called = hit.stack == "paho" and hit.api.lower() == "mqttconnect"
        state = hit.fields.get("state") if hit.name == "mqtt" else ""
        if state == "connect_sent":
            lost, answered = None, False
        elif (
            hit.name == "connack_ok"
            or state == "connack"
            or (hit.code and hit.stack == "connack")
            or (called and hit.code not in (None, -1, UNSET))
        ):
            lost, answered = None, True
        elif called or (hit.name == "done" and hit.fields.get("stage") == "mqtt" and hit.fields.get("rc") == "-1"):
            lost = lost or (None if answered else hit)
    return lost


def handshake_done(story: Story) -> int:
    """Line at which the device last said that a handshake was over; 0 when it never did."""
    done = [h.line for h in story.uart if h.name == "tls_ok" or (h.name == "tls" and h.fields.get("state") == "ok")]
    return max(done, default=0)


def last_run(story: Story) -> int:
    """Line at which the last run of a shim begins that names a fault; 0 where it is one story."""
    ends = [h.line for h in story.uart if h.name == "done"]
    return ends[-2] if len(ends) > 1 and any(h.causes and h.line > ends[-2] for h in story.uart) else 0


def accepted_in_logs(story: Story) -> bool:
    """The broker says that it let a client in, and nothing of one that it refused."""
    kinds = {e.kind for e in story.broker}
    refused = any(e.kind == "sending_connack" and e.connack for e in story.broker)
    return "connected" in kinds and not kinds & {"not_authorised", "token_refused"} and not refused


def refused_in_logs(story: Story) -> bool:
    """Broker or device say that CONNECT was refused, and nobody says that one was accepted."""
    if any(e.kind == "connected" for e in story.broker):
        return False
    unknown = ("protocol_error", "malformed", "invalid_protocol")
    for e in story.broker:
        if (e.kind == "sending_connack" and e.connack) or e.kind in ("not_authorised", "token_refused"):
            return True
        if e.kind in unknown and e.client in ("", "<unknown>"):
            return True
        if e.code is not None and e.kind in ("openssl_error", "client_connection_failed") and e.reason != EOF:
            return True
    let_in = max((h.line for h in story.uart if h.name == "connack_ok"), default=0)
    said = [h for h in story.uart if h.code and h.line > let_in]
    return any(h.stack == "connack" or (h.stack == "netx" and h.code in NETX_REFUSALS) for h in said)


NETX_REFUSALS = range(0x10081, 0x10086)  # NXD_MQTT_ERROR_CONNECT_RETURN_CODE + CONNACK code
