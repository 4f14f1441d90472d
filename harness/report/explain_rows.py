"""The exchange as rows of an arrow diagram, and the sets side by side: what terminal and HTML both show. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from harness.diagnosis.compare import Dimension, compare
from harness.diagnosis.facts import NS, Story
from harness.diagnosis.rules.negotiation import known_listener
from harness.evidence.timeline import describe

MAX_ROWS = 48  # a connection; the middle of a longer one is left out
_SHOWN = frozenset({
    "syn", "synack", "fin", "rst", "gap", "client_hello", "server_hello", "encrypted_extensions", "certificate",
    "certificate_status", "server_key_exchange", "certificate_request", "server_hello_done", "client_key_exchange",
    "certificate_verify", "finished", "new_session_ticket", "handshake", "hello_request", "key_update", "ccs", "alert",
    "sealed", "app", "mqtt", "data",
})  # fmt: skip


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `seconds` since the capture's first row; `side` "c" device → broker, "s" the reverse, "" a note."""

    seconds: float
    frame: int
    side: str
    text: str
    alarming: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    client: str
    server: str
    rows: tuple[Arrow, ...]


def exchanges(events: Iterable[Mapping[str, Any]], story: Story, wrong: int = 0) -> list[Exchange]:
    """The story's connections as diagrams. `wrong`: the frame at which it went wrong, marked."""
    wanted = {c.number: c for c in story.conns}
    rows: dict[int, list[Arrow]] = {number: [] for number in wanted}
    start = min((c.opened for c in story.conns if c.opened), default=0)
    for event in events:
        number = event.get("conn")
        if number not in rows or event.get("ev") not in _SHOWN:
            continue
        frame = int(event.get("frame", 0))
        kind = event.get("ev")
        fatal = kind == "alert" and event.get("code") != 0
        rows[number].append(
            Arrow(
                seconds=(int(event.get("t", 0)) - start) / NS,
                frame=frame,
                side=str(event.get("dir", "")),
                text=describe(event),
                alarming=fatal
                or kind in ("gap",)
                or (frame == wrong and kind in ("rst", "fin", "alert", "certificate")),
            )
        )
    return [Exchange(client=c.client, server=c.server, rows=_shorten(rows[number])) for number, c in wanted.items()]


def _shorten(rows: Sequence[Arrow]) -> tuple[Arrow, ...]:
    if len(rows) <= MAX_ROWS:
        return tuple(rows)
    half = MAX_ROWS // 2
    left = len(rows) - 2 * half
    note = Arrow(seconds=rows[half].seconds, frame=0, side="", text=f"… {left} rows left out …")
    return (*rows[:half], note, *rows[-half:])


def sets(story: Story) -> tuple[Dimension, ...]:
    """The sets of the last ClientHello beside the listener, as far as both sides are known."""
    hello = next((c.hello for c in reversed(story.conns) if c.hello), None)
    listener = known_listener(story)
    if hello is None or listener is None:
        return ()
    fit = compare(hello, listener)
    return tuple(d for d in fit.dimensions if d.accepted is not None and d.ok is not None)
