"""Did a connection work, and did the story? Pure.

Without keys this is read from who sent what in which order: a session that works is closed by the device, or lives
to the end of the capture; one that fails is closed by the broker, or by an alert. What cannot be told is None.
"""

from __future__ import annotations

from harness.diagnosis.facts import NS, Conn, Event, Story

GRACE = NS // 4  # a broker that refuses closes within this time of its CONNACK


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
    if conn.mqtt:  # joined in mid-session
        return True
    if not conn.sealed:
        return False if conn.close and conn.close.get("how") in ("fin", "rst") else None
    return sealed_session(conn)


def sealed_session(conn: Conn) -> bool | None:
    """The same question when nothing could be decrypted."""
    if not data_records(conn, "c") or not data_records(conn, "s"):
        return None if not _broker_ended(conn) and not _device_ended(conn) else False
    return refusal_after_connect(conn) is None


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
    """The broker's record after which it closed at once, before the device did anything: a refusal. Sealed only."""
    if not _broker_ended(conn):
        return None
    ended = _end_time(conn, "s")
    sent = [s for s in conn.sealed if s.get("dir") == "c"]
    answered = [s for s in conn.sealed if s.get("dir") == "s"]
    if not sent or not answered:
        return None
    last_sent, last = sent[-1], answered[-1]
    if last_sent.get("type") == 21 or int(last_sent.get("t", 0)) >= int(last.get("t", 0)):
        return None  # the device spoke last: it said goodbye
    data = data_records(conn, "c")
    if len(data) >= 2 and int(data[-1].get("len", 0)) in (19, 26, 18, 11, 10):
        return None  # a DISCONNECT, then the broker closes: orderly
    return last if ended - int(last.get("t", 0)) < GRACE else None


def _broker_ended(conn: Conn) -> bool:
    return conn.sender_first == "s"


def _device_ended(conn: Conn) -> bool:
    return conn.sender_first == "c"


def _end_time(conn: Conn, side: str) -> int:
    ends = [int(e.get("t", 0)) for e in [*conn.fins, *conn.resets] if e.get("dir") == side]
    return min(ends) if ends else conn.last


def works(story: Story) -> bool | None:
    """Did the story end well? The last attempt that says something decides; logs decide when there is no wire."""
    for conn in reversed(story.conns):
        state = connected(conn)
        if state is not None:
            return state
    if any(c.established for c in story.conns):
        return None
    if any(e.kind == "connected" for e in story.broker):
        return True
    if any(e.code is not None or e.kind in ("not_authorised", "config_error") for e in story.broker):
        return False
    return None
