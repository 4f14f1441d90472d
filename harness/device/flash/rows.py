"""Rows that map what a flashing tool printed to a cause. Pure.

A row matches when its patterns are found in this order, each in a line at or after the one before. The first row of a
table that matches wins, so a special case stands above the general one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

MAX_MATCHED = 6
_SEVERITY = re.compile(r"^(Error|Warn|Info) ?: *")


class Row(NamedTuple):
    """`source`: where the lines come from: `seen` (printed by the tool while this was written), `doc` (the tool's
    documentation or source says so), `unverified` (from memory). `always`: a failure even with exit status 0 and every
    sign of success. `climb` is False where it is the image's fault: recovering the board cannot help, and would erase
    it."""

    name: str
    lines: tuple[str, ...]  # regular expressions, case ignored
    cause: str
    sentence: str
    remedy: str
    source: str = "seen"
    always: bool = False
    climb: bool = True


class Verdict(NamedTuple):
    """`ok`, or a cause with one sentence, the next step and the lines that prove it."""

    ok: bool
    cause: str = ""
    sentence: str = ""
    remedy: str = ""
    matched: tuple[str, ...] = ()
    row: str = ""
    climb: bool = True


OK = Verdict(True)


def judge_tool(
    title: str, rows: Sequence[Row], status: int, lines: Sequence[str], proofs: Sequence[str], *, timed_out: str = ""
) -> Verdict:
    """What a run of a tool was. `proofs`: regular expressions that must each be found, in order, once for each time
    they are named; the exit status alone is not believed. `timed_out`: where it was ended by us."""
    found = first_match([row for row in rows if row.always], lines)
    if found is not None:
        return found
    if status == 0 and not timed_out and not (missing := _unproved(proofs, lines)):
        return OK
    found = first_match(rows, lines)
    if found is not None:
        return found
    last = tuple([line for line in lines if line.strip()][-3:])
    log = "read all it said"
    if timed_out or status > 128:
        how = f"went silent and was ended {timed_out}" if timed_out else f"was ended by signal {status - 128}"
        fix = f"unplug the probe and plug it in again; {log}"
        return Verdict(False, "lab.probe_silent", f"{title} {how}", fix, last)
    if status == 0:
        return Verdict(False, "lab.flash_failed", f"{title} ended with 0 and never said `{missing}`", log, last)
    said = f": {last[-1][:160]}" if last else ", and said nothing"
    return Verdict(False, "lab.flash_failed", f"{title} ended with status {status}{said}", log, last)


def _unproved(proofs: Sequence[str], lines: Sequence[str]) -> str:
    at = 0
    for proof in proofs:
        compiled = _compiled(proof)
        while at < len(lines) and not compiled.search(lines[at]):
            at += 1
        if at == len(lines):
            return proof
        at += 1
    return ""


def first_match(rows: Iterable[Row], lines: Sequence[str]) -> Verdict | None:
    """The verdict of the first row that matches, with `{line}` of its sentence filled by the last matching line."""
    for row in rows:
        matched = _match(row.lines, lines)
        if matched:
            sentence = row.sentence.replace("{line}", _SEVERITY.sub("", matched[-1])[:160])
            return Verdict(False, row.cause, sentence, row.remedy, matched[-MAX_MATCHED:], row.name, row.climb)
    return None


def _match(patterns: tuple[str, ...], lines: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    at = 0
    for pattern in patterns:
        compiled = _compiled(pattern)
        while at < len(lines) and not compiled.search(lines[at]):
            at += 1
        if at == len(lines):
            return ()
        if not found or found[-1] != lines[at]:
            found.append(lines[at])
    return tuple(found)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
