"""summary.md: what a person or a pull request wants to read; also appended to $GITHUB_STEP_SUMMARY."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.model import Cause, RunSummary, Verdict

ORDER = ("fail", "lab", "flaky", "warn", "known", "fixed", "pass", "skip")
MAX_REASONS = 5  # why something was skipped
MAX_NAMED = 4  # scenarios that one cause is printed for
MARK = {"fail": "❌", "lab": "🔧", "flaky": "🎲", "warn": "⚠️", "known": "📌", "fixed": "✨", "skip": "⏭", "pass": "✅"}


def escape(text: str) -> str:
    """Device text inside a Markdown table: no pipes, no markup, no line ends."""
    flat = " ".join(text.split())
    for mark in "\\`*_[]|<>#":
        flat = flat.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return flat


def totals_line(totals: dict[str, int]) -> str:
    return ", ".join(f"{totals[name]} {name}" for name in ORDER if totals.get(name)) or "nothing ran"


def skips_line(verdicts: Iterable[Verdict]) -> str:
    """Why what was skipped was skipped, the most frequent reason first; "" when nothing was."""
    reasons = Counter(v.why.removeprefix("skip ") for v in verdicts if v.verdict == "skip").most_common()
    listed = [f"{why} ({n})" for why, n in reasons[:MAX_REASONS]]
    rest = sum(n for _, n in reasons[MAX_REASONS:])
    return "; ".join([*listed, *([f"others ({rest})"] if rest else [])])


def _row(verdict: Verdict) -> str:
    cause = verdict.causes[0] if verdict.causes else None
    alert = verdict.alerts[0] if verdict.alerts else None
    seen = f"{alert.sender} {alert.name} ({alert.code})" if alert else ""
    return " | ".join(
        [
            f"| {MARK[verdict.verdict]} {verdict.verdict}",
            escape(verdict.id),
            escape(f"{verdict.target} / {verdict.profile}"),
            escape(seen),
            f"`{cause.id}`" if cause else "",
            escape(verdict.why) + " |",
        ]
    )


def _reasons(verdicts: Iterable[Verdict]) -> dict[Cause, list[str]]:
    """What each failure's first cause says, once for all scenarios of which it says the same."""
    reasons: dict[tuple[str, str, str], tuple[Cause, list[str]]] = {}
    for verdict in verdicts:
        if verdict.verdict == "fail" and verdict.causes:
            cause = verdict.causes[0]
            reasons.setdefault((cause.id, cause.explain, cause.fix), (cause, []))[1].append(verdict.node)
    return dict(reasons.values())


def render(summary: RunSummary) -> str:
    verdicts = summary.verdicts
    lines = [
        f"## HIL: {', '.join(summary.targets)}: {totals_line(summary.totals)}",
        "",
        f"Started {summary.started}, finished {summary.finished}, harness {summary.git}.",
        "",
    ]
    if skipped := skips_line(verdicts):
        lines += [f"Skipped: {escape(skipped)}.", ""]
    notable = [v for name in ORDER[:-2] for v in verdicts if v.verdict == name]
    if notable:
        lines += ["| verdict | scenario | target / profile | alert | cause | why |", "|---|---|---|---|---|---|"]
        lines += [_row(v) for v in notable]
        lines.append("")
    for cause, nodes in _reasons(verdicts).items():
        more = f" and {len(nodes) - MAX_NAMED} more" if len(nodes) > MAX_NAMED else ""
        lines += [f"**{escape(', '.join(nodes[:MAX_NAMED]) + more)}**: {escape(cause.explain or cause.id)}", ""]
        lines += [f"Fix: {escape(cause.fix)}", ""] if cause.fix else []
    return "\n".join(lines)
