"""What only a board's own code can do to it, by the boards' self-test firmware: wild writes, a hang, bulk data."""

from __future__ import annotations

import fcntl
import random
import socket
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import paths
from harness.device.shim import DeviceFault, DeviceRebooted
from harness.device.shimline import ShimEvent
from harness.model import Image
from tests.device.qemu_bench import PATIENCE_S, Bench, bench_of, load_target

pytestmark = pytest.mark.xdist_group("boards")  # they build in one folder

BULK = random.Random(1).randbytes(300_000)  # noqa: S311 - test data


def build(board: str, *options: str) -> Image:
    out = paths.BUILD / "fw" / (("selftest-dhcp-" if options else "selftest-") + board)
    source = paths.ROOT / "firmware_shims" / "boards" / "cmsdk" / "selftest"
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of pytest-xdist build the same
        for argv in (
            ["cmake", "-S", str(source), "-B", str(out), "-G", "Ninja", f"-DHIL_BOARD={board}", *options],
            ["cmake", "--build", str(out)],
        ):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return Image(path=out / "firmware", sha256="", git="")


@pytest.fixture(params=["qemu-m33", "qemu-m4"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    name = str(request.param)
    with bench_of(load_target(name), build(name.replace("-", "_")), tmp_path) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[int]:
    """Sends BULK to whoever asks, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    try:
                        if peer.recv(1):
                            peer.sendall(BULK)
                    except OSError:
                        continue  # the other side reset it, as one test does

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("test", ["null", "code"])
def test_a_wild_write_faults_at_once(bench: Bench, test: str) -> None:
    bench.shim.set("test", test)
    event = memory_fault(bench)
    assert int(event.fields["cfsr"], 16) == 0x82, "a data access, at an address that is known"
    assert "write_to" in bench.board.where(int(event.fields["pc"], 16))
    if test == "null":
        assert event.fields["bfar"] == "00000000"


def test_the_stack_ends_at_its_guard(bench: Bench) -> None:
    bench.shim.set("test", "stack")
    event = memory_fault(bench)
    assert int(event.fields["cfsr"], 16) & 0x10, "no room for the exception's own frame"
    assert int(event.fields["bfar"], 16) & 0x0FFFFF00 in (0, 0x08000000), "the first 256 bytes of RAM"


def memory_fault(bench: Bench) -> ShimEvent:
    with pytest.raises(DeviceFault, match="kind=memmanage") as caught:
        bench.shim.wait_event(("done",), PATIENCE_S)
    assert caught.value.event is not None
    return caught.value.event


def test_the_watchdog_says_where_it_hung(bench: Bench) -> None:
    bench.shim.set("test", "hang")
    with pytest.raises(DeviceFault, match="kind=watchdog") as caught:
        bench.shim.wait_event(("done",), PATIENCE_S, silence=PATIENCE_S)
    event = caught.value.event
    assert event is not None
    assert 7500 < event.ms < 12000  # HIL_WATCHDOG_MS after the last kick
    assert "act at selftest.c" in bench.board.where(int(event.fields["pc"], 16))
    assert bench.shim.wait_ready(PATIENCE_S).fields["reset"] == "watchdog"
    assert [found.name for found in bench.board.events() if found.name != "RESUME"] == ["WATCHDOG", "RESET"]


def test_main_that_returns_starts_over(bench: Bench) -> None:
    bench.shim.set("test", "leave")
    with pytest.raises(DeviceRebooted, match="reset=software"):
        bench.shim.wait_event(("done",), PATIENCE_S)


def test_bulk_data_arrives_whole(bench: Bench, server: int) -> None:
    """More than thirty windows: a receive FIFO that overflowed would stall this for seconds."""
    for _ in range(3):
        bench.shim.set("test", f"fetch:{server}")
        fetched = bench.shim.wait_event(("fetch",), PATIENCE_S).fields
        assert fetched["rc"] == "-2", "the peer's FIN ends it"
        assert fetched["bytes"] == str(len(BULK))
        assert fetched["crc32"] == f"{zlib.crc32(BULK):08x}"


def test_a_reset_connection_leaves_nothing_behind(bench: Bench, server: int) -> None:
    """More aborted connections than lwIP has control blocks."""
    for _ in range(12):
        bench.shim.set("test", f"close:{server}")
        assert bench.shim.wait_event(("fetch",), PATIENCE_S).fields["rc"] == "0"
    bench.shim.set("test", f"fetch:{server}")
    assert bench.shim.wait_event(("fetch",), PATIENCE_S).fields["bytes"] == str(len(BULK))


def test_a_reset_is_no_end_of_file(bench: Bench) -> None:
    """Without data before it: QEMU's user network turns an RST right behind data into a FIN."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        bench.shim.set("test", f"fetch:{listener.getsockname()[1]}")
        peer, _ = listener.accept()
        assert peer.recv(1) == b"?"
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        fetched = bench.shim.wait_event(("fetch",), PATIENCE_S).fields
    assert (fetched["rc"], fetched["detail"]) == ("-3", "-14")


def test_a_name_nobody_knows(bench: Bench) -> None:
    bench.shim.set("test", "name:no-such-host.invalid")
    assert bench.shim.wait_event(("name",), PATIENCE_S).fields["rc"] in ("-5", "-1")  # no such name, or no resolver


def test_an_address_from_dhcp(tmp_path: Path, server: int) -> None:
    image = build("qemu_m33", "-DHIL_NET_DHCP=ON")
    with bench_of(load_target("qemu-m33"), image, tmp_path) as bench:
        bench.shim.set("test", f"fetch:{server}")
        assert bench.shim.wait_event(("net",), PATIENCE_S).fields == {"rc": "0", "ip": "10.0.2.15"}
        assert bench.shim.wait_event(("fetch",), PATIENCE_S).fields["bytes"] == str(len(BULK))
