"""hil-uplink with this test as the device: what it writes, what it lets through, and each of its ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import LabError, UsageError
from harness.evidence import wire
from harness.evidence.uplink import uplink
from harness.lab import process
from tests.uplink.bench import Line
from tests.uplink.frames import LCP_REQUEST, ping, ppp, slip, syn, tshark

PATIENCE_S = 10.0


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def receive(fd: int, wanted: bytes) -> bytes:
    """What comes until it holds `wanted`."""
    got = b""
    until = time.monotonic() + PATIENCE_S
    while wanted not in got:
        left = until - time.monotonic()
        assert left > 0, got
        assert select.select([fd], [], [], left)[0], got
        got += os.read(fd, 4096)
    return got


def test_frames_of_both_sides_with_direction(line: Line, tmp_path: Path) -> None:
    out = tmp_path / "a.pcapng"
    before = time.time()
    with uplink(line.path, out, comment="T1") as link:
        assert (link.host_address, link.device_address) == ("10.0.2.2", "10.0.2.15")
        os.write(line.master, b"boot loader 1.0\r\n" + ppp(LCP_REQUEST))
        receive(line.master, b"\xc0\x21\x7d\x22")  # its Configure-Ack
        counts = link.stop()
        assert link.stop() == counts
    rows = tshark(out, "ppp.direction", "ppp.protocol", "frame.time_epoch", "frame.packet_flags_direction")
    assert len(rows) == counts.packets == 3
    assert [row[3] for row in rows].count("0x00000001") == 1, "one came in from the device"
    assert rows[0][3] == "0x00000001"
    assert all(row[1] == "0xc021" for row in rows)
    assert all(before - 0.001 <= float(row[2]) <= time.time() for row in rows)
    assert (counts.damaged, counts.refused, counts.restarts) == (0, 0, 0)
    assert b"T1" in out.read_bytes()


def test_a_damaged_frame_is_kept_and_marked(line: Line, tmp_path: Path) -> None:
    out = tmp_path / "a.pcapng"
    packet = b"\x21" + ping(b"\x0a\x00\x02\x02", 1)
    with uplink(line.path, out) as link:
        os.write(line.master, ppp(packet, flip=1) + ppp(packet)[:3] + b"\x7d\x7e" + ppp(LCP_REQUEST))
        receive(line.master, b"\xc0\x21\x7d\x22")
        counts = link.stop()
    assert counts.damaged == 2
    rows = tshark(out, "frame.packet_flags_crc_error", "ip.dst")
    assert rows[0][0] in ("1", "True") and rows[0][1] == "10.0.2.2"
    assert len(rows) == 4 and not any(row[0] in ("1", "True") for row in rows[1:])
    assert wire.decode(out)[-1]["skipped"]["damaged"] == 1


def test_slip_is_decoded_and_carried(line: Line, tmp_path: Path) -> None:
    out = tmp_path / "a.pcapng"
    with uplink(line.path, out, mode="slip") as link:
        os.write(line.master, slip(ping(b"\x0a\x00\x02\x02", 1)) + b"noise\xc0")
        got = receive(line.master, b"flags\xc0")
        counts = link.stop()
    assert b"\xdb\xdc\xdb\xdd" in got, "escaped on the line"
    rows = tshark(out, "ip.src", "icmp.type", "data.data")
    assert rows[0][:2] == ("10.0.2.15", "8")
    assert rows[1][:2] == ("10.0.2.2", "0")
    assert rows[1][2].endswith("c0db" + b"flags".hex())
    assert (counts.packets, counts.damaged) == (2, 1)


@pytest.mark.parametrize("service", [b"\x0a\x00\x02\x00", b"\x0a\x00\x02\x01"])
def test_slirps_own_services_are_out_of_reach(line: Line, tmp_path: Path, service: bytes) -> None:
    """A control console and a shell: the device would sit on the host."""
    with uplink(line.path, tmp_path / "a.pcapng", mode="slip") as link:
        os.write(line.master, slip(ping(service, 1)) + slip(ping(b"\x0a\x00\x02\x02", 2)))
        got = receive(line.master, b"flags\xc0")
        counts = link.stop()
    assert counts.refused == 1
    assert counts.packets == 3, "refused, but in the capture"
    assert got.count(b"flags") == 1


CONSOLE = syn(b"\x0a\x00\x02\x00", 23)  # slirp's own answers this one with SYN and ACK
DISGUISES = {
    "plain": slip(CONSOLE),
    "longer than it says": slip(CONSOLE + b"z"),
    "an escape that is none": slip(CONSOLE)[:-1] + b"\xdbA\xc0",
    "header made ready for compression": slip(bytes([CONSOLE[0] | 0x30]) + CONSOLE[1:]),
    "longer than any frame": slip(CONSOLE + b"z" * 2100),
    "behind many flags": b"\xc0" * 4090 + slip(CONSOLE),
}


@pytest.mark.parametrize("spelling", DISGUISES)
def test_no_spelling_of_a_packet_reaches_slirps_console(line: Line, tmp_path: Path, spelling: str) -> None:
    with uplink(line.path, tmp_path / "a.pcapng", mode="slip") as link:
        rest = DISGUISES[spelling]
        while rest:
            rest = rest[os.write(line.master, rest) :]
        os.write(line.master, slip(syn(b"\x0a\x00\x02\x02", 1)) + slip(ping(b"\x0a\x00\x02\x02", 2)))
        got = receive(line.master, b"flags\xc0")
        link.stop()
    assert b"\x0a\x00\x02\x00\x0a\x00\x02\x0f" not in got, "an answer from 10.0.2.0"


def test_the_host_under_another_address(line: Line, tmp_path: Path) -> None:
    with uplink(line.path, tmp_path / "a.pcapng", mode="slip", host_address="10.9.8.2") as link:
        assert link.device_address == "10.0.2.15"
        os.write(line.master, slip(ping(b"\x0a\x09\x08\x01", 1)) + slip(ping(b"\x0a\x09\x08\x02", 2)))
        receive(line.master, b"flags\xc0")
        counts = link.stop()
    assert (counts.refused, counts.packets) == (1, 3)


def test_five_zeroes_do_not_end_it(line: Line, tmp_path: Path) -> None:
    """slirp takes single bytes between frames for commands of a person at a terminal."""
    with uplink(line.path, tmp_path / "a.pcapng", mode="slip") as link:
        os.write(line.master, slip(ping(b"\x0a\x00\x02\x02", 1)))
        receive(line.master, b"flags\xc0")
        for _ in range(6):
            os.write(line.master, b"0")
        os.write(line.master, slip(ping(b"\x0a\x00\x02\x02", 2)))
        receive(line.master, b"flags\xc0")
        assert link.stop().restarts == 0


def test_a_unix_socket_is_a_serial_line(tmp_path: Path) -> None:
    path = tmp_path / "uart.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with uplink(path, tmp_path / "a.pcapng") as link:
            peer, _ = listener.accept()
            peer.sendall(ppp(LCP_REQUEST))
            receive(peer.fileno(), b"\xc0\x21\x7d\x22")
            peer.close()
            with pytest.raises(LabError, match="the serial line ended") as caught:
                until = time.monotonic() + PATIENCE_S
                while link.alive() and time.monotonic() < until:
                    select.select([], [], [], 0.01)
                link.stop()
    assert caught.value.cause == "lab.serial_missing"
    assert len(tshark(tmp_path / "a.pcapng", "frame.number")) == 3, "the file is whole"


def test_what_cannot_start_says_why(line: Line, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, str], str, str]] = [
        ({"serial": str(tmp_path / "none")}, "lab.serial_missing", "No such file"),
        ({"serial": "/dev/null"}, "lab.serial_missing", "neither a serial device"),
        ({"out": str(tmp_path / "none" / "x.pcapng")}, "lab.capture_failed", "No such file"),
        ({"out": "/dev/full"}, "lab.disk_full", "No space left"),
        ({"slirp": "no-such-slirp"}, "lab.tool_missing", "no-such-slirp not found"),
    ]
    for changed, cause, what in cases:
        options = {"serial": line.path, "out": str(tmp_path / "a.pcapng"), "slirp": "slirp-fullbolt"} | changed
        with (
            pytest.raises(LabError, match=what) as caught,
            uplink(options["serial"], Path(options["out"]), slirp=options["slirp"]) as link,
        ):
            os.write(line.master, ppp(LCP_REQUEST))
            link.stop()
        assert caught.value.cause == cause
    with pytest.raises(UsageError), uplink(line.path, tmp_path / "a.pcapng", host_address="10.0.2.3"):
        pass


def test_a_slirp_that_always_ends_is_given_up(line: Line, tmp_path: Path) -> None:
    with (
        pytest.raises(LabError, match="ends again and again") as caught,
        uplink(line.path, tmp_path / "a.pcapng", slirp="true") as link,
    ):
        until = time.monotonic() + PATIENCE_S
        while link.alive() and time.monotonic() < until:
            select.select([], [], [], 0.01)
        link.stop()
    assert caught.value.cause == "lab.capture_failed"


@pytest.mark.parametrize("way", ["signal", "stdin"])
def test_it_ends_and_takes_slirp_along(line: Line, tmp_path: Path, way: str) -> None:
    pipe = subprocess.PIPE
    argv: list[str | Path] = [
        process.program("hil-uplink"), "--serial", line.path, "--mode", "ppp", "--out", tmp_path / "a.pcapng",
    ]  # fmt: skip
    with process.running(argv, stdin=pipe, stdout=pipe) as proc:
        assert proc.stdout is not None and proc.stdin is not None
        assert proc.stdout.readline() == b"READY\n"
        children = Path(f"/proc/{proc.pid}/task/{proc.pid}/children").read_text().split()
        assert len(children) == 1
        if way == "signal":
            proc.send_signal(signal.SIGTERM)
        else:
            proc.stdin.close()
        assert proc.stdout.read().startswith(b"DONE packets=0 ")
        assert proc.wait(PATIENCE_S) == 0
        assert not Path(f"/proc/{children[0]}").exists()


def test_when_it_is_killed_slirp_dies_too(line: Line, tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    argv: list[str | Path] = [
        process.program("hil-uplink"), "--serial", line.path, "--mode", "ppp", "--out", tmp_path / "a.pcapng",
    ]  # fmt: skip
    with process.running(argv, stdin=pipe, stdout=pipe) as proc:
        assert proc.stdout is not None
        assert proc.stdout.readline() == b"READY\n"
        child = Path(f"/proc/{proc.pid}/task/{proc.pid}/children").read_text().split()[0]
        proc.kill()
        proc.wait(PATIENCE_S)
        status = Path(f"/proc/{child}/stat")
        until = time.monotonic() + PATIENCE_S
        while status.exists() and status.read_text().split()[2] != "Z":
            assert time.monotonic() < until
            select.select([], [], [], 0.01)


@pytest.mark.parametrize("arguments", [[], ["--serial", "x", "--mode", "modem", "--out", "y"], ["--bad"]])
def test_usage(arguments: list[str]) -> None:
    done = subprocess.run(
        [process.program("hil-uplink"), *arguments], capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == 2
    assert "usage: hil-uplink" in done.stderr
