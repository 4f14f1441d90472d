"""From evidence on disk to a diagnosis: read the streams, find the listener, let the rules speak.

The bench calls `explain` with its own `Listener` and `DeviceFacts`; `hil explain` gives what the user names. Any
stream may be missing. Raises `UsageError` (exit 4) when a stream that was named cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from harness.diagnosis.engine import diagnose_story
from harness.diagnosis.facts import Story, tell
from harness.errors import UsageError
from harness.model import DeviceFacts, Diagnosis, Evidence, Listener

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence.broker_log import BrokerEntry
    from harness.evidence.uart import UartLog


def explain(evidence: Evidence, listener: Listener | None = None, device: DeviceFacts | None = None) -> Diagnosis:
    """The diagnosis of one attempt's evidence."""
    story, _ = read(evidence, listener, device)
    return diagnose_story(story)


def read(
    evidence: Evidence, listener: Listener | None = None, device: DeviceFacts | None = None
) -> tuple[Story, list[Mapping[str, Any]]]:
    """The story, and the wire events it was built from (for the arrow diagram)."""
    events = _wire(evidence.capture, evidence.keylog) if evidence.capture else []
    uart = _uart(evidence.uart) if evidence.uart else None
    broker = _broker(evidence.broker_log) if evidence.broker_log else []
    if listener is None and evidence.broker_config:
        listener = _listener(evidence.broker_config, _ports(events))
    if listener is not None and listener.certificate is None and listener.certificate_files:
        from harness.diagnosis.certificate_files import server_certificate

        listener = msgspec.structs.replace(listener, certificate=server_certificate(listener.certificate_files[0]))
    if not evidence.capture and uart is None and not evidence.broker_log:
        raise UsageError("nothing to explain", "give a capture, --uart LOG or --broker-log LOG")
    return tell(events, uart, broker, listener, device), events


def _wire(capture: Path, keylog: Path | None) -> list[Mapping[str, Any]]:
    from harness.evidence import wire

    return list(wire.decode(capture, keylog=keylog, events=_ESSENTIAL if _large(capture) else ()))


LARGE = 16 << 20  # bytes of capture beyond which the events of single records stay out
_ESSENTIAL = (
    "capture", "open", "syn", "synack", "fin", "rst", "gap", "client_hello", "server_hello", "certificate",
    "certificate_request", "server_key_exchange", "client_key_exchange", "certificate_verify", "finished", "ccs",
    "new_session_ticket", "handshake", "alert", "mqtt", "data", "close", "arp", "icmp", "dns", "end",
)  # fmt: skip


def _large(capture: Path) -> bool:
    try:
        return capture.stat().st_size > LARGE
    except OSError:
        return False  # the decoder says what is wrong with it


def _uart(path: Path) -> UartLog:
    from harness.evidence import uart

    return uart.read(path)


def _broker(path: Path) -> list[BrokerEntry]:
    from harness.evidence import broker_log

    return broker_log.read(path)


def _ports(events: list[Mapping[str, Any]]) -> list[int]:
    """Ports of the servers in the capture, the ones that carried TLS or MQTT first."""
    spoken = {e.get("conn") for e in events if e.get("ev") in ("client_hello", "mqtt", "data")}
    opened = [e for e in events if e.get("ev") == "open"]
    opened.sort(key=lambda e: e.get("conn") not in spoken)
    ports = [str(e.get("server", "")).rpartition(":")[2] for e in opened]
    return [int(p) for p in dict.fromkeys(ports) if p.isdigit()]


def _listener(path: Path, ports: list[int]) -> Listener:
    """The listener of a configuration that has the capture's port; the only or the TLS one when none has."""
    from harness.evidence import broker_conf

    found = broker_conf.listeners(path)
    for port in ports:
        for _, number, one in found:
            if number == port:
                return one
    return broker_conf.read(path)
