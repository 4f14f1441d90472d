"""The plan: permutations, selection, what does not apply."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import NothingSelected, UsageError
from harness.lab import profiles
from harness.plan import Selection, plan
from harness.scenario import DeviceSetup, Variant
from tests.engine.samples import scenario, target

PROFILES = profiles.load()


def nodes(selection: Selection | None = None, **changes: Any) -> list[str]:
    rows = {"A-1": scenario(id="A-1", profiles=("r12", "e12")), "B-2": scenario(id="B-2", layer="x509", **changes)}
    return [item.node for item in plan(rows, PROFILES, target(), selection)]


def test_one_item_a_permutation() -> None:
    assert nodes() == ["A-1[t-r12]", "A-1[t-e12]", "B-2[t-r12]"]


def test_variants_have_names() -> None:
    variants = (Variant(name="a"), Variant(name="b", profiles=("e12", "e13")))
    assert nodes(variants=variants)[2:] == ["B-2[t-r12-a]", "B-2[t-e12-b]", "B-2[t-e13-b]"]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(ids=("a-1",)), ["A-1[t-r12]", "A-1[t-e12]"]),
        (Selection(ids=("A-1[e12]",)), ["A-1[t-e12]"]),
        (Selection(layers=("x509",)), ["B-2[t-r12]"]),
        (Selection(profiles=("e12",)), ["A-1[t-e12]"]),
        (Selection(keyword="X509"), ["B-2[t-r12]"]),
        (Selection(only=("B-2[r12]",)), ["B-2[t-r12]"]),
        (Selection(ids=("B-2",), repeat=2), ["B-2[t-r12]#1", "B-2[t-r12]#2"]),
    ],
)
def test_selection(selection: Selection, expected: list[str]) -> None:
    assert nodes(selection) == expected


def test_shards_are_a_partition() -> None:
    whole = nodes()
    parts = []
    for index in (1, 2, 3):
        try:
            parts += nodes(Selection(shard=(index, 3)))
        except NothingSelected:
            continue
    assert sorted(parts) == sorted(whole)


def test_nothing_selected() -> None:
    with pytest.raises(NothingSelected) as error:
        nodes(Selection(ids=("C-3",)))
    assert error.value.exit_code == 5


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"needs": ("mqtt5",)}, "lacks mqtt5"),
        ({"needs": ("!tls1.3",)}, "without tls1.3"),
        ({"device": DeviceSetup(defect=("no_sni",))}, "no_sni"),
        ({"device": DeviceSetup(stack={"mbedtls": {}})}, "wolfssl"),
        ({"variants": (Variant(name="v", needs=("resume",)),)}, "lacks resume"),
    ],
)
def test_what_does_not_apply_is_a_skip_with_its_reason(changes: dict[str, Any], why: str) -> None:
    (item,) = plan({"B-2": scenario(id="B-2", **changes)}, PROFILES, target())
    assert why in item.skip


def test_unknown_defect() -> None:
    with pytest.raises(UsageError, match="no_sni"):
        plan({"B-2": scenario()}, PROFILES, target(), defects=("no_sni",))
