"""The f405 firmware over PPP: from reset to CONNACK, in the part's memory, over resets, with its faults."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import paths
from harness.device import backtrace
from harness.device.shim import DeviceDied, DeviceFault
from harness.device.shimline import ShimEvent
from harness.evidence import wire
from harness.evidence.uplink import Uplink, uplink
from harness.firmware import built
from harness.lab import pki as pkis
from harness.lab import profiles
from harness.peer.mosquitto import RunningBroker, broker
from harness.target import find, load
from tests.uplink.bench import PATIENCE_S, Bench, bench
from tests.uplink.frames import tshark

pytestmark = pytest.mark.xdist_group("boards")  # they build in one folder

FLASH, FLASH_SIZE = 0x0800_0000, 1 << 20
RAM, RAM_SIZE = 0x2000_0000, 128 << 10
HEAP_LEAST = 40 << 10  # the longest chains of the profiles took 40,496 bytes
CONNACK_MS = 5000  # median 150 on a quiet machine


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the target's image, with its .bin beside it."""
    source = built(find("f405-virtual", load())).path
    copy = tmp_path_factory.mktemp("f405") / "firmware"
    shutil.copy2(source, copy)
    shutil.copy2(source.with_suffix(".bin"), copy.with_suffix(".bin"))
    return copy


