"""A labgrid of our own on loopback: coordinator, exporter with ser2net, places; serial ports are ptys.

The coordinator and the exporter are the real ones, of .venv-labgrid. A supervisor is what systemd is in a real lab:
`exporter.start()` after it ended, because labgrid's exporter ends when its coordinator does.
"""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from harness import paths
from harness.lab import process

VENV = paths.ROOT / ".venv-labgrid" / "bin"
HOST = "host1"
USER = "ci-77"
START = 30.0  # s; 0.3 on a quiet machine


def environment() -> dict[str, str]:
    """Nothing of labgrid's."""
    return {key: value for key, value in os.environ.items() if not key.startswith("LG_")}


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits for a condition outside our reach. AssertionError naming it."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


class Port:
    """A pty whose far end belongs to whoever plays the device; `slave` is what the exporter opens."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave  # kept open: a pty without it answers EIO

    def close(self) -> None:
        for fd in (self.master, self._slave):
            with contextlib.suppress(OSError):
                os.close(fd)


class Echo:
    """A device that answers every line with `echo: ` and the line."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := os.read(self._port.master, 4096):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    os.write(self._port.master, b"echo: " + line + b"\r\n")


class Part:
    """A program of labgrid, started and ended by pid; restarted as it was."""

    def __init__(self, name: str, words: list[str], folder: Path, ready: str) -> None:
        self.words = words
        self.line = ""
        self._name = name
        self._folder = folder
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._folder / f"{self._name}.log"
        with log.open("ab") as out:
            at = out.tell()
            # With its descendants: ser2net must not outlive an exporter that is killed, as it does not a host's end.
            self._process = process.spawn(
                [VENV / self.words[0], *self.words[1:]], cwd=self._folder, stdout=out, stderr=out, tree=True,
                env={**environment(), "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

        def said() -> bool:
            assert self._process is not None and self._process.poll() is None, log.read_text()[-2000:]
            text = log.read_bytes()[at:].decode(errors="replace")
            self.line = next((line for line in text.splitlines() if line.startswith(self._ready)), "")
            return bool(self.line)

        until(said, START, f"`{self._ready}` in {log}")

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ended(self) -> None:
        """Waits until it ended by itself."""
        until(lambda: not self.running(), 30.0, f"end of {self._name}")

    def kill(self) -> None:
        """As a host that loses power: -9, with what it started."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        self._process.wait(10.0)

    def stop(self) -> None:
        if self._process is not None:
            process.stop(self._process)
            self._process = None


class Rig:
    """Coordinator and one exporter `exp1`; `export` or `port` before `start_exporter`. `places`: the tags of each;
    place `p3` has what is exported as `p3`."""

    def __init__(self, folder: Path, places: Mapping[str, Mapping[str, str]]) -> None:
        self.folder = folder
        stored = {
            name: {"tags": tags, "matches": [{"exporter": "exp1", "group": name, "cls": "NetworkSerialPort"}]}
            for name, tags in places.items()
        }
        (folder / "places.yaml").write_bytes(msgspec.json.encode(stored))  # JSON is YAML
        self.coordinator = Part("coordinator", ["labgrid-coordinator", "-l", "127.0.0.1:0"], folder, "listening on")
        self.exporter: Part | None = None
        self._ports: list[Port] = []
        self._exported: dict[str, str] = {}
        self.coordinator.start()
        self.address = self.coordinator.line.split()[-1]
        self.coordinator.words[-1] = self.address  # the same after a restart

    def port(self, group: str) -> Port:
        """A serial port that will be exported as `group`."""
        port = Port()
        self._ports.append(port)
        self.export(group, port.path)
        return port

    def export(self, group: str, path: str) -> None:
        """A serial port that somebody else has."""
        self._exported[group] = path

    def start_exporter(self) -> Part:
        """With all ports, on a host called 127.0.0.1."""
        lines = [f"{g}:\n  RawSerialPort:\n    port: {p}\n    speed: 115200\n" for g, p in self._exported.items()]
        (self.folder / "exporter.yaml").write_text("".join(lines))
        words = ["labgrid-exporter", "-n", "exp1", "--hostname", "127.0.0.1", "-c", self.address, "exporter.yaml"]
        self.exporter = self.exporter or Part("exporter", words, self.folder, "Exporter ready")
        self.exporter.start()
        return self.exporter

    def client(self, *words: str, user: str = "admin", host: str = HOST, check: bool = True) -> str:
        """labgrid-client as somebody else would call it."""
        done = subprocess.run(
            [VENV / "labgrid-client", *words], capture_output=True, text=True, timeout=30, check=False,
            env={**environment(), "LG_COORDINATOR": self.address, "LG_USERNAME": user, "LG_HOSTNAME": host},
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def holders(self) -> dict[str, str]:
        """"host/user" by place."""
        found = {}
        for line in self.client("who").splitlines()[1:]:
            user, host, place = line.split()[:3]
            found[place] = f"{host}/{user}"
        return found

    def reservations(self) -> int:
        return self.client("reservations").count("Reservation '")

    def close(self) -> None:
        for part in (self.exporter, self.coordinator):
            if part is not None:
                part.stop()
        for port in self._ports:
            port.close()


@contextlib.contextmanager
def rig(folder: Path, places: Mapping[str, Mapping[str, str]]) -> Iterator[Rig]:
    made = Rig(folder, places)
    try:
        yield made
    finally:
        made.close()
