"""`make bench`: hil-wire beside tshark, tcpdump, dpkt, scapy and a libpcap read-only loop, on captures made here.

Every figure is measured in this run: CPU seconds (user + system) and peak memory by wait4; medians of RUNS runs.
Options: --megabytes N (default 264), --runs N (default 3), --json FILE.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import HilError
from harness.lab.pki import Pki, generate
from harness.paths import BIN, ROOT
from tests.bench.generate import connections, temporary, write_capture

TIMEOUT_S = 900
SLOW_SHARE = 20  # scapy reads one packet in so many, or the bench would take hours
DPKT = """
import dpkt, sys
n = 0
with open(sys.argv[1], 'rb') as f:
    for _, buf in dpkt.pcap.Reader(f):
        tcp = dpkt.ethernet.Ethernet(buf).data.data
        data = tcp.data
        while len(data) >= 5 and 20 <= data[0] <= 23:
            length = int.from_bytes(data[3:5], 'big'); n += 1
            data = data[5 + length:]
print(n)
"""
SCAPY = """
import sys
from scapy.all import PcapReader, TCP, load_layer
load_layer('tls')
from scapy.layers.tls.record import TLS
n = 0
with PcapReader(sys.argv[1]) as reader:
    for packet in reader:
        if TCP in packet and bytes(packet[TCP].payload):
            TLS(bytes(packet[TCP].payload)); n += 1
