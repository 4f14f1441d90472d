"""Typed facts of a story: what happened on each connection, and what the device and the broker said. Pure.

`tell` turns the events of `hil-wire` (docs/wire-events.md), UART hits, broker-log entries and a listener into a
`Story`. Rules read stories only, never raw streams. Times are nanoseconds since 1970, certificate dates seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from harness.model import DeviceFacts, Listener

if TYPE_CHECKING:
    from harness.evidence.broker_log import BrokerEntry
    from harness.evidence.uart import UartHit, UartLog

Event = Mapping[str, Any]
ECHOES = (0, 50, 80, 90)  # what a stack may answer to an unexpected end of the stream: close_notify, decode_error, …
Position = Literal["start", "hello", "server_flight", "client_flight", "application"]
NS = 1_000_000_000


class AlertFact(msgspec.Struct, frozen=True, kw_only=True):
    """One alert with its place in the exchange: the place decides what the number means."""

    sender: Literal["device", "broker"]
    level: int
    code: int
    name: str
    encrypted: bool
    frame: int
    t: int
    position: Position
    after_fin: bool  # the other side had already closed: the alert is an echo, not a cause

    @property
    def fatal(self) -> bool:
        return self.code not in (0, 90) and not (self.level == 1 and self.code in (100, 112))


class Conn(msgspec.Struct, kw_only=True):
    """One TCP connection (or attempt)."""

    number: int
    client: str = ""
    server: str = ""
    how: str = ""
    opened: int = 0
    syns: list[Event] = []
    synack: Event | None = None
    resets: list[Event] = []
    fins: list[Event] = []
    hellos: list[Event] = []
    server_hello: Event | None = None
    retry: Event | None = None
    server_certificate: Event | None = None
    client_certificate: Event | None = None
    certificate_request: Event | None = None
    server_key_exchange: Event | None = None
    client_key_exchange: Event | None = None
    client_verify: Event | None = None
    finished: dict[str, Event] = {}
    ccs: dict[str, Event] = {}
    tickets: list[Event] = []
    odd: list[Event] = []  # handshake messages of other types, or that do not parse
    alerts: list[AlertFact] = []
    mqtt: list[Event] = []
    app: list[Event] = []
    sealed: list[Event] = []
    data: dict[str, Event] = {}
    records: list[Event] = []
    gaps: list[Event] = []
    icmp: list[Event] = []
    close: Event | None = None
    last: int = 0

    @property
    def hello(self) -> Event | None:
        return self.hellos[0] if self.hellos else None

    @property
    def version(self) -> str:
        """Negotiated version "1.2" …, or "" before ServerHello."""
        if self.server_hello is None:
            return ""
        known = {"0301": "1.0", "0302": "1.1", "0303": "1.2", "0304": "1.3", "0300": "3.0"}
        return known.get(str(self.server_hello.get("version", "")), "")

    @property
    def resumed(self) -> bool:
        hello = self.server_hello
        return hello is not None and (bool(hello.get("resumed")) or hello.get("psk") is not None)

    @property
    def handshake(self) -> str:
        return str(self.close.get("handshake", "unknown")) if self.close else "unknown"

    @property
    def tls(self) -> bool:
        return bool(self.hellos) or bool(self.close and self.close.get("tls"))

    @property
    def decrypted(self) -> bool:
        return bool(self.close and self.close.get("decrypted"))

    @property
    def sender_first(self) -> str:
        """Who closed first: "c", "s" or "" (by the first FIN or RST that is not the refusal of a SYN)."""
        ends = sorted([*self.fins, *self.resets], key=_order)
        return str(ends[0].get("dir", "")) if ends else ""

    def payload(self, side: str) -> int:
        """Payload bytes of a side."""
        return int(self.close.get(f"bytes_{side}", 0)) if self.close else 0

    def fatal(self, sender: str) -> AlertFact | None:
        """The first fatal alert of a side that is not the echo of the other's close."""
        return next((a for a in self.alerts if a.sender == sender and a.fatal and not a.after_fin), None)

    def packets(self, kind: str, side: str = "") -> list[Event]:
        return [m for m in self.mqtt if m.get("type") == kind and (not side or m.get("dir") == side)]

    @property
    def refused(self) -> Event | None:
        """The RST that answers a SYN."""
        if self.synack is not None or not self.syns or self.hellos or self.mqtt:
            return None
        return next((r for r in self.resets if r.get("dir") == "s"), None)

    @property
    def established(self) -> bool:
        return self.synack is not None or self.how == "mid" or bool(self.hellos or self.mqtt or self.data)

    @property
    def complete(self) -> bool:
        """The TLS handshake is over on both sides, as far as it can be seen."""
        if self.mqtt and self.tls:
            return any(m.get("dir") == "s" for m in self.mqtt) or self.handshake == "complete"
        return self.handshake == "complete"


