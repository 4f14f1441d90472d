"""What a number in a device's log means: a lookup over the tables in `codes/`. Pure; tables load when first needed.

A number alone means nothing: 5 is a CONNACK, a return code of Paho, an lwIP state. The family is chosen by what stands
around it, best first: the form (`error:0A000086:`), the function that returned it, words of the line, the stack known
from banners, and how distinctive the number is (-0x7780, 0x10005). What does not reach the bar gets no meaning: a port,
a length, a temperature are no codes.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec

from harness.diagnosis.code_tables import Row, families, openssl, rows_of, table

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


def _score(name: str, value: int, form: str, api: str, near: str, hint: str, led: int) -> int:
    """How well the surroundings fit a family (0..100). `led`: what a result word right before the number is worth."""
    family = families()[name]
    score = _distinctive(name, value, form)
    mine = bool(api) and api.startswith(family.apis)
    named = bool(near) and any(word in near for word in family.words)
    if mine:
        score += 60
    elif api and _owner(api):
        score -= 30  # another stack's function returned it
    score += 45 if named else led
    if hint:
        score += 30
    if not mine and not named and (value in (0, 1) or (form == "dec" and not led)):
        return 0  # "bytes: 65541", "rc = 1"
    return max(0, min(score, 100))


@cache
def _owner(api: str) -> str:
    """The family a function belongs to, or ""."""
    return next((name for name, family in families().items() if api.startswith(family.apis)), "")


_CONNECTED = re.compile(r"\bconn(?:ect(?:ed|ion)?|ack)?\b.{0,32}\b(?:code|rc|result|reason)\W{0,4}$|on_connect.{0,24}$")
_ACKED = re.compile(r"\b(?:puback|pubrec|pubcomp|suback|unsuback)\b.{0,24}\b(?:rc|code|reason)\W{0,4}$")
_BY_FORM = {
    "openssl": ("openssl", 100),
    "verify": ("openssl_verify", 100),
    "connack": ("connack", 95),
    "suback": ("connack", 95),
}


def _special(name: str, value: int, form: str, near: str, line: str, api: str, hints: list[str]) -> int:
    """Sentences that settle the family by themselves."""
    if name == "pubsubclient" and "try again in" in line and "rc" in near:
        return 70
    if name == "mbedtls_verify" and "mbedtls" in hints and re.search(r"flags\W{0,4}$", near):
        return 70
    if name == "mbedtls" and form == "hex" and "tls stack" in near:
        return 85  # ESP-IDF
    if name == "tls_alert" and _alert_named(value, line):
        return 85
    if name == "errno" and (re.search(r"errno\W{0,4}$", near) or (value < 0 and "<err>" in line)):
        return 85
    if name == ("connack" if value < 128 else "mqtt5") and 0 < value < 256 and not api.startswith("mqttconnect"):
        return 75 if _CONNECTED.search(near) or (value >= 128 and _ACKED.search(near)) else 0
    return 0


def lookup(
    value: int, form: str, context: str, stack_hint: str = "", version_hint: str = "", *, api: str = "", text: str = ""
) -> list[CodeMeaning]:
    """Meanings of `value`, best first; empty when nothing says that it is a code.

    `form` is hil-uart's; `context` what stands before the number; `api` the function-like word before it; `text` the
    whole line. `stack_hint`/`version_hint` come from `detect_stack`; a comma list names several stacks in use.
    """
    if form in _BY_FORM:
        chosen, score = _BY_FORM[form]
        if chosen == "connack" and value >= 128 and (form, value) != ("suback", 128):
            chosen = "mqtt5"
        rows, alert = openssl(value) if chosen == "openssl" else (rows_of(chosen, value), None)
        return [_meaning(chosen, value, row, score, alert) for row in rows]
    if form == "dec" and "certificate error" in context.lower()[-24:] and is_at(text):
        form = "at"
    elif form == "at" and not is_at(text or context):
        form = "dec"
    hints = [hint for hint in stack_hint.split(",") if hint]
    near = context.lower()[-48:]
    line = text.lower()
    low_api = api.lower()
    led = 20 if _STRONG.search(near) else (10 if value < 0 else 5) if _WEAK.search(near) else 0
    found: list[CodeMeaning] = []
    for name in families():
        if (name == "spwf04") != (form == "at"):
            continue
        hint = name if name in hints else ""
        score = 80 if form == "at" else _score(name, value, form, low_api, near, hint, led)
        score = max(score, _special(name, value, form, near, line, low_api, hints))
        if score < _BAR:
            continue
        version = version_hint if name in (hints or [""])[0] else ""
        code = -value if name == "mbedtls" and form == "hex" and value >= 0x1000 else value  # printed without its sign
        found += [_meaning(name, code, row, score) for row in rows_of(name, code, version)]
        if name == "paho" and 1 <= value <= 5 and low_api.startswith("mqttconnect"):
            found += [_meaning("connack", value, row, score) for row in rows_of("connack", value)]
    if any(one.stack not in ("errno", "tls_alert") and one.score >= 60 for one in found):
        found = [one for one in found if one.score >= 50]
    place = f"{low_api} {near}"
    found = [msgspec.structs.replace(one, causes=_in_place(one.causes, place)) for one in found]
    return sorted(found, key=lambda one: -one.score)


def _alert_named(value: int, line: str) -> bool:
    """`Handshake Failure (40)`: the number beside its alert's name is the alert."""
    rows = table("tls_alert").rows.get(value, ())
    return value > 0 and any(f"{row.name.replace('_', ' ')} ({value})" in line.replace("_", " ") for row in rows)


def is_at(text: str) -> bool:
    return bool(re.search(r"(?:AT[-+]|[-+])S\.|^\s*ERROR: ?\d|Certificate Error:", text))


_DURING_HANDSHAKE = re.compile(r"session_start|handshake|ssl_connect|parse_certificate|ssl_accept")
_FORMATS = ("certificate.wrong_format", "client_key.wrong_format")


def _in_place(causes: tuple[str, ...], place: str) -> tuple[str, ...]:
    """What cannot be parsed during the handshake is the peer's certificate, not one the device was given."""
    if not _DURING_HANDSHAKE.search(place) or not any(cause in _FORMATS for cause in causes):
        return causes
    return tuple(dict.fromkeys(["server_certificate.unsupported", *(c for c in causes if c not in _FORMATS)]))


def _meaning(stack: str, value: int, row: Row, score: int, alert: int | None = None) -> CodeMeaning:
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
        if not symbol.startswith(family.symbols) and name not in ("wolfssl", "openssl", "openssl_lib"):
            continue
        known = table(name).names
        for spelling in (symbol, f"SSL_R_{symbol}", f"X509_R_{symbol}", f"PEM_R_{symbol}"):
            code = known.get(spelling)
            if code is None:
                continue
            row = next(row for row in table(name).rows[code] if row.name == spelling)
            alert = code - 1000 if name == "openssl" and 1000 <= code <= 1255 else None
            if name == "openssl":
                code |= 20 << 23
            return _meaning(name, code, row, 95, alert)
    return None
