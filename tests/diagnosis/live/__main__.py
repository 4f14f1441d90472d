"""`python -m tests.diagnosis.live [--keep DIR] [--subset NAME]… [--list] [--bad]
[--repeat N] [NAME or glob]…`

Makes the cases (all without names) in a sandbox, explains each with several subsets of its evidence, prints a table.
Exit 1 when something is wrong. `--judge DIR` judges evidence that an earlier run kept.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import tempfile
from collections import Counter
from pathlib import Path

from harness.lab import sandbox
from tests.diagnosis.live import bench, cases
from tests.diagnosis.live.case import Case, Made
from tests.diagnosis.live.judge import SUBSETS, Judgement, judge


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.diagnosis.live")
    parser.add_argument("names", nargs="*", help="names or globs; default: every case")
    parser.add_argument("--keep", type=Path, help="folder for the evidence")
    parser.add_argument("--judge", type=Path, help="judge the evidence in this folder; make nothing")
    parser.add_argument("--subset", action="append", choices=sorted(SUBSETS), help="only these subsets")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--repeat", type=int, default=1, help="make each case so often, each turn in a folder")
    parser.add_argument("--bad", action="store_true", help="print only what is wrong")
    options = parser.parse_args()
    table = cases.table()
    names = [n for n in table if not options.names or any(fnmatch.fnmatch(n, want) for want in options.names)]
    if options.list:
        print("\n".join(names))
        return 0
    if not names:
        print("no case has such a name")
        return 4
    if not options.judge:
        sandbox.enter()
    with tempfile.TemporaryDirectory(prefix="hil-live-") as scratch:
        folder = (options.judge or options.keep or Path(scratch) / "evidence").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if options.judge:
            made = [Made(table[n], folder) for n in names]
            made = [m for m in made if m.file("pcap").exists()]
        else:
            made = produce([table[n] for n in names], Path(scratch), folder, options.repeat)
        return show(made, options.subset or list(SUBSETS), options.bad)


def produce(wanted: list[Case], scratch: Path, folder: Path, repeat: int) -> list[Made]:
    work = scratch / "work"
    work.mkdir()
    bench.prepare(work)
    done = []
    for turn, case in [(turn, case) for turn in range(repeat) for case in wanted]:
        place = folder / str(turn) if repeat > 1 else folder
        place.mkdir(exist_ok=True)
        try:
            done.append(bench.make(case, work, place))
        except (OSError, RuntimeError) as error:
            print(f"NOT MADE {case.name}: {error}", file=sys.stderr)
    return done


def show(made: list[Made], subsets: list[str], only_bad: bool) -> int:
    for one in made:
        if one.skipped:
            print(f"skipped  {one.case.name}: {one.skipped}")
    there = [m for m in made if not m.skipped]
    results: list[Judgement] = []
    for one in there:
        for subset in subsets:
            result = judge(one, subset)
            results.append(result)
            if not only_bad or not result.good:
                print(f"{result.grade:14} {subset:8} {result.case:44} {result.said}")
    print(f"\n{len(there)} cases")
    for subset in subsets:
        count = Counter(r.grade for r in results if r.subset == subset)
        print(f"  {subset:8} " + "  ".join(f"{grade} {n}" for grade, n in sorted(count.items())))
    return 0 if all(r.good for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
