"""Targets: `load(folder)` reads firmware_shims/targets/*.toml. One file is one target; an unknown key is a UsageError.

id, title, board, stack     who it is; `stack` as in firmware_shims/stacks
capabilities                what it can do: tls1.2 tls1.3 resume mqtt3.1.1 mqtt5 fault lockup watchdog link …
defects                     what `--defect` can switch on
level                       how much of a device the firmware gives: observe (any image), events (shim lines), command
mcu                         what identifies the microcontroller to a probe ("0x484"): refuses the wrong board
[build] command, image      how an image is made, where it then lies (relative to the repository); both empty: none here
[build] project_command, project_image   the same for somebody's own firmware in HIL_<TARGET>_PROJECT, relative to it
[flash] flasher, config     the usual flasher and its configuration; [flash.runners] those of other flashers
[console] [network] [qemu] [power]   how the board is driven
[limits]                    bounds in ms and bytes; the times a device may take, where its own differ from the usual
[[known]] scenario, cause, reason, until     failures that are known: reported as `known` until that date
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.errors import UsageError
from harness.lab import tables
from harness.paths import TARGETS


class Build(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: str | tuple[str, ...]
    image: str
    project_command: str | tuple[str, ...] = ()
    project_image: str = ""  # may be a pattern; harness/device/project.py
    timeout_s: int = 600


class Flash(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`config`: a configuration file, a device's name or a command line, whatever the flasher takes."""

    flasher: str = "none"
    config: str = ""
    address: int = 0
    timeout_s: int = 120
    params: tuple[str, ...] = ()  # more words for `flasher`, before the board's runner_params
    runners: dict[str, str] = {}  # other flashers that can do it, each with its config
    notes: str = ""  # which tool to get, for people; said when none is there

    def config_for(self, runner: str) -> str:
        """The configuration of `runner` ("" is the usual one). UsageError when this target cannot be flashed by it."""
        if runner in ("", self.flasher):
            return self.config
        if runner in self.runners:
            return self.runners[runner]
        able = ", ".join(dict.fromkeys((self.flasher, *self.runners)))
        raise UsageError(f"runner `{runner}` has no [flash.runners] entry for this target", f"those that have: {able}")


class Console(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str
    baud: int = 115200
    port: str = ""
    boot: str = ""  # level observe: a pattern in what it prints when it has booted; "": not waited for


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`broker_port`: what an unmodified image calls (level observe); other firmware is told a free one."""

    kind: str
    broker_port: int = 0
    broker_address: str = ""
    device_address: str = ""


class Qemu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    machine: str
    extra: tuple[str, ...] = ()


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str = "none"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`silence_ms`: a running device that prints nothing (not even its heartbeat) for so long hangs."""

    boot_ms: int = 10000
    connect_ms: int = 15000
    silence_ms: int = 6000
    connect_timeout_ms: int = 8000
    keepalive_s: int = 5
    heap_bytes: int = 0
    stack_bytes: int = 0


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scenario: str
    cause: str
    reason: str
    until: dt.date


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    title: str
    board: str
    stack: str
    capabilities: tuple[str, ...]
    build: Build
    console: Console
    network: Network
    defects: tuple[str, ...] = ()
    flash: Flash = Flash()
    qemu: Qemu | None = None
    power: Power = Power()
    limits: Limits = Limits()
    known: tuple[Known, ...] = ()
    level: Literal["observe", "events", "command"] = "command"
    mcu: str = ""

    @property
    def stack_family(self) -> str:
        """`wolfssl` of `wolfssl-5.5.4`."""
        return self.stack.partition("-")[0]


def load(folder: Path = TARGETS) -> dict[str, Target]:
    """Every target by id: those of the repository and, for the default folder, those in the folder HIL_TARGETS."""
    found: dict[str, Target] = {}
    for path in files(folder):
        document: dict[str, Any] = tables.read(path)
        target = tables.convert(path, path.stem, document, Target)
        if target.id != path.stem:
            raise UsageError(f"{path}: key `id`: `{target.id}` is not the file's name", f'write id = "{path.stem}"')
        if target.id in found:
            raise UsageError(f"{path}: there is a target `{target.id}` already", "give it another name")
        found[target.id] = target
    if not found:
        raise UsageError(f"{folder}: no targets here", "name the folder that holds the target files")
    return found


def files(folder: Path = TARGETS) -> tuple[Path, ...]:
    """The tables that `load` reads. UsageError when HIL_TARGETS is no folder."""
    own = os.environ.get("HIL_TARGETS") if folder == TARGETS else None
    if own and not Path(own).is_dir():
        raise UsageError(f"{own}: no such folder (from HIL_TARGETS)", "correct HIL_TARGETS, or unset it")
    return (*sorted(folder.glob("*.toml")), *(sorted(Path(own).glob("*.toml")) if own else ()))


def find(name: str, targets: dict[str, Target]) -> Target:
    """The target, or a UsageError that lists those there are and the nearest name."""
    if name in targets:
        return targets[name]
    near = difflib.get_close_matches(name, targets, n=1, cutoff=0.3)
    hint = f"did you mean `{near[0]}`? " if near else ""
    raise UsageError(f"no target `{name}`", f"{hint}there are: {', '.join(targets)}")
