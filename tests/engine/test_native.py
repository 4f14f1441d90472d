"""End to end on the native target: the same engine by both doors, evidence, reports, trouble of every kind."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness import run, session
from harness.errors import LabError
from harness.paths import ROOT
from harness.target import Known
from tests.engine.bench import hil, ready, verdicts, wrong

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("engine")]

IN_PROCESS = pytest.mark.skipif(os.geteuid() != 0, reason="captures in this process, outside the sandbox: needs root")


def test_two_scenarios_leave_all_their_evidence(tmp_path: Path) -> None:
    done = hil("run", "--target", "native", "--run-dir", str(tmp_path / "run"), "T12-02", "T13-01", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"] == {"pass": 2}
    folder = tmp_path / "run"
    attempt = folder / "native" / "T12-02-r12-mutual" / "attempt-1"
    for name in ("capture.pcapng", "uart.log", "broker.log", "verdict.json", "secrets/keys.log",
                 "secrets/capture-with-secrets.pcapng"):  # fmt: skip
        assert (attempt / name).stat().st_size > 0, name
    assert attempt.parent.joinpath("verdict.json").exists()
    for name in ("run.json", "junit.xml", "summary.md", "index.html"):
        assert (folder / name).stat().st_size > 0, name
    junit = (folder / "junit.xml").read_text()
    assert junit.count("<testcase") == 2 and "native-r12-mutual" in junit


def test_pytest_is_the_same_door(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pytest", "scenarios", "--target", "native", "-k", "T12-02 or CH-04 or CH-22",
             "-n", "2",
             "-p", "no:cacheprovider", f"--run-dir={tmp_path / 'run'}"]  # fmt: skip
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    given = {v["id"]: v["verdict"] for v in verdicts(tmp_path / "run")}
    assert given == {"T12-02[r12-mutual]": "pass", "CH-04[e-any]": "pass", "CH-22[e-any]": "skip"}


def test_without_target_the_plugin_does_nothing() -> None:
    words = [sys.executable, "-m", "pytest", "scenarios", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5 and "no tests ran" in done.stdout


def test_a_failure_shows_what_a_person_needs(tmp_path: Path) -> None:
    done = hil(
        "run",
        "--target",
        "native",
        "--run-dir",
        str(tmp_path),
        "--defect",
        "ecdsa_sigalgs_only",
        "T13-02",
        NO_COLOR="1",
        COLUMNS="70",
    )
    assert done.returncode == 1
    text = done.stderr
    for wanted in ("FAIL  T13-02[native-r13-mutual]", "handshake_failure (40", "broker sent",
                   "ClientHello against profile", "nothing in common", "tls.no_common_signature_algorithm", "fix",
                   "capture.pcapng", "uart.log", "broker.log"):  # fmt: skip
        assert wanted in text, wanted
    assert "\x1b" not in text and "Traceback" not in text
    said = [line for line in text.splitlines() if line.startswith("   ")]
    assert 60 < max(map(len, said)) <= 70, "workers know how wide the terminal is"


@IN_PROCESS
def test_a_failure_the_target_lists_is_known(tmp_path: Path) -> None:
    options = session.Options(target="native", ids=("X5-03[r12-wrong-name]",), defects=("name_unchecked",))
    _, (item,) = session.planned(options)
    bench = session.prepare(options, tmp_path)
    assert run.run_item(bench, item).verdict == "fail"
    entry = Known(
        scenario="X5-03", cause="server_certificate.accepted_wrong_name", reason="r", until=dt.date(2999, 1, 1)
    )
    listed = msgspec.structs.replace(bench.target, known=(entry,))
    assert run.run_item(dataclasses.replace(bench, target=listed), item).verdict == "known"
    assert run.run_item(dataclasses.replace(bench, target=listed, defects=()), item).verdict == "fixed"


@IN_PROCESS
def test_every_retry_is_kept_and_a_pass_on_a_retry_is_flaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = session.Options(target="native", ids=("T12-02",))
    _, (item,) = session.planned(options)
    bench = session.prepare(options, tmp_path)
    real, calls = run._collect, []

    def unlucky(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise LabError("lab.capture_failed", "the capture was not live", "look at it")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "_collect", unlucky)
    given = run.run_item(dataclasses.replace(bench, retries=1), item)
    assert given.verdict == "flaky"
    assert [a.verdict for a in given.attempts] == ["lab", "pass"]
    assert any("attempt 1 was lab" in note for note in given.notes)


def test_only_what_failed_runs_again(tmp_path: Path) -> None:
    words = ("--defect", "no_client_cert", "--run-dir", str(tmp_path / "a"))
    first = hil("run", "--target", "native", *words, "T12-01", "CH-05")
    assert first.returncode == 1
    again = hil("run", "--target", "native", "--only-failed", str(tmp_path / "a"), "--run-dir", str(tmp_path / "b"))
    assert again.returncode == 0
    assert [v["id"] for v in verdicts(tmp_path / "b")] == ["T12-01[e12-mutual]"]


@IN_PROCESS
@pytest.mark.parametrize(
    ("program", "cause", "text"),
    [("exec sleep 60", "device.silent", "never said anything"),
     ("echo no >&2; exit 3", "device.hard_fault", "status 3"),
     ("exec yes", "device.silent", "never said anything")],
)  # fmt: skip
def test_an_image_that_is_no_firmware(tmp_path: Path, program: str, cause: str, text: str) -> None:
    """Silent, dead at once, babbling: judged in bounded time, and never as the lab's fault."""
    options = session.Options(target="native", ids=("T12-02",))
    _, (item,) = session.planned(options)
    bench = session.prepare(options, tmp_path / "run")
    image = tmp_path / "image"
    image.write_text(f"#!/bin/sh\n{program}\n")
    image.chmod(0o755)
    limits = msgspec.structs.replace(bench.target.limits, boot_ms=1500)
    broken = dataclasses.replace(
        bench, target=msgspec.structs.replace(bench.target, limits=limits),
        image=msgspec.structs.replace(bench.image, path=image),
    )  # fmt: skip
    given = run.run_item(broken, item)
    assert (given.verdict, given.causes[0].id) == ("fail", cause), given
    assert text in given.why and given.seconds < 10


