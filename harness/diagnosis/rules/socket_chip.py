"""A socket chip or a modem that does TCP, with TLS on top of it in the device (field story 002): what goes wrong
between the two. The device's own code says only that a record was bad, or that CONNACK never came; the wire says why.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.diagnosis.compare import name_matches
from harness.diagnosis.facts import Conn, Story, certificate_names, leaf
from harness.diagnosis.outcome import CONNACK_SIZES, UNSET, answer, connack_lost
from harness.diagnosis.rules.claim import LIKELY, LOGGED, PROVED, TOLD, Claim, frame, log, told, uart

INVALID_RECORD = -0x7200
SMALL_INPUT = 4096  # bytes: a record up to here fits every input buffer mbedTLS is built with in practice
MISMATCH = "MBEDTLS_X509_BADCERT_CN_MISMATCH"


def _left(conn: Conn) -> bool:
    """The device ended it: its FIN came first, or its close_notify, which brokers answer with a FIN at once."""
    ends = [int(e.get("t", 0)) for e in (*conn.fins, *conn.resets) if e.get("dir") == "s"]
    bye = [a.t for a in conn.alerts if a.sender == "device" and a.code == 0]
    return conn.sender_first == "c" or bool(bye and ends and bye[0] <= min(ends))


def connack_unread(story: Story) -> Iterable[Claim]:
    """CONNACK is on the wire in time, and the device says that it waited for it in vain."""
    said = connack_lost(story)
    if said is None or said.code == UNSET:
        return
    for conn in story.conns[-1:]:
        good = [m for m in conn.packets("CONNACK", "s") if m.get("code") == 0]
        if not good or not conn.tls:
            continue
        arrived = int(good[0].get("t", 0))
        after = [m for m in conn.mqtt if m.get("dir") == "c" and int(m.get("t", 0)) > arrived]
        if not after and _left(conn):
            yield Claim(
                id="device.read_gated_on_socket",
                confidence="probable",
                weight=PROVED,
                evidence=(frame(good[0], "CONNACK 0, in one TLS record"), uart(said)),
                explain="CONNACK arrived and was decrypted with its first byte; whoever asks the socket chip before "
                "each read finds it empty and never fetches the rest from TLS.",
                frame=int(good[0].get("frame", 0)),
            )


def connack_unseen(story: Story) -> Iterable[Claim]:
    """The same where CONNACK is sealed, or known from the broker's log only: the device's word against it."""
    said = connack_lost(story)
    if said is None or any(c.packets("CONNACK", "s") for c in story.conns):
        return
    plain = story.listener is not None and not story.listener.tls
    if plain or any(c.packets("CONNECT", "c") and not c.tls for c in story.conns):
        return
    answers = [e for e in story.broker if e.kind == "sending_connack"]
    reply = None
    for conn in story.conns[-1:]:
        reply = answer(conn) if conn.sealed and not conn.mqtt else None
        if reply is not None and int(reply.get("len", 0)) not in CONNACK_SIZES:
            reply = None
    if any(e.connack for e in answers[-1:]) or not (answers or reply):
        return
    evidence = (
        *((log(answers[-1]),) if answers else ()),
        *((frame(reply, "the broker's record after CONNECT, as long as CONNACK"),) if reply is not None else ()),
        uart(said),
    )
    weight = (LOGGED if answers else TOLD) + 6
    if said.code == UNSET:
        yield Claim(
            id="device.connack_misparsed",
            confidence="probable",
            weight=weight,
            evidence=evidence,
            explain="The broker answered; 255 is no code of CONNACK but what the device's parser held before it.",
            frame=int((reply or {}).get("frame", 0)),
        )
        return
    yield Claim(
        id="device.read_gated_on_socket",
        confidence="probable" if answers and reply is not None else "possible",
        weight=weight,
        evidence=evidence,
        explain="The broker answered and the device says that nothing came: the bytes wait inside TLS, and whoever "
        "asks the socket chip before each read never fetches them.",
        frame=int((reply or {}).get("frame", 0)),
    )


def _largest(conn: Conn) -> int:
    """Bytes of the broker's largest message or record that was seen."""
    sizes = [int(s.get("len", 0)) for s in (*conn.sealed, *conn.records) if s.get("dir") == "s"]
    return max((*sizes, int((conn.server_certificate or {}).get("len", 0))), default=0)


def oversize_is_7100(story: Story) -> bool:
    """mbedTLS from 2.28 on: a record that exceeds the buffer gives -0x7100 (mbedtls_ssl_fetch_input), never -0x7200."""
    version = story.log.version if story.log is not None and story.log.stack == "mbedtls" else ""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return numbers >= (2, 28)


def over_reported(story: Story) -> Iterable[Claim]:
    """A bad record on the device (-0x7200) where all of the broker's are good and small: the callback counted bytes it
    did not deliver."""
    hits = [h for h in story.uart if h.stack == "mbedtls" and h.code == INVALID_RECORD]
    if not hits or not story.conns:
        return
    conn = story.conns[-1]
    if conn.sender_first == "s" or conn.gaps or conn.server_hello is None:
        return
    small = _largest(conn) <= SMALL_INPUT
    if not small and not oversize_is_7100(story):
        return
    shown = f"whole records of the broker, none over {SMALL_INPUT}"
    if not small:
        shown = "whole records of the broker; one too large for the buffer would be -0x7100 in this mbedTLS"
    yield Claim(
        id="device.transport_overreported",
        confidence="probable",
        weight=TOLD + 5,
        evidence=(uart(hits[0]), frame(conn.server_hello, shown)),
        explain="The record on the wire is good; the stack got other bytes: its receive callback reported "
        "more than it delivered.",
        frame=int(conn.server_hello.get("frame", 0)),
    )


def address_for_name(story: Story) -> Iterable[Claim]:
    """No server_name, and the name check failed although the certificate has the name: TLS was given the address."""
    mismatch = [h for h in told(story, "server_certificate.name_mismatch") if h.name == MISMATCH]
    if not mismatch or not story.device.host or not story.conns:
        return
    conn = story.conns[-1]
    end = leaf(conn.server_certificate)
    if end is None or conn.hello is None or conn.hello.get("sni"):
        return
    names = certificate_names(end)
    if not name_matches(story.device.host, names):
        return
    yield Claim(
        id="server_certificate.name_mismatch",
        confidence="certain",
        weight=PROVED + 4,
        evidence=(frame(conn.hello, "no server_name in the ClientHello"), uart(mismatch[0])),
        explain=f"The certificate is for {', '.join(names[:4])}, as configured; the device checked another name and "
        "sent none: it gave TLS the address instead of the name.",
        frame=int(conn.hello.get("frame", 0)),
    )
    yield Claim(
        id="tls.sni_missing",
        confidence="probable",
        weight=LIKELY,
        evidence=(frame(conn.hello, "no server_name in the ClientHello"),),
        explain="An endpoint that chooses its certificate by name would refuse this or show another.",
    )
