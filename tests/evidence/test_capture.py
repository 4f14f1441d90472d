"""Captures are live when they say so, hold each packet once, end with the last one, and fail loudly."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.evidence import pcapng
from harness.lab import process
from tests.evidence.conftest import Scene


def test_100_of_100_hold_the_first_syn_and_the_last_packet(scene: Scene) -> None:
    assert scene("connections", "100") == "100\n"


def test_bursts_that_end_with_the_capture_are_complete(scene: Scene) -> None:
    assert scene("datagrams", "30", "400") == "30\n"


def test_a_large_burst_fits_the_ring(scene: Scene) -> None:
    assert scene("datagrams", "1", "50000") == "1\n"


def test_the_helpers_own_datagrams_do_not_show(scene: Scene) -> None:
    assert scene("no_filter") == "2 [b'four', b'also']\n"


def test_a_full_disk_is_named_and_the_rest_can_be_read(scene: Scene) -> None:
    assert scene("disk_full") == "lab.disk_full 10 True\nTrue\n"


def test_what_cannot_be_captured(scene: Scene) -> None:
    lines = scene("failures").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("lab.capture_failed hil-capture: nosuch0: ")
    assert lines[1].startswith("lab.capture_failed hil-capture: tcp prot 1: ")
    assert lines[2].startswith("lab.capture_failed hil-capture: ")
    assert "No such file or directory" in lines[2]


def test_a_helper_that_dies(scene: Scene) -> None:
    assert scene("killed") == "lab.capture_failed hil-capture ended with status -9\n"


def test_wireshark_agrees(scene: Scene, tmp_path: Path) -> None:
    """tshark reads it with no complaint, and capinfos finds the comment, the counts and nanoseconds."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    scene("connections", "1")
    out = tmp_path / "connection.pcapng"
    ours = [item for item in pcapng.read(out) if isinstance(item, pcapng.Packet)]
    told = subprocess.run(
        ["tshark", "-n", "-r", out, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "_ws.malformed"],
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout.splitlines()  # fmt: skip
    assert [line.strip() for line in told] == [
        f"{packet.ns // 10**9}.{packet.ns % 10**9:09d}\t{packet.length}" for packet in ours
    ]
    info = subprocess.run(["capinfos", out], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "Comment = a comment: ü" in info
    assert "Time precision = nanoseconds (9)" in info
    assert "Number of stat entries = 1" in info


@pytest.mark.parametrize("arguments", [[], ["-i", "lo"], ["-i", "lo", "-o", "x", "more"], ["-b", "0"], ["-q"]])
def test_usage(arguments: list[str]) -> None:
    done = subprocess.run(
        [process.program("hil-capture"), *arguments], capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == 2
    assert "usage: hil-capture" in done.stderr
