"""`pytest scenarios --target qemu-m33 -k tls13 -n 2`: scenarios as pytest items. Does nothing without --target.

The controller takes the boards (or enters the sandbox, where all are emulated), builds the firmware and makes the
certificates before any worker starts; workers write each verdict to disk; the controller makes run.json and the reports
of it and sets the exit code.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.lab.pool import Claims
    from harness.plan import PlanItem
    from harness.run import Bench
    from harness.session import Options

RUN_DIR = "hil_run_dir"
CONTROLLER = "hil_controller"
VERDICT = "hil.verdict"
USUAL_SECONDS = 30
LETTERS = {"pass": ".", "warn": "w", "fail": "F", "known": "k", "fixed": "X", "flaky": "y", "skip": "s", "lab": "L"}


class NotPassed(Exception):
    """A verdict of fail or lab; its text is the block a person reads."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "hardware-in-the-loop scenarios")
    group.addoption("--target", metavar="ID[,ID]", default="", help="run scenarios/*.toml on this target, or several")
    group.addoption("--all-boards", action="store_true", help="on every board of lab.toml")
    group.addoption("--boards", type=int, default=0, metavar="N", help="take at most N boards of a target (all)")
    group.addoption("--wait", type=float, default=0.0, metavar="S", help="seconds to wait for a board that is held (0)")
    group.addoption("--package", action="append", default=[], metavar="FILE", help="run this image (repeatable)")
    group.addoption("--reflash", action="store_true", help="program boards that hold the image already, too")
    group.addoption("--scenario", action="append", default=[], metavar="ID", help="only this scenario (repeatable)")
    group.addoption("--layer", action="append", default=[], metavar="NAME", help="only this layer (repeatable)")
    group.addoption("--profile", action="append", default=[], metavar="NAME", help="only this broker profile")
    group.addoption("--only-failed", nargs="?", const="latest", default="", metavar="RUN",
                    help="only what failed in a run (default: the latest)")  # fmt: skip
    group.addoption("--shard", default="", metavar="I/N", help="the I-th of N parts")
    group.addoption("--defect", action="append", default=[], metavar="NAME", help="switch this firmware defect on")
    group.addoption("--retries", type=int, default=0, metavar="N", help="attempts after a failure (0)")
    group.addoption("--repeat", type=int, default=1, metavar="N", help="everything N times")
    group.addoption("--fail-on-flaky", action="store_true", help="exit 13 when something passed on a retry only")
    group.addoption("--run-dir", default="", metavar="DIR", help="where evidence goes (reports/runs/…)")


def _options(config: pytest.Config) -> Options:
    from harness.session import Options

    get = config.getoption
    return Options(
        target=get("--target"), all_boards=get("--all-boards"), boards=get("--boards"), wait=get("--wait"),
        reflash=get("--reflash"), packages=tuple(get("--package")), ids=tuple(get("--scenario")),
        layers=tuple(get("--layer")),
        profiles=tuple(get("--profile")), only_failed=get("--only-failed"), shard=get("--shard"),
        defects=tuple(get("--defect")), retries=get("--retries"), fail_on_flaky=get("--fail-on-flaky"),
        run_dir=get("--run-dir"),
        repeat=get("--repeat"),
    )  # fmt: skip


