"""Checks of MQTT 3.1.1 on the decrypted wire. `T_*` are bounds in seconds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from harness.verdict.checks import Finding, Result, Vacuous, check
from harness.verdict.seen import NS, Event, Seen, frame

T_UP = 30.0
T_CLOSE = 5.0
KEEPALIVE_TOLERANCE = 0.5
NO_MQTT = Vacuous("no MQTT packet of the device could be read")
MALFORMED = "mqtt.malformed_packet"


def _statements(packets: Iterable[Event], only: Sequence[str] = ()) -> Iterable[Result]:
    """What the decoder found broken: statements of the standard by id, and packets that do not parse."""
    for packet in packets:
        if reason := packet.get("malformed"):
            yield Finding("must", f"{packet.get('type', 'packet')} is malformed: {reason}", MALFORMED, (frame(packet),))
        for broken in packet.get("statements") or ():
            if only and not any(broken["id"].startswith(prefix) for prefix in only):
                continue
            yield Finding(broken.get("level", "must"),
                          f"{packet.get('type')}: {broken['id']}: {broken.get('text', '')}",
                          MALFORMED, (frame(packet),))  # fmt: skip


@check("MQTT-3.1.0-1, 3.1.0-2")
def connect_first_and_once(seen: Seen) -> Iterable[Result]:
    numbers = [n for n in seen.conns if any(e["ev"] == "mqtt" and e.get("dir") == "c" for e in seen.conn(n))]
    if not numbers:
        yield NO_MQTT
    for number in numbers:
        events = seen.conn(number)
        sent = [e for e in events if e["ev"] == "mqtt" and e.get("dir") == "c"]
        if sent[0].get("type") != "CONNECT":
            yield Finding("must", f"the first packet is {sent[0].get('type')}", MALFORMED, (frame(sent[0]),))
        elif (late := (sent[0]["t"] - events[0]["t"]) / NS) > T_UP:
            yield Finding("must", f"CONNECT came {late:.1f} s after TCP", "device.no_connect", (frame(sent[0]),))
        for again in [e for e in sent[1:] if e.get("type") == "CONNECT"]:
            yield Finding("must", "a second CONNECT on one connection", MALFORMED, (frame(again),))


@check("MQTT-2.2.2-1, 3.1.3-1, 3.1.3-3; server checks 3.1.2-1..3, 3.1.4-1")
def connect_well_formed(seen: Seen) -> Iterable[Result]:
    connects = seen.mqtt("c", "CONNECT")
    if not connects:
        yield NO_MQTT
    for packet in connects:
        if packet.get("protocol") != "MQTT" or packet.get("level") != 4:
            yield Finding("must", f"protocol is {packet.get('protocol')} level {packet.get('level')}, not MQTT level 4",
                          "mqtt.protocol_version_refused", (frame(packet),))  # fmt: skip
        if packet.get("flags", 0) & 0x0F:
            yield Finding("must", "the fixed header's reserved flags are not 0", MALFORMED, (frame(packet),))
    yield from _statements(connects)


@check("MQTT-3.1.2-9, -11, -13..15, -18..22")
def connect_flags(seen: Seen) -> Iterable[Result]:
    connects = seen.mqtt("c", "CONNECT")
    if not connects:
        yield NO_MQTT
    settings = seen.settings
    for packet in connects:
        has_user, has_password = packet.get("username") is not None, packet.get("password_len") is not None
        if has_password and not has_user:
            yield Finding("must", "a password without a user name", MALFORMED, (frame(packet),))
        for key, there in (("mqtt.username", has_user), ("mqtt.password", has_password)):
            if bool(settings.get(key)) != there:
                yield Finding("must", f"{key} is {'configured' if settings.get(key) else 'not configured'} "
                              f"and {'sent' if there else 'not sent'}",
                              "mqtt.bad_credentials", (frame(packet),))  # fmt: skip
        will = packet.get("will")
        wanted = settings.get("mqtt.will", "")
        if bool(wanted) != bool(will):
            yield Finding("must", f"a will is {'configured' if wanted else 'not configured'} and "
                          f"{'sent' if will else 'not sent'}", MALFORMED, (frame(packet),))  # fmt: skip
        elif will and wanted:
            topic, qos, retain, _ = wanted.split(",", 3)
            if (will.get("topic"), int(will.get("qos", 0)), bool(will.get("retain"))) != (
                topic,
                int(qos),
                retain == "1",
            ):
                yield Finding("must", f"the will is {dict(will)}, configured is {wanted}", MALFORMED, (frame(packet),))
    yield from _statements(connects, ("MQTT-3.1.2", "MQTT-3.1.3"))


@check("MQTT-3.1.3-2, -4, -7")
def client_id_stable(seen: Seen) -> Iterable[Result]:
    connects = seen.mqtt("c", "CONNECT")
    if len(connects) < 2:
        yield Vacuous(f"{len(connects)} CONNECT: no reconnect to compare") if connects else NO_MQTT
        return
    ids = {p.get("client_id", "") for p in connects}
    if len(ids) > 1:
        yield Finding("must", "the client identifier changes: " + ", ".join(sorted(ids)), "mqtt.client_id_refused",
                      tuple(frame(p) for p in connects[:4]))  # fmt: skip
    for packet in connects:
        if not packet.get("client_id") and not packet.get("clean"):
            yield Finding("must", "an empty client identifier without CleanSession", "mqtt.client_id_refused",
                          (frame(packet),))  # fmt: skip
    yield from _statements(connects, ("MQTT-3.1.3",))


@check("MQTT-1.5.3-1, -2, 3.1.3-4, -10, -11, 3.3.2-1, 3.8.3-1, 3.10.3-1, 4.7.3-2, -3")
def strings_clean(seen: Seen) -> Iterable[Result]:
    packets = seen.mqtt("c")
    if not packets:
        yield NO_MQTT
    for packet in packets:
        for label, text in _strings(packet):
            if "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text) or "\ufffd" in text:
                yield Finding(
                    "must", f"{packet.get('type')}: {label} holds U+0000 or is not UTF-8", MALFORMED, (frame(packet),)
                )
            elif any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or (ord(c) & 0xFFFE) == 0xFFFE for c in text):
                yield Finding(
                    "should", f"{packet.get('type')}: {label} holds control or non-characters", "", (frame(packet),)
                )
    yield from _statements(packets, ("MQTT-1.5.3", "MQTT-4.7.3"))


def _strings(packet: Event) -> Iterable[tuple[str, str]]:
    for key in ("client_id", "username", "topic"):
        if isinstance(packet.get(key), str):
            yield key, packet[key]
    if packet.get("will"):
        yield "will topic", str(packet["will"].get("topic", ""))
    for entry in packet.get("filters") or ():
        yield "filter", str(entry.get("topic", "") if isinstance(entry, dict) else entry)


@check("MQTT-1.5.3-1, -2, 4.7.3-2, -3")
def bad_topics_refused(seen: Seen) -> Iterable[Result]:
    """The API refuses what the standard forbids, and nothing of it reaches the wire."""
    steps = [e for e in seen.said("step") if e.fields.get("name", "").startswith("badtopic")]
    if not steps:
        yield Vacuous("the device ran no `badtopic` step")
        return
    for step in steps:
        if step.fields.get("rc") in (None, "0"):
            yield Finding("must", f"the API accepted {step.fields.get('name')}", MALFORMED, (f"uart {step.line}",))
    allowed = {seen.settings.get("mqtt.topic", "hil/device")}
    for packet in seen.mqtt("c", "PUBLISH"):
        if packet.get("topic") not in allowed:
            yield Finding("must", "a forbidden topic was sent", MALFORMED, (frame(packet),))


@check("MQTT-2.3.1-5, 3.3.1-2, 3.3.2-1, -2, 4.3.1-1, 4.7.1-1, 4.7.3-1")
def publish_qos0(seen: Seen) -> Iterable[Result]:
    sent = [p for p in seen.mqtt("c", "PUBLISH") if p.get("qos") == 0]
    if not sent:
        yield Vacuous("no PUBLISH with QoS 0 was seen")
        return
    for packet in sent:
        if packet.get("dup"):
            yield Finding("must", "DUP is set at QoS 0", MALFORMED, (frame(packet),))
        if packet.get("id") is not None:
            yield Finding("must", "a packet identifier at QoS 0", MALFORMED, (frame(packet),))
        yield from _topic(packet)
    answered = seen.accepted()
    if answered and (sent[0]["t"] - answered[0]["t"]) / NS > T_UP:
        yield Finding("must", "the PUBLISH came later than T_up after CONNACK", "device.hang", (frame(sent[0]),))
    wanted = (seen.settings.get("mqtt.topic"), len(seen.settings.get("mqtt.payload", "")))
    if wanted[0] and (sent[0].get("topic"), sent[0].get("payload_len")) != wanted:
        yield Finding("advice", f"topic {sent[0].get('topic')} with {sent[0].get('payload_len')} bytes, configured "
                      f"{wanted[0]} with {wanted[1]} (AWS profile)", "", (frame(sent[0]),))  # fmt: skip
    yield from _statements(sent)


def _topic(packet: Event) -> Iterable[Result]:
    topic = str(packet.get("topic", ""))
    if not topic or "+" in topic or "#" in topic or "\x00" in topic:
        yield Finding("must", f"topic `{topic}` is empty or holds a wildcard", MALFORMED, (frame(packet),))


@check("MQTT-2.3.1-1, -2, 4.3.2-1")
def publish_qos1(seen: Seen) -> Iterable[Result]:
    sent = [p for p in seen.mqtt("c", "PUBLISH") if p.get("qos") == 1]
    if not sent:
        yield Vacuous("no PUBLISH with QoS 1 was seen")
        return
    acked: set[tuple[int, int]] = set()
    open_ids: dict[tuple[int, int], Event] = {}
    for packet in seen.of("mqtt"):
        key = (packet.get("conn", 0), packet.get("id") or 0)
        if packet.get("dir") == "s" and packet.get("type") == "PUBACK":
            acked.add(key)
            open_ids.pop(key, None)
        elif packet.get("dir") == "c" and packet.get("type") == "PUBLISH" and packet.get("qos") == 1:
            if not packet.get("id"):
                yield Finding("must", "packet identifier 0", MALFORMED, (frame(packet),))
            if key in open_ids and not packet.get("dup"):
                yield Finding("must", f"packet identifier {key[1]} is in use", MALFORMED, (frame(packet),))
            if packet.get("dup") and key not in open_ids:
                yield Finding("must", "DUP on the first sending, or after PUBACK", MALFORMED, (frame(packet),))
            open_ids[key] = packet
            yield from _topic(packet)
    if not acked:
        yield Vacuous("the broker acknowledged no PUBLISH")
    yield from _statements(sent)


@check("MQTT-3.8.1-1, 3.8.3-1, -3, -4, 3.10.1-1, 3.10.3-1, -2, 2.3.1-1, -2, 4.7.1-2, -3, 4.7.3-1")
def subscribe_well_formed(seen: Seen) -> Iterable[Result]:
    subscribes, unsubscribes = seen.mqtt("c", "SUBSCRIBE"), seen.mqtt("c", "UNSUBSCRIBE")
    if not subscribes or not unsubscribes:
        yield Vacuous(f"{len(subscribes)} SUBSCRIBE and {len(unsubscribes)} UNSUBSCRIBE seen")
    for packet in (*subscribes, *unsubscribes):
        if packet.get("flags", 2) & 0x0F != 2:
            yield Finding("must", f"{packet.get('type')}: fixed-header flags are not 2", MALFORMED, (frame(packet),))
        if not packet.get("id"):
            yield Finding("must", f"{packet.get('type')}: packet identifier 0", MALFORMED, (frame(packet),))
        entries = packet.get("filters") or ()
        if not entries:
            yield Finding("must", f"{packet.get('type')} without a filter", MALFORMED, (frame(packet),))
        for entry in entries:
            text = str(entry.get("topic", "")) if isinstance(entry, dict) else str(entry)
            qos = entry.get("qos", 0) if isinstance(entry, dict) else 0
            if not _filter_good(text):
                yield Finding("must", f"filter `{text}` is not valid", MALFORMED, (frame(packet),))
            if qos not in (0, 1, 2):
                yield Finding("must", f"requested QoS {qos}", MALFORMED, (frame(packet),))
    yield from _statements((*subscribes, *unsubscribes))


def _filter_good(text: str) -> bool:
    levels = text.split("/")
    good = all(("#" not in x or x == "#") and ("+" not in x or x == "+") for x in levels)
    return bool(text) and good and "#" not in levels[:-1] and "\x00" not in text


@check("MQTT-3.1.2-23; server rule 3.1.2-24")
def keep_alive_kept(seen: Seen) -> Iterable[Result]:
    keepalive = int(seen.settings.get("mqtt.keepalive", "0"))
    sent = seen.mqtt("c")
    if not sent or not keepalive:
        yield NO_MQTT if not sent else Vacuous("keep-alive is 0")
        return
    declared = seen.mqtt("c", "CONNECT")
    if declared and declared[0].get("keepalive") != keepalive:
        yield Finding("must", f"CONNECT declares {declared[0].get('keepalive')} s, configured is {keepalive}", "",
                      (frame(declared[0]),))  # fmt: skip
    silent = False
    told = [c.id for c in seen.diagnosis.causes]  # where another fault is seen, silence is what it leads to
    cause = "mqtt.keepalive_timeout" if not told or "mqtt.keepalive_timeout" in told else ""
    for before, after in itertools.pairwise([*sent, *_end(seen, sent[-1])]):
        gap = (after["t"] - before["t"]) / NS
        if before.get("conn") == after.get("conn") and gap > keepalive + KEEPALIVE_TOLERANCE:
            silent = True
            yield Finding("must", f"{gap:.2f} s without a packet, keep-alive is {keepalive} s",
                          cause, (frame(before), frame(after)))  # fmt: skip
    pings = seen.mqtt("c", "PINGREQ")
    if (sent[-1]["t"] - sent[0]["t"]) / NS < 2 * keepalive:
        yield Vacuous(f"the session was shorter than twice the keep-alive of {keepalive} s")
    elif not pings and not silent:
        yield Finding("must", "no PINGREQ while idle", "", (frame(sent[0]), frame(sent[-1])))
    for ping in pings:
        if ping.get("len") != 2:
            yield Finding("must", f"PINGREQ of {ping.get('len')} bytes", MALFORMED, (frame(ping),))
    dropped = next((c for c in seen.diagnosis.causes if c.id == "mqtt.keepalive_timeout"), None)
    if dropped is not None and not silent:
        yield Finding("must", "the broker dropped the session for its keep-alive", dropped.id, dropped.evidence)


def _end(seen: Seen, last: Event) -> list[Event]:
    """The end of the connection of the device's last packet, whoever closes: silence before it counts, too."""
    closes = [e for e in seen.conn(last.get("conn", 0)) if e["ev"] in ("fin", "rst") and e["t"] > last["t"]]
    return closes[:1]


