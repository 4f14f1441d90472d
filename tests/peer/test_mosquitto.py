"""A broker starts only when it listens, and nothing of it stays behind, whatever happens."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from harness.errors import LabError, UsageError
from harness.lab.pki import Pki
from harness.lab.profiles import Profile
from harness.model import Listener
from harness.paths import ROOT
from harness.peer import brokerlog, canary, mosquitto, ports
from harness.peer.brokerlog import BrokerLog
from harness.peer.mosquitto import broker
from tests.peer.sclient import attempt, mqtt_connect

Profiles = dict[str, Profile]


def gone(pid: int) -> bool:
    """Whether no process of this id is left, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


def test_what_a_running_broker_says_of_itself(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["r12-mutual"], pki, work) as running:
        assert running.alive() and running.pid > 0
        assert re.fullmatch(r"\d+\.\d+\.\d+", running.version)
        assert ports.listening(running.host, running.port)
        assert running.watch_port is None
        assert isinstance(running.listener, Listener)
        assert running.listener.versions == ("1.2",)
        assert running.listener.client_certificate == "require"
        log = running.log.read_text()
        assert "New connection" not in log, "something connected to see whether it is ready"
    assert gone(running.pid)
    assert not ports.listening(running.host, running.port)
    assert f"mosquitto version {running.version} terminating" in running.log.read_text()


def test_log_lines_carry_utc_with_microseconds(profiles: Profiles, pki: Pki, work: Path) -> None:
    before = time.time()
    with broker(profiles["plain"], pki, work) as running:
        pass
    lines = running.log.read_text().splitlines()
    assert len(lines) >= 4
    for line in lines:
        stamp, _, text = line.partition(": ")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp) and text
        assert before - 0.001 <= datetime.fromisoformat(stamp).timestamp() <= time.time()


def test_files_of_a_broker_are_private(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["r12-password"], pki, work) as running:
        assert running.keylog is not None
        for path in (running.conf, running.keylog, work / "passwords", work / "openssl.cnf"):
            assert path.stat().st_mode & 0o077 == 0, path
        assert "correct-horse" not in (work / "passwords").read_text()


def test_key_log_holds_the_secrets_of_a_tls12_client(profiles: Profiles, pki: Pki, work: Path) -> None:
    own = work / "client.keys"
    with broker(profiles["r12"], pki, work) as running:
        outcome = attempt(running.port, ["-keylogfile", own])
        assert outcome.connack == 0
        assert running.keylog is not None
        mine = [line for line in own.read_text().splitlines() if line.startswith("CLIENT_RANDOM ")]
        assert len(mine) == 1
        assert running.keylog.read_text().splitlines() == mine


