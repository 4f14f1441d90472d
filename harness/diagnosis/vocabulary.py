"""causes.toml as values: which ids exist, who has to change something, and the sentence for a person."""

from __future__ import annotations

import functools
import tomllib

import msgspec

from harness.model import Side
from harness.paths import CAUSES


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    side: Side
    text: str


@functools.cache
def causes() -> dict[str, Entry]:
    """Every cause id with its side and sentence."""
    tables = tomllib.loads(CAUSES.read_text(encoding="utf-8"))
    return {
        f"{family}.{name}": msgspec.convert(entry, Entry)
        for family, members in tables.items()
        for name, entry in members.items()
    }
