"""Consoles whose port goes and comes: another pty behind a link, a USB port with another name, a restarted server."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import serial
from serial import rfc2217

from harness.device import console as consoles
from harness.device import ports
from harness.device.console import Console
from harness.errors import LabError


class Uart:
    """The board's end: a pty behind a link. `move` is what USB does when it enumerates again."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master = -1
        self.plug()

    def plug(self) -> str:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        name = os.ttyname(slave)
        fresh = self.link.with_suffix(".new")
        fresh.symlink_to(name)
        fresh.replace(self.link)
        self._slave = slave  # as long as somebody has it open, what is written waits for its reader
        return name

    def unplug(self) -> None:
        self.link.unlink()
        os.close(self._slave)
        os.close(self.master)

    def say(self, text: bytes) -> None:
        os.write(self.master, text)

    def say_all(self, rows: list[bytes]) -> None:
        for row in rows:
            self.say(row)


@pytest.fixture
def uart(tmp_path: Path) -> Uart:
    return Uart(tmp_path / "usb-PROBE-if02")


def line(console: Console, text: str, timeout: float = 10.0) -> None:
    console.wait_for(lambda one: one.text == text, timeout, text)


def until_gone(console: Console, log: Path) -> None:
    for _ in range(200):
        if " is gone" in log.read_text():
            return
        with contextlib.suppress(consoles.ConsoleTimeout):
            console.wait_for(lambda one: False, 0.05, "nothing")
    raise AssertionError("the gap was not noticed in 10 s")


def test_it_comes_back_under_another_name(uart: Uart, tmp_path: Path) -> None:
    log = tmp_path / "uart.log"
    with Console(str(uart.link), log) as console:
        uart.say(b"before\nhalf a li")
        line(console, "before")
        uart.unplug()
        taken = pty.openpty()  # the old number is another terminal's now
        uart.plug()
        uart.say(b"first words\n")
        line(console, "half a li")
        line(console, "first words")
        console.send(b"RUN\n")
        assert select.select([uart.master], [], [], 5.0)[0] and os.read(uart.master, 100) == b"RUN\n"
    for fd in taken:
        os.close(fd)
    text = log.read_text()
    assert text.count(" is gone\n") == 1 and "is back; nothing was read for" in text
    assert text.index("half a li") < text.index("is gone") < text.index("is back") < text.index("first words")


def test_sending_waits_for_the_port(uart: Uart, tmp_path: Path) -> None:
    with Console(str(uart.link), tmp_path / "uart.log") as console:
        uart.say(b"x\n")
        line(console, "x")
        uart.unplug()
        timer = threading.Timer(0.5, uart.plug)
        timer.start()
        until_gone(console, tmp_path / "uart.log")
        console.send(b"hello")
        assert select.select([uart.master], [], [], 5.0)[0] and os.read(uart.master, 100) == b"hello"
        timer.join()


def test_one_that_stays_away_is_said_in_time(uart: Uart, tmp_path: Path) -> None:
    with Console(str(uart.link), tmp_path / "uart.log", lost_timeout=0.5) as console:
        uart.unplug()
        with pytest.raises(LabError, match=r"gone for 0\.5 s") as caught:
            line(console, "never", timeout=20.0)
        assert caught.value.cause == "lab.serial_missing"
        with pytest.raises(LabError):
            console.send(b"x")


def test_two_readers_are_refused(uart: Uart, tmp_path: Path) -> None:
    with Console(str(uart.link), tmp_path / "1.log"), pytest.raises(LabError, match="another program reads") as caught:
        Console(str(uart.link), tmp_path / "2.log")
    assert caught.value.cause == "lab.board_busy"


# -- by USB serial number --


def port(device: str, number: str | None, location: str = "1-2") -> SimpleNamespace:
    return SimpleNamespace(device=device, serial_number=number, location=location)


