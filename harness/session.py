"""A run as a whole: what is asked for, its boards, its folder, what all scenarios share, and the end. The controller
(one process) does `planned → claimed → new_run_dir → prepare … finish`; workers `open_bench` what was prepared.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from harness import firmware, observe, package, scenario, store
from harness.device.boards import check_entry, emulated, self_made, source
from harness.device.wiring import LOOPBACK
from harness.errors import (
    EXIT_FAILED,
    EXIT_FLAKY,
    EXIT_LAB,
    EXIT_NOTHING,
    EXIT_OK,
    HilError,
    LabError,
    NothingSelected,
    UsageError,
)
from harness.lab import inventory, pool, profiles
from harness.lab import pki as pkis
from harness.model import Cause, Image, RunSummary, Verdict
from harness.paths import RUNS
from harness.plan import PlanItem, Selection, plan
from harness.run import Bench
from harness.target import Target, find
from harness.target import load as load_targets

FAILED_BEFORE = ("fail", "lab", "flaky")
PREPARED = "secrets/prepared.json"
BOARDS = "secrets/boards"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. `target`: one or several, with commas between; `boards`: at most so many of a target."""

    target: str
    all_boards: bool = False  # every target that has a board in lab.toml
    boards: int = 0
    wait: float = 0.0  # s
    reflash: bool = False
    packages: tuple[str, ...] = ()  # images built elsewhere (harness/package.py)
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
    git: str
    targets: tuple[str, ...]
    images: dict[str, Image] = {}
    boards: dict[str, tuple[str, ...]] = {}  # claimed, by target
    refused: dict[str, tuple[str, str, str]] = {}  # why a target has no board or no image: cause, what, fix


def failed_before(run: str) -> tuple[Verdict, ...]:
    """What `--only-failed` runs again. UsageError when there is no such run."""
    return tuple(v for v in store.read_run(run_folder(run)).verdicts if v.verdict in FAILED_BEFORE)


def selection(options: Options, target: str = "") -> Selection:
    """`target`: what failed there; "": anywhere."""
    only = None
    if options.only_failed:
        only = tuple(v.id for v in failed_before(options.only_failed) if target in ("", v.target))
    return Selection(
        ids=options.ids, layers=options.layers, profiles=options.profiles, keyword=options.keyword, only=only,
        repeat=options.repeat,
        shard=_shard(options.shard),
    )  # fmt: skip