class Story(msgspec.Struct, kw_only=True):
    """Everything known. `conns` are those of the device with the broker, oldest first."""

    conns: list[Conn] = []
    others: list[Conn] = []  # connections that carry neither TLS nor MQTT and belong to no listener
    uart: Sequence[UartHit] = ()
    log: UartLog | None = None  # the whole UART log, with faults and boots
    broker: Sequence[BrokerEntry] = ()
    listener: Listener | None = None
    device: DeviceFacts = DeviceFacts()
    stack: str = ""  # "netx", "mbedtls", "wolfssl", "openssl", "gnutls", …; "" unknown
    has_wire: bool = False
    has_uart: bool = False
    has_broker: bool = False
    arp: list[Event] = []
    dns: list[Event] = []
    end: Event | None = None
    keys_missing: bool = False  # something stayed sealed
    keys_wrong: bool = False  # keys were given and do not belong

    @property
    def now(self) -> int:
        """When it happened, Unix seconds: the last packet's time (0 when there is no capture)."""
        times = [c.last for c in self.conns if c.last]
        return max(times) // NS if times else 0

    @property
    def main(self) -> Conn | None:
        """The connection that tells the story: the last one that got furthest; retries are the same story."""
        if not self.conns:
            return None
        tls_or_mqtt = [c for c in self.conns if c.hellos or c.mqtt or c.data]
        return (tls_or_mqtt or self.conns)[-1]


_KINDS = {
    "server_key_exchange": "server_key_exchange",
    "certificate_request": "certificate_request",
    "client_key_exchange": "client_key_exchange",
}


def tell(
    events: Iterable[Event],
    uart: UartLog | None = None,
    broker: Sequence[BrokerEntry] = (),
    listener: Listener | None = None,
    device: DeviceFacts | None = None,
) -> Story:
    """Build the story. Unknown events are ignored; a missing field is an absent fact, never an error."""
    story = Story(broker=broker, listener=listener, device=device or DeviceFacts())
    if uart is not None:
        story.uart, story.log = uart.hits, uart
    story.has_uart, story.has_broker = uart is not None, bool(broker)
    conns: dict[int, Conn] = {}
    for event in events:
        kind = event.get("ev")
        if kind == "capture":
            story.has_wire = True
        elif kind == "arp":
            story.arp.append(event)
        elif kind == "dns":
            story.dns.append(event)
        elif kind == "end":
            story.end = event
        number = event.get("conn")
        if not isinstance(number, int):
            continue
        story.has_wire = True
        conn = conns.get(number)
        if conn is None:
            conn = conns[number] = Conn(number=number)
        _take(conn, str(kind), event)
    mqtt = {c.server for c in conns.values() if _is_mqtt(c)}
    for conn in conns.values():
        ours = conn.server in mqtt if mqtt else _belongs(conn)
        (story.conns if ours else story.others).append(conn)
    story.conns.sort(key=lambda c: (c.opened, c.number))
    story.stack = _stack(story)
    story.keys_missing = any(c.sealed and not c.decrypted for c in story.conns)
    fits = {str(c.close.get("keys")) for c in story.conns if c.close is not None and c.sealed}
    given = bool(story.end and story.end.get("keylog_lines"))
    story.keys_wrong = "wrong" in fits or (given and bool(fits) and "matched" not in fits)
    return story


def _stack(story: Story) -> str:
    """The device's TLS stack: told by the bench, printed on the UART, or known by its ClientHello."""
    if story.device.stack:
        return story.device.stack.partition("-")[0].lower()
    if story.log is not None and story.log.stack:
        return story.log.stack
    return "netx" if any(is_netx(c.hello) for c in story.conns if c.hello) else ""


NETX_SUITES = frozenset({0x1301, 0x1304, 0x1305, 0xC02B, 0xC02F, 0xC023, 0xC027, 0x009C, 0x003D, 0x003C, 0xC030})


def is_netx(hello: Event | None) -> bool:
    """NetX Secure by its ClientHello: only suites of its stock table, no GREASE, no extended_master_secret."""
    if hello is None:
        return False
    listed = [s for s in hello.get("suites", ()) if s not in (0x00FF, 0x5600)]
    extensions = set(hello.get("extensions", ()))
    known = {0, 1, 10, 11, 13, 41, 43, 44, 45, 51, 0xFF01}
    return bool(listed) and set(listed) <= NETX_SUITES and len(listed) >= 5 and extensions <= known


MQTT_PORTS = ("1883", "8883", "1884", "8884", "8885", "8886")


def _is_mqtt(conn: Conn) -> bool:
    """MQTT by what it carries, by ALPN or by port; a device also talks HTTPS and the like to others."""
    alpn = (conn.hello or {}).get("alpn") or ()
    return bool(conn.mqtt) or any("mqtt" in str(a) for a in alpn) or conn.server.rpartition(":")[2] in MQTT_PORTS