# -- the lab's own troubles: one clear line, exit 10, everything else still judged --


def test_a_missing_broker_is_a_lab_verdict(tmp_path: Path) -> None:
    done = hil("run", "--target", "native", "--run-dir", str(tmp_path), "T12-02", HIL_MOSQUITTO="/nonexistent")
    assert done.returncode == 10
    (given,) = verdicts(tmp_path)
    assert (given["verdict"], given["causes"][0]["id"]) == ("lab", "lab.tool_missing")
    assert "mosquitto" in given["why"] and "Traceback" not in done.stderr


def test_a_broker_that_cannot_start_is_a_lab_verdict(tmp_path: Path) -> None:
    broken = tmp_path / "mosquitto"
    broken.write_text("#!/bin/sh\necho 'Error: Unable to load server certificate' >&2\nexit 1\n")
    broken.chmod(0o755)
    done = hil("run", "--target", "native", "--run-dir", str(tmp_path / "run"), "T12-02", HIL_MOSQUITTO=str(broken))
    assert done.returncode == 10
    (given,) = verdicts(tmp_path / "run")
    assert given["verdict"] == "lab" and "cannot start" in given["why"]


def test_firmware_that_does_not_build(tmp_path: Path) -> None:
    fake = tmp_path / "cmake"
    fake.write_text("#!/bin/sh\necho 'client.c:3:1: error: expected expression' >&2\nexit 1\n")
    fake.chmod(0o755)
    done = hil("run", "--target", "native", "T12-02", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 10
    assert "client.c:3:1" in done.stderr and "Traceback" not in done.stderr


def test_missing_host_programs(tmp_path: Path) -> None:
    done = hil("run", "--target", "native", "T12-02", HIL_BIN=str(tmp_path))
    assert done.returncode == 10 and "not built" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("hil: ")]) == 1


def test_a_port_somebody_else_has_is_not_used(tmp_path: Path) -> None:
    """The bench looks for free ports; one that is taken costs nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = hil("run", "--target", "native", "--run-dir", str(tmp_path), "T12-02")
    assert done.returncode == 0, done.stderr


def test_one_collapse_does_not_hide_the_others(tmp_path: Path) -> None:
    done = hil(
        "run", "--target", "native", "--run-dir", str(tmp_path), "--defect", "lockup", "T12-02", "CH-05", "T13-01"
    )
    assert done.returncode == 1
    assert [v["verdict"] for v in verdicts(tmp_path)] == ["fail"] * 3
    assert wrong(verdicts(tmp_path))
