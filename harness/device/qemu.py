"""Emulated boards: QEMU with the console on a pty of ours, QMP on an inherited socket and the wire in a packet dump.

The pty is made here and QEMU gets its master as standard input and output: the console exists before the machine runs,
nothing written early is lost, and its path stays the same over power cycles. (QEMU's own `-chardev pty` notices only
once a second that somebody opened it, and drops output until then.)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import re
import socket
import subprocess
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.device import backtrace, tap
from harness.device.qmp import Qmp, QmpError, QmpEvent
from harness.device.rebase import Dump, rebase_pcap
from harness.device.tap import BROKER, Tap
from harness.errors import LabError, UsageError
from harness.lab.process import spawn, stop
from harness.model import Image
from harness.target import Target

QEMU = "qemu-system-arm"
RTC_BASE_S = 946_684_800  # 2000-01-01T00:00:00Z, see harness/device/rebase.py
RTC_BASE = "2000-01-01T00:00:00"
NETDEV = "n0"
BROKER_ADDRESS = "10.0.2.2"  # the host's loopback, seen from QEMU's user network
MAX_WORDS = 4000  # characters of last words
STACK_WORDS = 256  # looked at for a backtrace


@dataclass(frozen=True)
class MachineFact:
    """Why the emulator ended. `kind`: lockup, killed (by signal `code`), exited (with status `code`)."""

    kind: str
    code: int
    detail: str
    pc: int | None = None


class QemuBoard:
    """A `Board`; made by `qemu_board`, which starts the process and ends it."""

    capture_interface: str | None = None  # the wire is inside: see collect_capture
    device_address = ""
    listen_address = BROKER
    baud = 115200  # a pty has none

    def __init__(self, target: Target, image: Image, workdir: Path) -> None:
        if target.qemu is None:
            raise UsageError(f"target {target.id} has no [qemu] table", "only emulated boards are driven so")
        if not image.path.is_file():
            raise LabError("lab.build_failed", f"{image.path}: no firmware there", "run `hil build`")
        self._qemu = target.qemu
        self._tap = Tap() if _wants_tap(target.network.kind) else None
        if self._tap is not None:
            self.broker_address = BROKER
            self._device_address = self._tap.device_address
        else:
            self.broker_address = target.network.broker_address or BROKER_ADDRESS
            self._device_address = target.network.device_address
        self._image = image.path
        self._sha256 = image.sha256
        self._workdir = workdir
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        # QEMU switches output processing on for its standard input; with no flag to carry out it changes no byte.
        mode = termios.tcgetattr(self._slave)
        mode[1] = 0
        termios.tcsetattr(self._slave, termios.TCSANOW, mode)
        self.console_path = os.ttyname(self._slave)
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._dumps: list[Dump] = []
        self._running = False
        self._powers = 0

    # -- Board --

    def start(self) -> None:
        """`cont`: virtual time begins. A board that runs, or that died, is powered anew first. LabError when QEMU
        refuses."""
        if self._running or not self.alive():
            self.power_off()
            self.power_on()
        qmp = self._need_qmp()
        since = len(qmp.events)
        try:
            qmp.execute("cont")
        except QmpError as error:
            raise self._dead(str(error)) from error
        resumed = qmp.wait_event("RESUME", 5.0, since)
        if resumed is None:
            raise self._dead("no RESUME event")
        last = self._dumps[-1]
        self._dumps[-1] = Dump(last.path, last.base_s, resumed.time_ns)
        self._running = True

    def reset(self) -> None:
        """`system_reset`; when the emulator is gone (a lockup aborts it), the power goes off and on instead."""
        if not self.alive():
            self.start()
            return
        try:
            self._need_qmp().execute("system_reset")
        except QmpError as error:
            raise self._dead(str(error)) from error

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        fact = self.fact()
        if fact is None:
            return ""
        where = f" at {self.where(fact.pc)}" if fact.pc is not None else ""
        return f"{fact.kind} ({fact.code}){where}: {' '.join(fact.detail.split())}"[:MAX_WORDS]

    def collect_capture(self, out: Path) -> None:
        self._settle()
        comment = f"QEMU {self._qemu.machine}, device {self._device_address}, host clock"
        known = [dump for dump in self._dumps if dump.resume_ns > 0]
        try:
            rebase_pcap(known, out, comment)
        except (OSError, ValueError) as error:
            raise LabError("lab.capture_failed", f"packet dump of QEMU: {error}", "see qemu.log beside it") from error

    def _settle(self) -> None:
        """What the host has sent is in the dump: between two answers QEMU looks at its network once, so a machine short
        of time does not miss the broker's last packet."""
        with contextlib.suppress(QmpError):  # it is gone: nothing more comes
            for _ in range(2):
                if self._qmp is not None:
                    self._qmp.execute("query-status")

    # -- more than a board has to do --

    def power_on(self) -> None:
        """The machine stands at its first instruction until `start`."""
        termios.tcflush(self._slave, termios.TCOFLUSH)  # commands that nobody read
        self._powers += 1
        number = self._powers
        dump = self._workdir / f"qemu-{number}.pcap"
        ours, theirs = socket.socketpair()
        # A comma ends an option's value for QEMU; doubled it is a comma.
        escaped = str(dump).replace(",", ",,")
        argv = [
            QEMU, "-M", self._qemu.machine, "-S", "-display", "none", "-nodefaults",
            "-accel", "tcg,tb-size=32",
            "-kernel", str(self._image), "-rtc", f"base={RTC_BASE},clock=vm",
            "-chardev", "stdio,id=uart0,signal=off", "-serial", "chardev:uart0",
            "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control",
            *self._network(),
            "-object", f"filter-dump,id=wire,netdev={NETDEV},file={escaped}",
            *self._qemu.extra,
        ]  # fmt: skip
        try:
            with theirs, (self._workdir / "qemu.log").open("ab") as log:
                inherited = (theirs.fileno(),) if self._tap is None else (theirs.fileno(), self._tap.fd)
                self._process = spawn(
                    argv, env={**os.environ, "TZ": "UTC0"},
                    stdin=self._master, stdout=self._master, stderr=log, pass_fds=inherited,
                )  # fmt: skip
        except LabError:
            ours.close()
            raise
        except OSError as error:
            ours.close()
            raise LabError("lab.disk_full", f"{self._workdir}: {error}", "free some space") from error
        try:
            self._qmp = Qmp(ours)
        except QmpError as error:
            ours.close()
            raise self._dead(str(error)) from error
        self._check_image()
        self._dumps.append(Dump(dump, RTC_BASE_S, 0))
        self._running = False

    def _check_image(self) -> None:
        """QEMU has read the image by now; a build that replaced it meanwhile must not look like a broken device."""
        try:
            now = hashlib.sha256(self._image.read_bytes()).hexdigest()
        except OSError as error:
            raise LabError("lab.build_failed", f"{self._image}: {error.strerror}", "run `hil build`") from error
        if self._sha256 and now != self._sha256:
            raise LabError("lab.build_failed", f"{self._image} was built anew during the run", "start the run again")

    def _network(self) -> list[str]:
        nic = f"nic,model=lan9118,netdev={NETDEV}"
        if self._tap is None:
            return ["-netdev", f"user,id={NETDEV}", "-net", nic]
        return ["-netdev", f"tap,id={NETDEV},fd={self._tap.fd}", "-net", f"{nic},macaddr={self._tap.mac}"]

    def power_off(self) -> None:
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # the machine's state is worth nothing; a power cut is one too
            stop(self._process)
        self._running = False

    def set_link(self, up: bool) -> None:
        """Pull or plug the Ethernet cable."""
        try:
            self._need_qmp().execute("set_link", name=NETDEV, up=up)
        except QmpError as error:
            raise self._dead(str(error)) from error

    def registers(self) -> str:
        """The processor's registers as QEMU prints them, while it runs (a hang); "" when it does not answer."""
        if self._qmp is None:
            return ""
        try:
            return self._qmp.human("info registers")[:MAX_WORDS]
        except QmpError:
            return ""

    def hang_place(self) -> str:
        """Where the program is now and, as far as its stack tells, who called: for a board that went silent. "" when
        it cannot be known."""
        registers = self.registers()
        pc, sp = _register(registers, "R15"), _register(registers, "R13")
        if pc is None or self._qmp is None:
            return ""
        found = [pc]
        with contextlib.suppress(QmpError, OSError, ValueError):
            dump = self._qmp.human(f"x /{STACK_WORDS}wx 0x{sp or 0:08x}")
            words = [int(word, 16) for row in dump.splitlines() for word in row.partition(":")[2].split()]
            found = backtrace.frames(backtrace.Code(self._image), pc, _register(registers, "R14") or 0, words)
        return ", from ".join(backtrace.places(self._image, found))

    def where(self, address: int) -> str:
        """`0x100001e6 main at client.c:21` from the image's debug information; the bare address without it."""
        return backtrace.places(self._image, [address])[0]

    def events(self) -> list[QmpEvent]:
        """What happened to the machine so far: RESET, WATCHDOG, RESUME, SHUTDOWN, in order."""
        if self._qmp is None:
            return []
        self._qmp.poll()
        return list(self._qmp.events)

    def wait_event(self, name: str, timeout_s: float) -> QmpEvent | None:
        return self._need_qmp().wait_event(name, timeout_s)

    def fact(self) -> MachineFact | None:
        """Why the emulator ended; None while it runs (or never did)."""
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        log = self._log_tail()
        fatal = log.rfind("qemu: fatal: Lockup")
        if fatal >= 0:
            text = log[fatal:]
            # The general registers explain it; the floating-point ones that follow only fill the page.
            detail = re.split(r"\ns00=", text, maxsplit=1)[0]
            return MachineFact("lockup", code, detail[:MAX_WORDS], _register(text, "R15"))
        kind = "killed" if code < 0 else "exited"
        return MachineFact(kind, abs(code), log[-500:].strip())

    def close(self) -> None:
        self.power_off()
        if self._tap is not None:
            self._tap.close()
        for fd in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(fd)

    def _log_tail(self) -> str:
        try:
            with (self._workdir / "qemu.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16384))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def _need_qmp(self) -> Qmp:
        if self._qmp is None:
            raise self._dead("it was never started")
        return self._qmp

    def _dead(self, why: str) -> LabError:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)  # it is about to say why
        words = self.last_words() or why
        return LabError("lab.target_unpowered", f"{self._qemu.machine}: QEMU does not run: {words[:500]}",
                        f"see {self._workdir / 'qemu.log'}")  # fmt: skip


def _wants_tap(kind: str) -> bool:
    """`qemu-user`, `qemu-tap`, or `qemu`: a tap where the bench has a network of its own, else the user network."""
    if kind not in ("qemu", "qemu-user", "qemu-tap"):
        raise UsageError(f"network kind `{kind}` is none of QEMU's", "one of qemu, qemu-user, qemu-tap")
    return kind == "qemu-tap" or (kind == "qemu" and tap.possible())


def _register(text: str, name: str) -> int | None:
    found = re.search(rf"\b{name}=([0-9a-fA-F]{{8}})\b", text)
    return int(found.group(1), 16) if found else None


@contextlib.contextmanager
def qemu_board(target: Target, image: Image, workdir: Path) -> Iterator[QemuBoard]:
    """A powered board that waits for `start`. Its files (qemu.log, qemu-N.pcap) go to `workdir`.

    LabError when QEMU is missing or refuses, or the image is not there.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    board = QemuBoard(target, image, workdir)
    try:
        board.power_on()
        yield board
    finally:
        board.close()
