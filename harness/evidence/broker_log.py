"""Mosquitto's log as entries. Pure over text; `read` only adds bounded file access.

Known to work with 2.0.x; 1.5 to 2.1 forms are accepted. Lines of other programs in the same file (mosquitto_pub,
wolfSSL prints, a journal's prefix) become kind "other" and do no harm. The log never says why a certificate failed,
and one cause has two forms (a race): "Client connection from A failed: error:…" or "New connection from A:P" +
"OpenSSL Error[0]: error:…" + "Client <unknown> disconnected: Protocol error." Both carry `code`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import UsageError

Kind = Literal[
    "starting", "running", "terminating", "config_loaded", "listen", "new_connection", "connected", "openssl_error",
    "client_connection_failed", "disconnected", "closed", "exceeded_timeout", "already_connected", "oversize",
    "protocol_error", "tls_protocol_error", "malformed", "not_authorised", "denied_publish", "denied_subscribe",
    "sending_connack", "sending", "received", "invalid_protocol", "config_error", "address_in_use", "error",
    "warning", "max_connections", "token_refused", "token_accepted", "other",
]  # fmt: skip

# What OpenSSL 3.0 sends for these reasons when the broker detects them (measured; 1.2 / 1.3 where they differ).
_ALERT_SENT: dict[str, tuple[int, ...]] = {
    "no shared cipher": (40,),
    "no suitable signature algorithm": (40,),
    "no shared signature algorithms": (40,),
    "no suitable key share": (40, 109),
    "peer did not return a certificate": (40, 116),
    "certificate verify failed": (48, 45, 44, 43, 42),
    "bad signature": (51,),
    "digest check failed": (51,),
    "wrong signature type": (47,),
    "unsupported protocol": (70,),
    "missing sigalgs extension": (109,),
    "missing supported groups extension": (109,),
    "bad extension": (47,),
    "decryption failed or bad record mac": (20,),
    "unexpected message": (10,),
    "packet length too long": (22,),
    "unexpected eof while reading": (50,),
    "length mismatch": (50,),
    "psk identity not found": (115,),
    "binder does not verify": (47,),
}
_SHOWN = 400
_HEAD = _TAIL = 16 << 20
_MAX_ENTRIES = 20_000
_CHATTER = frozenset({"sending", "received", "other", "new_connection", "closed"})


class BrokerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `line` is 1-based; `t` Unix seconds, or seconds of the day for a clock without date, or None.

    `code` is OpenSSL's packed error, `reason` its text (or why a client was disconnected); `alert` the number the
    device sent, when the code says so; `alerts_sent` what the broker then sends. `address`/`port` are the client's;
    `paired` means they were taken from the open "New connection" line before.
    """

    line: int
    t: float | None = None
    kind: Kind
    text: str
    client: str = ""
    address: str = ""
    port: int | None = None
    listener: int | None = None
    paired: bool = False
    code: int | None = None
    reason: str = ""
    alert: int | None = None
    alerts_sent: tuple[int, ...] = ()
    connack: int | None = None
    packet: str = ""
    protocol: int | None = None
    keepalive: int | None = None
    user: str | None = None
    topic: str = ""
    version: str = ""
    fields: dict[str, str] = {}


_STAMP = re.compile(
    r"\s*(?:(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r"|(?P<clock>\d\d:\d\d:\d\d(?:\.\d{1,9})?)"
    r"|(?P<epoch>\d{9,11}(?:\.\d{1,9})?))(?::| )\s?(?=\S|\t)"
)
_PREFIX = re.compile(r"^.{0,80}?\bmosquitto(?:\[\d+\]:|-\d+\s*\|)\s")
_OPENSSL = re.compile(r"error:([0-9A-Fa-f]{8}):([^:]*):([^:]*):([^:\n]*)")
_WHO = r"Client (?P<client>.{0,256}?)(?: \[(?P<address>[^\]\s]{1,64}?)(?::(?P<port>\d{1,5}))?\])?"
_ADDR = r"(?P<address>[0-9A-Fa-f:.]{2,45}?)"
_FROM = rf"{_ADDR}(?::(?P<port>\d{{1,5}}))?"

