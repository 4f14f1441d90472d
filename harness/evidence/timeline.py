"""Four streams, one timeline: wire, UART, broker log and the bench's own marks as rows in order of time.

`build` is pure: it takes what the readers of each stream gave and orders it. Times are nanoseconds since 1970 (UTC).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

Stream = Literal["wire", "uart", "broker"]
MAX_ROWS = 400
MAX_TEXT = 200

QUIET = frozenset({"capture", "open", "record", "end", "close"})


class Row(msgspec.Struct, frozen=True):
    """One row: `direction` is "c" device → broker, "s" broker → device, "" for a log line; `where` a frame or line."""

    t: int
    stream: Stream
    direction: Literal["c", "s", ""]
    where: str
    text: str
    alarming: bool = False


def clip(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def describe(event: Mapping[str, Any]) -> str:
    """One line for a wire event of docs/wire-events.md."""
    kind = str(event["ev"])
    writer = _DESCRIBE.get(kind)
    return clip(writer(event)) if writer else kind.replace("_", " ")


def _client_hello(event: Mapping[str, Any]) -> str:
    versions = event.get("versions") or [event.get("legacy_version", 0)]
    names = "/".join(_version(v) for v in versions)
    sni = event.get("sni")
    again = " (second, after HelloRetryRequest)" if event.get("hrr_retry") else ""
    return f"ClientHello{again} TLS {names}, {len(event.get('suites', []))} suites, SNI {sni or 'absent'}"


def _version(value: Any) -> str:
    number = int(value, 16) if isinstance(value, str) else int(value)
    return {0x0304: "1.3", 0x0303: "1.2", 0x0302: "1.1", 0x0301: "1.0", 0x0300: "SSL 3"}.get(number, f"0x{number:04x}")


def _server_hello(event: Mapping[str, Any]) -> str:
    name = "HelloRetryRequest" if event.get("hrr") else "ServerHello"
    return f"{name} TLS {_version(event.get('version', 0))}, {event.get('suite_name', '')}"


def _certificate(event: Mapping[str, Any]) -> str:
    chain = event.get("chain", [])
    if not chain:
        return "Certificate, empty"
    subject = chain[0].get("subject", "")
    return f"Certificate {subject}, chain of {len(chain)}, {event.get('len', 0)} bytes"


def _alert(event: Mapping[str, Any]) -> str:
    level = {1: "warning", 2: "fatal"}.get(event.get("level", 0), "level ?")
    sealed = ", encrypted" if event.get("encrypted") else ""
    return f"Alert {level} {event.get('name', '')} ({event.get('code', '?')}){sealed}"


def _mqtt(event: Mapping[str, Any]) -> str:
    kind = str(event.get("type", ""))
    extra = {
        "CONNECT": lambda: f" level {event.get('level')}, client id {event.get('client_id', '')!r}",
        "CONNACK": lambda: f" code {event.get('code')}",
        "PUBLISH": lambda: f" QoS {event.get('qos')} to {event.get('topic', '')!r}",
        "SUBSCRIBE": lambda: " " + ", ".join(str(f.get("topic", "")) for f in event.get("filters", [])),
        "SUBACK": lambda: f" codes {event.get('codes', [])}",
    }.get(kind, lambda: "")()
    broken = "; breaks " + ", ".join(s["id"] for s in event["statements"]) if event.get("statements") else ""
    return kind + extra + broken


def _sealed(event: Mapping[str, Any]) -> str:
    guess = f", perhaps {event['guess']}" if event.get("guess") else ""
    return f"sealed record, {event.get('len', 0)} bytes{guess}"


_DESCRIBE: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "client_hello": _client_hello,
    "server_hello": _server_hello,
    "certificate": _certificate,
    "alert": _alert,
    "mqtt": _mqtt,
    "sealed": _sealed,
    "syn": lambda e: "SYN" + (" again" if e.get("retransmission") else ""),
    "synack": lambda _: "SYN ACK",
    "fin": lambda _: "FIN",
    "rst": lambda _: "RST",
    "ccs": lambda _: "ChangeCipherSpec",
    "gap": lambda e: f"{e.get('missing', 0)} bytes missing from the capture",
    "finished": lambda _: "Finished",
    "data": lambda e: f"{e.get('len', 0)} bytes, neither TLS nor MQTT",
    "app": lambda e: f"application data, {e.get('len', 0)} bytes",
}

_BENCH_LINE = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)Z? ?:? ?(.*)$")

_SHIM_LINE = re.compile(r"@H1 \d+ \d+ (.*) \*[0-9a-f]{4}$")  # docs/shim-protocol.md
_CHATTER = re.compile(r"(tick|ready|ok cmd=(SET|PUT)|put name=|info )")
_ALARMING = re.compile(r"\b(fault|state=failed|state=reset|result=failed|[Ee]rror|ERROR|denied|Denied)\b")


def _stamp(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000) * 1000


def log_rows(text: str, stream: Stream) -> Iterable[Row]:
    """Rows of a log whose lines begin with an ISO-8601 UTC time; other lines keep the time of the line before."""
    last = 0
    for number, line in enumerate(text.splitlines(), 1):
        match = _BENCH_LINE.match(line)
        said = line
        if match:
            last, said = _stamp(match[1]), match[2].removeprefix(": ")
        shim = _SHIM_LINE.search(said)
        if shim:
            said = said[: shim.start()] + shim[1]
        if said.strip() and not (shim and _CHATTER.match(shim[1])):
            yield Row(last, stream, "", f"line {number}", clip(said), bool(_ALARMING.search(said)))


def wire_rows(events: Iterable[Mapping[str, Any]]) -> Iterable[Row]:
    for event in events:
        if event["ev"] in QUIET:
            continue
        alarming = event["ev"] in {"alert", "rst", "gap"} and event.get("code") != 0
        direction: Literal["c", "s", ""] = event.get("dir", "") if event.get("dir") in ("c", "s") else ""
        yield Row(
            int(event.get("t", 0)), "wire", direction, f"frame {event.get('frame', '?')}", describe(event), alarming
        )


def build(events: Iterable[Mapping[str, Any]], uart: str, broker: str) -> list[Row]:
    """All rows in order of time; in the middle of a too long story rows are dropped, its start and end kept."""
    rows = [*wire_rows(events), *log_rows(uart, "uart"), *log_rows(broker, "broker")]
    rows.sort(key=lambda row: row.t)
    if len(rows) > MAX_ROWS:
        half = MAX_ROWS // 2
        cut = Row(rows[half].t, "wire", "", "", f"… {len(rows) - MAX_ROWS} rows left out …")
        rows = [*rows[:half], cut, *rows[-half:]]
    return rows


def read_text(path: Path | None, limit: int = 2_000_000) -> str:
    """The start of a log, "" when there is none; bytes that are not UTF-8 are replaced."""
    if path is None or not path.exists():
        return ""
    with path.open("rb") as file:
        return file.read(limit).decode("utf-8", "replace")
