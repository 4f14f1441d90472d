"""No capture: the number of an alert, in the device's words or the broker's, is all there is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.diagnosis.facts import Story
from harness.diagnosis.outcome import works
from harness.diagnosis.registry import suites
from harness.diagnosis.rules.claim import FALLBACK, LIKELY, LOGGED, MAYBE, TOLD, Claim, entries, first_log, log, uart
from harness.diagnosis.rules.seen import from_broker


def forty_without_wire(story: Story) -> Iterable[Claim]:
    """Alert 40 from the device's words alone: its place in the exchange is unknown, so several causes stay open."""
    if story.conns or story.broker:
        return
    seen = from_broker(story, None)
    if seen is None or seen.code != 40:
        return
    agreed = any(h.kind == "event" and h.name == "tls" and h.fields.get("suite") for h in story.uart)
    if agreed:  # the shim names a suite: a ServerHello came, and the alert is about what the device sent then
        yield Claim(
            id="client_certificate.missing",
            confidence="probable",
            weight=LIKELY,
            evidence=seen.evidence,
            explain="A suite was agreed on, so alert 40 is no answer to the ClientHello; after an empty Certificate "
            "message it means that the broker requires a client certificate.",
        )
        return
    for index, cause in enumerate(
        ("tls.no_common_cipher_suite", "client_certificate.missing", "tls.no_common_signature_algorithm")
    ):
        yield Claim(
            id=cause,
            confidence="possible",
            weight=MAYBE + 3 - index,
            evidence=seen.evidence,
            explain="Alert 40 right after the ClientHello is suite, group or signature algorithm; after an empty "
            "Certificate message it is the client certificate. Only a capture shows which.",
        )


def decrypt_error_alone(story: Story) -> Iterable[Claim]:
    """No capture: alert 51 by the device's words, or the broker's word that Finished does not verify."""
    if story.conns or works(story):
        return
    digest = first_log(story, "digest check failed")
    seen = from_broker(story, None)
    if not digest and (seen is None or seen.code != 51 or story.broker):
        return
    long_hash = _agreed_hash(story) == "SHA384"
    order = ["tls.finished_mismatch", "tls.handshake_hash_mismatch"]
    if not digest:
        order.append("client_key.mismatch")
    if long_hash:
        order = [order[1], *order[2:], order[0]]
    for index, cause in enumerate(order):
        first = index == 0 and (bool(digest) or (long_hash and story.stack == "netx"))
        yield Claim(
            id=cause,
            confidence="probable" if first else "possible",
            weight=(LOGGED - 5 if digest else TOLD) if first else FALLBACK + 20 - index,
            evidence=(*(seen.evidence if seen else ()), *digest),
            explain="What the broker verifies last, Finished or the signature by the device's key, does not verify."
            if not digest
            else "The device's Finished does not verify: the two sides saw different bytes, or hash differently.",
        )


def _agreed_hash(story: Story) -> str:
    """Hash of the suite that the shim says was agreed on."""
    for hit in reversed(story.uart):
        named = hit.fields.get("suite", "") if hit.kind == "event" and hit.name == "tls" else ""
        if re.fullmatch(r"0x[0-9a-fA-F]{1,4}", named):
            suite = suites.lookup(int(named, 16))
            return suite.hash if suite is not None else ""
    return ""


_HANDSHAKES = ("mbedtls_ssl_handshake", "wolfssl_connect", "ssl_connect", "tls_connect")


def tls_on_plain_port(story: Story) -> Iterable[Claim]:
    """The handshake fails on the device, and the broker takes what it got for a broken MQTT packet."""
    said = [e for e in story.broker if e.kind == "protocol_error" and e.client == "<unknown>"]
    if story.has_wire or not said or any(e.code is not None for e in story.broker):
        return
    if story.listener is not None and story.listener.tls and story.listener.source != "inferred":
        return
    failed = [
        h
        for h in story.uart
        if (h.code and h.api.lower() in _HANDSHAKES) or (h.name == "tls" and h.fields.get("state") == "failed")
    ]
    if failed:
        yield Claim(
            id="protocol.tls_on_plain_port",
            confidence="probable",
            weight=LOGGED + 3,
            evidence=(uart(failed[0]), log(said[-1])),
            explain="The device starts TLS, and the broker reads it as a broken MQTT packet: a plain listener.",
        )


def no_tls_by_log(story: Story) -> Iterable[Claim]:
    """OpenSSL in the broker finds no TLS version in what came: CONNECT in clear, or no MQTT at all."""
    said = entries(story, "wrong version number")
    if story.has_wire or not said or works(story):
        return
    sent = [h for h in story.uart if h.name == "mqtt" and h.fields.get("state") == "connect_sent"]
    if sent and not any(h.name == "tls" for h in story.uart):
        yield Claim(
            id="protocol.plain_mqtt_on_tls_port",
            confidence="probable",
            weight=LOGGED + 3,
            evidence=(uart(sent[-1]), log(said[-1])),
            explain="The device sends CONNECT without TLS, and the listener expects TLS.",
        )
        return
    for index, cause in enumerate(("protocol.plain_mqtt_on_tls_port", "protocol.not_tls")):
        yield Claim(
            id=cause,
            confidence="possible",
            weight=MAYBE + 3 - index,
            evidence=(log(said[-1]),),
            explain="What came to the TLS listener is no TLS: MQTT in clear, or a stranger; a capture tells.",
        )


def name_demanded(story: Story) -> Iterable[Claim]:
    """The front end (harness/sni) says itself that it wants a name."""
    said = [e for e in story.broker if e.text.startswith("hil-sni: refused")]
    if said and not works(story):
        yield Claim(id="tls.sni_missing", confidence="probable", weight=LOGGED + 2, evidence=(log(said[-1]),))
