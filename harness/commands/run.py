"""`hil run`: the same engine as `pytest scenarios --target …`, with its own progress. Needs no pytest knowledge."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.values import count, seconds
from harness.errors import EXIT_INTERRUPTED, EXIT_LAB, NothingSelected, UsageError

if TYPE_CHECKING:
    from harness.lab.pool import Claims
    from harness.plan import PlanItem
    from harness.progress import Progress
    from harness.session import Options
    from harness.target import Target

EXAMPLE = """examples:
  hil run --target native                     everything that applies, on a Linux process
  hil run --target qemu-m33 -k tls13 -n 2     TLS 1.3 on an emulated board, two at once
  hil run --target native T12-02 T13-01       two scenarios
  hil run --target native --only-failed       what failed last time
  hil run --target native --json > run.json   the verdicts as data
  hil run --target h563 --wait 600            on a board of lab.toml, waiting 10 minutes for it
  hil run --all-boards                        on every board of lab.toml, all at once
  hil run --package h563.tar.zst              an image that was built on another host"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLE
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="ids such as T12-02 (all that apply)")
    parser.add_argument("--target", action="append", default=[], metavar="ID[,ID]",
                        help="what to run on, one or several (HIL_TARGET, else qemu-m33)")  # fmt: skip
    parser.add_argument("--all-boards", action="store_true", help="on every board of lab.toml")
    parser.add_argument("--boards", type=count(0), default=0, metavar="N",
                        help="take at most N boards of a target (as many as -n says, else all)")  # fmt: skip
    parser.add_argument("--wait", type=seconds, default=0.0, metavar="S", help="seconds to wait for a held board (0)")
    parser.add_argument("--package", action="append", default=[], metavar="FILE",
                        help="run this image instead of building (hil build --package; repeatable)")  # fmt: skip
    parser.add_argument("--reflash", action="store_true", help="program boards that hold the image already, too")
    parser.add_argument(
        "-k", dest="keyword", default="", metavar="EXPR", help="pytest's expression over names and layers"
    )
    parser.add_argument("-n", dest="workers", default="", metavar="N",
                        help="how many at once (one a board; emulated boards: 2)")  # fmt: skip
    parser.add_argument("--layer", action="append", default=[], metavar="NAME", help="only this layer (repeatable)")
    parser.add_argument("--profile", action="append", default=[], metavar="NAME", help="only this broker profile")
    parser.add_argument("--only-failed", nargs="?", const="latest", default="", metavar="RUN",
                        help="only what failed in a run (the latest)")  # fmt: skip
    parser.add_argument("--shard", default="", metavar="I/N", help="the I-th of N parts")
    parser.add_argument("--defect", action="append", default=[], metavar="NAME",
                        help="switch a defect of the firmware on for the whole run (tests of the bench)")  # fmt: skip
    parser.add_argument("--retries", type=count(0), default=0, metavar="N", help="attempts after a failure (0)")
    parser.add_argument("--repeat", type=count(1), default=1, metavar="N", help="everything N times")
    parser.add_argument("--fail-on-flaky", action="store_true", help="exit 13 when something passed on a retry only")
    parser.add_argument("--run-dir", default="", metavar="DIR", help="where evidence goes (reports/runs/…)")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and why something would not")
    parser.add_argument("--json", action="store_true", help="print run.json to stdout at the end")


