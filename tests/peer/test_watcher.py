"""The watcher sees what the broker passed on, and reaches the device's side, without being on the device's listener."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from harness.errors import LabError, UsageError
from harness.lab.pki import Pki
from harness.lab.profiles import Profile
from harness.peer.mosquitto import broker
from harness.peer.watcher import Watcher, watch

Profiles = dict[str, Profile]


def mosquitto(program: str, port: int, pki: Pki, *args: str) -> list[str]:
    return [program, "-h", "127.0.0.1", "-p", str(port), "--cafile", str(pki.cert("ca-p256")), "--insecure",
            "-u", "hil-device", "-P", "correct-horse", *args]


def test_messages_and_clients(profiles: Profiles, pki: Pki, work: Path) -> None:
    before = time.time_ns()
    with broker(profiles["e13-password"], pki, work, watch=True) as running, watch(running) as watcher:
        command = mosquitto("mosquitto_pub", running.port, pki, "-i", "dev", "-t", "hil/up", "-q", "2", "-m")
        for payload in ("one", "two"):
            subprocess.run([*command, payload], timeout=20, check=True)
        seen = watcher.wait(lambda message: message.topic == "hil/up", 5, count=2)
        assert [(message.payload, message.qos) for message in seen] == [(b"one", 2), (b"two", 2)]
        assert before < seen[0].t <= seen[1].t <= time.time_ns()
        assert running.watch_port != running.port
    assert watcher.clients() == ["dev", "dev"]  # the log is whole once the broker has ended
    assert f"on port {running.port}" in running.log.read_text()


def test_publish_reaches_a_subscriber_on_the_devices_listener(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["e13-password"], pki, work, watch=True) as running, watch(running) as watcher:
        command = mosquitto("mosquitto_sub", running.port, pki, "-i", "dev", "-t", "hil/down", "-C", "1", "-W", "10")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
            assert running.wait_log("Sending SUBACK to dev", 10)
            watcher.publish("hil/down", b"hello", qos=1)
            out, _ = subscriber.communicate(timeout=15)
        assert out == "hello\n"


def test_waiting_is_bounded(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["plain"], pki, work, watch=True) as running, watch(running) as watcher:
        start = time.monotonic()
        assert watcher.wait(lambda message: True, 0.2) == []
        assert 0.2 <= time.monotonic() - start < 2


def test_watching_needs_a_listener_of_its_own(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["plain"], pki, work) as running, pytest.raises(UsageError, match="no listener"):
        Watcher(running)


def test_a_dead_broker_is_a_lab_error(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["plain"], pki, work, watch=True) as running:
        with watch(running) as watcher:
            running.kill()
            with pytest.raises(LabError, match="did not take a message"):
                watcher.publish("t", b"x", qos=1)
        with pytest.raises(LabError, match="cannot connect"):
            Watcher(running)
