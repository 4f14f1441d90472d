"""An unmodified image: it takes no settings and says nothing in our words. It is reset, and what it does by itself is
watched: its UART by a pattern, its calls in the broker's log, its packets in the capture. Nothing it says of its own
success is known, so only scenarios that judge what it sends apply; the plan skips the rest with that reason
(harness/plan.py).

The device calls the address and port that its firmware holds: the broker listens at exactly that port
([network] broker_port), and waits as long as a boot and a connection may take ([limits] boot_ms, connect_ms).
"""

from __future__ import annotations

import re
import time

from harness.device.console import Console, ConsoleTimeout
from harness.peer.mosquitto import RunningBroker
from harness.target import Target
from harness.verdict.seen import DeviceEnd

CALLED = r"New connection from"
ENDED = r"disconnected|closed its connection|has exceeded timeout|OpenSSL Error|Socket error|protocol error"
SETTLE = 5.0
"""Seconds after its call in which it may finish what it began; a session that stays open is an end too."""
PORT = 8883


def port(target: Target) -> int | None:
    """Where the broker must listen; None: anywhere, the device is told."""
    return None if target.level == "command" else target.network.broker_port or PORT


def watch(tty: Console, running: RunningBroker, target: Target, address: str = "") -> DeviceEnd:
    """From the reset on, until its first connection has ended. `silent` when its boot pattern never came. `address`:
    the device's own, where it is known: others may call the same broker."""
    limits = target.limits
    until = time.monotonic() + limits.boot_ms / 1000
    if target.console.boot:
        wanted = re.compile(target.console.boot)
        try:
            tty.wait_for(lambda line: wanted.search(line.text) is not None, limits.boot_ms / 1000, "sign of its boot")
        except ConsoleTimeout as error:
            return DeviceEnd("silent", detail=str(error))
        until = time.monotonic()
    until += limits.connect_ms / 1000
    called = f"{CALLED} {re.escape(address)}:" if address else CALLED
    if running.wait_log(called, max(0.1, until - time.monotonic())) is None:
        return DeviceEnd("done", result="failed", stage="tcp", detail=f"it called no broker at port {running.port}")
    running.wait_log(ENDED, SETTLE)
    return DeviceEnd("done")
