"""Values between reading and judging. All frozen."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

import msgspec
from cryptography import x509

from harness.lab import tables

Form = Literal["pem", "der", "text"]
What = Literal["certificate", "private key", "public key", "CRL", "request", "identifier", "encrypted key", "unknown"]


class Stack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of stacks.toml."""

    pem: bool
    nul: bool
    keys: tuple[str, ...]
    key_constant: dict[str, str]
    buffer: int
    curves: tuple[str, ...]
    pss: bool
    sha384: bool
    length_bits: int
    identifier: bool


@functools.cache
def stacks() -> dict[str, Stack]:
    """Every stack `hil certs` knows, by name."""
    path = Path(__file__).with_name("stacks.toml")
    return {name: tables.convert(path, name, table, Stack) for name, table in tables.read(path).items()}


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that stand in a file: the whole file, or one array of a C file. `declared`: the length the C file gives
    it, None when it gives none."""

    path: str
    name: str
    data: bytes
    declared: int | None = None

    @property
    def where(self) -> str:
        return f"{self.path}: {self.name}" if self.name else self.path

    @property
    def in_c(self) -> bool:
        return bool(self.name)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found in a blob. `der` without its PEM armour; `value` what cryptography made of it, None when it
    could not; `form_of_key` pkcs1, sec1 or pkcs8."""

    blob: Blob
    form: Form
    what: What
    der: bytes
    value: Any = None
    form_of_key: str = ""
    trouble: str = ""

    @property
    def certificate(self) -> x509.Certificate | None:
        return self.value if isinstance(self.value, x509.Certificate) else None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the vendor's API in a C file: function and arguments as written, casts and `&` taken off."""

    path: str
    function: str
    arguments: tuple[str, ...]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """`cause`: an id of causes.toml."""

    cause: str
    severity: Literal["error", "warning"]
    where: str
    what: str
    fix: str


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the files are judged against. `clock` Unix seconds; `buffer` bytes, 0: the stack's own; "" not asked."""

    stack: str
    clock: int
    host: str = ""
    buffer: int = 0
    tls: str = ""
    suite: str = ""

    @property
    def facts(self) -> Stack:
        return stacks()[self.stack]
