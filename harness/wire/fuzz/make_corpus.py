"""Seeds of the fuzz targets, cut from the field captures: `python -m harness.wire.fuzz.make_corpus`.

Also writes record_keys.inc, the key log of the connections in the record corpus. Run it again only to change seeds.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

from harness.evidence.wire import decode
from tests.wire.captures import FIELD, Packet, pcap, read

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
KEYED = (
    "netx-12-ec-serveronly",
    "netx-12-rsa-noaead",
    "stacks-ok-p256-13-wolf",
    "stacks-resume-13-ossl",
    "stacks-ccert-none-13-wolf",
)
PLAIN = ("stacks-cipher-noshared-12-wolf", "stacks-mal-sslv2", "stacks-mal-ccs-first", "netx-12-ec-groups-p384-only")


def save(target: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()[:16]).write_bytes(data)


def sides(packets: list[Packet]) -> list[tuple[int, Packet]]:
    """TCP packets of the first connection with payload, 0 for its client."""
    tcp = [p for p in packets if p.is_tcp]
    client = next((p.source for p in tcp if p.flags & 18 == 2), None)
    return [(0 if p.source == client else 1, p) for p in tcp]


def pcapng(packets: list[Packet], secrets: bytes = b"") -> bytes:
    """One section, secrets if given, one interface with nanoseconds."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    if secrets:
        out += block(10, struct.pack("<II", 0x544C534B, len(secrets)) + secrets)
    out += block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3x", 9, 1, 9) + struct.pack("<HH", 0, 0))
    for p in packets:
        head = struct.pack("<IIIII", 0, p.t >> 32, p.t & 0xFFFFFFFF, len(p.data), len(p.data))
        out += block(6, head + p.data)
    return out


def captures() -> None:
    for path in sorted(FIELD.glob("*.pcap"), key=lambda p: p.stat().st_size)[:60:3]:
        save("capture", path.read_bytes())
    packets = read(FIELD / "netx-12-rsa-noaead.pcap")
    save("capture", pcapng(packets, (FIELD / "netx-12-rsa-noaead.keys").read_bytes()))
    save("capture", gzip.compress(pcap(packets[:12]), mtime=0))
    save("capture", pcap(packets[:14], nano=True, big=True))
    raw = [Packet(p.t, p.data[14:]) for p in packets[:14] if p.is_tcp]
    vlan = [Packet(p.t, p.data[:12] + b"\x88\xa8\0\x05\x81\0\0\x06" + p.data[12:]) for p in packets[:14]]
    sll = [Packet(p.t, bytes(14) + p.data[12:]) for p in packets[:14]]
    loop = [Packet(p.t, b"\2\0\0\0" + p.data) for p in raw]
    ppp = [Packet(p.t, b"\xff\x03\0\x21" + p.data) for p in raw]
    for link, made in ((101, raw), (1, vlan), (113, sll), (0, loop), (9, ppp)):
        save("capture", pcap(made, link=link))


def reassembly() -> None:
    for name in ("netx-12-ec-serveronly", "stacks-ok-rsa2048-13-gnutls", "netx-tcp-password-missing"):
        first: dict[int, int] = {}
        out = b""
        for side, p in sides(read(FIELD / f"{name}.pcap"))[:30]:
            first.setdefault(side, p.seq)
            flags = p.flags & 0x17 | side << 7
            ack = int.from_bytes(p.data[p.tcp_at + 8 : p.tcp_at + 12], "big") - first.get(side ^ 1, 0)
            rel = (p.seq - first[side] + 1000) & 0xFFFF
            body = p.payload[:511]
            out += struct.pack(">BHHHB", flags, rel, (ack + 1000) & 0xFFFF, len(body), 2) + body
        save("reassembly", out)


def pieces(name: str, limit: int = 12000) -> bytes:
    out = b""
    for side, p in sides(read(FIELD / f"{name}.pcap")):
        if p.payload and len(out) < limit:
            out += struct.pack(">H", side << 15 | len(p.payload)) + p.payload
    return out


def records() -> None:
    keys = ""
    for name in (*KEYED, *PLAIN):
        save("record", pieces(name))
    for name in KEYED:
        keys += (FIELD / f"{name}.keys").read_text()
    (HERE / "record_keys.inc").write_text("".join(f'"{line}\\n"\n' for line in keys.splitlines()))


