"""The broker refuses the ClientHello. Alert 40 alone had 14 causes in 30 captures, so the ClientHello is compared with
the listener set by set; where the listener is not known, the sets that are unusual are suspected first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from harness.diagnosis.compare import Dimension, Fit, compare, offered_versions
from harness.diagnosis.facts import AlertFact, Conn, Event, Story, leaf
from harness.diagnosis.registry import suites
from harness.diagnosis.registry.codepoints import extension_name
from harness.diagnosis.rules.claim import (
    HIDDEN,
    LOGGED,
    PROVED,
    TOLD,
    Claim,
    alert_evidence,
    entries,
    failing,
    first_log,
    first_told,
    frame,
    log,
)
from harness.diagnosis.rules.suspects import BY_REASON, CAUSE, suspected
from harness.model import Confidence, Listener, ServerCertificate

_REFUSALS = {
    "no shared cipher",
    "no suitable signature algorithm",
    "no shared signature algorithms",
    "no suitable key share",
    "no shared groups",
    "unsupported protocol",
    "missing sigalgs extension",
    "missing supported groups extension",
    "missing psk kex modes extension",
}


def known_listener(story: Story) -> Listener | None:
    """The listener, with the certificate the capture shows when the profile names none."""
    listener = story.listener
    certificate = next((c for c in map(_certificate, story.conns) if c is not None), None)
    if listener is None:
        return Listener(source="inferred", certificate=certificate) if certificate else None
    if listener.certificate is None and certificate is not None:
        return msgspec.structs.replace(listener, certificate=certificate)
    return listener


def _certificate(conn: Conn) -> ServerCertificate | None:
    end = leaf(conn.server_certificate)
    if end is None or end.get("key") not in ("rsa", "ec", "ed25519", "other"):
        return None
    return ServerCertificate(
        key=end["key"],
        bits=int(end.get("bits", 0)),
        curve=str(end.get("curve", "")),
        signature=str(end.get("sig", "")),
        names=(*end.get("dns", ()), *end.get("ip", ())),
        not_before=int(end.get("not_before", 0)),
        not_after=int(end.get("not_after", 0)),
    )


def refusal(story: Story) -> tuple[Conn, AlertFact | None] | None:
    """The last connection whose ClientHello got no ServerHello, with the broker's alert or its word in the log."""
    for conn in reversed(failing(story)):
        if conn.server_hello is not None or not conn.hellos:
            continue
        alert = conn.fatal("broker")
        if alert is not None or any(e.reason.lower() in _REFUSALS for e in story.broker):
            return conn, alert
    return None


def _misled(hello: Event | None) -> bool:
    """TLS 1.3 is all that supported_versions holds, and the suites look as if 1.2 were offered too (NetX)."""
    if hello is None or list(hello.get("versions", ())) != [0x0304]:
        return False
    return any(0xC000 <= int(code) <= 0xC0FF or int(code) < 0x00C0 for code in hello.get("suites", ()))


