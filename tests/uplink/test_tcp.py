"""What slirp makes of TCP between the device and this host: which endings the device sees as they are, and which not.
The scenarios of the bench judge only what is told the same here; `docs/describe-a-board.md` lists the differences.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.evidence import wire
from harness.evidence.uplink import uplink
from harness.firmware import built
from harness.target import find, load
from tests.uplink.bench import PATIENCE_S, bench

pytestmark = pytest.mark.xdist_group("boards")

CONNACK = b"\x20\x02\x00\x00"
Events = list[dict[str, object]]
Peer = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(behave: Peer) -> Iterator[tuple[int, list[str]]]:
    """One connection; what its end looked like from here."""
    ends: list[str] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(TimeoutError):
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(PATIENCE_S)
                try:
                    behave(peer)
                    while peer.recv(4096):
                        pass
                    ends.append("fin")
                except ConnectionResetError:
                    ends.append("rst")
                except OSError as error:
                    ends.append(type(error).__name__)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1]), ends
        thread.join(PATIENCE_S)


def answer(peer: socket.socket) -> None:
    peer.recv(4096)
    peer.sendall(CONNACK)


def answer_and_reset(peer: socket.socket) -> None:
    answer(peer)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def answer_and_close(peer: socket.socket) -> None:
    answer(peer)
    peer.shutdown(socket.SHUT_WR)


def talk(port: int, folder: Path, script: str, timeout_ms: int = 8000) -> tuple[dict[str, str], Events, list[str]]:
    """The device's `done`, the events of the capture, and the states of TCP and of the ticks that the device told."""
    out = folder / "a.pcapng"
    with bench(built(find("f405-virtual", load())).path, folder) as board, uplink(board.uplink_line.path, out) as link:
        board.power_on()
        board.wait_boot()
        values = {"address": "10.0.2.2", "port": str(port), "tls.min": "none", "tls.max": "none", "script": script}
        for key, value in (values | {"timeout": str(timeout_ms)}).items():
            board.shim.set(key, value)
        done = board.run().fields
        states = [event.fields["state"] for event in board.shim.events if event.name in ("tcp", "tick")]
        link.stop()
    return done, wire.decode(out, ports=(port,)), states


def ends(events: Events, direction: str) -> set[object]:
    return {event["ev"] for event in events if event["ev"] in ("fin", "rst") and event.get("dir") == direction}


def test_a_refusal_is_a_refusal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    done, events, states = talk(port, tmp_path, "connect")
    assert (done["stage"], states) == ("tcp", ["failed"])
    assert ends(events, "s") == {"rst"}


def test_a_peer_that_does_not_answer_is_waited_for_with_ticks(tmp_path: Path) -> None:
    """Its queue is full, so the kernel drops the SYN; the device must not look as if it hung."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = int(full.getsockname()[1])
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        done, events, states = talk(port, tmp_path, "connect", timeout_ms=3500)
    assert (done["stage"], states[-1]) == ("tcp", "failed")
    assert states.count("tcp") >= 2, "ticks say what it waits for"
    assert not ends(events, "s")


def test_a_fin_of_the_broker_is_a_fin(tmp_path: Path) -> None:
    with server(answer_and_close) as (port, seen):
        _, events, _ = talk(port, tmp_path, "connect;idle:300;disconnect")
    assert "fin" in ends(events, "s")
    assert seen == ["fin"]


def test_a_reset_behind_data_comes_as_a_fin(tmp_path: Path) -> None:
    """The difference: over a wire the device would see RST."""
    with server(answer_and_reset) as (port, _):
        _, events, states = talk(port, tmp_path, "connect;idle:300;disconnect")
    assert ends(events, "s") == {"fin"}
    assert "reset" not in states


@pytest.mark.parametrize("last", ["disconnect", "drop"])
def test_the_devices_fin_reaches_the_broker(tmp_path: Path, last: str) -> None:
    with server(answer) as (port, seen):
        _, events, _ = talk(port, tmp_path, f"connect;{last}")
    assert ends(events, "c") == {"fin"}
    assert seen == ["fin"]
