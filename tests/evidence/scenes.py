"""What tests do inside a sandbox: `python -m tests.evidence.scenes NAME FOLDER [ARGUMENT…]`. Prints its results."""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness.errors import LabError
from harness.evidence import pcapng
from harness.evidence.capture import capture

ADDRESS = ("127.0.0.1", 18883)
SIOCGIFMTU = 0x8921
SYN, ACK, FIN = 0x02, 0x10, 0x01


def packets(path: Path) -> list[pcapng.Packet]:
    return [item for item in pcapng.read(path) if isinstance(item, pcapng.Packet)]


def tcp(packet: pcapng.Packet) -> tuple[int, int, int, int, int]:
    """Source port, sequence, acknowledgement, flags, payload length of an IPv4 packet with no IP options."""
    source, _, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", packet.data, 34)
    (total,) = struct.unpack_from("!H", packet.data, 16)
    return source, seq, ack, flags, total - 20 - (offset >> 4) * 4


def talk(server: socket.socket) -> None:
    """One connection: a line each way, closed by the client, then by the server."""
    with socket.create_connection(ADDRESS) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"ping")
            assert peer.recv(16) == b"ping"
            peer.sendall(b"pong")
            assert client.recv(16) == b"pong"
            client.close()
            assert peer.recv(1) == b""


def check_connection(found: list[pcapng.Packet]) -> None:
    """SYN first, the ACK of the last FIN last, everything between once."""
    assert len({packet.data for packet in found}) == len(found), "a packet twice"
    rows = [tcp(packet) for packet in found]
    assert rows[0][3] & (SYN | ACK) == SYN, "the first packet is not the SYN"
    fins = [row for row in rows if row[3] & FIN]
    assert len(fins) == 2, f"{len(fins)} FINs"
    source, _, ack, flags, length = rows[-1]
    last_fin = fins[-1]
    assert source != last_fin[0], "the last packet is not an answer"
    assert (flags & (SYN | ACK | FIN), length) == (ACK, 0), "the last packet is no pure ACK"
    assert ack == (last_fin[1] + last_fin[4] + 1) & 0xFFFFFFFF, "the last packet does not acknowledge the last FIN"


def connections(folder: Path, count: str) -> None:
    """As many captures of one connection each: all must hold it whole."""
    good = 0
    slowest = 0.0
    with socket.create_server(ADDRESS) as server:
        for _ in range(int(count)):
            out = folder / "connection.pcapng"
            start = time.monotonic()
            with capture("lo", f"tcp port {ADDRESS[1]}", out, "a comment: ü") as live:
                slowest = max(slowest, time.monotonic() - start)
                talk(server)
                counts = live.stop()
            found = packets(out)
            check_connection(found)
            assert counts.packets == len(found)
            interface = next(item for item in pcapng.read(out) if isinstance(item, pcapng.Interface))
            assert interface == pcapng.Interface(1, pcapng.SNAPLEN, "lo", "a comment: ü")
            assert abs(found[0].ns - time.time_ns()) < 5e9
            good += 1
    print(good)
    print(f"slowest start {slowest * 1000:.0f} ms", file=sys.stderr)


def datagrams(folder: Path, captures: str, each: str) -> None:
    """Bursts from two threads that end at the very moment of the stop: not one may be missing."""
    out = folder / "burst.pcapng"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(ADDRESS)

        def send(first: int) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.connect(ADDRESS)
                for n in range(first, int(each), 2):
                    sender.send(struct.pack("!I", n))

        for _ in range(int(captures)):
            with capture("lo", f"udp port {ADDRESS[1]}", out, "burst") as live:
                threads = [threading.Thread(target=send, args=(first,)) for first in (0, 1)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                live.stop()
            numbers = sorted(struct.unpack_from("!I", packet.data, 42)[0] for packet in packets(out))
            assert numbers == list(range(int(each))), f"{len(numbers)} of {each}"
    print(captures)


def no_filter(folder: Path) -> None:
    """Without a filter the helper's own datagrams must not show, and both kinds of address do."""
    out = folder / "all.pcapng"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
        capture("lo", "", out, "") as live,
    ):
        four.bind(("127.0.0.1", 0))
        four.sendto(b"four", four.getsockname())
        six.bind(("::1", 0))
        six.sendto(b"also", six.getsockname())
        counts = live.stop()
    print(counts.packets, [packet.data[-4:] for packet in packets(out)])


def disk_full(folder: Path) -> None:
    """On a small file system the capture says so, and what was captured can be read."""
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True, timeout=10)
    out = small / "full.pcapng"
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            sink.bind(ADDRESS)
            with capture("lo", f"udp port {ADDRESS[1]}", out, "") as live:
                for _ in range(200):
                    sender.sendto(bytes(1000), ADDRESS)
                live.stop()
    except LabError as error:
        print(error.cause, error.exit_code, "No space left" in error.what)
    whole = packets(out)
    assert all(len(packet.data) == 1042 for packet in whole)
    print(len(whole) > 40)


def failures(folder: Path) -> None:
    """What cannot be captured is named before anything is armed."""
    for interface, bpf, out in (
        ("nosuch0", "", folder / "x"),
        ("lo", "tcp prot 1", folder / "x"),
        ("lo", "", folder / "no" / "such" / "folder"),
    ):
        try:
            with capture(interface, bpf, out, ""):
                print("captured")
        except LabError as error:
            print(error.cause, error.what)


def killed(folder: Path) -> None:
    """A helper that dies is an error of the lab."""
    try:
        with capture("lo", "", folder / "x.pcapng", "") as live:
            live._proc.kill()
            live.stop()
    except LabError as error:
        print(error.cause, error.what)


def own_port(_folder: Path) -> None:
    """Binds a port and holds it until stdin ends."""
    with socket.create_server(ADDRESS):
        print("bound", flush=True)
        sys.stdin.read()


def network(_folder: Path) -> None:
    """What the network inside looks like."""
    names = [name for _, name in socket.if_nameindex()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, SIOCGIFMTU, struct.pack("16si12x", b"lo", 0))
    print(names, struct.unpack_from("16si", answer)[1])


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
