"""Power: a relay on loopback, a stand-in for uhubctl, the lab's own commands; each also broken."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.errors import LabError, UsageError
from harness.lab import power
from harness.lab.inventory import BoardEntry, Power


def entry(**how: Any) -> BoardEntry:
    return BoardEntry(id="b1", target="h563", power=Power(**({"off_s": 0.0, "timeout_s": 5.0} | how)))


def test_a_board_without_power_switching() -> None:
    assert not power.controllable(entry()) and power.cycler(entry()) is None
    with pytest.raises(UsageError, match="nothing switches its power"):
        power.switch(entry(), "cycle")


# -- command --


def test_commands(tmp_path: Path) -> None:
    said = tmp_path / "said"
    one = entry(kind="command", on=f'echo "$HIL_BOARD $HIL_POWER" >> {said}', off=("sh", "-c", f"echo off >> {said}"))
    power.switch(one, "cycle")
    assert said.read_text() == "off\nb1 on\n"
    power.switch(one, "on")
    assert said.read_text() == "off\nb1 on\nb1 on\n"


def test_a_cycle_of_its_own_is_all_there_is(tmp_path: Path) -> None:
    one = entry(kind="command", cycle=("touch", str(tmp_path / "cycled")))
    cycle = power.cycler(one)
    assert cycle is not None
    cycle()
    assert (tmp_path / "cycled").exists()
    with pytest.raises(UsageError, match="no `off`"):
        power.switch(one, "off")


def test_commands_that_fail(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"status 3: relay .* sulks") as caught:
        power.switch(entry(kind="command", cycle="printf 'relay \\033[2J\\n sulks'; exit 3"), "cycle")
    assert caught.value.cause == "lab.target_unpowered" and str(caught.value).isprintable()
    with pytest.raises(LabError, match="not found"):
        power.switch(entry(kind="command", cycle=("no-such-relay-program",)), "cycle")


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    one = entry(kind="command", cycle=f"trap '' TERM; sleep 60 & echo $! > {pid}; wait; wait", timeout_s=0.5)
    start = time.monotonic()
    with pytest.raises(LabError, match=r"did not end within 0\.5 s"):
        power.switch(one, "cycle")
    assert time.monotonic() - start < 10.0
    status = Path(f"/proc/{pid.read_text().strip()}/status")
    deadline = time.monotonic() + 5.0
    while status.exists() and "State:\tZ" not in status.read_text():  # a zombie is whoever's job to reap
        assert time.monotonic() < deadline, "the command's child lives on"
        time.sleep(0.01)


def test_a_board_is_not_left_off(tmp_path: Path) -> None:
    """`on` fails once: it is tried again."""
    once = f"if [ -e {tmp_path}/tried ]; then touch {tmp_path}/on; else touch {tmp_path}/tried; exit 1; fi"
    power.switch(entry(kind="command", on=once, off="true"), "cycle")
    assert (tmp_path / "on").exists()


def test_a_board_whose_off_is_doubtful_is_switched_on(tmp_path: Path) -> None:
    """The relay switched, and its answer did not come in time: the failure is said, the board has power."""
    one = entry(kind="command", on=f"touch {tmp_path}/on", off=f"touch {tmp_path}/off; sleep 60", timeout_s=0.3)
    with pytest.raises(LabError, match="power off failed"):
        power.switch(one, "cycle")
    assert (tmp_path / "off").exists() and (tmp_path / "on").exists()


# -- uhubctl --

STAND_IN = """#!/bin/sh
echo "$@" >> "$CALLS"
echo 'Current status for hub 1-1.4 [2109:3431 USB2.0 Hub, USB 2.10, 4 ports, ppps]'
echo '  Port 3: 0503 power highspeed enable connect [0483:374e STMicroelectronics STLINK-V3]'
case "$6$MOOD" in
on*) new='0100 power';;
off) new='0000 off';;
offfake) new='0503 power highspeed enable connect';;
offdenied) echo 'Permission problem. Try to run as root'; exit 1;;
offnone) echo 'No compatible devices detected!'; exit 1;;
offmute) exit 0;;
esac
echo "Sent power $6 request"
echo 'New status for hub 1-1.4 [2109:3431 USB2.0 Hub, USB 2.10, 4 ports, ppps]'
echo "  Port 3: $new"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tool = tmp_path / "bin" / "uhubctl"
    tool.parent.mkdir()
    tool.write_text(STAND_IN)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_a_hub_port(calls: Path) -> None:
    power.switch(entry(kind="uhubctl", hub="1-1.4", port=3), "cycle")
    words = "--location 1-1.4 --ports 3 --action"
    assert calls.read_text().splitlines() == [f"{words} off", f"{words} on"]


@pytest.mark.parametrize(
    ("mood", "says"),
    [
        ("fake", "says `power highspeed enable connect` afterwards"),
        ("denied", "Permission problem"),
        ("none", "No compatible devices"),
        ("mute", "does not say how port 3"),
    ],
)
def test_hubs_that_do_not_switch(mood: str, says: str, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOOD", mood)
    with pytest.raises(LabError) as caught:
        power.switch(entry(kind="uhubctl", hub="1-1.4", port=3), "off")
    assert says in caught.value.what and caught.value.cause == "lab.target_unpowered"


def test_without_uhubctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "UHUBCTL", "uhubctl-that-is-not-installed")
    with pytest.raises(LabError) as caught:
        power.switch(entry(kind="uhubctl", hub="1-1.4", port=3), "off")
    assert caught.value.cause == "lab.tool_missing"


# -- http --


class Relay(BaseHTTPRequestHandler):
    seen: list[str]

    def _answer(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        status = 503 if "broken" in self.path else 302 if "moved" in self.path else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"x" * 1_000_000 if "chatty" in self.path else b"relay \x1b[2J done")

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def relay() -> Iterator[tuple[str, list[str]]]:
    handler: type[Relay] = type("OneRelay", (Relay,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.seen
        server.shutdown()
        thread.join()


def test_a_relay(relay: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # a lab's relay is never behind a proxy
    url, seen = relay
    power.switch(entry(kind="http", on=f"{url}/1/on", off=f"{url}/1?set=off", method="POST"), "cycle")
    assert seen == ["POST /1?set=off", "POST /1/on"]
    power.switch(entry(kind="http", cycle=f"{url}/chatty", timeout_s=3.0), "cycle")


@pytest.mark.parametrize(("path", "says"), [("broken", "answered 503"), ("moved", "answered 302")])
def test_relays_that_refuse(path: str, says: str, relay: tuple[str, list[str]]) -> None:
    url, seen = relay
    with pytest.raises(LabError) as caught:
        power.switch(entry(kind="http", cycle=f"{url}/{path}"), "cycle")
    assert says in caught.value.what and str(caught.value).isprintable() and len(seen) == 1


def test_relays_that_are_not_there_or_never_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(LabError, match=r"no answer within 0\.3 s"):
            power.switch(entry(kind="http", cycle=url, timeout_s=0.3), "cycle")
    with pytest.raises(LabError, match="refused"):
        power.switch(entry(kind="http", cycle=url), "cycle")


def test_a_relay_that_talks_one_byte_at_a_time() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(b"HTTP/1.0 200 OK\r\n")
                while not done.wait(0.05):
                    try:
                        client.sendall(b"X")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        start = time.monotonic()
        with pytest.raises(LabError, match="no answer within 1 s"):
            power.switch(
                entry(kind="http", cycle=f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=1.0), "cycle"
            )
        assert time.monotonic() - start < 5.0
        done.set()
        thread.join()
