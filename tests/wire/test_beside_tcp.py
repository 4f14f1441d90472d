"""Events that are not of a stream: ARP, ICMP, DNS; what a connection's end is called; guesses about sealed records."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

from harness.evidence.wire import decode
from tests.wire import captures as cap
from tests.wire.captures import ETHER, FIELD, Packet, pcap
from tests.wire.sessions import Recording, packets

START = 1_750_000_000 * 10**9
A, B, C = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), bytes((10, 0, 0, 3))


def ethernet(kind: int, body: bytes) -> bytes:
    return bytes(12) + kind.to_bytes(2, "big") + body


def ip(source: bytes, target: bytes, proto: int, body: bytes) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, proto, 0)
    return ethernet(0x0800, head + source + target + body)


def arp(op: int, sender: bytes, target: bytes) -> bytes:
    return ethernet(0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, op) + bytes(6) + sender + bytes(6) + target)


def dns(source: bytes, target: bytes, ident: int, flags: int, name: str, answer: bytes = b"") -> bytes:
    body = struct.pack(">HHHHHH", ident, flags, 1, 1 if answer else 0, 0, 0)
    body += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1" + answer
    ports = (53, 5000) if flags & 0x8000 else (5000, 53)
    return ip(source, target, 17, struct.pack(">HHHH", *ports, 8 + len(body), 0) + body)


def tcp(source: bytes, target: bytes, sport: int, dport: int, flags: int, seq: int = 1, ack: int = 0) -> bytes:
    return ip(source, target, 6, struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 1000, 0, 0))


def run(path: Path, frames: list[bytes], step: int = 10**6) -> list[dict[str, Any]]:
    path.write_bytes(pcap([Packet(START + i * step, data) for i, data in enumerate(frames)]))
    return decode(path)


def test_arp(tmp_path: Path) -> None:
    frames = [arp(1, A, B), arp(1, A, C), arp(2, B, A), arp(1, A, C), arp(1, A, A)]
    found = [e for e in run(tmp_path / "x.pcap", frames) if e["ev"] == "arp"]
    assert [(e["who"], e["count"], e["frame"]) for e in found] == [("10.0.0.3", 2, 2)]


def test_dns(tmp_path: Path) -> None:
    address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, 7))
    frames = [
        dns(A, B, 1, 0x0100, "broker.example"),
        dns(B, A, 1, 0x8180, "broker.example", address),
        dns(A, B, 2, 0x0100, "gone.example"),
        dns(B, A, 2, 0x8183, "gone.example"),
        dns(A, B, 3, 0x0100, "mute.example"),
        dns(A, B, 4, 0x0100, "mute.example"),
    ]
    found = [e for e in run(tmp_path / "x.pcap", frames) if e["ev"] == "dns"]
    assert [(e["name"], e["answered"], e.get("rcode"), e.get("answers"), e.get("count")) for e in found] == [
        ("broker.example", True, 0, ["192.0.2.7"], None),
        ("gone.example", True, 3, [], None),
        ("mute.example", False, None, None, 2),
    ]
    assert found[2]["frame"] == 5


def test_icmp_belongs_to_its_connection(tmp_path: Path) -> None:
    syn = tcp(A, B, 4000, 8883, 2)
    unreachable = ip(C, A, 1, b"\3\1\0\0\0\0\0\0" + syn[ETHER : ETHER + 28])
    other = ip(C, A, 1, b"\3\3\0\0\0\0\0\0" + ip(A, B, 17, bytes(8))[ETHER:])
    ping = ip(A, B, 1, b"\x08\0\0\0\0\0\0\0")
    events = run(tmp_path / "x.pcap", [syn, unreachable, other, ping])
    found = [e for e in events if e["ev"] == "icmp"]
    assert [(e["type"], e["code"], e["text"], e.get("conn")) for e in found] == [
        (3, 1, "host unreachable", 1),
        (3, 3, "port unreachable", None),
    ]
    assert events[-1]["skipped"] == {"not_tcp": 1}


def test_ends(tmp_path: Path) -> None:
    syn = tcp(A, B, 4000, 8883, 2, 1)
    refused = [syn, tcp(B, A, 8883, 4000, 0x14, 0, 2)]
    assert [(e["how"], e["first"]) for e in run(tmp_path / "x", refused) if e["ev"] == "close"] == [("rst", "s")]
    silent = [syn, syn, syn]
    events = run(tmp_path / "x", silent, 10**9)
    assert [e.get("retransmission", False) for e in events if e["ev"] == "syn"] == [False, True, True]
    assert [(e["how"], e["retransmissions"]) for e in events if e["ev"] == "close"] == [("end", 2)]
    long_after = [syn, tcp(A, C, 4001, 8883, 2)]
    events = run(tmp_path / "x", long_after, 8000 * 10**9)
    assert [(e["conn"], e["how"]) for e in events if e["ev"] == "close"] == [(1, "idle"), (2, "end")]


def test_client_without_syn(tmp_path: Path) -> None:
    hello = next(p for p in cap.read(FIELD / "netx-12-ec-serveronly.pcap") if p.is_tcp and p.payload)
    events = run(tmp_path / "x", [hello.data])
    opened = next(e for e in events if e["ev"] == "open")
    assert opened["how"] == "mid" and opened["server"].endswith(":8883")
    ack = tcp(A, B, 8883, 40000, 0x10, 5, 9)
    assert next(e for e in run(tmp_path / "x", [ack]) if e["ev"] == "open")["client"] == "10.0.0.2:40000"
    ack = tcp(A, B, 9000, 40000, 0x10, 5, 9)
    assert next(e for e in run(tmp_path / "x", [ack]) if e["ev"] == "open")["client"] == "10.0.0.2:40000"
    chosen = tmp_path / "x"
    chosen.write_bytes(pcap([Packet(START, tcp(A, B, 9000, 40000, 0x10, 5, 9))]))
    opened = next(e for e in decode(chosen, ports=(40000,)) if e["ev"] == "open")
    assert opened["server"] == "10.0.0.2:40000"


def test_guesses_are_what_the_keys_show() -> None:
    """Every guess about a sealed record of the field captures, against the same record opened."""
    fits: Counter[tuple[str, bool]] = Counter()
    for keylog in sorted(FIELD.glob("*.keys")):
        path, inside, place = keylog.with_suffix(".pcap"), {}, None
        count: Counter[tuple[int, str]] = Counter()
        for e in decode(path, keylog=keylog):
            if e["ev"] == "record" and e["encrypted"]:
                count[e["conn"], e["dir"]] += 1
                place = (e["conn"], e["dir"], count[e["conn"], e["dir"]])
                inside[place] = e["ev"]
            elif place and e.get("conn") == place[0] and inside[place] == "record":
                inside[place] = e["ev"] if e["ev"] != "mqtt" else f"mqtt {e['len']}"
        for e in decode(path, events=("sealed",)):
            guess, truth = e.get("guess"), inside[e["conn"], e["dir"], e["index"]]
            if guess is None or truth == "sealed":
                continue
            right = {
                "empty_certificate": ("certificate",),
                "mqtt_2_bytes": ("mqtt 2", "alert"),  # the same length
                "mqtt_4_bytes": ("mqtt 4",),
            }.get(guess, (guess,))
            fits[guess, truth in right] += 1
    assert not [guess for (guess, right) in fits if not right], fits
    assert {guess for guess, _ in fits} >= {"alert", "finished", "empty_certificate", "encrypted_extensions"}
    assert sum(fits.values()) > 150


def test_what_is_spoken_is_found_on_any_port(tmp_path: Path) -> None:
    """CONNECT anywhere, even with another protocol's name; other packets first only where MQTT is expected."""
    connect = b"\x10\x0f\0\4MQTT\4\2\0\x3c\0\3dev"
    other_name = connect.replace(b"MQTT", b"XXXX")
    publish = b"\x30\7\0\3a/bhi"
    text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    path = tmp_path / "x.pcap"

    def kinds(first: bytes, port: int, ports: tuple[int, ...] = ()) -> list[str]:
        path.write_bytes(pcap(packets(Recording([(True, first)], ""), START, 1, port)))
        return [e["ev"] for e in decode(path, ports=ports) if e["ev"] in ("mqtt", "data", "record", "client_hello")]

    for port in (1883, 8883, 5555):
        assert kinds(connect, port) == ["mqtt"]
        assert kinds(other_name, port) == ["mqtt"]
        assert kinds(text, port) == ["data"]
        assert kinds(text, port, (port,)) == ["data"]
    assert kinds(publish, 1883) == kinds(publish, 5555, (5555,)) == ["mqtt"]
    assert kinds(publish, 5555) == ["data"]
    assert kinds(b"0123456789 text that begins like a PUBLISH", 5555, (5555,)) == ["data"]
    ssl2 = cap.read(FIELD / "stacks-mal-sslv2.pcap")
    hello = next(p.payload for p in ssl2 if p.is_tcp and p.payload)
    assert kinds(hello, 5555, (5555,)) == kinds(hello, 8883) == ["client_hello"]
