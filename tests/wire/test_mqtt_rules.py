"""Each statement of MQTT 3.1.1 and 5.0 that the decoder judges: a packet or a session that breaks it, and the same
session without the fault breaking nothing. Also the password that is a token."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.wire import decode
from harness.paths import ROOT
from tests.wire.captures import pcap
from tests.wire.sessions import Recording, packets

C, S = True, False


def text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return len(raw).to_bytes(2, "big") + raw


def packet(first: int, body: bytes = b"") -> bytes:
    size, head = len(body), bytes([first])
    while True:
        size, low = divmod(size, 128)
        head += bytes([low | (128 if size else 0)])
        if not size:
            return head + body


def connect(
    level: int = 4, flags: int = 2, body: bytes = text("dev"), props: bytes = b"", name: bytes = text("MQTT")
) -> tuple[bool, bytes]:
    extra = bytes([len(props)]) + props if level == 5 else b""
    return C, packet(0x10, name + bytes([level, flags]) + b"\0\x3c" + extra + body)


def connack(code: int = 0, flags: int = 0, props: bytes | None = None) -> tuple[bool, bytes]:
    return S, packet(0x20, bytes([flags, code]) + (b"" if props is None else bytes([len(props)]) + props))


def publish(
    qos: int = 0, topic: str | bytes = "a/b", ident: int = 7, flags: int = 0, props: bytes | None = None, by: bool = C
) -> tuple[bool, bytes]:
    body = text(topic) + (ident.to_bytes(2, "big") if qos else b"")
    body += b"" if props is None else bytes([len(props)]) + props
    return by, packet(0x30 | qos << 1 | flags, body + b"hello")


def ack(first: int, ident: int = 7, more: bytes = b"", by: bool = C) -> tuple[bool, bytes]:
    return by, packet(first, ident.to_bytes(2, "big") + more)


def subscribe(
    topic: str | bytes = "a/#", options: int = 0, ident: int = 5, first: int = 0x82, props: bytes | None = None
) -> tuple[bool, bytes]:
    body = ident.to_bytes(2, "big") + (b"" if props is None else bytes([len(props)]) + props)
    return C, packet(first, body + text(topic) + bytes([options]))


START3 = [connect(), connack()]
START5 = [connect(5), connack(props=b"")]
LIMITS5 = [connect(5), connack(props=b"\x21\0\1\x22\0\2\x24\1\x25\0\x27\0\0\0\x40")]

Session = list[tuple[bool, bytes]]

BREAKS: list[tuple[str, str, Session]] = [
    # ---- 3.1.1
    ("3", "1.5.3-1", [connect(body=text(b"a\xff"))]),
    ("3", "1.5.3-1", [connect(body=text(b"\xed\xa0\x80"))]),
    ("3", "1.5.3-2", [connect(body=text(b"a\0b"))]),
    ("3", "2.2.2-1", [*START3, (C, b"\xc1\0")]),
    ("3", "2.3.1-1", [*START3, subscribe(ident=0)]),
    ("3", "2.3.1-1", [*START3, publish(1, ident=0)]),
    ("3", "2.3.1-2", [*START3, publish(1), subscribe(ident=7)]),
    ("3", "2.3.1-2", [*START3, publish(1), publish(1, "c")]),
    ("3", "2.3.1-4", [*START3, publish(1, by=S), publish(1, "c", by=S)]),
    ("3", "2.3.1-6", [*START3, publish(1, by=S), ack(0x40, 8)]),
    ("3", "2.3.1-6", [*START3, publish(2, by=S), ack(0x40, 7)]),
    ("3", "2.3.1-6", [*START3, ack(0x62, 9)]),
    ("3", "2.3.1-7", [*START3, subscribe(), (S, b"\x90\3\0\6\0")]),
    ("3", "3.1.0-1", [subscribe()]),
    ("3", "3.1.0-2", [*START3, connect()]),
    ("3", "3.1.2-1", [connect(name=text("MQTX"))]),
    ("3", "3.1.2-2", [connect(level=6)]),
    ("3", "3.1.2-3", [connect(flags=3)]),
    ("3", "3.1.2-9", [connect(flags=6)]),
    ("3", "3.1.2-13", [connect(flags=0x0A)]),
    ("3", "3.1.2-14", [connect(flags=0x1E, body=text("d") + text("t") + text("m"))]),
    ("3", "3.1.2-15", [connect(flags=0x22)]),
    ("3", "3.1.2-19", [connect(flags=0x82)]),
    ("3", "3.1.2-21", [connect(flags=0xC2, body=text("d") + text("u"))]),
    ("3", "3.1.2-22", [connect(flags=0x42, body=text("d") + text("p"))]),
    ("3", "3.1.3-1", [connect(body=text("d") + b"x")]),
    ("3", "3.1.3-3", [connect(body=b"")]),
    ("3", "3.1.3-4", [connect(body=text(b"\xc0\x80"))]),
    ("3", "3.1.3-7", [connect(flags=0, body=text(""))]),
    ("3", "3.1.3-10", [connect(flags=6, body=text("d") + text(b"\xfe") + text("m"))]),
    ("3", "3.1.3-11", [connect(flags=0x82, body=text("d") + text(b"\xfe"))]),
    ("3", "3.2.0-1", [connect(), publish(by=S)]),
    ("3", "3.2.2-4", [connect(), connack(5, 1)]),
    ("3", "3.3.1-2", [*START3, publish(0, flags=8)]),
    ("3", "3.3.1-4", [*START3, publish(3)]),
    ("3", "3.3.2-1", [*START3, publish(topic=b"a\xff")]),
    ("3", "3.3.2-2", [*START3, publish(topic="a/+")]),
    ("3", "3.6.1-1", [*START3, publish(2), ack(0x50, by=S), ack(0x60)]),
    ("3", "3.8.1-1", [*START3, subscribe(first=0x80)]),
    ("3", "3.8.3-1", [*START3, subscribe(b"\xff")]),
    ("3", "3.8.3-3", [*START3, (C, b"\x82\2\0\5")]),
    ("3", "3-8.3-4", [*START3, subscribe(options=3)]),
    ("3", "3-8.3-4", [*START3, subscribe(options=4)]),
    ("3", "3.9.3-2", [*START3, subscribe(), (S, b"\x90\3\0\5\x03")]),
    ("3", "3.10.1-1", [*START3, (C, packet(0xA0, b"\0\5" + text("a")))]),
    ("3", "3.10.3-1", [*START3, (C, packet(0xA2, b"\0\5" + text(b"\xff")))]),
    ("3", "3.10.3-2", [*START3, (C, b"\xa2\2\0\5")]),
    ("3", "3.14.1-1", [*START3, (C, b"\xe1\0")]),
    ("3", "3.14.4-2", [*START3, (C, b"\xe0\0"), (C, b"\xc0\0")]),
    ("3", "4.6.0-2", [*START3, publish(1, ident=7, by=S), publish(1, ident=3, by=S), ack(0x40, 3)]),
    ("3", "4.6.0-3", [*START3, publish(2, ident=7, by=S), publish(2, ident=3, by=S), ack(0x50, 3)]),
    ("3", "4.7.1-2", [*START3, subscribe("a/#/b")]),
    ("3", "4.7.1-2", [*START3, subscribe("a#")]),
    ("3", "4.7.1-3", [*START3, subscribe("a+/b")]),
    ("3", "4.7.3-1", [*START3, subscribe("")]),
    ("3", "4.7.3-1", [*START3, publish(topic="")]),
    ("3", "4.7.3-2", [*START3, subscribe(b"a\0")]),
    # ---- 5.0
    ("5", "1.5.4-1", [connect(5, body=text(b"\xff"))]),
    ("5", "1.5.4-2", [connect(5, body=text(b"\0"))]),
    ("5", "1.5.5-1", [*START5, (C, b"\xc0\x80\0")]),
    ("5", "1.5.7-1", [connect(5, props=b"\x26" + text(b"\xff") + text("v"))]),
    ("5", "2.1.3-1", [*START5, (C, b"\xc4\0")]),
    ("5", "2.2.1-3", [*START5, subscribe(ident=0, props=b"")]),
    ("5", "2.2.1-4", [*START5, publish(1, ident=0, by=S, props=b"")]),
    ("5", "2.2.1-5", [*START5, publish(1, by=S, props=b""), ack(0x40, 9)]),
    ("5", "2.2.1-6", [*START5, subscribe(props=b""), (S, b"\x90\4\0\6\0\0")]),
    ("5", "2.2.2-1", [(C, packet(0x10, text("MQTT") + b"\5\2\0\x3c"))]),
    ("5", "3.1.2-3", [connect(5, flags=3)]),
    ("5", "3.1.2-11", [connect(5, flags=0x0A)]),
    ("5", "3.1.2-12", [connect(5, flags=0x1E, body=text("d") + b"\0" + text("t") + text("m"))]),
    ("5", "3.1.2-13", [connect(5, flags=0x22)]),
    ("5", "3.1.2-24", [connect(5, props=b"\x27\0\0\0\x08"), connack(props=b""), publish(by=S, props=b"")]),
    ("5", "3.1.2-30", [connect(5, props=b"\x15" + text("X")), publish(props=b"")]),
    ("5", "3.2.0-2", [*START5, connack(props=b"")]),
    ("5", "3.2.2-1", [connect(5), connack(flags=4, props=b"")]),
    ("5", "3.2.2-6", [connect(5), connack(0x87, 1, props=b"")]),
    ("5", "3.2.2-8", [connect(5), connack(5, props=b"")]),
    ("5", "3.2.2-11", [*LIMITS5, publish(2, props=b"")]),
    ("5", "3.2.2-14", [*LIMITS5, publish(flags=1, props=b"")]),
    ("5", "3.2.2-15", [*LIMITS5, publish(topic="t" * 70, props=b"")]),
    ("5", "3.2.2-18", [*START5, publish(props=b"\x23\0\1")]),
    ("5", "3.3.1-2", [*START5, publish(0, flags=8, props=b"")]),
    ("5", "3.3.1-4", [*START5, publish(3, props=b"")]),
    ("5", "3.3.2-8", [*LIMITS5, publish(props=b"\x23\0\0")]),
    ("5", "3.3.2-9", [*LIMITS5, publish(props=b"\x23\0\3")]),
    ("5", "3.3.2-11", [*START5, publish(props=b"\x23\0\1", by=S)]),
    ("5", "3.3.2-13", [*START5, publish(props=b"\x08" + text(b"\xff"))]),
    ("5", "3.3.2-14", [*START5, publish(props=b"\x08" + text("a/#"))]),
    ("5", "3.3.2-19", [*START5, publish(props=b"\x03" + text(b"\xff"))]),
    ("5", "3.3.4-6", [*START5, publish(props=b"\x0b\1")]),
    ("5", "3.3.4-7", [*LIMITS5, publish(1, ident=1, props=b""), publish(1, ident=2, props=b"")]),
    ("5", "3.4.2-1", [*START5, publish(1, by=S, props=b""), ack(0x40, more=b"\x01")]),
    ("5", "3.5.2-1", [*START5, publish(2, by=S, props=b""), ack(0x50, more=b"\x01")]),
    ("5", "3.6.2-1", [*START5, publish(2, props=b""), ack(0x50, by=S), ack(0x62, more=b"\x10")]),
    ("5", "3.7.2-1", [*START5, publish(2, by=S, props=b""), ack(0x50), ack(0x62, by=S), ack(0x70, more=b"\x10")]),
    ("5", "3.8.3-2", [*START5, (C, b"\x82\3\0\5\0")]),
    ("5", "3.8.3-4", [*START5, subscribe("$share/g/a", 4, props=b"")]),
    ("5", "3.8.3-5", [*START5, subscribe(options=0xC0, props=b"")]),
    ("5", "3.9.3-2", [*START5, subscribe(props=b""), (S, b"\x90\4\0\5\0\7")]),
    ("5", "3.10.3-2", [*START5, (C, b"\xa2\3\0\5\0")]),
    ("5", "3.11.3-2", [*START5, (C, packet(0xA2, b"\0\5\0" + text("a"))), (S, b"\xb0\4\0\5\0\7")]),
    ("5", "3.14.0-1", [connect(5), (S, b"\xe0\2\x8d\0")]),
    ("5", "3.14.1-1", [*START5, (C, b"\xe2\0")]),
    ("5", "3.14.2-1", [*START5, (C, b"\xe0\1\x8d")]),
    ("5", "3.14.2-2", [*START5, (S, b"\xe0\7\x8d\5\x11\0\0\0\1")]),
    ("5", "3.14.4-1", [*START5, (C, b"\xe0\0"), (C, b"\xc0\0")]),
    ("5", "3.15.1-1", [*START5, (C, b"\xf1\0")]),
    ("5", "3.15.2-1", [*START5, (C, b"\xf0\1\x01")]),
    ("5", "4.4.0-1", [*START5, publish(1, props=b""), publish(1, flags=8, props=b"")]),
    ("5", "4.7.1-1", [*START5, subscribe("#/a", props=b"")]),
    ("5", "4.7.1-2", [*START5, subscribe("+a", props=b"")]),
    ("5", "4.8.2-1", [*START5, subscribe("$share//a", props=b"")]),
    ("5", "4.8.2-2", [*START5, subscribe("$share/g", props=b"")]),
    ("5", "4.8.2-2", [*START5, subscribe("$share/g+/a", props=b"")]),
]

FAULTLESS: dict[str, Session] = {
    "3.1.1": [
        connect(flags=0xEE, body=text("d") + text("w/t") + text("gone") + text("ü") + text(b"\xff\0")),
        connack(),
        subscribe("+/a/#", 2),
        (S, b"\x90\3\0\5\2"),
        publish(1),
        ack(0x40, by=S),
        publish(1, "c"),  # the identifier is free again
        ack(0x40, by=S),
        publish(2, ident=8),
        ack(0x50, 8, by=S),
        ack(0x62, 8),
        ack(0x62, 8),  # PUBREL may be sent again
        ack(0x70, 8, by=S),
        publish(2, ident=8, by=S),
        ack(0x50, 8),
        ack(0x62, 8, by=S),
        ack(0x70, 8),
        (C, packet(0xA2, b"\0\5" + text("+/a/#"))),
        (S, b"\xb0\2\0\5"),
        (C, b"\xc0\0"),
        (S, b"\xd0\0"),
        (C, b"\xe0\0"),
    ],
    "3.1": [connect(level=3, name=text("MQIsdp")), connack(), publish(), (C, b"\xe0\0")],
    "3.1.1 re-sent": [*START3, publish(1), ack(0x40, by=S)],
    "3.1.1 several": [
        *START3,
        *(publish(q, ident=i, by=S) for i, q in ((9, 1), (8, 2), (7, 1), (6, 2))),
        *(ack(0x40, i) for i in (9, 7)),
        *(ack(0x50, i) for i in (8, 6)),
        *(ack(0x62, i, by=S) for i in (6, 8)),
        *(ack(0x70, i) for i in (6, 8)),
    ],
    "5.0": [
        connect(5, props=b"\x11\0\0\0\5\x21\0\2\x22\0\4\x26" + text("k") + text("v")),
        connack(props=b"\x21\0\2\x22\0\2\x13\0\x3c"),
        subscribe("$share/g/a/+", 1, props=b"\x0b\1"),
        (S, b"\x90\4\0\5\0\1"),
        publish(1, props=b"\x23\0\1"),
        ack(0x40, more=b"\x10\0", by=S),
        publish(0, "", props=b"\x23\0\1"),
        publish(1, by=S, props=b"\x0b\1\x0b\2"),
        ack(0x40, more=b"\0"),
        publish(2, props=b""),
        ack(0x50, more=b"\x97", by=S),  # refused: the identifier is free
        publish(2, props=b""),
        ack(0x50, by=S),
        ack(0x62),
        ack(0x70, by=S),
        (C, b"\xe0\1\x04"),
    ],
}


def events(session: Session, path: Path, *, gap_s: int = 0) -> list[dict[str, Any]]:
    made = packets(Recording(session, ""), 1_750_000_000 * 10**9, 1, 1883)
    if gap_s:
        at = len(made) - 5
        made = made[:at] + [type(p)(p.t + gap_s * 10**9, p.data) for p in made[at:]]
    path.write_bytes(pcap(made))
    return [e for e in decode(path) if e["ev"] == "mqtt"]


def broken(found: list[dict[str, Any]]) -> list[str]:
    return [s["id"] for e in found for s in e.get("statements", ())]


@pytest.mark.parametrize(("version", "statement", "session"), BREAKS, ids=[f"{v}-{s}" for v, s, _ in BREAKS])
def test_a_breach_is_named(version: str, statement: str, session: Session, tmp_path: Path) -> None:
    found = events(session, tmp_path / "x.pcap")
    assert len(found) == len(session)
    assert f"MQTT-{statement}" in broken(found[-1:]), found
    assert not broken(found[:-1]), "only the last packet is at fault"


@pytest.mark.parametrize("name", FAULTLESS)
def test_a_good_session_breaks_nothing(name: str, tmp_path: Path) -> None:
    found = events(FAULTLESS[name], tmp_path / "x.pcap")
    assert len(found) == len(FAULTLESS[name])
    assert not broken(found)
    assert not [e for e in found if "malformed" in e]


@pytest.mark.parametrize(("pause", "late"), [(60, False), (90, True)])
def test_keep_alive(pause: int, late: bool, tmp_path: Path) -> None:
    found = events([*START3, (C, b"\xc0\0")], tmp_path / "x.pcap", gap_s=pause)
    assert ("MQTT-3.1.2-23" in broken(found)) == late


MALFORMED: list[tuple[str, Session]] = [
    ("packet type 0", [*START3, (C, b"\x00\0")]),
    ("too long", [*START3, (C, b"\xc0\1x")]),
    ("too long", [*START3, (C, b"\xe0\1x")]),
    ("remaining length longer than four bytes", [*START3, (C, b"\x30\xff\xff\xff\xff\x01")]),
    ("remaining length longer than needed", [*START3, (C, b"\xc0\x80\0")]),
    ("topic name", [*START3, (C, b"\x30\1\0")]),
    ("packet identifier", [*START3, (C, b"\x32\5\0\3a/b")]),
    ("property given twice", [connect(5, props=b"\x21\0\2\x21\0\2")]),
    ("property that does not belong to this packet", [connect(5, props=b"\x23\0\2")]),
    ("properties", [connect(5, props=b"\x7f\0\2")]),
    ("packet type not in this version", [*START3, (C, b"\xf0\0")]),
]


@pytest.mark.parametrize(("why", "session"), MALFORMED)
def test_malformed_says_why(why: str, session: Session, tmp_path: Path) -> None:
    found = events(session, tmp_path / "x.pcap")
    assert found[-1]["malformed"] == why
    assert not [e for e in found[:-1] if "malformed" in e]


def test_every_rule_has_a_test() -> None:
    """Rules in mqtt_rules.h that no row above breaks must be named here, with the reason."""
    not_reachable = {
        "MQTT-3.3.4-9",  # same code as 3.3.4-7, by the server
    }
    table = (ROOT / "harness" / "wire" / "src" / "mqtt_rules.h").read_text()
    rows = re.findall(r"^X\(\w+, (NULL|\"[^\"]+\"), (NULL|\"[^\"]+\"),", table, re.M)
    assert len(rows) > 60
    tested = {f"MQTT-{statement}" for _, statement, _ in BREAKS} | {"MQTT-3.1.2-23"} | not_reachable
    for v3, v5 in rows:
        names = {name.strip('"') for name in (v3, v5) if name != "NULL"}
        assert names & tested, names


def test_split_anywhere(tmp_path: Path) -> None:
    """The same packets however the stream is cut."""
    session = FAULTLESS["5.0"]
    whole = [{k: v for k, v in e.items() if k not in ("t", "frame")} for e in events(session, tmp_path / "x.pcap")]
    for size in (1, 2, 3, 7):
        cut = [(by, data[i : i + size]) for by, data in session for i in range(0, len(data), size)]
        found = events(cut, tmp_path / "x.pcap")
        assert [{k: v for k, v in e.items() if k not in ("t", "frame")} for e in found] == whole


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def jwt(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"\x5a" * 64) -> bytes:
    return b".".join((b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()), b64(signature)))


def with_password(password: bytes, path: Path) -> dict[str, Any]:
    body = text("d") + text("u") + text(password)
    return events([connect(flags=0xC2, body=body)], path)[0]


def test_jwt(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    token = jwt({"alg": "ES256", "typ": "JWT"}, {"aud": "project", "iat": 1700000000, "exp": 1700003600})
    event = with_password(token, path)
    assert event["password_len"] == len(token)
    assert event["jwt"] == {
        "segments": 3, "alg": "ES256", "typ": "JWT", "kid": False, "aud": "project", "iat": 1700000000,
        "exp": 1700003600, "missing": [], "sig_len": 64, "padding": False, "standard_alphabet": False,
        "times_are_text": False,
    }  # fmt: skip
    said = json.dumps(event)
    assert token.decode() not in said and token.split(b".")[2].decode() not in said
    missing = with_password(jwt({"typ": "JWT"}, {"iat": "1700000000"}), path)["jwt"]
    assert missing["missing"] == ["alg", "aud", "exp"]
    assert missing["times_are_text"] is True
    padded = b".".join(part + b"=" * (-len(part) % 4) for part in token.split(b"."))
    assert with_password(padded, path)["jwt"]["padding"] is True
    standard = base64.b64encode(b"\xfb\xff" * 32)
    assert with_password(b".".join((*token.split(b".")[:2], standard)), path)["jwt"]["standard_alphabet"] is True
    assert with_password(b"eyJub3QganNvbg.e30.eA-and-more", path)["jwt"]["malformed"] == "header is not JSON"
    assert with_password(token.rsplit(b".", 1)[0], path)["jwt"]["malformed"] == "not three parts"
    der = jwt({"alg": "ES256"}, {"aud": "p", "iat": 1, "exp": 2}, b"\x30\x45" + bytes(69))
    assert with_password(der, path)["jwt"]["sig_len"] == 71
    assert "jwt" not in with_password(b"hunter2", path)
    assert "hunter2" not in json.dumps(with_password(b"hunter2", path))
