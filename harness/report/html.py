"""index.html: one self-contained page of a run; each scenario opens to its causes, files and timeline.

Everything a device, a capture or a log said passes jinja2's autoescape; the page allows no foreign resource.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from harness.errors import HilError
from harness.evidence import timeline, wire
from harness.model import Evidence, RunSummary, Verdict
from harness.paths import ROOT
from harness.report.summary import ORDER, totals_line
from harness.report.terminal import whose

EARLY = 5  # so many failures are open when the page is loaded


def _anchor(verdict: Verdict) -> str:
    return "".join(c if c.isalnum() else "-" for c in f"{verdict.target}-{verdict.id}-{verdict.profile}")


def _files(evidence: Evidence, run_dir: Path) -> list[tuple[str, str]]:
    named = {"capture": evidence.capture, "UART log": evidence.uart, "broker log": evidence.broker_log,
             "flash log": evidence.flash_log}  # fmt: skip
    found = []
    for name, path in named.items():
        if path is not None:
            full = path if path.is_absolute() else run_dir / path
            if full.exists() and full.resolve().is_relative_to(run_dir.resolve()):
                found.append((name, full.resolve().relative_to(run_dir.resolve()).as_posix()))
    return found


def _rows(evidence: Evidence, run_dir: Path) -> list[timeline.Row]:
    def at(path: Path | None) -> Path | None:
        return path if path is None or path.is_absolute() else run_dir / path

    events: list[dict[str, Any]] = []
    capture = at(evidence.capture)
    if capture is not None and capture.exists():
        try:
            events = wire.decode(capture, keylog=at(evidence.keylog))
        except HilError as error:
            events = [{"ev": "gap", "missing": f"(unreadable: {error})", "t": 0, "frame": 0}]
    return timeline.build(events, timeline.read_text(at(evidence.uart)), timeline.read_text(at(evidence.broker_log)))


def _cases(summary: RunSummary, run_dir: Path) -> list[dict[str, Any]]:
    cases = []
    failures = 0
    for verdict in sorted(summary.verdicts, key=lambda v: ORDER.index(v.verdict)):
        failures += verdict.verdict in ("fail", "lab")
        evidence = verdict.attempts[-1].evidence if verdict.attempts else Evidence()
        rows = _rows(evidence, run_dir)
        times = [row.t for row in rows if row.t]
        cases.append(
            {
                "verdict": verdict,
                "title": verdict.title,
                "clause": verdict.clause,
                "anchor": _anchor(verdict),
                "early": failures <= EARLY,
                "files": _files(evidence, run_dir),
                "rows": rows,
                "t0": min(times, default=0),
            }
        )
    return cases


def render(summary: RunSummary, run_dir: Path) -> str:
    loader = jinja2.FileSystemLoader(ROOT / "reports")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("run.html.j2").render(
        summary=summary,
        totals_line=totals_line(summary.totals),
        chips=[(name, summary.totals[name]) for name in ORDER if summary.totals.get(name)],
        cases=_cases(summary, run_dir),
        whose=whose,
    )
