"""What the tests of emulated boards share: the built firmware, a board with its shim, certificates, a broker."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness import paths
from harness.device.console import Console
from harness.device.qemu import QemuBoard, qemu_board
from harness.device.shim import Shim
from harness.device.shimline import ShimEvent
from harness.firmware import built
from harness.lab import tables
from harness.lab.process import running
from harness.model import Image
from harness.target import Target

PATIENCE_S = 20.0  # the tail on a loaded host reached seconds


def load_target(name: str, network: str = "qemu-user") -> Target:
    path = paths.TARGETS / f"{name}.toml"
    target = tables.convert(path, name, tables.read(path), Target)
    return msgspec.structs.replace(target, network=msgspec.structs.replace(target.network, kind=network))


def build(target: Target) -> Image:
    """The image, built by the target's own command, one builder at a time."""
    return built(target)


@dataclass(frozen=True)
class Bench:
    board: QemuBoard
    console: Console
    shim: Shim

    def named(self, name: str, **fields: str) -> list[ShimEvent]:
        """Every event so far of that name with those fields."""
        return [event for event in self.shim.events if event.name == name and fields.items() <= event.fields.items()]

    def run(self) -> ShimEvent:
        self.shim.run()
        return self.shim.wait_event(("done",), 60.0)

    def wait_boot(self) -> ShimEvent:
        return self.shim.wait_ready(PATIENCE_S)


@contextlib.contextmanager
def bench_of(target: Target, image: Image, folder: Path) -> Iterator[Bench]:
    """A board that has said `ready`."""
    with qemu_board(target, image, folder) as board, Console(board.console_path, folder / "uart.log") as console:
        shim = Shim(console, alive=board.alive, last_words=board.last_words)
        board.start()
        shim.wait_ready(PATIENCE_S)
        yield Bench(board, console, shim)


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
