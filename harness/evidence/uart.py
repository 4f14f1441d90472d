"""A UART log as typed hits: `hil-uart` finds, the code tables explain.

`read` starts the program `hil-uart` (bounded memory, hostile input) and turns its JSON lines into `UartHit`s. A hit of
kind "code" is a number, a symbol or an alert with a meaning; of kind "event" a shim line; of kind "text" a line in
words that matters (a fault, a boot, an error, a phrase a stack is known to print).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness import paths
from harness.diagnosis import codes, stacks
from harness.diagnosis.code_tables import lookup_phrase, rows_of
from harness.errors import LabError, UsageError

_TIMEOUT = 120.0  # s
_MAX_MB = "128"  # of a larger log the first and last 64 MB are looked at; 100 MB take about one second
_REGISTER = re.compile(
    r"\b(pc|lr|sp|psr|xpsr|cfsr|hfsr|mmfar|bfar|msp|psp|r\d{1,2})\b\W{0,4}(0x[0-9a-fA-F]{1,8}|[0-9a-fA-F]{8})\b",
    re.IGNORECASE,
)


class UartHit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the log says. `t` is in seconds: since 1970 where the bench stamped the line, else the device's own.

    kind "code": `stack` is the family ("netx", "mbedtls", "tls_alert" …), `code` the number, `name` its symbol. For an
    alert `fields` has `sender` ("broker", "device" or "") and `level`. kind "event": `name` is the event, `fields` its
    keys and `seq`, `ms`. kind "text": `name` is the phrase's symbol or the class ("fault", "boot", "error" …).
    """

    line: int
    t: float | None = None
    text: str = ""
    kind: Literal["code", "event", "text"]
    stack: str = ""
    code: int | None = None
    name: str = ""
    meaning: str = ""
    causes: tuple[str, ...] = ()
    api: str = ""
    fields: dict[str, str] = {}
    score: int = 0


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A CPU fault, an assert, a panic or a watchdog bite, with the registers printed near it."""

    line: int
    t: float | None
    kind: str  # "fault", "assert", "panic", "watchdog", "memory", or a shim event's kind
    text: str
    registers: dict[str, str]


class UartLog(msgspec.Struct, frozen=True, kw_only=True):
    """The whole log. `stack` and `version` are the TLS stack's; `stacks` all that were seen, with versions."""

    hits: tuple[UartHit, ...] = ()
    stack: str = ""
    version: str = ""
    stacks: dict[str, str] = {}
    faults: tuple[Fault, ...] = ()
    boots: int = 0  # how often it started; more than one is a reset
    damaged: int = 0  # shim lines that arrived broken
    missing: int = 0  # shim lines lost, by sequence number
    lines: int = 0
    size: int = 0
    suppressed: int = 0  # hits not listed because they repeat
    repeated: dict[str, int] = {}  # how often what repeats came, by its text: a retry storm shows here
    skipped: int = 0  # bytes in the middle of a huge log that nobody looked at
    binary: bool = False  # mostly not text: wrong baud rate or not a log

    @property
    def events(self) -> tuple[UartHit, ...]:
        return tuple(hit for hit in self.hits if hit.kind == "event")

    @property
    def codes(self) -> tuple[UartHit, ...]:
        return tuple(hit for hit in self.hits if hit.kind == "code")


def _code_hits(raw: dict[str, Any], hints: str, version: str) -> list[UartHit]:
    found = codes.lookup(raw["value"], raw["form"], raw["context"], hints, version, api=raw["api"], text=raw["text"])
    if not found:
        return []
    best = found[0]
    fields = {"form": raw["form"], "token": raw["token"]}
    if len(found) > 1 and found[1].stack == best.stack:
        fields["or"] = found[1].name  # another version of the stack means something else
    if best.alert is not None and best.stack != "tls_alert":
        fields["alert"] = str(best.alert)
        fields["sender"] = "device" if best.name.startswith("BR_ERR_SEND") else "broker"
    return [
        UartHit(
            line=raw["line"], t=raw["t"], text=raw["text"], kind="code", stack=best.stack, code=best.code,
            name=best.name, meaning=best.meaning, causes=best.causes, api=raw["api"], fields=fields, score=best.score,
        )
    ]  # fmt: skip