def run(arguments: argparse.Namespace) -> int:
    from harness import package, scenario, session
    from harness.lab import sandbox

    if arguments.all_boards and arguments.target:
        raise UsageError("--all-boards and --target exclude each other", "use one of them")
    workers = count(0)(arguments.workers or "0")
    packages = tuple(str(Path(name).absolute()) for name in arguments.package)
    targets_wanted = ",".join(package.targets_of(packages)) or os.environ.get("HIL_TARGET", "")
    before = ""  # a run of somebody else may become the latest meanwhile
    if arguments.only_failed:
        before = str(session.run_folder(arguments.only_failed))
        targets_wanted = targets_wanted or ",".join(dict.fromkeys(v.target for v in session.failed_before(before)))
    targets_wanted = targets_wanted or "qemu-m33"
    options = session.Options(
        target=",".join(arguments.target) or ("" if arguments.all_boards else targets_wanted),
        all_boards=arguments.all_boards, wait=arguments.wait, packages=packages,
        reflash=arguments.reflash, boards=arguments.boards or workers,
        ids=tuple(arguments.scenarios), layers=tuple(arguments.layer),
        profiles=tuple(arguments.profile), only_failed=before, shard=arguments.shard,
        defects=tuple(arguments.defect), retries=arguments.retries, fail_on_flaky=arguments.fail_on_flaky,
        run_dir=arguments.run_dir,
        repeat=arguments.repeat,
    )  # fmt: skip
    known = scenario.load() if arguments.scenarios else {}
    for name in arguments.scenarios:
        try:
            scenario.find(name.partition("[")[0], known)
        except UsageError as unknown:  # alone it selects nothing; beside others it would be left out in silence
            if len(arguments.scenarios) > 1:
                raise
            raise NothingSelected(unknown.what, unknown.fix) from None
    targets, items = session.planned(options)
    for name in arguments.scenarios:
        if "[" in name and not any(name.upper() in (i.id.upper(), i.node.upper()) for i in items):
            scenario.find(name, known)
    _fits(arguments.keyword, "")  # an expression that is none is said here, not by a worker
    if arguments.dry_run:
        _dry([i for i in items if _fits(arguments.keyword, f"{i.node} {i.scenario.layer} {i.profile}")])
        return 0
    if not session.from_lab(options, targets):  # a board must reach the broker: no network of our own then
        sandbox.enter()
    from harness import progress  # heavy: not before the sandbox, which starts us anew
    from harness.report.terminal import tell_workers

    tell_workers(sys.stderr)
    watcher = progress.Progress(sys.stderr)
    claims = session.claimed(options, targets, watcher.phase)
    try:
        for name, error in claims.refused.items():
            print(f"hil: {name}: goes without: {error}", file=sys.stderr)
        return _pytest(arguments, options, watcher, claims, _workers(arguments.workers, claims, targets))
    finally:
        claims.release()


def _dry(items: list[PlanItem]) -> None:
    from harness.report.terminal import hang

    widest = max((len(item.node) for item in items), default=0)
    for item in items:
        line = f"{'skip' if item.skip else 'run':4}  {item.node:{widest}}  {item.skip or item.scenario.title}"
        print(hang(line, widest + 8, sys.stdout))
    skipped = sum(bool(item.skip) for item in items)
    print(f"{len(items) - skipped} would run, {skipped} would not", file=sys.stderr)


def _fits(expression: str, text: str) -> bool:
    """pytest's -k over one name."""
    if not expression:
        return True
    from _pytest.mark.expression import Expression

    def has(word: str, /, **_: str | int | bool | None) -> bool:
        return word.lower() in text.lower()

    try:
        return bool(Expression.compile(expression).evaluate(has))
    except SyntaxError as error:
        raise UsageError(f"-k {expression}: {error}", "for example -k 'tls13 and not CH-13'") from error


def _workers(wanted: str, claims: Claims, targets: tuple[Target, ...]) -> str:
    """One a board, and for boards that are made as wanted what the machine bears. "" for one: then no worker is
    needed."""
    held = len(claims)
    made = [t for t in targets if t.id not in claims.boards and t.id not in claims.refused]
    if wanted and not made:
        return str(min(int(wanted), held))
    if not wanted and not made:
        return str(held) if held > 1 else ""
    return wanted or str(held + max(2, min(4, os.cpu_count() or 2)))


