"""`hil boards --check`: the smoke test of harness/lab/health.py on real boards, several at once."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from harness import firmware
from harness.commands.locks import in_hand
from harness.commands.wires import port_of
from harness.device import flash
from harness.device.console import Console, console
from harness.device.wiring import Wiring, wired
from harness.errors import EXIT_BUSY, EXIT_LAB, EXIT_OK, BoardBusy, HilError, LabError, UsageError
from harness.lab import attached, health, inventory, lease, quarantine
from harness.lab.health import LeftOut, Say, Step
from harness.lab.inventory import BoardEntry, Lab
from harness.lab.process import spawn, stop
from harness.model import Verdict
from harness.paths import ROOT, RUNS
from harness.target import Target, find, load

AT_ONCE = 4
CONNECT = ("T12-01", "T12-02", "T13-01", "T13-02", "CH-01", "CH-05")
"""Scenarios in which a conforming device connects; the first that applies is run."""


def run_check(lab: Lab, arguments: argparse.Namespace) -> int:
    """All boards, or the one named. Exit 0; 10 when a step failed; 11 or 12 when every board is held or set aside, so
    that none was looked at."""
    one = bool(arguments.check)
    entries = [inventory.find(arguments.check, lab.boards)] if one else list(lab.boards.values())
    if not entries:
        raise LabError("lab.probe_missing", "no board in lab.toml", "attach one and run hil boards --scan")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    steps: list[Step] = []
    notes: list[str] = []
    busy: BoardBusy | None = None
    with ThreadPoolExecutor(max_workers=AT_ONCE) as threads:
        jobs = []
        for entry in entries:
            found = quarantine.state(entry.id)
            if found.quarantined and not one:
                notes.append(f"{found}: not looked at")
                continue
            jobs.append(threads.submit(_check, entry, lab, not arguments.no_flash, say))
        for job in jobs:
            try:
                steps += job.result()
            except BoardBusy as error:
                busy = busy or error
                notes.append(f"{error.what}: not looked at")
    if not steps and busy is not None:
        raise busy
    if not steps:
        quarantine.check(entries[0].id)
    if arguments.json:
        data = {"schema": 1, "ok": health.fit(steps), "steps": steps, "notes": notes}
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(data)) + b"\n")
    else:
        print("\n".join([*health.table(steps), *notes]))
        if one and health.fit(steps) and quarantine.state(entries[0].id).quarantined:
            print(f"it is still in quarantine: hil boards --release {entries[0].id}")
    return EXIT_OK if health.fit(steps) else EXIT_LAB


def _check(listed: BoardEntry, lab: Lab, may_flash: bool, say: Say) -> list[Step]:
    """Holds the board, looks, and counts for its quarantine. BoardBusy when somebody has it."""
    target = find(listed.target, load())
    with in_hand(listed, "hil boards --check", 0.0) as entry, evidence("check", listed.id) as folder:
        steps = health.examine(entry, target, _Real(entry, target, folder), flash=may_flash, say=say)
        bad = next((step for step in steps if step.result == "failed"), None)
        if bad is None:
            shutil.rmtree(folder, ignore_errors=True)
    if bad is None:
        quarantine.note_success(listed.id)
    elif bad.cause and bad.step != "network":  # that run has counted for itself
        after = lab.settings.quarantine_after
        quarantine.note_error(listed.id, bad.cause, f"hil boards --check: {bad.step}: {bad.what}", after)
    return steps


@contextlib.contextmanager
def evidence(what: str, board: str) -> Iterator[Path]:
    """A folder for logs, which stays when something failed."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = RUNS / f"{what}-{stamp}-{board}-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise LabError("lab.disk_full", f"{folder}: {error.strerror}", "make room") from error
    try:
        yield folder
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise


class _Real:
    """A `health.Device` over flasher, console and engine."""

    def __init__(self, entry: BoardEntry, target: Target, folder: Path) -> None:
        self._entry, self._target, self._folder = entry, target, folder
        self._log = folder / "flash.log"

    def missing(self) -> LabError | None:
        return attached.missing(self._entry)

    @property
    def _wiring(self) -> Wiring:
        return wired(self._entry, self._target)

    def identify(self) -> str:
        rig = self._wiring.rig
        if rig.flasher == "none":
            raise LeftOut("no flasher: this board is programmed by hand")
        return flash.flasher(rig.flasher).identify(rig, self._log)

    def flash(self, say: Say) -> str:
        wiring = self._wiring
        if wiring.rig.flasher == "none":
            raise LeftOut("no flasher: this board is programmed by hand")
        try:
            image = firmware.built(self._target)
        except UsageError as error:
            raise LeftOut(str(error)) from None
        done = flash.put(wiring.rig, image, self._log, say=say, power=wiring.power)
        how = "written and verified" if done.written else "was there already"
        more = f", after {', '.join(done.recovered)}" if done.recovered else ""
        return f"{image.sha256[:12]} {how} in {done.seconds:.1f} s{more}"

    @contextlib.contextmanager
    def console(self) -> Iterator[Console]:
        url, baud = port_of(self._entry, self._target)
        with console(url, self._folder / "uart.log", baud=baud) as opened:
            yield opened

    def halt(self) -> None:
        rig = self._wiring.rig
        if rig.flasher == "none":
            raise LeftOut("no flasher: nothing resets this board")
        flash.flasher(rig.flasher).halt(rig, self._log)

    def reset(self) -> None:
        rig = self._wiring.rig
        flash.flasher(rig.flasher).reset(rig, self._log)

    def connect(self) -> tuple[Verdict | None, str]:
        """One scenario by `hil run`, on this board only, lent to it."""
        from harness import session, store

        node = ""
        for name in CONNECT:
            with contextlib.suppress(HilError):
                _, items = session.planned(session.Options(target=self._target.id, ids=(name,)))
                node = next((item.id for item in items if not item.skip), "")
            if node:
                break
        if not node:
            return None, "no scenario in which it connects applies to this target"
        run_dir = self._folder / "run"
        bound = health.network_bound(self._entry, self._target)
        words = [sys.executable, "-m", "harness.cli", "run", "--target", self._target.id, node]
        words += ["--run-dir", str(run_dir)]
        env = {**os.environ, lease.LENT: f"{self._entry.id}={os.getpid()}", "HIL_BOARDS": self._entry.id}
        env[quarantine.EXAMINED] = self._entry.id
        with (self._folder / "run.log").open("w+b") as log:
            process = spawn(words, cwd=ROOT, env=env, stdout=log, stderr=log, tree=True)
            try:
                status = process.wait(bound)
            except subprocess.TimeoutExpired:
                what = f"{node} was not judged within {bound:g} s"
                raise LabError("lab.capture_failed", what, "run it by hand") from None
            finally:
                stop(process)
            log.seek(0)
            said = log.read(1 << 16).decode(errors="replace").strip().splitlines()
        if (run_dir / store.RUN).is_file():
            verdicts = store.read_run(run_dir).verdicts
            if verdicts:
                return verdicts[0], ""
        last = said[-1].removeprefix("hil: ") if said else f"exit {status}"
        if status == EXIT_BUSY:
            raise BoardBusy(last)
        if status == UsageError.exit_code:
            return None, last
        raise LabError("lab.capture_failed", f"{node}: {last}", f"hil run --target {self._target.id} {node}")