def _alert_hit(raw: dict[str, Any]) -> UartHit | None:
    rows = rows_of("tls_alert", raw["code"])
    if not rows:
        return None
    sender = {"rx": "broker", "tx": "device"}.get(raw["dir"], "")
    fields = {"sender": sender}
    if raw["level"] in (1, 2):
        fields["level"] = str(raw["level"])
    return UartHit(
        line=raw["line"], t=raw["t"], text=raw["text"], kind="code", stack="tls_alert", code=raw["code"],
        name=rows[0].name, meaning=rows[0].meaning, causes=rows[0].causes, fields=fields, score=90,
    )  # fmt: skip


def _name_hit(raw: dict[str, Any]) -> UartHit | None:
    found = codes.lookup_name(raw["name"])
    if found is None:
        return None
    fields = {"form": "name"}
    if found.alert is not None:
        fields |= {"alert": str(found.alert), "sender": "broker"}
    return UartHit(
        line=raw["line"], t=raw["t"], text=raw["text"], kind="code", stack=found.stack, code=found.code,
        name=found.name, meaning=found.meaning, causes=found.causes, api=raw["api"], fields=fields, score=found.score,
    )  # fmt: skip


def _event_hits(raw: dict[str, Any], hints: str, version: str) -> list[UartHit]:
    fields = {**raw["fields"], "seq": str(raw["seq"]), "ms": str(raw["ms"])}
    name = raw["event"]
    text = " ".join([name, *(f"{key}={value}" for key, value in raw["fields"].items())])
    hits = [UartHit(line=raw["line"], t=raw["t"], text=text, kind="event", name=name, fields=fields)]
    rc = raw["fields"].get("rc", "")
    if name == "api" and re.fullmatch(r"-?(?:0x[0-9a-fA-F]{1,8}|\d{1,10})", rc):
        form = ("neg_" if rc.startswith("-") else "") + ("hex" if "x" in rc else "dec")
        api = raw["fields"].get("name", "")
        hits += _code_hits(
            {**raw, "value": int(rc, 0), "form": form, "token": rc, "context": f"{api} rc=", "api": api, "text": text},
            hints, version,
        )  # fmt: skip
    alert = raw["fields"].get("alert", "")
    if name == "tls" and re.fullmatch(r"\d{1,3}", alert):
        found = _alert_hit({**raw, "dir": "rx", "level": -1, "code": int(alert), "text": text})
        hits += [found] if found else []
    code = raw["fields"].get("code", "")
    if name == "mqtt" and raw["fields"].get("state") in ("refused", "suback") and re.fullmatch(r"[1-9]\d{0,2}", code):
        form = "connack" if raw["fields"]["state"] == "refused" else "suback"
        if form == "connack" or int(code) >= 128:
            answer = {**raw, "value": int(code), "form": form, "token": code, "context": "", "api": "", "text": text}
            hits += _code_hits(answer, hints, version)
    return hits


def _text_hit(raw: dict[str, Any]) -> UartHit | None:
    kind = raw["class"]
    phrase = lookup_phrase(raw["text"])
    if phrase is not None and kind in ("error", "milestone", "boot", "at", "memory"):
        return UartHit(
            line=raw["line"], t=raw["t"], text=raw["text"], kind="text", stack=phrase.stack, name=phrase.name,
            meaning=phrase.meaning, causes=phrase.causes, fields={"class": kind},
        )  # fmt: skip
    fields = {"class": kind} | {key: raw[key] for key in ("version",) if key in raw}
    name = raw.get("name", kind)
    return UartHit(line=raw["line"], t=raw["t"], text=raw["text"], kind="text", name=name, fields=fields)


def _merge(hits: list[UartHit]) -> list[UartHit]:
    """One hit for `-30592 (-0x7780)`, and for a symbol beside its number."""
    seen: set[tuple[int, str, int | None]] = set()
    kept = []
    for hit in hits:
        key = (hit.line, hit.stack, hit.code)
        if hit.kind == "code" and key in seen:
            continue
        seen.add(key)
        kept.append(hit)
    return kept


