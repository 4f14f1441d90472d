"""Below TLS: nobody listens, nobody answers, nobody called, somebody cut."""

from __future__ import annotations

from collections.abc import Iterable

from harness.diagnosis.facts import NS, Conn, Story
from harness.diagnosis.outcome import connected, works
from harness.diagnosis.rules.claim import (
    FALLBACK,
    LIKELY,
    LOGGED,
    MAYBE,
    PROVED,
    TOLD,
    Claim,
    failing,
    first_told,
    frame,
    log,
    told,
    uart,
)

SILENT = NS  # an answer that takes longer than this while the device waits is no answer


def refused(story: Story) -> Iterable[Claim]:
    """RST (or ICMP port unreachable) answers the SYN."""
    conns = failing(story)
    for conn in conns[-1:]:
        reset = conn.refused
        if reset is not None:
            yield Claim(
                id="network.refused",
                confidence="certain",
                weight=PROVED,
                evidence=(
                    frame(conn.syns[0], f"SYN to {conn.server}"),
                    frame(reset, "RST instead of SYN+ACK: the port is closed"),
                ),
                explain=f"Nothing listens at {conn.server}: the SYN was answered with RST.",
                frame=int(reset.get("frame", 0)),
            )
    if story.conns:
        return
    for hit in told(story, "network.refused")[:1]:
        yield Claim(id="network.refused", confidence="probable", weight=TOLD, evidence=(uart(hit),))


def broker_not_started(story: Story) -> Iterable[Claim]:
    """The broker's log says why nothing listens."""
    refusals = [c for c in story.conns if c.refused is not None]
    for entry in story.broker:
        if entry.kind not in ("config_error", "address_in_use"):
            continue
        started = any(e.kind == "running" and e.line > entry.line for e in story.broker)
        if started or (story.conns and not refusals):
            continue
        yield Claim(
            id="tls.broker_misconfigured",
            confidence="certain" if refusals else "probable",
            weight=PROVED + 5,
            evidence=(log(entry), *(frame(c.refused, "RST instead of SYN+ACK") for c in refusals[:1])),
            explain="The broker did not start, so nothing listens: " + entry.text,
            frame=int((refusals[0].refused or {}).get("frame", 0)) if refusals else 0,
        )
        return


def unreachable(story: Story) -> Iterable[Claim]:
    """SYN or ARP stays unanswered, or a router says so."""
    for conn in failing(story)[-1:]:
        if not conn.syns or conn.synack is not None or conn.refused is not None or conn.payload("s"):
            continue
        if conn.how != "syn":
            continue
        said = [frame(i, f"ICMP: {i.get('text', 'unreachable')}") for i in conn.icmp[:1]]
        waited = (conn.last - int(conn.syns[0].get("t", 0))) / NS
        if len(conn.syns) < 2 and not said and not told(story, "network.unreachable"):
            continue  # one SYN at the end of a capture
        yield Claim(
            id="network.unreachable",
            confidence="probable",
            weight=PROVED,
            evidence=(
                *said,
                frame(conn.syns[-1], f"{len(conn.syns)} SYN in {waited:.1f} s to {conn.server}, no answer"),
            ),
            explain=f"{conn.server} never answered the SYN: wrong address, cable, VLAN or a firewall that drops.",
            frame=int(conn.syns[-1].get("frame", 0)),
        )
    if story.conns or works(story):
        return
    unanswered = [a for a in story.arp if a.get("who")]
    if unanswered:
        who = unanswered[0].get("who")
        yield Claim(
            id="network.unreachable",
            confidence="probable",
            weight=PROVED,
            evidence=(frame(unanswered[0], f"ARP for {who} stays unanswered ({len(unanswered)} times)"),),
            explain=f"No machine on this network answers for {who}: wrong address, cable or VLAN.",
            frame=int(unanswered[0].get("frame", 0)),
        )
    for hit in told(story, "network.unreachable")[:1]:
        yield Claim(id="network.unreachable", confidence="probable", weight=TOLD, evidence=(uart(hit),))


def name_not_resolved(story: Story) -> Iterable[Claim]:
    """DNS gave nothing: the device says so, or the wire shows the failed answer."""
    if story.conns:
        return
    failed = [d for d in story.dns if d.get("rcode") or d.get("answered") is False]
    for event in failed[-1:]:
        yield Claim(
            id="network.name_not_resolved",
            confidence="probable",
            weight=PROVED,
            evidence=(frame(event, f"DNS has no address for {event.get('name', 'the name')}"),),
            frame=int(event.get("frame", 0)),
        )
    evidence = first_told(story, "network.name_not_resolved")
    if evidence:
        yield Claim(id="network.name_not_resolved", confidence="probable", weight=TOLD, evidence=evidence)


