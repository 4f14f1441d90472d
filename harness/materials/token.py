"""A JSON Web Token as an MQTT password: what a service that follows RFC 7515, 7518 and 7519 refuses. Pure.

`describe` makes the same facts of a token that `hil-wire` takes from a capture, so that one function judges both.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from harness.diagnosis.rules.jwt import jwt_problems

MAX_TOKEN = 16384
SKEW = 600  # s a service allows between the clocks
FIXES = {
    "jwt.padding": "strip the '=' before hashing: the signature is over the text without them",
    "jwt.not_base64url": "use base64url: '-' for '+', '_' for '/', in all three parts",
    "jwt.malformed": 'header.payload.signature, each base64url; header and payload are JSON; times are numbers',
    "jwt.algorithm_key_mismatch": "alg RS256 with an RSA key, ES256 with a P-256 key",
    "jwt.bad_signature": "sign base64url(header).base64url(payload) with SHA-256; ES256 is r||s, 64 bytes",
    "jwt.expired": "set the clock (SNTP) and make a new token",
    "jwt.issued_in_future": "set the clock: iat is seconds since 1970 in UTC",
    "jwt.lifetime_too_long": "exp at most 24 h behind iat",
    "jwt.wrong_audience": "aud is the project's id, exactly",
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    cause: str
    what: str
    fix: str


def check(token: str, *, now: int, audience: str = "", key: Any = None) -> list[Fault]:
    """Everything that is wrong, encoding first. `key`: the registered public key, None when it is not known."""
    facts = describe(token)
    found = list(jwt_problems(facts, now, against="the clock"))
    if audience and facts.get("aud") and facts["aud"] != audience:
        found.append(("jwt.wrong_audience", f"aud is {facts['aud']!r}, not {audience!r}"))
    if key is not None:
        found += _signature(token, facts, key, {cause for cause, _ in found})
    return [Fault(cause=cause, what=what, fix=FIXES.get(cause, "")) for cause, what in dict.fromkeys(found)]


def describe(token: str) -> dict[str, Any]:
    """As `hil-wire` describes a token: alg, typ, aud, exp, iat, sig_len, padding, standard_alphabet, malformed …"""
    parts = token.split(".")
    facts: dict[str, Any] = {
        "segments": len(parts), "padding": "=" in token, "standard_alphabet": bool(re.search(r"[+/]", token)),
        "missing": [],
    }  # fmt: skip
    if len(parts) != 3:
        return {**facts, "malformed": f"{len(parts)} parts between dots, not 3"}
    if len(token) > MAX_TOKEN:
        return {**facts, "malformed": f"{len(token)} characters"}
    if stray := re.search(r"[^A-Za-z0-9_\-+/=.]", token):
        return {**facts, "malformed": f"the character {stray[0]!r} is in no base64"}
    documents: list[dict[str, Any]] = []
    for name, part in zip(("header", "payload"), parts, strict=False):
        try:
            document = json.loads(decoded(part))
        except (ValueError, RecursionError):
            return {**facts, "malformed": f"the {name} is not JSON"}
        if not isinstance(document, dict):
            return {**facts, "malformed": f"the {name} is no JSON object"}
        documents.append(document)
    head, claims = documents
    facts["alg"] = str(head.get("alg", ""))
    facts["missing"] = [k for k in ("alg",) if k not in head] + [k for k in ("aud", "iat", "exp") if k not in claims]
    if isinstance(claims.get("aud"), str):
        facts["aud"] = claims["aud"]
    for name in ("iat", "exp", "nbf"):
        value = claims.get(name)
        if isinstance(value, str):
            facts["times_are_text"] = True
        elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53:
            facts[name] = int(value)
    try:
        facts["sig_len"] = len(decoded(parts[2]))
    except ValueError:
        facts["malformed"] = "the signature is no base64"
    if missing := [k for k in facts["missing"] if k != "aud"]:
        facts.setdefault("malformed", f"{', '.join(missing)} missing")
    return facts


def decoded(part: str) -> bytes:
    """base64 of either alphabet, padded or not, so that one fault does not hide the next. ValueError otherwise."""
    text = part.rstrip("=").replace("+", "-").replace("/", "_")
    if len(text) % 4 == 1:
        raise ValueError("length")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _signature(token: str, facts: dict[str, Any], key: Any, known: set[str]) -> Iterator[tuple[str, str]]:
    """Against the registered key; a DER signature and one made over the padded text are told apart."""
    algorithm = facts.get("alg", "")
    kind = "RS256" if isinstance(key, rsa.RSAPublicKey) else ""
    kind = "ES256" if isinstance(key, ec.EllipticCurvePublicKey) else kind
    if facts.get("malformed") or not algorithm:
        return
    if algorithm != kind:
        if "jwt.algorithm_key_mismatch" not in known:
            yield "jwt.algorithm_key_mismatch", f"alg is {algorithm}, the registered key is for {kind or 'neither'}"
        return
    signed, _, signature = token.rpartition(".")
    raw = decoded(signature)
    if "jwt.bad_signature" not in known and not verifies(key, signed.encode(), raw):
        yield "jwt.bad_signature", f"the signature ({len(raw)} bytes) does not verify with the registered key"


def verifies(key: Any, data: bytes, signature: bytes) -> bool:
    """RS256 (RFC 7518 3.3) or ES256 (3.4: r||s of 64 bytes)."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            return True
        if len(signature) != 64:
            return False
        halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(*halves), data, ec.ECDSA(hashes.SHA256()))
        return True
    except InvalidSignature:
        return False


