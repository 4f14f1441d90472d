"""The broker refuses the device's certificate or key. The log says "certificate verify failed" for all of them, so the
certificate in the capture is read against the alert's number, the CA names the broker asked for and its CRL setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.diagnosis.facts import Conn, Story, empty_certificate, leaf
from harness.diagnosis.outcome import GRACE
from harness.diagnosis.rules.claim import (
    LIKELY,
    MAYBE,
    PROVED,
    Claim,
    entries,
    failing,
    frame,
    log,
    uart,
)
from harness.diagnosis.rules.seen import Seen, end_frame, from_broker, last_failing
from harness.diagnosis.rules.server_certificate import dates, lacks_usage

if TYPE_CHECKING:
    pass

Certificate = Mapping[str, Any]
ALERT_SIZES = (19, 11)  # a sealed alert of TLS 1.3: 2 + 1 + 16, or + 8 with CCM_8


def wrong_store_lines(story: Story) -> tuple[str, ...]:
    """UART lines that show the device's own certificate added with the call for trusted CAs (NetX)."""
    added = [h for h in story.uart if "trusted_certificate_add" in f"{h.api} {h.text}"]
    local = [h for h in story.uart if "local_certificate_add" in f"{h.api} {h.text}"]
    if story.device.trusted_leaf and story.device.has_certificate is False:
        return (f"device: the certificate of `{story.device.trusted_leaf}`, which is no CA, is in its trust store",)
    if local:
        return ()
    own = re.compile(r"\b(client|device|own|local|identity)", re.IGNORECASE)
    named = [h for h in added if own.search(h.text.partition("nx_secure")[0])]
    told = named or [h for h in story.uart if "client_certificate.wrong_store" in h.causes]
    return tuple(uart(h) for h in told[:1])


def missing(story: Story) -> Iterable[Claim]:
    """An empty Certificate message, then alert 40 (1.2) or 116 (1.3)."""
    conn = last_failing(story)
    if conn is None and story.has_wire and story.conns:
        return
    said = entries(story, "peer did not return a certificate")
    seen = from_broker(story, conn)
    evidence: list[str] = []
    proved = False
    where = seen.frame if seen else 0
    if conn is not None and conn.server_hello is not None:
        empty = empty_certificate(conn)
        if empty is not None:
            evidence.append(frame(empty, "the device's Certificate message is empty"))
            proved = seen is not None and seen.code in (40, 116)
            proved = proved or bool(said)
            where = where or int(empty.get("frame", 0))
        elif conn.client_certificate is not None:
            return
        elif seen is not None and seen.code == 116:
            proved = True
        else:
            sealed = sealed_empty(conn)
            if sealed is not None:
                evidence.append(frame(sealed, f"a sealed record of {sealed.get('len')} bytes: an empty Certificate"))
                where = where or end_frame(conn, "s")
    elif conn is not None:
        return
    if seen is not None and seen.code in (40, 116):
        evidence += seen.evidence
    evidence += [log(e) for e in said[:1]]
    named = seen is not None and seen.code == 116
    if not evidence or not (proved or said or named or any("sealed" in e for e in evidence)):
        return
    store = wrong_store_lines(story)
    if store:
        yield Claim(
            id="client_certificate.wrong_store",
            confidence="certain" if proved else "probable",
            weight=PROVED + 6,
            evidence=(*store, *evidence),
            explain="The device's certificate is added as a trusted CA, so there is none to send.",
            frame=where,
        )
    yield Claim(
        id="client_certificate.missing",
        confidence="certain" if proved and not store else "probable",
        weight=PROVED + 5 if proved or said or named else LIKELY,
        evidence=tuple(evidence),
        explain="The broker requires a client certificate and the device sent none: none provisioned, or in the "
        "wrong store.",
        frame=where,
    )


def sealed_empty(conn: Conn) -> Mapping[str, Any] | None:
    """TLS 1.3 without keys: the device's first sealed record has the length of an empty Certificate."""
    mine = [s for s in conn.sealed if s.get("dir") == "c"]
    if conn.version != "1.3" or not mine:
        return None
    first = mine[0]
    fits = first.get("guess") == "empty_certificate" or int(first.get("len", 0)) in (25, 17)
    return first if fits and len(mine) >= 2 and sealed_refusal(conn) is not None else None


def sealed_refusal(conn: Conn) -> Mapping[str, Any] | None:
    """TLS 1.3 without keys: after the device's flight the broker sends one record as long as an alert, and it ends.

    Who closes first is a race: the broker with RST, or the device that has read the alert.
    """
    mine = [s for s in conn.sealed if s.get("dir") == "c"]
    theirs = [s for s in conn.sealed if s.get("dir") == "s"]
    if conn.version != "1.3" or not mine or not theirs or not (conn.fins or conn.resets):
        return None
    later = [s for s in theirs if int(s.get("t", 0)) > int(mine[0].get("t", 0))]
    alert = later[0] if len(later) == 1 and int(later[0].get("len", 0)) in ALERT_SIZES else None
    ended = min(int(e.get("t", 0)) for e in [*conn.fins, *conn.resets])
    return alert if alert is not None and 0 <= ended - int(alert.get("t", 0)) < GRACE else None


