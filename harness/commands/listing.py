"""`hil list` and `hil show`: what there is, as text or as data."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from harness.errors import UsageError


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "examples:\n  hil list\n  hil list --targets\n  hil list --target native -k tls13"
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--targets", action="store_true", help="the targets")
    what.add_argument("--profiles", action="store_true", help="the broker profiles")
    parser.add_argument("--target", default="", metavar="ID", help="with every permutation, and what does not apply")
    parser.add_argument("-k", dest="keyword", default="", metavar="WORD", help="only what has this word")
    parser.add_argument("--json", action="store_true", help="print data")


def run_list(arguments: argparse.Namespace) -> int:
    if arguments.targets:
        from harness.target import load

        rows = [
            {"id": t.id, "title": t.title, "stack": t.stack, "capabilities": t.capabilities} for t in load().values()
        ]
        return _print(rows, ("id", "stack", "title"), arguments)
    if arguments.profiles:
        from harness.lab.profiles import load as load_profiles

        found = load_profiles().values()
        return _print(
            [{"id": p.name, "title": p.title, "versions": p.versions} for p in found], ("id", "title"), arguments
        )
    if arguments.target:
        return _permutations(arguments)
    from harness.scenario import load as load_scenarios

    rows = [
        {"id": s.id, "layer": s.layer, "level": s.level, "title": s.title, "clause": s.clause}
        for s in load_scenarios().values()
    ]
    return _print(rows, ("id", "layer", "level", "title"), arguments)


def _permutations(arguments: argparse.Namespace) -> int:
    from harness import session

    _, items = session.planned(session.Options(target=arguments.target))
    rows = [
        {"id": i.node, "layer": i.scenario.layer, "profile": i.profile, "title": i.scenario.title, "skip": i.skip}
        for i in items
    ]
    return _print(rows, ("id", "layer", "title", "skip"), arguments)


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], arguments: argparse.Namespace) -> int:
    word = arguments.keyword.lower()
    rows = [row for row in rows if word in " ".join(map(str, row.values())).lower()]
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(rows)) + b"\n")
        return 0
    from harness.report.terminal import hang

    widths = [max([len(str(row[c])) for row in rows], default=0) for c in columns[:-1]]
    for row in rows:
        cells = [f"{row[c]!s:{w}}" for c, w in zip(columns, widths, strict=False)]
        start = sum(widths) + 2 * len(widths)
        print(hang("  ".join([*cells, str(row[columns[-1]])]).rstrip(), start, sys.stdout))
    return 0


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "examples:\n  hil show T12-03\n  hil show native\n  hil show r12-mutual"
    parser.add_argument("name", metavar="NAME", help="a scenario, a target or a broker profile")
    parser.add_argument("--json", action="store_true", help="print data")


def run_show(arguments: argparse.Namespace) -> int:
    found = _find(arguments.name)
    data = msgspec.json.decode(msgspec.json.encode(found))
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(data)) + b"\n")
        return 0
    for key, value in data.items():
        if value not in ("", [], {}, None, False) or key == "tls":
            _show(key, value, 0)
    return 0


def _find(name: str) -> Any:
    from harness import scenario, target
    from harness.lab import profiles

    scenarios, targets, known = scenario.load(), target.load(), profiles.load()
    for table, key in ((scenarios, name.upper()), (targets, name), (known, name)):
        if key in table:
            return table[key]
    import difflib

    near = difflib.get_close_matches(name, [*scenarios, *targets, *known], n=3)
    raise UsageError(f"nothing is called `{name}`", f"did you mean {', '.join(near)}?" if near else "`hil list`")


def _show(key: str, value: Any, depth: int) -> None:
    pad = "  " * depth
    from harness.report.terminal import hang

    if isinstance(value, dict):
        if not any(one not in ("", [], {}, None, False) for one in value.values()):
            return
        print(f"{pad}{key}:")
        for inner, one in value.items():
            if one not in ("", [], {}, None, False):
                _show(inner, one, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, one in enumerate(value, 1):
            _show(f"{key} {number}", one, depth)
    elif isinstance(value, list):
        print(hang(f"{pad}{key}: {', '.join(map(str, value))}", depth * 2 + 2, sys.stdout))
    else:
        shown = f"{value:#010x}" if key == "address" and isinstance(value, int) else value
        print(hang(f"{pad}{key}: {shown}", depth * 2 + 2, sys.stdout))