def variant(name: str, source: Path, *options: str) -> Path:
    folder = paths.BUILD / "fw" / name
    for argv in (
        ["cmake", "-S", str(source), "-B", str(folder), "-G", "Ninja", "-DHIL_BOARD=f405", *options],
        ["cmake", "--build", str(folder)],
    ):
        done = subprocess.run(argv, cwd=paths.ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "firmware"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> pkis.Pki:
    folder = tmp_path_factory.mktemp("pki")
    pkis.generate(folder)
    return pkis.Pki(folder)


@pytest.fixture
def r12(pki: pkis.Pki, tmp_path: Path) -> Iterator[RunningBroker]:
    with broker(profiles.load()["r12"], pki, tmp_path) as running:
        yield running


def configure(board: Bench, running: RunningBroker, pki: pkis.Pki, **changed: str) -> None:
    values = {
        "host": running.profile.host or "broker.hil.test", "address": "10.0.2.2", "port": str(running.port),
        "epoch": str(int(time.time())), "seed": secrets.token_hex(32), "script": "connect;disconnect",
    } | changed  # fmt: skip
    for key, value in values.items():
        board.shim.set(key, value)
    board.shim.put("ca", pki.cert("ca-rsa2048").read_bytes())


def end(board: Bench, link: Uplink) -> ShimEvent:
    done = board.run()
    link.stop()
    assert (done.fields["result"], done.fields["stage"]) == ("ok", "script"), board.shim.events[-12:]
    return done


def test_from_reset_to_connack(image: Path, pki: pkis.Pki, r12: RunningBroker, tmp_path: Path) -> None:
    out = tmp_path / "a.pcapng"
    with bench(image, tmp_path) as board, uplink(board.uplink_line.path, out) as link:
        board.power_on()
        boot = board.wait_boot().fields
        assert (boot["board"], boot["stack"], boot["reset"]) == ("f405", "mbedtls-2.28.3", "power")
        configure(board, r12, pki, script="connect;sub1;pub1;recv:3000;pub2;disconnect")
        end(board, link)
        assert board.named("net", state="up", ip="10.0.2.15")
        connack = board.named("mqtt", state="connack")
        assert connack and connack[0].ms < CONNACK_MS
        assert board.named("tls", state="ok", version="1.2", flags="0x0")
        peak = max(int(mark.fields["heap"]) for mark in board.named("mark"))
        assert 20_000 < peak < HEAP_LEAST
        assert board.named("mark")[-1].fields["heap_now"] == "0"

    with_keys = wire.decode(out, keylog=r12.keylog, ports=(r12.port,))
    kinds = [event["ev"] for event in with_keys]
    assert with_keys[0]["link"] == ["ppp_hdlc"]
    assert kinds.count("open") == kinds.count("close") == 1
    opened = next(event for event in with_keys if event["ev"] == "open")
    assert opened["client"].startswith("10.0.2.15:") and opened["server"] == f"10.0.2.2:{r12.port}"
    packets = [event["type"] for event in with_keys if event["ev"] == "mqtt"]
    assert packets[:2] == ["CONNECT", "CONNACK"] and packets[-1] == "DISCONNECT"
    assert {"SUBSCRIBE", "SUBACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP"} <= set(packets)
    close = next(event for event in with_keys if event["ev"] == "close")
    assert (close["gaps"], close["how"]) == (0, "fin")

    rows = tshark(out, "ppp.protocol", "tls.handshake.type", "ip.src", "tcp.analysis.ack_lost_segment")
    assert {"0xc021", "0x8021", "0x0021"} <= {row[0] for row in rows}, "LCP, IPCP and IP"
    types = ",".join(row[1] for row in rows if row[1]).split(",")
    assert types[:5] == ["1", "2", "11", "12", "14"]
    assert not any(row[3] for row in rows)


def test_it_fits_the_part(image: Path) -> None:
    data = image.read_bytes()
    assert data[:4] == b"\x7fELF"
    offset, = struct.unpack_from("<I", data, 28)
    size, count = struct.unpack_from("<HH", data, 42)
    flash: dict[int, bytes] = {}
    ram_end = RAM
    for at in range(offset, offset + size * count, size):
        kind, start, virtual, physical, in_file, in_memory = struct.unpack_from("<6I", data, at)
        if kind != 1:
            continue
        if in_file:
            flash[physical] = data[start : start + in_file]
        if RAM <= virtual < RAM + RAM_SIZE:
            ram_end = max(ram_end, virtual + in_memory)
    assert RAM + RAM_SIZE - ram_end >= HEAP_LEAST
    assert all(at >= FLASH and at + len(part) <= FLASH + FLASH_SIZE for at, part in flash.items())
    laid = bytearray(max(at + len(part) for at, part in flash.items()) - FLASH)
    for at, part in flash.items():
        laid[at - FLASH : at - FLASH + len(part)] = part
    assert image.with_suffix(".bin").read_bytes() == bytes(laid), "what a flasher writes is what the ELF holds"
    stack, entry = struct.unpack_from("<II", laid)
    assert RAM < stack < RAM + RAM_SIZE and FLASH < entry < FLASH + len(laid) and entry & 1


def test_a_reset_dials_again(image: Path, pki: pkis.Pki, r12: RunningBroker, tmp_path: Path) -> None:
    """The other end knows nothing of the reset: it still has a link up and, after the second one, a connection."""
    out = tmp_path / "a.pcapng"
    with bench(image, tmp_path) as board, uplink(board.uplink_line.path, out) as link:
        board.power_on()
        board.wait_boot()
        configure(board, r12, pki)
        assert board.run().fields["result"] == "ok"
        board.shim.forget()
        board.shim.reset()
        assert board.wait_boot().fields["reset"] == "software"
        configure(board, r12, pki, script="connect;idle:60000")
        board.shim.run()
        board.shim.wait_event(("step",), PATIENCE_S)
        board.power_off()
        board.shim.forget()
        board.power_on()
        assert board.wait_boot().fields["reset"] == "power"
        configure(board, r12, pki)
        end(board, link)
    opened = [event for event in wire.decode(out, ports=(r12.port,)) if event["ev"] == "open"]
    assert len(opened) == 3


def test_a_peer_that_was_restarted_is_found_again(
    image: Path, pki: pkis.Pki, r12: RunningBroker, tmp_path: Path
) -> None:
    """The new one knows of no link and waits; the device learns it from echoes that nobody answers."""
    with bench(image, tmp_path) as board, uplink(board.uplink_line.path, tmp_path / "a.pcapng") as link:
        board.power_on()
        board.wait_boot()
        configure(board, r12, pki, timeout="3000", reconnect="8", script="connect;disconnect")
        assert board.run().fields["result"] == "ok"
        (slirp,) = (int(word) for word in Path(f"/proc/{link.pid}/task/{link.pid}/children").read_text().split())
        os.kill(slirp, signal.SIGKILL)
        end(board, link)
        assert link.stop().restarts == 1


def test_slip_works_as_well(pki: pkis.Pki, r12: RunningBroker, tmp_path: Path) -> None:
    image = variant("f405-slip", paths.ROOT / "firmware_shims", "-DHIL_STACK=mbedtls", "-DHIL_SERIAL_NET=slip")
    out = tmp_path / "a.pcapng"
    with bench(image, tmp_path) as board, uplink(board.uplink_line.path, out, mode="slip") as link:
        board.power_on()
        board.wait_boot()
        configure(board, r12, pki)
        end(board, link)
    events = wire.decode(out, keylog=r12.keylog, ports=(r12.port,))
    assert events[0]["link"] == ["raw"]
    assert [event["type"] for event in events if event["ev"] == "mqtt"] == ["CONNECT", "CONNACK", "DISCONNECT"]


def test_without_a_link_it_says_so_and_lives(image: Path, tmp_path: Path) -> None:
    with bench(image, tmp_path) as board:
        board.power_on()
        board.wait_boot()
        board.shim.set("address", "10.0.2.2")
        board.shim.set("timeout", "1500")
        done = board.run()
        assert (done.fields["result"], done.fields["stage"]) == ("failed", "net")
        board.shim.set("timeout", "1000")


@pytest.fixture
def selftest(tmp_path: Path) -> Iterator[tuple[Bench, Path]]:
    image = variant("selftest-f405", paths.ROOT / "firmware_shims" / "boards" / "cmsdk" / "selftest")
    with bench(image, tmp_path) as board:
        board.power_on()
        board.wait_boot()
        yield board, image


@pytest.mark.parametrize("test", ["null", "code", "stack", "hardfault"])
def test_faults_are_caught_and_told(selftest: tuple[Bench, Path], test: str) -> None:
    board, image = selftest
    board.shim.set("test", test)
    kind = "hardfault" if test == "hardfault" else "memmanage"
    with pytest.raises(DeviceFault, match=f"kind={kind}") as caught:
        board.shim.wait_event(("done",), PATIENCE_S)
    event = caught.value.event
    assert event is not None
    if test in ("null", "code"):
        assert "write_to" in backtrace.places(image, [int(event.fields["pc"], 16)])[0]
    if test == "null":
        assert event.fields["bfar"] == "00000000"
    if test == "stack":
        assert int(event.fields["bfar"], 16) & 0xFFFF_FF00 == RAM, "the guard below the stack"


def test_a_lockup_is_a_lockup(selftest: tuple[Bench, Path]) -> None:
    board, _ = selftest
    board.shim.set("test", "lockup")
    with pytest.raises(DeviceDied, match="Lockup"):
        board.shim.wait_event(("done",), PATIENCE_S)
