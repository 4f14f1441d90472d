"""The decoder against tshark: each record, handshake message, alert and MQTT packet, frame by frame, with and without
keys, on all field captures and on what a network may do to them. All captures go into one file, under addresses of
their own, so that tshark starts only twice a variant.

What tshark is told: nothing but ports, so a capture in which a port carries the other protocol is moved to a port where
tshark expects what is really there. `stacks-mal-sslv2` is left out: tshark shows an SSLv2 hello as a record of TLS.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.wire import decode
from tests.wire import captures as cap
from tests.wire.captures import FIELD, Packet
from tests.wire.tshark import TSHARK, Frame, frames, tshark

PORTS = {"netx-tcp-mqtt-server-silent": (8883, 1883), "netx-tls-client-plain-broker": (1883, 8883)}
LEFT_OUT = {"stacks-mal-sslv2"}
SECOND = 10**9

Change = Callable[[Sequence[Packet], random.Random], list[Packet]]


def plain(packets: Sequence[Packet], rng: random.Random) -> list[Packet]:
    return list(packets)


def everything(packets: Sequence[Packet], rng: random.Random) -> list[Packet]:
    return cap.duplicate(cap.reorder(cap.overlap(packets, rng), rng), rng)


def field(change: Change, seed: int) -> tuple[list[Packet], list[str]]:
    """All field captures after another, changed; and the name each frame belongs to."""
    rng, out, names = random.Random(seed), [], []  # noqa: S311
    start = 1_700_000_000 * SECOND
    for number, path in enumerate(sorted(FIELD.glob("*.pcap")), 1):
        if path.stem in LEFT_OUT:
            continue
        packets = cap.read(path)
        if path.stem in PORTS:
            packets = cap.reported(packets, *PORTS[path.stem])
        packets = cap.moved(change(packets, rng), number, start)
        start = max([p.t for p in packets] + [start]) + 10 * SECOND
        out += packets
        names += [path.stem] * len(packets)
    return out, names


@pytest.fixture(scope="module")
def all_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "all.keys"
    path.write_text("".join(p.read_text() for p in sorted(FIELD.glob("*.keys"))))
    return path


def differences(theirs: dict[int, Frame], ours: dict[int, Frame], names: Sequence[str]) -> list[str]:
    return [
        f"frame {n} ({names[n - 1]}): tshark {theirs.get(n)}, hil-wire {ours.get(n)}"
        for n in sorted(theirs.keys() | ours.keys())
        if theirs.get(n) != ours.get(n)
    ]


@pytest.mark.skipif(not TSHARK, reason="tshark is not installed")
@pytest.mark.parametrize("keyed", [False, True], ids=["sealed", "keys"])
@pytest.mark.parametrize(
    ("change", "seed"),
    [
        (plain, 0),
        (cap.split, 1),
        (cap.split, 2),
        (cap.duplicate, 3),
        (cap.overlap, 4),
        (cap.overlap, 5),
        (cap.reorder, 6),
        (cap.reorder, 7),
        (cap.reorder, 8),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_same_as_tshark(change: Change, seed: int, keyed: bool, all_keys: Path, tmp_path: Path) -> None:
    packets, names = field(change, seed)
    file = tmp_path / "all.pcap"
    file.write_bytes(cap.pcap(packets))
    keylog = all_keys if keyed else None
    theirs, ours = tshark(file, keylog), frames(decode(file, keylog=keylog))
    assert sum(len(f.records) for f in theirs.values()) > 700, "tshark must have seen the captures"
    found = differences(theirs, ours, names)
    assert not found, "\n".join(found[:20])


def told(events: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What was said of content, without times and frames; damaged records are counted by their gaps."""
    kinds = ("record", "alert", "mqtt", "client_hello", "server_hello", "certificate", "finished", "new_session_ticket")
    out: list[tuple[Any, ...]] = []
    for e in events:
        if e["ev"] in kinds and not e.get("damaged") and not e.get("incomplete") and not e.get("cut"):
            out.append((e["conn"], e["dir"], e["ev"], e.get("type"), e.get("len"), e.get("inner"), e.get("code")))
    return out


