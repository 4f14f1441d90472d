"""The duty to refuse (or to be refused) well: no session, no MQTT byte, closed and reported in bounded time, and the
alert's number by the rule that applies. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model import Alert, Cause
from harness.scenario import Branch
from harness.verdict.seen import CLOSE_NOTIFY, NS, Event, Seen, frame

if TYPE_CHECKING:
    from harness.verdict.judge import Ruling

T_CLOSE = 5.0
"""Seconds from the last thing the broker said (or closed) to the device's close."""

ACCEPTED = {
    "server_certificate.untrusted": "server_certificate.accepted_untrusted",
    "server_certificate.bad_signature": "server_certificate.accepted_untrusted",
    "server_certificate.expired": "server_certificate.accepted_expired",
    "server_certificate.not_yet_valid": "server_certificate.accepted_expired",
    "server_certificate.name_mismatch": "server_certificate.accepted_wrong_name",
    "device.clock_unset": "server_certificate.accepted_expired",
}
"""What it is called when a device connects although this is wrong with the certificate."""


def judge_reject(seen: Seen, branch: Branch, ruling: Ruling, cap: str) -> None:
    if seen.accepted():
        _connected(seen, branch, ruling, cap)
        return
    data = seen.device_data()
    if data and not branch.connect_may_precede:
        ruling.miss("must", f"the device sent {data[0].get('type') or 'application data'} although it must refuse "
                    f"(frame {data[0].get('frame')})", cap)  # fmt: skip
    if seen.end.kind == "done" and seen.end.result == "ok":
        ruling.miss("must", "the device reports success", cap)
    _closed(seen, ruling, cap)
    _alert(seen, branch, ruling, cap)


def _connected(seen: Seen, branch: Branch, ruling: Ruling, cap: str) -> None:
    unfit = seen.fit is not None and seen.fit.fits is False
    if unfit and branch is seen.item.unfit:
        # The broker took what the profile excludes: the bench is wrong, not the device.
        ruling.verdict = "lab"
        first = seen.fit.first.title if seen.fit and seen.fit.first else "the profile"
        ruling.why = f"the broker accepted a ClientHello that does not fit its profile ({first})"
        return
    findings = list(seen.diagnosis.findings)
    for wanted in dict.fromkeys(ACCEPTED[c] for c in branch.cause if c in ACCEPTED):
        if not any(c.id == wanted for c in findings):
            text = "the device connected to a broker whose certificate it must refuse"
            findings.append(Cause(id=wanted, side="device", confidence="certain", explain=text,
                                  evidence=(frame(seen.accepted()[0]) + ": CONNACK",)))  # fmt: skip
    ruling.causes = findings
    text = findings[0].explain or findings[0].id if findings else "it got a CONNACK"
    ruling.miss("must", f"the device connected where it must refuse: {text}", cap)


def _closed(seen: Seen, ruling: Ruling, cap: str) -> None:
    """Each connection ends, by the device or by a reset, within T_close of what called for it."""
    for number in seen.conns:
        events = seen.conn(number)
        if not any(e["ev"] == "synack" for e in events):
            continue
        closed = seen.closed_by_device(number)
        last = _last_word(events)
        if closed is None:
            if any(e["ev"] == "rst" and e.get("dir") == "s" for e in events):
                continue
            ruling.miss("must", "the device did not close the connection", cap)
        elif last is not None and (late := (closed["t"] - last["t"]) / NS) > T_CLOSE:
            ruling.miss("must", f"the device closed {late:.1f} s after it had to (T_close {T_CLOSE:.0f} s)", cap)


def _last_word(events: list[Event]) -> Event | None:
    """What the device had to react to: the broker's fatal alert or FIN, whichever came first, else its last record."""
    ends = [e for e in events if e.get("dir") == "s" and e["ev"] in ("alert", "fin", "rst")]
    if ends:
        return ends[0]
    said = [e for e in events if e.get("dir") == "s" and e["ev"] in ("record", "sealed", "certificate", "server_hello")]
    return said[-1] if said else None


def _alert(seen: Seen, branch: Branch, ruling: Ruling, cap: str) -> None:
    """Rules 2, 3, 4 and 6 of TLS: which number was right, and whether silence is."""
    if not branch.alerts:
        return
    seen_alerts = [a for a in seen.alerts() if a.sender == branch.sender and a.code != CLOSE_NOTIFY]
    numbers = [a.code for a in seen_alerts]
    if branch.rule == "peer":
        if numbers and not set(numbers) & {*branch.alerts, *branch.tolerated}:
            ruling.notes.append(f"the {branch.sender} sent {_say(seen_alerts)}, usual is {_list(branch.alerts)}")
        return
    if not numbers and seen.broker_alerts:
        numbers = list(seen.broker_alerts)
        ruling.notes.append(f"alert {_list(tuple(numbers))} by the broker's log only")
    if not numbers:
        _silence(seen, branch, ruling, cap)
    elif set(numbers) & set(branch.alerts):
        return
    elif set(numbers) & set(branch.tolerated):
        ruling.notes.append(
            f"tolerated alert: {_say(seen_alerts) or _list(tuple(numbers))}, right is {_list(branch.alerts)}"
        )
    else:
        text = f"alert {_say(seen_alerts) or _list(tuple(numbers))} where {_list(branch.alerts)} is right"
        ruling.miss("must" if branch.rule == "named" else "should", text, cap)


def _silence(seen: Seen, branch: Branch, ruling: Ruling, cap: str) -> None:
    if any(e.get("dir") == ("c" if branch.sender == "device" else "s") for e in seen.of("sealed")):
        ruling.miss("should", "no alert could be read (sealed records without keys): inconclusive", cap)
        return
    tls13 = any(e.get("version") in ("0304", 0x0304) for e in seen.of("server_hello"))
    text = f"closed without an alert; {_list(branch.alerts)} is right"
    ruling.miss("must" if branch.rule == "named" and not tls13 else "should", text, cap)


def _say(alerts: list[Alert]) -> str:
    return ", ".join(dict.fromkeys(f"{a.name}({a.code})" for a in alerts))


def _list(numbers: tuple[int, ...]) -> str:
    return " or ".join(str(n) for n in numbers)
