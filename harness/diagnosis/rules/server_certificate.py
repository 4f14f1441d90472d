"""The device refuses the broker's certificate, or should have. The certificate in the capture is checked again here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.diagnosis.compare import name_matches
from harness.diagnosis.facts import Conn, Story, certificate_names, leaf
from harness.diagnosis.rules import at_module
from harness.diagnosis.rules.claim import (
    LIKELY,
    MAYBE,
    PROVED,
    TOLD,
    Claim,
    first_told,
    frame,
    says_less,
)
from harness.diagnosis.rules.seen import Seen, from_device, last_failing

Certificate = Mapping[str, Any]
YEAR_2000 = 946_684_800  # a device clock before this was never set
LARGE = 4096  # bytes of chain beyond which small buffers give up


def refused(story: Story) -> tuple[Conn | None, Seen] | None:
    """The device's alert after the broker's certificate, wherever it is known from."""
    conn = last_failing(story)
    if conn is None and story.has_wire and story.conns:
        return None
    if conn is not None and conn.server_hello is None:
        return None
    seen = from_device(story, conn)
    if seen is None or seen.position in ("hello", "start", "application"):
        return None
    return conn, seen


def host_names(story: Story, conn: Conn | None) -> tuple[list[str], bool]:
    """Names the device may have checked, and whether one of them is known for sure."""
    if story.device.host:
        return [story.device.host], True
    names: list[str] = []
    sure = False
    if conn is not None and conn.hello is not None and conn.hello.get("sni"):
        names.append(str(conn.hello["sni"]))
        sure = True
    for hit in story.uart:
        host = hit.fields.get("host")
        if host:
            names.append(host)
            sure = True
    if conn is not None and conn.server:
        names.append(conn.server.rpartition(":")[0].strip("[]"))
    return names, sure


def name_mismatch(story: Story, conn: Conn | None) -> tuple[str, str] | None:
    """(name called, names in the certificate) when none of the names the device may check is in it."""
    end = leaf(conn.server_certificate) if conn else None
    if end is None:
        return None
    called, _ = host_names(story, conn)
    names = certificate_names(end)
    if not called or any(name_matches(n, names) for n in called):
        return None
    return called[0], ", ".join(names[:6]) or "no name"


def dates(certificate: Certificate, now: int) -> str:
    """ "expired", "future" or "" for a certificate at a time (Unix seconds)."""
    if now and int(certificate.get("not_after", now)) < now:
        return "expired"
    if now and int(certificate.get("not_before", 0)) > now:
        return "future"
    return ""


def lacks_usage(certificate: Certificate, purpose: str) -> bool:
    """Extended key usage is there and allows neither this purpose nor every."""
    eku = certificate.get("eku")
    if not eku:
        return False
    wanted = {"serverAuth": ("serverauth", "1.3.6.1.5.5.7.3.1"), "clientAuth": ("clientauth", "1.3.6.1.5.5.7.3.2")}
    allowed = {str(e).lower().replace(" ", "").replace("_", "") for e in eku}
    return not any(any(w in a for w in (*wanted[purpose], "any")) for a in allowed)


def chain_problem(conn: Conn) -> tuple[str, str]:
    """(cause, why) for a chain the device cannot anchor."""
    chain = list((conn.server_certificate or {}).get("chain", ()))
    if not chain:
        return "server_certificate.untrusted", "the certificate cannot be read"
    if chain[0].get("self_signed"):
        return "server_certificate.untrusted", "the broker's certificate is self-signed"
    if len(chain) == 1:
        issuer = str(chain[0].get("issuer", ""))
        requested = [str(c) for c in (conn.certificate_request or {}).get("cas", ())]
        looks = any(mark in _common_name(issuer).lower() for mark in ("int", "sub", "issuing", "tier", "level", "ica"))
        if looks and issuer not in requested:
            return "server_certificate.chain_incomplete", f"only the leaf is sent, and its issuer {issuer!r} is missing"
        return "server_certificate.untrusted", f"the device has no CA {issuer!r}"
    return "server_certificate.untrusted", f"the device does not trust {str(chain[-1].get('issuer', ''))!r}"


def _common_name(name: str) -> str:
    for part in name.replace("/", ",").split(","):
        if part.strip().upper().startswith("CN"):
            return part.partition("=")[2].strip()
    return name


def by_alert(story: Story) -> Iterable[Claim]:
    """What is wrong with the certificate in the capture, where the device's alert agrees with it."""
    found = refused(story)
    if found is None:
        return
    conn, seen = found
    end = leaf(conn.server_certificate) if conn else None
    if conn is None or end is None:
        return  # server_certificate_unread
    named = {c.id for c in at_module.dialogue(story)}
    for claim in _visible(story, conn, end, seen):
        if claim.id in named or not named:  # a module's own word leaves open what agrees with it, and no more
            yield claim


