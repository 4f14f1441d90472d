"""Defects of the machine, resets, and the command line under noise and loss."""

from __future__ import annotations

import binascii
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.firmware.fw import Broker, Device, crc16, device


@pytest.fixture(scope="session", params=["wolfssl"])
def stack(request: pytest.FixtureRequest) -> str:
    """Nothing here touches TLS."""
    return str(request.param)


@pytest.fixture
def plain(dut: Device, brokers: dict[str, Broker]) -> Device:
    dut.set("tls.min", "none")
    dut.set("port", brokers["plain"].port)
    dut.set("script", "connect;pub1;disconnect")
    return dut


def test_boot_line(dut: Device) -> None:
    boot = dut.events[0]
    assert boot["stack"].startswith("wolfssl-")
    assert (boot.seq, boot.name) == (0, "boot")
    assert boot["board"] == "native"
    assert boot["proto"] == "1"
    assert boot["level"] == "command"
    assert boot["reset"] == "power"
    assert boot["build"]
    assert "hang" in dut.events[1]["defects"].split(",")


def test_hardfault(plain: Device) -> None:
    plain.set("defect", "hardfault")
    plain.line("RUN")
    fault = plain.wait("fault")
    assert fault["kind"] == "hardfault"
    assert int(fault["pc"], 16) > 0
    assert int(fault["bfar"], 16) == 4
    assert plain.process.wait(5) == 139


def test_lockup(plain: Device) -> None:
    plain.set("defect", "lockup")
    plain.line("RUN")
    assert plain.process.wait(10) == -signal.SIGABRT
    assert not [e for e in plain.events if e.name in ("fault", "done")]


def test_hang_is_silent_and_outlives_the_watchdog(plain: Device) -> None:
    plain.set("defect", "hang")
    plain.line("RUN")
    plain.wait("tcp")
    count = len(plain.events)
    with pytest.raises(AssertionError):
        plain.wait("nothing", timeout=9.5, after=count)
    assert len(plain.events) == count, "no tick, no event"
    assert plain.process.poll() is None


def test_watchdog(plain: Device) -> None:
    """A client that is not run at all: the watchdog reports and restarts it on the same UART."""
    os.kill(plain.process.pid, signal.SIGSTOP)
    time.sleep(8.5)
    os.kill(plain.process.pid, signal.SIGCONT)
    fault = plain.wait("fault")
    assert fault["kind"] == "watchdog"
    boot = plain.wait("boot", after=plain.events.index(fault))
    assert boot["reset"] == "watchdog"
    plain.wait("ready", after=plain.events.index(boot))
    assert plain.line("SET port 1").name == "ok", "alive, and its signals unblocked"


def test_reset(plain: Device) -> None:
    for _ in range(2):
        after = len(plain.events)
        plain.line("RESET")
        boot = plain.wait("boot", after=after)
        assert (boot.seq, boot["reset"]) == (0, "software")
        plain.wait("ready", after=plain.events.index(boot))
    assert plain.line("SET port 1").name == "ok"


def test_flood_still_finishes(plain: Device) -> None:
    plain.set("script", "connect;idle:1000;pub1;disconnect")
    run = plain.run(defect="uart_flood")
    assert run.ok
    assert len(plain.foreign) > 1500
    assert all(b"@H1" not in line for line in plain.foreign)


def test_foreign_lines_on_request(plain: Device) -> None:
    assert plain.run().ok
    assert not plain.foreign
    assert plain.run(uart_log=1).ok
    assert plain.foreign


def test_ends_when_the_line_hangs_up(firmware: Path) -> None:
    with device(firmware) as d:
        process = d.process
    assert process.returncode == 0


def test_hang_ends_when_the_line_hangs_up(firmware: Path, brokers: dict[str, Broker]) -> None:
    with device(firmware) as d:
        d.set("address", "127.0.0.1")
        d.set("port", brokers["plain"].port)
        d.set("defect", "hang")
        d.line("RUN")
        d.wait("tcp")
    assert d.process.returncode == 0


def test_put_survives_a_pause(plain: Device) -> None:
    data = bytes(i * 7 & 0xFF for i in range(3000))
    assert plain.line("PUT ca 3000").name == "ok"
    plain.raw(data[:2000])
    after = len(plain.events)
    error = plain.wait("err", 3, after)
    assert (error["cmd"], error["name"], error["reason"]) == ("PUT", "ca", "timeout")
    plain.put("ca", data)
    plain.put("ca", b"")
    plain.put("ca", data[:1] * 8192)


def test_commands_behind_noise(plain: Device) -> None:
    def framed(text: str) -> bytes:
        body = text.encode() + b" "
        return body + f"*{crc16(body):04x}".encode()

    noise = random.Random(2)  # noqa: S311 (test data)
    for i in range(60):
        after = len(plain.events)
        rubbish = bytes(noise.choice(b"abcSETRUN \x00\xff*%") for _ in range(noise.randrange(30))).replace(b"\n", b"")
        kind = i % 3
        if kind == 0:
            plain.raw(rubbish + framed(f"SET port {1000 + i}") + b"\n")
        elif kind == 1:  # a lost line end: the first command is lost, the second is found
            plain.raw(framed("SET port 7") + framed(f"SET port {1000 + i}") + b"\r\n")
        else:  # an over-long line, then a good one
            plain.raw(b"x" * 2000 + b"\n" + framed(f"SET port {1000 + i}") + b"\n")
            error = plain.wait("err", after=after)
            assert error["reason"] == "too_long"
        assert plain.wait("ok", after=after)["key"] == "port"
    damaged = framed("SET port 1234").replace(b"1234", b"1235")
    after = len(plain.events)
    plain.raw(damaged + b"\n")
    assert plain.wait("err", after=after)["reason"] == "crc"


def test_a_person_at_a_terminal(firmware: Path, brokers: dict[str, Broker]) -> None:
    """No checksums, CR LF, blank lines, and everything at once, PUT's bytes included."""
    data = b"\n@H1 SET RUN\n" * 100
    with device(firmware) as d:
        d.raw(b"\r\n\r\nSET tls.min none\r\nSET address 127.0.0.1\r\nSET port %d\n" % brokers["plain"].port)
        d.raw(b"PUT ca %d\n" % len(data) + data + b"SET mqtt.topic a b\nRUN\r\n")
        assert d.wait("done")["result"] == "ok"
        assert int(d.wait("put")["crc32"], 16) == binascii.crc32(data)
        assert len([e for e in d.events if e.name == "ok"]) == 6


def test_checksums_stay_once_seen(plain: Device) -> None:
    after = len(plain.events)
    plain.raw(b"SET mqtt.topic a *12g4\n")
    assert plain.wait("err", after=after)["reason"] == "crc"
    after = len(plain.events)
    plain.raw(b"RUN\n")
    assert plain.wait("done", after=after)["result"] == "ok"