def identity_demanded(story: Story) -> Iterable[Claim]:
    """`use_identity_as_username`, and no certificate was asked for: CONNACK 4."""
    for conn in failing(story)[-1:]:
        refused = [m for m in conn.packets("CONNACK", "s") if m.get("code") in (4, 0x86)]
        listener = story.listener
        if not refused or listener is None or not listener.identity_as_username or conn.client_certificate is not None:
            continue
        yield Claim(
            id="client_certificate.missing",
            confidence="probable",
            weight=PROVED + 1,
            evidence=(
                frame(refused[0], f"CONNACK {refused[0].get('code')}"),
                "listener: use_identity_as_username, and the device sent no certificate",
            ),
            explain="The broker takes the user name from the client certificate, and there was none.",
            frame=int(refused[0].get("frame", 0)),
        )


def by_alert(story: Story) -> Iterable[Claim]:
    """A certificate was sent and the broker refused it."""
    conn = last_failing(story)
    if conn is None and story.has_wire and story.conns:
        return
    if conn is not None and (conn.server_hello is None or empty_certificate(conn) is not None):
        return
    seen = from_broker(story, conn)
    said = entries(story, "certificate verify failed")
    said = [e for e in said if e.alert is None]
    end = leaf(conn.client_certificate) if conn else None
    verify = seen is not None and seen.code in (42, 43, 44, 45, 46, 48)
    early = seen is not None and seen.position in ("start", "hello", "server_flight")
    if early and (conn is None or conn.client_certificate is None):
        return
    if not verify and not said:
        return
    evidence = [*(seen.evidence if seen else ()), *(log(e) for e in said[:1])]
    if conn is not None and end is not None:
        subject = frame(conn.client_certificate, f"device certificate {end.get('subject', '')!r}")
        found = list(_visible(story, conn, end, seen, (subject, *evidence)))
        yield from found
        if found:
            return
    yield from _hidden(story, conn, seen, tuple(evidence))


def _visible(
    story: Story, conn: Conn, end: Certificate, seen: Seen | None, evidence: tuple[str, ...]
) -> Iterator[Claim]:
    code = seen.code if seen else 0
    where = seen.frame if seen else end_frame(conn, "s")
    chain = list((conn.client_certificate or {}).get("chain", ()))
    date = next((d for d in (dates(c, story.now) for c in chain) if d), "")
    crl = story.listener.checks_crl if story.listener is not None else None
    requested = [str(c) for c in (conn.certificate_request or {}).get("cas", ())]
    issuers = {str(c.get("issuer", "")) for c in chain}
    known_issuer = bool(requested) and bool(issuers & set(requested))
    foreign = bool(requested) and not known_issuer
    exact = seen is not None and seen.exact

    def claim(cause: str, weight: int, explain: str, certain: bool = False, possible: bool = False) -> Claim:
        level = "certain" if certain and exact else "possible" if possible else "probable"
        return Claim(
            id=cause,
            confidence=level,  # type: ignore[arg-type]
            weight=weight,
            evidence=evidence,
            explain=explain,
            frame=where,
        )

    if date == "expired" and code in (45, 0):
        text = "The device's certificate is past its end date."
        yield claim("client_certificate.expired", PROVED + 2, text, certain=code == 45)
        return
    if date == "future" and code in (42, 0):
        text = "The device's certificate begins in the future."
        yield claim("client_certificate.not_yet_valid", PROVED + 2, text, certain=code == 42)
        return
    if code == 44:
        text = "The broker's CRL lists the device's certificate."
        yield claim("client_certificate.revoked", PROVED, text, certain=True)
    elif code == 43:
        wrong = lacks_usage(end, "clientAuth")
        text = "Its extended key usage is not clientAuth." if wrong else "The broker cannot use this certificate."
        yield claim("client_certificate.wrong_usage", PROVED if wrong else LIKELY, text, certain=wrong)
        yield claim("client_certificate.unsupported", MAYBE, "", possible=True)
    elif code == 45:
        text = "The certificate itself is in date, so the broker's CRL is past its next update."
        yield claim("client_certificate.crl_expired", PROVED if crl else LIKELY, text)
    elif code == 48 and foreign:
        text = f"Its issuer {', '.join(sorted(issuers))[:120]!r} is not among the CAs the broker asks for."
        yield claim("client_certificate.untrusted", PROVED, text, certain=True)
    elif code == 48 and known_issuer:
        text = "The broker knows the issuer, so what it lacks is the CRL of that issuer."
        yield claim("client_certificate.crl_missing", PROVED if crl else LIKELY, text)
        yield claim("client_certificate.untrusted", MAYBE, "", possible=True)
    elif code == 48:
        yield claim("client_certificate.untrusted", LIKELY, "The broker has no CA for the device's certificate.")
    elif code in (42, 0, 46):
        weak = weakness(chain)
        if weak:
            yield claim("client_certificate.weak", PROVED if code == 42 else LIKELY, weak, certain=code == 42)
        elif foreign and code == 0:
            yield claim("client_certificate.untrusted", LIKELY, "Its issuer is not among the CAs the broker asks for.")
        elif code == 0 and lacks_usage(end, "clientAuth"):
            yield claim("client_certificate.wrong_usage", LIKELY, "Its extended key usage is not clientAuth.")
        elif code == 0 and crl:
            yield claim("client_certificate.revoked", MAYBE, "The broker checks CRLs.", possible=True)
            yield claim("client_certificate.crl_expired", MAYBE - 1, "", possible=True)
            yield claim("client_certificate.crl_missing", MAYBE - 2, "", possible=True)
        elif code == 42:
            yield claim("client_certificate.weak", MAYBE, "", possible=True)
            yield claim("client_certificate.unsupported", MAYBE - 1, "", possible=True)


