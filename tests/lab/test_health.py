"""The smoke test: order, bounds and judgement with a stand-in for the board, and all of it on a virtual one."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.device import virtual
from harness.device.console import Console
from harness.errors import LabError
from harness.lab import health, quarantine
from harness.lab.health import Say, Step
from harness.lab.inventory import BoardEntry
from harness.model import Cause, Verdict, VerdictName
from harness.paths import BIN, ROOT, RUNS
from harness.target import Limits, Target, load
from tests.engine.bench import hil

ENTRY = BoardEntry(id="b1", target="h563")


def observed(**limits: int) -> Target:
    return msgspec.structs.replace(load()["h563"], limits=Limits(**({"boot_ms": 2000} | limits)))


def verdict(name: VerdictName, cause: str = "", why: str = "why") -> Verdict:
    named = Cause(id=cause, side="device", confidence="certain", explain="x", fix="the cause's fix")
    causes = (named,) if cause else ()
    return Verdict(
        id="T12-01[x]", target="h563", profile="x", title="t", clause="c", level="must", verdict=name, why=why,
        causes=causes,
    )  # fmt: skip


class Stand:
    """A board that fails where it is told to, and says `words` after a reset."""

    def __init__(self, tmp_path: Path, words: bytes = b"hello\n" * 20) -> None:
        self.log = tmp_path / "uart.log"
        self.words = words
        self.fails: dict[str, LabError] = {}
        self.calls: list[str] = []
        self.judged: tuple[Verdict | None, str] = (verdict("pass"), "")
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    def missing(self) -> LabError | None:
        self.calls.append("missing")
        return self.fails.get("missing")

    def identify(self) -> str:
        self._call("identify")
        return "0x484"

    def flash(self, say: Say) -> str:
        self._call("flash")
        say("writing")
        return "written"

    @contextlib.contextmanager
    def console(self) -> Iterator[Console]:
        self._call("console")
        with Console(os.ttyname(self.slave), self.log) as opened:
            yield opened
        self.calls.append("console closed")

    def halt(self) -> None:
        self._call("halt")

    def reset(self) -> None:
        self._call("reset")
        threading.Thread(target=os.write, args=(self.master, self.words)).start()

    def connect(self) -> tuple[Verdict | None, str]:
        self._call("connect")
        return self.judged


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    os.close(made.master)
    os.close(made.slave)


def results(steps: list[Step]) -> list[str]:
    assert [step.step for step in steps] == list(health.STEPS)
    assert all(step.seconds <= step.bound + 3 for step in steps)
    return [step.result for step in steps]


def test_a_good_board_in_the_order_of_a_scenario(stand: Stand) -> None:
    steps = health.examine(ENTRY, observed(), stand)
    assert results(steps) == ["ok"] * 6 and health.fit(steps)
    order = ["missing", "identify", "flash", "halt", "console", "reset", "console closed", "connect"]
    assert stand.calls == order, "the console is open before the reset, and the engine's before the scenario"
    assert steps[1].what == "0x484, as the target's" and "20 lines of text" in steps[4].what


@pytest.mark.parametrize(
    ("where", "expected", "touched"),
    [
        ("missing", ["failed"] + ["left out"] * 5, ["missing"]),
        ("identify", ["ok", "failed", "left out", "left out", "left out", "left out"], ["missing", "identify"]),
        ("reset", ["ok", "ok", "ok", "failed", "left out", "left out"], None),
        ("console", ["ok", "ok", "ok", "failed", "left out", "left out"], None),
        ("flash", ["ok", "ok", "failed", "ok", "ok", "ok"], None),
        ("connect", ["ok", "ok", "ok", "ok", "ok", "failed"], None),
    ],
)
def test_what_needs_a_failed_step_is_left_out(
    where: str, expected: list[str], touched: list[str] | None, stand: Stand
) -> None:
    stand.fails[where] = LabError("lab.probe_silent", f"{where} \x1b[2J broke", "do this")
    steps = health.examine(ENTRY, observed(), stand)
    assert results(steps) == expected and not health.fit(steps)
    bad = next(step for step in steps if step.result == "failed")
    assert (bad.cause, bad.fix) == ("lab.probe_silent", "do this") and bad.what.isprintable()
    assert touched is None or stand.calls == touched
    rows = health.table(steps)
    assert any("next: do this" in row for row in rows) and all(row.isprintable() for row in rows)


def test_no_flash_is_not_a_pass(stand: Stand) -> None:
    steps = health.examine(ENTRY, observed(), stand, flash=False)
    assert results(steps)[2] == "left out" and "flash" not in stand.calls and health.fit(steps)


def test_a_board_that_says_nothing(stand: Stand) -> None:
    stand.words = b""
    steps = health.examine(ENTRY, observed(boot_ms=300), stand)
    assert results(steps)[3:] == ["failed", "left out", "left out"]
    assert steps[3].cause == "lab.serial_missing" and "hil console b1 --reset" in steps[3].fix


def test_a_wrong_bit_rate_is_no_text(stand: Stand) -> None:
    stand.words = b"\xfe\x80\x1c\xe0\xff\x00\x9c\n" * 20
    steps = health.examine(ENTRY, observed(), stand)
    assert results(steps)[4] == "failed" and "is `baud` right?" in steps[4].fix


@pytest.mark.parametrize(
    ("judged", "result", "says"),
    [
        (verdict("pass"), "ok", "reaches the broker"),
        (verdict("warn", "tls.sni_missing"), "ok", "tls.sni_missing: the device's own"),
        (verdict("fail", "server_certificate.untrusted"), "ok", "T12-01[x] is fail"),
        (verdict("fail", "network.no_traffic"), "failed", "why"),
        (verdict("fail", "device.hang"), "failed", "why"),
        (verdict("fail"), "failed", "why"),
        (verdict("lab", "lab.capture_failed"), "failed", "why"),
        (verdict("skip"), "left out", "why"),
        (None, "left out", "nothing applies"),
    ],
)
def test_what_a_verdict_says_of_the_network(judged: Verdict | None, result: str, says: str, stand: Stand) -> None:
    stand.judged = (judged, "nothing applies")
    step = health.examine(ENTRY, observed(), stand)[-1]
    assert step.result == result and says in step.what


def test_a_board_that_each_run_makes(stand: Stand) -> None:
    entry = BoardEntry(id="v", target="f405-virtual", virtual=True)
    steps = health.examine(entry, load()["f405-virtual"], stand)
    assert results(steps) == ["ok", "left out", "left out", "left out", "left out", "ok"]
    assert stand.calls == ["missing", "connect"]


# -- the virtual board: real OpenOCD, real firmware, real broker --

NEEDED = ("hil-vboard", "hil-uplink", "hil-wire", "hil-uart", "hil-guard")


@pytest.fixture
def board(tmp_path: Path, lab_folder: Path) -> Iterator[Path]:
    folder = tmp_path / "vb"
    folder.mkdir()
    argv = [str(BIN / "hil-vboard"), "--dir", str(folder), "--part", "stm32f405", "--machine", "netduinoplus2"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline().startswith(b"READY")
        (lab_folder / "lab.toml").write_text(
            f'[lab]\nquarantine_after = 2\n[[board]]\nid = "vb1"\ntarget = "f405-virtual"\nvirtual = "{folder}"\n'
        )
        yield folder
        process.stdin.close()
        process.wait(10)


def check(*words: str, code: int) -> dict[str, Step]:
    done = hil("boards", "--check", *words, "--json", timeout=200)
    assert done.returncode == code, (done.stdout[-2000:], done.stderr[-2000:])
    data = json.loads(done.stdout)
    assert data["ok"] is (code == 0)
    return {row["step"]: msgspec.convert(row, Step) for row in data["steps"]}


@pytest.mark.xdist_group("boards")
@pytest.mark.skipif(not all((BIN / name).exists() for name in NEEDED), reason="host programs are not built")
def test_a_virtual_board_from_the_probe_to_a_scenario(board: Path) -> None:
    before = {path.name for path in RUNS.glob("check-*")}
    steps = check("vb1", code=0)
    assert [step.result for step in steps.values()] == ["ok"] * 6
    assert "0x413" in steps["probe"].what and "written and verified" in steps["flash"].what
    assert "T12-01[e12-mutual] is pass" in steps["network"].what
    image = shutil.copy(ROOT / load()["f405-virtual"].build.image, board / "kept.elf")  # others build meanwhile
    assert hil("flash", "--target", "f405-virtual", "--image", str(image)).returncode == 0
    again = hil("flash", "--target", "f405-virtual", "--image", str(image))
    assert again.returncode == 0 and "vb1: " in again.stdout and "was there already" in again.stdout, again.stderr
    again = hil("flash", "--board", "vb1", "--reflash", "--image", str(image))
    assert again.returncode == 0 and "written and verified" in again.stdout, again.stderr
    lent = hil("lock", "vb1", "--lease").stdout.strip()
    ours = hil("run", "--target", "f405-virtual", "T12-01", "--run-dir", str(board / "run"), HIL_LEASE=lent)
    assert ours.returncode == 0, ours.stderr
    assert hil("run", "--target", "f405-virtual", "T12-01", "--run-dir", str(board / "run2")).returncode == 11
    assert hil("unlock", "vb1").returncode == 0
    virtual.ask(board, "power off")
    for _ in range(2):
        off = check("vb1", "--no-flash", code=10)
        assert off["probe"].cause == "lab.target_unpowered" and off["network"].result == "left out"
    kept = [path for path in RUNS.glob("check-*") if path.name not in before and (path / "flash.log").is_file()]
    assert len(kept) >= 2, "the logs of what failed stay"
    for path in kept:
        shutil.rmtree(path)
    assert quarantine.state("vb1").quarantined, "twice in a row"
    assert hil("boards", "--check").returncode == 12, "none was looked at"
    virtual.ask(board, "power on")
    assert check("vb1", "--no-flash", code=0)["network"].result == "ok", "what is set aside can be looked at by name"
    assert hil("boards", "--release", "vb1").returncode == 0
