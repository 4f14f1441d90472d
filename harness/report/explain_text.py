"""`hil explain` for a terminal: verdict first, then why, the exchange, the sets, the remedy, what would settle it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from harness.diagnosis.compare import Dimension
from harness.model import Cause, Diagnosis
from harness.report.explain_rows import Arrow, Exchange
from harness.report.terminal import WIDTH, plain, whose

_COLOUR = {"ok": "32", "failed": "31", "incomplete": "33", "note": "36", "dim": "2"}
_LANE = 30
LONGEST = 120  # of a row in the exchange


def render(
    diagnosis: Diagnosis, exchanges: Sequence[Exchange], sets: Sequence[Dimension], title: str, colour: bool,
    width: int = WIDTH,
) -> str:  # fmt: skip
    """The whole text, ready to print."""
    lines = [*_verdict(diagnosis, title, colour, width), *_causes(diagnosis.causes, colour, width)]
    lines += _findings(diagnosis.findings, colour, width)
    lines += _sets(sets, diagnosis, colour, width)
    for exchange in exchanges:
        lines += _diagram(exchange, colour, width)
    if diagnosis.advice:
        lines += ["", _paint("What would settle it", "note", colour)]
        for one in diagnosis.advice:
            lines += _wrap("  - ", one, width)
    return "\n".join(lines) + "\n"


def _paint(text: str, how: str, colour: bool) -> str:
    return f"\x1b[{'1;' if how in ('ok', 'failed') else ''}{_COLOUR[how]}m{text}\x1b[0m" if colour else text


def _wrap(label: str, text: str, width: int) -> list[str]:
    indent = " " * len(label)
    wrapped = textwrap.wrap(plain(text), width - len(label), break_long_words=True, break_on_hyphens=False)
    return [label + wrapped[0], *(indent + w for w in wrapped[1:])] if wrapped else [label.rstrip()]


def _verdict(diagnosis: Diagnosis, title: str, colour: bool, width: int) -> list[str]:
    word = {"ok": "OK", "failed": "FAILED", "incomplete": "INCOMPLETE"}[diagnosis.outcome]
    head = _paint(word, diagnosis.outcome, colour)
    if diagnosis.causes:
        first = diagnosis.causes[0]
        said = f"{first.id} ({first.confidence}; {whose(first.side)} has to change something)"
    elif diagnosis.outcome == "ok":
        said = "the device connected and nothing is wrong" if not diagnosis.findings else "connected, with findings"
    else:
        said = "the evidence does not reach to an end: no cause can be named"
    first_line, *more = _wrap(" " * (len(word) + 2), said, width)
    return [head + first_line[len(word) :], *more, f"  {plain(title)}"]


def _causes(causes: Sequence[Cause], colour: bool, width: int) -> list[str]:
    lines: list[str] = []
    for index, cause in enumerate(causes):
        if index == 0:
            lines += ["", *_wrap("  ", cause.explain, width)]
        else:
            label = "Also possible" if cause.confidence == "possible" else "Also"
            head = _paint(f"{label}: {cause.id} ({cause.confidence})", "note", colour)
            lines += ["", head, *_wrap("  ", cause.explain, width)]
            if cause.confidence == "possible":
                continue
        lines += ["  Evidence", *(row for item in cause.evidence for row in _wrap("    ", item, width))]
        if cause.fix:
            lines += ["  What to change", *_wrap("    ", cause.fix, width)]
    return lines


def _findings(findings: Iterable[Cause], colour: bool, width: int) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        lines += ["", _paint(f"Finding: {finding.id} ({finding.confidence})", "note", colour)]
        lines += _wrap("  ", finding.explain, width)
        lines += [row for item in finding.evidence for row in _wrap("    ", item, width)]
        if finding.fix:
            lines += _wrap("  Fix: ", finding.fix, width)
    return lines


def _sets(sets: Sequence[Dimension], diagnosis: Diagnosis, colour: bool, width: int) -> list[str]:
    apart = [d for d in sets if d.ok is False]
    if not apart or diagnosis.outcome == "ok":
        return []
    lines = ["", _paint("Sets that do not meet", "note", colour)]
    for one in apart:
        lines.append(f"  {plain(one.title)}")
        lines += _wrap("    device offers   ", ", ".join(one.offered) or "none", width)
        lines += _wrap("    broker accepts  ", ", ".join(one.accepted or ()) or "none", width)
        if one.note:
            lines += _wrap("    ", one.note, width)
    met = [d for d in sets if d.ok and d.common]
    if met:
        lines += _wrap("  in common: ", "; ".join(f"{d.title}: {', '.join(d.common[:3])}" for d in met), width)
    return lines


def _diagram(exchange: Exchange, colour: bool, width: int) -> list[str]:
    if not exchange.rows:
        return []
    head = f"device {exchange.client}".ljust(_LANE + 20 if width >= WIDTH else width // 2) + f"broker {exchange.server}"
    return ["", _paint(plain(head), "note", colour), *(_row(r, colour, width) for r in exchange.rows)]


def _row(row: Arrow, colour: bool, width: int) -> str:
    text = plain(row.text)
    if not row.side:
        return f"{'':26}{text}"
    arrow = "──▶" if row.side == "c" else "◀──"
    indent = "" if row.side == "c" else "    "
    shown = f"{row.seconds:+11.6f} s  #{row.frame:<5} {indent}{arrow} {text}"
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
    if width < WIDTH and len(shown) > width:
        under = " " * (len(shown) - len(shown.partition(f"{arrow} ")[2]))
        shown = "\n".join(textwrap.wrap(shown, width, subsequent_indent=under, break_on_hyphens=False))
    return _paint(shown, "failed", colour) if row.alarming else shown
