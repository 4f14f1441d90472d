"""Emulated boards for real: QEMU runs the built firmware against Mosquitto on loopback."""

from __future__ import annotations

import os
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.device.qemu import qemu_board
from harness.device.shim import DeviceDied, DeviceFault, DeviceHang
from harness.errors import LabError
from harness.model import Image
from harness.target import Qemu
from tests.device.qemu_bench import Bench, bench_of, broker, build, certificates, load_target

pytestmark = pytest.mark.xdist_group("boards")  # they build in one folder

TARGETS = {name: load_target(name) for name in ("qemu-m33", "qemu-m4")}


@pytest.fixture(scope="module")
def images() -> dict[str, Image]:
    return {name: build(target) for name, target in TARGETS.items()}


@pytest.fixture(params=TARGETS)
def bench(request: pytest.FixtureRequest, images: dict[str, Image], tmp_path: Path) -> Iterator[Bench]:
    name = str(request.param)
    with bench_of(TARGETS[name], images[name], tmp_path / "board") as opened:
        yield opened


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    certificates(folder)
    return folder


def configure(bench: Bench, pki: Path, port: int, script: str, **more: object) -> None:
    for name, file in (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key")):
        bench.shim.put(name, (pki / file).read_bytes())
    settings = {
        "host": "broker.test", "address": "10.0.2.2", "port": port, "epoch": int(time.time()), "seed": "5a" * 32,
        "script": script, "mqtt.client_id": "dut", "mqtt.topic": "t/x", "mqtt.filter": "t/#", "mqtt.payload": "hello",
        "timeout": 15000, **{key.replace("__", "."): value for key, value in more.items()},
    }  # fmt: skip
    for key, value in settings.items():
        bench.shim.set(key, str(value))


def tshark(capture: Path, port: int, *fields: str) -> list[list[str]]:
    argv = ["tshark", "-r", str(capture), "-d", f"tcp.port=={port},tls", "-Y", "tcp", "-T", "fields"]
    for field in fields:
        argv += ["-e", field]
    out = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    return [row.split("\t") for row in out.splitlines()]


def test_twenty_resets(bench: Bench) -> None:
    first = bench.named("boot")[0]
    assert (first.seq, first.fields["reset"]) == (0, "power")
    path = bench.board.console_path
    for _ in range(20):
        bench.shim.forget()
        bench.board.reset()
        boot = bench.wait_boot()
        assert (boot.seq, boot.fields["reset"]) == (0, "pin")
    assert bench.shim.boots == 21
    bench.shim.reset()
    assert bench.wait_boot().fields["reset"] == "software"
    bench.shim.forget()
    bench.board.start()
    assert bench.wait_boot().fields["reset"] == "power"
    assert bench.board.console_path == path
    assert bench.shim.lost == 0


def test_the_console_changes_no_byte(images: dict[str, Image], tmp_path: Path) -> None:
    """Whoever opens it, pyserial or not: QEMU switches output processing on."""
    with qemu_board(TARGETS["qemu-m4"], images["qemu-m4"], tmp_path) as board:
        descriptor = os.open(board.console_path, os.O_RDWR | os.O_NOCTTY)
        try:
            assert termios.tcgetattr(descriptor)[1] & ~termios.OPOST == 0
            assert termios.tcgetattr(descriptor)[3] & (termios.ECHO | termios.ICANON) == 0
        finally:
            os.close(descriptor)


def test_put_of_20_kilobytes(bench: Bench) -> None:
    for _ in range(2):
        bench.shim.put("ca", bytes(range(256)) * 80)  # every byte value: nothing on the way may interpret one
    assert bench.shim.repeats == 0


@pytest.mark.parametrize(
    ("bench", "version"), [("qemu-m33", "1.2"), ("qemu-m33", "1.3"), ("qemu-m4", "1.2")], indirect=["bench"]
)
def test_publishes_over_tls(bench: Bench, pki: Path, tmp_path: Path, version: str) -> None:
    with broker(pki) as port:
        before = time.time()
        configure(bench, pki, port, "connect;sub1;pub1;disconnect", tls__min=version, tls__max=version)
        done = bench.run()
        after = time.time()
    assert done.fields["result"] == "ok", bench.shim.events
    assert bench.named("tls", state="ok", version=version)
    mark = bench.named("mark")[-1]
    assert 0 < int(mark.fields["heap"]) < 128 * 1024
    assert mark.fields["heap_now"] == "0"
    assert 0 < int(mark.fields["stack"]) < 16 * 1024

    bench.board.collect_capture(tmp_path / "capture.pcapng")
    rows = tshark(tmp_path / "capture.pcapng", port, "frame.time_epoch", "ip.src", "tcp.flags", "tls.handshake.type")
    assert rows[0][1:3] == ["10.0.2.15", "0x0002"], "the first TCP packet is the device's SYN"
    ends = {(row[1], int(row[2], 16) & 5) for row in rows if int(row[2], 16) & 5}
    assert ("10.0.2.15", 1) in ends and ("10.0.2.15", 4) not in ends, "the device closes, and resets nothing"
    # A broker that closes with the device's close_notify unread resets instead of a FIN: its kernel, not the device.
    assert ends & {("10.0.2.2", 1), ("10.0.2.2", 4)}, "the broker closes"
    assert any(row[3].startswith("1") for row in rows), "a ClientHello"
    assert before - 0.001 <= float(rows[0][0]) <= float(rows[-1][0]) <= after + 0.001


def test_ports_differ_from_run_to_run(images: dict[str, Image], pki: Path, tmp_path: Path) -> None:
    seen = set()
    with broker(pki, tls=False) as port:
        for number in range(4):
            folder = tmp_path / str(number)
            with bench_of(TARGETS["qemu-m4"], images["qemu-m4"], folder) as bench:
                configure(bench, pki, port, "connect;disconnect", tls__min="none")
                assert bench.run().fields["result"] == "ok", bench.shim.events
                bench.board.collect_capture(folder / "c.pcapng")
            seen.add(tuple(tshark(folder / "c.pcapng", port, "tcp.srcport", "tcp.seq_raw")[0]))
    assert len({ports for ports, _ in seen}) > 1
    assert len({numbers for _, numbers in seen}) == 4


def test_a_fault_names_its_place(bench: Bench, pki: Path) -> None:
    with broker(pki, tls=False) as port:
        configure(bench, pki, port, "connect;disconnect", tls__min="none", defect="hardfault")
        with pytest.raises(DeviceFault, match="kind=hardfault") as caught:
            bench.run()
    fields = caught.value.event.fields if caught.value.event else {}
    assert "hil_board_hardfault" in bench.board.where(int(fields["pc"], 16))
    assert int(fields["hfsr"], 16) & 0x40000000
    assert fields["bfar"] == "9f000000"


@pytest.mark.parametrize("bench", ["qemu-m4"], indirect=True)
def test_the_watchdog_ends_a_fault(bench: Bench, pki: Path) -> None:
    with broker(pki, tls=False) as port:
        configure(bench, pki, port, "connect", tls__min="none", defect="hardfault")
        with pytest.raises(DeviceFault, match="kind=hardfault"):
            bench.run()
    assert bench.board.wait_event("WATCHDOG", 15.0) is not None
    assert bench.wait_boot().fields["reset"] == "watchdog"


def test_a_lockup_becomes_a_fact(bench: Bench, pki: Path) -> None:
    with broker(pki, tls=False) as port:
        configure(bench, pki, port, "connect;disconnect", tls__min="none", defect="lockup")
        with pytest.raises(DeviceDied, match=r"lockup .* hil_board_lockup at board\.c:"):
            bench.run()
    assert not bench.board.alive()
    fact = bench.board.fact()
    assert fact is not None
    assert fact.kind == "lockup"
    assert "R15=" in fact.detail
    assert len(bench.board.last_words()) <= 4000
    bench.shim.forget()
    bench.board.reset()
    assert bench.wait_boot().fields["reset"] == "power"
    assert bench.board.last_words() == ""


def test_a_hang_can_be_located(bench: Bench, pki: Path) -> None:
    with broker(pki, tls=False) as port:
        configure(bench, pki, port, "connect;disconnect", tls__min="none", defect="hang")
        bench.shim.run()
        with pytest.raises(DeviceHang, match="silent"):
            bench.shim.wait_event(("done",), 20.0, silence=2.5)
    assert bench.board.alive()
    assert "R15=" in bench.board.registers()
    place = bench.board.hang_place()
    assert "hil_link_open at link.c" in place
    assert "hil_client_main at client.c" in place


def test_a_flood_on_the_console_loses_no_event(bench: Bench, pki: Path, tmp_path: Path) -> None:
    with broker(pki, tls=False) as port:
        configure(bench, pki, port, "connect;pub1;idle:500;disconnect", tls__min="none", defect="uart_flood")
        assert bench.run().fields["result"] == "ok"
    assert (tmp_path / "board" / "uart.log").read_text().count("bcn_timeout") > 20
    assert (bench.shim.lost, bench.shim.damaged) == (0, 0)


def test_a_console_nobody_reads_costs_lines_not_the_device(images: dict[str, Image], tmp_path: Path, pki: Path) -> None:
    with broker(pki, tls=False) as port, bench_of(TARGETS["qemu-m4"], images["qemu-m4"], tmp_path) as bench:
        configure(bench, pki, port, "connect;idle:1000;pub1;disconnect", tls__min="none", defect="uart_flood")
        bench.shim.run()
        bench.console.close()  # the pty stays open in the board, and fills
        assert bench.board.wait_event("WATCHDOG", 5.0) is None
        log = (pki / "broker.log").read_text()
        bench.board.collect_capture(tmp_path / "c.pcapng")
    assert "Received PUBLISH from dut" in log[log.rindex("New client connected") :]
    rows = tshark(tmp_path / "c.pcapng", port, "tcp.flags")
    assert any(int(row[0], 16) & 1 for row in rows)


def test_a_pulled_cable_is_a_missing_link(bench: Bench, pki: Path) -> None:
    bench.board.set_link(False)
    with broker(pki, tls=False) as port:
        configure(bench, pki, port, "connect;disconnect", tls__min="none", timeout=1000)
        done = bench.run()
        assert (done.fields["result"], done.fields["stage"]) == ("failed", "net")
        bench.board.set_link(True)
        assert bench.run().fields["result"] == "ok"


def test_a_refused_port(bench: Bench, pki: Path) -> None:
    configure(bench, pki, 1, "connect", tls__min="none")  # port 1 of loopback: nobody listens
    done = bench.run()
    assert (done.fields["result"], done.fields["stage"]) == ("failed", "tcp")
    assert bench.named("tcp", state="failed")


def test_a_missing_image_and_a_wrong_machine_are_the_labs(images: dict[str, Image], tmp_path: Path) -> None:
    target, image = TARGETS["qemu-m4"], images["qemu-m4"]
    gone = Image(path=tmp_path / "none", sha256="", git="")
    with pytest.raises(LabError, match="no firmware"), qemu_board(target, gone, tmp_path):
        pass
    other = msgspec.structs.replace(image, sha256="0" * 64)
    with pytest.raises(LabError, match="built anew"), qemu_board(target, other, tmp_path):
        pass
    wrong = msgspec.structs.replace(target, qemu=Qemu(machine="no-such-machine"))
    with pytest.raises(LabError, match="no-such-machine"), qemu_board(wrong, image, tmp_path):
        pass
