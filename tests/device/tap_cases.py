"""Emulated boards on a tap; test_tap.py runs these inside a sandbox."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

import pytest

from harness.device import tap
from harness.device.tap import Tap
from harness.lab import sandbox
from tests.device.qemu_bench import PATIENCE_S, bench_of, broker, certificates, load_target
from tests.device.qemu_bench import build as built
from tests.device.test_qemu import configure, tshark
from tests.device.test_qemu_machine import build as selftest


def test_the_broker_sees_the_devices_own_segments(tmp_path: Path) -> None:
    assert sandbox.inside()
    assert tap.possible()
    certificates(tmp_path)
    target = load_target("qemu-m33", "qemu-tap")
    with broker(tmp_path) as port, bench_of(target, built(target), tmp_path / "board") as bench:
        assert bench.board.broker_address == "127.0.0.1"
        configure(bench, tmp_path, port, "connect;sub1;pub1;disconnect", address="127.0.0.1")
        assert bench.run().fields["result"] == "ok", bench.shim.events
        bench.board.collect_capture(tmp_path / "c.pcapng")
    rows = tshark(tmp_path / "c.pcapng", port, "ip.src", "tcp.srcport", "tcp.flags")
    assert rows[0][0] == "10.200.0.15"
    assert rows[0][2] == "0x0002"
    log = (tmp_path / "broker.log").read_text()
    assert f"New connection from 10.200.0.15:{rows[0][1]} on port {port}" in log


def test_a_reset_right_behind_data_stays_a_reset(tmp_path: Path) -> None:
    image = selftest("qemu_m33")
    target = load_target("qemu-m33", "qemu-tap")
    with bench_of(target, image, tmp_path) as bench, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        bench.shim.set("test", f"fetch:{listener.getsockname()[1]}@127.0.0.1")
        peer, _ = listener.accept()
        assert peer.recv(1) == b"?"
        peer.sendall(b"alert")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        fetched = bench.shim.wait_event(("fetch",), PATIENCE_S).fields
    assert (fetched["rc"], fetched["detail"], fetched["bytes"]) == ("-3", "-14", "5")


def test_two_boards_side_by_side(tmp_path: Path) -> None:
    certificates(tmp_path)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(broker(tmp_path))
        benches = []
        for name in ("qemu-m33", "qemu-m4"):
            target = load_target(name, "qemu-tap")
            benches.append(stack.enter_context(bench_of(target, built(target), tmp_path / name)))
        for number, bench in enumerate(benches):
            identity = {"address": "127.0.0.1", "mqtt__client_id": f"device{number}"}
            configure(bench, tmp_path, port, "connect;pub1;disconnect", **identity)
            bench.shim.run()
        for bench in benches:
            assert bench.shim.wait_event(("done",), 60.0).fields["result"] == "ok", bench.shim.events
    log = (tmp_path / "broker.log").read_text()
    assert "10.200.0.15:" in log
    assert "10.200.1.15:" in log


def test_a_tap_goes_with_its_board() -> None:
    first = Tap()
    names = {name for _, name in socket.if_nameindex()}
    assert first.name in names
    first.close()
    assert first.name not in {name for _, name in socket.if_nameindex()}
    with contextlib.closing(Tap()) as second:
        assert second.index == first.index


if __name__ == "__main__":
    raise SystemExit(pytest.main(["-q", "-p", "no:hil", "-p", "no:cacheprovider", __file__]))