def _active(config: pytest.Config) -> bool:
    return bool(config.getoption("--target", default=None) or config.getoption("--all-boards", default=False))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Before anything is collected or any worker starts: boards or sandbox, build, certificates. An int ends it."""
    if not _active(config) or _is_worker(config) or config.option.help or config.option.version:
        return None
    from harness.errors import HilError

    try:
        from harness import session
        from harness.lab import sandbox

        options = _options(config)
        targets, _ = session.planned(options)
        if config.option.collectonly:
            return None
        if not session.from_lab(options, targets):  # a board must reach the broker: no network of our own then
            sandbox.enter()
        door = _door(config)
        say = door.say if door else _nobody
        claims = door.claims if door else session.claimed(options, targets, say)
        _open["claims"] = claims
        run_dir = session.new_run_dir(options)
        setattr(config.option, RUN_DIR, str(run_dir))
        session.prepare(options, run_dir, claims=claims, say=say)
        config.pluginmanager.register(Deaths(config), "hil-deaths")
    except HilError as error:
        print(f"hil: {error}", file=sys.stderr)
        return error.exit_code
    return None


class Door:
    """What `hil run` hands over: a plugin that holds the boards it took, and listens to progress."""

    def __init__(self, claims: Claims, say: Callable[[str], None]) -> None:
        self.claims = claims
        self.say = say


def _door(config: pytest.Config) -> Door | None:
    return next((plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Door)), None)


def _nobody(text: str) -> None:
    """Nobody listens."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A worker ends with its controller at once, in whatever it is: what it holds is free then."""
    if not _active(config) or not _is_worker(config):
        return
    from harness.lab.process import die_with

    die_with(int(config.workerinput[CONTROLLER]))  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Boards that were kept over scenarios end with the worker, what was held with the run."""
    for bench in _benches.values():
        bench.boards.close()
    _benches.clear()
    claims = _open.pop("claims", None)
    if claims is not None:
        claims.release()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker a board; xdist's own schedulers where boards are as many as wanted."""
    claims = _open.get("claims")
    if not claims:
        return None
    from harness import schedule, session

    targets = [target.id for target in session.targets_of(_options(config))]
    return schedule.scheduler(config, {t: len(ids) for t, ids in claims.boards.items()}, targets)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".toml" or not _active(parent.config):
        return None
    from harness.paths import SCENARIOS

    if file_path.parent.resolve() != SCENARIOS:
        return None
    collector: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return collector