_RULES: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))  # type: ignore[misc]
    for kind, pattern in (
        ("starting", r"mosquitto version (?P<version>\S+)(?: \(.*\))? starting"),
        ("running", r"mosquitto version (?P<version>\S+) running"),
        ("terminating", r"mosquitto version (?P<version>\S+) terminating"),
        ("config_loaded", r"Config loaded from (?P<reason>.+?)\.?$"),
        ("config_loaded", r"Using default config"),
        ("listen", r"Opening (?P<packet>ipv4|ipv6|websockets|unix) listen socket on "
                   r"(?:port (?P<listener>\d{1,5})|path )"),
        ("new_connection", rf"New connection from {_FROM} on port (?P<listener>\d{{1,5}})\.?$"),
        ("connected", rf"New client connected from {_FROM} as (?P<client>.{{0,256}}?) "
                      r"\((?:p(?P<protocol>\d), )?c\d(?:, k(?P<keepalive>\d+))?(?:, u'(?P<user>.*?)')?\)\.?$"),
        ("openssl_error", r"OpenSSL Error(?:\[\d+\])?: (?P<reason>.*)$"),
        ("client_connection_failed", rf"Client connection from {_FROM} failed: (?P<reason>.*?)\.?$"),
        ("max_connections", rf"Client connection from {_ADDR} denied: (?P<reason>max_connections.*?)\.?$"),
        ("exceeded_timeout", rf"{_WHO} (?:has exceeded timeout, disconnecting|disconnected: exceeded timeout)"),
        ("already_connected", rf"{_WHO} already connected, closing old connection"),
        ("oversize", rf"{_WHO} disconnected (?:due to|:) ?oversize packet"),
        ("malformed", rf"{_WHO} disconnected (?:due to|:) ?malformed packet"),
        ("protocol_error", rf"{_WHO} disconnected due to protocol error"),
        ("not_authorised", rf"{_WHO} disconnected[,:] not authori[sz]ed"),
        ("tls_protocol_error", rf"{_WHO} disconnected: (?P<reason>Protocol error|A TLS error occurred)"),
        ("closed", rf"{_WHO} closed its connection"),
        ("disconnected", rf"{_WHO} disconnected(?:[:,]| due to)? ?(?P<reason>.*?)\.?$"),
        ("disconnected", r"Socket error on client (?P<client>.{0,256}?), disconnecting"),
        ("denied_publish", r"Denied PUBLISH from (?P<client>.{0,256}?) \(.*?, '(?P<topic>.*?)', "),
        ("denied_subscribe", r"Denied SUBSCRIBE from (?P<client>.{0,256}?)(?: \(|$|: )(?P<topic>.*)"),
        ("sending_connack", r"Sending CONNACK to (?P<client>.{0,256}?) \((?P<reason>\d+), (?P<connack>\d+)\)"),
        ("sending", r"Sending (?P<packet>[A-Z]{4,11}) to (?P<client>.{0,256}?)(?: \((?P<reason>.*)\))?$"),
        ("received", r"Received (?P<packet>[A-Z]{4,11}) from (?P<client>.{0,256}?)(?: \((?P<reason>.*)\))?$"),
        ("invalid_protocol", rf"Invalid protocol (?P<reason>.{{0,64}}?) in CONNECT from {_ADDR}\.?$"),
        ("address_in_use", r"Error: (?P<reason>Address already in use)"),
        ("config_error", r"Error: (?P<reason>(?:Unable to (?:load|open|set|read|parse|write|drop|create) "
                         r"|Server certificate/key|Invalid |Unknown configuration|Empty |Duplicate |Both |Could not"
                         r"|.* value |The '.*' ).*)"),
        ("config_error", r"Error found at (?P<reason>.*)"),
        ("token_refused", r"hil-jwt: client (?P<client>.{0,256}?) refused: (?P<cause>[a-z0-9_.]{1,64}): "
                          r"(?P<reason>.*)"),
        ("token_accepted", r"hil-jwt: client (?P<client>.{0,256}?) accepted: (?P<reason>.*)"),
        ("error", r"Error(?: in \w+)?: (?P<reason>.*)"),
        ("warning", r"Warning: (?P<reason>.*)"),
    )
)  # fmt: skip


# Every pattern begins with four letters as they are. They choose the rules to try: a log may have millions of lines.
_BY_WORD: dict[str, list[tuple[Kind, re.Pattern[str]]]] = {}
for _rule in _RULES:
    _BY_WORD.setdefault(_rule[1].pattern[:4], []).append(_rule)


def openssl_code(text: str) -> tuple[int, str] | None:
    """(packed code, reason text) of an `error:0A0000C1:SSL routines::no shared cipher` in `text`."""
    found = _OPENSSL.search(text)
    if found is None:
        return None
    return int(found[1], 16), found[4].strip().rstrip(".").strip()


def alert_received(code: int) -> int | None:
    """The alert number inside an OpenSSL code of library SSL: reason 1000 + n. Both 3.x and 1.1 packings."""
    three = code & 0x7FFFFF < 0x1000  # OpenSSL 3: library << 23 | reason; 1.x: library << 24 | function << 12 | reason
    if code >> (23 if three else 24) != 20:
        return None
    reason = code & 0xFFF
    return reason - 1000 if 1000 <= reason <= 1255 else None


def _stamp(line: str) -> tuple[float | None, str]:
    found = _STAMP.match(line)
    if found is None:
        return None, line
    rest = line[found.end() :]
    if found["epoch"]:
        return float(found["epoch"]), rest
    if found["clock"]:
        hours, minutes, seconds = found["clock"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds), rest
    try:
        when = datetime.fromisoformat(found["iso"])
    except ValueError:
        return None, rest
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp(), rest


