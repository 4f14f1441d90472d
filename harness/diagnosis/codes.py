"""What a number in a device's log means: a lookup over the tables in `codes/`. Pure; tables load when first needed.

A number alone means nothing: 5 is a CONNACK, a return code of Paho, an lwIP state. The family is chosen by what stands
around it, best first: the form (`error:0A000086:`), the function that returned it, words of the line, the stack known
from banners, and how distinctive the number is (-0x7780, 0x10005). What does not reach the bar gets no meaning: a port,
a length, a temperature are no codes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

_TABLES = Path(__file__).resolve().parent / "codes"
_BAR = 40  # below: not a code


class CodeMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """One meaning of a number. `score` 0..100: how sure the family is. `alert`: the TLS alert number inside it."""

    stack: str
    code: int
    name: str
    meaning: str
    causes: tuple[str, ...] = ()
    versions: str = ""
    score: int = 0
    alert: int | None = None
    source: str = ""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """How a family of codes is recognised (families.toml)."""

    order: int
    apis: tuple[str, ...]
    words: tuple[str, ...]
    banners: tuple[str, ...]
    symbols: tuple[str, ...]


class _Row(msgspec.Struct, frozen=True):
    name: str
    meaning: str
    causes: tuple[str, ...]
    versions: str


class _Table(msgspec.Struct, frozen=True):
    source: str
    rows: dict[int, tuple[_Row, ...]]
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
def table(family: str) -> _Table:
    """The rows of one family by code (a code may have a row for each version) and by name."""
    file = _TABLES / f"{family}.toml"
    if not file.is_file():
        return _Table("", {}, {})
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    sign: int = raw.get("sign", 1)
    rows: dict[int, list[_Row]] = {}
    names: dict[str, int] = {}
    for row in raw["rows"]:
        code = sign * row[0]
        rows.setdefault(code, []).append(_Row(row[1], row[2], tuple(row[3]), row[4] if len(row) > 4 else ""))
        names.setdefault(row[1], code)
    return _Table(raw["source"], {code: tuple(found) for code, found in rows.items()}, names)


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


def _plain(family: str, code: int, version: str) -> list[_Row]:
    rows = [row for row in table(family).rows.get(code, ()) if version_fits(row.versions, version)]
    # Without a version the newest meaning comes first: more devices in the field print 3.x than 2.x.
    return sorted(rows, key=lambda row: row.versions, reverse=True) if not version else rows


def _mbedtls(code: int, version: str) -> list[_Row]:
    """-0x2562 = high level -0x2500 + low level -0x0062; a number that is one row stays one."""
    whole = _plain("mbedtls", code, version)
    if whole or code >= 0:
        return whole
    high, low = -(-code & 0xFF80), -(-code & 0x7F)
    highs, lows = _plain("mbedtls", high, version), _plain("mbedtls", low, version)
    if not high or not low or not highs or not lows:
        return _plain("psa", code, "")
    a, b = highs[0], lows[0]
    return [_Row(f"{a.name} + {b.name}", f"{a.meaning}: {b.meaning}", a.causes or b.causes, a.versions)]


def _bits(family: str, value: int) -> list[_Row]:
    rows = [found[0] for bit, found in sorted(table(family).rows.items()) if value & bit]
    if not rows or value & ~sum(table(family).rows):
        return []
    causes = tuple(dict.fromkeys(cause for row in rows for cause in row.causes))
    return [_Row(" | ".join(row.name for row in rows), "; ".join(row.meaning for row in rows), causes, "")]


def _bearssl(value: int) -> list[_Row]:
    base = 512 if value >= 512 else 256 if value >= 256 else 0
    alert = table("tls_alert").rows.get(value - base)
    if not base or not alert:
        return _plain("bearssl", value, "")
    verb = "received" if base == 256 else "sent"
    name = "BR_ERR_RECV_FATAL_ALERT" if base == 256 else "BR_ERR_SEND_FATAL_ALERT"
    return [_Row(f"{name} + {value - base}", f"alert {value - base} {alert[0].name} {verb}", alert[0].causes, "")]


def _openssl(value: int) -> tuple[list[_Row], int | None]:
    """Rows of a packed error code, and the alert that was received, if it says so."""
    if value >> 23 == 20:
        reason = value & 0x7FFFFF
    elif value >> 24 == 20:  # 1.x: library, function, reason
        reason = value & 0xFFF
    else:
        return [], None
    alert = reason - 1000 if 1000 <= reason <= 1255 else None
    rows = _plain("openssl", reason, "")
    if not rows and alert is not None and (known := table("tls_alert").rows.get(alert)):
        rows = [
            _Row(f"SSL_R_ALERT_{known[0].name.upper()}", f"alert {alert} {known[0].name} received", known[0].causes, "")
        ]
    return rows, alert


def rows_of(family: str, value: int, version: str = "") -> list[_Row]:
    """Rows for `value` in one family, without any guessing about the family."""
    if family == "mbedtls":
        return _mbedtls(value, version)
    if family == "mbedtls_verify":
        return _bits(family, value)
    if family == "bearssl":
        return _bearssl(value)
    if family == "openssl":
        return _openssl(value)[0]
    return _plain(family, value, version)


def _distinctive(family: str, value: int, form: str) -> int:
    """How much the number itself, in this form, speaks for the family (0..60)."""
    if family == "netx":
        if 0x10001 <= value <= 0x10085:
            return 45 if form == "hex" else 25
        return (30 if form == "hex" else 10) if 0x101 <= value <= 0x1AA else 0
    if family == "mbedtls" and value <= -0x1000:
        return 60 if form == "neg_hex" else 50
    if family == "mbedtls" and form == "neg_hex":
        return 25
    if family == "wolfssl" and form == "neg_dec":
        return 35 if -510 <= value <= -301 else 20 if -299 <= value <= -101 else 0
    if family == "paho" and value == 255:
        return 10
    return 0


_STRONG = re.compile(r"\b(?:err(?:or|no|code)?|fail(?:s|ed|ure)?|rc)\W{0,4}$")
_WEAK = re.compile(r"\b(?:ret(?:urn(?:ed|s)?|val)?|status|result|res|code|state|reason|with|rv)(?: is)?\W{0,4}$")


def _score(name: str, value: int, form: str, api: str, near: str, hint: str) -> int:
    """How well the surroundings fit a family (0..100)."""
    family = families()[name]
    score = _distinctive(name, value, form)
    mine = bool(api) and api.startswith(family.apis)
    named = bool(near) and any(word in near for word in family.words)
    if mine:
        score += 60
    elif api and _owner(api):
        score -= 30  # another stack's function returned it
    strong, weak = _STRONG.search(near), _WEAK.search(near)
    if named:
        score += 45
    elif strong:
        score += 20
    elif weak:
        score += 10 if value < 0 else 5
    if hint:
        score += 30
    if not mine and not named and (value in (0, 1) or (form == "dec" and not strong and not weak)):
        return 0  # "bytes: 65541", "rc = 1"
    return max(0, min(score, 100))


@cache
def _owner(api: str) -> str:
    """The family a function belongs to, or ""."""
    return next((name for name, family in families().items() if api.startswith(family.apis)), "")


_BY_FORM = {"openssl": ("openssl", 100), "verify": ("openssl_verify", 100), "connack": ("connack", 95)}


def lookup(
    value: int, form: str, context: str, stack_hint: str = "", version_hint: str = "", *, api: str = "", text: str = ""
) -> list[CodeMeaning]:
    """Meanings of `value`, best first; empty when nothing says that it is a code.

    `form` is hil-uart's; `context` what stands before the number; `api` the function-like word before it; `text` the
    whole line. `stack_hint`/`version_hint` come from `detect_stack`; a comma list names several stacks in use.
    """
    if form in _BY_FORM:
        chosen, score = _BY_FORM[form]
        if chosen == "connack" and value >= 128:
            chosen = "mqtt5"
        rows, alert = _openssl(value) if chosen == "openssl" else (rows_of(chosen, value), None)
        return [_meaning(chosen, value, row, score, alert) for row in rows]
    if form == "dec" and "certificate error" in context.lower()[-24:] and _is_at(text):
        form = "at"
    elif form == "at" and not _is_at(text or context):
        form = "dec"
    hints = [hint for hint in stack_hint.split(",") if hint]
    near = context.lower()[-48:]
    line = text.lower()
    low_api = api.lower()
    found: list[CodeMeaning] = []
    for name in families():
        if (name == "spwf04") != (form == "at"):
            continue
        hint = name if name in hints else ""
        score = 80 if form == "at" else _score(name, value, form, low_api, near, hint)
        if name == "pubsubclient" and "try again in" in line and "rc" in near:
            score = 70
        if name == "mbedtls_verify" and re.search(r"flags\W{0,4}$", near) and "mbedtls" in hints:
            score = 70
        if name == "tls_alert" and _alert_named(value, line):
            score = 85
        if name == "errno" and re.search(r"errno\W{0,4}$", near):
            score = 85
        if score < _BAR:
            continue
        version = version_hint if name in (hints or [""])[0] else ""
        found += [_meaning(name, value, row, score) for row in rows_of(name, value, version)]
        if name == "paho" and 1 <= value <= 5 and low_api.startswith("mqttconnect"):
            found += [_meaning("connack", value, row, score) for row in rows_of("connack", value)]
    if any(one.stack not in ("errno", "tls_alert") and one.score >= 60 for one in found):
        found = [one for one in found if one.score >= 50]
    return sorted(found, key=lambda one: -one.score)


def _alert_named(value: int, line: str) -> bool:
    """`Handshake Failure (40)`: the number beside its alert's name is the alert."""
    rows = table("tls_alert").rows.get(value, ())
    return value > 0 and any(f"{row.name.replace('_', ' ')} ({value})" in line.replace("_", " ") for row in rows)


