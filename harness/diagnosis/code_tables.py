"""The tables in `codes/`, loaded when first needed, and what is computed from their rows. Pure but for reading them."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import msgspec

_TABLES = Path(__file__).resolve().parent / "codes"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """How a family of codes is recognised (families.toml)."""

    order: int
    apis: tuple[str, ...]
    words: tuple[str, ...]
    banners: tuple[str, ...]
    symbols: tuple[str, ...]


class Row(msgspec.Struct, frozen=True):
    name: str
    meaning: str
    causes: tuple[str, ...]
    versions: str


class Table(msgspec.Struct, frozen=True):
    source: str
    rows: dict[int, tuple[Row, ...]]
    names: dict[str, int]


class Phrase(msgspec.Struct, frozen=True):
    """What a stack prints in words (phrases.toml)."""

    phrase: str
    stack: str
    name: str
    meaning: str
    causes: tuple[str, ...]


@cache
def families() -> dict[str, Family]:
    """Every family, by name."""
    raw = tomllib.loads((_TABLES / "families.toml").read_text(encoding="utf-8"))
    return {name: msgspec.convert(body, Family) for name, body in raw.items()}


@cache
def phrases() -> tuple[Phrase, ...]:
    """Phrases, in the order in which they are tried."""
    raw = tomllib.loads((_TABLES / "phrases.toml").read_text(encoding="utf-8"))
    return tuple(Phrase(row[0], row[1], row[2], row[3], tuple(row[4])) for row in raw["rows"])


@cache
def table(family: str) -> Table:
    """The rows of one family by code (a code may have a row for each version) and by name."""
    file = _TABLES / f"{family}.toml"
    if not file.is_file():
        return Table("", {}, {})
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    sign: int = raw.get("sign", 1)
    rows: dict[int, list[Row]] = {}
    names: dict[str, int] = {}
    for row in raw["rows"]:
        code = sign * row[0]
        rows.setdefault(code, []).append(Row(row[1], row[2], tuple(row[3]), row[4] if len(row) > 4 else ""))
        names.setdefault(row[1], code)
    return Table(raw["source"], {code: tuple(found) for code, found in rows.items()}, names)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def version_fits(versions: str, hint: str) -> bool:
    """Whether a row's `versions` ("2 3", "5+", "5.7+") allows the version `hint`; unknown hints fit everything."""
    known = _version(hint)
    if not versions or not known:
        return True
    for one in versions.split():
        wanted = _version(one)
        if one.endswith("+"):
            if known[: len(wanted)] >= wanted:
                return True
        elif known[: len(wanted)] == wanted:
            return True
    return False


def _plain(family: str, code: int, version: str) -> list[Row]:
    rows = [row for row in table(family).rows.get(code, ()) if version_fits(row.versions, version)]
    # Without a version the newest meaning comes first: more devices in the field print 3.x than 2.x.
    return sorted(rows, key=lambda row: row.versions, reverse=True) if not version else rows


def _mbedtls(code: int, version: str) -> list[Row]:
    """-0x2562 = high level -0x2500 + low level -0x0062; a number that is one row stays one."""
    whole = _plain("mbedtls", code, version)
    if whole or code >= 0:
        return whole
    high, low = -(-code & 0xFF80), -(-code & 0x7F)
    highs, lows = _plain("mbedtls", high, version), _plain("mbedtls", low, version)
    if not high or not low or not highs or not lows:
        return _plain("psa", code, "")
    a, b = highs[0], lows[0]
    return [Row(f"{a.name} + {b.name}", f"{a.meaning}: {b.meaning}", a.causes or b.causes, a.versions)]


def _bits(family: str, value: int) -> list[Row]:
    rows = [found[0] for bit, found in sorted(table(family).rows.items()) if value & bit]
    if not rows or value & ~sum(table(family).rows):
        return []
    causes = tuple(dict.fromkeys(cause for row in rows for cause in row.causes))
    return [Row(" | ".join(row.name for row in rows), "; ".join(row.meaning for row in rows), causes, "")]


def _bearssl(value: int) -> list[Row]:
    base = 512 if value >= 512 else 256 if value >= 256 else 0
    alert = table("tls_alert").rows.get(value - base)
    if not base or not alert:
        return _plain("bearssl", value, "")
    verb = "received" if base == 256 else "sent"
    name = "BR_ERR_RECV_FATAL_ALERT" if base == 256 else "BR_ERR_SEND_FATAL_ALERT"
    return [Row(f"{name} + {value - base}", f"alert {value - base} {alert[0].name} {verb}", alert[0].causes, "")]


def openssl(value: int) -> tuple[list[Row], int | None]:
    """Rows of a packed error code, and the alert that was received, if it says so."""
    if value >> 31:  # OpenSSL 3: a system error
        return _plain("errno", value & 0x7FFFFFFF, ""), None
    if value & 0x7FFFFF < 0x1000:  # OpenSSL 3: library << 23 | reason
        library, reason = value >> 23, value & 0xFFF
    else:  # 1.x: library << 24 | function << 12 | reason
        library, reason = value >> 24, value & 0xFFF
    if library != 20:
        return _plain("openssl_lib", library << 23 | reason, ""), None
    alert = reason - 1000 if 1000 <= reason <= 1255 else None
    rows = _plain("openssl", reason, "")
    if not rows and alert is not None and (known := table("tls_alert").rows.get(alert)):
        rows = [
            Row(f"SSL_R_ALERT_{known[0].name.upper()}", f"alert {alert} {known[0].name} received", known[0].causes, "")
        ]
    return rows, alert


def rows_of(family: str, value: int, version: str = "") -> list[Row]:
    """Rows for `value` in one family, without any guessing about the family."""
    if family == "mbedtls":
        return _mbedtls(value, version)
    if family == "errno":
        return _plain(family, abs(value), version)
    if family == "mbedtls_verify":
        return _bits(family, value)
    if family == "bearssl":
        return _bearssl(value)
    if family == "openssl":
        return openssl(value)[0]
    return _plain(family, value, version)


def lookup_phrase(text: str) -> Phrase | None:
    """The first phrase of the table that stands in `text`."""
    low = text.lower()
    return next((one for one in phrases() if one.phrase in low), None)
