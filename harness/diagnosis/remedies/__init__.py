"""Remedies by cause and stack: tables, one a stack, with `generic` for what a stack's own table does not name."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from harness.diagnosis.facts import Story

_FOLDER = Path(__file__).parent
STACKS = ("netx", "mbedtls", "wolfssl", "bearssl", "openssl", "gnutls", "paho", "coremqtt", "lwip", "wiznet", "spwf04")
_ALIASES = {"mosquitto": "openssl", "python": "openssl", "connack": "", "pubsubclient": "paho", "nx": "netx"}


@functools.cache
def table(stack: str) -> dict[str, str]:
    """The remedies of a stack ("generic", "broker" too); {} for a stack without a table."""
    path = _FOLDER / f"{stack}.toml"
    if stack not in (*STACKS, "generic", "broker") or not path.is_file():
        return {}
    families = tomllib.loads(path.read_text(encoding="utf-8"))
    return {f"{family}.{name}": text for family, members in families.items() for name, text in members.items()}


def _named(stack: str) -> str:
    """ "wolfssl" of "wolfssl-5.5.4"; "" for a stack without a table."""
    name = stack.partition("-")[0].lower()
    name = _ALIASES.get(name, name)
    return name if name in STACKS else ""


def for_target(cause: str, stack: str) -> str:
    """What to change, for a target's `stack`."""
    return remedy(cause, _named(stack))


def stack_of(story: Story) -> str:
    """The stack whose words a remedy uses; "" when it is not known."""
    if named := _named(story.stack):
        return named
    seen = story.log.stacks if story.log is not None else {}
    return next((s for s in (_ALIASES.get(n, n) for n in seen) if s in STACKS), "")


_BESIDE = ("paho", "coremqtt", "wiznet", "lwip")


def beside(story: Story) -> tuple[str, ...]:
    """The MQTT client and the socket layer that the device's log shows beside its TLS stack."""
    seen = story.log.stacks if story.log is not None else {}
    return tuple(s for s in (_ALIASES.get(n, n) for n in seen) if s in _BESIDE)


def remedy(cause: str, stack: str, others: tuple[str, ...] = ()) -> str:
    """What to change, in the words of the stack where there is a table for it, else of what is used beside it."""
    tables = (table(name) for name in (stack, *others, "generic"))
    return next((words[cause] for words in tables if cause in words), "")
