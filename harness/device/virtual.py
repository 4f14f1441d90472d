"""Virtual boards (harness/virtual_board): a process with a probe's socket, a console and a second UART, that boots in
QEMU what was flashed into it. `VirtualBoard` starts and ends one; `ask` talks to the control socket of any.

It proves our use of OpenOCD, its flash drivers and everything above. It does not prove ST-LINK, USB, SWD, electrical
behaviour, flash timing or errata.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from harness.errors import LabError
from harness.evidence.capture import read_line
from harness.lab.inventory import MAX_FOLDER
from harness.lab.process import program, spawn, stop

PROGRAM = "hil-vboard"
READY_TIMEOUT = 10.0  # s; sockets and ptys take 5 ms on a quiet machine
ANSWER_TIMEOUT = 10.0
MAX_ANSWER = 4096
JTAG = "jtag.sock"
CONTROL = "control.sock"
CONSOLE = "console"
UPLINK = "uplink"


class VirtualBoard:
    """A running hil-vboard of ours in `folder`; `close` ends it. LabError when it does not start."""

    def __init__(self, wanted: Path, part: str, machine: str) -> None:
        """`wanted`: where its sockets shall be, unless that path is too long for sockets. `part`, `machine`: as
        hil-vboard names them."""
        self._temporary = len(str(wanted)) >= MAX_FOLDER
        try:
            if self._temporary:
                self.folder = Path(tempfile.mkdtemp(prefix="hil-vboard-"))
            else:
                wanted.mkdir(parents=True, exist_ok=True)
                self.folder = wanted
        except OSError as error:
            raise LabError("lab.disk_full", f"{wanted}: {error.strerror}", "make room") from error
        argv: list[str | Path] = [program(PROGRAM), "--dir", self.folder, "--part", part, "--machine", machine]
        with (self.folder / "vboard.log").open("ab") as log:
            self._process = spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        line = read_line(self._process, READY_TIMEOUT)
        if line is None or line.split()[:1] != ["READY"]:
            self.close(keep=True)
            said = (self.folder / "vboard.log").read_text(errors="replace")[-300:].strip()
            raise LabError("lab.tool_missing", f"hil-vboard does not start: {said or 'it says nothing'}", "hil doctor")

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self, *, keep: bool = False) -> None:
        stop(self._process)
        if self._temporary and not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def ask(folder: Path, line: str) -> str:
    """What the virtual board in `folder` answers to one control line, without its OK. LabError for ERR, or silence."""
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as link:
            link.settimeout(ANSWER_TIMEOUT)
            link.connect(str(folder / CONTROL))
            link.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n") and len(answer) < MAX_ANSWER and (data := link.recv(MAX_ANSWER)):
                answer += data
    except OSError as error:
        what = f"virtual board in {folder}: {error}"
        raise LabError("lab.probe_missing", what, f"hil-vboard --dir {folder}") from error
    word, _, rest = answer.decode(errors="replace").strip().partition(" ")
    if word != "OK":
        raise LabError("lab.probe_silent", f"virtual board in {folder}: `{line}`: {word} {rest[:200]}", "hil doctor")
    return rest


def interface(folder: Path) -> tuple[str, ...]:
    """OpenOCD's words for its probe, in place of an interface file."""
    return (
        "-c", "adapter driver remote_bitbang", "-c", "remote_bitbang port 0",
        "-c", f"remote_bitbang host {folder / JTAG}", "-c", "transport select jtag",
    )  # fmt: skip
