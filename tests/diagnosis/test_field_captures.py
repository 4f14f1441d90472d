"""The 83 shared captures: right with all evidence, right from the wire alone where an expert would be, never sure and
wrong, whatever part of the evidence is there.
"""

from __future__ import annotations

import pytest

from harness.diagnosis.vocabulary import causes
from tests.diagnosis import cases

ACCEPTED = ("server_certificate.accepted_",)


@pytest.mark.parametrize("name", cases.names())
def test_all_evidence(name: str) -> None:
    truth, found = cases.truth()[name], cases.diagnosis(name, "wkubc")
    assert found.outcome == truth["outcome"]
    accepted = [f.id for f in found.findings if f.id.startswith(ACCEPTED)]
    if truth["outcome"] == "ok":
        assert found.causes == ()
        assert accepted == truth["findings"]
    else:
        assert found.causes[0].id in truth["causes"]
        assert found.causes[0].evidence
        assert found.causes[0].fix


@pytest.mark.parametrize("name", [n for n in cases.names() if cases.truth()[n].get("wire") == "yes"])
def test_capture_alone(name: str) -> None:
    found = cases.diagnosis(name, "w")
    assert found.outcome == "failed"
    assert found.causes[0].id in cases.truth()[name]["causes"]


@pytest.mark.parametrize("name", [n for n in cases.names() if cases.truth()[n]["outcome"] == "ok"])
@pytest.mark.parametrize("streams", ["w", "wk", "wu", "wb", "wc", "wubc"])
def test_good_runs_are_left_alone(name: str, streams: str) -> None:
    found = cases.diagnosis(name, streams)
    assert (found.outcome, found.causes) == ("ok", ())


@pytest.mark.parametrize("streams", ["wkubc", "w", "wu", "wb", "wk", "wc", "wubc", "u", "b", "ub"])
def test_nothing_certain_is_wrong(streams: str) -> None:
    wrong = []
    for name in cases.names():
        if streams in ("u", "b", "ub") and not any(
            (cases.DATA / f"{name}.{kind}.log").is_file() for kind in ("uart", "broker") if kind[0] in streams
        ):
            continue
        for cause in cases.diagnosis(name, streams).causes:
            if cause.confidence == "certain" and cause.id not in cases.truth()[name].get("causes", []):
                wrong.append((name, cause.id))
    assert wrong == []


@pytest.mark.parametrize(("streams", "least"), [("wubc", 78), ("wb", 72), ("wk", 76), ("wu", 72), ("ub", 70)])
def test_part_of_the_evidence_still_says_most(streams: str, least: int) -> None:
    """Without some streams the first cause is still right for most; the number only ever rises."""
    right = 0
    for name in cases.names():
        truth, found = cases.truth()[name], cases.diagnosis(name, streams)
        if truth["outcome"] == "ok":
            right += found.outcome == "ok" and not found.causes
        else:
            right += found.outcome == "failed" and bool(found.causes) and found.causes[0].id in truth["causes"]
    assert right >= least


def test_every_word_is_in_the_vocabulary() -> None:
    for name in cases.names():
        found = cases.diagnosis(name, "wkubc")
        assert all(c.id in causes() for c in (*found.causes, *found.findings))
