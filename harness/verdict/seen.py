"""Everything a judge may look at, of one attempt. Pure. Times of events are nanoseconds since 1970."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.diagnosis.compare import Fit
from harness.model import Alert, Diagnosis
from harness.plan import PlanItem
from harness.target import Target

Event = Mapping[str, Any]
NS = 1_000_000_000
CLOSE_NOTIFY = 0


@dataclass(frozen=True)
class ShimEvent:
    """One `@H1` line: its event and its keys."""

    name: str
    fields: Mapping[str, str]
    line: int = 0


@dataclass(frozen=True)
class DeviceEnd:
    """How the run on the device ended. `done`: it said so; `result`, `stage`, `rc` are its words."""

    kind: Literal["done", "hang", "fault", "reset", "silent", "gone", "late"]
    result: str = ""
    stage: str = ""
    rc: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Seen:
    item: PlanItem
    target: Target
    events: Sequence[Event]
    shim: Sequence[ShimEvent]
    end: DeviceEnd
    diagnosis: Diagnosis
    fit: Fit | None = None
    settings: Mapping[str, str] = field(default_factory=dict)  # every SET key the device was given
    foreign_lines: int = 0  # UART lines that are not the shim's
    broker_alerts: Sequence[int] = ()  # numbers the broker's log says it received from the device

    # -- wire --

    def of(self, kind: str, side: str = "") -> list[Event]:
        return [e for e in self.events if e["ev"] == kind and (not side or e.get("dir") == side)]

    @property
    def hellos(self) -> list[Event]:
        """First ClientHello of each handshake (without those that answer a HelloRetryRequest)."""
        return [e for e in self.of("client_hello") if not e.get("hrr_retry")]

    def mqtt(self, side: str, *types: str) -> list[Event]:
        return [e for e in self.of("mqtt", side) if not types or e.get("type") in types]

    def conn(self, number: int) -> list[Event]:
        return [e for e in self.events if e.get("conn") == number]

    @property
    def conns(self) -> list[int]:
        return sorted({e["conn"] for e in self.events if "conn" in e})

    def alerts(self) -> tuple[Alert, ...]:
        """Every alert of the capture, close_notify included."""
        return tuple(
            Alert(
                sender="device" if e.get("sender") == "client" else "broker", level=int(e.get("level", 0)),
                code=int(e["code"]), name=str(e.get("name", "")), encrypted=bool(e.get("encrypted")),
                frame=int(e.get("frame", 0)),
            )
            for e in self.of("alert")
        )  # fmt: skip

    def device_data(self) -> list[Event]:
        """Application bytes from the device: MQTT or anything else that is not TLS handshake."""
        return [e for kind in ("mqtt", "app", "data") for e in self.of(kind, "c")]

    def accepted(self) -> list[Event]:
        return [e for e in self.mqtt("s", "CONNACK") if e.get("code") == 0]

    def closed_by_device(self, number: int) -> Event | None:
        """The device's first FIN or RST on a connection."""
        return next((e for e in self.conn(number) if e["ev"] in ("fin", "rst") and e.get("dir") == "c"), None)

    # -- device --

    def said(self, name: str, **fields: str) -> Iterator[ShimEvent]:
        """Shim events of that name whose fields have these values."""
        for event in self.shim:
            if event.name == name and all(event.fields.get(k) == v for k, v in fields.items()):
                yield event

    @property
    def offers13(self) -> bool:
        return any(0x0304 in hello.get("versions", ()) for hello in self.hellos)

    @property
    def only12(self) -> bool:
        return bool(self.hellos) and not self.offers13


def number(value: Any) -> int:
    """Wire events print versions as hex strings or as integers."""
    if isinstance(value, str):
        return int(value, 16)
    return int(value)


def frame(event: Event) -> str:
    return f"frame {event.get('frame', '?')}"
