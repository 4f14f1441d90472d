"""What the tests of emulated boards share: the firmware, a console that speaks the shim's protocol, a broker."""

from __future__ import annotations

import binascii
import contextlib
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import serial

from harness.device.qemu import QemuMachine
from harness.lab.process import running
from harness.paths import BUILD, ROOT

MACHINES = {"qemu-m33": QemuMachine(machine="mps2-an505"), "qemu-m4": QemuMachine(machine="mps2-an386")}
STACKS = {"qemu-m33": "wolfssl", "qemu-m4": "mbedtls"}
PATIENCE_S = 20.0  # the tail on a loaded host reached seconds


def firmware(target: str) -> Path:
    """The built image; builds what is missing or stale."""
    out = BUILD / "fw" / target
    subprocess.run(
        ["cmake", "-S", "firmware_shims", "-B", out, "-G", "Ninja", f"-DHIL_BOARD={target.replace('-', '_')}",
         f"-DHIL_STACK={STACKS[target]}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    subprocess.run(["cmake", "--build", out, "-j2"], check=True, stdout=subprocess.DEVNULL, timeout=300)
    return out / "firmware"


@dataclass(frozen=True)
class Line:
    seq: int
    ms: int
    event: str
    keys: dict[str, str]


def checksum(data: bytes) -> bytes:
    return b"%04x" % binascii.crc_hqx(data, 0xFFFF)


class Console:
    """The shim's lines, each with its checksum verified; anything else on the console is kept in `noise`."""

    def __init__(self, path: str) -> None:
        self.port = serial.Serial(path, 115200, timeout=0.2)
        self.lines: list[Line] = []
        self.noise: list[bytes] = []
        self._rest = b""

    def wait(self, event: str, timeout_s: float = PATIENCE_S, **keys: str) -> Line:
        """The next line of that event with those keys. AssertionError when it does not come."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            while b"\n" in self._rest:
                raw, self._rest = self._rest.split(b"\n", 1)
                line = self._parse(raw)
                if line and line.event == event and keys.items() <= line.keys.items():
                    return line
            self._rest += self.port.read(max(1, self.port.in_waiting))
        raise AssertionError(f"no {event} {keys} in {timeout_s} s; last: {self.lines[-5:]} {self.noise[-3:]}")

    def _parse(self, raw: bytes) -> Line | None:
        at = raw.rfind(b"@H1 ")  # a reset may cut a line, and the next one follows on it
        if at < 0 or raw[-5:-4] != b"*" or checksum(raw[at:-5]) != raw[-4:]:
            self.noise.append(raw)
            return None
        words = raw[at:-5].decode("ascii").split()
        keys = dict(word.split("=", 1) for word in words[4:])
        line = Line(int(words[1]), int(words[2]), words[3], keys)
        self.lines.append(line)
        return line

    def send(self, command: str) -> None:
        body = command.encode() + b" "
        self.port.write(body + b"*" + checksum(body) + b"\n")

    def set(self, **values: object) -> None:
        for key, value in values.items():
            name = key.replace("__", ".")
            self.send(f"SET {name} {str(value).replace('%', '%25')}")
            self.wait("ok", cmd="SET", key=name)

    def put(self, name: str, data: bytes) -> None:
        self.send(f"PUT {name} {len(data)}")
        self.wait("ok", cmd="PUT", name=name)
        self.port.write(data)
        answer = self.wait("put", name=name)
        assert answer.keys["crc32"] == f"{zlib.crc32(data):08x}"

    def run(self) -> Line:
        self.send("RUN")
        return self.wait("done", 60.0)

    def close(self) -> None:
        self.port.close()


@contextlib.contextmanager
def console(path: str) -> Iterator[Console]:
    opened = Console(path)
    try:
        yield opened
    finally:
        opened.close()


def _openssl(*args: str, cwd: Path) -> None:
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True, timeout=30)


def certificates(folder: Path) -> None:
    """ca.pem, server.pem + .key for `broker.test`, client.pem + .key; P-256."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl("req", "-x509", *key, "-days", "3", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.pem",
             cwd=folder)  # fmt: skip
    for name, subject, extension in (
        ("server", "/CN=broker.test", "subjectAltName=DNS:broker.test"),
        ("client", "/CN=device", "extendedKeyUsage=clientAuth"),
    ):
        (folder / f"{name}.ext").write_text(extension + "\n")
        _openssl("req", *key, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=folder)
        _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                 "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem", cwd=folder)  # fmt: skip


@contextlib.contextmanager
def broker(folder: Path, tls: bool = True) -> Iterator[int]:
    """Mosquitto on loopback with the folder's certificates; gives its port once it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    lines = ["user root", "allow_anonymous true", "set_tcp_nodelay true", f"listener {port} 127.0.0.1"]
    if tls:
        lines += [f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key",
                  "require_certificate true"]  # fmt: skip
    config = folder / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n")
    argv = ["mosquitto", "-v", "-c", str(config)]
    with (folder / "broker.log").open("ab") as log, running(argv, stdout=log, stderr=log):
        _await_port(port)
        yield port


def _await_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    pause = socket.socket()  # nothing ever comes: its time-out is the interval between two tries
    pause.bind(("127.0.0.1", 0))
    pause.listen()
    pause.settimeout(0.01)
    with pause:
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            with contextlib.suppress(TimeoutError):
                pause.accept()
    raise AssertionError(f"nothing listens on {port}")
