"""What a case is. Pure data; `clients.py` and `scripts.py` hold what it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.diagnosis.live.bench import Stage

Wire = Literal["yes", "probable", "no"]
Script = Callable[["Stage"], str]


TOOLS = {"gnutls": "gnutls-cli", "mbed": "mbed", "wolf": "wolf", "ossl": "openssl", "mosq": "mosquitto_pub"}


@dataclass(frozen=True)
class Case:
    """One case. `causes`: any of them as first cause is right; empty: it works, and must be left alone.

    `run` is the client: it gets the stage (broker, folder) and gives what the client printed. `conf` are further lines
    of mosquitto.conf, `openssl` lines of its openssl.cnf, `wire` what an expert can tell from the capture alone. The
    name's end is the client's stack.
    """

    name: str
    run: Script
    causes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    wire: Wire = "yes"
    server: str = "s-rsa2048"
    conf: tuple[str, ...] = ()
    openssl: tuple[str, ...] = ()
    plain: bool = False
    starts: bool = True  # False: this broker cannot start

    @property
    def needs(self) -> tuple[str, ...]:
        """Programs it cannot do without: the stack that ends its name, Mosquitto always."""
        stack = self.name.rpartition("-")[2]
        return tuple(tool for tool in ("mosquitto", TOOLS.get(stack, "")) if tool)

    @property
    def ok(self) -> bool:
        return not self.causes


@dataclass
class Made:
    """The evidence of a case on disk."""

    case: Case
    folder: Path
    skipped: str = ""

    def file(self, kind: Literal["pcap", "uart.log", "broker.log", "conf", "keys"]) -> Path:
        return self.folder / f"{self.case.name}.{kind}"


@dataclass
class Table:
    """Cases by name, in the order they were added."""

    cases: dict[str, Case] = field(default_factory=dict)

    def add(self, case: Case) -> None:
        if case.name in self.cases:
            raise ValueError(f"two cases are called {case.name}")
        self.cases[case.name] = case
