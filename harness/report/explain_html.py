"""`hil explain --html`: one self-contained file. What evidence says is escaped; no script, no foreign resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from harness.diagnosis.compare import Dimension
from harness.model import Cause, Diagnosis
from harness.report.explain_rows import Exchange
from harness.report.terminal import plain, whose

_CSS = """
:root{color-scheme:light dark;--ok:#1a7f37;--failed:#cf222e;--incomplete:#9a6700;--line:#8884}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
.verdict{border-left:.4rem solid var(--c);padding:.4rem 1rem}.verdict b{color:var(--c)}
.ok{--c:var(--ok)}.failed{--c:var(--failed)}.incomplete{--c:var(--incomplete)}
.cause{border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;margin:.6rem 0}
.fix{border-left:.2rem solid var(--ok);padding-left:.7rem}.tag{font-size:.85em;opacity:.75}
code,.mono{font-family:ui-monospace,monospace;font-size:.9em;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.15rem .5rem;
border-bottom:1px solid var(--line)}td.t{text-align:right;white-space:nowrap;opacity:.75}
tr.bad td{color:var(--failed);font-weight:600}tr.s td.x{padding-left:4rem}.scroll{overflow-x:auto}
"""


def page(diagnosis: Diagnosis, exchanges: Sequence[Exchange], sets: Sequence[Dimension], title: str) -> str:
    """The whole document."""
    first = diagnosis.causes[0] if diagnosis.causes else None
    head = first.id if first else {"ok": "connected", "incomplete": "no cause can be named"}.get(diagnosis.outcome, "")
    body = [
        f'<header class="verdict {diagnosis.outcome}"><h1><b>{diagnosis.outcome.upper()}</b> {_e(head)}</h1>',
        f"<div>{_e(first.explain if first else '')}</div><div class=tag>{_e(title)}</div></header>",
    ]
    if diagnosis.causes:
        body += ["<h2>Causes</h2>", *map(_cause, diagnosis.causes)]
    if diagnosis.findings:
        body += ["<h2>Findings</h2>", *map(_cause, diagnosis.findings)]
    apart = [d for d in sets if d.ok is False]
    if apart and diagnosis.outcome != "ok":
        body += ["<h2>Sets that do not meet</h2>", _sets(apart)]
    for exchange in exchanges:
        body.append(_exchange(exchange))
    if diagnosis.advice:
        body += ["<h2>What would settle it</h2><ul>", *(f"<li>{_e(a)}</li>" for a in diagnosis.advice), "</ul>"]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_e(head or diagnosis.outcome)}</title><style>{_CSS}</style></head><body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _e(text: str) -> str:
    return escape(plain(text), quote=True)


def _cause(cause: Cause) -> str:
    evidence = "".join(f"<li class=mono>{_e(item)}</li>" for item in cause.evidence)
    fix = f'<p class="fix">{_e(cause.fix)}</p>' if cause.fix else ""
    return (
        f'<section class="cause"><b><code>{_e(cause.id)}</code></b> '
        f'<span class="tag">{_e(cause.confidence)} · {_e(whose(cause.side))} has to change something</span>'
        f"<p>{_e(cause.explain)}</p><ul>{evidence}</ul>{fix}</section>"
    )


def _sets(apart: Iterable[Dimension]) -> str:
    rows = "".join(
        f"<tr><th>{_e(d.title)}</th><td>{_e(', '.join(d.offered) or 'none')}</td>"
        f"<td>{_e(', '.join(d.accepted or ()) or 'none')}</td></tr>"
        for d in apart
    )
    return (
        f"<div class=scroll><table><tr><th></th><th>device offers</th><th>broker accepts</th></tr>{rows}</table></div>"
    )


def _exchange(exchange: Exchange) -> str:
    rows = []
    for row in exchange.rows:
        arrow = {"c": "→", "s": "←"}.get(row.side, "")
        style = f"{row.side or 'n'}{' bad' if row.alarming else ''}"
        where = f"#{row.frame}" if row.frame else ""
        rows.append(
            f'<tr class="{style}"><td class=t>{row.seconds:.6f} s</td><td class=t>{where}</td>'
            f'<td class="x mono">{arrow} {_e(row.text)}</td></tr>'
        )
    if not rows:
        return ""
    title = f"device {exchange.client} and broker {exchange.server}"
    return f"<h2>{_e(title)}</h2><div class=scroll><table>{''.join(rows)}</table></div>"
