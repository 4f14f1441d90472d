"""`hil` at the door: one clear line, the right exit code, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import cli
from harness.paths import ROOT
from tests.engine.bench import hil, ready


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nonsense"], 4, "no command `nonsense`"),
        (["rnu"], 4, "did you mean `run`"),
        ([], 4, "usage: hil COMMAND"),
        (["run", "--target", "natve"], 4, "did you mean `native`"),
        (["run", "--bad"], 4, "unrecognized arguments"),
        (["run", "--target", "native", "T99-99"], 5, "no scenario"),
        (["run", "--target", "native", "T12-2"], 5, "did you mean `T12-02`"),
        (["run", "--target", "native", "T12-01", "T12-2"], 4, "did you mean `T12-02`"),
        (["run", "--target", "native", "T12-02[zz]"], 5, "no scenario"),
        (["run", "--target", "native", "--shard", "5/2"], 4, "--shard"),
        (["run", "--target", "native", "-k", "T12 and"], 4, "-k T12 and"),
        (["run", "--target", "native", "--defect", "no_such"], 4, "no_such"),
        (["run", "--target", "native", "--only-failed", "no-such-run"], 4, "no-such-run"),
        (["show", "T12-0"], 4, "did you mean"),
        (["report", "no-such-run"], 4, "no run"),
        (["power", "native"], 4, "emulated"),
        (["lock", "nope"], 4, "no board `nope`"),
    ],
)
def test_errors(words: list[str], code: int, text: str) -> None:
    done = hil(*words, timeout=60)
    assert (done.returncode, text in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    if words and "--bad" not in words:
        assert done.stderr.startswith("hil: ") and len(done.stderr.strip().splitlines()) == 1


def test_nothing_in_an_error_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "x\x1b[2J\ny"]) == 4
    assert capsys.readouterr().err.startswith("hil: nothing is called `x\\x1b[2J y`")


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "example" in text and f"hil {command}" in text


@pytest.mark.parametrize(
    "words",
    [["list", "--json"], ["list", "--targets", "--json"], ["list", "--profiles", "--json"], ["boards", "--json"],
     ["list", "--target", "native", "--json"], ["show", "native", "--json"], ["show", "T12-03", "--json"],
     ["show", "r12", "--json"]],
)  # fmt: skip
def test_data_is_json(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)


def test_show_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "T12-03"]) == 0
    text = capsys.readouterr().out
    assert "clause: RFC 5246" in text and "None" not in text and "()" not in text


def test_light_commands_start_fast() -> None:
    """Not a benchmark: a heavy import (pytest, scapy) at the door would cost a second."""
    begun = time.monotonic()
    assert hil("--version").returncode == 0
    assert time.monotonic() - begun < 5
    heavy = hil("list", "--targets", PYTHONPROFILEIMPORTTIME="1").stderr
    assert "cryptography" not in heavy and "rich" not in heavy and "pytest" not in heavy


def test_doctor_reports_what_is_missing_with_its_fix(tmp_path: Path) -> None:
    done = hil("doctor", "--json", HIL_BIN=str(tmp_path), timeout=60)
    assert done.returncode == 10
    data = json.loads(done.stdout)
    bad = {c["name"]: c["fix"] for c in data["checks"] if not c["ok"]}
    assert {"hil-wire", "hil-capture", "libhil-keylog.so"} <= set(bad) and all(bad.values())
    assert not any(data["targets"].values())


def test_doctor_gives_a_tool_no_terminal_to_wait_for(tmp_path: Path) -> None:
    """slirp-fullbolt waits for its standard input before it says how it is called."""
    tool = tmp_path / "waits"
    tool.write_text("#!/bin/sh\ncat >/dev/null; echo 'version 1'\n")
    tool.chmod(0o755)
    code = "from harness.commands import doctor as d; d.TOOL_TIMEOUT = 5.0; print(d.tool('waits', (), 'x', 'all').what)"
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=environ, cwd=ROOT) as child:  # fmt: skip
        assert child.stdout is not None and child.stdout.read() == "version 1\n"


@pytest.mark.skipif(not ready(), reason="host programs are not built")
def test_doctor_is_content_here() -> None:
    done = hil("doctor", "--target", "native", timeout=60)
    assert done.returncode == 0, done.stdout
    assert "can run:     native\n" in done.stdout