def version(story: Story) -> Iterable[Claim]:
    """Alert 70, in either direction; or 80 for a device that knows nothing newer than TLS 1.1."""
    for conn in failing(story)[-1:]:
        hello = conn.hello
        for sender in ("broker", "device"):
            alert = conn.fatal(sender)
            if alert is None or (sender == "broker" and conn.server_hello is not None):
                continue
            offered = offered_versions(hello) if hello else []
            old = bool(offered) and offered[0] in ("1.1", "1.0", "3.0")
            ancient = bool(offered) and offered[0] == "3.0" and alert.code == 40
            refused = (alert.code == 80 and old) or ancient
            if alert.code not in (70, 86) and not (refused and alert.position == "hello"):
                continue
            if hello is None and sender == "broker" and not conn.data.get("c"):
                continue
            listener = known_listener(story)
            fit = compare(hello, listener) if hello and listener else None
            common = fit.of("versions") if fit else None
            disagrees = common is not None and common.ok is True
            ssl2 = bool(hello and hello.get("ssl2"))
            sure = alert.code == 70 and sender == "broker" and not disagrees and not ssl2 and hello is not None
            accepted = ", ".join(common.accepted) if common and common.accepted else "none of that"
            shown = ", ".join(common.offered) if common else _shown(offered, hello)
            yield Claim(
                id="tls.no_common_version",
                confidence="certain" if sure else "probable",
                weight=PROVED + 5,
                evidence=(
                    *((frame(hello, f"ClientHello offers {shown}"),) if hello else ()),
                    alert_evidence(alert),
                    *first_log(story, "unsupported protocol", "unknown protocol", "no suitable signature algorithm"),
                ),
                explain=f"The device offers {shown or 'an old hello'}; the broker "
                + (f"refuses it, though its configuration accepts {accepted}: MinProtocol or MaxProtocol of OpenSSL's "
                   "own settings may be narrower." if disagrees else f"accepts {accepted}.")
                + (" Suites of TLS 1.2 in its ClientHello do not count: supported_versions does." if _misled(hello)
                   else ""),
                frame=alert.frame,
            )
            return
        odd = conn.data.get("s")  # the broker answers a hello of version 2.x with an alert record of that version
        if hello is not None and odd is not None and str(odd.get("first", "")).endswith("020246"):
            yield Claim(
                id="tls.no_common_version",
                confidence="probable",
                weight=PROVED + 5,
                evidence=(frame(odd, "alert 70 protocol_version in a record of the device's own odd version"),),
                frame=int(odd.get("frame", 0)),
            )
            return
    said = entries(story, "unsupported protocol", "version too low", "version too high", "no protocols available")
    if said and not any(c.server_hello for c in failing(story)):
        yield Claim(id="tls.no_common_version", confidence="probable", weight=LOGGED, evidence=(log(said[-1]),))
    for entry in story.broker:
        if entry.alert == 70:
            yield Claim(id="tls.no_common_version", confidence="probable", weight=LOGGED, evidence=(log(entry),))
            return


def _shown(offered: list[str], hello: Event | None) -> str:
    listed = offered if hello and hello.get("versions") else offered[:1]
    return ", ".join(f"TLS {v}" for v in listed)


def named_by_alert(story: Story) -> Iterable[Claim]:
    """Alerts that name the fault by themselves: missing_extension, unrecognized_name, ALPN, PSK."""
    for conn in failing(story)[-1:]:
        alert = conn.fatal("broker") or next((a for a in conn.alerts if a.code == 112), None)
        hello = conn.hello
        if alert is None or hello is None:
            continue
        if alert.code == 109:
            absent = missing_extensions(hello)
            if not absent and not hello.get("sni"):  # RFC 8446 9.2: from a server that demands the name
                yield _named("tls.sni_missing", alert, hello, "no server name in the ClientHello")
                continue
            what = ", ".join(extension_name(e) for e in absent) or "one that the broker needs"
            yield _named("tls.missing_extension", alert, hello, f"mandatory extension missing: {what}")
        elif alert.code == 112:
            name = hello.get("sni")
            if name:
                yield _named("tls.sni_unrecognised", alert, hello, f"the endpoint does not know {name!r}")
            else:
                yield _named("tls.sni_missing", alert, hello, "no server name in the ClientHello")
        elif alert.code == 120:
            offered = ", ".join(hello.get("alpn") or ()) or "none"
            yield _named("tls.alpn_mismatch", alert, hello, f"application protocols offered: {offered}")
        elif alert.code == 115:
            yield _named("tls.psk_unknown_identity", alert, hello, "the broker does not know the identity")


def _named(cause: str, alert: AlertFact, hello: Event, text: str) -> Claim:
    return Claim(
        id=cause,
        confidence="certain" if cause != "tls.missing_extension" or missing_extensions(hello) else "probable",
        weight=PROVED + 5,
        evidence=(frame(hello, text), alert_evidence(alert)),
        explain=text[:1].upper() + text[1:] + ".",
        frame=alert.frame,
    )


def missing_extensions(hello: Event) -> list[int]:
    """Extensions mandatory in TLS 1.3 (RFC 8446 9.2) that are absent, when 1.3 is offered without a PSK."""
    present = hello.get("extensions", ())
    if 0x0304 not in (hello.get("versions") or ()):
        return []
    return [e for e in (10, 13, 51) if e not in present]


