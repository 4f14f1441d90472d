"""Synthetic values for the judge: a hello, events, a device that ended well or badly. Times are seconds from zero."""

from __future__ import annotations

from typing import Any

from harness.diagnosis.compare import compare
from harness.model import Cause, Diagnosis, Listener, ServerCertificate
from harness.plan import PlanItem
from harness.scenario import Branch, DeviceSetup, Scenario
from harness.target import Build, Console, Network, Target
from harness.verdict.seen import NS, DeviceEnd, Seen, ShimEvent

RSA12 = Listener(
    source="profile", versions=("1.2",), suites12=(0xC02F,), suites13=(), groups=(23, 29), sigalgs=(0x0401, 0x0804),
    certificate=ServerCertificate(key="rsa", bits=2048), client_certificate="none",
)  # fmt: skip
OK = DeviceEnd("done", "ok", "script", "0")
FAILED = DeviceEnd("done", "failed", "tls", "-1")


def target(**changes: Any) -> Target:
    values: dict[str, Any] = {
        "id": "t", "title": "t", "board": "b", "stack": "wolfssl-5.5.4", "capabilities": ("tls1.2", "tls1.3"),
        "build": Build(command="true", image="x"), "console": Console(kind="pty"), "network": Network(kind="loopback"),
    }  # fmt: skip
    return Target(**(values | changes))


def scenario(**changes: Any) -> Scenario:
    values: dict[str, Any] = {
        "id": "X-1", "title": "t", "layer": "tls12", "via": "MP", "level": "must", "clause": "RFC", "stimulus": "s",
        "expected": "e", "profiles": ("r12",),
    }  # fmt: skip
    return Scenario(**(values | changes))


def item(one: Scenario | None = None, *, fits: Branch | None = None, unfit: Branch | None = None) -> PlanItem:
    one = one or scenario()
    return PlanItem(
        scenario=one, target="t", profile="r12", variant="", device=DeviceSetup(), fits=fits or one.fits,
        unfit=unfit or one.unfit, checks=one.checks,
    )  # fmt: skip


def event(kind: str, t: float = 0.0, *, side: str = "", conn: int = 1, **fields: Any) -> dict[str, Any]:
    made = {"ev": kind, "t": int(t * NS), "frame": int(t * 10) + 1, "conn": conn, **fields}
    return made | ({"dir": side} if side else {})


def hello(t: float = 0.1, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "hrr_retry": False, "record_version": "0301", "legacy_version": "0303", "random": f"{int(t * 1000):064x}",
        "session_id": "", "suites": [0xC02F, 0x00FF], "compression": [0], "extensions": [0, 10, 13, 23, 11],
        "groups": [23], "sigalgs": [0x0401, 0x0804], "sni": "broker.hil.test", "reneg_info": True, "ems": True,
        "point_formats": [0],
    }  # fmt: skip
    conn = changes.pop("conn", 1)
    return event("client_hello", t, side="c", conn=conn, **(values | changes))


def alert(t: float, sender: str, code: int, name: str = "") -> dict[str, Any]:
    side = "c" if sender == "client" else "s"
    return event("alert", t, side=side, sender=sender, level=2, code=code, name=name or f"a{code}", encrypted=False)


def opened() -> list[dict[str, Any]]:
    return [event("open", 0.0), event("syn", 0.0, side="c"), event("synack", 0.01, side="s")]


def connected() -> list[dict[str, Any]]:
    return [
        *opened(), hello(), event("certificate", 0.2, side="s", count=1, chain=[]),
        event("mqtt", 0.3, side="c", type="CONNECT", len=20, flags=0, protocol="MQTT", level=4, client_id="d",
              clean=True),
        event("mqtt", 0.4, side="s", type="CONNACK", code=0),
        event("mqtt", 0.5, side="c", type="DISCONNECT", len=2, flags=0), event("fin", 0.6, side="c"),
    ]  # fmt: skip


def refused(code: int | None = 48, *, closes: float | None = 0.5) -> list[dict[str, Any]]:
    """A device that refuses the server's certificate: with this alert, closing at this time."""
    events = [*opened(), hello(), event("server_hello", 0.15, side="s", version="0303", hrr=False),
              event("certificate", 0.2, side="s", count=1, chain=[])]  # fmt: skip
    if code is not None:
        events.append(alert(0.3, "client", code))
    if closes is not None:
        events.append(event("fin", closes, side="c"))
    return events


def cause(name: str, side: str = "device") -> Cause:
    return Cause(id=name, side=side, confidence="certain", explain=name)  # type: ignore[arg-type]


def seen(
    events: list[dict[str, Any]], *, plan_item: PlanItem | None = None, end: DeviceEnd = OK,
    causes: tuple[Cause, ...] = (),
    findings: tuple[Cause, ...] = (), listener: Listener | None = RSA12, **changes: Any,
) -> Seen:  # fmt: skip
    first = next((e for e in events if e["ev"] == "client_hello"), None)
    fit = compare(first, listener) if first is not None and listener is not None else None
    settings = {"host": "broker.hil.test"} | changes.pop("settings", {})
    said = changes.pop("shim", (ShimEvent("done", {"result": end.result}),))
    return Seen(
        item=plan_item or item(), target=changes.pop("on", target()), events=events, shim=said, end=end, fit=fit,
        diagnosis=Diagnosis(outcome="failed" if causes else "ok", causes=causes, findings=findings),
        settings=settings, **changes,
    )  # fmt: skip
