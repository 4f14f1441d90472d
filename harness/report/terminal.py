"""What a person sees in the terminal. Device text loses its control characters; colour is the caller's decision."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from harness.model import SetDifference, Verdict

_COLOUR = {
    "pass": "32", "fixed": "32", "warn": "33", "known": "33", "flaky": "33", "fail": "31", "lab": "35", "skip": "90",
}  # fmt: skip
WIDTH = 100
MAX_NAMES = 12


def wants_colour(stream: TextIO) -> bool:
    """Colour only on a terminal, never with NO_COLOR (no-color.org: set and not empty)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def plain(text: str) -> str:
    """Without control characters, bidirectional overrides, line ends: what a device says must not drive a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def paint(text: str, verdict: str, colour: bool) -> str:
    return f"\x1b[1;{_COLOUR.get(verdict, '0')}m{text}\x1b[0m" if colour else text


def _wrap(label: str, text: str) -> list[str]:
    indent = " " * (len(label) + 2)
    return textwrap.wrap(f"{label}  {plain(text)}", WIDTH, subsequent_indent=indent, break_long_words=False) or [label]


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" … {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(plain(n) for n in listed[:MAX_NAMES]) + more or "(none)"


def difference_lines(differences: Iterable[SetDifference]) -> list[str]:
    """The sets that did not meet, side by side; the ones that met in one line."""
    lines = []
    for diff in differences:
        name = diff.dimension.replace("_", " ")
        if diff.common:
            lines += _wrap(f"  {name:21}", f"in common: {_names(diff.common)}")
        else:
            lines += _wrap(f"  {name:21}", f"device offers  {_names(diff.offered)}")
            lines += _wrap(" " * 23, f"broker accepts {_names(diff.accepted)}")
            lines.append(" " * 25 + "nothing in common")
    return lines


def failure_block(verdict: Verdict, *, colour: bool, relative_to: Path | None = None) -> str:
    """Verdict, alert with its sender, ClientHello against profile, cause, fix, and the three files to open."""
    lines = [f"{paint(verdict.verdict.upper(), verdict.verdict, colour)}  {plain(verdict.id)}  {plain(verdict.title)}"]
    lines += _wrap("  why     ", verdict.why)
    if verdict.clause:
        lines += _wrap("  clause  ", verdict.clause)
    for alert in verdict.alerts:
        level = {1: "warning", 2: "fatal"}.get(alert.level, f"level {alert.level}")
        sealed = ", encrypted" if alert.encrypted else ""
        lines += _wrap(
            "  alert   ",
            f"{alert.sender} sent {level} {alert.name} ({alert.code}, 0x{alert.code:02x}){sealed}, frame {alert.frame}",
        )
    if verdict.differences:
        lines.append("  ClientHello against profile " + plain(verdict.profile))
        lines += ["  " + line for line in difference_lines(verdict.differences)]
    for number, cause in enumerate(verdict.causes[:3]):
        lines += _wrap("  cause   " if number == 0 else "  or      ", f"{cause.id} ({cause.confidence}, {cause.side})")
        if number == 0:
            lines += _wrap("          ", cause.explain)
            for item in cause.evidence[:6]:
                lines += _wrap("          ", "- " + item)
            if cause.fix:
                lines += _wrap("  fix     ", cause.fix)
    if verdict.attempts:
        evidence = verdict.attempts[-1].evidence
        files = {"capture": evidence.capture, "uart": evidence.uart, "broker": evidence.broker_log,
                 "flash": evidence.flash_log}  # fmt: skip
        for label, path in files.items():
            if path is not None:
                shown = path.relative_to(relative_to) if relative_to and path.is_relative_to(relative_to) else path
                lines.append(f"  {label:8}  {shown}")
    return "\n".join(lines)