def _pytest(
    arguments: argparse.Namespace, options: Options, watcher: Progress, claims: Claims, workers: str
) -> int:
    import pytest

    from harness import pytest_plugin, session, store
    from harness.paths import ROOT, SCENARIOS

    words = ["-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={ROOT}", "-s",
             f"--target={options.target}", f"--retries={options.retries}"]  # fmt: skip
    words += [f"--boards={options.boards}", f"--wait={options.wait}"]
    words += ["--all-boards"] if options.all_boards else []
    words += ["--reflash"] if options.reflash else []
    words += [f"--package={x}" for x in options.packages]
    words += [f"--scenario={x}" for x in options.ids] + [f"--layer={x}" for x in options.layers]
    words += [f"--profile={x}" for x in options.profiles] + [f"--defect={x}" for x in options.defects]
    for flag, value in (("only-failed", options.only_failed), ("shard", options.shard)):
        words += [f"--{flag}={value}"] if value else []
    words += [f"--repeat={options.repeat}"] if options.repeat > 1 else []
    words += ["--fail-on-flaky"] if options.fail_on_flaky else []
    words += ["-k", arguments.keyword] if arguments.keyword else []
    words += ["-n", workers, "--dist", "worksteal"] if workers and workers != "0" else []
    words += getattr(arguments, "pytest_args", [])
    run_dir = session.new_run_dir(options)
    words.append(f"--run-dir={run_dir}")
    door = pytest_plugin.Door(claims, watcher.phase)
    try:
        code = int(pytest.main([*words, str(SCENARIOS)], plugins=[Named(watcher), door]))
    except KeyboardInterrupt:  # a second one, before pytest had dealt with the first
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = EXIT_INTERRUPTED
    if not (run_dir / store.RUN).is_file() and any(run_dir.glob(f"*/*/{store.VERDICT}")):
        session.finish(run_dir)
    return _end(arguments, run_dir, code)


class Named:
    """Registers the progress under a name, so that the plugin finds it."""

    def __init__(self, watcher: object) -> None:
        self._watcher = watcher

    def pytest_configure(self, config: object) -> None:
        config.pluginmanager.register(self._watcher, "hil-progress")  # type: ignore[attr-defined]


def _end(arguments: argparse.Namespace, run_dir: Path, code: int) -> int:
    from harness.report.summary import skips_line, totals_line
    from harness.report.terminal import hang, plain
    from harness.store import RUN, VERDICT, encode, read_run

    if not any(run_dir.glob(f"*/*/{VERDICT}")):
        _remove_empty(run_dir)
        if code == 5:
            print("hil: no scenario fits the selection: `hil list` names what there is", file=sys.stderr)
        return code if code in (2, 4, 5, 10, 11, 12) else EXIT_LAB
    summary = read_run(run_dir)
    if arguments.json:
        sys.stdout.write((run_dir / RUN).read_text() if (run_dir / RUN).is_file() else encode(summary).decode())
    distinct = len({v.id.partition("[")[0] for v in summary.verdicts if v.verdict == "pass"})
    good = f"{distinct} scenario{'' if distinct == 1 else 's'} passed"
    print(f"{totals_line(summary.totals)} ({good}) on {', '.join(summary.targets)}", file=sys.stderr)
    if skipped := skips_line(summary.verdicts):
        print(hang(f"skipped: {plain(skipped)}", 9, sys.stderr), file=sys.stderr)
    shown = run_dir.relative_to(Path.cwd()) if run_dir.is_relative_to(Path.cwd()) else run_dir
    print(f"report: {shown}/index.html", file=sys.stderr)
    if code == EXIT_INTERRUPTED:
        print("hil: interrupted; what was judged is kept", file=sys.stderr)
    return code if code != 3 else EXIT_LAB


def _remove_empty(run_dir: Path) -> None:
    """A run that never began leaves nothing behind."""
    import shutil

    shutil.rmtree(run_dir, ignore_errors=True)