@check("MQTT-3.14.4-1, -2, 2.2.2-1; server check 3.14.1-1")
def disconnect_clean(seen: Seen) -> Iterable[Result]:
    if not seen.accepted():
        yield Vacuous("no session was open")
        return
    for number in sorted({e["conn"] for e in seen.accepted()}):
        events = seen.conn(number)
        sent = [e for e in events if e["ev"] == "mqtt" and e.get("dir") == "c"]
        places = [i for i, e in enumerate(sent) if e.get("type") == "DISCONNECT"]
        if not places:
            yield Finding("should", "closed without DISCONNECT")
            continue
        last = sent[places[0]]
        if last.get("len") != 2 or last.get("flags", 0) & 0x0F:
            yield Finding("must", "DISCONNECT is not E0 00", MALFORMED, (frame(last),))
        if places[0] != len(sent) - 1:
            yield Finding("must", "an MQTT packet after DISCONNECT", MALFORMED, (frame(sent[places[0] + 1]),))
        closed = seen.closed_by_device(number)
        if closed is None and any(e["ev"] == "rst" for e in events):
            continue  # the broker closed at once, and its reset took the socket before the device's FIN
        if closed is None:
            yield Finding(
                "must", "the device did not close TCP after DISCONNECT", "device.session_not_released", (frame(last),)
            )
        elif (closed["t"] - last["t"]) / NS > T_CLOSE:
            yield Finding("must", f"TCP was closed later than T_close ({T_CLOSE:.0f} s)", "device.session_not_released",
                          (frame(closed),))  # fmt: skip
