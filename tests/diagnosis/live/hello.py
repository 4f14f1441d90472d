"""A ClientHello of OpenSSL, taken apart and put together again with something missing or wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from tests.diagnosis.live.scripts import hello_bytes

SNI, GROUPS, SIGALGS, VERSIONS, KEY_SHARE = 0, 10, 13, 43, 51


@dataclass(frozen=True)
class Hello:
    version: int
    random: bytes
    session: bytes
    suites: tuple[int, ...]
    compression: bytes
    extensions: tuple[tuple[int, bytes], ...]

    def without(self, *kinds: int) -> Hello:
        return replace(self, extensions=tuple(e for e in self.extensions if e[0] not in kinds))

    def having(self, kind: int, body: bytes) -> Hello:
        return replace(self, extensions=(*self.without(kind).extensions, (kind, body)))

    def record(self) -> bytes:
        body = struct.pack(">H", self.version) + self.random
        body += bytes([len(self.session)]) + self.session
        body += struct.pack(f">H{len(self.suites)}H", 2 * len(self.suites), *self.suites)
        body += bytes([len(self.compression)]) + self.compression
        block = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in self.extensions)
        if self.extensions:
            body += struct.pack(">H", len(block)) + block
        message = b"\x01" + len(body).to_bytes(3, "big") + body
        return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def parse(v: str) -> Hello:
    data = hello_bytes(v)[9:]
    version, random = struct.unpack(">H", data[:2])[0], data[2:34]
    at = 35 + data[34]
    session = data[35:at]
    count = struct.unpack(">H", data[at : at + 2])[0] // 2
    suites = struct.unpack(f">{count}H", data[at + 2 : at + 2 + 2 * count])
    at += 2 + 2 * count
    compression = data[at + 1 : at + 1 + data[at]]
    at += 1 + data[at] + 2
    extensions = []
    while at + 4 <= len(data):
        kind, size = struct.unpack(">HH", data[at : at + 4])
        extensions.append((kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return Hello(version, random, session, suites, compression, tuple(extensions))
