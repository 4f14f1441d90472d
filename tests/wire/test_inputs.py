"""What a capture file may be: every format, link and resolution, and everything that is not a capture."""

from __future__ import annotations

import gzip
import os
import random
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.evidence.wire import WireError, decode
from harness.paths import BIN
from harness.wire.fuzz.make_corpus import pcapng
from tests.wire import captures as cap
from tests.wire.captures import ETHER, FIELD, Packet, pcap

NAME = "netx-12-rsa-noaead"
KEYS = FIELD / f"{NAME}.keys"
MIB = 1 << 20


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    return cap.read(FIELD / f"{NAME}.pcap")


def content(events: list[dict[str, Any]], *, times: bool = False) -> list[dict[str, Any]]:
    """Events of connections without what the container decides."""
    dropped = {"frame"} if times else {"frame", "t", "t_open"}
    return [{k: v for k, v in e.items() if k not in dropped} for e in events if "conn" in e]


@pytest.fixture(scope="module")
def expected(packets: list[Packet], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("plain") / "a.pcap"
    path.write_bytes(pcap([p for p in packets if p.is_tcp]))
    events = content(decode(path, keylog=KEYS), times=True)
    assert [e["type"] for e in events if e["ev"] == "mqtt"][:2] == ["CONNECT", "CONNACK"]
    return events


def test_formats(packets: list[Packet], expected: list[dict[str, Any]], tmp_path: Path) -> None:
    tcp = [p for p in packets if p.is_tcp]
    keys = KEYS.read_bytes()
    made = {
        "micro": pcap(tcp),
        "nano": pcap(tcp, nano=True),
        "big": pcap(tcp, big=True),
        "big nano": pcap(tcp, nano=True, big=True),
        "ng": pcapng(tcp),
        "ng gz": gzip.compress(pcapng(tcp)),
        "gz": gzip.compress(pcap(tcp)),
        "gz members": gzip.compress(pcap(tcp)[:900]) + gzip.compress(pcap(tcp)[900:]),
    }
    for name, data in made.items():
        path = tmp_path / "x"
        path.write_bytes(data)
        events = decode(path, keylog=KEYS)
        assert content(events, times=True) == expected, name
        assert events[0]["format"] == ("pcapng" if "ng" in name.split() else "pcap"), name
        assert events[0]["tsres_ns"] == (1 if "nano" in name or "ng" in name.split() else 1000), name
    path.write_bytes(pcapng(tcp, keys))
    events = decode(path)
    assert content(events, times=True) == expected
    assert events[0]["secrets"] == len(keys)


def test_links(packets: list[Packet], expected: list[dict[str, Any]], tmp_path: Path) -> None:
    tcp = [p for p in packets if p.is_tcp]

    def each(head: bytes, drop: int = ETHER) -> list[Packet]:
        return [Packet(p.t, head + p.data[drop:]) for p in tcp]

    vlan, qinq = bytes.fromhex("81000005"), bytes.fromhex("88a80064810000c8")
    made = {
        ("ethernet vlan", 1): [Packet(p.t, p.data[:12] + vlan + p.data[12:]) for p in tcp],
        ("ethernet qinq", 1): [Packet(p.t, p.data[:12] + qinq + p.data[12:]) for p in tcp],
        ("ethernet padding", 1): [Packet(p.t, p.data + bytes(12)) for p in tcp],
        ("ethernet snap", 1): [Packet(p.t, p.data[:12] + b"\0\x40\xaa\xaa\3\0\0\0" + p.data[12:]) for p in tcp],
        ("pppoe", 1): [Packet(p.t, p.data[:12] + b"\x88\x64\x11\0\0\1\0\x40\0\x21" + p.data[14:]) for p in tcp],
        ("null", 0): each(b"\2\0\0\0"),
        ("null big", 0): each(b"\0\0\0\2"),
        ("loop", 108): each(b"\0\0\0\2"),
        ("raw", 101): each(b""),
        ("raw 12", 12): each(b""),
        ("ipv4", 228): each(b""),
        ("sll", 113): each(bytes(14) + b"\x08\0"),
        ("sll2", 276): each(b"\x08\0" + bytes(18)),
        ("ppp", 9): each(b"\xff\x03\0\x21"),
        ("ppp compressed", 9): each(b"\x21"),
        ("ppp hdlc", 50): each(b"\xff\x03\0\x21"),
        ("c-hdlc", 104): each(b"\x0f\0\x08\0"),
    }
    path = tmp_path / "x.pcap"
    for (name, link), changed in made.items():
        path.write_bytes(pcap(changed, link=link))
        assert content(decode(path, keylog=KEYS), times=True) == expected, name


def to_ipv6(p: Packet, extension: bool) -> Packet:
    tcp = p.data[p.tcp_at : p.payload_at] + p.payload
    source, target = p.data[ETHER + 12 : ETHER + 16], p.data[ETHER + 16 : ETHER + 20]
    more = bytes((6, 0, 1, 4, 0, 0, 0, 0)) if extension else b""
    head = b"\x60\0\0\0" + (len(tcp) + len(more)).to_bytes(2, "big") + bytes((0 if extension else 6, 64))
    head += b"\x20\x01\x0d\xb8" + bytes(8) + source + b"\x20\x01\x0d\xb8" + bytes(8) + target
    return Packet(p.t, p.data[:12] + b"\x86\xdd" + head + more + tcp)


def fragments(p: Packet, size: int = 64) -> list[Packet]:
    """The same IPv4 packet in fragments, the last one first."""
    body, out = p.data[p.tcp_at : p.payload_at] + p.payload, []
    for at in range(0, len(body), size):
        part = body[at : at + size]
        head = bytearray(p.data[: p.tcp_at])
        head[ETHER + 2 : ETHER + 4] = (20 + len(part)).to_bytes(2, "big")
        head[ETHER + 4 : ETHER + 6] = (p.t // 1000 & 0xFFFF).to_bytes(2, "big")
        more = 0x2000 if at + size < len(body) else 0
        head[ETHER + 6 : ETHER + 8] = (more | at // 8).to_bytes(2, "big")
        out.append(Packet(p.t, bytes(head) + part))
    return out[::-1]


def test_ip(packets: list[Packet], expected: list[dict[str, Any]], tmp_path: Path) -> None:
    tcp = [p for p in packets if p.is_tcp]
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([f for p in tcp for f in (fragments(p) if p.payload else [p])]))
    assert content(decode(path, keylog=KEYS), times=True) == expected
    for extension in (False, True):
        path.write_bytes(pcap([to_ipv6(p, extension) for p in tcp]))
        events = content(decode(path, keylog=KEYS), times=True)
        assert events[0]["client"].startswith("[2001:db8::")
        assert events[1:] == expected[1:]


def test_a_lost_fragment_is_a_gap(packets: list[Packet], tmp_path: Path) -> None:
    tcp = [p for p in packets if p.is_tcp]
    big = max((p for p in tcp), key=lambda p: len(p.payload))
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([f for p in tcp for f in (fragments(p)[1:] if p is big else [p])]))
    gaps = [e for e in decode(path) if e["ev"] == "gap"]
    assert [g["missing"] for g in gaps] == [len(big.payload)]


def test_sequence_numbers_wrap(packets: list[Packet], expected: list[dict[str, Any]], tmp_path: Path) -> None:
    tcp = [p for p in packets if p.is_tcp]
    first = {p.source: p.seq for p in reversed(tcp)}
    moved = []
    for p in tcp:
        data, at = bytearray(p.data), p.tcp_at
        other = next(start for source, start in first.items() if source != p.source)
        seq = p.seq - first[p.source] + 0xFFFFFF80
        ack = int.from_bytes(data[at + 8 : at + 12], "big") - other + 0xFFFFFFB0
        for where, value in ((at + 4, seq), (at + 8, ack)):
            data[where : where + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")
        ours = [source for source in first if source == p.source]
        if ours and list(first).index(p.source) == 1:
            data[at + 4 : at + 8] = (p.seq - first[p.source] + 0xFFFFFFB0 & 0xFFFFFFFF).to_bytes(4, "big")
            raw = int.from_bytes(p.data[at + 8 : at + 12], "big") - other + 0xFFFFFF80
            data[at + 8 : at + 12] = (raw & 0xFFFFFFFF).to_bytes(4, "big")
        moved.append(replace(p, data=bytes(data)))
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(moved))
    events = content(decode(path, keylog=KEYS), times=True)
    got, without = ([{k: v for k, v in e.items() if k not in ("seq", "ack")} for e in s] for s in (events, expected))
    assert got == without


def test_ports_used_again_make_new_connections(packets: list[Packet], tmp_path: Path) -> None:
    tcp = [p for p in packets if p.is_tcp]
    span = tcp[-1].t - tcp[0].t + 10**9
    again = [replace(p, t=p.t + span) for p in tcp]
    shifted = [p.with_payload(p.payload, p.seq + 77777) if p.source == tcp[0].source else p for p in again]
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([*tcp, *shifted[:1], *again]))
    events = decode(path, keylog=KEYS)
    assert [e["conn"] for e in events if e["ev"] == "open"] == [1, 2, 3]
    assert [e["handshake"] for e in events if e["ev"] == "close"] == ["complete", "none", "complete"]