def no_traffic(story: Story) -> Iterable[Claim]:
    """The capture holds nothing from the device to a broker."""
    if not story.has_wire or story.conns:
        return
    if any(h.name in ("app_ok", "connack_ok", "tls_ok") for h in story.uart):
        return  # it did call; the capture is of another time or place
    packets = int((story.end or {}).get("packets", 0))
    yield Claim(
        id="network.no_traffic",
        confidence="possible" if not story.has_uart else "probable",
        weight=FALLBACK + 1,
        evidence=(f"capture: {packets} packets, no TCP connection",),
        explain="The device never called the broker, as far as the capture shows: the fault is before the network, or "
        "the call went to an address or port that the capture leaves out.",
    )


def peer_silent(story: Story) -> Iterable[Claim]:
    """TCP is up, the device spoke, and the other side never sent a byte although the device waited."""
    for conn in failing(story)[-1:]:
        spoke = conn.hellos or conn.packets("CONNECT", "c")
        ends = [int(e.get("t", 0)) for e in [*conn.fins, *conn.resets]]
        answered = conn.server_hello or next(iter(conn.packets("CONNACK", "s")), None)
        late = answered is not None and bool(ends) and int(answered.get("t", 0)) > min(ends)
        if not spoke or not conn.established or (conn.payload("s") and not late):
            continue
        first = int(spoke[0].get("t", 0))
        waited = (min(ends) if ends else conn.last) - first
        by_device = conn.sender_first in ("c", "")
        if not by_device or (waited < SILENT and not told(story, "network.peer_silent")):
            continue
        what = "ClientHello" if conn.hellos else "CONNECT"
        yield Claim(
            id="network.peer_silent",
            confidence="certain" if waited >= SILENT and conn.synack is not None and not conn.gaps else "probable",
            weight=PROVED,
            evidence=(frame(spoke[0], f"{what}, then {waited / NS:.1f} s without a byte from {conn.server}"),),
            explain=f"{conn.server} accepts TCP and never answers {what}: a hung process, or not this protocol at all.",
            frame=int(spoke[0].get("frame", 0)),
        )


def reset(story: Story) -> Iterable[Claim]:
    """RST cut it with nothing said. Fallback."""
    for conn in failing(story)[-1:]:
        if conn.refused is not None or not conn.established or connected(conn):
            continue
        if conn.how == "mid" and not conn.hellos:
            continue  # what came before is not known
        ends = [e for e in conn.resets if e.get("dir") == conn.sender_first]
        if not ends or conn.fatal("broker") or conn.fatal("device"):
            continue
        first = ends[0]
        who = "the broker's side" if first.get("dir") == "s" else "the device's side"
        yield Claim(
            id="network.reset",
            confidence="possible",
            weight=FALLBACK - 5,
            evidence=(frame(first, f"RST from {who}, no alert before it"),),
            explain=f"{who.capitalize()} cut the connection with RST and said nothing.",
            frame=int(first.get("frame", 0)),
        )


def lost_bytes(story: Story) -> Iterable[Claim]:
    """Bytes that never came, in a connection that failed: the capture or the network lost them."""
    for conn in failing(story)[-1:]:
        if conn.gaps and not conn.alerts and not conn.mqtt:
            missing = sum(int(g.get("missing", 0)) for g in conn.gaps)
            yield Claim(
                id="tls.record_corrupt",
                confidence="possible",
                weight=MAYBE,
                evidence=(frame(conn.gaps[0], f"{missing} bytes never came"),),
                frame=int(conn.gaps[0].get("frame", 0)),
            )


def max_connections(story: Story) -> Iterable[Claim]:
    """The broker is full."""
    for entry in story.broker:
        if entry.kind == "max_connections":
            yield Claim(
                id="mqtt.server_unavailable",
                confidence="probable",
                weight=LOGGED,
                evidence=(log(entry),),
                explain="The broker accepts no more connections (max_connections).",
            )
            return
    for conn in failing(story)[-1:]:
        if not is_cut_by_broker(conn) or not conn.fins or conn.fins[0].get("dir") != "s":
            continue
        served = [c for c in story.conns if c is not conn and c.server == conn.server and c.payload("s")]
        if any(c.opened < conn.opened and c.last > conn.opened for c in served):
            yield Claim(
                id="mqtt.server_unavailable",
                confidence="possible",
                weight=LIKELY,
                evidence=(frame(conn.fins[0], "FIN without one byte, while another connection is being served"),),
                explain="The broker accepts TCP and closes at once beside a session that works: a connection limit.",
                frame=int(conn.fins[0].get("frame", 0)),
            )


def is_cut_by_broker(conn: Conn) -> bool:
    """The broker ended it with RST or FIN and sent no payload at all."""
    return conn.established and conn.sender_first == "s" and not conn.payload("s")
