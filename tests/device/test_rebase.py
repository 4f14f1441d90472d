"""QEMU's dump becomes pcapng in host time; the machine protocol's answers and events are told apart."""

from __future__ import annotations

import json
import socket
import struct
import threading
from pathlib import Path

import dpkt  # type: ignore[import-untyped]
import pytest

from harness.device.qmp import Qmp, QmpError
from harness.device.rebase import Dump, rebase_pcap

BASE = 946_684_800
RESUME = 1_700_000_000_123_456_000


def dump(path: Path, packets: list[tuple[int, bytes]], tail: bytes = b"") -> Path:
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65536, 1)
    for micros, frame in packets:
        data += struct.pack("<IIII", BASE + micros // 1_000_000, micros % 1_000_000, len(frame), len(frame)) + frame
    path.write_bytes(data + tail)
    return path


def read(path: Path) -> list[tuple[int, bytes]]:
    with path.open("rb") as stream:
        return [(round(stamp * 1_000_000), data) for stamp, data in dpkt.pcapng.Reader(stream)]


def test_times_are_the_hosts(tmp_path: Path) -> None:
    source = dump(tmp_path / "a", [(0, b"x" * 60), (1_500_000, b"y" * 61)])
    assert rebase_pcap([Dump(source, BASE, RESUME)], tmp_path / "out", "a comment") == 2
    assert read(tmp_path / "out") == [
        (1_700_000_000_123_456, b"x" * 60), (1_700_000_001_623_456, b"y" * 61)]  # fmt: skip
    assert b"a comment" in (tmp_path / "out").read_bytes()


def test_a_packet_still_being_written_is_left_out(tmp_path: Path) -> None:
    source = dump(tmp_path / "a", [(1, b"x" * 60)], struct.pack("<IIII", BASE, 2, 60, 60) + b"half")
    assert rebase_pcap([Dump(source, BASE, RESUME)], tmp_path / "out") == 1
    source = dump(tmp_path / "b", [(1, b"x" * 60)], b"\x01\x02\x03")
    assert rebase_pcap([Dump(source, BASE, RESUME)], tmp_path / "out") == 1


def test_two_power_cycles(tmp_path: Path) -> None:
    first = dump(tmp_path / "a", [(1, b"x" * 60), (2, b"y" * 60)])
    second = dump(tmp_path / "b", [(5, b"z" * 60)])
    dumps = [Dump(first, BASE, RESUME), Dump(second, BASE, RESUME + 10**9), Dump(tmp_path / "none", BASE, 1)]
    assert rebase_pcap(dumps, tmp_path / "out") == 3
    assert [frame[:1] for _, frame in read(tmp_path / "out")] == [b"x", b"y", b"z"]


@pytest.mark.parametrize(
    "data",
    [b"\xd4\xc3\xb2\xa1" + b"\0" * 19 + b"\x02", struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65536, 1),
     struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65536, 1) + struct.pack("<IIII", 0, 0, 1 << 30, 1)],
)  # fmt: skip
def test_what_is_no_dump_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match="dump"):
        rebase_pcap([Dump(tmp_path / "a", BASE, RESUME)], tmp_path / "out")


def qmp_server(answers: list[bytes]) -> socket.socket:
    """The far end answers each request with the next entry, the greeting first; then it closes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            theirs.sendall(answers[0])
            for answer in answers[1:]:
                if not theirs.recv(65536):
                    return
                theirs.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return ours


GREETING = b'{"QMP": {"version": {}}}\r\n'
OK = b'{"return": {}}\r\n'
EVENT = json.dumps(
    {"event": "RESET", "data": {"guest": True}, "timestamp": {"seconds": 7, "microseconds": 5}}
).encode() + b"\r\n"  # fmt: skip


def test_events_between_answers_are_kept() -> None:
    qmp = Qmp(qmp_server([GREETING, OK, EVENT + OK + EVENT]))
    assert qmp.execute("cont") == {}
    assert qmp.wait_event("RESET", 1.0, since=1) is not None
    assert [(event.name, event.time_ns) for event in qmp.events] == [("RESET", 7_000_005_000)] * 2
    assert qmp.events[0].data == {"guest": True}
    assert qmp.wait_event("WATCHDOG", 0.05) is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b'{"error": {"class": "GenericError", "desc": "no such device"}}\r\n', "no such device"),
     (b"garbage\r\n", "cannot be read"), (b"[]\r\n", "cannot be read"), (b"", "gone")],
)  # fmt: skip
def test_a_refusal_or_nonsense_is_an_error(answer: bytes, why: str) -> None:
    qmp = Qmp(qmp_server([GREETING, OK, answer]))
    with pytest.raises(QmpError, match=why):
        qmp.execute("set_link", timeout_s=2.0, name="n0", up=True)


def test_silence_ends() -> None:
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(QmpError, match="does not answer"):
        Qmp(ours, timeout_s=0.1)
