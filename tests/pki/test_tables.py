"""`like`, `each`, `abstract`, and what is said about mistakes in a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.lab import tables
from harness.lab.profiles import load

FILE = Path("x.toml")


def expand(document: dict[str, Any]) -> dict[str, Any]:
    return {name: body for name, (_, body) in tables.expand({FILE: document}).items()}


def test_each_multiplies_and_names_are_lower_case() -> None:
    made = expand({"s-{A}-{b}": {"each": {"A": ["X", "Y"], "b": ["1"]}, "list": ["{A}"], "text": "{b}", "n": 3}})
    assert made == {
        "s-x-1": {"list": ["X"], "text": "1", "n": 3}, "s-y-1": {"list": ["Y"], "text": "1", "n": 3},
    }


def test_like_inherits_through_several_and_replaces() -> None:
    made = expand({
        "_a": {"abstract": True, "x": 1, "y": 1}, "b-{n}": {"like": "_a", "each": {"n": ["1", "2"]}, "y": 2},
        "c": {"like": "b-2", "z": 3},
    })
    assert made == {"b-1": {"x": 1, "y": 2}, "b-2": {"x": 1, "y": 2}, "c": {"x": 1, "y": 2, "z": 3}}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "circle"),
        ({"a": {"like": "b"}}, "no table `b`"),
        ({"a": {"each": {"x": "no list"}}}, "key `each`"),
        ({"a-{y}": {"each": {"x": ["1"]}}}, "lacks"),
        ({"a": {"each": {"x": ["1", "2"]}}}, "defined twice"),
        ({"a": 3}, "not a table"),
    ],
)
def test_mistakes(document: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        expand(document)
    assert str(caught.value).startswith("x.toml")


GOOD = """
[good]
title = "t"
versions = ["1.2"]
certificate = "server-p256"
suites12 = ["ECDHE-ECDSA-AES128-GCM-SHA256"]
groups = ["P-256"]
sigalgs = ["ecdsa_secp256r1_sha256"]
"""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('colour = "red"', "`colour`"),
        ("seclevel = \"two\"", "key `seclevel`: Expected `int`, got `str`"),
        ("seclevel = 9", "key `seclevel`"),
        ('client_certificate = "require"', "key `client_ca`"),
        ('client_certificate = "optional"\nclient_ca = ["ca-device-p256"]', "key `client_certificate`: .*optional"),
        ('crl = ["crl-p256"]', "key `crl`"),
        ('suites13 = ["TLS_AES_128_GCM_SHA256"]', "key `suites13`"),
        ("identity_as_username = true", "key `identity_as_username`"),
        ('name = "other"', "key `name`"),
        ("tls = false", "key `tls`"),
    ],
)
def test_mistakes_in_a_profile_name_file_and_key(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load(tmp_path)["good"].name == "good"
    path.write_text(GOOD + line + "\n")
    with pytest.raises(UsageError, match=says) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{path}: [good]") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"P-256"', '"P-257"', "key `groups`: unknown `P-257`"),
        ('"ECDHE-ECDSA-AES128-GCM-SHA256"', '"ECDHE-ECDSA-AES128-GCM"', "key `suites12`: unknown"),
        ('"ecdsa_secp256r1_sha256"', '"ecdsa"', "key `sigalgs`: unknown `ecdsa`"),
        ('"1.2"', '"1.1"', r"key `versions\[0\]`: .*1\.1"),
    ],
)
def test_unknown_names_in_a_profile(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "mine.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(UsageError, match=says):
        load(tmp_path)


def test_no_profiles(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no broker profiles"):
        load(tmp_path)
