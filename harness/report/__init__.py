"""Reports of a run. `run.json` is the source of truth; everything here is made from it and can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from harness.model import RunSummary


def write_all(run_dir: Path, summary: RunSummary) -> list[Path]:
    """Writes junit.xml, summary.md and index.html into `run_dir`; appends the summary to $GITHUB_STEP_SUMMARY."""
    from harness.report import html, junit
    from harness.report import summary as markdown

    written = [run_dir / "junit.xml", run_dir / "summary.md", run_dir / "index.html"]
    junit.write(summary, written[0])
    text = markdown.render(summary)
    written[1].write_text(text, encoding="utf-8")
    written[2].write_text(html.render(summary, run_dir), encoding="utf-8")
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if step_summary:
        with Path(step_summary).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    return written
