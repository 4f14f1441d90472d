"""`hil report`: the reports of a run, made again from run.json and the verdict.json files (after a kill, say)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n  hil report\n  hil report reports/runs/20261121T024603Z-18c825c9c1\n  hil report --json\n"
        "  hil report latest --artifacts upload     a copy without secrets"
    )
    parser.add_argument("run", nargs="?", default="latest", metavar="RUN", help="a run's folder (the latest)")
    parser.add_argument("--artifacts", default="", metavar="OUT",
                        help="copy the run to a new folder OUT, without keys, secrets and firmware")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the run as data")


def run(arguments: argparse.Namespace) -> int:
    from harness import report, session, store
    from harness.report.summary import totals_line
    from harness.report.terminal import columns, failure_block, wants_colour

    folder = session.run_folder(arguments.run)
    if arguments.artifacts:
        return _artifacts(arguments, folder)
    summary = store.read_run(folder)
    store.write_run(folder, summary)
    written = report.write_all(folder, summary)
    if arguments.json:
        sys.stdout.write((folder / store.RUN).read_text())
        return 0
    colour = wants_colour(sys.stdout)
    for verdict in summary.verdicts:
        if verdict.verdict in ("fail", "lab"):
            print(failure_block(verdict, colour=colour, relative_to=Path.cwd(), width=columns()), end="\n\n")
    print(f"{', '.join(summary.targets)}: {totals_line(summary.totals)}")
    for path in written:
        print(path)
    return 0


def _artifacts(arguments: argparse.Namespace, folder: Path) -> int:
    from harness import store
    from harness.report import artifacts

    copied = artifacts.copy(folder, Path(arguments.artifacts))
    if arguments.json:
        print(store.encode(copied).decode(), end="")
        return 0
    for name in copied.masked:
        print(f"masked  {name}")
    print(f"{arguments.artifacts}: {len(copied.files)} files; {len(copied.left_out)} left out (secrets, firmware)")
    return 0
