"""Level observe: an image that knows nothing of us, on a board of lab.toml. The board is a stand-in (a pty, and
whatever was `flashed` as a process on it); everything else is as with hardware: the user's own flasher, the interface,
the fixed port."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.peer.ports import candidate
from tests.engine.bench import hil, ready, verdicts

pytestmark = [
    pytest.mark.skipif(not ready(), reason="host programs are not built"),
    pytest.mark.skipif(os.geteuid() != 0, reason="captures on lo, outside a sandbox: needs root"),
    pytest.mark.xdist_group("engine"),
]

TARGET = """
id = "standin"
title = "An image of somebody else's"
board = "standin"
stack = "openssl"
level = "observe"
capabilities = ["observe", "tls1.2", "mqtt3.1.1"]
[build]
command = "true"
image = "{image}"
[flash]
flasher = "command"
config = "cp {{image}} {folder}/flash"
params = ["reset={ask} reset", "halt={ask} halt"]
address = 0x08000000
[console]
kind = "serial"
boot = '^firmware \\d+\\.\\d+'
[network]
kind = "ethernet"
broker_port = {port}
[limits]
boot_ms = 3000
connect_ms = 3000
"""

IMAGE = """#!/bin/sh
echo "firmware 4.2 starts"
echo "calling"
openssl s_client -connect 127.0.0.1:{port} -tls1_2 {options} </dev/null 2>&1 | head -c 200
echo "waiting"
exec sleep 600
"""

ASK = """import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode()); assert s.recv(9) == b"ok"
"""


class StandIn:
    """A board: halt ends its program, reset starts what was flashed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.console = os.ttyname(self._slave)
        self._program: subprocess.Popen[bytes] | None = None
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / "ask"))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            with link:
                self._halt()
                if link.recv(9) == b"reset" and (self.folder / "flash").exists():
                    (self.folder / "flash").chmod(0o755)
                    words, uart = [str(self.folder / "flash")], self._master
                    self._program = subprocess.Popen(
                        words, stdin=uart, stdout=uart, stderr=uart, start_new_session=True
                    )
                link.sendall(b"ok")

    def _halt(self) -> None:
        if self._program is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._program.pid, signal.SIGKILL)
            self._program.wait(5)
            self._program = None

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
        self._halt()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    board = StandIn(tmp_path)
    port = candidate("127.0.0.1", set())
    (tmp_path / "ask.py").write_text(ASK)
    (tmp_path / "targets").mkdir()
    ask = f"{sys.executable} {tmp_path}/ask.py {tmp_path}/ask"
    table = TARGET.format(image=tmp_path / "image.bin", folder=tmp_path, ask=ask, port=port)
    (tmp_path / "targets" / "standin.toml").write_text(table)
    (tmp_path / "lab.toml").write_text(
        f'[[board]]\nid = "desk"\ntarget = "standin"\nrunner = "command"\nserial = "{board.console}"\n'
        'capture = "lo"\nbroker_address = "127.0.0.1"\n'
    )
    for key, name in (("LAB", "lab.toml"), ("LOCKS", "locks"), ("STATE", "state"), ("TARGETS", "targets")):
        monkeypatch.setenv(f"HIL_{key}", str(tmp_path / name))
    monkeypatch.setenv("STANDIN_PORT", str(port))
    yield tmp_path
    board.close()


def run(bench: Path, image: str, *words: str, options: str = "") -> tuple[int, dict[str, dict[str, Any]], str]:
    text = image.format(port=os.environ["STANDIN_PORT"], options=options)
    (bench / "image.bin").write_text(text)
    done = hil("run", "--target", "standin", "--run-dir", str(bench / "run"), *words, timeout=120)
    given = {v["id"].partition("[")[0]: v for v in verdicts(bench / "run")} if (bench / "run").exists() else {}
    return done.returncode, given, done.stderr


def test_what_an_unmodified_image_sends_is_judged(bench: Path) -> None:
    code, given, said = run(bench, IMAGE, "CH-08", "CH-16", "T12-07", "T12-02", "M3-05", "X5-01", "TCP-01")
    assert code == 0, said
    assert {name: given[name]["verdict"] for name in ("CH-08", "CH-16", "T12-07")} == dict.fromkeys(
        ("CH-08", "CH-16", "T12-07"), "pass"
    )
    assert given["T12-02"]["verdict"] == given["X5-01"]["verdict"] == "skip"
    assert "certificates in the device" in given["T12-02"]["why"]
    skipped = [v["why"] for v in given.values() if v["verdict"] == "skip"]
    assert skipped and all("level observe" in why for why in skipped), skipped
    uart = (bench / "run" / "standin" / "CH-08-e-any" / "attempt-1" / "uart.log").read_text()
    assert "firmware 4.2 starts" in uart


def test_its_defects_are_found(bench: Path) -> None:
    code, given, said = run(bench, IMAGE.replace("-tls1_2", "-tls1_1"), "CH-01", options="-cipher DEFAULT@SECLEVEL=0")
    assert code == 1 and given["CH-01"]["verdict"] == "fail", said


def test_an_image_that_never_calls(bench: Path) -> None:
    code, given, said = run(bench, "#!/bin/sh\necho firmware 1.0\nexec sleep 600\n", "CH-08")
    assert code == 1 and given["CH-08"]["causes"][0]["id"] == "network.no_traffic", said
    assert "never called the broker" in given["CH-08"]["why"]