def test_a_pipe_and_standard_input(packets: list[Packet], expected: list[dict[str, Any]], tmp_path: Path) -> None:
    command = [str(BIN / "hil-wire"), "--keylog", str(KEYS)]
    data = gzip.compress(pcap([p for p in packets if p.is_tcp]))
    done = subprocess.run([*command, "-"], input=data, capture_output=True, check=True, timeout=20)
    assert content([msgspec.json.decode(line) for line in done.stdout.splitlines()], times=True) == expected
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    assert content(decode(fifo, keylog=KEYS), times=True) == expected
    writer.join(10)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\xd4\xc3", "too short"),
        (b"\xd4\xc3\xb2\xa1\2\0", "pcap header cut off"),
        (b"\x0a\x0d\x0d\x0a\0\0\0\0", "section header damaged"),
        (b"\x7fELF" + bytes(100), "not a capture"),
        (b"\x1f\x8b\x08\0rubbish", "gzip data damaged"),
        (gzip.compress(b"hello world, this is text", mtime=0), "not a capture"),
        (random.Random(1).randbytes(5000), "not a capture"),  # noqa: S311
    ],
)
def test_not_a_capture_is_one_clear_line(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(WireError) as error:
        decode(path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_folder_a_missing_file_and_a_bad_key_log(tmp_path: Path) -> None:
    for path, says in ((tmp_path, "is a directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(WireError, match=says):
            decode(path)
    with pytest.raises(WireError, match="No such file"):
        decode(FIELD / f"{NAME}.pcap", keylog=tmp_path / "none")
    rubbish = tmp_path / "rubbish.keys"
    rubbish.write_bytes(random.Random(2).randbytes(3000) + b"\nCLIENT_RANDOM 12 34\n")  # noqa: S311
    events = decode(FIELD / f"{NAME}.pcap", keylog=rubbish)
    assert events[-1]["keylog_bad"] > 0
    assert not [e for e in events if e["ev"] == "mqtt"]


def test_options(tmp_path: Path) -> None:
    capture = str(FIELD / f"{NAME}.pcap")
    for bad in (["--events", "nonsense"], ["--port", "0"], ["--port", "70000"], ["--what"], [capture], ["--keylog"]):
        done = subprocess.run([str(BIN / "hil-wire"), *bad, capture], capture_output=True, check=False, timeout=20)
        assert done.returncode == 2, bad
        assert b"usage: hil-wire" in done.stderr
    only = decode(Path(capture), events=("client_hello", "alert"))
    assert {e["ev"] for e in only} == {"client_hello", "alert"} or {e["ev"] for e in only} == {"client_hello"}
    short = decode(Path(capture), summary=True, keylog=KEYS)
    assert {e["ev"] for e in short} <= {"capture", "close", "arp", "icmp", "dns", "end"}
    assert short[-2]["mqtt_c"] > 0 or short[1]["mqtt_c"] > 0


def test_truncated_anywhere_tells_so(packets: list[Packet], tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data in (pcap(packets[:8]), pcapng(packets[:8], KEYS.read_bytes())):
        whole = len(decode_bytes(path, data))
        for cut in range(30, len(data), 23):
            try:
                events = decode_bytes(path, data[:cut])
            except WireError as error:
                assert "cut off" in str(error) or "damaged" in str(error)
                continue
            assert events[-1]["ev"] == "end"
            assert len(events) <= whole
    events = decode_bytes(path, gzip.compress(pcap(packets))[:-60])
    assert events[-1]["truncated"] is True


def decode_bytes(path: Path, data: bytes) -> list[dict[str, Any]]:
    path.write_bytes(data)
    return decode(path)


def test_huge_lengths(packets: list[Packet], tmp_path: Path) -> None:
    """Declared lengths far beyond the file: told as truncated, at once and in little memory."""
    path = tmp_path / "x"
    head = pcap(packets[:4])
    for caplen in (0x7FFFFFFF, 0xFFFFFFFF, 0x0FFFFFFF, 300 * MIB):
        events = decode_bytes(path, head + struct.pack("<IIII", 1, 1, caplen, caplen) + bytes(100))
        assert events[-1]["truncated"] is True
        assert events[-1]["packets"] >= 4
    block = struct.pack("<II", 6, 0xFFFFFFF0) + bytes(64)
    assert decode_bytes(path, pcapng(packets[:4]) + block)[-1]["truncated"] is True


def test_flipped_bytes_never_crash(packets: list[Packet], tmp_path: Path) -> None:
    rng = random.Random(5)  # noqa: S311
    path = tmp_path / "x"
    for data in (pcap(packets), pcapng(packets, KEYS.read_bytes())):
        for _ in range(60):
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 30)):
                changed[rng.randrange(24, len(changed))] = rng.randrange(256)
            assert decode_bytes(path, bytes(changed))[-1]["ev"] == "end"


def test_memory_stays_flat(tmp_path: Path) -> None:
    """A hundred thousand half-open connections, and early segments that never fit: under 32 MB resident."""
    base = next(p for p in cap.read(FIELD / f"{NAME}.pcap") if p.is_tcp)
    at, out = base.tcp_at, [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    payload = bytes(1400)
    for i in range(60_000):
        for flags, seq, body in ((2, 1, b""), (16, 5000, payload)):
            p = base.with_payload(body, seq, flags=flags)
            data = bytearray(p.data)
            data[ETHER + 12 : ETHER + 16] = (0x0A000000 + i).to_bytes(4, "big")
            data[at : at + 2] = (1024 + i % 60000).to_bytes(2, "big")
            out += [struct.pack("<IIII", 1_700_000_000 + i // 1000, i % 1000, len(data), len(data)), bytes(data)]
    path = tmp_path / "x.pcap"
    path.write_bytes(b"".join(out))
    code = (
        "import resource,subprocess,sys;subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(BIN / "hil-wire"), str(path)], capture_output=True, check=True, timeout=60
    )
    assert int(done.stdout) < 32 * 1024


def test_several_interfaces_resolutions_and_blocks(packets: list[Packet], tmp_path: Path) -> None:
    """Both byte orders, interfaces with links and resolutions of their own, a time offset, a simple packet block, a
    block nobody knows, a second section."""
    first = [p for p in packets if p.is_tcp][:3]
    for order in ("<", ">"):

        def block(kind: int, body: bytes, order: str = order) -> bytes:
            body += bytes(-len(body) % 4)
            size = len(body) + 12
            return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)

        def option(code: int, value: bytes, order: str = order) -> bytes:
            return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

        def interface(link: int, options: bytes, order: str = order) -> bytes:
            return block(1, struct.pack(order + "HHI", link, 0, 0) + options + option(0, b""))

        def enhanced(which: int, ticks: int, data: bytes, order: str = order) -> bytes:
            head = struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
            return block(6, head + data)

        section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        milli = interface(1, option(9, b"\3") + option(1, b"bench port"))
        power = interface(101, option(9, bytes([0x80 | 10])) + option(14, struct.pack(order + "q", 1_000_000_000)))
        data = section + milli + power + block(0x0BAD, b"what?")
        data += enhanced(0, 1_700_000_000_123, first[0].data)
        data += enhanced(1, 700_000_000 << 10 | 512, first[1].data[ETHER:])
        data += section + interface(1, b"") + block(3, struct.pack(order + "I", len(first[2].data)) + first[2].data)
        path = tmp_path / "x.pcapng"
        path.write_bytes(data)
        events = decode(path)
        assert events[0]["link"] == ["ethernet", "raw"]
        assert events[0]["comment"] == "bench port"
        assert events[0]["tsres_ns"] == 1_000_000
        times = {e["ev"]: e["t"] for e in events if e["ev"] in ("syn", "synack")}
        assert times == {"syn": 1_700_000_000_123 * 10**6, "synack": 1_700_000_000_500 * 10**6}
        assert events[-1]["packets"] == 3 and events[-1]["truncated"] is False
        assert events[-1]["connections"] == 1
