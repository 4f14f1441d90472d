"""The two sides speak different protocols. The first byte of the device against the type of the listener decides."""

from __future__ import annotations

from collections.abc import Iterable

from harness.diagnosis.facts import Conn, Event, Story
from harness.diagnosis.rules.claim import LOGGED, PROVED, Claim, entries, failing, frame, log
from harness.diagnosis.rules.network import is_cut_by_broker

TLS_PORTS = ("8883", "443", "8884", "8885", "8886", "8887")
PLAIN_PORTS = ("1883", "1884", "80")


def _port(conn: Conn) -> str:
    return conn.server.rpartition(":")[2]


def tls_on_plain_port(story: Story) -> Iterable[Claim]:
    """ClientHello, then the connection ends without one byte of TLS from the other side."""
    for conn in failing(story)[-1:]:
        if not conn.hellos or conn.server_hello or conn.alerts:
            continue
        mqtt_log = [e for e in story.broker if e.kind == "protocol_error" and e.client == "<unknown>"]
        answer = conn.data.get("s")
        if answer is not None and str(answer.get("first", "")).startswith(("15", "16")):
            continue  # a record, if an odd one
        known_plain = story.listener is not None and not story.listener.tls and story.listener.source != "inferred"
        if conn.gaps and not known_plain and not mqtt_log:
            continue  # what the broker said may be what is missing
        silent = known_plain and not conn.payload("s")  # then it is no matter who loses patience first
        if answer is None and not silent and (not is_cut_by_broker(conn) or _speaks_tls(story, conn)):
            continue
        if story.listener is not None and story.listener.tls and story.listener.source != "inferred" and not mqtt_log:
            continue
        evidence = [frame(conn.hellos[0], f"ClientHello to {conn.server}")]
        if answer is not None:
            evidence.append(frame(answer, f"answered in clear: {answer.get('text', '')!r}"))
        elif conn.resets or conn.fins:
            evidence.append(frame([*conn.resets, *conn.fins][0], "closed without one byte"))
        evidence += [log(e) for e in mqtt_log[:1]]
        if known_plain:
            evidence.append("listener: the configuration has no TLS on this port")
        sure = known_plain or bool(mqtt_log) or answer is not None
        likely = sure or _port(conn) in PLAIN_PORTS or not any(e.code for e in story.broker)
        if not likely:
            continue
        yield Claim(
            id="protocol.tls_on_plain_port",
            confidence="certain" if known_plain and not conn.payload("s") else "probable",
            weight=PROVED + (5 if sure else -10),
            evidence=tuple(evidence),
            explain=f"The device speaks TLS to {conn.server}, which is a plain listener.",
            frame=int(conn.hellos[0].get("frame", 0)),
        )


def _speaks_tls(story: Story, conn: Conn) -> bool:
    """Another connection to the same port got a ServerHello."""
    return any(c.server == conn.server and c.server_hello is not None for c in story.conns)


def plain_mqtt_on_tls_port(story: Story) -> Iterable[Claim]:
    """CONNECT in clear to a TLS listener: no alert, only RST."""
    for conn in failing(story)[-1:]:
        clear = [m for m in conn.packets("CONNECT", "c") if not m.get("tls")]
        if not clear or conn.packets("CONNACK", "s"):
            continue
        known = story.listener is not None and story.listener.tls and story.listener.source != "inferred"
        said = entries(story, "wrong version number", "unknown protocol", "packet length too long")
        alert = conn.fatal("broker")
        if not (known or said or alert or _port(conn) in TLS_PORTS):
            continue
        if not (is_cut_by_broker(conn) or alert or said):
            continue
        sure = known or bool(said) or alert is not None
        yield Claim(
            id="protocol.plain_mqtt_on_tls_port",
            confidence="certain" if sure else "probable",
            weight=PROVED + 5,
            evidence=(frame(clear[0], f"CONNECT in clear to {conn.server}"), *(log(e) for e in said[:1])),
            explain=f"The device speaks MQTT without TLS to {conn.server}, which is a TLS listener.",
            frame=int(clear[0].get("frame", 0)),
        )


