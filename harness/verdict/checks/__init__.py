"""Checks: small pure functions `Seen -> findings`, registered by the name scenarios use.

A check yields one `Finding` per miss, `Vacuous` when what it needs never happened, nothing when all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.verdict.seen import Seen


@dataclass(frozen=True)
class Finding:
    """A miss. `level` grades it (must → fail, should and advice → warn, may → note); `cause`: an id of causes.toml,
    `sure`: it was seen; else it is only what is left."""

    level: str
    text: str
    cause: str = ""
    evidence: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class Vacuous:
    """The check could not look: its precondition never happened."""

    why: str


Result = Finding | Vacuous
Check = Callable[[Seen], Iterable[Result]]


@dataclass(frozen=True)
class Registered:
    name: str
    clause: str
    run: Check


REGISTRY: dict[str, Registered] = {}


def check(clause: str) -> Callable[[Check], Check]:
    """Registers a function under its own name."""

    def register(function: Check) -> Check:
        name: str = function.__name__
        if name in REGISTRY:
            raise ValueError(f"two checks are named {name}")
        REGISTRY[name] = Registered(name, clause, function)
        return function

    return register


from harness.verdict.checks import client_hello, jwt, keyshare, mqtt, tls  # noqa: E402, F401 (they register themselves)
