"""A flashing tool's process: phases, time-outs, what survives SIGTERM, what it leaves behind, and what it says."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.device.flash import tool
from harness.device.flash.tool import Outcome, Phase, on_host, run
from harness.errors import LabError

PHASES = (Phase("connect", 1.0, "connect"), Phase("write", 4.0, "write", "** halted **"))


def shell(script: str, log: Path, phases: tuple[Phase, ...] = PHASES, total: float = 20.0) -> Outcome:
    return run(("sh", "-c", script), phases, log, total=total, say=lambda _text: None, term_s=0.3)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_gone(pid: int) -> None:
    until = time.monotonic() + 5.0
    while not gone(pid):
        assert time.monotonic() < until, f"process {pid} is still there"
        time.sleep(0.02)


def test_status_and_lines(tmp_path: Path) -> None:
    outcome = shell("echo one; echo two >&2; exit 7", tmp_path / "log")
    assert (outcome.status, outcome.lines, outcome.phases) == (7, ("one", "two"), ("connect",))
    assert "exit status 7" in (tmp_path / "log").read_text()


def test_a_phase_has_its_own_time(tmp_path: Path) -> None:
    """2 s in all, more than the first phase may take, since the second one began in time."""
    outcome = shell("sleep 0.6; echo '** halted **'; sleep 1.2; echo done", tmp_path / "log")
    assert (outcome.timed_out, outcome.status, outcome.phases) == ("", 0, ("connect", "write"))


def test_silence_ends_the_phase(tmp_path: Path) -> None:
    start = time.monotonic()
    outcome = shell("echo hello; exec sleep 60", tmp_path / "log")
    assert (outcome.timed_out, outcome.lines) == ("connect", ("hello",))
    assert outcome.status != 0
    assert time.monotonic() - start < 4.0


def test_chatter_does_not_prolong_a_phase(tmp_path: Path) -> None:
    outcome = shell("while :; do echo busy; sleep 0.05; done", tmp_path / "log")
    assert outcome.timed_out == "connect"
    assert outcome.seconds < 4.0


def test_the_whole_is_bounded(tmp_path: Path) -> None:
    outcome = shell("echo '** halted **'; exec sleep 60", tmp_path / "log", total=1.5)
    assert outcome.timed_out == "write"
    assert outcome.seconds < 5.0


def test_sigterm_ignored_means_sigkill(tmp_path: Path) -> None:
    outcome = shell("trap '' TERM INT; echo $$; while :; do sleep 1; done", tmp_path / "log")
    assert outcome.timed_out == "connect"
    assert outcome.status == 137
    wait_gone(int(outcome.lines[0]))


def test_what_it_left_behind_is_ended(tmp_path: Path) -> None:
    """A daemon in a session of its own, of a tool that ended well, and of one that had to be killed."""
    left = "setsid sh -c 'trap \"\" TERM; exec sleep 300 >/dev/null 2>&1' & echo $!"
    for script in (f"{left}; exit 0", f"trap '' TERM; {left}; while :; do sleep 1; done"):
        outcome = shell(script, tmp_path / "log")
        wait_gone(int(outcome.lines[0]))


def test_a_flood_is_ended_and_bounded(tmp_path: Path) -> None:
    outcome = shell("yes 0123456789012345678901234567890123456789", tmp_path / "log",
                    (Phase("connect", 30.0, "connect"),), total=60.0)  # fmt: skip
    assert outcome.flooded
    assert outcome.timed_out == "connect"
    assert len(outcome.lines) <= tool.HEAD + tool.TAIL
    assert (tmp_path / "log").stat().st_size < tool.MAX_LOG + 2048


def test_a_line_without_end_is_bounded(tmp_path: Path) -> None:
    outcome = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end", tmp_path / "log")
    assert outcome.status == 0
    assert outcome.lines[-1] == "end"
    assert max(len(line) for line in outcome.lines) <= tool.MAX_LINE + 1


def test_what_it_says_is_escaped(tmp_path: Path) -> None:
    outcome = shell(r"printf 'a\033]0;evil\007b\000c\377d\n'", tmp_path / "log")
    assert all(line.isprintable() for line in outcome.lines)
    assert outcome.lines[0].startswith(r"a\x1b]0;evil\x07b\x00c")
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_progress_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    run(("sh", "-c", "echo '** halted **'; sleep 1.4"), PHASES, tmp_path / "log", total=9.0, say=said.append)
    assert said[:2] == ["connect", "write"]
    assert said[-1] == "write (1 s)"


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        shell("true", Path("/dev/full"))
    assert caught.value.cause == "lab.disk_full"
    with pytest.raises(LabError) as caught:
        run(("no-such-tool",), PHASES, tmp_path / "log", total=1.0, say=lambda _text: None)
    assert caught.value.cause == "lab.tool_missing"


def test_words_for_a_lab_host() -> None:
    assert on_host((), ("tool", "-c", "a b"), 9) == ["tool", "-c", "a b"]
    far = ["ssh", "lab", "timeout --kill-after=3 10 tool -c 'a b'"]
    assert on_host(("ssh", "lab"), ("tool", "-c", "a b"), 9) == far
    assert on_host(("env",), ("tool", "a b"), 9) == ["env", "timeout", "--kill-after=3", "10", "tool", "a b"]


def test_lines_that_were_too_many_are_counted(tmp_path: Path) -> None:
    """What is not kept cannot be judged: whoever judges is told."""
    most = tool.HEAD + tool.TAIL
    assert shell(f"seq {most}", tmp_path / "log").unread == 0
    outcome = shell(f"seq {most + 700}", tmp_path / "log")
    assert outcome.unread == 700 and len(outcome.lines) == most
    assert outcome.lines[tool.HEAD - 1] == str(tool.HEAD) and outcome.lines[tool.HEAD] == str(tool.HEAD + 701)


def test_what_is_for_the_log_alone_takes_no_room(tmp_path: Path) -> None:
    outcome = run(
        ("sh", "-c", "seq 5000; echo '** halted **'; sleep 0.1"), PHASES, tmp_path / "log", total=9.0,
        say=lambda _text: None, heard=lambda line: None if line.isdigit() else line.upper(),
    )  # fmt: skip
    assert (outcome.lines, outcome.unread) == (("** HALTED **",), 0)
    assert " 5000\n" in (tmp_path / "log").read_text()
