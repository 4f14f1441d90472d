"""The device refuses the broker's certificate, which cannot be read here: the alert's number, the device's own code or
the broker's log is all there is.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.diagnosis.facts import Conn, Story, leaf
from harness.diagnosis.outcome import handshake_done, last_run
from harness.diagnosis.rules import at_module
from harness.diagnosis.rules.claim import LIKELY, LOGGED, MAYBE, TOLD, Claim, first_told, told, uart
from harness.diagnosis.rules.seen import Seen, last_failing
from harness.diagnosis.rules.server_certificate import refused, space_given, told_otherwise


def _readable(found: tuple[Conn | None, Seen]) -> bool:
    conn = found[0]
    return conn is not None and leaf(conn.server_certificate) is not None


# NetX sends few numbers: 42 for a signature, 80 for whatever has none, 43 in TLS 1.3 for its own RSA certificate.
_NETX_HIDDEN: dict[int, tuple[str, ...]] = {
    42: ("server_certificate.bad_signature", "server_certificate.untrusted"),
    43: ("client_certificate.unsupported", "server_certificate.unsupported"),
    80: ("server_certificate.name_mismatch", "server_certificate.too_large", "tls.device_internal_error"),
}


_UNREAD = "The certificate itself is not readable here; the alert's number is the only word."


def _own_certificate(story: Story) -> bool:
    """The device has a certificate of its own, the listener asks for one, or it is TLS 1.3, where RSA servers never get
    as far as their certificate."""
    asked = story.listener is not None and story.listener.client_certificate in ("require", "optional")
    silent = story.listener is None and any(c.version == "1.3" for c in story.conns)
    return asked or silent or any("local_certificate_add" in h.api for h in story.uart)


def by_number(story: Story) -> Iterable[Claim]:
    """The certificate is not readable: the number and the device's words are all there is."""
    found = refused(story)
    if found is None or _readable(found) or any(at_module.dialogue(story)):
        return
    seen = found[1]
    by_code: dict[int, tuple[str, ...]] = {
        45: ("server_certificate.expired", "device.clock_unset"),
        48: ("server_certificate.untrusted", "server_certificate.chain_incomplete"),
        44: ("server_certificate.revoked",),
        43: ("server_certificate.unsupported", "server_certificate.wrong_usage"),
        46: ("server_certificate.untrusted", "device.clock_unset"),
        42: ("server_certificate.name_mismatch", "server_certificate.untrusted", "server_certificate.not_yet_valid"),
        80: ("tls.device_internal_error", "server_certificate.name_mismatch"),
    }
    causes = by_code.get(seen.code, ())
    netx = _NETX_HIDDEN.get(seen.code, ()) if story.stack == "netx" else ()
    if seen.code == 43 and netx and not _own_certificate(story):
        netx = ()
    causes = netx or causes
    if seen.code == 80 and netx and space_given(story):
        causes = (netx[1], netx[0], netx[2])
    if seen.code == 43 and story.stack not in ("netx", "mbedtls", "bearssl"):
        causes = causes[::-1]  # OpenSSL's x509 map sends 43 for the purpose; small stacks for what they lack
    causes = tuple(c for c in causes if not told_otherwise(story, c)) or causes
    for index, cause in enumerate(causes):
        named = first_told(story, cause)
        yield Claim(
            id=cause,
            confidence="probable"
            if index == 0 and (seen.code not in (42, 80) or (netx and seen.code == 42))
            else "possible",
            weight=(LIKELY if index == 0 else MAYBE) - index + (3 if seen.exact else 0),
            evidence=(*seen.evidence, *named),
            explain="" if named else _UNREAD,
            frame=seen.frame,
        )


def by_uart(story: Story) -> Iterable[Claim]:
    """The device's own code names the fault, and the certificate is not there to be read beside its alert."""
    conn = last_failing(story)
    found = refused(story)
    if found is not None and _readable(found):
        return
    if story.conns and conn is None:
        return
    done = max(handshake_done(story), last_run(story))
    for cause in (
        "server_certificate.expired",
        "server_certificate.not_yet_valid",
        "server_certificate.name_mismatch",
        "server_certificate.wrong_usage",
        "server_certificate.revoked",
        "server_certificate.crl_missing",
    ):
        hits = [h for h in told(story, cause) if h.line > done]
        if any(h.causes[0] == cause for h in hits):
            yield Claim(id=cause, confidence="probable", weight=TOLD + 2, evidence=(uart(hits[0]),))


def by_log(story: Story) -> Iterable[Claim]:
    """Revoked and the like as the broker's log repeats the device's alert, with no capture at hand."""
    if story.conns:
        return
    for entry in story.broker:
        if entry.alert == 80:
            yield Claim(
                id="tls.device_internal_error",
                confidence="possible",
                weight=LOGGED - 40,
                evidence=(f"broker {entry.line}: {entry.text[:160]}",),
            )
            return