def _belongs(conn: Conn) -> bool:
    """Is this a connection of the story? Side traffic that never carried TLS or MQTT on another port is not."""
    if conn.tls or conn.mqtt or conn.hellos or conn.sealed or conn.records:
        return True
    port = conn.server.rpartition(":")[2]
    return port not in ("53", "80", "22", "123", "67", "68")


def _take(conn: Conn, kind: str, event: Event) -> None:
    conn.last = max(conn.last, int(event.get("t", 0)))
    side = str(event.get("dir", ""))
    if kind == "open":
        conn.client, conn.server = str(event.get("client", "")), str(event.get("server", ""))
        conn.how, conn.opened = str(event.get("how", "")), int(event.get("t", 0))
    elif kind == "syn":
        conn.syns.append(event)
    elif kind == "synack":
        conn.synack = event
    elif kind == "rst":
        conn.resets.append(event)
    elif kind == "fin":
        conn.fins.append(event)
    elif kind == "client_hello":
        conn.hellos.append(event)
    elif kind == "server_hello":
        if event.get("hrr"):
            conn.retry = event
        else:
            conn.server_hello = event
    elif kind == "certificate":
        if side == "c":
            conn.client_certificate = event
        else:
            conn.server_certificate = event
    elif kind in _KINDS:
        setattr(conn, _KINDS[kind], event)
    elif kind == "certificate_verify":
        if side == "c":
            conn.client_verify = event
    elif kind == "finished":
        conn.finished.setdefault(side, event)
    elif kind == "ccs":
        conn.ccs.setdefault(side, event)
    elif kind == "new_session_ticket":
        conn.tickets.append(event)
    elif kind == "handshake":
        conn.odd.append(event)
    elif kind == "alert":
        conn.alerts.append(_alert(conn, event))
    elif kind == "mqtt":
        conn.mqtt.append(event)
    elif kind == "app":
        conn.app.append(event)
    elif kind == "sealed":
        conn.sealed.append(event)
    elif kind == "data":
        conn.data.setdefault(side, event)
    elif kind == "record":
        if len(conn.records) < 4096:
            conn.records.append(event)
    elif kind == "gap":
        conn.gaps.append(event)
    elif kind == "icmp":
        conn.icmp.append(event)
    elif kind == "close":
        conn.close = event


def _alert(conn: Conn, event: Event) -> AlertFact:
    sender: Literal["device", "broker"] = "device" if event.get("sender") == "client" else "broker"
    other = "s" if sender == "device" else "c"
    ended = any(f.get("dir") == other for f in [*conn.fins, *conn.resets])
    return AlertFact(
        sender=sender,
        level=int(event.get("level", 2)),
        code=int(event.get("code", 0)),
        name=str(event.get("name", "")),
        encrypted=bool(event.get("encrypted")),
        frame=int(event.get("frame", 0)),
        t=int(event.get("t", 0)),
        position=_position(conn),
        after_fin=ended and int(event.get("code", 0)) in ECHOES,
    )


def _position(conn: Conn) -> Position:
    """How far the exchange had come when the next event arrived."""
    if conn.mqtt and any(m.get("dir") == "s" for m in conn.mqtt):
        return "application"
    if conn.version == "1.3":
        if "c" in conn.finished and (conn.tickets or any(a.get("dir") == "s" for a in conn.app)):
            return "application"
        if conn.client_certificate is not None or "c" in conn.finished:
            return "client_flight"
        sent = [s for s in conn.sealed if s.get("dir") == "c"]
        return "client_flight" if sent else "server_flight"
    if conn.server_hello is not None:
        if {"c", "s"} <= set(conn.ccs):
            early = {m.get("dir") for m in conn.sealed if m.get("guess") != "finished"}
            early |= {a.get("dir") for a in conn.app}
            done = {"c", "s"} <= set(conn.finished) or bool(early) or conn.mqtt
            return "application" if done else "client_flight"
        started = conn.client_certificate is not None or conn.client_key_exchange is not None or "c" in conn.ccs
        return "client_flight" if started else "server_flight"
    return "hello" if conn.hellos else "start"


def _order(event: Event) -> tuple[int, int]:
    return int(event.get("t", 0)), int(event.get("frame", 0))


def leaf(event: Event | None) -> Mapping[str, Any] | None:
    """The end-entity certificate of a `certificate` event."""
    chain = event.get("chain") if event else None
    return chain[0] if chain else None


def certificate_names(end: Mapping[str, Any]) -> list[str]:
    """RFC 6125: subjectAltName; the common name only when there is none."""
    names = [str(n) for n in (*end.get("dns", ()), *end.get("ip", ()))]
    return names or ([str(end["cn"])] if end.get("cn") else [])


def empty_certificate(conn: Conn) -> Event | None:
    """The device's Certificate message without a certificate, when it was readable."""
    message = conn.client_certificate
    return message if message is not None and not message.get("count") else None