_DATE_ALERTS = (42, 45, 46)
_NAME_ALERTS = (42, 46, 48, 49, 80)


def _visible(story: Story, conn: Conn, end: Certificate, seen: Seen) -> Iterator[Claim]:
    chain = list((conn.server_certificate or {}).get("chain", ()))
    shown = frame(conn.server_certificate, f"certificate {end.get('subject', '')!r}")
    evidence = (shown, *seen.evidence)
    date_seen = next((d for d in (dates(c, story.now) for c in chain) if d), "")
    explained = False
    if date_seen and seen.code in _DATE_ALERTS:
        explained = True
        yield from _date_claim(story, end, date_seen, seen, evidence)
    if seen.code in (42, 43) and lacks_usage(end, "serverAuth"):
        explained = True
        yield _claim(
            "server_certificate.wrong_usage", PROVED, evidence, "Its extended key usage is not serverAuth.", seen
        )
    mismatch = name_mismatch(story, conn)
    if (
        mismatch is not None
        and seen.code in _NAME_ALERTS
        and not told_otherwise(story, "server_certificate.name_mismatch")
        and not _netx_means_else(story, end, seen)
    ):
        explained = True
        named = _agrees(story, "server_certificate.name_mismatch")
        yield _claim(
            "server_certificate.name_mismatch",
            PROVED - (0 if seen.code in (42, 80) or named else 35),
            (*evidence, *first_told(story, "server_certificate.name_mismatch")),
            f"The device called {mismatch[0]!r}; the certificate is for {mismatch[1]}.",
            seen,
            certain=named and seen.exact and seen.code in (42, 80),
        )
    if not explained or seen.code in (43, 46, 48, 80):
        yield from _by_number(story, conn, end, seen, evidence, explained)


def _netx_means_else(story: Story, end: Certificate, seen: Seen) -> bool:
    """NetX sends 80 for a name (0x195) and 42 for a signature; 80 also for RSASSA-PSS, which it cannot read."""
    if story.stack != "netx" or _agrees(story, "server_certificate.name_mismatch"):
        return False
    return seen.code != 80 or "pss" in str(end.get("sig", "")).lower() or space_given(story)


def space_given(story: Story) -> bool:
    """The console shows space allocated for the broker's certificates, and no callback that would check a name."""
    calls = " ".join(h.api for h in story.uart if h.stack == "netx")
    return "remote_certificate" in calls and "certificate_callback_set" not in calls


def _date_claim(story: Story, end: Certificate, date: str, seen: Seen, evidence: tuple[str, ...]) -> Iterator[Claim]:
    cause = "server_certificate.expired" if date == "expired" else "server_certificate.not_yet_valid"
    what = "ended" if date == "expired" else "begins"
    day = _day(int(end.get("not_after" if date == "expired" else "not_before", 0)))
    yield _claim(
        cause,
        PROVED + 2,
        (*evidence, *first_told(story, cause)),
        f"The certificate {what} {day}; the capture is of {_day(story.now)}.",
        seen,
        certain=seen.exact and seen.code == 45 and date == "expired" and not told_otherwise(story, cause),
    )


