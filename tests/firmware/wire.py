"""Just enough TLS to see, without a capture, what the device sends: its ClientHello and its plain alerts."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Hello:
    record_version: int
    version: int
    random: bytes
    session_id: bytes
    suites: tuple[int, ...]
    compression: bytes
    extensions: dict[int, bytes]
    order: tuple[int, ...]

    def list16(self, extension: int, skip: int = 2) -> tuple[int, ...]:
        """A list of 16-bit values behind its length."""
        body = self.extensions[extension][skip:]
        return struct.unpack(f">{len(body) // 2}H", body)

    @property
    def sni(self) -> str:
        return self.extensions[0][5:].decode()


def parse_hello(data: bytes) -> Hello:
    assert data[0] == 22, data[:8]
    assert data[5] == 1
    at = 9
    version = int.from_bytes(data[at : at + 2], "big")
    random = data[at + 2 : at + 34]
    at += 34
    session_id = data[at + 1 : at + 1 + data[at]]
    at += 1 + data[at]
    n = int.from_bytes(data[at : at + 2], "big")
    suites = struct.unpack(f">{n // 2}H", data[at + 2 : at + 2 + n])
    at += 2 + n
    compression = data[at + 1 : at + 1 + data[at]]
    at += 1 + data[at] + 2
    order: list[int] = []
    extensions: dict[int, bytes] = {}
    while at < len(data):
        kind, size = struct.unpack(">HH", data[at : at + 4])
        order.append(kind)
        extensions[kind] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return Hello(
        int.from_bytes(data[1:3], "big"), version, random, session_id, suites, compression, extensions, tuple(order)
    )


@dataclass
class Tap:
    """What went through, per connection: bytes of the client, bytes of the server."""

    port: int
    client: list[bytearray] = field(default_factory=list)
    server: list[bytearray] = field(default_factory=list)

    def hello(self, connection: int = -1) -> Hello:
        data = bytes(self.client[connection])
        return parse_hello(data[: 5 + int.from_bytes(data[3:5], "big")])

    def plain_alerts(self, connection: int = -1) -> list[int]:
        """Numbers of the client's alerts that are in the clear."""
        data, found, at = bytes(self.client[connection]), [], 0
        while at + 5 <= len(data):
            size = int.from_bytes(data[at + 3 : at + 5], "big")
            if data[at] == 21 and size == 2:
                found.append(data[at + 6])
            at += 5 + size
        return found


def _pump(source: socket.socket, sink: socket.socket | None, record: bytearray) -> None:
    try:
        while data := source.recv(65536):
            record += data
            if sink is not None:
                sink.sendall(data)
        if sink is not None:
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        if sink is not None:
            with_reset(sink)


def with_reset(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@contextmanager
def tap(upstream: int | None) -> Iterator[Tap]:
    """A proxy on loopback that records. With `upstream` None it swallows the first bytes and closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    result = Tap(listener.getsockname()[1])
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            sockets.append(client)
            result.client.append(bytearray())
            result.server.append(bytearray())
            if upstream is None:
                client.settimeout(5)
                with suppress(OSError):
                    result.client[-1] += client.recv(65536)
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", upstream))
            sockets.append(server)
            for source, sink, record in ((client, server, result.client[-1]), (server, client, result.server[-1])):
                thread = threading.Thread(target=_pump, args=(source, sink, record), daemon=True)
                thread.start()
                threads.append(thread)

    acceptor = threading.Thread(target=serve, daemon=True)
    acceptor.start()
    try:
        yield result
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for sock in sockets:
            sock.close()
        for thread in threads:
            thread.join(5)