class ScenarioFile(pytest.File):
    """One layer."""

    def collect(self) -> Iterator[ScenarioItem]:
        from harness import plan, scenario, session
        from harness.lab import profiles

        options = _options(self.config)
        known = profiles.load()
        for target in session.targets_of(options):
            selection = session.selection(options, target.id)
            for one in scenario.load_file(self.path).values():
                chosen = [i for i in plan.permutations(one, known, target) if plan.selected(i, selection)]
                for item in plan.repeated(chosen, selection.repeat):
                    yield ScenarioItem.from_parent(self, name=item.node, planned=item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker ends with one alone; the rest stays in the order of the files."""
    if _active(config) and (getattr(config, "workerinput", None) or config.getoption("numprocesses", default=None)):
        items.sort(key=lambda item: -_bound(item))


def _bound(item: pytest.Item) -> int:
    seconds = item.planned.scenario.seconds if isinstance(item, ScenarioItem) else 0
    return seconds if seconds > USUAL_SECONDS else 0


class ScenarioItem(pytest.Item):
    """One scenario in one permutation."""

    def __init__(self, *, planned: PlanItem, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned
        self.extra_keyword_matches.update({planned.scenario.layer, planned.profile, planned.scenario.id})

    def runtest(self) -> None:
        from harness.report.terminal import columns, failure_block
        from harness.run import run_item

        bench = _bench(self.config, self.planned.target)
        verdict = run_item(bench, self.planned)
        self.user_properties.append((VERDICT, verdict.verdict))
        self.user_properties.append(("hil.why", verdict.why))
        if verdict.verdict in ("skip", "known"):
            pytest.skip(verdict.why if verdict.verdict == "skip" else f"known: {verdict.notes[-1]}")
        if verdict.verdict in ("fail", "lab"):
            block = failure_block(verdict, colour=False, relative_to=Path.cwd(), width=columns())
            raise NotPassed(block)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from harness.errors import HilError

        if isinstance(excinfo.value, NotPassed):
            return str(excinfo.value)
        if isinstance(excinfo.value, HilError):
            return f"hil: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.planned.node


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells an xdist worker where the run is, and whose it is."""
    node.workerinput[CONTROLLER] = os.getpid()
    node.workerinput[RUN_DIR] = getattr(node.config.option, RUN_DIR, "")


def _run_dir(config: pytest.Config) -> str:
    given = getattr(config, "workerinput", {}).get(RUN_DIR) or getattr(config.option, RUN_DIR, "")
    return str(given)


_open: dict[str, Claims] = {}
_benches: dict[str, Bench] = {}


def _bench(config: pytest.Config, target: str) -> Bench:
    """The bench of a target in this process, opened once."""
    from harness import session

    folder = Path(_run_dir(config))
    if target not in _benches:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        steps = folder / "secrets" / f"step-{worker}"

        def step(name: str) -> None:
            steps.write_text(name)

        turn = int(worker.removeprefix("gw")) if worker != "main" else 0
        _benches[target] = session.open_bench(folder, step, target=target, turn=turn)
    return _benches[target]


def verdict_of(report: Any) -> str:
    return str(dict(getattr(report, "user_properties", ())).get(VERDICT, ""))


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    if getattr(report, "when", "") != "call" or not (verdict := verdict_of(report)):
        return None
    category = {"pass": "passed", "fail": "failed", "skip": "skipped", "lab": "failed"}.get(verdict, verdict)
    return category, LETTERS[verdict], verdict.upper()


_seen: set[str] = set()
_collected: set[str] = set()


def pytest_runtest_logreport(report: Any) -> None:
    """The controller notes every scenario that was begun, so that one whose worker died is not lost."""
    _seen.add(report.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """And those that workers were to run: with the last worker they would vanish."""
    _collected.update(ids)


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt() -> None:
    """From here on the end is near and bounded: a second Ctrl-C (a terminal sends it to everybody, the sandbox passes
    it on) must not cut the writing of what was judged."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    """On the controller, after the workers have ended: run.json, reports, exit code."""
    yield
    config = session.config
    folder = getattr(config.option, RUN_DIR, "")
    if not folder or _is_worker(config):
        return
    from harness import session as runs
    from harness import store
    from harness.errors import EXIT_INTERRUPTED, HilError

    run_dir = Path(folder)
    try:
        if int(exitstatus) != EXIT_INTERRUPTED:
            _add_lost(config, run_dir)
        if not any(run_dir.glob(f"*/*/{store.VERDICT}")):
            return
        summary = runs.finish(run_dir)
    except HilError as error:
        print(f"hil: {error}", file=sys.stderr)
        session.exitstatus = error.exit_code
        return
    if int(exitstatus) in (EXIT_INTERRUPTED, 3, 4):
        return
    session.exitstatus = runs.exit_code(summary, fail_on_flaky=config.getoption("--fail-on-flaky"))


def _add_lost(config: pytest.Config, run_dir: Path) -> None:
    """Scenarios that were selected and have no verdict: their worker died, or there was none left."""
    if _seen:
        _write_lost(config, run_dir, _seen, "the worker that ran it ended before a verdict")
        _write_lost(config, run_dir, _collected - _seen, "no worker was left for it")


def _write_lost(config: pytest.Config, run_dir: Path, nodes: set[str], why: str) -> None:
    from harness import session, store

    names = {node.partition("::")[2] for node in nodes}
    _, items = session.planned(_options(config))
    for item in items:
        path = run_dir / item.target / item.folder / store.VERDICT
        if item.node in names and not path.is_file():
            store.write_verdict(path, session.lost(item, why), run_dir)


class Deaths:
    """On the controller: what a worker was in when it died has its verdict at once, not only at the run's end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        run_dir = Path(_run_dir(self._config))
        _write_lost(self._config, run_dir, {crashitem}, "the worker that ran it was killed or crashed")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    folder = getattr(config.option, RUN_DIR, "")
    if folder:
        terminalreporter.write_line(f"evidence and reports: {folder}")
