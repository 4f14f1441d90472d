"""MQTT behaviour of the device: both levels, all QoS, keep-alive, will, sessions, refusals, reconnects."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.firmware.conftest import W5500
from tests.firmware.fw import Broker, Device, Run, mosquitto
from tests.firmware.wire import tap


@pytest.fixture(scope="session", params=["wolfssl", W5500])
def stack(request: pytest.FixtureRequest) -> str:
    """The client is the same code over either stack: once is enough here, and once with another read path."""
    return str(request.param)


@pytest.fixture
def plain(dut: Device, brokers: dict[str, Broker]) -> Device:
    dut.set("tls.min", "none")
    dut.set("port", brokers["plain"].port)
    return dut


def test_keep_alive_while_idle(plain: Device) -> None:
    with tap(int(hil_port(plain))) as seen:
        run = plain.run(port=seen.port, mqtt_keepalive=2, script="connect;idle:5000;disconnect")
        assert run.ok, run.brief()
        assert bytes(seen.client[-1]).count(b"\xc0\x00") >= 2
    pings = [e.ms for e in run.all("mqtt", state="ping")]
    assert all(b - a <= 2000 for a, b in pairwise([run.one("mqtt", state="connack").ms, *pings]))
    assert len(run.all("tick")) >= 4


def hil_port(dut: Device) -> str:
    """The port that was set last (asked of the log of commands, so that tests can put a tap before it)."""
    return str(dut.settings["port"])


def test_will_and_password(plain: Device, brokers: dict[str, Broker]) -> None:
    port = int(hil_port(plain))
    for level in (4, 5):
        with tap(port) as seen:
            run = plain.run(
                port=seen.port,
                mqtt_level=level,
                mqtt_username="user",
                mqtt_password="p%ä w",  # noqa: S106
                mqtt_will="will/t,1,1,gone, really",
                script="connect;drop",
            )
            assert run.ok
            connect = bytes(seen.client[-1])
        assert connect[0] == 0x10
        assert connect[9] & 0xEE == 0xEE & (0x80 | 0x40 | 0x20 | 0x08 | 0x04 | 0x02)
        assert b"gone, really" in connect
        assert "p%ä w".encode() in connect


def test_bad_topics_are_refused(plain: Device) -> None:
    port = int(hil_port(plain))
    topics = ("6100", "eda080", "61x65536", "612b", "23", "", "c0af")
    script = ";".join(["connect", *(f"badtopic:{t}" for t in topics), "pub0", "disconnect"])
    with tap(port) as seen:
        run = plain.run(port=seen.port, script=script)
        data = bytes(seen.client[-1])
    assert run.ok, run.brief()
    assert [e["rc"] for e in run.all("step")][1:8] == ["-2", "-2", "-3", "-4", "-4", "-4", "-2"]
    assert data.count(b"\x30") == 1, "one PUBLISH, the good one"


def test_settings_are_checked(dut: Device) -> None:
    for line, reason in (
        ("SET nonsense 1", "unknown_key"),
        ("SET port 0", "bad_value"),
        ("SET port 65536", "bad_value"),
        ("SET port 12x", "bad_value"),
        ("SET script connect;fly", "bad_value"),
        ("SET script idle:", "bad_value"),
        ("SET script connect;repeat:0", "bad_value"),
        ("SET defect imaginary", "bad_value"),
        ("SET mqtt.will a/b,3,0,x", "bad_value"),
        ("SET mqtt.will a/+,1,0,x", "bad_value"),
        ("SET tls.min 1.1", "bad_value"),
        ("SET seed abc", "bad_value"),
        ("SET mqtt.topic a%00b", "bad_value"),
        ("SET host " + "h" * 128, "too_long"),
        ("PUT nowhere 5", "unknown_name"),
        ("PUT ca 8193", "too_long"),
        ("PUT ca x", "syntax"),
        ("FLY", "unknown"),
    ):
        answer = dut.line(line)
        assert (answer.name, answer["reason"]) == ("err", reason), line


# --- a broker that says what it is told ---


ACCEPT = b"\x20\x02\x00\x00"
Answer = bytes | list[bytes] | None


@contextmanager
def scripted(*answers: list[Answer]) -> Iterator[tuple[int, list[bytearray]]]:
    """One list a connection: each item is sent after the client's next bytes, a list in segments of its own, None
    closes. Gives the port and what clients sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytearray] = []

    def serve() -> None:
        for answer in answers:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            heard.append(bytearray())
            client.settimeout(10)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client:
                try:
                    for item in answer:
                        if item is None:
                            break
                        heard[-1] += client.recv(4096)
                        for segment in item if isinstance(item, list) else [item]:
                            client.sendall(segment)
                    else:
                        while data := client.recv(4096):
                            heard[-1] += data
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(12)


