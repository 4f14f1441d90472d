"""Scenes in a sandbox: `lab` is this host's end of a wire, `dut` the board's, in a network namespace `board`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import paths
from harness.errors import HilError, UsageError
from harness.lab import process
from harness.lab.services import RunningServices, services
from harness.lab.services.model import checked

OWN = "192.168.77.1"
QUICK = 0.3  # s to look for foreign servers


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, timeout=10)


def wire(*, address: str = f"{OWN}/24") -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True, timeout=10)
    ip("link add lab type veth peer name dut")
    ip("netns add board")
    ip("link set dut netns board")
    ip("-n board link set dut up")
    if address:
        ip(f"address add {address} dev lab")
    ip("link set lab up")


def board(*words: str, timeout: float = 15.0) -> dict[str, Any]:
    """The client of client.py on the board's side."""
    argv = ["ip", "netns", "exec", "board", sys.executable, "-m", "tests.services.client", *words]
    done = subprocess.run(argv, cwd=paths.ROOT, capture_output=True, text=True, timeout=timeout, check=True)
    return dict(json.loads(done.stdout))


@contextlib.contextmanager
def serving(folder: Path, seconds: float = QUICK, **table: Any) -> Iterator[RunningServices]:
    config = checked("test", {"interface": "lab", **table})
    with services(config, folder, broker_names=("broker.hil.test",), foreign_seconds=seconds) as running:
        yield running


def refused(folder: Path, **table: Any) -> str:
    try:
        with serving(folder, **table):
            return "started"
    except HilError as error:
        assert error.exit_code == UsageError.exit_code, error
        return str(error)


def address(folder: Path) -> None:
    """DHCP gives what the table says, DNS knows the broker and nothing else, and all is gone at the end."""
    wire()
    with serving(folder, hosts={"02:00:5e:00:00:01": "192.168.77.50"}, names={"far.test": "10.9.8.7", "near.test": ""},
                 lease_s=300) as running:  # fmt: skip
        assert running.leases() == ()
        fixed = board("dhcp", "dut", "02:00:5e:00:00:01")
        assert fixed == {"address": "192.168.77.50", "server": OWN, "mask": "255.255.255.0", "lease": 300,
                         "router": [OWN], "dns": [OWN], "ntp": [OWN]}, fixed  # fmt: skip
        other = board("dhcp", "dut", "02:00:5e:00:00:02")
        assert 100 <= int(other["address"].rpartition(".")[2]) < 116, other
        seen = {lease.mac: lease for lease in running.leases()}
        assert seen["02:00:5e:00:00:01"].address == "192.168.77.50" and len(seen) == 2, seen
        assert all(lease.name.isprintable() for lease in seen.values())
        assert time.time() < seen["02:00:5e:00:00:02"].until < time.time() + 301
        ip("-n board address add 192.168.77.50/24 dev dut")
        for name, wanted in (("broker.hil.test", [OWN]), ("far.test", ["10.9.8.7"]), ("near.test", [OWN])):
            assert board("dns", OWN, name) == {"rcode": 0, "addresses": wanted}, name
        assert board("dns", OWN, "www.example.com") == {"rcode": 3, "addresses": []}
        assert abs(board("ntp", OWN)["ahead"]) < 10
        running.check()
        names = running_programs()
        assert {"dnsmasq", "hil-ntp"} <= names, names
    assert not {"dnsmasq", "hil-ntp"} & running_programs()
    assert board("dns", OWN, "broker.hil.test")["rcode"] == -1 and board("ntp", OWN) == {}


def running_programs() -> set[str]:
    """Names of all processes of this pid namespace."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            found.add(path.read_text().strip())
    return found


def lies(folder: Path) -> None:
    """Each behaviour as a client sees it, changed while the server runs."""
    wire()
    ip("-n board address add 192.168.77.50/24 dev dut")
    with serving(folder, dhcp=False, dns=False) as running:
        server = running.ntp
        assert server is not None and running.dnsmasq is None
        honest = board("ntp", OWN)
        assert (honest["mode"], honest["leap"], honest["stratum"], honest["ours"]) == (4, 0, 1, True)
        server.behave("offset -86400")
        assert -86410 < board("ntp", OWN)["ahead"] < -86390
        server.behave("stopped 1000000000")
        assert board("ntp", OWN)["sent"] == board("ntp", OWN)["sent"] == 1000000000
        server.behave("stratum 16")
        assert board("ntp", OWN)["stratum"] == 16
        server.behave("unsynchronised")
        answer = board("ntp", OWN)
        assert (answer["leap"], answer["stratum"]) == (3, 16)
        server.behave("kiss RATE")
        answer = board("ntp", OWN)
        assert (answer["stratum"], answer["refid"], answer["ours"]) == (0, "RATE", True)
        server.behave("replay")
        answer = board("ntp", OWN)
        assert (answer["refid"], answer["ours"]) == ("RATE", False)
        server.behave("silent")
        assert board("ntp", OWN) == {}
        try:
            server.behave("honset")
        except UsageError as error:
            assert "not one of" in str(error)
        else:
            raise AssertionError("a behaviour that is none was taken")
        assert board("ntp", OWN) == {}, "the one before stays"
        results = [query.result for query in server.queries()]
        assert results == ["answered"] * 8 + ["silent"] * 2, results
        assert server.queries()[1].said - server.queries()[1].t == -86400


def bounded(folder: Path) -> None:
    """No more addresses than the table allows, however many ask."""
    wire()
    with serving(folder, leases=2) as running:
        given = [board("dhcp", "dut", f"02:00:5e:00:00:{n:02x}") for n in range(4)]
        assert [bool(lease) for lease in given] == [True, True, False, False], given
        assert len(running.leases()) == 2


def refusals(folder: Path) -> None:
    """Whatever may be somebody else's network is left alone."""
    wire(address="")
    assert "lacks 192.168.77.1/24" in refused(folder)
    ip(f"address add {OWN}/24 dev lab")
    ip("link set lab down")
    assert "lab is down" in refused(folder)
    ip("link set lab up")
    ip("address add 10.1.2.3/8 dev lab")
    assert "also has 10.1.2.3/8" in refused(folder)
    assert refused(folder, also=["10.1.2.3/8"]) == "started"
    ip("route add default via 192.168.77.254 dev lab")
    assert "default route" in refused(folder, also=["10.1.2.3/8"])
    assert "does not exist" in refused(folder, interface="nope")
    assert "dnsmasq" not in running_programs()


