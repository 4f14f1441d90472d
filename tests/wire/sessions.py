"""Real TLS sessions of every kind: `openssl s_client` against `openssl s_server` through a relay that notes what each
side wrote, laid out as a capture. MQTT goes through, so that there is something to find inside."""

from __future__ import annotations

import datetime as dt
import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.wire.captures import Packet

TIMEOUT_S = 20.0
PORTS = 5  # tries to find one that stays free
FIN, SYN, PSH, ACK = 1, 2, 8, 16
CONNECT = b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07session"
CONNACK = b" \x02\x00\x00"
PUBLISH = b"\x30\x09\x00\x03a/bhey!"
MSS = 1400


@dataclass(frozen=True)
class Recording:
    """What went over the wire, in order: (from the client, bytes)."""

    chunks: list[tuple[bool, bytes]]
    keys: str


class Relay:
    """Passes bytes on between one client and the server, and keeps a copy."""

    def __init__(self, server_port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(TIMEOUT_S)
        self.port: int = self.listener.getsockname()[1]
        self.server_port = server_port
        self.chunks: list[tuple[bool, bytes]] = []
        self.changed = threading.Condition()
        self.over = [False, False]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        try:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.server_port), TIMEOUT_S)
        except OSError:
            self._end(True)
            self._end(False)
            return
        for source, target, from_client in ((client, server, True), (server, client, False)):
            source.settimeout(TIMEOUT_S)
            thread = threading.Thread(target=self._pump, args=(source, target, from_client), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _pump(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        try:
            while data := source.recv(65536):
                with self.changed:
                    self.chunks.append((from_client, data))
                    self.changed.notify_all()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            self._end(from_client)

    def _end(self, from_client: bool) -> None:
        with self.changed:
            self.over[not from_client] = True
            self.changed.notify_all()

    def count(self, from_client: bool) -> int:
        with self.changed:
            return sum(len(data) for side, data in self.chunks if side == from_client)

    def wait_more(self, from_client: bool, than: int) -> bool:
        """Until that side has written more than `than` bytes, or has ended."""
        with self.changed:
            return self.changed.wait_for(
                lambda: (
                    sum(len(data) for side, data in self.chunks if side == from_client) > than
                    or self.over[not from_client]
                ),
                TIMEOUT_S,
            )

    def wait_over(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: all(self.over), TIMEOUT_S)


def make_certificate(folder: Path, kind: str) -> Path:
    """Key and self-signed certificate in one PEM file."""
    path = folder / f"{kind}.pem"
    if path.exists():
        return path
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = (
        rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)  # noqa: UP017
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + cert.public_bytes(serialization.Encoding.PEM))
    return path


def _until(child: subprocess.Popen[bytes], wanted: bytes) -> bool:
    """Reads the child's output until it holds `wanted`; False when it ended, or said nothing for TIMEOUT_S."""
    assert child.stdout
    seen, descriptor = b"", child.stdout.fileno()
    while wanted not in seen:
        if not select.select([descriptor], [], [], TIMEOUT_S)[0]:
            return False
        if not (data := os.read(descriptor, 65536)):
            return False
        seen += data
    return True


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield child
    finally:
        child.kill()
        child.wait(TIMEOUT_S)
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()


@contextmanager
def _serving(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """s_server, listening. Another process may take a free port before it does: then the next one."""
    for _ in range(PORTS):
        port = _free_port()
        with _running([*command, "-accept", f"127.0.0.1:{port}"]) as served:
            if _until(served, b"ACCEPT"):
                yield served, port
                return
    raise AssertionError(f"{' '.join(command)}: does not listen")


def run(
    folder: Path,
    server: Sequence[str] = (),
    client: Sequence[str] = (),
    *,
    cert: str = "rsa",
    commands: Sequence[bytes] = (),
    data: Sequence[bytes] = (CONNECT, PUBLISH),
) -> Recording:
    """One session. `commands` are given to s_client between CONNECT and PUBLISH (R renegotiates, K updates keys)."""
    return run_all(folder, server, [client], cert=cert, commands=commands, data=data)[0]


def run_all(
    folder: Path,
    server: Sequence[str],
    clients: Sequence[Sequence[str]],
    *,
    cert: str = "rsa",
    commands: Sequence[bytes] = (),
    data: Sequence[bytes] = (CONNECT, PUBLISH),
) -> list[Recording]:
    """Sessions after another with one server, so that it knows the earlier ones' tickets."""
    pem, keys = make_certificate(folder, cert), folder / "session.keys"
    keys.unlink(missing_ok=True)
    serve = ["openssl", "s_server", "-naccept", str(len(clients)), "-keylogfile", str(keys)]
    if cert != "none":
        serve += ["-cert", str(pem), "-key", str(pem)]
    out: list[list[tuple[bool, bytes]]] = []
    with _serving([*serve, *server]) as (served, port):
        for client in clients:
            relay = Relay(port)
            try:
                connect = ["openssl", "s_client", "-connect", f"127.0.0.1:{relay.port}", "-servername", "localhost"]
                with _running([*connect, *client]) as called:
                    _talk(relay, served, called, commands, data)
                    relay.wait_over()
            finally:
                relay.listener.close()
            out.append(list(relay.chunks))
    text = keys.read_text() if keys.exists() else ""
    return [Recording(chunks, text if i == 0 else "") for i, chunks in enumerate(out)]


def _talk(
    relay: Relay,
    served: subprocess.Popen[bytes],
    called: subprocess.Popen[bytes],
    commands: Sequence[bytes],
    data: Sequence[bytes],
) -> None:
    assert called.stdin and served.stdin
    _until(called, b"erify return code")  # the handshake's report ends with this line
    for number, item in enumerate([data[0], *commands, *data[1:]]):
        if relay.over[0] or called.poll() is not None:
            break
        before = relay.count(True)
        try:
            called.stdin.write(item)
            called.stdin.flush()
        except BrokenPipeError:  # it ended since we looked
            break
        if item in commands:
            relay.wait_more(True, before)
        else:
            _until(served, item[-4:])
        if number == 0 and served.poll() is None:
            served.stdin.write(CONNACK)
            served.stdin.flush()
            _until(called, CONNACK)
    with suppress(BrokenPipeError):
        called.stdin.close()
    called.stdin = None
    called.wait(TIMEOUT_S)


def packets(recording: Recording, start: int, number: int, port: int = 8883) -> list[Packet]:
    """The recording as a TCP connection of its own: handshake, segments that are acknowledged, FIN."""
    out: list[Packet] = []
    seq = {True: 1000, False: 900_000}
    t = start

    def put(from_client: bool, flags: int, payload: bytes = b"") -> None:
        nonlocal t
        t += 100_000
        here, there = bytes((10, 1, number >> 8, number & 255)), bytes((10, 2, 0, 1))
        ports = (40000 + number, port)
        source, target = (here, there) if from_client else (there, here)
        sport, dport = ports if from_client else ports[::-1]
        tcp = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + seq[from_client].to_bytes(4, "big")
        ack = seq[not from_client] if flags & ACK else 0
        tcp += ack.to_bytes(4, "big") + bytes((0x50, flags)) + b"\xff\xff\0\0\0\0"
        total = 40 + len(payload)
        ip = b"\x45\0" + total.to_bytes(2, "big") + b"\0\1\0\0\x40\x06\0\0" + source + target
        out.append(Packet(t, b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + tcp + payload))
        seq[from_client] += len(payload) + bool(flags & SYN) + bool(flags & FIN)

    put(True, SYN)
    put(False, SYN | ACK)
    put(True, ACK)
    for from_client, data in recording.chunks:
        for at in range(0, len(data), MSS):
            put(from_client, PSH | ACK, data[at : at + MSS])
            put(not from_client, ACK)
    put(True, FIN | ACK)
    put(False, FIN | ACK)
    put(True, ACK)
    return out