def test_usb_names_are_looked_up_at_each_opening(uart: Uart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attached = [port("/dev/ttyACM9", "OTHER"), port(str(uart.link.readlink()), "0669ff")]
    monkeypatch.setattr(ports.resolve, "__defaults__", (lambda: attached,))
    monkeypatch.setattr(ports.open_port, "__kwdefaults__", {"keep": False, "listing": lambda: attached})
    with Console("usb:0669FF", tmp_path / "uart.log") as console:
        uart.say(b"one\n")
        line(console, "one")
        attached.pop()
        uart.unplug()
        again = uart.plug()
        attached.append(port(again, "0669FF"))
        uart.say(b"two\n")
        line(console, "two")
    assert f"console usb:0669FF is back as {again}" in (tmp_path / "uart.log").read_text()


def test_usb_names_that_fit_none_or_several() -> None:
    two = [port("/dev/ttyUSB0", "FT1", "1-2:1.0"), port("/dev/ttyUSB1", "FT1", "1-2:1.1"), port("/dev/ttyS0", None)]
    assert ports.resolve("usb:FT1:1", lambda: two) == "/dev/ttyUSB1"
    with pytest.raises(LabError, match="is 2 serial ports") as caught:
        ports.resolve("usb:FT1", lambda: two)
    assert caught.value.cause == "lab.probe_ambiguous"
    with pytest.raises(LabError, match="no serial port with USB serial number X"):
        ports.resolve("usb:X", lambda: two)


@pytest.mark.parametrize(
    "name", ["/dev/serial/by-id/none", "socket://127.0.0.1:1", "rfc2217://127.0.0.1:1", "socket://nowhere.invalid:7"]
)
def test_ports_that_are_not_there(name: str) -> None:
    with pytest.raises(LabError) as caught:
        ports.open_port(name, 115200)
    assert caught.value.cause == "lab.serial_missing" and caught.value.fix
    assert ("ser2net" in caught.value.fix) == ("://" in name), "the next step is one for this port"
    assert str(caught.value).isprintable()


# -- over the network --

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyserial 3.5's threads


class Server:
    """A lab host: one client at a time, bytes moved between it and `uart`; RFC 2217 by pyserial's own server."""

    def __init__(self, uart: serial.Serial, telnet: bool, number: int = 0) -> None:
        self._uart, self._telnet = uart, telnet
        self._listener = socket.create_server(("127.0.0.1", number))
        self.port = self._listener.getsockname()[1]
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._stop_write, b"x")
        self._thread.join(5.0)
        self._listener.close()
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _serve(self) -> None:
        while True:
            waiting: list[Any] = [self._listener, self._stop_read]
            if self._stop_read in select.select(waiting, [], [])[0]:
                return
            client, _ = self._listener.accept()
            with client:
                if self._bridge(client):
                    return

    def _bridge(self, client: socket.socket) -> bool:
        manager: Any = None
        if self._telnet:
            far: Any = SimpleNamespace(write=client.sendall)
            near: Any = self._uart
            manager = rfc2217.PortManager(near, far)
        while True:
            waiting: list[Any] = [client, self._uart.fileno(), self._stop_read]
            ready = select.select(waiting, [], [])[0]
            if self._stop_read in ready:
                return True
            if client in ready:
                data = client.recv(4096)
                if not data:
                    return False
                self._uart.write(b"".join(manager.filter(data)) if manager else data)
            if self._uart.fileno() in ready:
                data = os.read(self._uart.fileno(), 4096)
                client.sendall(b"".join(manager.escape(data)) if manager else data)


class Wireless(serial.Serial):
    """A pty has no modem lines to tell the far end of."""

    cts = dsr = ri = cd = dtr = rts = False


@pytest.fixture
def served(uart: Uart) -> Iterator[serial.Serial]:
    with Wireless(str(uart.link), timeout=0) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
def test_a_console_on_another_host_and_its_restart(
    scheme: str, uart: Uart, served: serial.Serial, tmp_path: Path
) -> None:
    server = Server(served, scheme == "rfc2217")
    log = tmp_path / "uart.log"
    with Console(f"{scheme}://127.0.0.1:{server.port}", log, baud=921600) as console:
        uart.say(b"one \xff two\n")
        line(console, "one \\xff two")
        console.send(b"RUN \xff\n")
        assert select.select([uart.master], [], [], 5.0)[0] and os.read(uart.master, 100) == b"RUN \xff\n"
        if scheme == "rfc2217":
            assert served.baudrate == 921600, "the bit rate is set at the far end"
        server.close()
        until_gone(console, log)
        server = Server(served, scheme == "rfc2217", server.port)
        uart.say(b"after the restart\n")
        line(console, "after the restart", timeout=20.0)
    server.close()
    assert "is back" in log.read_text()


