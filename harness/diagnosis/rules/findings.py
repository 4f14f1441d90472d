"""What is wrong although it connected. Findings never stand among the causes."""

from __future__ import annotations

from collections.abc import Iterable

from harness.diagnosis.facts import Conn, Story, leaf
from harness.diagnosis.outcome import connected
from harness.diagnosis.registry import suites
from harness.diagnosis.rules.claim import LIKELY, PROVED, Claim, first_told, frame, told
from harness.diagnosis.rules.server_certificate import dates, host_names, name_mismatch


def accepting(story: Story) -> list[Conn]:
    """Connections on which the device went on after the broker's certificate."""
    return [c for c in story.conns if c.tls and c.server_hello is not None and connected(c) is True]


def accepted_dates(story: Story) -> Iterable[Claim]:
    for conn in accepting(story):
        end = leaf(conn.server_certificate)
        wrong = dates(end, story.now) if end else ""
        if wrong:
            what = "is past its end date" if wrong == "expired" else "is not valid yet"
            yield Claim(
                id="server_certificate.accepted_expired",
                confidence="certain",
                weight=PROVED,
                evidence=(frame(conn.server_certificate, f"the certificate {what}"), "wire: the session works"),
                explain=f"The broker's certificate {what} and the device connected: no clock, or no check of dates.",
                frame=int((conn.server_certificate or {}).get("frame", 0)),
            )
            return


def accepted_name(story: Story) -> Iterable[Claim]:
    for conn in accepting(story):
        mismatch = name_mismatch(story, conn)
        _, sure = host_names(story, conn)
        if mismatch is not None and sure:
            yield Claim(
                id="server_certificate.accepted_wrong_name",
                confidence="probable",
                weight=PROVED,
                evidence=(
                    frame(conn.hello, f"the device calls {mismatch[0]!r}"),
                    frame(conn.server_certificate, f"the certificate is for {mismatch[1]}"),
                ),
                explain=f"The certificate is for {mismatch[1]}, the device called {mismatch[0]!r}, and it connected.",
                frame=int((conn.server_certificate or {}).get("frame", 0)),
            )
            return


def accepted_untrusted(story: Story) -> Iterable[Claim]:
    """The device's own verification failed and it went on, or a self-signed leaf was taken."""
    conns = accepting(story)
    refused = any(c.fatal("device") is not None for c in story.conns)  # then the complaint had its consequence
    for conn in conns:
        end = leaf(conn.server_certificate)
        complaints = [
            h
            for h in story.uart
            if h.causes and h.causes[0] in ("server_certificate.untrusted", "server_certificate.chain_incomplete")
        ]
        evidence = first_told(story, complaints[0].causes[0]) if complaints and not refused else ()
        own = end is not None and bool(end.get("self_signed")) and not story.device.trust_files
        if evidence or own:
            shown = (frame(conn.server_certificate, "a self-signed certificate"),) if own else ()
            yield Claim(
                id="server_certificate.accepted_untrusted",
                confidence="probable" if evidence else "possible",
                weight=PROVED,
                evidence=(*shown, *evidence),
                explain="The device went on with a chain that it could not verify.",
                frame=int((conn.server_certificate or {}).get("frame", 0)),
            )
            return


def weak_suite(story: Story) -> Iterable[Claim]:
    for conn in accepting(story):
        hello = conn.server_hello or {}
        code = int(hello.get("suite", 0))
        why = suites.weakness(code)
        if not why and conn.version in ("1.0", "1.1", "3.0"):
            why = f"TLS {conn.version} is obsolete (RFC 8996)"
        if why:
            yield Claim(
                id="tls.weak_suite",
                confidence="certain",
                weight=LIKELY,
                evidence=(frame(hello, f"{suites.name(code)} is negotiated"),),
                explain=f"{suites.name(code)}: {why}.",
                frame=int(hello.get("frame", 0)),
            )
            return


def verify_disabled(story: Story) -> Iterable[Claim]:
    for hit in told(story, "device.verify_disabled")[:1]:
        yield Claim(
            id="device.verify_disabled",
            confidence="probable",
            weight=PROVED + 1,
            evidence=(f"uart {hit.line}: {hit.text[:160]}",),
            explain=hit.meaning,
        )
