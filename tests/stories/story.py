"""What holds of every story in docs/stories.md: the table in the page is that of the tests, each defect ends 1 with its
cause first, and without it the same scenarios pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.paths import ROOT
from harness.target import find, load
from tests.engine.bench import hil, verdicts

Lines = Mapping[str, tuple[tuple[str, ...], str]]
"""Defect → the scenarios (or permutations) that fail, and the cause each names first."""


def tables_agree(target: str, heading: str, lines: Lines, common: Iterable[str]) -> None:
    """The target's defects are the story's and those of every target; the page has one row for each of the story's."""
    assert {*lines, *common} == set(find(target, load()).defects)
    text = (ROOT / "docs" / "stories.md").read_text()
    section = text.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if re.match(r"\| \d{3} \|", line)]
    for defect, (scenarios, cause) in lines.items():
        found = [row for row in rows if f"| `{defect}` |" in row]
        assert len(found) == 1, defect
        assert f"| `{cause}` |" in found[0]
        named = dict.fromkeys(name.partition("[")[0] for name in scenarios)
        assert f"| {', '.join(named)} |" in found[0]


def reproduced(target: str, lines: Lines, defect: str, folder: Path) -> list[dict[str, Any]]:
    """The run with the defect: exit 1, all its scenarios fail, each with the cause first. Returns the verdicts."""
    scenarios, cause = lines[defect]
    done = hil("run", "--target", target, "--defect", defect, "--run-dir", str(folder), *scenarios, timeout=200)
    assert done.returncode == 1, done.stdout + done.stderr
    given = verdicts(folder)
    assert {v["id"].partition("[")[0] for v in given} == set(scenarios)
    for verdict in given:
        assert verdict["verdict"] == "fail", (verdict["id"], verdict["why"])
        assert verdict["causes"][0]["id"] == cause, (verdict["id"], [c["id"] for c in verdict["causes"]])
    return given


def passes(target: str, lines: Lines, folder: Path, more: Iterable[str] = ()) -> None:
    """Every scenario of the story, and `more`, without a defect."""
    scenarios = {name for names, _ in lines.values() for name in names} | {*more}
    done = hil("run", "--target", target, "--run-dir", str(folder), *sorted(scenarios), timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    given = verdicts(folder)
    assert {v["id"].partition("[")[0] for v in given} == scenarios
    assert {v["verdict"] for v in given} == {"pass"}
