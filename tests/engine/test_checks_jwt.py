"""The checks of tokens: a good one passes, each single mutation is caught."""

from __future__ import annotations

from typing import Any

import pytest

from harness.verdict.checks import REGISTRY, Finding, Vacuous
from harness.verdict.seen import NS
from tests.engine.samples import event, seen

NOW = 1_700_000_000
GOOD: dict[str, Any] = {"alg": "ES256", "aud": "p", "iat": NOW, "exp": NOW + 3600, "sig_len": 64, "missing": []}


def connect(seconds: int = 0, **token: Any) -> dict[str, Any]:
    changed = {key: value for key, value in (GOOD | token).items() if value is not None}
    made: dict[str, Any] = event("mqtt", 0.0, dir="c", type="CONNECT", level=4, username="unused", jwt=changed)
    return made | {"t": (NOW + seconds) * NS}


def results(name: str, events: list[dict[str, Any]]) -> list[Any]:
    return list(REGISTRY[name].run(seen(events, listener=None)))


@pytest.mark.parametrize(
    ("cause", "token"),
    [
        ("jwt.padding", {"padding": True}),
        ("jwt.not_base64url", {"standard_alphabet": True}),
        ("jwt.malformed", {"malformed": "two segments"}),
        ("jwt.malformed", {"times_are_text": True}),
        ("jwt.bad_signature", {"sig_len": 71}),
        ("jwt.bad_signature", {"alg": "RS256", "sig_len": 128}),
        ("jwt.algorithm_key_mismatch", {"alg": "none", "sig_len": 0}),
        ("jwt.expired", {"exp": NOW - 1}),
        ("jwt.issued_in_future", {"iat": NOW + 601}),
        ("jwt.lifetime_too_long", {"exp": NOW + 86_401}),
        ("jwt.wrong_audience", {"missing": ["aud"], "aud": None}),
    ],
)
def test_a_bad_token_is_a_miss(cause: str, token: dict[str, Any]) -> None:
    found = results("token_good", [connect(**token)])
    assert cause in [f.cause for f in found if isinstance(f, Finding) and f.level == "must"]


@pytest.mark.parametrize("token", [{}, {"alg": "RS256", "sig_len": 256}, {"iat": NOW + 599, "exp": NOW + 4000}])
def test_a_good_token_is_none(token: dict[str, Any]) -> None:
    assert results("token_good", [connect(**token)]) == []


def test_a_password_without_a_user_name() -> None:
    packet = connect()
    del packet["username"]
    assert [f.cause for f in results("token_good", [packet])] == ["mqtt.malformed_packet"]


def test_renewal() -> None:
    first, second = connect(0), connect(10, iat=NOW + 10, exp=NOW + 3610)
    assert results("token_renewed", [first, second]) == []
    assert isinstance(results("token_renewed", [first])[0], Vacuous)
    assert [f.cause for f in results("token_renewed", [first, connect(4000)])] == ["jwt.expired"]
    assert results("token_renewed", [second, first])[0].text == "iat goes back by 10 s"


def test_no_token_before_the_clock_is_set() -> None:
    stood = event("close", 9.0, handshake="complete")
    assert results("no_token", [stood]) == []
    assert [f.cause for f in results("no_token", [connect(), stood])] == ["device.clock_unset"]
    assert isinstance(results("no_token", [event("close", 9.0, handshake="partial")])[0], Vacuous)