SER2NET = shutil.which("ser2net", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONNECTION = """connection: &console
  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}
  connector: serialdev,{tty},115200n81,local
"""


@contextlib.contextmanager
def ser2net(port: int, tty_name: str, folder: Path) -> Iterator[None]:
    """Ready when it greets, with no client left over: it serves one at a time."""
    (folder / "ser2net.yaml").write_text(CONNECTION.format(port=port, tty=tty_name))
    words = [str(SER2NET), "-n", "-u", "-c", str(folder / "ser2net.yaml")]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            assert soon(lambda: answers(port)), "no ser2net"
            yield
        finally:
            process.kill()


def answers(port: int) -> bool:
    """By its refusal of a second client while the first is there; both are gone when this returns True."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as link:
            link.settimeout(1.0)
            return bool(link.recv(1))
    except OSError:
        return False


def soon(what: Callable[[], bool], timeout: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(SER2NET is None, reason="ser2net is not installed")
def test_real_ser2net_a_flood_and_a_restart(uart: Uart, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        number = reserved.getsockname()[1]
    name = str(uart.link.readlink())
    url = f"rfc2217://127.0.0.1:{number}"
    log = tmp_path / "uart.log"
    flood = [b"line %05d %s\n" % (n, b"x" * 30) for n in range(2000)]
    with contextlib.ExitStack() as first:
        first.enter_context(ser2net(number, name, tmp_path))
        opened: list[Console] = []
        assert soon(lambda: bool(opened) or tried(url, log, opened)), "the port never became free"
        with opened[0] as console:
            writer = threading.Thread(target=uart.say_all, args=(flood,))
            writer.start()
            line(console, flood[-1].decode().strip(), timeout=30.0)
            writer.join()
            first.close()
            until_gone(console, log)
            with ser2net(number, name, tmp_path):
                assert soon(lambda: steady(log, console), 20.0), "the port is not back"
                uart.say(b"after the restart\n")
                line(console, "after the restart", timeout=20.0)
    said = log.read_text()
    assert all(row.decode().strip() in said for row in flood), "lines were lost"
    assert said.index(" is gone") < said.index("is back; nothing was read for") < said.index("after the restart")


def test_a_server_that_talks_no_telnet_ends_no_thread_with_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        noise = threading.Thread(target=lambda: listener.accept()[0].sendall(b"noise \xff\xf0 \xff\xfb\x01 noise"))
        noise.start()
        with pytest.raises(LabError) as caught:
            ports.open_port(f"rfc2217://127.0.0.1:{listener.getsockname()[1]}", 115200)
        noise.join(5)
    assert caught.value.cause == "lab.serial_missing" and not died


def steady(log: Path, console: Console) -> bool:
    """Back for longer than ser2net needs to refuse a second client."""
    said = log.read_text()
    if said.count(" is gone\n") > said.count("is back; "):
        return False
    with contextlib.suppress(consoles.ConsoleTimeout):
        console.wait_for(lambda one: False, 1.0, "nothing")
    return log.read_text() == said


def tried(url: str, log: Path, opened: list[Console]) -> bool:
    with contextlib.suppress(LabError):
        opened.append(Console(url, log))
    return bool(opened)


def test_a_server_that_hangs_up_again_and_again_is_no_console(tmp_path: Path) -> None:
    """ser2net says so when the port is taken, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def refuse() -> None:
            listener.settimeout(0.2)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    with client:
                        client.sendall(b"Port already in use\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        log = tmp_path / "uart.log"
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with (
                Console(url, log, lost_timeout=1.0) as console,
                pytest.raises(LabError, match=r"comes and goes|gone for"),
            ):
                line(console, "never", timeout=30.0)
        finally:
            stop.set()
            thread.join()
        assert log.read_text().count("Port already in use") <= 12
