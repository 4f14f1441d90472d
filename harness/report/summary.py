"""summary.md: what a person or a pull request wants to read; also appended to $GITHUB_STEP_SUMMARY."""

from __future__ import annotations

from harness.model import RunSummary, Verdict

ORDER = ("fail", "lab", "flaky", "warn", "known", "fixed", "pass", "skip")
MARK = {"fail": "❌", "lab": "🔧", "flaky": "🎲", "warn": "⚠️", "known": "📌", "fixed": "✨", "skip": "⏭", "pass": "✅"}


def escape(text: str) -> str:
    """Device text inside a Markdown table: no pipes, no markup, no line ends."""
    flat = " ".join(text.split())
    for mark in "\\`*_[]|<>#":
        flat = flat.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return flat


def totals_line(totals: dict[str, int]) -> str:
    return ", ".join(f"{totals[name]} {name}" for name in ORDER if totals.get(name)) or "nothing ran"


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


def render(summary: RunSummary) -> str:
    verdicts = summary.verdicts
    lines = [
        f"## HIL: {', '.join(summary.targets)}: {totals_line(summary.totals)}",
        "",
        f"Started {summary.started}, finished {summary.finished}, harness {summary.git}.",
        "",
    ]
    notable = [v for name in ORDER[:-2] for v in verdicts if v.verdict == name]
    if notable:
        lines += ["| verdict | scenario | target / profile | alert | cause | why |", "|---|---|---|---|---|---|"]
        lines += [_row(v) for v in notable]
        lines.append("")
    for verdict in (v for v in verdicts if v.verdict == "fail"):
        for cause in verdict.causes[:1]:
            lines += [f"**{escape(verdict.id)}**: {escape(cause.explain)}", "", f"Fix: {escape(cause.fix)}", ""]
    return "\n".join(lines)
