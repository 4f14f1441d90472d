"""What a network and a stranger at the other end can do: the device fails in bounded time, or does not fail at all."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.firmware.conftest import STACKS, W5500
from tests.firmware.fw import Broker, Device

STRANGERS = {
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "connack": b"\x20\x02\x00\x00",
    "ssl2": b"\x80\x2e\x01\x03\x01\x00\x15",
    "alert-80": b"\x15\x03\x03\x00\x02\x02\x50",
    "appdata": b"\x17\x03\x03\x00\x05hello",
    "huge": b"\x16\x03\x03\xff\xff" + b"\0" * 20000,
    "empty": b"\x16\x03\x03\x00\x00" * 2000,
    "16mb": b"\x16\x03\x03\x00\x04\x02\xff\xff\xff",
    "warnings": b"\x15\x03\x03\x00\x02\x01\x70" * 2000,
}


@pytest.fixture(scope="session", params=[*STACKS, W5500])
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def stranger(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does `act` with each client."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.settimeout(10)
                    act(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(12)


@pytest.mark.parametrize("what", STRANGERS)
def test_strangers_bytes(dut: Device, what: str) -> None:
    def act(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(STRANGERS[what])
        while client.recv(4096):
            pass

    with stranger(act) as port:
        run = dut.run(port=port, script="connect", timeout=700)
    assert run.one("done")["stage"] == "tls"
    assert run.events[-1].ms - run.events[0].ms < 3500
    assert not run.all("mqtt")
    assert dut.line("SET port 1").name == "ok"


RECORDS = {"warnings": b"\x15\x03\x03\x00\x02\x01\x70", "hello requests": b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"}


@pytest.mark.parametrize("what", RECORDS)
def test_records_without_end(dut: Device, what: str) -> None:
    """Warnings and HelloRequests (RFC 5246 7.4.1.1) may be passed over, but not for ever."""

    def act(client: socket.socket) -> None:
        client.recv(4096)
        until = time.monotonic() + 9
        while time.monotonic() < until:
            client.sendall(RECORDS[what] * 2000)

    with stranger(act) as port:
        run = dut.run(port=port, script="connect", timeout=700)
    assert run.one("done")["stage"] == "tls"
    assert run.events[-1].ms - run.events[0].ms < 6000  # three bounds of a handshake, and a close


def test_random_bytes(dut: Device) -> None:
    noise = random.Random(3)  # noqa: S311 (test data)

    def act(client: socket.socket) -> None:
        client.recv(4096)
        kind = noise.choice((20, 21, 22, 23, 24, 200))
        body = noise.randbytes(noise.randrange(1, 300))
        client.sendall(bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body)

    with stranger(act) as port:
        for _ in range(60):
            assert not dut.run(port=port, script="connect", timeout=500).ok
    assert dut.process.poll() is None
    assert dut.events[-1].name == "done"
    marks = [int(e["heap_now"]) for e in dut.events if e.name == "mark"]
    assert set(marks) == {0}, "nothing is lost, whatever came"


def test_silence_is_bounded(dut: Device) -> None:
    def act(client: socket.socket) -> None:
        while client.recv(4096):
            pass

    with stranger(act) as port:
        run = dut.run(port=port, script="connect", timeout=500)
    assert run.one("done")["stage"] == "tls"
    assert 400 <= run.events[-1].ms - run.events[0].ms <= 3000
    assert run.all("tick")


FLOODS = {"messages": b"\x30\x04\x00\x01tx" * 500, "ping responses": b"\xd0\x00" * 1500}


@pytest.mark.parametrize(("script", "flood"), [("connect;sub0", "ping responses"), ("connect;idle:1000", "messages")])
def test_a_peer_that_never_stops_talking_stops_no_clock(dut: Device, script: str, flood: str) -> None:
    """A broker sends well-formed packets without end: a step has its bound all the same."""

    def act(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(b"\x20\x02\x00\x00")
        until = time.monotonic() + 9
        while time.monotonic() < until:
            client.sendall(FLOODS[flood])

    with stranger(act) as port:
        run = dut.run(port=port, tls_min="none", script=script, timeout=1000)
    assert run.events[-1].ms - run.events[0].ms < 6000
    assert run.one("done")["stage"] == ("mqtt" if "sub0" in script else "script"), run.brief()[-2000:]


def test_refused(dut: Device) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        run = dut.run(port=s.getsockname()[1], script="connect")
    assert run.one("tcp")["state"] == "failed"
    assert run.one("done")["stage"] == "tcp"
    assert run.one("done")["rc"] == "-4"


def test_dribble(dut: Device, brokers: dict[str, Broker], stack: str) -> None:
    """TCP-05: every byte its own segment, both ways to CONNACK and a message."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                for byte in data:
                    sink.sendall(bytes((byte,)))
            sink.shutdown(socket.SHUT_WR)

    broker = brokers["e13" if stack == "wolfssl" else "e12"]

    def act(client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", broker.port)) as server:
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(4096):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            back.join(5)

    with stranger(act) as port:
        run = dut.run(port=port, script="connect;sub1;pub1;recv:2000;disconnect")
    assert run.ok, run.brief()


def test_cut_in_the_middle(dut: Device, brokers: dict[str, Broker], stack: str) -> None:
    """The connection ends after n bytes of the server: a failure, no hang, and no MQTT over half a handshake."""
    broker = brokers["e13" if stack == "wolfssl" else "e12"]
    for cut in (1, 5, 60, 300):

        def act(client: socket.socket, cut: int = cut) -> None:
            with socket.create_connection(("127.0.0.1", broker.port)) as server:
                server.sendall(client.recv(4096))
                data = b""
                end = time.monotonic() + 2
                while len(data) < cut and time.monotonic() < end:
                    data += server.recv(cut - len(data))
                client.sendall(data)

        with stranger(act) as port:
            run = dut.run(port=port, script="connect", timeout=500)
        assert run.one("done")["stage"] == "tls", (cut, run.brief())
        assert not run.all("mqtt")