def sets(story: Story) -> Iterable[Claim]:
    """Handshake failure right after the ClientHello: which set does not meet?"""
    found = refusal(story)
    if found is None:
        yield from _log_only(story)
        return
    conn, alert = found
    hello = conn.hello
    if hello is None or (alert is not None and alert.code not in (40, 71, 109)):
        return
    said = [e for e in story.broker if e.reason.lower() in _REFUSALS]
    reason = said[-1].reason.lower() if said else ""
    if reason == "unsupported protocol":
        return
    base = [alert_evidence(alert)] if alert else []
    base += [log(e) for e in said[-1:]]
    where = alert.frame if alert else int(hello.get("frame", 0))
    listener = known_listener(story)
    fit = compare(hello, listener or Listener(source="inferred"))
    yield from _psk(hello, alert, base, reason)
    absent = missing_extensions(hello)
    if absent:
        names = ", ".join(extension_name(e) for e in absent)
        yield Claim(
            id="tls.missing_extension",
            confidence="probable",
            weight=PROVED,
            evidence=(frame(hello, f"TLS 1.3 offered without {names}"), *base),
            explain=f"TLS 1.3 is offered without {names}, which is mandatory.",
            frame=where,
        )
        return
    held = _held_to_12(hello, listener, fit, reason)
    fit = held or fit
    failing_sets = [d for d in fit.dimensions if d.ok is False and d.cause]
    order: list[tuple[Dimension, int, Confidence, str]] = []
    for index, dimension in enumerate(failing_sets):
        sure = index == 0 and listener is not None and listener.source == "profile"
        agreed = index == 0 and _agrees(reason, dimension.cause, fit) and held is None
        level: Confidence = "certain" if sure or (agreed and listener is not None) else "probable"
        order.append((dimension, PROVED - 3 * index, level, dimension.note))
    if not failing_sets:
        order = list(suspected(hello, fit, reason))
    for dimension, weight, level, note in order:
        yield Claim(
            id=dimension.cause or CAUSE[dimension.name],
            confidence=level,
            weight=weight,
            evidence=(frame(hello, _offer(dimension)), *base),
            explain=_sentence(dimension, note, named=weight >= LOGGED) + (f" {_HELD}." if held else ""),
            frame=where,
        )
    if any(d.cause == "tls.no_common_group" and d.name == "certificate_curve" for d in failing_sets):
        yield Claim(
            id="server_certificate.unsupported",
            confidence="probable",
            weight=PROVED - 1,
            evidence=tuple(base),
            explain="The curve of the broker's certificate is not among the groups the device offers.",
            frame=where,
        )


_HELD = "TLS 1.3 does not explain this refusal: the broker seems held to 1.2 (MaxProtocol in its OPENSSL_CONF)"


def _held_to_12(hello: Event, listener: Listener | None, fit: Fit, reason: str) -> Fit | None:
    """The fit in TLS 1.2, where 1.3 is common by the configuration and does not explain the refusal: "no shared cipher"
    although a suite of 1.3 is shared. MaxProtocol stands in OPENSSL_CONF, not in mosquitto.conf."""
    if listener is None or listener.source != "config" or fit.version != "1.3" or "1.2" not in offered_versions(hello):
        return None
    shared = fit.of("suites")
    if shared is None or shared.ok is not True or (reason != "no shared cipher" and (reason or fit.first is not None)):
        return None
    lower = compare(hello, msgspec.structs.replace(listener, versions=("1.2",)))
    return lower if reason or lower.first is not None else None


def _agrees(reason: str, cause: str, fit: Fit) -> bool:
    """Does the broker's word name this set, and can it name no other?"""
    named = BY_REASON.get(reason)
    if named:
        return CAUSE[named] == cause
    return reason == "no shared cipher" and cause == "tls.no_common_cipher_suite"


def _psk(hello: Event, alert: AlertFact | None, base: list[str], reason: str) -> Iterator[Claim]:
    offered = [suites.lookup(s) for s in hello.get("suites", ())]
    only_psk = (
        bool(offered)
        and all(s is None or "PSK" in s.name or s.tls13 for s in offered)
        and any(s is not None and "PSK" in s.name for s in offered)
    )
    if not hello.get("psk") and not only_psk:
        return
    if reason and reason not in ("no suitable signature algorithm", "no shared cipher", "psk identity not found"):
        return
    yield Claim(
        id="tls.psk_unknown_identity",
        confidence="probable",
        weight=PROVED - 2,
        evidence=(frame(hello, "a pre-shared key is offered and not accepted"), *base),
        explain="The device offers a pre-shared key whose identity the broker does not know.",
        frame=alert.frame if alert else 0,
    )