def _faults(raw: list[dict[str, Any]]) -> list[Fault]:
    faults: list[Fault] = []
    for one in raw:
        if one["kind"] == "event" and one["event"] == "fault":
            fields = one["fields"]
            text = " ".join(f"{key}={value}" for key, value in fields.items())
            registers = {key: value for key, value in fields.items() if key != "kind"}
            faults.append(
                Fault(line=one["line"], t=one["t"], kind=fields.get("kind", "fault"), text=text, registers=registers)
            )
        elif one["kind"] == "text" and one["class"] in ("fault", "assert", "panic", "watchdog", "registers"):
            registers = {name.lower(): value for name, value in _REGISTER.findall(one["text"])}
            if faults and registers and one["line"] - faults[-1].line <= 40:
                faults[-1].registers.update(registers)
            elif one["class"] != "registers":
                faults.append(
                    Fault(line=one["line"], t=one["t"], kind=one["class"], text=one["text"], registers=registers)
                )
    return faults


def _boots(raw: list[dict[str, Any]], end: dict[str, Any]) -> int:
    """Shim boots; without a shim, how often the same start-up line came."""
    if end["boots"]:
        return int(end["boots"])
    counts: dict[str, int] = {}
    lines = set()
    for one in raw:
        start = one["kind"] == "text" and (
            one["class"] == "boot" or (one["class"] == "banner" and re.search(r"firmware|boot|build", one["text"]))
        )
        if start and one["line"] not in lines:
            lines.add(one["line"])
            key = re.sub(r"\d+", "#", one["text"])[:79]
            counts[key] = counts.get(key, 0) + 1
    for one in raw:
        if one["kind"] == "repeat" and (key := re.sub(r"\d+", "#", one["text"])[:79]) in counts:
            counts[key] = int(one["count"])
    return max(counts.values(), default=0)


def _repeated(raw: list[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in raw:
        if one["kind"] == "repeat":
            counts[one["text"]] = counts.get(one["text"], 0) + one["count"]
    return counts


def from_objects(objects: Iterable[dict[str, Any]]) -> UartLog:
    """Build the log from hil-uart's JSON objects. Pure."""
    raw = list(objects)
    end = next((one for one in reversed(raw) if one["kind"] == "end"), None)
    if end is None:
        raise LabError("lab.tool_missing", "hil-uart stopped before the end of the log", "rebuild it: make setup")
    seen = stacks.detect_all(raw)
    stack, version = next(iter(seen.items()), ("", ""))
    hints = ",".join(seen)
    hits: list[UartHit] = []
    missing = 0
    for one in raw:
        found: UartHit | None = None
        if one["kind"] == "event":
            hits += _event_hits(one, hints, version)
        elif one["kind"] == "number":
            hits += _code_hits(one, hints, version)
        elif one["kind"] == "alert":
            found = _alert_hit(one)
        elif one["kind"] == "name":
            found = _name_hit(one)
        elif one["kind"] == "text":
            found = _text_hit(one)
        elif one["kind"] == "gap":
            missing += one["missing"]
        if found is not None:
            hits.append(found)
    hits.sort(key=lambda hit: hit.line)
    return UartLog(
        hits=tuple(_merge(hits)), stack=stack, version=version, stacks=seen, faults=tuple(_faults(raw)),
        boots=_boots(raw, end), damaged=end["damaged"], missing=missing, lines=end["lines"], size=end["bytes"],
        suppressed=end["suppressed"],
repeated=_repeated(raw), skipped=end["skipped_bytes"],
        binary=end["bytes"] > 64 and end["control_bytes"] * 10 > end["bytes"] - end["skipped_bytes"],
    )  # fmt: skip


def read(path: Path) -> UartLog:
    """The log at `path`. Raises UsageError when it cannot be read, LabError when hil-uart is missing or hangs."""
    program = paths.BIN / "hil-uart"
    try:
        done = subprocess.run([program, "--max", _MAX_MB, path], capture_output=True, timeout=_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise LabError("lab.tool_missing", f"{program} is missing", "build the host tools first") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(
            "lab.tool_missing", f"hil-uart took more than {_TIMEOUT:.0f} s on {path}", "cut the log"
        ) from error
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().removeprefix("hil-uart: ")[:300]
        raise UsageError(f"UART log {reason or path}", "name a readable file")
    decoder = msgspec.json.Decoder()
    return from_objects(decoder.decode(line) for line in done.stdout.splitlines())
