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
    log,
)
from harness.diagnosis.vocabulary import causes

if TYPE_CHECKING:
    from harness.evidence.broker_log import BrokerEntry

DAY = 86_400
LEAST_MOMENT = 366 * DAY  # s: what is less was meant as a lifetime
SIGNATURES = {"ES256": (64,), "ES384": (96,), "RS256": (256, 384, 512), "RS384": (256, 384, 512)}  # bytes


def jwt(story: Story) -> Iterable[Claim]:
    """The password is a token: what is wrong with it, when the broker refused or closed."""
    refusals = [e for e in story.broker if e.kind == "token_refused" and e.fields.get("cause") in causes()]
    if refusals:
        yield _judged(story, refusals[-1])
    for conn in failing(story)[-1:]:
        for connect in conn.packets("CONNECT", "c")[:1]:
            token = connect.get("jwt")
            if not isinstance(token, dict):
                continue
            for index, (cause, text) in enumerate(jwt_problems(token, story.now)):
                yield Claim(
                    id=cause,
                    confidence="probable",
                    weight=PROVED + 4 - index,
                    evidence=(frame(connect, f"the password is a JWT: {text}"),),
                    explain=f"The token in the password: {text}.",
                    frame=int(connect.get("frame", 0)),
                )


def _judged(story: Story, entry: BrokerEntry) -> Claim:
    """A service that checks tokens (harness/jwt) knows the registered key: what it says is the cause."""
    connects = [p for conn in failing(story)[-1:] for p in conn.packets("CONNECT", "c")]
    shown = tuple(frame(p, "the CONNECT with the token") for p in connects[:1])
    return Claim(
        id=entry.fields["cause"], confidence="certain", weight=PROVED + 8, evidence=(log(entry), *shown),
        explain=f"The service refused the token: {entry.reason}.",
        frame=int(connects[0].get("frame", 0)) if connects else 0,
    )  # fmt: skip


def jwt_problems(token: dict[str, Any], now: int, against: str = "the capture") -> Iterator[tuple[str, str]]:
    """(cause, why) for each defect of a token as `hil-wire` describes it, encoding first. `now` in s, 0 unknown;
    `against` names whose clock that is."""
    if token.get("padding"):
        yield "jwt.padding", "base64 padding '=' in the token"
    if token.get("standard_alphabet"):
        yield "jwt.not_base64url", "'+' or '/' of the standard alphabet"
    if token.get("malformed"):
        yield "jwt.malformed", str(token["malformed"])
    elif token.get("times_are_text"):
        yield "jwt.malformed", "iat or exp is text, not a number"
    yield from _signature(str(token.get("alg", "")), int(token.get("sig_len", 0)))
    expires, issued = token.get("exp"), token.get("iat")
    if isinstance(expires, int) and now and 0 <= expires < LEAST_MOMENT:
        yield "jwt.expired", f"exp {expires} is a moment of 1970: a lifetime, where iat + lifetime belongs"
    elif isinstance(expires, int) and now and expires < now:
        yield "jwt.expired", f"exp {expires} is {now - expires} s before {against}"
    if isinstance(issued, int) and now and issued > now + 600:
        yield "jwt.issued_in_future", f"iat {issued} is {issued - now} s ahead of {against}"
    if isinstance(expires, int) and isinstance(issued, int) and expires - issued > DAY:
        yield "jwt.lifetime_too_long", f"exp - iat is {expires - issued} s; services allow 24 h"
    if "aud" in (token.get("missing") or ()) or token.get("aud") == "":
        yield "jwt.wrong_audience", "aud is missing"


def _signature(algorithm: str, length: int) -> Iterator[tuple[str, str]]:
    """The signature's length against the algorithm: DER instead of raw r||s, or another kind of key."""
    if algorithm.lower() == "none":
        yield "jwt.algorithm_key_mismatch", "alg is none: the token is not signed"
    wanted = SIGNATURES.get(algorithm)
    if not wanted or not length or length in wanted:
        return
    if algorithm.startswith("ES") and wanted[0] < length <= wanted[0] + 10:
        yield "jwt.bad_signature", f"{algorithm} with {length} bytes: DER instead of {wanted[0]} bytes of raw r||s"
    else:
        yield "jwt.algorithm_key_mismatch", f"alg is {algorithm} and the signature has {length} bytes"
