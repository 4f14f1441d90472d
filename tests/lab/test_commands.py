"""hil boards, lock, unlock, console, power as a person calls them."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.lab import holder, lease, quarantine
from harness.paths import ROOT
from tests.engine.bench import hil


@pytest.fixture
def uart(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The board's end of a console, and its link."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    link = tmp_path / "usb-PROBE-if02"
    link.symlink_to(os.ttyname(slave))
    yield master, link
    os.close(master)
    os.close(slave)


@pytest.fixture
def lab(lab_folder: Path, uart: tuple[int, Path]) -> Path:
    (lab_folder / "lab.toml").write_text(
        f"""
        [[board]]
        id = "b1"
        target = "h563"
        serial = "{uart[1]}"
        runner = "none"
        notes = "left of the window"
        power = {{ kind = "command", cycle = "echo $HIL_BOARD >> {lab_folder}/cycled" }}
        [[board]]
        id = "b2"
        target = "f429-w5500"
        probe_id = "NOT-ATTACHED"
        serial = "usb:NOT-ATTACHED"
        """
    )
    return lab_folder


def rows() -> dict[str, dict[str, object]]:
    done = hil("boards", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["schema"] == 1
    return {row["board"]: row for row in data["boards"]}


def one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("hil: "), done.stderr
    for word in words:
        assert word in done.stderr


# -- boards --


def test_states(lab: Path) -> None:
    assert [row["state"] for row in rows().values()] == ["free", "not attached"]
    with lease.lease("b1", "nightly \x1b[2J run"):
        row = rows()["b1"]
        assert row["state"] == "held" and "nightly" in str(row["why"])
        text = hil("boards").stdout
        assert "nightly ?[2J run" in text and f"process {os.getpid()}" in text and "\x1b" not in text
    quarantine.put("b1", "smells", by="ann")
    quarantine.note_error("b2", "lab.probe_missing", "gone")
    found = rows()
    assert (found["b1"]["state"], found["b1"]["why"]) == ("quarantined", "smells")
    assert found["b2"]["errors"] == 1 and found["b2"]["attached"] is False
    assert [line.split()[0] for line in hil("boards").stdout.splitlines()] == ["board", "b1", "b2", "emulated,"]


def test_no_lab(lab_folder: Path) -> None:
    done = hil("boards")
    assert done.returncode == 0 and "--scan" in done.stdout and "qemu-m33" in done.stdout


def test_quarantine_by_hand(lab: Path) -> None:
    one_line(hil("boards", "--quarantine", "b1"), 4, "--reason")
    assert hil("boards", "--quarantine", "b1", "--reason", "loose plug").returncode == 0
    assert quarantine.state("b1").reason == "loose plug"
    done = hil("boards", "--release", "b1")
    assert done.returncode == 0 and "loose plug" in done.stdout and not quarantine.state("b1").quarantined
    one_line(hil("boards", "--release", "b3"), 4, "did you mean")


def test_scan_says_what_to_do_when_nothing_is_there(lab_folder: Path) -> None:
    done = hil("boards", "--scan", HIL_LAB=str(lab_folder / "new.toml"))
    if done.returncode == 0:
        assert (lab_folder / "new.toml").read_text().count("[[board]]") >= 1  # this machine has a probe
    else:
        one_line(done, 10, "no ST-LINK", "plug a board in")
        assert not (lab_folder / "new.toml").exists()


# -- lock, unlock --


def test_lock_and_unlock(lab: Path) -> None:
    done = hil("lock", "b1", "--reason", "soldering", "--seconds", "600")
    assert done.returncode == 0 and "hil unlock b1" in done.stdout, done.stderr
    assert rows()["b1"]["state"] == "held"
    one_line(hil("lock", "b1"), 11, "soldering", "--wait")
    one_line(hil("console", "b1"), 11, "soldering")
    one_line(hil("power", "b1"), 11, "soldering")
    assert not (lab / "cycled").exists()
    done = hil("unlock", "b1")
    assert done.returncode == 0 and "soldering" in done.stdout
    assert rows()["b1"]["state"] == "free"
    assert "was not held" in hil("unlock", "b1").stdout


@pytest.mark.parametrize("words", [
    ["lock", "b1", "--wait", "inf"], ["lock", "b1", "--wait", "nan"], ["lock", "b1", "--wait=-1"],
    ["lock", "b1", "--seconds", "nan"], ["lock", "b1", "--while=-3"], ["lock", "b1", "--"],
    ["console", "b1", "--seconds", "inf"], ["power", "b1", "--wait", "soon"], ["flash", "--wait", "nan"],
    ["run", "--wait", "nan"], ["run", "--boards=-1"], ["run", "--retries=-1"], ["run", "--repeat", "0"],
    ["run", "--target", "native", "-n", "\u00b2"], ["run", "--target", "native", "--shard", "\u00b2/3"],
])  # fmt: skip
def test_numbers_that_are_none(words: list[str], lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 4
    said = capsys.readouterr().err
    assert said.startswith("hil: ") and said.count("\n") == 1, said
    assert lease.holder("b1") is None


def test_lock_for_a_command(lab: Path) -> None:
    words = "import os, sys; from harness.lab import lease; who = lease.holder('b1')"
    words += "; print(os.environ['HIL_BOARD'], who.reason, who.pid == os.getppid()); sys.exit(7)"
    done = hil("lock", "b1", "--reason", "bisect", "--", sys.executable, "-c", words)
    assert (done.returncode, done.stdout) == (7, "b1 bisect True\n"), done.stderr
    assert lease.holder("b1") is None
    assert hil("lock", "b1", "--", "sh", "-c", "kill -9 $$").returncode == 137
    one_line(hil("lock", "b1", "--", "no-such-program"), 10, "not found")
    assert lease.holder("b1") is None


def test_what_the_command_starts_may_use_the_board(lab: Path) -> None:
    done = hil("lock", "b1", "--", sys.executable, "-m", "harness.cli", "power", "b1", "cycle")
    assert done.returncode == 0 and (lab / "cycled").read_text() == "b1\n", done.stderr


def test_a_lent_board(lab: Path) -> None:
    lent = hil("lock", "b1", "--lease").stdout.strip()
    try:
        assert hil("power", "b1", "cycle", HIL_LEASE=lent).returncode == 0
        assert hil("power", "b1", "cycle", HIL_LEASE="b1=1").returncode == 11
    finally:
        holder.let_go("b1")


def test_killed_with_9_the_board_is_free_and_the_command_gone(lab: Path) -> None:
    words = [sys.executable, "-m", "harness.cli", "lock", "b1", "--", "sh", "-c", "echo $$; exec sleep 60"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as locked:
        assert locked.stdout is not None
        child = int(locked.stdout.readline())
        assert lease.holder("b1") is not None
        locked.send_signal(signal.SIGKILL)
    assert soon(lambda: lease.holder("b1") is None)
    assert soon(lambda: gone(child)), "the command outlived its lock"


def test_locking_one_that_is_set_aside_says_so(lab: Path) -> None:
    quarantine.put("b1", "smells")
    done = hil("lock", "b1", "--reason", "repair")
    assert done.returncode == 0 and "smells" in done.stderr
    done = hil("unlock", "b1", "--quarantine")
    assert done.returncode == 0 and not quarantine.state("b1").quarantined


@pytest.mark.parametrize("command", ["lock", "unlock", "console", "power"])
def test_emulated_targets_are_no_boards(command: str, lab: Path) -> None:
    one_line(hil(command, "qemu-m33"), 4, "is emulated")
    one_line(hil(command, "b11"), 4, "no board `b11`", "did you mean `b1`")


def gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def soon(what: Callable[[], bool], timeout: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


# -- power, console --


def test_power(lab: Path) -> None:
    done = hil("power", "b1", "cycle")
    assert done.returncode == 0 and (lab / "cycled").read_text() == "b1\n"
    one_line(hil("power", "b1", "off"), 4, "no `off`")
    one_line(hil("power", "b2"), 4, "nothing switches its power")


def start_console(*words: str) -> subprocess.Popen[bytes]:
    """Ready when it says so: a reader that is there before the board speaks loses nothing."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "console", *words], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline().decode()
    assert "Ctrl-C ends" in first, first
    return process


