"""Checks of a handshake's messages beside the ClientHello: client certificate, chain, signature scheme."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from harness.verdict.checks import Finding, Result, Vacuous, check
from harness.verdict.seen import NS, Seen, frame

PSS_RSAE = frozenset((0x0804, 0x0805, 0x0806))
WENT_ON = frozenset(("client_key_exchange", "certificate_verify", "finished"))
"""What a client sends behind its Certificate message."""


@check("RFC 5246 7.4.6; RFC 8446 4.4.2")
def certificate_after_request(seen: Seen) -> Iterable[Result]:
    """After CertificateRequest the device sends a Certificate message, if only an empty one."""
    requests = seen.of("certificate_request")
    if not requests:
        yield Vacuous("the broker asked for no certificate")
    for request in requests:
        kinds = {e["ev"] for e in seen.conn(request["conn"]) if e.get("dir") == "c"}
        if "certificate" in kinds:
            continue
        if "alert" in kinds and not kinds & WENT_ON:
            yield Vacuous("the device broke the handshake off before its Certificate was due")
            continue
        cause = "client_certificate.missing" if kinds & WENT_ON else ""  # else: silence, whose cause is another
        yield Finding("must", "CertificateRequest was not answered by a Certificate message", cause, (frame(request),))


@check("RFC 5246 7.4.6, 7.4.2; RFC 8446 4.4.2")
def client_chain_complete(seen: Seen) -> Iterable[Result]:
    """The device sends its leaf and what certifies it."""
    sent = seen.of("certificate", "c")
    if not sent:
        yield Vacuous("no client Certificate message was seen")
    for certificate in sent:
        chain = certificate.get("chain") or []
        if certificate.get("count") == 0:
            yield Finding("must", "the client Certificate message is empty", "client_certificate.missing",
                          (frame(certificate),))  # fmt: skip
        elif len(chain) < 2 and not (chain and chain[0].get("self_signed")):
            issuer = str(chain[0].get("issuer", "?")) if chain else "?"
            yield Finding("must", f"only the leaf was sent; its issuer `{issuer}` is missing",
                          "client_certificate.untrusted", (frame(certificate),), sure=False)  # fmt: skip


@check("RFC 8446 4.2.3, 4.4.3, 9.1")
def server_signs_pss(seen: Seen) -> Iterable[Result]:
    """Over an RSA key a TLS 1.3 CertificateVerify is rsa_pss_rsae_*: proves that the device verified one."""
    signed = seen.of("certificate_verify", "s")
    if not signed:
        yield Vacuous("the server's CertificateVerify could not be read")
    for event in signed:
        if event.get("sigalg") not in PSS_RSAE:
            yield Finding("may", f"the server signed with 0x{event.get('sigalg', 0):04x}", "", (frame(event),))


@check("RFC 5246 7.3; RFC 8446 4.4.4")
def finished_both_ways(seen: Seen) -> Iterable[Result]:
    """Both sides finished the handshake, as far as the keys show it."""
    for server in seen.of("server_hello"):
        if server.get("hrr"):
            continue
        sides = {e.get("dir") for e in seen.of("finished") if e.get("conn") == server["conn"]}
        ended = any(e["ev"] in ("alert", "fin", "rst") for e in seen.conn(server["conn"]))
        if sides and sides != {"c", "s"} and ended and not seen.accepted():
            # In TLS 1.3 the server's Finished comes before the client has judged its certificate.
            yield Vacuous("the handshake was broken off between the two Finished")
        elif not sides and not seen.accepted():
            yield Vacuous("Finished could not be read")
        elif sides and sides != {"c", "s"}:
            yield Finding("must", "only one side sent Finished", "tls.finished_mismatch", (frame(server),))


@check("RFC 5280 6.1.3 (a)(2)")
def clock_recovers(seen: Seen) -> Iterable[Result]:
    """Without a clock a currently valid certificate is refused; once the clock is set the next connect completes."""
    ends = list(seen.said("done"))
    if len(ends) < 2:
        yield Vacuous("the device did not run twice")
        return
    accepted = seen.accepted()
    first = list(seen.shim)[: list(seen.shim).index(ends[0]) + 1]
    good = (("tls", "state", "ok"), ("done", "result", "ok"))
    through = [e for e in first if any(e.name == name and e.fields.get(key) == value for name, key, value in good)]
    if through:
        yield Finding("must", "connected without a clock: the dates of the certificate are not checked",
                      "server_certificate.accepted_expired",
                      (f"uart {through[0].line}: {through[0].name} "
                       + " ".join(f"{k}={v}" for k, v in through[0].fields.items()),))  # fmt: skip
    if not accepted or ends[-1].fields.get("result") != "ok":
        # The clock is to blame where nothing else is seen to be: another fault keeps the device out just as well.
        cause = "" if seen.diagnosis.causes else "device.clock_unset"
        shown = (f"uart {ends[-1].line}: the run with the clock ends with {ends[-1].fields.get('result', '?')}",)
        yield Finding("must", "does not connect after its clock was set", cause, shown, sure=False)


LEAST_GAP, STORM, GROWTH = 1.0, 0.5, 1.2


@check("AWS Device Advisor: MQTT_Connect_Exponential_Backoff_Retries")
def backs_off(seen: Seen) -> Iterable[Result]:
    """Attempts come at growing distances, never closer than 1 s."""
    opened = [e["t"] for e in seen.of("open")]
    if len(opened) < 3:
        yield Vacuous(f"{len(opened)} attempts: nothing to measure")
        return
    gaps = [(after - before) / NS for before, after in pairwise(opened)]
    shown = ", ".join(f"{gap:.2f}" for gap in gaps[:8])
    if min(gaps) < LEAST_GAP:
        cause = "device.retry_storm" if min(gaps) < STORM else ""
        close = gaps.index(min(gaps))
        pair = tuple(f"{frame(e)}: an attempt" for e in seen.of("open")[close : close + 2])
        yield Finding("advice", f"attempts {shown} s apart; never closer than {LEAST_GAP:.0f} s", cause, pair)
    elif any(after < before * GROWTH for before, after in pairwise(gaps)):
        yield Finding("advice", f"attempts {shown} s apart do not grow")
