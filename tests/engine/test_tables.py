"""What is wrong in a TOML file is named with file, table and key; the tables of this repository are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import scenario, target
from harness.errors import EXIT_USAGE, UsageError
from harness.lab import profiles
from harness.plan import plan
from harness.verdict.checks import REGISTRY
from tests.engine import samples

ROW = """
["T12-99"]
title = "t"
via = "MP"
level = "must"
clause = "c"
stimulus = "s"
expected = "e"
profiles = ["r12"]
"""


def load(tmp_path: Path, text: str, name: str = "tls12.toml") -> dict[str, scenario.Scenario]:
    (tmp_path / name).write_text(text)
    return scenario.load(tmp_path)


def test_a_row(tmp_path: Path) -> None:
    one = load(tmp_path, ROW)["T12-99"]
    assert (one.layer, one.fits.outcome, one.unfit.outcome) == ("tls12", "connect", "reject")


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ("profile = 1", "profile"),
        ("level = 3", "not valid TOML"),
        ("fits = { outcom = 'connect' }", "outcom"),
        ("fits = { outcome = 'refuse' }", "fits.outcome"),
        ("checks = ['no_such']", "no_such"),
        ("checks = ['server_nam']", "did you mean `server_name`"),
        ("fits = { outcome = 'reject' }", "fits.met"),
        ("fits = { outcome = 'any', met = ['client_hello'] }", "without checks"),
        ("fits = { outcome = 'reject', rule = 'named', met = ['tcp'] }", "alerts"),
        ("device = { identity = 3 }", "device.identity"),
        ("id = 'X'", "id"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, extra: str, named: str) -> None:
    with pytest.raises(UsageError) as error:
        load(tmp_path, ROW + extra)
    text = str(error.value)
    assert named in text and "tls12.toml" in text
    assert error.value.exit_code == EXIT_USAGE


def test_an_unknown_profile_is_named() -> None:
    one = samples.scenario(profiles=("r99",))
    with pytest.raises(UsageError, match="r99"):
        plan({"X-1": one}, profiles.load(), samples.target())


TARGET = """
id = "t"
title = "t"
board = "b"
stack = "s"
capabilities = []
[build]
command = "true"
image = "x"
[console]
kind = "pty"
[network]
kind = "loopback"
"""


@pytest.mark.parametrize(
    ("extra", "named"),
    [("[flahs]\n", "flahs"), ("[limits]\nboot = 3\n", "`boot`"), ("[[known]]\nscenario='a'\n", "known")],
)
def test_target_errors(tmp_path: Path, extra: str, named: str) -> None:
    (tmp_path / "t.toml").write_text(TARGET + extra)
    with pytest.raises(UsageError) as error:
        target.load(tmp_path)
    assert named in str(error.value) and "t.toml" in str(error.value)


def test_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        target.find("natve", target.load())
    assert "did you mean `native`" in str(error.value) and "qemu-m33" in str(error.value)


# -- the repository's own tables --

WAVE1 = [f"CH-{n:02}" for n in range(1, 23)] + [f"T12-{n:02}" for n in range(1, 16)]
WAVE1 += [f"T13-{n:02}" for n in range(1, 13)] + ["TCP-17", "TCP-18"]
WAVE1 += [f"X5-{n:02}" for n in (1, 2, 3, 6, 7, 8, 15, 21, 28, 29, 30, 31, 50)]
WAVE1 += [f"M3-{n:02}" for n in (1, 2, 3, 4, 5, 16, 17, 31, 35, 38)]


def test_wave_one_is_whole() -> None:
    known = scenario.load()
    assert len(WAVE1) == 74
    assert [name for name in WAVE1 if name not in known] == []


def test_every_scenario_plans_on_every_target() -> None:
    scenarios, known = scenario.load(), profiles.load()
    for one in target.load().values():
        items = plan(scenarios, known, one)
        assert {item.scenario.id for item in items} == set(scenarios)
        assert len({item.node for item in items}) == len(items), "two permutations with one name"
        assert len({item.folder for item in items}) == len(items), "two permutations in one folder"


def test_every_cause_named_exists() -> None:
    from harness.diagnosis.vocabulary import causes

    known = causes()
    for one in scenario.load().values():
        branches = [
            one.fits,
            one.unfit,
            *(v.fits for v in one.variants if v.fits),
            *(v.unfit for v in one.variants if v.unfit),
        ]
        for branch in branches:
            assert [c for c in branch.cause if c not in known] == [], one.id


def test_every_check_is_used_and_names_its_clause() -> None:
    used = {c for s in scenario.load().values() for c in (*s.checks, *(c for v in s.variants for c in v.checks or ()))}
    assert set(REGISTRY) - used == set()
    assert all(r.clause for r in REGISTRY.values())
