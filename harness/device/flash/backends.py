"""The back-ends by name, as in a target's `[flash] flasher` and a board's `runner`. Loaded when asked for."""

from __future__ import annotations

import importlib

from harness.device.flash.base import Flasher
from harness.errors import UsageError

BACKENDS: dict[str, tuple[str, str]] = {
    "openocd": ("openocd", "OpenOcd"),
    "pyocd": ("pyocd", "PyOcd"),
    "stm32cubeprogrammer": ("cubeprogrammer", "CubeProgrammer"),
    "jlink": ("jlink", "JLink"),
    "probe-rs": ("probe_rs", "ProbeRs"),
    "command": ("command", "Command"),
}


def flasher(name: str) -> Flasher:
    """UsageError for an unknown name."""
    if name not in BACKENDS:
        raise UsageError(f"no flasher `{name}`", f"there are: {', '.join(BACKENDS)}")
    module, kind = BACKENDS[name]
    made: Flasher = getattr(importlib.import_module(f"harness.device.flash.{module}"), kind)()
    return made