def test_a_console(lab: Path, uart: tuple[int, Path]) -> None:
    with start_console("b1", "--log", str(lab / "kept.log")) as console:
        os.write(uart[0], b"hello \x1b[2J \xff\r\nsecond\n")
        assert console.stdout is not None and console.stdin is not None
        first = console.stdout.readline().decode()
        assert first.endswith("Z hello \\x1b[2J \\xff\n"), first
        assert console.stdout.readline().decode().endswith("Z second\n")
        console.stdin.write(b"RUN\n")
        console.stdin.flush()
        assert select.select([uart[0]], [], [], 10.0)[0] and os.read(uart[0], 100) == b"RUN\n"
        assert lease.holder("b1") is not None
        console.send_signal(signal.SIGINT)
        assert console.wait(10) == 0, console.stderr.read() if console.stderr else ""
    assert lease.holder("b1") is None
    assert "hello \\x1b[2J" in (lab / "kept.log").read_text()


def test_a_console_for_some_seconds_with_no_input(lab: Path, uart: tuple[int, Path]) -> None:
    with start_console("b1", "--seconds", "1") as console:
        assert console.stdin is not None and console.stdout is not None
        console.stdin.close()
        os.write(uart[0], b"alone\n")
        assert b"alone" in console.stdout.read()
        assert console.wait(10) == 0