def test_key_log_can_be_elsewhere_or_off(profiles: Profiles, pki: Pki, work: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "secrets" / "keys.log"
    with broker(profiles["r13"], pki, work, keylog=elsewhere) as running:
        assert running.keylog == elsewhere
        assert attempt(running.port, []).connack == 0
        assert "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in elsewhere.read_text()
    with broker(profiles["r13"], pki, work, keylog=False) as running:
        assert running.keylog is None
        assert attempt(running.port, []).connack == 0
    assert not (work / "keys.log").exists()


@pytest.mark.parametrize("stays", ["ended", "stopped", "killed"])
def test_nothing_is_left_after_an_exception(stays: str, profiles: Profiles, pki: Pki, work: Path) -> None:
    class Unexpected(Exception):
        pass

    with pytest.raises(Unexpected), broker(profiles["r13"], pki, work) as running:
        if stays == "stopped":
            running.stop()
        if stays == "killed":
            running.kill()
        raise Unexpected
    assert gone(running.pid)


def test_a_broker_that_ignores_sigterm_is_killed(
    profiles: Profiles, pki: Pki, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "STOP_TIMEOUT", 0.3)
    with broker(profiles["plain"], pki, work) as running:
        os.kill(running.pid, signal.SIGSTOP)
    assert gone(running.pid)


def test_a_broker_that_ends_by_itself_is_a_lab_error(profiles: Profiles, pki: Pki, work: Path) -> None:
    with pytest.raises(LabError, match="ended by itself") as caught, broker(profiles["plain"], pki, work) as running:
        os.kill(running.pid, signal.SIGKILL)
        while running.alive():
            os.sched_yield()
    assert caught.value.cause == "lab.broker_failed"
    assert gone(running.pid)


def test_kill_ends_connections_without_mqtt_or_tls(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["plain"], pki, work) as running:
        with socket.create_connection((running.host, running.port), timeout=5) as stream:
            stream.sendall(mqtt_connect())
            assert stream.recv(4) == b"\x20\x02\x00\x00"
            running.kill()
            assert stream.recv(1) == b""
        assert gone(running.pid)


def test_taken_port_is_one_clear_line(profiles: Profiles, pki: Pki, work: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError, match=f"port {port} at 127.0.0.1 is taken") as caught, \
                broker(profiles["plain"], pki, work, port=port):
            pass
    assert caught.value.cause == "lab.broker_failed" and caught.value.exit_code == 10


def test_port_lost_between_look_and_bind_is_tried_again(
    profiles: Profiles, pki: Pki, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        looked: list[int] = []
        real = ports.candidate

        def first_taken(address: str, avoid: set[int]) -> int:
            looked.append(taken if not looked else real(address, avoid))
            return looked[-1]

        monkeypatch.setattr(ports, "candidate", first_taken)
        with broker(profiles["plain"], pki, work) as running:
            assert running.port == looked[1] != taken


def test_twenty_brokers_at_once_get_twenty_ports(profiles: Profiles, pki: Pki, tmp_path: Path) -> None:
    def one(number: int) -> int:
        with broker(profiles["plain"], pki, tmp_path / str(number)) as running:
            with socket.create_connection((running.host, running.port), timeout=10) as stream:
                stream.sendall(mqtt_connect(client_id=f"c{number}"))
                assert stream.recv(4) == b"\x20\x02\x00\x00"
            assert running.wait_log(f"as c{number} ", 5)
            return running.pid

    with ThreadPoolExecutor(10) as pool:
        pids = list(pool.map(one, range(20)))
    assert all(gone(pid) for pid in pids)


def test_foreign_address(profiles: Profiles, pki: Pki, work: Path) -> None:
    with pytest.raises(LabError, match=r"192\.0\.2\.1 is not an address of this machine"), \
            broker(profiles["plain"], pki, work, address="192.0.2.1"):
        pass


@pytest.mark.parametrize("address", ["::1", "localhost", "1.2.3"])
def test_only_ipv4(address: str, profiles: Profiles, pki: Pki, work: Path) -> None:
    with pytest.raises(UsageError, match="not an IPv4 address"), broker(profiles["plain"], pki, work, address=address):
        pass


def test_a_work_folder_that_cannot_be_made(profiles: Profiles, pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="cannot be written"), broker(profiles["plain"], pki, tmp_path / "file" / "x"):
        pass


def test_a_full_disk_is_the_labs_fault_and_does_not_stop_the_broker(
    profiles: Profiles, pki: Pki, tmp_path: Path
) -> None:
    def full(self: BrokerLog, file: object, data: bytes) -> int:
        self.error = OSError(errno.ENOSPC, "No space left on device")
        return 0

    with pytest.MonkeyPatch.context() as patch, pytest.raises(LabError) as caught:
        patch.setattr(BrokerLog, "_write", full)
        with broker(profiles["plain"], pki, tmp_path) as running, \
                socket.create_connection((running.host, running.port), timeout=5) as stream:
            stream.sendall(mqtt_connect())
            assert stream.recv(4) == b"\x20\x02\x00\x00"
    assert caught.value.cause == "lab.disk_full"
    assert gone(running.pid)


def test_a_flood_of_log_lines_is_bounded(
    profiles: Profiles, pki: Pki, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokerlog, "MAX_FILE", 10_000)
    monkeypatch.setattr(mosquitto, "START_TIMEOUT", 20.0)
    flood = script(tmp_path / "flood", "seq 1 100000 >&2; echo Error: the last line >&2; exit 3")
    monkeypatch.setenv("HIL_MOSQUITTO", flood)
    with pytest.raises(LabError, match="the last line"), broker(profiles["plain"], pki, work):
        pass
    kept = (work / "broker.log").read_text()
    assert len(kept) < 11_000 and kept.endswith("hil: the rest is not kept\n")


def test_broken_certificate_is_named_with_the_logs_last_error(
    profiles: Profiles, pki: Pki, tmp_path: Path, work: Path
) -> None:
    copy = tmp_path / "pki"
    subprocess.run(["cp", "-r", pki.out, copy], check=True)
    (copy / "chains" / "server-rsa2048.pem").write_text("not a certificate\n")
    with pytest.raises(LabError, match=r"cannot start with profile r12: .*[Ee]rror") as caught, \
            broker(profiles["r12"], Pki(copy), work, keylog=False):
        pass
    assert caught.value.cause == "lab.broker_failed"
    assert "\n" not in str(caught.value) and "certificates" in caught.value.fix


def test_missing_key_file(profiles: Profiles, pki: Pki, tmp_path: Path, work: Path) -> None:
    copy = tmp_path / "pki"
    subprocess.run(["cp", "-r", pki.out, copy], check=True)
    (copy / "keys" / "server-rsa2048.pem").write_text("")
    with pytest.raises(LabError) as caught, broker(profiles["r12"], Pki(copy), work, keylog=False):
        pass
    assert caught.value.cause == "lab.broker_failed" and "\n" not in str(caught.value)


def test_profile_with_an_unknown_certificate(profiles: Profiles, pki: Pki, work: Path) -> None:
    profile = msgspec.structs.replace(profiles["r12"], certificate="server-nobody")
    with pytest.raises(UsageError, match="server-nobody"), broker(profile, pki, work, keylog=False):
        pass


def test_missing_mosquitto(profiles: Profiles, pki: Pki, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_MOSQUITTO", "/nonexistent/mosquitto")
    with pytest.raises(LabError, match="mosquitto") as caught, broker(profiles["plain"], pki, work):
        pass
    assert caught.value.cause == "lab.tool_missing"


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + textwrap.dedent(text))
    path.chmod(0o755)
    return str(path)


def test_broker_that_never_gets_ready(
    profiles: Profiles, pki: Pki, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "START_TIMEOUT", 0.5)
    pidfile = tmp_path / "pid"
    monkeypatch.setenv("HIL_MOSQUITTO", script(tmp_path / "mute", f"echo $$ > {pidfile}; exec sleep 60"))
    with pytest.raises(LabError, match="not ready within") as caught, broker(profiles["plain"], pki, work):
        pass
    assert caught.value.cause == "lab.broker_failed"
    assert gone(int(pidfile.read_text()))


def test_broker_that_lies_about_running(
    profiles: Profiles, pki: Pki, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = script(tmp_path / "liar", "echo mosquitto version 9.9.9 running >&2; exec sleep 60")
    monkeypatch.setenv("HIL_MOSQUITTO", liar)
    with pytest.raises(LabError, match="nothing listens"), broker(profiles["plain"], pki, work):
        pass


def test_broker_that_silently_logs_no_keys_is_found_out(
    profiles: Profiles, pki: Pki, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mosquitto.find_mosquitto()
    deaf = script(tmp_path / "deaf", f'unset LD_PRELOAD; exec {real} "$@"')  # as a setuid or static broker would be
    monkeypatch.setenv("HIL_MOSQUITTO", deaf)
    with pytest.raises(LabError, match=r"key log stays useless.*had logged nothing") as caught, \
            broker(profiles["r12"], pki, work):
        pass
    assert caught.value.cause == "lab.broker_failed"
    with broker(profiles["r12"], pki, work, keylog=False) as running:  # without keys it will do
        assert attempt(running.port, []).connack == 0


def test_canary_is_asked_once_for_each_broker_and_library(
    profiles: Profiles, pki: Pki, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = canary.handshake

    def counting(host: str, port: int, ca: Path, own_log: Path) -> list[str]:
        asked.append(port)
        return real(host, port, ca, own_log)

    monkeypatch.setattr(canary, "handshake", counting)
    monkeypatch.setattr(canary, "_proved", set())
    for _ in range(3):
        with broker(profiles["r12"], pki, work) as running:
            assert running.port not in asked, "the canary must not sit on the device's listener"
    assert len(asked) == 1


def test_keys_of_others_do_not_prove_anything(
    profiles: Profiles, pki: Pki, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "_proved", set())
    real = canary.handshake

    def another(host: str, port: int, ca: Path, own_log: Path) -> list[str]:
        return [line[:-4] + "0000" for line in real(host, port, ca, own_log)]

    monkeypatch.setattr(canary, "handshake", another)
    with pytest.raises(LabError, match="other secrets"), broker(profiles["r12"], pki, work):
        pass


def test_killed_bench_leaves_no_broker(pki: Pki, work: Path) -> None:
    """kill -9 of the process that holds the broker: the kernel ends the broker too."""
    program = f"""
        import sys
        from pathlib import Path
        from harness.lab.pki import Pki
        from harness.lab.profiles import load
        from harness.peer.mosquitto import broker
        with broker(load()["plain"], Pki(Path({str(pki.out)!r})), Path({str(work)!r})) as running:
            print(running.pid, running.port, flush=True)
            sys.stdin.read()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdin is not None
    pid, port = map(int, holder.stdout.readline().split())
    assert ports.listening("127.0.0.1", port)
    holder.kill()
    holder.wait(10)
    until = time.monotonic() + 5
    while ports.listening("127.0.0.1", port) and time.monotonic() < until:
        os.sched_yield()
    assert not ports.listening("127.0.0.1", port), f"broker {pid} outlived the bench"
    holder.stdin.close()
    holder.stdout.close()


def test_max_packet_closes_and_acl_is_silent(profiles: Profiles, pki: Pki, tmp_path: Path) -> None:
    with broker(profiles["r12-max-packet"], pki, tmp_path / "max", keylog=False) as running:
        small = publish(running.port, pki, "t", "x" * 500)
        large = publish(running.port, pki, "t", "x" * 2000)
        assert (small, large != 0) == (0, True)
        assert running.wait_log("oversize packet", 5)
    with broker(profiles["r12-acl"], pki, tmp_path / "acl", keylog=False) as running:
        assert publish(running.port, pki, "elsewhere", "x") == 0
        assert running.wait_log("Denied PUBLISH", 5)
        assert publish(running.port, pki, "hil/up", "x") == 0


def publish(port: int, pki: Pki, topic: str, payload: str) -> int:
    return subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "--cafile", str(pki.cert("ca-rsa2048")), "--insecure",
         "-t", topic, "-m", payload, "-q", "1", "-V", "mqttv311"],
        timeout=20, check=False, capture_output=True,
    ).returncode


def test_identity_becomes_the_user_name(profiles: Profiles, pki: Pki, work: Path) -> None:
    with broker(profiles["e13-mutual-identity"], pki, work, keylog=False) as running:
        identity: list[str | Path] = ["-cert", pki.cert("device-p256"), "-key", pki.key("device-p256")]
        assert attempt(running.port, identity).connack == 0
        assert running.wait_log("as s_client .*u'hil-device'", 5)
