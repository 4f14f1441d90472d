"""From facts to a diagnosis: run the rules, order the claims, word the causes. Pure, but for tables read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from harness.diagnosis import advice, connections, remedies, rules
from harness.diagnosis.facts import Story, tell
from harness.diagnosis.outcome import works
from harness.diagnosis.rules.claim import FALLBACK, HIDDEN, LIKELY, MAYBE, Claim
from harness.diagnosis.vocabulary import causes as vocabulary
from harness.model import Cause, Confidence, DeviceFacts, Diagnosis, Listener

if TYPE_CHECKING:
    from harness.evidence.broker_log import BrokerEntry
    from harness.evidence.uart import UartLog

MOST = 5  # causes shown
STEPS = 4  # points by which rules order alternatives of one picture below MAYBE
ALTERNATIVES = 3  # of which only possible
_LEVELS: tuple[Confidence, ...] = ("possible", "probable", "certain")


def diagnose(
    events: Iterable[Mapping[str, Any]],
    uart: UartLog | None = None,
    broker: Sequence[BrokerEntry] = (),
    listener: Listener | None = None,
    device: DeviceFacts | None = None,
) -> Diagnosis:
    """The diagnosis of one story (all attempts in one capture)."""
    return diagnose_story(tell(events, uart, broker, listener, device))


def diagnose_story(story: Story) -> Diagnosis:
    state = works(story)
    claims = run(story, state)
    ordered = order(claims)
    outcome = judge(state, ordered)
    if outcome == "ok":
        ordered = []
    found = sorted(_merge(c for rule in rules.FINDINGS for c in rule(story)), key=lambda c: -c.weight)
    stack, beside = remedies.stack_of(story), remedies.beside(story)
    return Diagnosis(
        outcome=outcome,
        causes=tuple(_word(c, stack, beside) for c in ordered),
        findings=tuple(_word(c, stack, beside) for c in found),
        connections=tuple(connections.describe(c) for c in story.conns),
        advice=advice.settle(story, ordered),
    )


def where(story: Story) -> tuple[int, str]:
    """(frame, cause id) at which it went wrong, for the annotated capture; (0, "") when nowhere on the wire."""
    for claim in order(run(story, works(story))):
        if claim.frame:
            return claim.frame, claim.id
    return 0, ""


def run(story: Story, state: bool | None) -> list[Claim]:
    """All claims of the rules that apply. On a story that works only what the later session shows."""
    table = rules.ALWAYS if state is True else (*rules.ALWAYS, *rules.FAILED)
    return [claim for rule in table for claim in rule(story)]


def judge(state: bool | None, ordered: Sequence[Claim]) -> Literal["ok", "failed", "incomplete"]:
    """failed: something went wrong; ok: it works; incomplete: the evidence does not reach to an end."""
    if ordered and (state is False or ordered[0].weight >= MAYBE or ordered[0].confidence != "possible"):
        return "failed"
    if state is True:
        return "ok"
    return "failed" if state is False else "incomplete"


def order(claims: Iterable[Claim]) -> list[Claim]:
    """Best first, one claim a cause; only the first may be certain; what explains nothing more is left out."""
    merged = sorted(_merge(claims), key=lambda c: (-c.weight, -_LEVELS.index(c.confidence)))
    if not merged:
        return []
    best = merged[0]
    kept = [best]
    alternatives = 0
    for claim in merged[1:]:
        second = HIDDEN <= claim.weight < FALLBACK - 5
        if claim.weight < MAYBE - STEPS and best.weight >= MAYBE and not second:
            continue  # a fallback beside a named cause
        if best.confidence == "certain" and claim.weight < LIKELY and not second:
            continue  # nothing is open
        if claim.confidence == "possible":
            alternatives += 1
            if alternatives > ALTERNATIVES:
                continue
        level: Confidence = "probable" if claim.confidence == "certain" else claim.confidence
        kept.append(msgspec.structs.replace(claim, confidence=level))
    return kept[:MOST]


def _merge(claims: Iterable[Claim]) -> list[Claim]:
    """One claim an id: the heaviest wins, the evidence of the others is added."""
    best: dict[str, Claim] = {}
    for claim in claims:
        known = best.get(claim.id)
        if known is None:
            best[claim.id] = claim
            continue
        first, other = (claim, known) if claim.weight > known.weight else (known, claim)
        extra = tuple(e for e in other.evidence if e not in first.evidence)
        best[claim.id] = msgspec.structs.replace(
            first,
            evidence=(*first.evidence, *extra)[:8],
            explain=first.explain or other.explain,
            frame=first.frame or other.frame,
        )
    return list(best.values())


def _word(claim: Claim, stack: str, beside: tuple[str, ...]) -> Cause:
    entry = vocabulary()[claim.id]
    return Cause(
        id=claim.id,
        side=entry.side,
        confidence=claim.confidence,
        evidence=claim.evidence,
        explain=claim.explain or entry.text,
        fix=remedies.remedy(claim.id, stack, beside),
    )