def _is_at(text: str) -> bool:
    return bool(re.search(r"(?:AT[-+]|[-+])S\.|^\s*ERROR: ?\d|Certificate Error:", text))


def _meaning(stack: str, value: int, row: _Row, score: int, alert: int | None = None) -> CodeMeaning:
    if stack == "bearssl" and value >= 256:
        alert = value % 256
    if stack == "tls_alert":
        alert = value
    return CodeMeaning(
        stack=stack, code=value, name=row.name, meaning=row.meaning, causes=row.causes, versions=row.versions,
        score=score, alert=alert, source=table(stack).source,
    )  # fmt: skip


def lookup_name(symbol: str) -> CodeMeaning | None:
    """The meaning of a symbolic name as printed (NX_SECURE_TLS_ALERT_RECEIVED, TLSV1_ALERT_UNKNOWN_CA, ECONNRESET)."""
    for name, family in families().items():
        if not symbol.startswith(family.symbols) and name != "wolfssl":
            continue
        known = table(name).names
        for spelling in (symbol, f"SSL_R_{symbol}", f"MBEDTLS_ERR_{symbol}"):
            code = known.get(spelling)
            if code is None:
                continue
            row = next(row for row in table(name).rows[code] if row.name == spelling)
            alert = code - 1000 if name == "openssl" and 1000 <= code <= 1255 else None
            if name == "openssl":
                code |= 20 << 23
            return _meaning(name, code, row, 95, alert)
    return None


