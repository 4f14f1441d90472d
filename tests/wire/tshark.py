"""What tshark makes of a capture, frame by frame, in the same shape as what hil-wire says."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TSHARK = shutil.which("tshark")
FIELDS = (
    "frame.number",
    "tls.record.length",
    "tls.record.content_type",
    "tls.record.opaque_type",
    "tls.handshake.type",
    "tls.handshake.length",
    "tls.alert_message.level",
    "tls.alert_message.desc",
    "mqtt.msgtype",
    "mqtt.len",
)


@dataclass
class Frame:
    """Everything that became whole in one frame, in order."""

    records: list[int] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    opaque: list[int] = field(default_factory=list)
    handshakes: list[tuple[int, int]] = field(default_factory=list)
    alerts: list[tuple[int, int]] = field(default_factory=list)
    mqtt: list[tuple[int, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.records or self.handshakes or self.alerts or self.mqtt)


def _numbers(text: str) -> list[int]:
    return [int(part, 0) for part in text.split(",") if part]


def tshark(capture: Path, keylog: Path | None) -> dict[int, Frame]:
    """Frames that hold records, messages, alerts or packets."""
    assert TSHARK, "tshark is needed for the differential test"
    command = [TSHARK, "-r", str(capture), "-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields"]
    if keylog:
        command += ["-o", f"tls.keylog_file:{keylog}"]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    out: dict[int, Frame] = {}
    for line in done.stdout.splitlines():
        number, *values = line.split("\t")
        length, kind, opaque, hs, hs_len, level, code, mqtt, mqtt_len = map(_numbers, values)
        frame = Frame(
            length,
            kind,
            opaque,
            list(zip(hs, hs_len, strict=False)),
            list(zip(level, code, strict=True)),
            list(zip(mqtt, mqtt_len, strict=True)),
        )
        if frame:
            out[int(number)] = frame
    return out


MESSAGES = {
    "hello_request": 0,
    "client_hello": 1,
    "server_hello": 2,
    "new_session_ticket": 4,
    "end_of_early_data": 5,
    "encrypted_extensions": 8,
    "certificate": 11,
    "server_key_exchange": 12,
    "certificate_request": 13,
    "server_hello_done": 14,
    "certificate_verify": 15,
    "client_key_exchange": 16,
    "finished": 20,
    "certificate_status": 22,
    "key_update": 24,
}
PACKETS = (
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
)


def _remaining(total: int) -> int:
    for head in (2, 3, 4, 5):
        if total - head < 128 ** (head - 1):
            return total - head
    raise AssertionError(total)


def frames(events: Iterable[dict[str, Any]]) -> dict[int, Frame]:
    """hil-wire's events in the same shape."""
    out: dict[int, Frame] = defaultdict(Frame)
    versions: dict[int, str] = {}
    for e in events:
        kind, frame = e["ev"], e["frame"]
        if kind == "server_hello" and not e["hrr"]:
            versions[e["conn"]] = e["version"]
        if kind == "record" and not e.get("damaged") and not e.get("incomplete"):
            out[frame].records.append(e["len"])
            # Sealed before any ServerHello: early data.
            if e["encrypted"] and versions.get(e["conn"], "0304") == "0304":
                out[frame].opaque.append(e["type"])
                out[frame].types.extend([e["inner"]] if "inner" in e else [])
            else:
                out[frame].types.append(e["type"])
        elif kind in MESSAGES:
            out[frame].handshakes.append((MESSAGES[kind], e["len"]))
        elif kind == "handshake" and "malformed" not in e:
            out[frame].handshakes.append((e["type"], e["len"]))
        elif kind == "alert":
            out[frame].alerts.append((e["level"], e["code"]))
        elif kind == "mqtt":
            out[frame].mqtt.append((PACKETS.index(e["type"]), _remaining(e["len"])))
    return {number: frame for number, frame in out.items() if frame}
