"""A run as a whole: what is asked for, the folder, what all scenarios share, and the end. The controller (one process)
prepares and finishes; workers open what was prepared.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from harness import firmware, scenario, store
from harness.errors import (
    EXIT_FAILED,
    EXIT_FLAKY,
    EXIT_LAB,
    EXIT_NOTHING,
    EXIT_OK,
    LabError,
    UsageError,
)
from harness.lab import pki as pkis
from harness.lab import profiles
from harness.model import Cause, Image, RunSummary, Verdict
from harness.paths import RUNS
from harness.plan import PlanItem, Selection, plan
from harness.run import Bench
from harness.target import Target, find
from harness.target import load as load_targets

FAILED_BEFORE = ("fail", "lab", "flaky")
PREPARED = "secrets/prepared.json"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for."""

    target: str
    ids: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    keyword: str = ""
    only_failed: str = ""  # "latest" or a run's folder
    shard: str = ""  # "2/5"
    defects: tuple[str, ...] = ()
    retries: int = 0
    fail_on_flaky: bool = False
    run_dir: str = ""
    repeat: int = 1


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What the controller leaves for its workers."""

    options: Options
    started: str
    image: str
    sha256: str
    git: str


def selection(options: Options) -> Selection:
    only = None
    if options.only_failed:
        only = tuple(
            v.id for v in store.read_run(run_folder(options.only_failed)).verdicts if v.verdict in FAILED_BEFORE
        )
    return Selection(
        ids=options.ids, layers=options.layers, profiles=options.profiles, keyword=options.keyword, only=only,
        repeat=options.repeat,
        shard=_shard(options.shard),
    )  # fmt: skip


def _shard(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise UsageError(f"--shard {text}: not a shard", "for example --shard 2/5")
    return int(first), int(second)


def planned(options: Options) -> tuple[Target, tuple[PlanItem, ...]]:
    """Everything selected, checked; raises before anything is started."""
    target = find(options.target, load_targets())
    return target, plan(scenario.load(), profiles.load(), target, selection(options), options.defects)


def run_folder(name: str) -> Path:
    """A run by its folder's name, its path, or `latest`."""
    if name == "latest":
        link = RUNS.parent / "latest"
        if not link.exists():
            raise UsageError("there is no run yet", "hil run --target native")
        return link.resolve()
    for path in (Path(name), RUNS / name):
        if path.is_dir():
            return path.resolve()
    raise UsageError(f"no run `{name}`", f"the runs are in {RUNS}")


def new_run_dir(options: Options) -> Path:
    """`reports/runs/<UTC>-<short sha>/`, or the one asked for; it must not hold a run already."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    sha = firmware.git_version().split("-")[0][:10] or "nogit"
    wanted = [Path(options.run_dir).absolute()] if options.run_dir else [
        RUNS / f"{stamp}-{sha}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 100)))
    ]  # fmt: skip
    for path in wanted:
        try:
            path.mkdir(parents=True, exist_ok=bool(options.run_dir))
        except FileExistsError:
            continue
        except OSError as error:
            raise LabError("lab.disk_full", f"{path}: {error.strerror}", "choose another --run-dir") from error
        if (path / store.RUN).exists():
            raise UsageError(f"{path} already holds a run", "choose another --run-dir")
        return path
    raise LabError("lab.disk_full", f"{RUNS}: no free name", "choose a --run-dir")


def prepare(options: Options, run_dir: Path, *, say: Callable[[str], None] = lambda text: None) -> Bench:
    """Builds the firmware and makes the certificates, once."""
    target, _ = planned(options)
    say(f"build {target.id}")
    image = firmware.built(target, keep=run_dir / "firmware", progress=say)
    say("certificates")
    secrets = run_dir / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    pkis.generate(secrets / "pki", progress=say)
    prepared = Prepared(
        options=options, started=now(), image=str(image.path), sha256=image.sha256, git=image.git or "unknown"
    )
    store.write_whole(run_dir / PREPARED, msgspec.json.encode(prepared))
    return open_bench(run_dir)


def open_bench(run_dir: Path, step: Callable[[str], None] = lambda name: None) -> Bench:
    """What `prepare` made, for whoever runs scenarios."""
    prepared = msgspec.json.decode((run_dir / PREPARED).read_bytes(), type=Prepared)
    options = prepared.options
    return Bench(
        run_dir=run_dir,
        target=find(options.target, load_targets()),
        image=Image(path=Path(prepared.image), sha256=prepared.sha256, git=prepared.git),
        profiles=profiles.load(),
        pki=pkis.Pki(run_dir / "secrets" / "pki"),
        defects=options.defects,
        retries=options.retries,
        step=step,
    )


def lost(item: PlanItem, why: str) -> Verdict:
    """The verdict of a scenario whose worker died: the bench's fault."""
    cause = Cause(id="lab.tool_missing", side="lab", confidence="possible", explain=why)
    return Verdict(
        id=item.id, target=item.target, profile=item.profile, title=item.scenario.title, clause=item.scenario.clause,
        level=item.scenario.level, verdict="lab", why=why, causes=(cause,),
    )  # fmt: skip


def finish(run_dir: Path) -> RunSummary:
    """run.json and the reports, from what is on disk; `reports/latest` points here."""
    from harness import report

    prepared = msgspec.json.decode((run_dir / PREPARED).read_bytes(), type=Prepared)
    target = prepared.options.target
    summary = store.summary_of(
        store.read_verdicts(run_dir), started=prepared.started, finished=now(), targets=(target,), git=prepared.git,
        images={target: Image(path=Path(prepared.image), sha256=prepared.sha256, git=prepared.git)},
    )  # fmt: skip
    store.write_run(run_dir, summary)
    report.write_all(run_dir, summary)
    _point_latest(run_dir)
    return summary


def _point_latest(run_dir: Path) -> None:
    """A symbolic link, replaced in one step. A file system without links goes without."""
    if run_dir.parent != RUNS:
        return
    link = RUNS.parent / "latest"
    fresh = RUNS.parent / f".latest-{os.getpid()}"
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(run_dir.relative_to(RUNS.parent))
        fresh.replace(link)
    except OSError as error:
        print(f"hil: {link}: {error.strerror}", file=sys.stderr)


def exit_code(summary: RunSummary, *, fail_on_flaky: bool = False) -> int:
    """By the worst there is: a failure of the device before one of the lab."""
    totals = summary.totals
    if totals.get("fail"):
        return EXIT_FAILED
    if totals.get("lab"):
        return EXIT_LAB
    if fail_on_flaky and totals.get("flaky"):
        return EXIT_FLAKY
    if not sum(count for name, count in totals.items() if name != "skip"):
        return EXIT_NOTHING
    return EXIT_OK


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