Against = Callable[..., tuple[Run, bytes]]


@pytest.fixture
def against(dut: Device) -> Against:
    def run(*answers: list[Answer], **settings: object) -> tuple[Run, bytes]:
        with scripted(*answers) as (port, heard):
            result = dut.run(**{"port": port, "tls_min": "none", "script": "connect;idle:1500;disconnect", **settings})
        return result, bytes(heard[-1])

    return run


# What a server must not send at 3.1.1 (catalogue M3-10 to 12, 24 to 29), each after CONNACK unless it begins with "!".
MALFORMED_311 = [
    "!20 00", "!20 01 00", "!20 03 00 00 00", "!20 02 02 00", "!20 02 00 06", "!21 02 00 00", "!30 03 00 01 61",
    "!d0 00",
    "36 05 00 01 61 00 01", "38 03 00 01 61", "30 05 00 03 61 2f 2b", "30 02 00 00", "32 05 00 01 61 00 00",
    "32 06 00 02 c0 80 00 01", "32 07 00 03 ed a0 80 00 01", "32 06 00 02 e2 82 00 01", "32 07 00 03 61 00 62 00 01",
    "20 02 00 00", "41 02 00 01", "60 02 00 01", "d1 00", "d0 01 00", "00 00", "f0 00", "e0 00", "c0 00",
    "82 06 00 01 00 01 61 00",
    "30 ff ff ff ff 01", "30 ff ff ff 7f", "40 03 00 01 00",
]  # fmt: skip


@pytest.mark.parametrize("packet", MALFORMED_311)
def test_malformed_packets_close(against: Against, packet: str) -> None:
    first = packet.startswith("!")
    data = bytes.fromhex(packet.lstrip("!"))
    run, heard = against([data if first else ACCEPT + data])
    assert not run.ok, run.brief()
    assert run.one("done")["stage"] == "mqtt"
    assert run.events[-1].ms - run.events[0].ms < 1500
    assert heard.count(b"\x40\x02") == 0, "nothing of it is acknowledged"
    if first:
        assert not run.all("mqtt", state="connack")


def test_refused_connack(against: Against) -> None:
    for code in range(1, 6):
        run, heard = against([bytes((0x20, 2, 0, code))])
        assert run.one("mqtt", state="refused")["code"] == str(code)
        assert run.one("done")["rc"] == str(code)
        assert len(heard) == 2 + heard[1], "CONNECT and nothing after it"


def test_bytes_one_by_one(against: Against) -> None:
    """CONNACK and a QoS 1 message in one-byte segments, then both in one."""
    packets = ACCEPT + bytes.fromhex("32 06 00 01 61 00 07 78")
    for pieces in ([bytes([b]) for b in packets], [packets]):
        run, heard = against([pieces])
        assert run.ok, run.brief()
        assert b"\x40\x02\x00\x07" in heard


def test_inbound_qos2_is_delivered_once(against: Against) -> None:
    publish = bytes.fromhex("34 06 00 01 61 00 09 78")
    again = bytes([publish[0] | 8]) + publish[1:]
    run, heard = against([ACCEPT + publish + again + b"\x62\x02\x00\x09" + publish + b"\x62\x02\x00\x63"])
    assert run.ok, run.brief()
    assert len(run.all("mqtt", state="msg")) == 2
    assert heard.count(b"\x50\x02\x00\x09") == 3
    assert b"\x70\x02\x00\x09" in heard
    assert b"\x70\x02\x00\x63" in heard


def test_v5_reasons_on_closing(against: Against) -> None:
    accept = bytes.fromhex("20 03 00 00 00")
    for packet, reason in (
        ("20 03 00 00 00", 0x82),  # second CONNACK
        ("30 07 00 01 61 03 23 00 01", 0x94),  # alias without a maximum
        ("32 08 00 01 61 00 01 02 7f 00", 0x81),  # unknown property
        ("f0 02 18 00", 0x82),  # AUTH without a method
        ("30 ff ff ff 7f", 0x95),
    ):
        data = bytes.fromhex(packet)
        run, heard = against([accept + data], mqtt_level=5)
        assert not run.ok
        assert heard.endswith(bytes((0xE0, 1, reason))), (packet, heard[-8:])
    run, _ = against([accept + bytes.fromhex("e0 01 8b")], mqtt_level=5)
    assert run.one("mqtt", state="disconnect")["code"] == str(0x8B)
    run, heard = against(
        [bytes.fromhex("20 08 00 00 05 27 00 00 00 1e")],
        mqtt_level=5,
        script="connect;pub1;disconnect",
        mqtt_payload="x" * 40,
    )
    assert run.one("done")["rc"] == "-149", "larger than the server's maximum: not sent"