def messages() -> None:
    """Handshake messages in the clear, and every certificate."""
    for path in sorted(FIELD.glob("*.pcap")):
        for side in (0, 1):
            stream = b"".join(p.payload for s, p in sides(read(path)) if s == side)
            at, body = 0, b""
            while at + 5 <= len(stream) and stream[at] == 22 and stream[at + 1] == 3:
                size = int.from_bytes(stream[at + 3 : at + 5], "big")
                body += stream[at + 5 : at + 5 + size]
                at += 5 + size
            while len(body) >= 4:
                size = int.from_bytes(body[1:4], "big")
                if len(body) < 4 + size or size > 6000:
                    break
                save("handshake", bytes([body[0], 130 | side << 6]) + body[4 : 4 + size])
                body = body[4 + size :]
    thin("handshake", 40)
    for name in (*KEYED, "stacks-scert-bigchain-13-wolf", "stacks-ccert-rsa1024-13-ossl"):
        events = decode(FIELD / f"{name}.pcap", keylog=FIELD / f"{name}.keys", der=True, events=("certificate",))
        for cert in [cert for event in events for cert in event["chain"]][:4]:
            save("x509", bytes.fromhex(cert["der"]))


def thin(target: str, keep: int) -> None:
    files = sorted((CORPUS / target).iterdir())
    for path in files[keep:]:
        path.unlink()


def mqtt() -> None:
    def piece(side: int, data: bytes) -> bytes:
        return struct.pack(">H", side << 15 | len(data)) + data

    def text(value: bytes) -> bytes:
        return struct.pack(">H", len(value)) + value

    def packet(first: int, body: bytes) -> bytes:
        return bytes([first, *([len(body)] if len(body) < 128 else [len(body) % 128 | 128, len(body) // 128])]) + body

    jwt = b"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJhIiwiaWF0IjoxLCJleHAiOjJ9.c2ln"
    fields = [text(part) for part in (b"dev", b"w/t", b"gone", b"u", jwt)]
    connect3 = packet(0x10, text(b"MQTT") + b"\4\xc6\0\x3c" + b"".join(fields))
    connect5 = packet(0x10, text(b"MQTT") + b"\5\2\0\x3c" + b"\x0b\x11\0\0\0\5\x21\0\2\x22\0\4" + text(b"dev"))
    session3 = [
        (0, connect3), (1, b"\x20\2\0\0"), (0, packet(0x82, b"\0\1" + text(b"a/#") + b"\1")), (1, b"\x90\3\0\1\1"),
        (0, packet(0x32, text(b"a/b") + b"\0\2hello")), (1, b"\x40\2\0\2"), (0, packet(0x34, text(b"a") + b"\0\3x")),
        (1, b"\x50\2\0\3"), (0, b"\x62\2\0\3"), (1, b"\x70\2\0\3"), (0, packet(0xA2, b"\0\4" + text(b"a/#"))),
        (1, b"\xb0\2\0\4"), (0, b"\xc0\0"), (1, b"\xd0\0"), (0, b"\xe0\0"), (0, b"\xc0\0"),
    ]  # fmt: skip
    session5 = [
        (0, connect5), (1, packet(0x20, b"\0\0\x0a\x21\0\3\x22\0\2\x24\1\x25\0")),
        (0, packet(0x82, b"\0\1\2\x0b\1" + text(b"$share/g/a") + b"\1")), (1, b"\x90\4\0\1\0\1"),
        (0, packet(0x32, text(b"") + b"\0\2\3\x23\0\1hi")), (1, b"\x40\4\0\2\x10\0"), (1, b"\xf0\2\x18\0"),
        (1, packet(0xE0, b"\x8e\0")), (0, packet(0xE0, b"\4\6\x26" + text(b"k")[:2] + b"k" + text(b""))),
    ]  # fmt: skip
    for session in (session3, session5):
        for start in (b"\0", b"\1"):
            save("mqtt", start + b"".join(piece(side, data) for side, data in session))
        for _side, data in session:
            save("mqtt", b"\4" + data)
    save("mqtt", b"\0" + jwt)


def keylogs() -> None:
    for name in KEYED:
        save("keylog", (FIELD / f"{name}.keys").read_bytes())
    zero = "00" * 32
    save("keylog", f"# comment\nCLIENT_RANDOM {zero} {'ab' * 48}\r\nCLIENT_RANDOM {zero} xyz\n\nRSA 00 11\n".encode())


def main() -> None:
    captures()
    reassembly()
    records()
    messages()
    mqtt()
    keylogs()


if __name__ == "__main__":
    main()
