"""What the device itself says: codes, faults, resets; and contradictions between its words and the wire."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.diagnosis.facts import NS, Story
from harness.diagnosis.outcome import handshake_done, last_run
from harness.diagnosis.rules.claim import (
    FALLBACK,
    HIDDEN,
    LIKELY,
    MAYBE,
    PROVED,
    TOLD,
    Claim,
    first_told,
    frame,
    says_less,
    uart,
)
from harness.diagnosis.rules.socket_chip import INVALID_RECORD, oversize_is_7100

if TYPE_CHECKING:
    from harness.evidence.uart import UartHit

# Codes that say only "the connection went away": the wire knows better, so they weigh less when there is one.
_VAGUE = (
    "network.",
    "tls.device_internal_error",
    "device.transport_",
    "tls.unexpected_message",
    "mqtt.server_unavailable",
)


def by_code(story: Story) -> Iterable[Claim]:
    """Each code with a known meaning; the first that the device printed weighs most."""
    rank = 0
    seen: set[str] = set()
    wire = story.has_wire and bool(story.conns)
    heard = wire or any(e.code is not None for e in story.broker)  # the broker knows why the connection went
    done, begun = handshake_done(story), last_run(story)
    for hit in story.uart:
        if not hit.causes or hit.fields.get("level") == "1" or hit.stack == "spwf04":
            continue  # an AT module's numbers mean what was said before them: rules/at_module.py
        for index, cause in enumerate(_plausible(story, hit)):
            if hit.line < begun or (hit.line < done and cause.startswith(_IN_HANDSHAKE)):
                continue  # of an earlier attempt
            later = cause == "device.session_not_released" and (rank > 0 or any(c.hellos for c in story.conns))
            if cause in seen or later:
                continue
            seen.add(cause)
            vague = cause.startswith(_VAGUE) and (wire or (heard and cause.startswith("network.")))
            weight = (FALLBACK - 2 if vague else TOLD) - min(rank, 8) if index == 0 else MAYBE - index - min(rank, 8)
            if index and vague:
                weight = FALLBACK - 5
            rank += 1
            yield Claim(
                id=cause,
                confidence="probable" if index == 0 and not vague else "possible",
                weight=weight,
                evidence=(uart(hit),),
                explain=hit.meaning[:1].upper() + hit.meaning[1:] + "." if hit.meaning and index == 0 else "",
            )


_IN_HANDSHAKE = ("server_certificate.", "client_certificate.", "client_key.", "certificate.", "tls.", "device.clock_")


def _plausible(story: Story, hit: UartHit) -> tuple[str, ...]:
    """OpenSSL has every hash: there a Finished that does not verify is never a missing SHA-384. Mbed TLS's
    -0x7200: see `oversize_is_7100`."""
    if hit.stack == "openssl":
        return tuple(c for c in hit.causes if c != "tls.handshake_hash_mismatch")
    if says_less(story, hit):
        return ()
    hellos = [c.hello for c in story.conns if c.hello is not None]
    if "tls.sni_unrecognised" in hit.causes and hellos and not any(hello.get("sni") for hello in hellos):
        return ("tls.sni_missing",)  # there was no name to recognise
    if hit.stack == "mbedtls" and hit.code == INVALID_RECORD and oversize_is_7100(story):
        return hit.causes[::-1]
    return hit.causes


def buffer(story: Story) -> Iterable[Claim]:
    """A certificate of ordinary size that does not fit: the buffer is what is wrong, not the certificate."""
    evidence = first_told(story, "server_certificate.too_large")
    if not evidence:
        return
    sizes = [int(c.server_certificate.get("len", 0)) for c in story.conns if c.server_certificate is not None]
    for conn in story.conns:
        sizes.append(sum(int(s.get("len", 0)) for s in conn.sealed if s.get("phase") == "handshake"))
    if not sizes or max(sizes) < 4096:
        yield Claim(
            id="device.buffer_too_small",
            confidence="probable",
            weight=TOLD + 1,
            evidence=evidence,
            explain="The broker's certificate has an ordinary size; the buffer the application gave is too small.",
        )


def faults(story: Story) -> Iterable[Claim]:
    """HardFault, assert, watchdog: registers in the evidence."""
    if story.log is None:
        return
    for fault in story.log.faults:
        dog = "watchdog" in fault.kind or "wdg" in fault.text.lower()
        registers = " ".join(f"{name}={value}" for name, value in sorted(fault.registers.items()))
        yield Claim(
            id="device.watchdog_reset" if dog else "device.hard_fault",
            confidence="certain",
            weight=PROVED + 8,
            evidence=(f"uart {fault.line}: {fault.text[:120]} {registers}".strip(),),
            explain="The watchdog bit." if dog else f"The device stopped with a {fault.kind}.",
        )
        return


def silent(story: Story) -> Iterable[Claim]:
    """A UART log with nothing in it, and no packets."""
    if story.log is not None and not story.log.size and not story.conns and not story.has_broker:
        yield Claim(
            id="device.silent",
            confidence="probable",
            weight=LIKELY,
            evidence=("uart: nothing was printed", *(("wire: no connection",) if story.has_wire else ())),
            explain="No UART output and no packets: not booted, the wrong image or the wrong port.",
        )


def session_not_released(story: Story) -> Iterable[Claim]:
    """A later attempt fails earlier than the first: the first one's session is still there."""
    evidence = first_told(story, "device.session_not_released")
    if evidence and len([c for c in story.conns if c.hellos]) >= 1:
        yield Claim(
            id="device.session_not_released",
            confidence="probable",
            weight=HIDDEN + 2,
            evidence=evidence,
            explain="After the first failure its session was left open, so the next attempt fails earlier.",
        )