def lookup_phrase(text: str) -> Phrase | None:
    """The first phrase of the table that stands in `text`."""
    low = text.lower()
    return next((one for one in phrases() if one.phrase in low), None)


def detect_all(hits: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Stacks in use, with their version ("" unknown), from hil-uart's objects; the most telling first.

    A shim's `boot` event and a banner with a version are proof; function names and symbols are counted.
    """
    proof: dict[str, str] = {}
    votes: dict[str, int] = {}
    spoken: dict[str, int] = {}  # named, without a version: prose names stacks too
    for hit in hits:
        kind = hit["kind"]
        if kind == "event" and hit["event"] == "boot":
            stack, _, version = str(hit["fields"].get("stack", "")).partition("-")
            if stack in families():
                proof[stack] = version
        elif kind == "text" and hit.get("class") == "banner":
            banner = str(hit.get("name", "")).lower()
            for name, family in families().items():
                if banner in family.banners:
                    if version := str(hit.get("version", "")):
                        proof.setdefault(name, version)
                    else:
                        spoken[name] = spoken.get(name, 0) + 1
        elif kind in ("number", "name"):
            for name, family in families().items():
                api = str(hit.get("api", "")).lower()
                symbol = str(hit.get("name", ""))
                if (api and api.startswith(family.apis)) or (name != "errno" and symbol.startswith(family.symbols)
                                                             and symbol and family.symbols):  # fmt: skip
                    votes[name] = votes.get(name, 0) + 1
            if hit.get("form") in ("openssl", "verify"):
                votes["openssl"] = votes.get("openssl", 0) + 1
            if hit.get("form") == "at" and _is_at(str(hit.get("text", ""))):
                votes["spwf04"] = votes.get("spwf04", 0) + 1
            if hit.get("form") == "neg_hex" and int(hit["value"]) <= -0x1000:
                votes["mbedtls"] = votes.get("mbedtls", 0) + 1
        elif kind == "text" and (phrase := lookup_phrase(str(hit["text"]))) and phrase.stack:
            votes[phrase.stack] = votes.get(phrase.stack, 0) + 1
        elif kind == "alert" and "ssl alert number" in str(hit["text"]).lower():
            votes["openssl"] = votes.get("openssl", 0) + 1
    for name, times in spoken.items():  # only what belongs to no proven kind
        if not any(families()[one].order == families()[name].order for one in (*proof, *votes)):
            votes[name] = times
    names = sorted(
        {*proof, *votes} & families().keys(),
        key=lambda name: (families()[name].order, name not in proof, -votes.get(name, 0)),
    )
    return {name: proof.get(name, "") for name in names if families()[name].order < 8}


def detect_stack(hits: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """(name, version) of the TLS stack, or of what comes nearest to one; ("", "") when nothing shows."""
    return next(iter(detect_all(hits).items()), ("", ""))
