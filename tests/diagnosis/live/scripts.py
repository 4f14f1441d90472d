"""Clients that are no stack: raw bytes, TLS from Python's ssl with MQTT bytes inside, a proxy that changes bytes."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable

from tests.diagnosis.live.bench import Stage
from tests.diagnosis.live.case import Script

TIMEOUT = 3.0


def utf8(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(data)) + data


def packet(first: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([first]) + length + body


def connect(
    client: str | bytes = "cli-1", *, level: int = 4, protocol: str = "MQTT", flags: int = 2, keepalive: int = 60,
    more: bytes = b"", properties: bytes = b"",
) -> bytes:
    head = utf8(protocol) + bytes([level, flags]) + struct.pack(">H", keepalive)
    if level == 5:
        head += bytes([len(properties)]) + properties
    return packet(0x10, head + utf8(client) + more)


def publish(topic: str | bytes = "a/b", payload: bytes = b"hi", qos: int = 0, mid: int = 1, v5: bool = False) -> bytes:
    body = utf8(topic) + (struct.pack(">H", mid) if qos in (1, 2) else b"") + (b"\x00" if v5 else b"") + payload
    return packet(0x30 | qos << 1, body)


def subscribe(topic: str, qos: int = 0, mid: int = 1, v5: bool = False, first: int = 0x82) -> bytes:
    return packet(first, struct.pack(">H", mid) + (b"\x00" if v5 else b"") + utf8(topic) + bytes([qos]))


DISCONNECT = b"\xe0\x00"
PING = b"\xc0\x00"


def context(v: str, stage: Stage) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(stage.work / "pki/ca-all.crt"))
    version = ssl.TLSVersion.TLSv1_2 if v == "12" else ssl.TLSVersion.TLSv1_3
    made.maximum_version = version
    if v == "13":
        made.minimum_version = version
    return made


def opened(stage: Stage, v: str, port: int = 0) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port or stage.port), TIMEOUT)
    plain.settimeout(TIMEOUT)
    if not v:
        return plain
    try:
        return context(v, stage).wrap_socket(plain, server_hostname="broker.test")
    except OSError:
        plain.close()
        raise


def receive(sock: socket.socket, timeout: float = TIMEOUT) -> bytes:
    sock.settimeout(timeout)
    try:
        return sock.recv(65536)
    except (TimeoutError, ssl.SSLError, OSError):
        return b""


def talk(v: str, *steps: bytes, reply_to: int = 1, wait: float = 0.3, end: float = 0.0) -> Script:
    """Sends the steps in order, reading an answer after each (the last one for `wait` seconds); prints nothing."""

    def run(stage: Stage) -> str:
        with contextlib.suppress(OSError):
            sock = opened(stage, v)
            with sock:
                for index, step in enumerate(steps):
                    with contextlib.suppress(OSError):
                        sock.sendall(step)
                    receive(sock, wait if index == len(steps) - 1 else 1.0)
                if end:
                    receive(sock, end)
        return ""

    return run


def raw(data: bytes, *, wait: float = 0.3, reset: bool = False, half: bool = False) -> Script:
    """Bytes on a TCP connection as they are; then `wait` seconds of reading; then FIN (or RST)."""

    def run(stage: Stage) -> str:
        with socket.create_connection(("127.0.0.1", stage.port), TIMEOUT) as sock:
            if data:
                with contextlib.suppress(OSError):
                    sock.sendall(data)
            if half:
                sock.shutdown(socket.SHUT_WR)
            receive(sock, wait) if wait else None
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return ""

    return run


def hello_bytes(v: str, sni: str = "broker.test") -> bytes:
    """A real ClientHello record, from OpenSSL."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2 if v == "12" else ssl.TLSVersion.TLSv1_3
    if v == "13":
        made.minimum_version = ssl.TLSVersion.TLSv1_3
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = made.wrap_bio(inward, outward, server_hostname=sni)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outward.read()


def fragments(record: bytes, size: int) -> bytes:
    """One record's payload as several records."""
    body, head = record[5:], record[:3]
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(head + struct.pack(">H", len(p)) + p for p in parts)


def silence(seconds: float, first: bytes = b"", reset: bool = False) -> Script:
    return raw(first, wait=seconds, reset=reset)


def after_flight(v: str, *, reset: bool) -> Script:
    """Reads the server's first flight and goes without a word."""

    def run(stage: Stage) -> str:
        with socket.create_connection(("127.0.0.1", stage.port), TIMEOUT) as sock:
            sock.sendall(hello_bytes(v))
            receive(sock)
            receive(sock, 0.1)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return ""

    return run


# ------------------------------------------------------------------------------------------- a proxy that changes bytes
Change = Callable[[bytes, int, int], bytes]  # (record with header, its number in this direction, its type) -> record


def flip(direction: str, kind: int, number: int, at: int, within: int = 0) -> tuple[str, Change]:
    """Change one bit: in the `number`th record of content type `kind`, at offset `at` (negative: from its end)."""
    seen = {"n": 0}

    def change(record: bytes, _: int, content: int) -> bytes:
        if content != kind:
            return record
        seen["n"] += 1
        if seen["n"] != number:
            return record
        changed = bytearray(record)
        changed[at] ^= 1
        return bytes(changed)

    return direction, change


def proxied(make_change: Callable[[], tuple[str, Change]], client: Callable[[int], Script]) -> Script:
    """The client talks to a proxy on another port; the capture sees what the broker sees."""

    def run(stage: Stage) -> str:
        direction, change = make_change()
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            server.settimeout(TIMEOUT)
            thread = threading.Thread(target=_pump, args=(server, stage.port, direction, change), daemon=True)
            thread.start()
            said = client(port)(stage)
            thread.join(TIMEOUT)
        return said

    return run


def _pump(server: socket.socket, port: int, direction: str, change: Change) -> None:
    with contextlib.suppress(OSError):
        near, _ = server.accept()
        with near, socket.create_connection(("127.0.0.1", port), TIMEOUT) as far:
            waiting = {near: b"", far: b""}
            count = {near: 0, far: 0}
            ends = {near: far, far: near}
            while True:
                ready = select.select([near, far], [], [], TIMEOUT)[0]
                if not ready:
                    return
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    waiting[source] += data
                    while len(waiting[source]) >= 5:
                        size = 5 + struct.unpack(">H", waiting[source][3:5])[0]
                        if len(waiting[source]) < size:
                            break
                        record, waiting[source] = waiting[source][:size], waiting[source][size:]
                        count[source] += 1
                        if (direction == "c") == (source is near):
                            record = change(record, count[source], record[0])
                        ends[source].sendall(record)


def tls_client(v: str, *steps: bytes, wait: float = 0.4) -> Callable[[int], Script]:
    """Python's ssl through the proxy, then MQTT bytes."""

    def at(port: int) -> Script:
        def run(stage: Stage) -> str:
            try:
                sock = opened(stage, v, port)
            except OSError as error:
                return f"connect: {type(error).__name__} {error}\n"
            with sock:
                for step in steps:
                    try:
                        sock.sendall(step)
                        sock.settimeout(wait)
                        sock.recv(4096)
                    except TimeoutError:
                        pass
                    except OSError as error:
                        return f"{type(error).__name__} {error}\n"
            return ""

        return run

    return at