def test_unacknowledged_publish_comes_again(against: Against) -> None:
    """M3-18, M3-20: same id with DUP after a reconnect with session present; PUBREL only, once PUBREC was there."""
    settings = {
        "mqtt_clean": 0,
        "reconnect": 1,
        "backoff_base": 20,
        "script": "connect;pub1;disconnect",
        "timeout": 3000,
    }
    run, heard = against([ACCEPT, b"", None], [b"\x20\x02\x01\x00", b"\x40\x02\x00\x01"], **settings)
    assert run.ok, run.brief()
    assert run.all("mqtt", state="puback")
    assert heard.count(b"\x3a") == 1, "PUBLISH with DUP"
    run, heard = against(
        [ACCEPT, b"\x50\x02\x00\x01", None],
        [b"\x20\x02\x01\x00", b"\x70\x02\x00\x01"],
        **{**settings, "script": "connect;pub2;disconnect"},
    )
    assert run.ok, run.brief()
    connect_len = 2 + heard[1]
    assert heard[connect_len : connect_len + 4] == b"\x62\x02\x00\x01"


def test_backoff_grows_and_jitters(against: Against) -> None:
    refuse = [b"\x20\x02\x00\x03"]
    waits = []
    for _ in range(2):
        run, _ = against(*[refuse] * 6, reconnect=5, backoff_base=50, script="connect")
        waits.append([int(e["ms"]) for e in run.all("backoff")])
        assert len(waits[-1]) == 5
        assert all(50 * 2**i <= w <= 75 * 2**i for i, w in enumerate(waits[-1]))
    assert waits[0] != waits[1]
    run, _ = against(*[refuse] * 4, reconnect=3, backoff_base=50, script="connect", defect="no_backoff")
    assert {e["ms"] for e in run.all("backoff")} == {"100"}


def test_default_gap_is_a_second(against: Against) -> None:
    run, _ = against([ACCEPT, None], [ACCEPT], reconnect=1, script="connect;idle:300;disconnect", backoff_base=500)
    assert all(int(e["ms"]) >= 1000 for e in run.all("backoff"))


def test_persistent_session(plain: Device, tmp_path: Path) -> None:
    """The broker remembers us: session present, and no second SUBSCRIBE."""
    with mosquitto(tmp_path, None) as broker:
        first = plain.run(port=broker.port, mqtt_clean=0, script="connect;sub1;disconnect")
        assert first.one("mqtt", state="connack")["present"] == "0"
        second = plain.run(script="connect;pub1;recv:2000;disconnect")
        assert second.ok, second.brief()
        assert second.one("mqtt", state="connack")["present"] == "1"


def publish_frame(size: int) -> bytes:
    """A QoS 1 PUBLISH (id 7, topic "a") with a Remaining Length of `size`."""
    length, n = bytearray(), size
    while True:
        length.append((n & 0x7F) | (0x80 if n > 0x7F else 0))
        n >>= 7
        if n == 0:
            break
    return b"\x32" + bytes(length) + b"\x00\x01a\x00\x07" + b"x" * (size - 5)


@pytest.mark.parametrize("size", [5, 127, 128, 16383, 16384, 65535, 65536, 131072, 262140])
def test_large_messages(against: Against, size: int) -> None:
    """M3-30: every edge of the Remaining Length, up to what the device declares."""
    run, heard = against([ACCEPT + publish_frame(size)], script="connect;recv:3000;disconnect")
    assert run.ok, run.brief()
    assert run.one("mqtt", state="msg")["len"] == str(size - 5)
    assert b"\x40\x02\x00\x07" in heard


def test_too_large_message(against: Against) -> None:
    run, heard = against([ACCEPT + publish_frame(262141)], script="connect;recv:3000;disconnect")
    assert run.one("done")["rc"] == "-149"
    assert b"\x40\x02\x00\x07" not in heard
