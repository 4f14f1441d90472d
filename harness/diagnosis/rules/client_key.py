"""The private key of the device, and what it signs or hashes with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from harness.diagnosis.facts import Story, leaf
from harness.diagnosis.registry import suites
from harness.diagnosis.rules.claim import (
    FALLBACK,
    LIKELY,
    LOGGED,
    PROVED,
    TOLD,
    Claim,
    entries,
    first_log,
    first_told,
    frame,
    log,
    uart,
)
from harness.diagnosis.rules.seen import from_broker, last_failing

if TYPE_CHECKING:
    from harness.evidence.uart import UartHit

Certificate = Mapping[str, Any]
# What OpenSSL's RSA says first about a signature by another key; Mosquitto may print no more than that.
_RSA_SIGNATURE = ("invalid padding", "padding check failed", "block type is not 01", "data too large for modulus")


def key_mismatch(story: Story) -> Iterable[Claim]:
    """CertificateVerify does not verify: 51 (same key type) or 47 (another type), or the device finds it itself."""
    conn = last_failing(story)
    said = entries(story, "bad signature", "wrong signature type")
    if not said and not entries(story, "certificate verify failed"):
        said = entries(story, *_RSA_SIGNATURE)
    for hit_cause in ("client_key.mismatch",):
        evidence = first_told(story, hit_cause)
        if evidence and (conn is not None or not story.conns):
            yield Claim(id=hit_cause, confidence="probable", weight=TOLD + 3, evidence=evidence)
    if conn is None and story.has_wire and story.conns:
        return
    seen = from_broker(story, conn)
    verify = conn.client_verify if conn else None
    shown = conn is not None and leaf(conn.client_certificate) is not None
    digest = entries(story, "digest check failed")
    late = seen is not None and seen.position in ("client_flight", "application")
    by_alert = seen is not None and seen.code in (47, 51) and shown and late
    if digest or not (by_alert or said):
        return
    if conn is not None and conn.server_hello is None:
        return
    evidence = (
        *((frame(verify, "the device's CertificateVerify"),) if verify else ()),
        *(seen.evidence if seen and seen.code in (47, 51) else ()),
        *(log(e) for e in said[:1]),
    )
    yield Claim(
        id="client_key.mismatch",
        confidence="certain" if by_alert and said else "probable",
        weight=PROVED if by_alert and said else LOGGED if said else LIKELY + 5,
        evidence=evidence,
        explain="The signature made with the device's private key does not fit its certificate.",
        frame=seen.frame if seen else 0,
    )


def wrong_key_format(story: Story) -> Iterable[Claim]:
    """The device could not read its own key or certificate, so nothing went out."""
    quiet = not any(c.hellos for c in story.conns)
    for cause in ("client_key.wrong_format", "certificate.wrong_format"):
        for hit in story.uart:
            if not hit.causes or hit.causes[0] != cause:
                continue
            own = cause == "certificate.wrong_format" and _about_own_key(hit)
            yield Claim(
                id="client_key.wrong_format" if own else cause,
                confidence="probable",
                weight=TOLD + (15 if quiet else 0),
                evidence=(uart(hit), *(("wire: no ClientHello",) if quiet and story.has_wire else ())),
                explain=hit.meaning,
            )
            break


def _about_own_key(hit: UartHit) -> bool:
    return bool(re.search(r"\bkey\b|private", hit.text.partition("0x")[0], re.IGNORECASE))


def unsupported_by_device(story: Story) -> Iterable[Claim]:
    """The device says that it cannot sign with its own certificate."""
    evidence = first_told(story, "client_certificate.unsupported")
    conn = last_failing(story)
    if not evidence or (conn is None and story.conns):
        return
    request = conn.certificate_request if conn is not None else None
    asked = (frame(request, "the broker asks for one"),) if request is not None else ()
    yield Claim(
        id="client_certificate.unsupported",
        confidence="probable",
        weight=TOLD + (5 if request is not None else 0),
        evidence=(*evidence, *asked),
    )


def hash_mismatch(story: Story) -> Iterable[Claim]:
    """Finished or CertificateVerify made with another hash than the suite demands."""
    conn = last_failing(story)
    if conn is None or conn.server_hello is None:
        return
    seen = from_broker(story, conn)
    said = first_log(story, "digest check failed")
    if not said and not (seen is not None and seen.code == 51 and seen.position in ("client_flight", "application")):
        return
    suite = suites.lookup(int(conn.server_hello.get("suite", 0)))
    long_hash = suite is not None and suite.hash == "SHA384"
    if not said and leaf(conn.client_certificate) is not None and not (long_hash and story.stack == "netx"):
        return  # decrypt_error is for the signature of its key, too; only NetX has no SHA-384 for any handshake
    evidence = (*(seen.evidence if seen else ()), *said)
    where = seen.frame if seen else 0
    if suite is not None and long_hash:
        yield Claim(
            id="tls.handshake_hash_mismatch",
            confidence="probable",
            weight=PROVED,
            evidence=(frame(conn.server_hello, f"suite {suite.name}"), *evidence),
            explain=f"{suite.name} demands SHA-384 for the transcript; the device's Finished does not verify."
            + (" NetX hashes every handshake with SHA-256." if story.stack == "netx" else ""),
            frame=where,
        )
    yield Claim(
        id="tls.finished_mismatch",
        confidence="probable" if not long_hash else "possible",
        weight=LIKELY if long_hash else PROVED,
        evidence=evidence,
        explain="The device's Finished does not verify: the two sides saw different bytes, or hash differently.",
        frame=where,
    )
    yield Claim(id="tls.record_corrupt", confidence="possible", weight=FALLBACK + 15, evidence=evidence, frame=where)
