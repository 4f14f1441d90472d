"""Which fatal alert went which way, from whatever stream shows it: wire, broker log, UART.

An alert may be sealed (TLS 1.3 without keys) or eaten by an RST; the log of the side that received it, or the OpenSSL
text of the side that sent it, still names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from harness.diagnosis.facts import Conn, Position, Story
from harness.diagnosis.registry.codepoints import alert_name
from harness.diagnosis.rules.claim import alert_evidence, failing, log, uart

if TYPE_CHECKING:
    from harness.evidence.uart import UartHit


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A fatal alert. `exact`: read from the wire; else a log's word. `frame` 0: not on the wire as such."""

    code: int
    evidence: tuple[str, ...]
    exact: bool
    position: Position | Literal["unknown"]
    frame: int = 0


def alert_of(hit: UartHit, sender: str) -> int:
    """The number of the fatal alert that a UART hit says `sender` ("device", "broker") sent; 0 for none."""
    said = hit.fields.get("sender", "")
    if hit.fields.get("level") == "1" or said not in (sender, "" if sender == "broker" else sender):
        return 0
    if hit.stack == "tls_alert" and hit.code is not None:
        return hit.code
    number = hit.fields.get("alert", "")
    return int(number) if number.isdigit() else 0


def from_device(story: Story, conn: Conn | None) -> Seen | None:
    """The fatal alert the device sent: from the wire, else what the broker's log says it received, else the UART."""
    if conn is not None:
        alert = conn.fatal("device")
        if alert is not None:
            return Seen(
                code=alert.code,
                evidence=(alert_evidence(alert),),
                exact=True,
                position=alert.position,
                frame=alert.frame,
            )
    place = conn_place(conn, "c")
    for entry in reversed(story.broker):  # the last attempt decides
        if entry.alert is not None and entry.alert not in (0, 90):
            where = end_frame(conn, "c")
            return Seen(code=entry.alert, evidence=(log(entry),), exact=False, position=place, frame=where)
    for hit in story.uart:
        code = alert_of(hit, "device")
        if code:
            return Seen(code=code, evidence=(uart(hit),), exact=False, position=place, frame=end_frame(conn, "c"))
    return None


def from_broker(story: Story, conn: Conn | None) -> Seen | None:
    """The fatal alert the broker sent: from the wire, else what the device says it received."""
    if conn is not None:
        alert = conn.fatal("broker")
        if alert is not None:
            return Seen(
                code=alert.code,
                evidence=(alert_evidence(alert),),
                exact=True,
                position=alert.position,
                frame=alert.frame,
            )
        if conn.fatal("device") is not None:
            return None
    for hit in story.uart:
        code = alert_of(hit, "broker")
        if code:
            text = f"{uart(hit)}: alert {code} {alert_name(code)} received"
            return Seen(
                code=code, evidence=(text,), exact=False, position=conn_place(conn, "s"), frame=end_frame(conn, "s")
            )
    return None


def conn_place(conn: Conn | None, side: str) -> Position | Literal["unknown"]:
    """How far a connection came, for an alert that cannot be read."""
    if conn is None:
        return "unknown"
    if conn.server_hello is None:
        return "hello" if conn.hellos else "start"
    if conn.mqtt:
        return "application"
    flown = (
        "c" in conn.finished
        or conn.client_certificate is not None
        or conn.client_key_exchange is not None
        or any(s.get("dir") == "c" for s in conn.sealed)
    )
    return "client_flight" if side == "s" and flown else "server_flight"


def end_frame(conn: Conn | None, side: str) -> int:
    """Frame of the last sealed record of a side: where an unreadable alert most likely is."""
    if conn is None:
        return 0
    mine = [s for s in conn.sealed if s.get("dir") == side]
    return int(mine[-1].get("frame", 0)) if mine else 0


def last_failing(story: Story) -> Conn | None:
    """The last connection that failed; a retry of the same story."""
    conns = failing(story)
    return conns[-1] if conns else None
