"""What the firmware tests need: the native device on a pty, a small PKI made with openssl, a Mosquitto broker."""

from __future__ import annotations

import binascii
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, as docs/shim-protocol.md wants it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


@dataclass(frozen=True)
class Event:
    seq: int
    ms: int
    name: str
    values: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.values[key]


def unescape(text: str) -> str:
    out = bytearray()
    at = 0
    while at < len(text):
        if text[at] == "%":
            out.append(int(text[at + 1 : at + 3], 16))
            at += 3
        else:
            out += text[at].encode()
            at += 1
    return out.decode("utf-8", "replace")


def parse_line(line: bytes) -> Event | None:
    """An event anywhere on the line, or None; a line that begins like one and is damaged is an AssertionError."""
    start = line.find(b"@H1 ")
    if start < 0:
        return None
    body, star, crc = line[start:].rpartition(b"*")
    assert star and int(crc, 16) == crc16(body), line
    assert len(line) - start <= 239, line
    words = body.decode("ascii").split()
    values = dict(word.split("=", 1) for word in words[4:])
    return Event(int(words[1]), int(words[2]), words[3], {k: unescape(v) for k, v in values.items()})


@dataclass
class Device:
    """A native firmware on a pty. Events are kept in the order they came."""

    process: subprocess.Popen[bytes]
    fd: int
    events: list[Event] = field(default_factory=list)
    foreign: list[bytes] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    _buffer: bytearray = field(default_factory=bytearray)

    def _read(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            event = parse_line(line)
            if event is None:
                self.foreign.append(line)
            else:
                self.events.append(event)
        return bool(data)

    def wait(self, name: str, timeout: float = 10.0, after: int = 0) -> Event:
        """The first `name` event at index `after` or later; AssertionError when it does not come."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events[after:]:
                if event.name == name:
                    return event
            assert self._read(deadline), f"no {name}: {[(e.name, dict(e.values)) for e in self.events[after:]]}"

    def raw(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.fd, data) :]

    def line(self, text: str) -> Event:
        """Sends a command with its checksum; its answer."""
        after = len(self.events)
        body = text.encode() + b" "
        self.raw(body + f"*{crc16(body):04x}\n".encode())
        deadline = time.monotonic() + 5
        while True:
            for event in self.events[after:]:
                if event.name in ("ok", "err"):
                    return event
            assert self._read(deadline), f"no answer to {text!r}"

    def set(self, key: str, value: object) -> None:
        text = "".join(chr(b) if 0x20 < b < 0x7F and b != 0x25 else f"%{b:02x}" for b in str(value).encode())
        answer = self.line(f"SET {key} {text}")
        assert answer.name == "ok", (key, value, answer)
        self.settings[key] = str(value)

    def put(self, name: str, data: bytes) -> None:
        after = len(self.events)
        answer = self.line(f"PUT {name} {len(data)}")
        assert answer.name == "ok", answer
        self.raw(data)
        done = self.wait("put", after=after)
        assert int(done["crc32"], 16) == binascii.crc32(data)

    def run(self, **settings: object) -> Run:
        """Settings (the first `_` stands for `.`), RUN, everything up to `done`, which must come within 30 s."""
        for key, value in settings.items():
            self.set(key.replace("_", ".", 1), value)
        after = len(self.events)
        assert self.line("RUN").name == "ok"
        self.wait("done", 30, after)
        return Run(self.events[after:])


@dataclass(frozen=True)
class Run:
    events: list[Event]

    def all(self, name: str, **values: str) -> list[Event]:
        return [e for e in self.events if e.name == name and all(e.values.get(k) == v for k, v in values.items())]

    def one(self, name: str, **values: str) -> Event:
        found = self.all(name, **values)
        assert found, (name, values, [(e.name, dict(e.values)) for e in self.events])
        return found[-1]

    @property
    def ok(self) -> bool:
        return self.one("done")["result"] == "ok"

    def brief(self) -> str:
        return "\n".join(f"{e.ms:6} {e.name} {dict(e.values)}" for e in self.events)


@contextmanager
def device(firmware: Path) -> Iterator[Device]:
    master, slave = os.openpty()
    process = subprocess.Popen([str(firmware), "--uart-fd", str(slave)], pass_fds=[slave], stderr=subprocess.PIPE)
    os.close(slave)
    try:
        dut = Device(process, master)
        dut.wait("ready")
        yield dut
    finally:
        os.close(master)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


# --- certificates ---


def openssl(*args: str, cwd: Path) -> None:
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True, timeout=60)


KEYS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa4096": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "p521": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "ed25519": ["-algorithm", "ED25519"],
}


@dataclass(frozen=True)
class Pki:
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def key(self, name: str, kind: str) -> None:
        openssl("genpkey", *KEYS[kind], "-out", f"{name}.key", cwd=self.folder)

    def ca(self, name: str, kind: str, subject: str) -> None:
        self.key(name, kind)
        openssl(
            "req",
            "-x509",
            "-new",
            "-key",
            f"{name}.key",
            "-subj",
            f"/CN={subject}",
            "-days",
            "3650",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-out",
            f"{name}.pem",
            cwd=self.folder,
        )

    def leaf(
        self,
        name: str,
        kind: str,
        issuer: str,
        *,
        san: str = "DNS:broker.test",
        eku: str = "serverAuth",
        ca: bool = False,
        dates: tuple[str, str] | None = None,
        extra: str = "",
        digest: str = "sha256",
    ) -> None:
        """`dates` are YYYYMMDDHHMMSSZ, else ten years from now."""
        self.key(name, kind)
        ext = self.folder / f"{name}.ext"
        lines = [
            "[leaf]",
            "basicConstraints=critical,CA:" + ("TRUE" if ca else "FALSE"),
            "subjectKeyIdentifier=hash",
            "authorityKeyIdentifier=keyid",
            "keyUsage=critical," + ("keyCertSign,cRLSign" if ca else "digitalSignature"),
        ]
        if eku and not ca:
            lines.append(f"extendedKeyUsage={eku}")
        if san and not ca:
            lines.append(f"subjectAltName={san}")
        if extra:
            lines.append(extra)
        ext.write_text("\n".join(lines) + "\n")
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr", cwd=self.folder)
        (self.folder / "index.txt").write_text("")
        (self.folder / "index.txt.attr").write_text("unique_subject = no\n")
        config = self.folder / "ca.cnf"
        config.write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\n"
            "[p]\ncommonName=supplied\n"
        )
        when = ["-startdate", dates[0], "-enddate", dates[1]] if dates else ["-days", "3000"]
        openssl(
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-cert",
            f"{issuer}.pem",
            "-keyfile",
            f"{issuer}.key",
            "-in",
            f"{name}.csr",
            "-out",
            f"{name}.pem",
            "-md",
            digest,
            "-extfile",
            ext.name,
            "-extensions",
            "leaf",
            *when,
            cwd=self.folder,
        )


# --- broker ---


@dataclass(frozen=True)
class Broker:
    port: int
    log: Path


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def mosquitto(
    folder: Path,
    pki: Pki | None,
    cert: str = "",
    *,
    client_ca: str = "",
    only12: bool = False,
    extra: str = "",
    openssl_conf: str = "",
) -> Iterator[Broker]:
    """A broker on loopback; TLS when `pki` is given; asks for client certificates when `client_ca` is."""
    port = free_port()
    name = f"broker-{port}"
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "user root",
        "log_type all",
        "connection_messages true",
        "set_tcp_nodelay true",
    ]
    if pki is not None:
        lines += [
            f"certfile {pki.path(cert + '.chain' if pki.path(cert + '.chain').exists() else cert + '.pem')}",
            f"keyfile {pki.path(cert + '.key')}",
        ]
        if client_ca:
            lines += [f"cafile {pki.path(client_ca)}", "require_certificate true"]
    config = folder / f"{name}.conf"
    config.write_text("\n".join([*lines, extra]) + "\n")
    ssl_conf = folder / f"{name}.cnf"
    body = openssl_conf or ("MaxProtocol=TLSv1.2\n" if only12 else "")
    ssl_conf.write_text(
        f"openssl_conf=o\n[o]\nssl_conf=s\n[s]\nsystem_default=d\n[d]\nCipherString=DEFAULT:@SECLEVEL=0\n{body}"
    )
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(config)],
            stderr=out,
            stdout=out,
            env={**os.environ, "OPENSSL_CONF": str(ssl_conf)},
        )
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield Broker(port, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