def _by_number(
    story: Story, conn: Conn, end: Certificate, seen: Seen, evidence: tuple[str, ...], explained: bool
) -> Iterator[Claim]:
    netx = story.stack == "netx"
    signature = str(end.get("sig", "")).lower()
    if seen.code == 45 or (seen.code == 46 and story.stack == "mbedtls"):
        yield _clock(story, end, seen, evidence, weight=TOLD + 6 if seen.code == 45 else LIKELY + 5)
    if netx and seen.code == 80 and not any(h.causes for h in story.uart):
        weight = LIKELY if space_given(story) and "pss" not in signature else MAYBE if explained else MAYBE - 6
        yield _claim("server_certificate.too_large", weight, evidence, "", seen, possible=True)
    if "pss" in signature and seen.code in (42, 43, 46, 80):
        yield _claim(
            "server_certificate.unsupported",
            PROVED if netx or seen.code == 43 else LIKELY,
            evidence,
            "The certificate is signed with RSASSA-PSS, which this stack's X.509 does not know.",
            seen,
        )
        return
    if seen.code == 48 or (seen.code == 46 and story.stack != "mbedtls"):
        cause, why = chain_problem(conn)
        named = cause == "server_certificate.chain_incomplete"
        yield _claim(cause, TOLD + 5 if named else LIKELY + 5, evidence, f"{why[:1].upper()}{why[1:]}.", seen)
        other = (
            "server_certificate.untrusted"
            if cause == "server_certificate.chain_incomplete"
            else "server_certificate.chain_incomplete"
        )
        if len((conn.server_certificate or {}).get("chain", ())) == 1 and not end.get("self_signed"):
            yield _claim(other, MAYBE, evidence, "", seen, possible=True)
    elif seen.code == 44:
        yield _claim(
            "server_certificate.revoked", PROVED, evidence, "The device says it is revoked.", seen, certain=seen.exact
        )
    elif seen.code == 43:
        yield from _unsupported(story, conn, end, seen, evidence)
    elif seen.code == 42 and not explained:
        if netx or _agrees(story, "server_certificate.bad_signature"):
            text = "The CA in the device has the right name and another key: a regenerated CA."
            yield _claim("server_certificate.bad_signature", LIKELY + 5, evidence, text, seen)
        yield _claim("server_certificate.untrusted", MAYBE + 5, evidence, "", seen, possible=True)
        yield _clock(story, end, seen, evidence, weight=MAYBE)


def _clock(story: Story, end: Certificate, seen: Seen, evidence: tuple[str, ...], weight: int = LIKELY + 5) -> Claim:
    span = f"{_day(int(end.get('not_before', 0)))} to {_day(int(end.get('not_after', 0)))}"
    epoch = story.device.epoch
    known = epoch is not None and bool(dates(end, max(epoch, 1)))
    wrong = known and not told_otherwise(story, "device.clock_unset")
    text = f"The certificate is valid ({span}) at the capture's time ({_day(story.now)})"
    sure = wrong or weight != MAYBE
    return _claim(
        "device.clock_unset",
        PROVED if wrong else weight,
        (*evidence, *first_told(story, "device.clock_unset")),
        f"{text}: the device's clock is wrong." if sure else f"{text}: a device whose clock is wrong would refuse it.",
        seen,
        certain=wrong and seen.exact and (seen.code == 45 or _agrees(story, "device.clock_unset")),
        possible=not sure,
    )


def _unsupported(story: Story, conn: Conn, end: Certificate, seen: Seen, evidence: tuple[str, ...]) -> Iterator[Claim]:
    requested = conn.certificate_request is not None
    ordinary = end.get("key") == "rsa" or end.get("curve") in ("secp256r1", "prime256v1")
    if requested and conn.version == "1.3" and story.stack == "netx" and ordinary:
        text = "The device cannot sign with its own key type in TLS 1.3 (the broker asks for a client certificate)."
        yield _claim("client_certificate.unsupported", LIKELY + 6, evidence, text, seen)
    kind = f"{end.get('key')} {end.get('bits', '')} {end.get('curve', '')}".strip()
    text = f"The device cannot use this certificate ({kind}, signed with {end.get('sig', '')})."
    yield _claim("server_certificate.unsupported", LIKELY, evidence, text, seen)


def _agrees(story: Story, cause: str) -> bool:
    return any(h.causes and h.causes[0] == cause for h in story.uart)


def told_otherwise(story: Story, cause: str) -> bool:
    """The device's code names another fault of the certificate, and not this one."""
    hits = [h for h in story.uart if h.causes and not says_less(story, h)]
    named = [h.causes for h in hits if h.causes[0].startswith(("server_certificate.", "device.clock"))]
    return bool(named) and not any(cause in c for c in named)


def _claim(
    cause: str,
    weight: int,
    evidence: tuple[str, ...],
    explain: str,
    seen: Seen,
    certain: bool = False,
    possible: bool = False,
) -> Claim:
    return Claim(
        id=cause,
        confidence="certain" if certain else "possible" if possible else "probable",
        weight=weight,
        evidence=evidence,
        explain=explain,
        frame=seen.frame,
    )


def _day(seconds: int) -> str:
    import time

    try:
        return time.strftime("%Y-%m-%d", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "an impossible date"
