"""The password is a token: what is wrong with it, when the broker refused or closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from harness.diagnosis.facts import Story
from harness.diagnosis.rules.claim import (
    PROVED,
    Claim,
    failing,
    frame,
)

if TYPE_CHECKING:
    pass

_JWT = {
    "padding": "jwt.padding",
    "not_base64url": "jwt.not_base64url",
    "malformed": "jwt.malformed",
    "algorithm_key_mismatch": "jwt.algorithm_key_mismatch",
    "bad_signature": "jwt.bad_signature",
    "expired": "jwt.expired",
    "issued_in_future": "jwt.issued_in_future",
    "lifetime_too_long": "jwt.lifetime_too_long",
    "wrong_audience": "jwt.wrong_audience",
}
DAY = 86_400


def jwt(story: Story) -> Iterable[Claim]:
    """The password is a token: what is wrong with it, when the broker refused or closed."""
    for conn in failing(story)[-1:]:
        for connect in conn.packets("CONNECT", "c")[:1]:
            token = connect.get("jwt")
            if not isinstance(token, dict):
                continue
            for cause, text in jwt_problems(token, story.now):
                yield Claim(
                    id=cause,
                    confidence="probable",
                    weight=PROVED + 4,
                    evidence=(frame(connect, f"the password is a JWT: {text}"),),
                    explain=f"The token in the password: {text}.",
                    frame=int(connect.get("frame", 0)),
                )


def jwt_problems(token: dict[str, Any], now: int) -> Iterator[tuple[str, str]]:
    """(cause, why) for each defect of a token as `hil-wire` describes it. `now` in Unix seconds, 0 unknown."""
    problems = token.get("problems") or token.get("problem") or ()
    for problem in [problems] if isinstance(problems, str) else problems:
        key = str(problem).rpartition(".")[2]
        if key in _JWT:
            yield _JWT[key], key.replace("_", " ")
    if token.get("padding"):
        yield "jwt.padding", "base64 padding '=' in the token"
    if token.get("base64url") is False or token.get("not_base64url"):
        yield "jwt.not_base64url", "'+' or '/' of the standard alphabet"
    if token.get("malformed"):
        yield "jwt.malformed", str(token["malformed"])
    expires, issued = token.get("exp"), token.get("iat")
    if isinstance(expires, int) and now and expires < now:
        yield "jwt.expired", f"exp {expires} is {now - expires} s before the capture"
    if isinstance(issued, int) and now and issued > now + 600:
        yield "jwt.issued_in_future", f"iat {issued} is {issued - now} s ahead of the capture"
    if isinstance(expires, int) and isinstance(issued, int) and expires - issued > DAY:
        yield "jwt.lifetime_too_long", f"exp - iat is {expires - issued} s; services allow 24 h"
    if "aud" in token and not token["aud"]:
        yield "jwt.wrong_audience", "aud is missing"
