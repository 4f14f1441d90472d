"""`hil boards --check`: the smoke test of harness/lab/health.py on real boards, several at once."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from harness import firmware
from harness.commands.locks import in_hand
from harness.commands.wires import port_of
from harness.device import flash, probe
from harness.device.console import Console, console
from harness.device.flash.base import Flashed, FlashError, Rig
from harness.device.wiring import BY_HAND, power_of, rig_of
from harness.errors import EXIT_BUSY, EXIT_LAB, EXIT_OK, BoardBusy, HilError, LabError, UsageError
from harness.lab import attached, health, inventory, lease, quarantine
from harness.lab.health import LeftOut, Say, Step
from harness.lab.inventory import BoardEntry, Lab
from harness.lab.process import spawn, stop
from harness.model import Image, Verdict
from harness.paths import ROOT, RUNS
from harness.target import Target, find, load

AT_ONCE = 4
LOOK = 0.3  # s between two looks whether we were asked to end
CONNECT = ("T12-01", "T12-02", "T13-01", "T13-02", "CH-01", "CH-05")
"""Scenarios in which a conforming device connects; the first that applies is run."""


def run_check(lab: Lab, arguments: argparse.Namespace) -> int:
    """All boards, or the one named. Exit 0; 10 when a step failed; 11 or 12 when every board is held or set aside, so
    that none was looked at. After a Ctrl-C the steps of the boards that were done are shown all the same."""
    one = bool(arguments.check)
    entries = [inventory.find(arguments.check, lab.boards)] if one else list(lab.boards.values())
    if not entries:
        raise LabError("lab.probe_missing", "no board in lab.toml", "attach one and run hil boards --scan")

    fit = [entry for entry in entries if one or not quarantine.state(entry.id).quarantined]
    notes = [f"{quarantine.state(entry.id)}: not looked at" for entry in entries if entry not in fit]
    looked = _look_at(fit, lab, not arguments.no_flash)
    steps: list[Step] = []
    busy: BoardBusy | None = None
    for board, found in looked.items():
        if isinstance(found, list):
            steps += found
        elif isinstance(found, BoardBusy):
            busy = busy or found
            notes.append(f"{found.what}: not looked at")
        elif isinstance(found, HilError):
            if one:
                raise found
            steps.append(_not_had(board, found))
        else:
            notes.append(f"{board}: {found}")
    if any(isinstance(found, str) for found in looked.values()):
        print("\n".join([*health.table(steps), *notes]))
        raise KeyboardInterrupt
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


def _look_at(entries: list[BoardEntry], lab: Lab, may_flash: bool) -> dict[str, list[Step] | HilError | str]:
    """By board, several at once: its steps, or why there are none; after a Ctrl-C the words for it."""
    ended = threading.Event()

    def say(text: str) -> None:
        if ended.is_set():
            raise _Ended
        if text:
            print(text, file=sys.stderr, flush=True)

    jobs: dict[str, Future[list[Step]]] = {}
    found: dict[str, list[Step] | HilError | str] = {entry.id: "not looked at" for entry in entries}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as threads:
        try:
            for entry in entries:
                jobs[entry.id] = threads.submit(_check, entry, lab, may_flash, say)
            wait(jobs.values())
        except KeyboardInterrupt:
            ended.set()
            threads.shutdown(wait=False, cancel_futures=True)
        for board, job in jobs.items():
            with contextlib.suppress(CancelledError):
                try:
                    found[board] = job.result()
                except _Ended:
                    found[board] = "ended in the middle"
                except HilError as error:
                    found[board] = error
    return found


class _Ended(Exception):
    """By Ctrl-C; whatever a board's thread was at is undone on its way out."""


def _not_had(board: str, error: HilError) -> Step:
    """The row of a board that could not even be held: its coordinator is away, say. The others are looked at."""
    cause = error.cause if isinstance(error, LabError) else ""
    return Step(board=board, step="attached", result="failed", seconds=0.0, bound=0.0, what=error.what, fix=error.fix,
                cause=cause)  # fmt: skip


def _check(listed: BoardEntry, lab: Lab, may_flash: bool, say: Say) -> list[Step]:
    """Holds the board, looks, and counts for its quarantine. BoardBusy when somebody has it."""
    target = find(listed.target, load())
    with in_hand(listed, "hil boards --check", 0.0) as entry, evidence("check", listed.id) as folder:
        steps = health.examine(entry, target, _Real(entry, target, folder, say), flash=may_flash, say=say)
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


def put(entry: BoardEntry, rig: Rig, image: Image | Path, log: Path, *, say: Say, reflash: bool = False) -> Flashed:
    """`flash.put`; a board whose ladder is used up is set aside, as in a run."""
    try:
        return flash.put(rig, image, log, say=say, reflash=reflash, power=power_of(entry))
    except FlashError as error:
        if error.wedged:
            quarantine.put(entry.id, f"wedged: {error.what}", cause=error.cause, by="bench")
            error.fix += f"; {entry.id} is set aside until `hil boards --release {entry.id}`"
        raise


class _Real:
    """A `health.Device` over flasher, console and engine."""

    def __init__(self, entry: BoardEntry, target: Target, folder: Path, say: Say) -> None:
        self._entry, self._target, self._folder, self._say = entry, target, folder, say
        self._log = folder / "flash.log"

    def missing(self) -> LabError | None:
        return attached.missing(self._entry)

    @property
    def _rig(self) -> Rig:
        return rig_of(self._entry, self._target)

    def _programmed(self) -> Rig:
        if self._rig.flasher == BY_HAND:
            raise LeftOut("no flasher: this board is programmed by hand")
        return self._rig

    def identify(self) -> str:
        rig = self._programmed()
        return flash.flasher(rig.flasher).identify(rig, self._log)

    def flash(self, say: Say) -> str:
        rig = self._programmed()
        try:
            image = firmware.built(self._target, progress=lambda _: say(""))
        except UsageError as error:
            raise LeftOut(str(error)) from None
        done = put(self._entry, rig, image, self._log, say=say)
        how = "written and verified" if done.written else "was there already"
        more = f", after {', '.join(done.recovered)}" if done.recovered else ""
        return f"{image.sha256[:12]} {how} in {done.seconds:.1f} s{more}"

    @contextlib.contextmanager
    def console(self) -> Iterator[Console]:
        url, baud = port_of(self._entry, self._target)
        with console(url, self._folder / "uart.log", baud=baud) as opened:
            yield opened

    def halt(self) -> None:
        rig = self._rig
        if rig.flasher != BY_HAND:
            flash.flasher(rig.flasher).halt(rig, self._log)
        elif power_of(self._entry) is None:
            raise LeftOut("no flasher and no `power`: nothing resets this board")

    def reset(self) -> None:
        probe.reset(self._rig, power_of(self._entry), self._log)

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
                status = self._wait(process, bound)
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

    def _wait(self, process: subprocess.Popen[bytes], bound: float) -> int:
        """Its exit status; subprocess.TimeoutExpired after `bound` seconds."""
        deadline = time.monotonic() + bound
        while True:
            try:
                return process.wait(min(LOOK, max(0.0, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline:
                    raise
                self._say("")
