"""Emulated boards for real: QEMU runs the built firmware against Mosquitto on loopback."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.device.qemu import QemuBoard, QemuMachine, qemu_board
from harness.errors import LabError
from tests.device.qemu_bench import MACHINES, Console, broker, certificates, console, firmware

TARGETS = ("qemu-m33", "qemu-m4")


@pytest.fixture(scope="module")
def images() -> dict[str, Path]:
    return {target: firmware(target) for target in TARGETS}


@pytest.fixture(params=TARGETS)
def bench(
    request: pytest.FixtureRequest, images: dict[str, Path], tmp_path: Path
) -> Iterator[tuple[QemuBoard, Console]]:
    """A board that has said `ready`, and its console."""
    target = str(request.param)
    with qemu_board(MACHINES[target], images[target], tmp_path / "board") as board, console(board.console_path) as uart:
        board.start()
        uart.wait("ready")
        yield board, uart


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    folder.chmod(0o755)
    certificates(folder)
    return folder


def configure(uart: Console, pki: Path, port: int, script: str, **more: object) -> None:
    for name, file in (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key")):
        uart.put(name, (pki / file).read_bytes())
    uart.set(host="broker.test", address="10.0.2.2", port=port, epoch=int(time.time()), seed="5a" * 32, script=script,
             mqtt__client_id="dut", mqtt__topic="t/x", mqtt__filter="t/#", mqtt__payload="hello", timeout=15000,
             **more)  # fmt: skip


def tshark(capture: Path, port: int, *fields: str) -> list[list[str]]:
    argv = ["tshark", "-r", str(capture), "-d", f"tcp.port=={port},tls", "-Y", "tcp", "-T", "fields"]
    for field in fields:
        argv += ["-e", field]
    out = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    return [row.split("\t") for row in out.splitlines()]


def test_twenty_resets(bench: tuple[QemuBoard, Console]) -> None:
    board, uart = bench
    assert uart.lines[0].event == "boot"
    assert uart.lines[0].seq == 0
    assert uart.lines[0].keys["reset"] == "power"
    for _ in range(20):
        board.reset()
        boot = uart.wait("boot")
        assert (boot.seq, boot.keys["reset"]) == (0, "pin")
        uart.wait("ready")
    uart.send("RESET")
    assert uart.wait("boot").keys["reset"] == "software"
    path = board.console_path
    board.power_cycle()
    assert uart.wait("boot").keys["reset"] == "power"
    assert board.console_path == path


def test_put_of_20_kilobytes(bench: tuple[QemuBoard, Console]) -> None:
    _, uart = bench
    for _ in range(2):
        uart.put("ca", bytes(range(256)) * 80)  # every byte value: nothing on the way may interpret one


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_publishes_over_tls(bench: tuple[QemuBoard, Console], pki: Path, tmp_path: Path, version: str) -> None:
    board, uart = bench
    if f"tls{version}" not in uart.lines[0].keys["caps"].split(","):
        pytest.skip(f"the stack has no TLS {version}")
    with broker(pki) as port:
        before = time.time()
        configure(uart, pki, port, "connect;sub1;pub1;disconnect", tls__min=version, tls__max=version)
        done = uart.run()
        after = time.time()
    assert done.keys["result"] == "ok", uart.lines
    tls = next(line for line in uart.lines if line.event == "tls" and line.keys["state"] == "ok")
    assert tls.keys["version"] == version
    mark = next(line for line in uart.lines if line.event == "mark")
    assert 0 < int(mark.keys["heap"]) < 128 * 1024
    assert 0 < int(mark.keys["stack"]) < 32 * 1024

    board.collect_capture(tmp_path / "capture.pcapng")
    rows = tshark(tmp_path / "capture.pcapng", port, "frame.time_epoch", "ip.src", "tcp.flags", "tls.handshake.type")
    assert rows[0][1:3] == ["10.0.2.15", "0x0002"], "the first TCP packet is the device's SYN"
    assert any(int(row[2], 16) & 1 for row in rows[-4:]), "the connection's end is there"
    assert any(row[3].startswith("1") for row in rows), "a ClientHello"
    assert before - 0.001 <= float(rows[0][0]) <= float(rows[-1][0]) <= after + 0.001


def test_ports_differ_from_run_to_run(images: dict[str, Path], pki: Path, tmp_path: Path) -> None:
    ports = set()
    with broker(pki, tls=False) as port:
        for number in range(4):
            folder = tmp_path / str(number)
            power = qemu_board(MACHINES["qemu-m4"], images["qemu-m4"], folder)
            with power as board, console(board.console_path) as uart:
                board.start()
                uart.wait("ready")
                configure(uart, pki, port, "connect;disconnect", tls__min="none")
                assert uart.run().keys["result"] == "ok", uart.lines
                board.collect_capture(folder / "c.pcapng")
            ports.add(tshark(folder / "c.pcapng", port, "tcp.srcport", "tcp.seq_raw")[0][0])
    assert len(ports) > 1


def test_a_fault_names_its_place(bench: tuple[QemuBoard, Console], pki: Path) -> None:
    board, uart = bench
    with broker(pki, tls=False) as port:
        configure(uart, pki, port, "connect;disconnect", tls__min="none", defect="hardfault")
        uart.send("RUN")
        fault = uart.wait("fault")
    assert fault.keys["kind"] == "hardfault"
    assert "hil_board_hardfault" in board.where(int(fault.keys["pc"], 16))
    assert int(fault.keys["hfsr"], 16) & 0x40000000
    assert fault.keys["bfar"] == "9f000000"
    assert board.wait_event("WATCHDOG", 15.0) is not None, "nothing else ends it"
    assert uart.wait("boot").keys["reset"] == "watchdog"


def test_a_lockup_becomes_a_fact(bench: tuple[QemuBoard, Console], pki: Path) -> None:
    board, uart = bench
    with broker(pki, tls=False) as port:
        configure(uart, pki, port, "connect;disconnect", tls__min="none", defect="lockup")
        uart.send("RUN")
        assert board.wait_event("RESET", 15.0) is None, "the emulator died, nothing was reset"
    assert not board.alive()
    fact = board.fact()
    assert fact is not None
    assert fact.kind == "lockup"
    assert "hil_board_lockup" in board.last_words()
    assert len(board.last_words()) <= 4000
    board.reset()
    assert uart.wait("boot").keys["reset"] == "power"
    assert board.last_words() == ""


def test_a_hang_can_be_located(bench: tuple[QemuBoard, Console], pki: Path) -> None:
    board, uart = bench
    with broker(pki, tls=False) as port:
        configure(uart, pki, port, "connect;disconnect", tls__min="none", defect="hang")
        uart.send("RUN")
        uart.wait("tcp", state="connected")
        with pytest.raises(AssertionError, match="no tick"):
            uart.wait("tick", 2.5)
    assert board.alive()
    assert "R15=" in board.registers()
    assert " at " in board.hang_place()


def test_a_flood_on_the_console_loses_no_event(bench: tuple[QemuBoard, Console], pki: Path) -> None:
    _, uart = bench
    with broker(pki, tls=False) as port:
        configure(uart, pki, port, "connect;pub1;idle:500;disconnect", tls__min="none", defect="uart_flood")
        done = uart.run()
    assert done.keys["result"] == "ok"
    assert sum(b"bcn_timeout" in noise for noise in uart.noise) > 20
    numbers = [line.seq for line in uart.lines]
    assert numbers == list(range(len(numbers)))


def test_a_pulled_cable_is_a_missing_link(bench: tuple[QemuBoard, Console], pki: Path) -> None:
    board, uart = bench
    board.set_link(False)
    with broker(pki, tls=False) as port:
        configure(uart, pki, port, "connect;disconnect", tls__min="none")
        done = uart.run()
        assert (done.keys["result"], done.keys["stage"]) == ("failed", "net")
        board.set_link(True)
        assert uart.run().keys["result"] == "ok"


def test_a_refused_port_and_an_unknown_name(bench: tuple[QemuBoard, Console], pki: Path) -> None:
    _, uart = bench
    configure(uart, pki, 1, "connect", tls__min="none")  # port 1 of loopback: nobody listens
    done = uart.run()
    assert (done.keys["result"], done.keys["stage"]) == ("failed", "tcp")
    assert any(line.event == "tcp" and line.keys["state"] == "failed" for line in uart.lines)


def test_a_missing_image_and_a_wrong_machine_are_the_labs(images: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no firmware"), qemu_board(MACHINES["qemu-m4"], tmp_path / "none", tmp_path):
        pass
    machine = QemuMachine(machine="no-such-machine")
    with pytest.raises(LabError, match="no-such-machine"), qemu_board(machine, images["qemu-m4"], tmp_path):
        pass
