"""Captures for the benchmark: real TLS 1.2 and 1.3 sessions with MQTT inside, laid out as TCP over Ethernet.

A few sessions are really run (ssl.MemoryBIO, no sockets) and then repeated under other addresses, ports and times, so a
capture of any size is made at disk speed. Deterministic in shape, not in bytes (TLS is random).
"""

from __future__ import annotations

import os
import ssl
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.lab.pki import Pki

MSS = 1448
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)  # nanoseconds, Ethernet
ETHERNET = bytes.fromhex("020000000001020000000002") + b"\x08\x00"
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10


@dataclass(frozen=True)
class Session:
    """What each side wrote, in order: (from_client, bytes)."""

    flights: list[tuple[bool, bytes]]
    version: str


def mqtt_connect(client_id: bytes) -> bytes:
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack(">H", len(client_id)) + client_id
    return bytes([0x10, len(body)]) + body


def mqtt_publish(payload: bytes) -> bytes:
    body = b"\x00\x06bench/" + payload
    length, encoded = len(body), b""
    while True:
        length, low = divmod(length, 128)
        encoded += bytes([low | (0x80 if length else 0)])
        if not length:
            return b"\x30" + encoded + body


def run_session(
    pki: Pki,
    version: str,
    messages: int,
    payload: int,
    keylog: Path,
    *,
    certificate: str = "server-rsa2048",
    connect: bytes = b"",
) -> Session:
    """One TLS session in memory; `messages` PUBLISH packets of `payload` bytes from the client."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client_context.keylog_filename = str(keylog)
    wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    client_context.minimum_version = client_context.maximum_version = wanted
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pki.chain(certificate), pki.key(certificate))
    flights: list[tuple[bool, bytes]] = []
    written = {True: ssl.MemoryBIO(), False: ssl.MemoryBIO()}  # by the client, by the server
    readable = {True: ssl.MemoryBIO(), False: ssl.MemoryBIO()}
    client = client_context.wrap_bio(readable[True], written[True], server_hostname="broker.hil.test")
    server = server_context.wrap_bio(readable[False], written[False], server_side=True)

    def carry(from_client: bool) -> None:
        data = written[from_client].read()
        if data:
            flights.append((from_client, data))
            readable[not from_client].write(data)

    finished = {True: False, False: False}
    while not all(finished.values()):
        for from_client, end in ((True, client), (False, server)):
            if not finished[from_client]:
                try:
                    end.do_handshake()
                    finished[from_client] = True
                except ssl.SSLWantReadError:
                    pass
            carry(from_client)

    def write(from_client: bool, data: bytes) -> None:
        (client if from_client else server).write(data)
        carry(from_client)

    write(True, connect or mqtt_connect(b"bench"))
    write(False, b"\x20\x02\x00\x00")
    for _ in range(messages):
        write(True, mqtt_publish(os.urandom(payload)))
    write(True, b"\xe0\x00")
    return Session(flights, version)


def packets(session: Session) -> list[tuple[bool, int, int, int, bytes]]:
    """(from_client, seq, ack, flags, payload) of the whole TCP connection, sequence numbers relative."""
    next_seq = {True: 1, False: 1}
    out = [(True, 0, 0, SYN, b""), (False, 0, 1, SYN | ACK, b""), (True, 1, 1, ACK, b"")]
    for from_client, data in session.flights:
        for at in range(0, len(data), MSS):
            part = data[at : at + MSS]
            out.append((from_client, next_seq[from_client], next_seq[not from_client], PSH | ACK, part))
            next_seq[from_client] += len(part)
        out.append((not from_client, next_seq[not from_client], next_seq[from_client], ACK, b""))
    out.append((True, next_seq[True], next_seq[False], FIN | ACK, b""))
    out.append((False, next_seq[False], next_seq[True] + 1, FIN | ACK, b""))
    out.append((True, next_seq[True] + 1, next_seq[False] + 1, ACK, b""))
    return out


def frame(packet: tuple[bool, int, int, int, bytes], client: bytes, port: int) -> bytes:
    from_client, seq, ack, flags, payload = packet
    server = bytes([10, 77, 0, 1])
    source, target = (client, server) if from_client else (server, client)
    ports = (port, 8883) if from_client else (8883, port)
    tcp = struct.pack(">HHIIBBHHH", *ports, seq, ack, 0x50, flags, 0xFFFF, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, target)
    return ETHERNET + ip + tcp


def connections(pki: Pki, versions: list[str], messages: int, payload: int, keylog: Path) -> list[list[bytes]]:
    """Templates: a few really run sessions of each version, as packets of one address and port each."""
    variants = []
    for version in versions:
        for number in range(4):
            session = run_session(pki, version, messages, payload, keylog)
            client = bytes([10, 77, 1, number])
            variants.append([frame(packet, client, 40000 + number) for packet in packets(session)])
    return variants


def renumber(packet: bytes, index: int) -> bytes:
    """The same packet under another client address and port."""
    address, port = bytes([10, 78 + (index >> 16), index >> 8 & 255, index & 255]), 20000 + index % 40000
    from_client = packet[30:34] == bytes([10, 77, 0, 1])
    changed = bytearray(packet)
    if from_client:
        changed[26:30], changed[34:36] = address, struct.pack(">H", port)
    else:
        changed[30:34], changed[36:38] = address, struct.pack(">H", port)
    return bytes(changed)


def write_capture(out: Path, templates: list[list[bytes]], count: int, at_once: int = 64) -> int:
    """Writes `count` connections, `at_once` of them interleaved; returns the number of packets."""
    written, clock = 0, 1_750_000_000_000_000_000
    with out.open("wb", buffering=1 << 20) as file:
        file.write(PCAP_HEADER)
        for start in range(0, count, at_once):
            live: list[Iterator[bytes]] = [
                iter([renumber(p, index) for p in templates[index % len(templates)]])
                for index in range(start, min(count, start + at_once))
            ]
            while live:
                for connection in list(live):
                    packet = next(connection, None)
                    if packet is None:
                        live.remove(connection)
                        continue
                    clock += 10_000
                    file.write(struct.pack("<IIII", *divmod(clock, 1_000_000_000), len(packet), len(packet)))
                    file.write(packet)
                    written += 1
    return written


def temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hil-bench-")
