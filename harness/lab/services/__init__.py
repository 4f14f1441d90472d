"""Network services for a board on a wire of its own: DHCP and DNS by dnsmasq, and an NTP server that can lie.

    with services(config, folder, broker_names=("broker.hil.test",)) as running:
        running.ntp.behave("offset -3600")      # from now on, until the next
        running.leases()                        # who has which address
        running.check()                         # LabError when one of them ended

Refuses (UsageError, exit 4) any interface that may be somebody else's network: see interface.py and foreign.py.
Needs the right to bind ports 53, 67 and 123 and to see the interface: root, or a network namespace of one's own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from harness import paths
from harness.errors import LabError, UsageError
from harness.lab import process
from harness.lab.services import dnsmasq, interface
from harness.lab.services.dnsmasq import DhcpLease
from harness.lab.services.model import Services
from harness.lab.services.ntp import RunningNtp, ntp

READY_TIMEOUT = 10.0
FOREIGN_SECONDS = 2.0
"""How long a server of somebody else has to answer; dnsmasq itself takes 3 ms without, 3 s with its ping."""
LOOK = 0.01
ADMIN_PATH = "/usr/sbin:/sbin"


class RunningServices:
    """What runs on the wire. `folder` holds dnsmasq.conf, dnsmasq.log, leases and ntp.log."""

    def __init__(self, config: Services, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.dnsmasq: subprocess.Popen[bytes] | None = None
        self.ntp: RunningNtp | None = None

    def leases(self) -> tuple[DhcpLease, ...]:
        """Addresses given out by now."""
        try:
            return dnsmasq.leases((self.folder / "leases").read_bytes()[: dnsmasq.LEASES_READ].decode(errors="replace"))
        except FileNotFoundError:
            return ()

    def check(self) -> None:
        """LabError when one of the services ended by itself."""
        if self.dnsmasq is not None and self.dnsmasq.poll() is not None:
            raise LabError("lab.broker_failed", f"dnsmasq ended: {_last_line(self.folder)}", f"see {self.folder}")
        if self.ntp is not None and not self.ntp.alive:
            raise LabError("lab.broker_failed", "hil-ntp ended", f"see {self.folder}")


@contextlib.contextmanager
def services(
    config: Services, folder: Path, *, broker_names: Iterable[str] = (), say: Callable[[str], None] = lambda text: None,
    foreign_seconds: float = FOREIGN_SECONDS,
) -> Iterator[RunningServices]:  # fmt: skip
    """Everything `config` asks for, answering when this returns, ended when the block ends (or we do).

    `foreign_seconds`: how long to look for a DHCP server of somebody else before; 0: not at all.
    """
    interface.check(config, interface.look(config))
    running = RunningServices(config, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError("lab.disk_full", f"{folder}: {error.strerror}", "name another folder") from error
    if config.dhcp and foreign_seconds > 0:
        say(f"looking for another DHCP server on {config.interface}")
        _refuse_foreign(config, foreign_seconds)
    with contextlib.ExitStack() as stack:
        if config.dhcp or config.dns:
            say("dnsmasq")
            running.dnsmasq = stack.enter_context(_dnsmasq(config, folder, tuple(broker_names)))
        if config.ntp != "off":
            say("hil-ntp")
            running.ntp = stack.enter_context(
                ntp(str(config.own), folder, interface=config.interface, behave=config.ntp,
                    prefix=interface.prefix(config))
            )  # fmt: skip
        yield running


@contextlib.contextmanager
def _dnsmasq(config: Services, folder: Path, broker_names: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', os.defpath)}:{ADMIN_PATH}")
    if program is None:
        raise LabError("lab.tool_missing", "dnsmasq not found", "apt-get install dnsmasq-base")
    conf, log = folder / "dnsmasq.conf", folder / "dnsmasq.log"
    conf.write_text(dnsmasq.configuration(config, broker_names, folder.resolve(), user=_user()), encoding="utf-8")
    (folder / "leases").unlink(missing_ok=True)  # a lab's boards start anew
    argv = [*interface.prefix(config), program, "--keep-in-foreground", f"--conf-file={conf.resolve()}"]
    with log.open("wb") as output, process.running(argv, stdout=output, stderr=output, tree=True) as proc:
        _await_started(proc, log)
        yield proc


def _await_started(proc: subprocess.Popen[bytes], log: Path) -> None:
    """dnsmasq says `started` when its sockets are open."""
    until = time.monotonic() + READY_TIMEOUT
    while b": started, version" not in log.read_bytes():
        if proc.poll() is not None:
            raise LabError("lab.broker_failed", f"dnsmasq: {_last_line(log.parent)}", _advice(log))
        if time.monotonic() > until:
            raise LabError("lab.broker_failed", f"dnsmasq did not start within {READY_TIMEOUT:g} s", f"see {log}")
        time.sleep(LOOK)


def _advice(log: Path) -> str:
    text = log.read_bytes()[-4096:]
    if b"ermission" in text or b"not permitted" in text:
        return "run it as root (sudo .venv/bin/hil services …)"
    if b"in use" in text:
        return "another server has the port on that address: ss -ulpn"
    return f"see {log}"


def _last_line(folder: Path) -> str:
    lines = (folder / "dnsmasq.log").read_bytes()[-4096:].decode(errors="replace").split("\n")
    said = [" ".join(line.split()) for line in lines if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in said[-1][:200]) if said else "no word"


def _user() -> str:
    """Whom dnsmasq becomes: nobody where we are the machine's root, else ourselves (a user namespace has one user)."""
    rows = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    whole = len(rows) >= 3 and rows[2] == "4294967295"
    return "nobody" if os.geteuid() == 0 and whole else "root"


def _refuse_foreign(config: Services, seconds: float) -> None:
    argv = [*interface.prefix(config), sys.executable, "-m", "harness.lab.services.foreign", config.interface,
            str(seconds)]  # fmt: skip
    try:
        done = subprocess.run(
            argv, cwd=paths.ROOT, capture_output=True, text=True, timeout=seconds + READY_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError("lab.broker_failed", f"cannot look for DHCP servers: {error}", "see the message") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-200:]
        raise LabError(
            "lab.broker_failed", f"{config.interface}: UDP port 68 cannot be had: {said}",
            "run as root, and stop any DHCP client on that interface",
        )  # fmt: skip
    if servers := done.stdout.split():
        raise UsageError(
            f"{config.interface}: {', '.join(servers)} already hands out addresses there",
            "this is not a wire of the board's own; set dhcp = false (--no-dhcp) if it shall stay",
        )
