"""The device's key at work outside TLS: what a token's signature must never give away."""

from __future__ import annotations

import base64
import socket
import struct
import threading
import time
from contextlib import suppress

from tests.firmware.fw import Device, Pki


class Passwords:
    """An MQTT broker that takes whatever comes and keeps the password of each CONNECT."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Passwords:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                client.settimeout(5)
                with client, suppress(OSError):
                    packet = client.recv(4096)
                    self.seen.append(last_field(packet))
                    client.sendall(b"\x20\x02\x00\x00")
                    while client.recv(4096):
                        pass


def last_field(connect: bytes) -> str:
    at = 1
    while connect[at] & 0x80:
        at += 1
    at += 1 + 10  # protocol name, level, flags, keep-alive
    field = b""
    while at < len(connect):
        (size,) = struct.unpack_from(">H", connect, at)
        field = connect[at + 2 : at + 2 + size]
        at += 2 + size
    return field.decode("ascii")


def signature(token: str) -> bytes:
    text = token.split(".")[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_two_es256_signatures_do_not_share_their_random_number(dut: Device, pki: Pki) -> None:
    """ECDSA over two texts with one k gives the private key to whoever sees both (RFC 6979 section 1): r, the first
    half of the signature, would be the same."""
    dut.put("key", pki.read("dev.key"))
    now = int(time.time())
    with Passwords() as broker:
        for n in range(3):
            ran = dut.run(
                port=broker.port,
                tls_min="none",
                mqtt_username="unused",
                jwt_audience="project",
                epoch=now + n,
                seed="5a" * 32,
                script="connect;disconnect",
            )
            assert ran.ok, ran.brief()
    signatures = [signature(token) for token in broker.seen]
    assert [len(one) for one in signatures] == [64] * 3
    assert len({one[:32] for one in signatures}) == 3