print(n)
"""


@dataclass(frozen=True)
class Figure:
    capture: str
    tool: str
    megabytes: float
    cpu_s: float
    wall_s: float
    rss_mb: float

    @property
    def mb_per_cpu_s(self) -> float:
        return self.megabytes / self.cpu_s if self.cpu_s else 0.0


def measure(launcher: Path, argv: list[str], runs: int) -> tuple[float, float, float]:
    """Median CPU seconds, wall seconds and peak resident MB of `argv`, output discarded."""
    cpu, wall, rss = [], [], []
    for _ in range(runs):
        said = subprocess.run(
            [str(launcher), *argv], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
        ).stdout
        seconds, elapsed, kilobytes, status = said.split()
        if status != "0":
            raise HilError(f"{argv[0]} ended with {status}", "run it by hand: " + " ".join(argv))
        cpu.append(float(seconds))
        wall.append(float(elapsed))
        rss.append(int(kilobytes) / 1024)
    return statistics.median(cpu), statistics.median(wall), max(rss)


def tools(capture: Path, small: Path, keylog: Path, pcap_read: Path) -> dict[str, tuple[Path, list[str]]]:
    """Name → (the capture it reads, command). tshark prints fields, as people use it; `-q` alone would not dissect."""
    fields = ["-T", "fields", "-e", "frame.number", "-e", "tls.record.content_type", "-e", "tls.handshake.type"]
    fields += ["-e", "tls.alert_message.desc", "-e", "mqtt.msgtype"]
    found = {
        "libpcap read": (capture, [str(pcap_read), str(capture)]),
        "hil-wire": (capture, [str(BIN / "hil-wire"), str(capture)]),
        "hil-wire keys": (capture, [str(BIN / "hil-wire"), "--keylog", str(keylog), str(capture)]),
        "hil-wire summary": (capture, [str(BIN / "hil-wire"), "--summary", str(capture)]),
        "tcpdump -nq": (capture, ["tcpdump", "-nqr", str(capture)]),
        "tshark": (capture, ["tshark", "-r", str(capture), *fields]),
        "tshark keys": (capture, ["tshark", "-r", str(capture), "-o", f"tls.keylog_file:{keylog}", *fields]),
        "dpkt": (capture, [sys.executable, "-c", DPKT, str(capture)]),
        "scapy": (small, [sys.executable, "-c", SCAPY, str(small)]),
    }
    return {name: (path, argv) for name, (path, argv) in found.items() if shutil.which(argv[0])}


def compiled(name: str, folder: Path) -> Path:
    source, program = ROOT / "tests" / "bench" / f"{name}.c", folder / name
    subprocess.run(["cc", "-O2", "-o", str(program), str(source), "-lpcap"], check=True, timeout=60)
    return program


def bench(folder: Path, pki: Pki, megabytes: int, runs: int) -> list[Figure]:
    pcap_read, launcher = compiled("pcap_read", folder), compiled("measure", folder)
    figures = []
    shapes = {
        "many short, 1.2 + 1.3": (["1.2", "1.3"], 50, 200),
        "few long, 1.2": (["1.2"], 5000, 400),
        "few long, 1.3": (["1.3"], 5000, 400),
    }
    for name, (versions, messages, payload) in shapes.items():
        keylog = folder / "keys.log"
        keylog.unlink(missing_ok=True)
        templates = connections(pki, versions, messages, payload, keylog)
        size = sum(len(p) + 16 for t in templates for p in t) / len(templates)
        count = max(1, int(megabytes * 1e6 / size))
        capture, small = folder / "bench.pcap", folder / "small.pcap"
        packets = write_capture(capture, templates, count)
        write_capture(small, templates, max(1, count // SLOW_SHARE))
        print(f"{name}: {capture.stat().st_size / 1e6:.0f} MB, {packets} packets, {count} connections", flush=True)
        for tool, (path, argv) in tools(capture, small, keylog, pcap_read).items():
            cpu, wall, rss = measure(launcher, argv, 1 if tool in ("scapy", "dpkt") else runs)
            figures.append(Figure(name, tool, path.stat().st_size / 1e6, cpu, wall, rss))
            show(figures[-1])
        if name.startswith("many"):
            figures += memory(launcher, folder, templates, count)
    return figures


def memory(launcher: Path, folder: Path, templates: list[list[bytes]], count: int) -> list[Figure]:
    """Peak memory on a file ten times as large: it must not grow with the file."""
    large = folder / "large.pcap"
    if shutil.disk_usage(folder).free < 12 * count * sum(len(p) for p in templates[0]):
        print("  not enough disk for the file ten times as large: left out")
        return []
    write_capture(large, templates, count * 10)
    figure = Figure(
        "ten times as large",
        "hil-wire",
        large.stat().st_size / 1e6,
        *measure(launcher, [str(BIN / "hil-wire"), str(large)], 1),
    )
    large.unlink()
    show(figure)
    return [figure]


def show(figure: Figure) -> None:
    print(
        f"  {figure.tool:18} {figure.cpu_s:8.2f} s CPU {figure.wall_s:8.2f} s {figure.mb_per_cpu_s:9.1f} MB/s"
        f" {figure.rss_mb:8.1f} MB peak",
        flush=True,
    )


def ratios(figures: list[Figure]) -> None:
    """The bounds to keep: 40 x tshark without keys, 20 x with, at most 4 x libpcap's CPU, 32 MB."""
    by = {(f.capture, f.tool): f for f in figures}
    for capture in dict.fromkeys(f.capture for f in figures):
        own = by.get((capture, "hil-wire"))
        for other, mine, what in (("tshark", "hil-wire", 40), ("tshark keys", "hil-wire keys", 20)):
            pair = by.get((capture, other)), by.get((capture, mine))
            if pair[0] and pair[1]:
                ratio = pair[1].mb_per_cpu_s / pair[0].mb_per_cpu_s
                held = "held" if ratio >= what else "MISSED"
                print(f"{capture}: {mine} is {ratio:.1f} x {other} (bound {what}): {held}")
        floor = by.get((capture, "libpcap read"))
        if own and floor:
            ratio = own.cpu_s / floor.cpu_s
            print(f"{capture}: {ratio:.1f} x libpcap's CPU (bound 4): {'held' if ratio <= 4 else 'MISSED'}")
        if own:
            print(f"{capture}: {own.rss_mb:.1f} MB (bound 32): {'held' if own.rss_mb <= 32 else 'MISSED'}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=264)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with temporary() as name:
        folder = Path(name)
        figures = bench(folder, generate(folder / "pki"), args.megabytes, args.runs)
    ratios(figures)
    if args.json:
        args.json.write_text(json.dumps([asdict(f) for f in figures], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