def not_tls(story: Story) -> Iterable[Claim]:
    """Neither TLS nor MQTT on the port: HTTP, a port scan, line noise."""
    for conn in failing(story)[-1:]:
        data = conn.data.get("c")
        said = entries(story, "http request", "wrong version number", "unknown protocol", "https proxy request")
        if data is None or conn.hellos or conn.packets("CONNECT", "c") or conn.how == "mid" or conn.gaps:
            continue
        text = str(data.get("text", "")) or str(data.get("first", ""))
        looks_tls = str(data.get("first", "")).startswith(("16", "15", "14", "17"))
        if looks_tls:
            yield Claim(
                id="tls.malformed_message",
                confidence="probable",
                weight=PROVED,
                evidence=(
                    frame(data, f"a record that is not TLS: {data.get('first', '')}"),
                    *(log(e) for e in said[:1]),
                ),
                explain="What the device sent begins like a TLS record and has no valid version or length.",
                frame=int(data.get("frame", 0)),
            )
        yield Claim(
            id="protocol.not_tls",
            confidence="probable",
            weight=PROVED - (5 if looks_tls else -5),
            evidence=(frame(data, f"the device sent {text[:60]!r}"), *(log(e) for e in said[:1])),
            explain=f"What was sent to {conn.server} is neither TLS nor MQTT.",
            frame=int(data.get("frame", 0)),
        )


def not_mqtt(story: Story) -> Iterable[Claim]:
    """TLS is good, and inside it is not MQTT."""
    for conn in failing(story)[-1:]:
        inside = [a for a in conn.app if a.get("dir") == "c"]
        if not inside or conn.packets("CONNECT", "c"):
            continue
        kind = packet_type(inside[0])
        if kind:
            text = f"the first packet is {kind}, not CONNECT [MQTT-3.1.0-1]"
            yield Claim(
                id="mqtt.malformed_packet",
                confidence="probable",
                weight=PROVED + 2,
                evidence=(frame(inside[0], text),),
                explain=text[:1].upper() + text[1:] + ".",
                frame=int(inside[0].get("frame", 0)),
            )
        yield Claim(
            id="protocol.not_mqtt",
            confidence="possible" if kind else "probable",
            weight=PROVED - (40 if kind else 0),
            evidence=(frame(inside[0], f"inside TLS the device sent {inside[0].get('first', '')}"),),
            explain="The TLS session is up and what the device sends inside is not MQTT.",
            frame=int(inside[0].get("frame", 0)),
        )
        said = [e for e in story.broker if e.kind in ("protocol_error", "malformed")]
        if said:
            yield Claim(id="mqtt.malformed_packet", confidence="possible", weight=LOGGED - 5, evidence=(log(said[0]),))


_PACKETS = {
    0x3: "PUBLISH", 0x6: "PUBREL", 0x8: "SUBSCRIBE", 0xA: "UNSUBSCRIBE", 0xC: "PINGREQ", 0xE: "DISCONNECT",
}  # fmt: skip


def packet_type(app: Event) -> str:
    """Name of the one whole MQTT packet that these bytes are, "" when they are none (or a CONNECT)."""
    data = bytes.fromhex(str(app.get("first", "")))
    kind = _PACKETS.get(data[0] >> 4, "") if data else ""
    if not kind or (kind != "PUBLISH" and data[0] & 15 != (2 if kind in ("PUBREL", "SUBSCRIBE", "UNSUBSCRIBE") else 0)):
        return ""
    size = 0
    for index, digit in enumerate(data[1:5]):
        size |= (digit & 127) << (7 * index)
        if digit < 128:
            return kind if size + index + 2 == int(app.get("len", 0)) else ""
    return ""