def test_a_console_without_any_input(lab: Path, uart: tuple[int, Path]) -> None:
    """A job that closed its standard input."""
    words = [sys.executable, "-m", "harness.cli", "console", "b1", "--seconds", "0.3"]
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join(words)} <&-"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def test_a_board_that_takes_no_input(lab: Path, uart: tuple[int, Path]) -> None:
    with start_console("b1", "--seconds", "60") as console:
        _, said = console.communicate(b"x" * 40_000, timeout=60)  # nobody reads the pty
    assert console.returncode == 10, said
    assert "the device takes no input" in said.decode() and said.count(b"\n") == 1
    assert lease.holder("b1") is None


def test_a_reset_of_a_board_programmed_by_hand_is_its_power(lab: Path, uart: tuple[int, Path]) -> None:
    done = hil("console", "b1", "--reset", "--seconds", "0.2")
    assert done.returncode == 0 and (lab / "cycled").read_text() == "b1\n", done.stderr
    text = (lab / "lab.toml").read_text()
    (lab / "lab.toml").write_text("\n".join(line for line in text.splitlines() if "power" not in line))
    done = hil("console", "b1", "--reset", "--seconds", "0.2")
    assert done.returncode == 4 and "nothing resets it" in done.stderr and "`power`" in done.stderr


def test_consoles_that_cannot_be(lab: Path) -> None:
    one_line(hil("console", "b2", "--seconds", "1"), 10, "NOT-ATTACHED", "plug the board in")
    text = (lab / "lab.toml").read_text()
    (lab / "lab.toml").write_text(text.replace('serial = "usb:NOT-ATTACHED"', ""))
    one_line(hil("console", "b2", "--seconds", "1"), 4, "key `serial` is missing")


# -- flash --


def test_flash_before_anything_is_touched(lab: Path) -> None:
    one_line(hil("flash", "--target", "s5d9"), 10, "s5d9: no board of this kind in lab.toml", "--scan")
    one_line(hil("flash", "--board", "b3"), 4, "no board `b3`")
    one_line(hil("flash", "--board", "b2"), 10, "NOT-ATTACHED is attached")
    one_line(hil("flash", "--board", "b1", "--image", "x.bin"), 4, "has no flasher", "by hand")
    quarantine.put("b1", "smells")
    one_line(hil("flash", "--board", "b1"), 12, "smells")
    done = hil("flash", "--target", "qemu-m33", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["flashed"] is False