def by_side(items: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    out: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for item in items:
        out.setdefault(item[:2], []).append(item[2:])
    return out


def is_subsequence(part: Sequence[Any], whole: Sequence[Any]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)


def outside(items: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Without the inner type, which is not known any more when the ServerHello is what was lost."""
    return [(*item[:3], *item[4:]) for item in items]


@pytest.mark.parametrize("keyed", [False, True], ids=["sealed", "keys"])
def test_any_order_gives_the_same_content(keyed: bool, all_keys: Path, tmp_path: Path) -> None:
    """Everything at once (split, reordered, overlapping, doubled), which tshark itself does not survive."""
    keylog = all_keys if keyed else None
    contents = []
    for change in (plain, everything):
        file = tmp_path / f"{change.__name__}.pcap"
        file.write_bytes(cap.pcap(field(change, 11)[0]))
        events = decode(file, keylog=keylog)
        assert not [e for e in events if e["ev"] == "gap"]
        contents.append(by_side(told(events)))
    assert contents[0] == contents[1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("keyed", [False, True], ids=["sealed", "keys"])
def test_a_lost_segment_is_a_gap_and_nothing_is_made_up(seed: int, keyed: bool, all_keys: Path, tmp_path: Path) -> None:
    keylog = all_keys if keyed else None
    rng = random.Random(seed)  # noqa: S311
    whole, part = tmp_path / "whole.pcap", tmp_path / "part.pcap"
    holes = 0
    for path in sorted(FIELD.glob("*.pcap"))[seed::4]:
        packets = cap.read(path)
        changed, lost = cap.lose(packets, rng)
        if lost is None or any(
            p.seq == lost.seq and p.source == lost.source and p.payload for p in changed if p.is_tcp
        ):
            continue  # it was sent again: nothing is missing
        whole.write_bytes(cap.pcap(packets))
        part.write_bytes(cap.pcap(changed))
        full = by_side(told(decode(whole, keylog=keylog)))
        events = decode(part, keylog=keylog)
        gaps = [e for e in events if e["ev"] == "gap"]
        if not gaps:  # the lost bytes were the last and nobody acknowledged them
            later = [p for p in changed if p.is_tcp and p.source != lost.source and p.t > lost.t and not p.flags & 4]
            acks = [int.from_bytes(p.data[p.tcp_at + 8 : p.tcp_at + 12], "big") for p in later]
            assert all(a - lost.seq & 0xFFFFFFFF > 1 << 31 or a == lost.seq for a in acks), path.stem
            continue
        assert sum(e["missing"] for e in gaps) == len(lost.payload), path.stem
        holes += 1
        for side, items in by_side(told(events)).items():
            assert is_subsequence(outside(items), outside(full[side])), (path.stem, side, items, full[side])
    assert holes > 5


@pytest.mark.parametrize("length", [60, 68, 96, 128, 200])
def test_snap_length_tells_the_cut_and_stays_framed(length: int, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.pcap", tmp_path / "part.pcap"
    for path in sorted(FIELD.glob("*.pcap"))[::6]:
        packets = cap.read(path)
        whole.write_bytes(cap.pcap(packets))
        part.write_bytes(cap.pcap(cap.snap(packets, length)))
        full, events = by_side(told(decode(whole))), decode(part)
        cut = any(p.is_tcp and p.payload and len(p.data) > length for p in packets)
        assert any(e["ev"] == "gap" and e.get("cut") for e in events) == cut, path.stem
        for side, items in by_side(told(events)).items():
            assert is_subsequence([i for i in items if i[0] == "record"], [i for i in full[side] if i[0] == "record"])


@pytest.mark.parametrize("seed", range(3))
def test_starting_in_the_middle_makes_nothing_up(seed: int, all_keys: Path, tmp_path: Path) -> None:
    """A capture that begins at any frame: what is told is part of what the whole tells."""
    rng = random.Random(seed)  # noqa: S311
    whole, part = tmp_path / "whole.pcap", tmp_path / "part.pcap"
    for path in sorted(FIELD.glob("*.pcap"))[seed::3]:
        packets = cap.read(path)
        if len([p for p in packets if p.is_tcp]) < 8:
            continue
        whole.write_bytes(cap.pcap(packets))
        part.write_bytes(cap.pcap(packets[rng.randrange(1, len(packets)) :]))
        full = by_side([(0, *item[1:]) for item in told(decode(whole, keylog=all_keys)) if item[2] != "mqtt"])
        events = [item for item in told(decode(part)) if item[2] == "record"]
        for side, items in by_side([(0, *item[1:]) for item in events]).items():
            lengths = [i[2] for i in full.get(side, []) if i[0] == "record"]
            assert is_subsequence([i[2] for i in items], lengths), (path.stem, side)