def connack_misparsed(story: Story) -> Iterable[Claim]:
    """CONNACK on the wire is good; the device reports another code."""
    for conn in story.conns:
        good = [m for m in conn.packets("CONNACK", "s") if m.get("code") == 0]
        if not good or any(m.get("code") for c in story.conns for m in c.packets("CONNACK", "s")):
            continue  # a refusal that another attempt did get
        if any(e.kind == "not_authorised" or (e.kind == "sending_connack" and e.connack) for e in story.broker):
            continue
        for hit in story.uart:
            refused = hit.stack in ("connack", "paho", "lwip", "pubsubclient") and hit.code not in (None, 0)
            if "device.connack_misparsed" in hit.causes or (refused and "connack" in hit.text.lower()):
                yield Claim(
                    id="device.connack_misparsed",
                    confidence="probable",
                    weight=PROVED + 6,
                    evidence=(frame(good[0], "CONNACK 0 accepted"), uart(hit)),
                    explain="The broker accepted (20 02 00 00); the device's parser says otherwise.",
                    frame=int(good[0].get("frame", 0)),
                )
                return


def read_gated(story: Story) -> Iterable[Claim]:
    """CONNACK is delivered and the device does nothing for seconds: decrypted bytes wait, the socket chip is empty."""
    for conn in story.conns:
        good = [m for m in conn.packets("CONNACK", "s") if m.get("code") == 0]
        if not good or not conn.tls:
            continue
        arrived = int(good[0].get("t", 0))
        after = [m for m in conn.mqtt if m.get("dir") == "c" and int(m.get("t", 0)) > arrived]
        told = first_told(story, "device.read_gated_on_socket")
        quiet = (conn.last - arrived) / NS
        connect = (conn.packets("CONNECT", "c") or [{}])[0]
        patience = max(5.0, 1.5 * int(connect.get("keepalive", 0) or 0))
        if not after and conn.sender_first == "c" and (told or quiet > patience):
            yield Claim(
                id="device.read_gated_on_socket",
                confidence="probable" if told else "possible",
                weight=LIKELY,
                evidence=(frame(good[0], f"CONNACK, then {quiet:.1f} s without a packet from the device"), *told),
                explain="The CONNACK arrived and the device never acted on it.",
                frame=int(good[0].get("frame", 0)),
            )


def transport(story: Story) -> Iterable[Claim]:
    """End of file on the device while the wire shows an open connection: the receive callback returned 0."""
    for cause in ("device.transport_returned_zero", "device.transport_overreported"):
        evidence = first_told(story, cause)
        if not evidence or not story.conns:
            continue
        conn = story.conns[-1]
        by_broker = conn.sender_first == "s" or conn.fatal("broker") is not None
        zero = cause == "device.transport_returned_zero"
        if conn.established and not by_broker and not (conn.gaps and not zero):
            yield Claim(
                id=cause,
                confidence="probable" if zero else "possible",
                weight=LIKELY + 8 if zero else LIKELY - 5,
                evidence=(*evidence, "wire: the broker had neither closed nor sent an alert when the device gave up"),
                explain="The TLS stack saw the end of a connection that was still open: its receive callback said 0."
                if zero
                else "The TLS stack may have got other bytes than those on the wire: its receive callback counts bytes "
                "that it did not deliver.",
            )


def retry_storm(story: Story) -> Iterable[Claim]:
    """At least six attempts that come faster than one a second, without growing apart."""
    starts = sorted(c.opened for c in story.conns if c.how == "syn" and c.opened)
    if len(starts) < 6:
        return
    gaps = [(b - a) / NS for a, b in itertools.pairwise(starts)]
    if sum(gaps) / len(gaps) < 1.0 and gaps[-1] < 1.5 * max(gaps[0], 0.01):
        yield Claim(
            id="device.retry_storm",
            confidence="probable",
            weight=HIDDEN + 1,
            evidence=(f"wire: {len(starts)} attempts in {sum(gaps):.1f} s, the last pause {gaps[-1]:.2f} s",),
            explain="The device reconnects without back-off.",
        )
