"""No set fails for sure: those on which the listener is unknown, the most unusual offer first."""

from __future__ import annotations

from collections.abc import Iterator

from harness.diagnosis.compare import Dimension, Fit, schemes_for
from harness.diagnosis.facts import Event
from harness.diagnosis.registry import suites
from harness.diagnosis.registry.codepoints import group_name, scheme_name
from harness.diagnosis.rules.claim import (
    LIKELY,
    LOGGED,
    MAYBE,
)
from harness.model import Confidence

CAUSE = {
    "suites": "tls.no_common_cipher_suite",
    "groups": "tls.no_common_group",
    "certificate_curve": "tls.no_common_group",
    "signature_algorithms": "tls.no_common_signature_algorithm",
    "versions": "tls.no_common_version",
}
BY_REASON = {
    "no suitable signature algorithm": "signature_algorithms",
    "no shared signature algorithms": "signature_algorithms",
    "missing sigalgs extension": "signature_algorithms",
    "no suitable key share": "groups",
    "no shared groups": "groups",
    "missing supported groups extension": "groups",
}


def suspected(hello: Event, fit: Fit, reason: str) -> Iterator[tuple[Dimension, int, Confidence, str]]:
    """No set fails for sure: those on which the listener is unknown, the most unusual offer first."""
    named = BY_REASON.get(reason)
    unknown = [d for d in fit.dimensions if d.ok is None and d.name in CAUSE and d.name != "certificate_curve"]
    if named and not any(d.name == named for d in unknown):
        known = fit.of(named)
        unknown += [known] if known else []
    if fit.version == "1.3" and reason == "no shared cipher":
        named = "suites"
    curve = fit.of("certificate_curve")
    hidden = fit.version != "1.3" and curve is not None and curve.accepted is None
    if hidden and curve is not None and not any(d.name == "groups" for d in unknown):
        unknown.append(curve)
    scored = []
    for dimension in unknown:
        score, why = _unusual(hello, dimension.name, fit.version)
        if dimension.name == named:
            score += 100
        if dimension.name == "versions":
            score -= 5
        scored.append((score, dimension, why))
    scored.sort(key=lambda row: -row[0])
    for index, (score, dimension, why) in enumerate(scored):
        if score >= 100:
            yield dimension, LOGGED + 2, "probable", why
        elif dimension.name == "versions":
            continue
        else:
            top = index == 0 and (score >= 3 or len(scored) == 1)
            band = LIKELY if top else MAYBE
            yield dimension, band + 5 - index, "probable" if top else "possible", why


def _unusual(hello: Event, name: str, version: str) -> tuple[float, str]:
    """How unusual an offer is beside what brokers commonly need, and why (RFC 9325 4.2, RFC 8446 9.1)."""
    if name == "signature_algorithms":
        return _unusual_schemes(hello, version)
    if name == "certificate_curve":
        groups = hello.get("groups") or ()
        missing = [group_name(g) for g in (23, 24) if g not in groups]
        why = f"an EC certificate on {' or '.join(missing)} could not be used" if missing else ""
        return (0.4 + 1.2 * len(missing) if missing else 0), why
    if name == "groups":
        groups = hello.get("groups")
        if groups is None:
            return 5, "no supported_groups extension"
        real = [g for g in groups if not suites.is_grease(g)]
        if 23 not in real:
            return 3.5, "P-256 is not offered"
        if len(real) == 1:
            return 3, f"only {group_name(real[0])} is offered"
        return (0, "") if 29 in real else (1, "x25519 is not offered")
    if name == "suites":
        tls13 = version == "1.3"
        real_suites = [s for s in map(suites.lookup, hello.get("suites", ())) if s is not None and s.tls13 == tls13]
        if not real_suites:
            return 6, f"no suite of TLS {version} is offered"
        if len(real_suites) <= 2:
            return 3.2, "very few suites are offered: " + ", ".join(s.name for s in real_suites)
        if not tls13 and not any(s.kx == "ecdhe" and s.aead for s in real_suites):
            return 3.1, "no ECDHE suite with AEAD is offered"
        strong = any("AES_256_GCM" in s.cipher for s in real_suites)
        return (0.5, "") if strong else (2, "AES-256-GCM is not offered")
    return 0, ""


def _unusual_schemes(hello: Event, version: str) -> tuple[float, str]:
    offered = list(hello.get("sigalgs") or ())
    if not offered:
        return 4, "no signature_algorithms extension"
    tls13 = version == "1.3"
    rsa, ec = schemes_for(offered, "rsa", "", tls13), schemes_for(offered, "ec", "", tls13)
    strong = [s for s in (*rsa, *ec) if "sha1" not in scheme_name(s) and "md5" not in scheme_name(s)]
    if not strong:
        return 5, "only schemes that brokers refuse are offered"
    auths = {s.auth for s in map(suites.lookup, hello.get("suites", ())) if s is not None}
    wants = auths | ({"rsa", "ec"} if tls13 or "any" in auths else set())
    if not tls13 and len(offered) <= 2 and not (rsa and ec):
        return 3.3, "only " + ", ".join(scheme_name(s) for s in offered) + " is offered"
    if tls13 and not rsa:
        return 3.6, "no rsa_pss scheme is offered, so an RSA certificate cannot be used in TLS 1.3"
    if "rsa" in wants and not rsa:
        return 3.4, "no RSA scheme is offered"
    if "ec" in wants and not ec:
        return 3.4, "no ECDSA scheme is offered, so an EC certificate cannot be used"
    return 0, ""
