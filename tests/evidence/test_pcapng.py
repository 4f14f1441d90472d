"""Rewritten captures say the same to Wireshark, plus what was put in."""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from harness.evidence import pcapng
from harness.evidence.pcapng import Interface, Packet, Secrets, annotate, read, rebase, with_secrets

T0 = 1_700_000_000_123_456_789
FRAMES = [bytes([n]) * (60 + n) for n in range(5)]
KEYS = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"


def pcap(order: str, ns: bool, cut: int = 0) -> bytes:
    magic = 0xA1B23C4D if ns else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    for n, frame in enumerate(FRAMES):
        t = T0 + n * 1_000_000_000
        fraction = t % 10**9 if ns else t % 10**9 // 1000
        out += struct.pack(order + "IIII", t // 10**9, fraction, len(frame), len(frame) + n) + frame
    return out[: len(out) - cut]


def packets(path: Path) -> list[Packet]:
    return [item for item in read(path) if isinstance(item, Packet)]


def tshark(path: Path, *arguments: str) -> str:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    done = subprocess.run(
        ["tshark", "-n", "-r", path, *arguments], capture_output=True, text=True, timeout=30, check=True
    )
    assert "damaged" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ns", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_of_pcap(tmp_path: Path, order: str, ns: bool, packed: bool) -> None:
    source = tmp_path / "in"
    data = pcap(order, ns)
    source.write_bytes(gzip.compress(data) if packed else data)
    out = tmp_path / "out.pcapng"
    assert annotate(source, out, {}) == 5
    step = 1 if ns else 1000
    times = [(T0 + n * 10**9) // step * step for n in range(5)]
    expected = [Packet(t, 0, frame, len(frame) + n) for n, (t, frame) in enumerate(zip(times, FRAMES, strict=True))]
    assert packets(source) == packets(out) == expected


def test_rebase_moves_times_and_names_the_interface(tmp_path: Path) -> None:
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcapng"
    source.write_bytes(pcap("<", True))
    assert rebase(source, out, -5_000_000_001, "QEMU, host clock") == 5
    assert [packet.ns for packet in packets(out)] == [T0 - 5_000_000_001 + n * 10**9 for n in range(5)]
    assert next(iter(read(out))) == Interface(1, 65535, "", "QEMU, host clock")
    shown = tshark(out, "-T", "fields", "-e", "frame.time_epoch").split()
    assert shown[0] == "1699999995.123456788"


def test_comments_land_on_their_frames(tmp_path: Path) -> None:
    source, once, twice = tmp_path / "in.pcap", tmp_path / "once.pcapng", tmp_path / "twice.pcapng"
    source.write_bytes(pcap("<", False))
    annotate(source, once, {2: "here: ü <b>", 9: "no such frame"})
    annotate(once, twice, {2: "and again", 4: "there"})
    assert [packet.comments for packet in packets(twice)] == [(), ("here: ü <b>", "and again"), (), ("there",), ()]
    shown = tshark(once, "-T", "fields", "-e", "frame.number", "-e", "frame.comment", "-Y", "frame.comment")
    assert shown == "2\there: ü <b>\n"


def test_secrets_come_before_the_interface_and_survive(tmp_path: Path) -> None:
    source, out, again = tmp_path / "in.pcap", tmp_path / "out.pcapng", tmp_path / "again.pcapng"
    source.write_bytes(pcap("<", False))
    keys = tmp_path / "keys.log"
    keys.write_bytes(KEYS)
    with_secrets(source, keys, out)
    annotate(out, again, {1: "x"})
    for path in (out, again):
        items = list(read(path))
        assert items[0] == Secrets(pcapng.TLS_KEY_LOG, KEYS)
        assert isinstance(items[1], Interface)
    tshark(again)


def test_a_cut_file_gives_what_is_whole(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pcapng"
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap("<", True))
    annotate(source, whole, {3: "comment"})
    data = whole.read_bytes()
    seen = set()
    for length in range(28, len(data)):
        cut = tmp_path / "cut.pcapng"
        cut.write_bytes(data[:length])
        found = packets(cut)
        assert found == packets(whole)[: len(found)]
        seen.add(len(found))
    assert seen == {0, 1, 2, 3, 4}
    source.write_bytes(pcap("<", True, cut=3))
    assert len(packets(source)) == 4
    source.write_bytes(gzip.compress(pcap("<", True))[:-20])
    assert len(packets(source)) <= 5


@pytest.mark.parametrize("data", [b"", b"\n", b"hello, this is text", b"\x1f\x8bnot gzip", b"\xd4\xc3\xb2\xa1"])
def test_not_a_capture(tmp_path: Path, data: bytes) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    with pytest.raises(pcapng.NotACapture):
        annotate(source, target, {})
    assert not target.exists()


def test_hostile_lengths(tmp_path: Path) -> None:
    """Every single byte of a small file changed: no exception, no endless loop, no huge allocation."""
    source, whole = tmp_path / "in.pcap", tmp_path / "whole.pcapng"
    source.write_bytes(pcap("<", True))
    annotate(source, whole, {1: "c"})
    for path in (source, whole):
        data = bytearray(path.read_bytes())
        for at in range(4, len(data)):
            for value in (0x00, 0x7F, 0xFF):
                changed = bytearray(data)
                changed[at] = value
                path.write_bytes(changed)
                assert sum(len(packet.data) for packet in packets(path)) <= len(data)
        path.write_bytes(data)


def test_several_sections_interfaces_and_resolutions(tmp_path: Path) -> None:
    """Sections of both byte orders one behind the other, microseconds, powers of two, offsets, simple packets."""

    def block(order: str, kind: int, body: bytes) -> bytes:
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    def section(order: str) -> bytes:
        head = block(order, pcapng.SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        plain = block(order, 1, struct.pack(order + "HHI", 1, 0, 0))
        options = struct.pack(order + "HH", 9, 1) + b"\x8a\0\0\0" + struct.pack(order + "HHq", 14, 8, 100)
        fine = block(order, 1, struct.pack(order + "HHI", 101, 0, 96) + options)
        first = block(order, 6, struct.pack(order + "IIIII", 0, 0, 5, 4, 4) + b"abcd")
        second = block(order, 6, struct.pack(order + "IIIII", 1, 0, 2048, 2, 9) + b"ef\0\0")
        simple = block(order, 3, struct.pack(order + "I", 3) + b"xyz\0")
        unknown = block(order, 0x0BAD, b"what")
        return head + plain + fine + first + unknown + second + simple

    source = tmp_path / "in.pcapng"
    source.write_bytes(section("<") + section(">"))
    items = list(read(source))
    assert [item for item in items if isinstance(item, Interface)] == [Interface(1), Interface(101, 96)] * 2
    expected = [
        Packet(5000, 0, b"abcd", 4), Packet(102 * 10**9, 1, b"ef", 9), Packet(0, 0, b"xyz", 3),
        Packet(5000, 2, b"abcd", 4), Packet(102 * 10**9, 3, b"ef", 9), Packet(0, 2, b"xyz", 3),
    ]  # fmt: skip
    assert [item for item in items if isinstance(item, Packet)] == expected
    annotate(source, tmp_path / "out.pcapng", {})
    assert packets(tmp_path / "out.pcapng") == expected
    assert len(tshark(tmp_path / "out.pcapng").splitlines()) == 6