def clean(text: str, limit: int = _SHOWN) -> str:
    """`text` without control characters, at most `limit` characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text[:limit]).strip()


def _number(value: str | None) -> int | None:
    return int(value) if value else None


def parse_line(number: int, raw: str) -> BrokerEntry | None:
    """One log line; None for an empty one."""
    t, text = _stamp(raw[:4096].rstrip("\r\n"))
    if t is None and (prefix := _PREFIX.match(text)):
        t, text = _stamp(text[prefix.end() :])
    indented = text[:1] in ("\t", " ")
    text = clean(text)
    if not text:
        return None
    if indented:
        return BrokerEntry(line=number, t=t, kind="other", text=text)
    for kind, pattern in _BY_WORD.get(text[:4], ()):
        found = pattern.match(text)
        if found is None:
            continue
        got = found.groupdict()
        reason = got.get("reason") or ""
        code = alert = None
        sent: tuple[int, ...] = ()
        if packed := openssl_code(reason):
            code, reason = packed
            alert = alert_received(code)
            sent = _ALERT_SENT.get(reason.lower(), ())
        return BrokerEntry(
            line=number, t=t, kind=kind, text=text, code=code, alert=alert, alerts_sent=sent, reason=reason,
            client=got.get("client") or "", address=got.get("address") or "",
            port=_number(got.get("port")), listener=_number(got.get("listener")),
            connack=_number(got.get("connack")), packet=got.get("packet") or "",
            protocol=_number(got.get("protocol")), keepalive=_number(got.get("keepalive")), user=got.get("user"),
            topic=got.get("topic") or "", version=got.get("version") or "",
            fields={"cause": got["cause"]} if got.get("cause") else {},
        )  # fmt: skip
    return BrokerEntry(line=number, t=t, kind="other", text=text)


def _pair(entry: BrokerEntry, pending: list[BrokerEntry]) -> BrokerEntry:
    """Give an entry without an address that of the one open connection; keep `pending` up to date."""
    if entry.kind == "new_connection":
        pending.append(entry)
        del pending[:-256]
    elif entry.kind == "connected":
        for i, one in enumerate(pending):
            if one.address == entry.address and entry.port in (None, one.port):
                del pending[i]
                break
    elif (
        not entry.address
        and pending
        and (entry.kind in ("openssl_error", "not_authorised") or entry.client == "<unknown>")
    ):
        latest = pending[-1]
        entry = msgspec.structs.replace(entry, address=latest.address, port=latest.port, paired=True)
        if entry.kind != "openssl_error":  # the disconnect line closes it
            pending.pop()
    return entry


def _is_chatter(raw: str) -> bool:
    """A cheap look: one of the packets that a busy broker logs by the million."""
    return ": Received P" in raw or (": Sending P" in raw and "PUBLISH" not in raw)


def parse(lines: Iterable[tuple[int, str]]) -> list[BrokerEntry]:
    """Entries of (number, text) lines. Chatter is dropped first when there are too many."""
    entries: list[BrokerEntry] = []
    pending: list[BrokerEntry] = []
    chatter = 0
    for number, raw in lines:
        if chatter > _MAX_ENTRIES and _is_chatter(raw):
            continue
        entry = parse_line(number, raw)
        if entry is None:
            continue
        entry = _pair(entry, pending)
        if entry.kind in _CHATTER:
            chatter += 1
            if chatter > _MAX_ENTRIES:
                continue
        entries.append(entry)
        if len(entries) >= 3 * _MAX_ENTRIES:  # hostile flood: keep the beginning and the newest
            del entries[_MAX_ENTRIES : 2 * _MAX_ENTRIES]
    return entries


def parse_text(text: str) -> list[BrokerEntry]:
    """Entries of a whole log given as text."""
    return parse(enumerate(text.split("\n"), 1))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines; of a file over 32 MB only the first and last 16 MB, numbers stay true."""
    size = path.stat().st_size
    with path.open("rb") as file:
        number = 0
        for raw in file.read(min(size, _HEAD)).split(b"\n") if size else ():
            number += 1
            yield number, raw[:4096].decode("utf-8", "replace")
        if size <= _HEAD:
            return
        skip = max(0, size - _HEAD - _TAIL)
        while skip > 0 and (block := file.read(min(skip, 1 << 20))):
            number += block.count(b"\n")
            skip -= len(block)
        for i, raw in enumerate(file.read(_TAIL).split(b"\n")):
            number += 1 if i else 0
            yield number, raw[:4096].decode("utf-8", "replace")


def read(path: Path) -> list[BrokerEntry]:
    """Entries of the log file at `path`. Raises UsageError when it cannot be read."""
    if path.is_dir():
        raise UsageError(f"broker log {path} is a directory", "name the log file")
    try:
        return parse(_lines(path))
    except OSError as error:
        raise UsageError(f"broker log {path}: {error.strerror or error}", "name a readable file") from error