def foreign(folder: Path) -> None:
    """A wire on which somebody already hands out addresses is refused, and named."""
    wire()
    ip("-n board address add 192.168.77.200/24 dev dut")
    program = shutil.which("dnsmasq", path=f"{os.environ['PATH']}:/usr/sbin") or "dnsmasq"
    log = folder / "theirs.log"
    argv = ["ip", "netns", "exec", "board", program, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
            "--user=root", "--pid-file=", "--interface=dut", "--bind-interfaces", "--no-ping", "--log-facility=-",
            f"--dhcp-leasefile={folder / 'theirs'}", "--dhcp-range=192.168.77.210,192.168.77.220,600"]  # fmt: skip
    with log.open("wb") as output, process.running(argv, stdout=output, stderr=output, tree=True):
        until = time.monotonic() + 10
        while b"started" not in log.read_bytes() and time.monotonic() < until:
            time.sleep(0.01)
        said = refused(folder / "ours", seconds=8.0)  # ends with the first answer
        assert "192.168.77.200 already hands out addresses" in said, said
        assert refused(folder / "ours", dhcp=False) == "started"


def namespace(folder: Path) -> None:
    """The wire may lie in a namespace of its own."""
    wire(address="")
    ip("netns add bench")
    ip("link set lab netns bench")
    ip(f"-n bench address add {OWN}/24 dev lab")
    ip("-n bench link set lab up")
    with serving(folder, namespace="bench"):
        given = board("dhcp", "dut", "02:00:5e:00:00:07")
        assert given["server"] == OWN
        ip(f"-n board address add {given['address']}/24 dev dut")
        assert board("dns", OWN, "broker.hil.test")["addresses"] == [OWN]
        assert board("ntp", OWN)["mode"] == 4
    assert not {"dnsmasq", "hil-ntp"} & running_programs()


def command(folder: Path) -> None:
    """`hil services`: tells leases, takes behaviours, ends at SIGTERM; killed with -9 it leaves nothing."""
    wire()
    ip("-n board address add 192.168.77.50/24 dev dut")
    argv = [sys.executable, "-m", "harness.cli", "services", "--interface", "lab", "--json", "--dir", str(folder)]
    for how, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -9)):
        hil = subprocess.Popen(argv, cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert hil.stdin is not None and hil.stdout is not None
        ready = json.loads(hil.stdout.readline())
        assert (ready["event"], ready["interface"], ready["ntp"]) == ("ready", "lab", "honest")
        given = board("dhcp", "dut", "02:00:5e:00:00:09")
        told = json.loads(hil.stdout.readline())
        assert (told["event"], told["mac"], told["address"]) == ("lease", "02:00:5e:00:00:09", given["address"])
        hil.stdin.write(b"nonsense\nkiss DENY\n")
        hil.stdin.flush()
        assert json.loads(hil.stdout.readline()) == {"event": "ntp", "behaviour": "kiss DENY"}
        assert board("ntp", OWN)["refid"] == "DENY"
        hil.send_signal(how)
        assert hil.wait(10) == status
        until = time.monotonic() + 10
        while {"dnsmasq", "hil-ntp"} & running_programs() and time.monotonic() < until:
            time.sleep(0.01)
        assert not {"dnsmasq", "hil-ntp"} & running_programs(), how


def real_client(folder: Path) -> None:
    """A DHCP client that is not ours."""
    wire()
    client = shutil.which("udhcpc") or shutil.which("busybox")
    assert client is not None
    script = folder / "bound.sh"
    script.write_text('#!/bin/sh\n[ "$1" = bound ] && ip address add "$ip/$mask" dev "$interface"\n'
                      'echo "$1 $ip $router $dns $ntpsrv"\n', encoding="utf-8")  # fmt: skip
    script.chmod(0o755)
    words = [client, *(["udhcpc"] if client.endswith("busybox") else [])]
    with serving(folder):
        done = subprocess.run(
            ["ip", "netns", "exec", "board", *words, "-i", "dut", "-n", "-q", "-f", "-O", "ntpsrv", "-s", str(script)],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        bound = [line for line in done.stdout.splitlines() if line.startswith("bound ")]
        assert done.returncode == 0 and bound, done.stdout + done.stderr
        assert bound[0].split()[2:] == [OWN, OWN, OWN], bound
        assert board("dns", OWN, "broker.hil.test")["addresses"] == [OWN]


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
