"""What a person sees while `hil run` runs: counts and the current step on a terminal, plain lines otherwise."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO

import pytest

from harness.pytest_plugin import RUN_DIR, verdict_of
from harness.report.terminal import paint, plain, wants_colour

REFRESH = 0.2  # seconds between two looks at the workers' steps


class Progress:
    """A pytest plugin in place of the terminal reporter. `stream`: where to; quiet when None."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._out = stream or sys.stderr
        self._live = self._out.isatty()
        self._colour = wants_colour(self._out)
        self._total = 0
        self._done: Counter[str] = Counter()
        self._running: dict[str, float] = {}
        self._folder: Path | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._begun = time.monotonic()
        self.problems: list[str] = []

    # -- before the run --

    def phase(self, text: str) -> None:
        if self._live:
            self._status(text)
        elif not text.startswith("["):  # a build tool's own progress is for terminals
            self._line(text)

    # -- pytest's hooks --

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self._folder = Path(getattr(config.option, RUN_DIR, "."))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)
        self._start(session.config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        self._total = len(ids)
        self._start(node.config)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(str(report.longrepr))
            self._line(str(report.longrepr))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        with self._lock:
            self._running[nodeid.partition("::")[2]] = time.monotonic()

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid.partition("::")[2]
        verdict = verdict_of(report)
        if report.when != "call" and not (report.failed and not verdict):
            return
        if not verdict:  # a worker that died, or an error of ours
            verdict = "lab"
        with self._lock:
            self._running.pop(name, None)
            self._done[verdict] += 1
            count = sum(self._done.values())
        if self._live and verdict in ("pass", "skip"):
            return
        why = dict(report.user_properties).get("hil.why", "")
        head = f"[{count:>{len(str(self._total))}}/{self._total}]"
        text = f"{head} {paint(f'{verdict:5}', verdict, self._colour)} {name}  {report.duration:.1f} s"
        self._line(text + (f"  {plain(str(why))[:160]}" if verdict not in ("pass", "fail", "lab") else ""))
        if verdict in ("fail", "lab"):
            head, _, rest = str(report.longrepr).partition("  ")
            self._line(f"{paint(head, verdict, self._colour)}  {rest}")

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.problems.append(str(excrepr).splitlines()[-1])
        self._line(f"hil: an error of the bench itself: {str(excrepr)[-1500:]}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Outermost: the end of the workers and the reports are still to be seen."""
        try:
            return (yield)
        finally:
            self._stop.set()
            if self._thread is not None:
                self._thread.join(2.0)
            self._clear()

    # -- inside --

    def _start(self, config: pytest.Config) -> None:
        self._folder = Path(getattr(config.option, RUN_DIR, "."))
        if self._live and self._thread is None:
            self._thread = threading.Thread(target=self._refresh, name="hil-progress", daemon=True)
            self._thread.start()

    def _refresh(self) -> None:
        while not self._stop.wait(REFRESH):
            with self._lock:
                running = list(self._running)
                done = sum(self._done.values())
                counts = " ".join(f"{n} {name}" for name, n in sorted(self._done.items()))
            steps = self._steps()
            idle = "reports" if done and done >= self._total else "starting"
            doing = f"{running[0]}: {steps}" if running else idle
            self._status(f"[{done}/{self._total}] {counts}  {time.monotonic() - self._begun:.0f} s  {doing}")

    def _steps(self) -> str:
        steps = []
        if self._folder is not None:
            for path in sorted((self._folder / "secrets").glob("step-*")):
                with contextlib.suppress(OSError):
                    steps.append(path.read_text())
        return "/".join(steps)

    def _status(self, text: str) -> None:
        width = os.get_terminal_size(self._out.fileno()).columns - 1
        with self._lock:
            self._out.write(f"\r\x1b[K{plain(text)[:width]}")
            self._out.flush()

    def _clear(self) -> None:
        if self._live:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _line(self, text: str) -> None:
        with self._lock:
            if self._live:
                self._out.write("\r\x1b[K")
            self._out.write(text + "\n")
            self._out.flush()