def _offer(dimension: Dimension) -> str:
    return f"{dimension.title} offered: {', '.join(dimension.offered) or 'none'}"


def _sentence(dimension: Dimension, note: str, named: bool) -> str:
    if dimension.accepted is not None and dimension.ok is False:
        text = f"No common {dimension.title}: the broker accepts {', '.join(dimension.accepted) or 'none'}."
    elif named:
        text = f"The broker found nothing common in the {dimension.title}."
    else:
        text = f"What the broker accepts is not known; it may have found nothing common in the {dimension.title}."
    return f"{text} {note[:1].upper()}{note[1:]}." if note else text


def _log_only(story: Story) -> Iterator[Claim]:
    """No readable ClientHello beside the log: the log's word alone."""
    if any(c.server_hello for c in failing(story)) or any(c.hellos for c in story.conns):
        return
    for entry in story.broker:
        reason = entry.reason.lower()
        cause = CAUSE.get(BY_REASON.get(reason, ""), "")
        if reason == "no shared cipher":
            cause = "tls.no_common_cipher_suite"
        if cause:
            explain = "In TLS 1.2 OpenSSL says this for suites, groups and signature algorithms alike; a capture tells."
            explain = explain if reason == "no shared cipher" else ""
            yield Claim(id=cause, confidence="probable", weight=LOGGED, evidence=(log(entry),), explain=explain)
            return


def ecc_not_initialised(story: Story) -> Iterable[Claim]:
    """ECDHE suites without supported_groups, or no ClientHello at all because the curve tables were never set."""
    evidence = first_told(story, "tls.ecc_not_initialised")
    for conn in failing(story)[-1:]:
        if conn.hellos:
            continue
        if evidence and conn.established:
            yield Claim(
                id="tls.ecc_not_initialised",
                confidence="probable",
                weight=TOLD + 5,
                evidence=(*evidence, "wire: TCP opens and no ClientHello follows"),
                explain="The device opened TCP and could not build a ClientHello: its curve tables were never set.",
            )
    if evidence and not story.conns:
        yield Claim(id="tls.ecc_not_initialised", confidence="probable", weight=TOLD, evidence=evidence)


def psk_wrong_key(story: Story) -> Iterable[Claim]:
    """PSK known, key wrong: the binder (1.3, alert 47) or the Finished (1.2, alert 20) does not verify."""
    for conn in failing(story)[-1:]:
        alert = conn.fatal("broker")
        hello = conn.hello
        if alert is None or hello is None:
            continue
        suite = suites.lookup(int(conn.server_hello.get("suite", 0))) if conn.server_hello else None
        in12 = alert.code in (20, 51) and suite is not None and "PSK" in suite.name
        in13 = alert.code in (47, 51) and bool(hello.get("psk")) and conn.server_hello is None
        if in12 or in13:
            yield Claim(
                id="tls.psk_wrong_key",
                confidence="probable",
                weight=PROVED + 3,
                evidence=(
                    frame(hello, "a pre-shared key is offered"),
                    alert_evidence(alert),
                    *first_log(story, "binder does not verify", "decryption failed or bad record mac"),
                ),
                explain="The broker knows the identity and has another key for it.",
                frame=alert.frame,
            )


def hidden_by_negotiation(story: Story) -> Iterable[Claim]:
    """A second fault the first one hides: the device's own certificate is already known to be in the wrong store."""
    from harness.diagnosis.rules.client_certificate import wrong_store_lines

    if refusal(story) is None:
        return
    lines = wrong_store_lines(story)
    if lines:
        yield Claim(
            id="client_certificate.wrong_store",
            confidence="probable",
            weight=HIDDEN,
            evidence=lines,
            explain="The next fault, hidden by this one: the device's certificate is added as a trusted CA.",
        )
