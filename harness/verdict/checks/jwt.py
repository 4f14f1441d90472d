"""Checks of the token in CONNECT's password, on the decrypted wire."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from harness.diagnosis.rules.jwt import jwt_problems
from harness.verdict.checks import Finding, Result, Vacuous, check
from harness.verdict.seen import NS, Event, Seen, frame

NO_TOKEN = Vacuous("no CONNECT with a token could be read")
LEAST_RSA = 256
"""Bytes of a signature by 2048 bits, the least RFC 7518 3.3 allows."""


def _tokens(seen: Seen) -> list[tuple[Event, dict[str, Any]]]:
    return [(c, c["jwt"]) for c in seen.mqtt("c", "CONNECT") if isinstance(c.get("jwt"), dict)]


@check("RFC 7519 7.1; 7515 2; 7518 3.3, 3.4; MQTT-3.1.2-22")
def token_good(seen: Seen) -> Iterable[Result]:
    """Well formed, times right by the bench's clock, signed with 2048 bits at least, beside a user name."""
    tokens = _tokens(seen)
    if not tokens:
        yield NO_TOKEN
    for packet, token in tokens:
        for cause, text in jwt_problems(token, int(packet["t"] // NS), "the bench's clock"):
            yield Finding("must", f"the token: {text}", cause, (frame(packet),))
        if token.get("alg") == "RS256" and 0 < int(token.get("sig_len", 0)) < LEAST_RSA:
            text = f"an RSA key of {8 * int(token['sig_len'])} bits"
            yield Finding("must", text, "jwt.bad_signature", (frame(packet),))
        if packet.get("level") == 4 and "username" not in packet:
            yield Finding("must", "a password and no user name", "mqtt.malformed_packet", (frame(packet),))


@check("RFC 7519 4.1.4, 4.1.6")
def token_renewed(seen: Seen) -> Iterable[Result]:
    """Several CONNECTs: none with a token that is past, and iat never goes back."""
    tokens = _tokens(seen)
    if len(tokens) < 2:
        yield Vacuous("fewer than two CONNECTs with a token")
    for packet, token in tokens:
        now = int(packet["t"] // NS)
        if isinstance(token.get("exp"), int) and token["exp"] <= now:
            yield Finding("must", f"exp is {now - token['exp']} s past at CONNECT", "jwt.expired", (frame(packet),))
    for (_, one), (packet, two) in itertools.pairwise(tokens):
        if isinstance(one.get("iat"), int) and isinstance(two.get("iat"), int) and two["iat"] < one["iat"]:
            yield Finding("must", f"iat goes back by {one['iat'] - two['iat']} s", "jwt.expired", (frame(packet),))


@check("service rule: no token before the clock is set")
def no_token(seen: Seen) -> Iterable[Result]:
    if not any(e.get("handshake") == "complete" for e in seen.of("close")):
        yield Vacuous("no TLS session came about, in which a token could have been sent")
    for packet, _ in _tokens(seen):
        yield Finding("must", "a token was sent although the clock is not set", "device.clock_unset", (frame(packet),))