def weakness(chain: list[Certificate]) -> str:
    """Why OpenSSL's security level 2 refuses a chain: RSA under 2048 bits, EC under 224, MD5 or SHA-1 signatures."""
    for certificate in chain:
        bits = int(certificate.get("bits", 0))
        subject = str(certificate.get("subject", ""))
        if certificate.get("key") == "rsa" and 0 < bits < 2048:
            return f"{subject!r} has an RSA key of {bits} bits; the broker wants 2048."
        if certificate.get("key") == "ec" and 0 < bits < 224:
            return f"{subject!r} has an EC key of {bits} bits; the broker wants 224."
        signature = str(certificate.get("sig", "")).lower()
        if not certificate.get("self_signed") and ("sha1" in signature or "md5" in signature):
            return f"{subject!r} is signed with {certificate.get('sig')}; the broker wants SHA-256."
    return ""


def _hidden(story: Story, conn: Conn | None, seen: Seen | None, evidence: tuple[str, ...]) -> Iterator[Claim]:
    crl = story.listener.checks_crl if story.listener is not None else None
    by_code: dict[int, tuple[str, ...]] = {
        42: ("client_certificate.weak", "client_certificate.not_yet_valid"),
        43: ("client_certificate.wrong_usage", "client_certificate.unsupported"),
        44: ("client_certificate.revoked",),
        45: ("client_certificate.expired", "client_certificate.crl_expired"),
        46: ("client_certificate.unsupported",),
        48: ("client_certificate.untrusted", "client_certificate.crl_missing"),
        0: ("client_certificate.untrusted", "client_certificate.expired", "client_certificate.wrong_usage"),
    }
    code = seen.code if seen is not None and seen.code in by_code else 0
    order = by_code[code]
    if crl is False:
        order = tuple(c for c in order if "crl" not in c)
    for index, cause in enumerate(order):
        sure = index == 0 and code not in (0, 42)
        yield Claim(
            id=cause,
            confidence="probable" if sure else "possible",
            weight=(LIKELY if sure else MAYBE) + 3 - index,
            evidence=evidence,
            explain="" if sure else "The device's certificate is sealed here, so its defect cannot be read.",
            frame=seen.frame if seen else end_frame(conn, "s"),
        )


def refused_13_sealed(story: Story) -> Iterable[Claim]:
    """TLS 1.3, nothing readable: the device finishes, the broker answers with one sealed alert and cuts."""
    conn = last_failing(story)
    if conn is None or conn.version != "1.3" or conn.mqtt or conn.alerts or conn.decrypted:
        return
    alert = sealed_refusal(conn)
    if alert is None or sealed_empty(conn) is not None or any(e.code is not None for e in story.broker):
        return
    mine = [s for s in conn.sealed if s.get("dir") == "c"]
    picture = (frame(alert, f"one sealed record of {alert.get('len')} bytes (an alert), then the end"),)
    large = sum(int(s.get("len", 0)) for s in mine if s.get("phase") == "handshake") > 400
    order = ("tls.record_corrupt", "tls.finished_mismatch", "mqtt.closed_without_connack")
    if large:
        order = ("client_certificate.untrusted", "client_certificate.expired", "client_key.mismatch")
    elif any(s.get("phase") == "application" for s in mine):
        order = ("mqtt.closed_without_connack", "tls.record_corrupt", "tls.finished_mismatch")
    for cause, weight in zip(order, (MAYBE, MAYBE - 1, MAYBE - 2), strict=True):
        yield Claim(
            id=cause,
            confidence="possible",
            weight=weight,
            evidence=picture,
            explain="Several faults give this picture; a key log or the broker's log tells them apart.",
            frame=int(alert.get("frame", 0)),
        )
