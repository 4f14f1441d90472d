"""A second opinion from scapy on what is inside: fields of the hellos, records, and MQTT packets in the clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence.wire import decode
from tests.wire import captures as cap
from tests.wire.captures import FIELD, Packet

scapy_all = pytest.importorskip("scapy.all")
SAMPLE = sorted(p.stem for p in FIELD.glob("*.pcap"))[::4]
EXTENSIONS = {  # extension: (scapy's field, ours)
    10: ("groups", "groups"),
    13: ("sig_algs", "sigalgs"),
    43: ("versions", "versions"),
    45: ("kxmodes", "psk_modes"),
}


@pytest.fixture(scope="module")
def tls() -> Any:
    scapy_all.load_layer("tls")
    from scapy.layers.tls import handshake

    return handshake


def streams(packets: list[Packet]) -> list[tuple[bool, bytes]]:
    """Both directions of each connection; the field captures are in order, a segment sent again is left out."""
    parts: dict[tuple[bytes, int, bytes], dict[int, bytes]] = {}
    clients = {p.source for p in packets if p.is_tcp and p.flags & 18 == 2}
    for p in packets:
        if p.is_tcp and p.payload:
            where = (*p.source, p.data[p.tcp_at + 2 : p.tcp_at + 4])
            parts.setdefault(where, {}).setdefault(p.seq, p.payload)
    return [((key[0], key[1]) in clients, b"".join(pieces.values())) for key, pieces in parts.items()]


def records(stream: bytes) -> list[tuple[int, bytes]]:
    out, at = [], 0
    while at + 5 <= len(stream) and 20 <= stream[at] <= 23 and stream[at + 1] == 3:
        size = int.from_bytes(stream[at + 3 : at + 5], "big")
        if at + 5 + size > len(stream):
            break
        out.append((stream[at], stream[at + 5 : at + 5 + size]))
        at += 5 + size
    return out


def hello_fields(message: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"extensions": [e.type for e in message.ext or ()]}
    for extension in message.ext or ():
        if extension.type in EXTENSIONS:
            theirs, ours = EXTENSIONS[extension.type]
            value = getattr(extension, theirs, None)
            if value is not None:
                out[ours] = list(value)
        elif extension.type == 0 and extension.servernames:
            out["sni"] = extension.servernames[0].servername.decode()
        elif extension.type == 51 and hasattr(extension, "client_shares"):
            out["key_shares"] = [share.group for share in extension.client_shares]
    return out


@pytest.mark.parametrize("name", SAMPLE)
def test_client_hello(name: str, tls: Any) -> None:
    path = FIELD / f"{name}.pcap"
    ours = [e for e in decode(path) if e["ev"] == "client_hello" and not e.get("ssl2") and e["records"] == 1]
    theirs = []
    for client, stream in streams(cap.read(path)):
        for kind, body in records(stream) if client else ():
            whole = kind == 22 and body[:1] == b"\x01" and len(body) >= 4 + int.from_bytes(body[1:4], "big")
            theirs += [tls.TLSClientHello(body)] if whole else []
    assert len(ours) == len(theirs)
    for event, message in zip(ours, theirs, strict=True):
        assert event["suites"] == list(message.ciphers)
        assert event["session_id"] == bytes(message.sid).hex()
        assert event["random"][8:] == bytes(message.random_bytes).hex()
        for key, value in hello_fields(message).items():
            assert event[key] == value, key


@pytest.mark.parametrize("name", SAMPLE)
def test_server_hello(name: str, tls: Any) -> None:
    path = FIELD / f"{name}.pcap"
    ours = [e for e in decode(path) if e["ev"] == "server_hello"]
    theirs = [
        tls.TLSServerHello(body)
        for client, stream in streams(cap.read(path))
        for kind, body in (() if client else records(stream))
        if kind == 22 and body[:1] == b"\x02"
    ]
    assert len(ours) == len(theirs)
    for event, message in zip(ours, theirs, strict=True):
        assert event["suite"] == message.cipher
        assert event["legacy_version"] == f"{message.version:04x}"
        assert event["extensions"] == [e.type for e in message.ext or ()]


@pytest.mark.parametrize("path", sorted(FIELD.glob("netx-tcp-*.pcap")), ids=lambda p: p.stem)
def test_mqtt_in_the_clear(path: Path) -> None:
    from scapy.contrib.mqtt import MQTT

    ours = [e for e in decode(path) if e["ev"] == "mqtt" and e["dir"] == "c"]
    theirs = []
    for client, stream in streams(cap.read(path)):
        at = 0
        while client and at + 2 <= len(stream) and len(stream) >= at + 2 + stream[at + 1]:
            theirs.append(MQTT(stream[at : at + 2 + stream[at + 1]]))
            at += 2 + stream[at + 1]
    assert [(e["type"], e["flags"]) for e in ours] == [
        (m.sprintf("%MQTT.type%"), m.QOS << 1 | m.DUP << 3 | m.RETAIN) for m in theirs
    ]
    for event, message in zip(ours, theirs, strict=True):
        if event["type"] == "CONNECT":
            assert event["client_id"] == message.clientId.decode()
            assert (event["level"], event["keepalive"]) == (message.protolevel, message.klive)