def test_an_image_that_never_boots(bench: Path) -> None:
    code, given, said = run(bench, "#!/bin/sh\necho bootloader: no image\nexec sleep 600\n", "CH-08")
    assert code == 1 and given["CH-08"]["causes"][0]["id"] == "device.silent", said
    assert "no sign of its boot" in given["CH-08"]["why"] and "bootloader: no image" in given["CH-08"]["why"]


def test_a_flasher_that_fails_is_the_labs(bench: Path) -> None:
    table = bench / "targets" / "standin.toml"
    table.write_text(table.read_text().replace("cp {image}", "false {image}"))
    code, given, said = run(bench, IMAGE, "CH-08", "CH-16")
    assert code == 10 and {v["verdict"] for v in given.values()} == {"lab"}, said
    assert given["CH-08"]["causes"][0]["id"].startswith("lab.flash")


def entry(bench: Path, *lines: str) -> None:
    """The board's runner and what belongs to it, as a person would write it in lab.toml."""
    lab = bench / "lab.toml"
    lab.write_text(lab.read_text().replace('runner = "command"', "\n".join(lines)))


def asked(bench: Path, what: str) -> str:
    return f"{sys.executable} {bench}/ask.py {bench}/ask {what}"


def test_a_board_that_is_programmed_by_hand_is_reset_by_its_power(bench: Path) -> None:
    entry(bench, 'runner = "none"', f'power = {{ kind = "command", cycle = "{asked(bench, "reset")}" }}')
    (bench / "flash").write_text(IMAGE.format(port=os.environ["STANDIN_PORT"], options=""))  # by that hand
    code, given, said = run(bench, "#!/bin/sh\n", "CH-08", "CH-16")
    assert code == 0 and {v["verdict"] for v in given.values()} == {"pass"}, said


def test_one_that_nothing_resets_is_refused_before_anything_is_built(bench: Path) -> None:
    entry(bench, 'runner = "none"')
    code, given, said = run(bench, IMAGE, "CH-08")
    assert code == 4 and not given and "`desk`: nothing resets it" in said and said.count("\n") == 1, said


def test_a_flasher_that_is_the_boards_own_command(bench: Path) -> None:
    table = bench / "targets" / "standin.toml"
    text = table.read_text().replace('flasher = "command"', 'flasher = "jlink"').replace("config = ", "notes = ")
    table.write_text("\n".join(line for line in text.splitlines() if not line.startswith("params")))
    lines = [f"write=cp {{image}} {bench}/flash", f"reset={asked(bench, 'reset')}", f"halt={asked(bench, 'halt')}"]
    entry(bench, 'runner = "command"', f"runner_params = {json.dumps(lines)}")
    code, given, said = run(bench, IMAGE, "CH-08")
    assert code == 0 and given["CH-08"]["verdict"] == "pass", said


@pytest.mark.parametrize(
    ("params", "says"),
    [(["reset=true"], "no command for write"), (["write=cp x"], "no command for reset"),
     (["write=cp 'x", "reset=true"], "runner_params: write=: `cp 'x`: no closing quotation")],
)  # fmt: skip
def test_commands_that_cannot_be_are_refused_before_anything_is_built(
    bench: Path, params: list[str], says: str
) -> None:
    table = bench / "targets" / "standin.toml"
    text = table.read_text().replace('flasher = "command"', 'flasher = "jlink"')
    table.write_text("\n".join(line for line in text.splitlines() if not line.startswith("params")))
    entry(bench, 'runner = "command"', f"runner_params = {json.dumps(params)}")
    code, given, said = run(bench, IMAGE, "CH-08")
    assert code == 4 and not given and says in said and said.count("\n") == 1, said


def test_two_boards_with_one_image_do_not_meet_in_one_broker(bench: Path) -> None:
    """Each calls the address and port in its firmware: one of them is in the run, and the other is named."""
    (bench / "second").mkdir()
    other = StandIn(bench / "second")
    try:
        lab = bench / "lab.toml"
        second = lab.read_text().replace('"desk"', '"desk2"')
        lab.write_text(lab.read_text() + "\n".join(
            f'serial = "{other.console}"' if line.startswith("serial") else line for line in second.splitlines()
        ))  # fmt: skip
        code, given, said = run(bench, IMAGE, "CH-08", "CH-16", "T12-07", "CH-01")
    finally:
        other.close()
    assert code == 0 and {v["verdict"] for v in given.values()} == {"pass"}, said
    assert f"desk2 is left out: its firmware calls 127.0.0.1:{os.environ['STANDIN_PORT']}, as that of desk" in said


@contextlib.contextmanager
def stranger() -> Iterator[None]:
    """Another device, at 127.0.0.2, that calls the same broker all the time, and well."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stop = threading.Event()

    def call() -> None:
        while not stop.wait(0.05):
            with contextlib.suppress(OSError):
                to = ("127.0.0.1", int(os.environ["STANDIN_PORT"]))
                with socket.create_connection(to, 1.0, ("127.0.0.2", 0)) as link, context.wrap_socket(link):
                    pass

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def test_what_another_device_sends_is_not_this_ones(bench: Path) -> None:
    entry(bench, 'runner = "command"', 'device_address = "127.0.0.3"')
    with stranger():
        code, given, said = run(bench, "#!/bin/sh\necho firmware 1.0\nexec sleep 600\n", "CH-08")
    assert code == 1 and given["CH-08"]["causes"][0]["id"] == "network.no_traffic", said


def test_beside_another_device_this_one_is_judged(bench: Path) -> None:
    entry(bench, 'runner = "command"', 'device_address = "127.0.0.3"')
    with stranger():
        code, given, said = run(bench, IMAGE, "CH-08", options="-bind 127.0.0.3:0")
    assert code == 0 and given["CH-08"]["verdict"] == "pass", said
