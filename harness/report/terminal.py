"""What a person sees in the terminal. Device text loses its control characters; colour is the caller's decision."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from harness.model import SetDifference, Verdict

_COLOUR = {
    "pass": "32", "fixed": "32", "warn": "33", "known": "33", "flaky": "33", "fail": "31", "lab": "35", "skip": "90",
}  # fmt: skip
WIDTH = 100  # columns where nobody says how many there are
TOLD = "HIL_COLUMNS"
MAX_NAMES = 12
_SIDES = {"device": "the device", "broker": "the broker", "either": "device or broker", "network": "the network",
          "lab": "the bench"}  # fmt: skip


def wants_colour(stream: TextIO) -> bool:
    """Colour only on a terminal, never with NO_COLOR (no-color.org: set and not empty)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def plain(text: str) -> str:
    """Without control characters, bidirectional overrides, line ends: what a device says must not drive a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def paint(text: str, verdict: str, colour: bool) -> str:
    return f"\x1b[1;{_COLOUR.get(verdict, '0')}m{text}\x1b[0m" if colour else text


def columns(stream: TextIO | None = None) -> int:
    """How wide prose may be: as a run told its workers, else as COLUMNS or the terminal says, within reason."""
    said = os.environ.get(TOLD) or os.environ.get("COLUMNS", "")
    wide = int(said) if said.isascii() and said.isdigit() else 0
    if not wide:
        try:
            wide = os.get_terminal_size((stream or sys.stdout).fileno()).columns
        except (OSError, ValueError):  # no terminal
            wide = 0
    return min(max(wide or WIDTH, 60), 120)


def tell_workers(stream: TextIO) -> None:
    """Workers have no terminal to ask, and a COLUMNS that readline made up (pytest imports it)."""
    os.environ[TOLD] = str(columns(stream))


def hang(line: str, indent: int, stream: TextIO) -> str:
    """A row of a table: on a terminal, what does not fit goes on under its column. A pipe gets one line."""
    wide = columns(stream)
    if not stream.isatty() or len(line) <= wide:
        return line
    if indent > wide // 2:
        return "\n".join(textwrap.wrap(line, wide, subsequent_indent=" " * 6, break_on_hyphens=False))
    rest = textwrap.wrap(line[indent:], wide - indent, break_on_hyphens=False)
    return line[:indent] + ("\n" + " " * indent).join(rest)


def whose(side: str) -> str:
    """Who has to change something, by a cause's `side`."""
    return _SIDES.get(side, side)


def _wrap(label: str, text: str, width: int, hanging: int = 0) -> list[str]:
    indent = " " * (len(label) + 2 + hanging)
    return textwrap.wrap(f"{label}  {plain(text)}", width, subsequent_indent=indent, break_long_words=False) or [label]


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" … {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(plain(n) for n in listed[:MAX_NAMES]) + more or "(none)"


def difference_lines(differences: Iterable[SetDifference], width: int = WIDTH) -> list[str]:
    """The sets that did not meet, side by side; the ones that met in one line."""
    lines = []
    for diff in differences:
        name = diff.dimension.replace("_", " ")
        if diff.common:
            lines += _wrap(f"  {name:21}", f"in common: {_names(diff.common)}", width)
        else:
            lines += _wrap(f"  {name:21}", f"device offers  {_names(diff.offered)}", width, 15)
            lines += _wrap(" " * 23, f"broker accepts {_names(diff.accepted)}", width, 15)
            lines.append(" " * 25 + "nothing in common")
    return lines


def failure_block(verdict: Verdict, *, colour: bool, relative_to: Path | None = None, width: int = WIDTH) -> str:
    """Verdict, alert with its sender, ClientHello against profile, cause, fix, and the files to open."""
    head = f"  {plain(verdict.node)}  {plain(verdict.title)}"
    lines = [paint(verdict.verdict.upper(), verdict.verdict, colour) + head]
    lines += _wrap("  why     ", verdict.why, width)
    if verdict.clause:
        lines += _wrap("  clause  ", verdict.clause, width)
    for alert in verdict.alerts:
        level = {1: "warning", 2: "fatal"}.get(alert.level, f"level {alert.level}")
        sealed = ", encrypted" if alert.encrypted else ""
        said = f"{alert.sender} sent {level} {alert.name} ({alert.code}, 0x{alert.code:02x}){sealed}"
        lines += _wrap("  alert   ", f"{said}, frame {alert.frame}", width)
    if verdict.differences and all(diff.common for diff in verdict.differences):
        names = ", ".join(diff.dimension.replace("_", " ") for diff in verdict.differences)
        lines += _wrap("  hello   ", f"fits profile {verdict.profile}: {names}", width)
    elif verdict.differences:
        lines.append("  ClientHello against profile " + plain(verdict.profile))
        lines += ["  " + line for line in difference_lines(verdict.differences, width - 2)]
    for number, cause in enumerate(verdict.causes[:3]):
        label = "  cause   " if number == 0 else "  or      "
        lines += _wrap(label, f"{cause.id} ({cause.confidence}; {whose(cause.side)} has to change something)", width)
        if number == 0:
            lines += _wrap("          ", cause.explain, width)
            for item in cause.evidence[:6]:
                lines += _wrap("          ", "- " + item, width, 2)
            if cause.fix:
                lines += _wrap("  fix     ", cause.fix, width)
    if verdict.attempts:
        evidence = verdict.attempts[-1].evidence
        files = {"capture": evidence.capture, "uart": evidence.uart, "broker": evidence.broker_log,
                 "flash": evidence.flash_log}  # fmt: skip
        for label, path in files.items():
            if path is not None:
                shown = path.relative_to(relative_to) if relative_to and path.is_relative_to(relative_to) else path
                lines.append(f"  {label:8}  {shown}")
    return "\n".join(lines)