def _shard(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    first, _, second = text.partition("/")
    if not (text.isascii() and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise UsageError(f"--shard {text}: not a shard", "for example --shard 2/5")
    return int(first), int(second)


def targets_of(options: Options) -> tuple[Target, ...]:
    """What is to be run on. UsageError for an unknown name, LabError when every board is wanted and there is none."""
    known = load_targets()
    names = [name.strip() for name in options.target.split(",") if name.strip()]
    packaged = package.targets_of(options.packages)
    if options.all_boards:
        names = [entry.target for entry in inventory.load().values()]
        if not names:
            raise LabError("lab.probe_missing", "no board in lab.toml", "attach one and run hil boards --scan")
        if packaged and not (names := [name for name in names if name in packaged]):
            raise LabError("lab.probe_missing", f"no board in lab.toml for {', '.join(packaged)}", "hil boards")
    elif foreign := [name for name in packaged if name not in names]:
        raise UsageError(f"the package for {foreign[0]} is not for --target {options.target}", "leave --target out")
    if not names:
        raise UsageError("no target", "hil run --target qemu-m33")
    if options.only_failed:
        failed = {v.target for v in failed_before(options.only_failed)}
        if not any(name in failed for name in names):
            where = f" on {', '.join(dict.fromkeys(names))}" if failed else ""
            raise NothingSelected(f"nothing failed{where} in {options.only_failed}", "nothing is to be run again")
        names = [name for name in names if name in failed]
    return tuple(find(name, known) for name in dict.fromkeys(names))


def planned(options: Options) -> tuple[tuple[Target, ...], tuple[PlanItem, ...]]:
    """Everything selected, checked; raises before anything is started."""
    targets = targets_of(options)
    scenarios, known = scenario.load(), profiles.load()
    items: list[PlanItem] = []
    for target in targets:
        try:
            items += plan(scenarios, known, target, selection(options, target.id), options.defects)
        except NothingSelected:
            if len(targets) == 1:
                raise
    if not items:
        raise NothingSelected("no scenario fits the selection", "`hil list` names what there is")
    return targets, tuple(items)


def from_lab(options: Options, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """The targets whose boards come from lab.toml: all hardware, virtual boards that are listed there, and emulated
    ones where every listed board is asked for."""
    lab = inventory.load()

    def listed(target: Target) -> bool:
        return bool(inventory.of_target(target.id, lab)) and (options.all_boards or not emulated(target))

    return tuple(target.id for target in targets if not self_made(target) or listed(target))


def claimed(options: Options, targets: tuple[Target, ...], say: Callable[[str], None]) -> pool.Claims:
    """The boards of the run, held from here on; at once or within --wait, before anything is built. See pool.claim."""
    wanted = from_lab(options, targets)
    if not wanted:
        return pool.Claims()
    lab = inventory.load()
    for target in targets:
        for entry in inventory.of_target(target.id, lab) if target.id in wanted else ():
            check_entry(entry, target)
    return pool.claim(
        wanted, lab, f"hil run --target {','.join(wanted)}", wait=options.wait, most=options.boards,
        partial=options.all_boards, say=say, calls=_calls(targets),
    )  # fmt: skip


def _calls(targets: tuple[Target, ...]) -> Callable[[inventory.BoardEntry], str]:
    """What a board's firmware calls where nobody can tell it another port (harness/observe.py); "" elsewhere."""
    fixed = {target.id: target for target in targets if observe.port(target) is not None}

    def place(entry: inventory.BoardEntry) -> str:
        target = fixed.get(entry.target)
        if target is None:
            return ""
        here = LOOPBACK if entry.uplink or entry.virtual else entry.broker_address or target.network.broker_address
        return f"{here}:{observe.port(target)}"

    return place


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


def prepare(
    options: Options,
    run_dir: Path,
    *,
    claims: pool.Claims | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Bench:
    """Builds the firmware of each target and makes the certificates, once. Returns the bench of the first target."""
    targets = targets_of(options)
    claims = claims or pool.Claims()
    refused = {name: _reason(error) for name, error in claims.refused.items()}
    images: dict[str, Image] = {}
    for target in targets:
        if target.id in refused:
            continue
        say(f"{'unpack' if target.id in package.targets_of(options.packages) else 'build'} {target.id}")
        try:
            # One folder a target when there are several: their images may have the same name.
            keep = run_dir / "firmware" / (target.id if len(targets) > 1 else "")
            given = package.image_for(target, options.packages, keep, load_targets())
            images[target.id] = given or firmware.built(target, keep=keep, progress=say)
        except HilError as error:
            if not options.all_boards:
                raise
            refused[target.id] = _reason(error)
            say(f"{target.id}: {error}")
    say("certificates")
    secrets = run_dir / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    pkis.generate(secrets / "pki", progress=say)
    git = next((image.git for image in images.values() if image.git), "unknown")
    prepared = Prepared(
        options=options, started=now(), git=git, targets=tuple(t.id for t in targets), images=images,
        boards={name: ids for name, ids in claims.boards.items() if name not in refused}, refused=refused,
    )  # fmt: skip
    store.write_whole(run_dir / PREPARED, store.encode(prepared))
    return open_bench(run_dir)


def _reason(error: HilError) -> tuple[str, str, str]:
    return getattr(error, "cause", "lab.build_failed"), error.what, error.fix


def read_prepared(run_dir: Path) -> Prepared:
    return store.decode((run_dir / PREPARED).read_bytes(), Prepared)


def open_bench(
    run_dir: Path, step: Callable[[str], None] = lambda name: None, *, target: str = "", turn: int = 0
) -> Bench:
    """What `prepare` made, for whoever runs scenarios of `target` (the first); close its `boards` at the end. `turn`:
    the worker's number."""
    prepared = read_prepared(run_dir)
    options = prepared.options
    table = find(target or prepared.targets[0], load_targets())
    boards = pool.Pool(run_dir / BOARDS, prepared.boards, prepared.refused, turn)
    return Bench(
        run_dir=run_dir,
        target=table,
        image=prepared.images.get(table.id, NO_IMAGE),
        profiles=profiles.load(),
        pki=pkis.Pki(run_dir / "secrets" / "pki"),
        defects=options.defects,
        retries=options.retries,
        step=step,
        boards=source(table, boards, run_dir, reflash=options.reflash),
    )


NO_IMAGE = Image(path=Path(), sha256="", git="")
"""Of a target that was refused: nothing reads it."""


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

    prepared = read_prepared(run_dir)
    summary = store.summary_of(
        store.read_verdicts(run_dir), started=prepared.started, finished=now(), targets=prepared.targets,
        git=prepared.git, images=prepared.images,
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
