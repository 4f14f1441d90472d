"""QEMU's machine protocol over an inherited socket: commands, and the events between their answers."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any

MAX_LINE = 1 << 20  # bytes of one answer
MAX_EVENTS = 1000


class QmpError(Exception):
    """The command was refused, or QEMU is gone or silent."""


@dataclass(frozen=True)
class QmpEvent:
    """`time_ns` is QEMU's own stamp: host time, resolution one microsecond."""

    name: str
    time_ns: int
    data: dict[str, Any] = field(default_factory=dict)


class Qmp:
    """One connection. Not for several threads."""

    def __init__(self, connection: socket.socket, timeout_s: float = 10.0) -> None:
        """Read the greeting and leave capability negotiation behind. QmpError when QEMU does not answer."""
        self._socket = connection
        self._buffer = b""
        self.events: list[QmpEvent] = []
        deadline = time.monotonic() + timeout_s
        while "QMP" not in self._message(deadline):
            pass
        self.execute("qmp_capabilities", timeout_s=timeout_s)

    def execute(self, command: str, timeout_s: float = 10.0, **arguments: Any) -> Any:
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"{command}: QEMU is gone ({error})") from error
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._message(deadline)
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(f"{command}: {str(message['error'].get('desc', message['error']))[:200]}")
            self._keep(message)

    def human(self, line: str, timeout_s: float = 10.0) -> str:
        """A line of the human monitor."""
        return str(self.execute("human-monitor-command", timeout_s, **{"command-line": line}))

    def wait_event(self, name: str, timeout_s: float, since: int = 0) -> QmpEvent | None:
        """The first event of that name from index `since` of `events` on; None when it does not come in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self.events[since:]:
                if event.name == name:
                    return event
            try:
                self._keep(self._message(deadline))
            except QmpError:
                return None

    def poll(self) -> None:
        """Take in the events that wait, without waiting for more."""
        try:
            while True:
                self._keep(self._message(time.monotonic()))
        except QmpError:
            return

    def _keep(self, message: dict[str, Any]) -> None:
        if "event" not in message or len(self.events) >= MAX_EVENTS:
            return
        stamp = message.get("timestamp", {})
        nanoseconds = int(stamp.get("seconds", 0)) * 1_000_000_000 + int(stamp.get("microseconds", 0)) * 1000
        self.events.append(QmpEvent(str(message["event"]), nanoseconds, message.get("data") or {}))

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE:
                raise QmpError("QEMU's answer has no end")
            # A deadline that has passed still takes what is already there.
            self._socket.settimeout(max(deadline - time.monotonic(), 1e-6))
            try:
                data = self._socket.recv(65536)
            except TimeoutError as error:
                raise QmpError("QEMU does not answer") from error
            except OSError as error:
                raise QmpError(f"QEMU is gone ({error})") from error
            if not data:
                raise QmpError("QEMU is gone")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            message = json.loads(line)
        except ValueError as error:
            raise QmpError("QEMU's answer cannot be read") from error
        if not isinstance(message, dict):
            raise QmpError("QEMU's answer cannot be read")
        return message

    def close(self) -> None:
        self._socket.close()
