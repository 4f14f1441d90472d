"""How one board is reached from this host: `wired(entry, target)` joins lab.toml and the target's table, `virtual(...)`
is the same for a virtual board's folder, `rig_of` and `power_of` the half that needs no network. No I/O beyond looking
up a name.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from harness.device.flash import command
from harness.device.flash.base import Rig
from harness.device.virtual import CONSOLE, UPLINK, ask, interface
from harness.errors import UsageError
from harness.evidence import uplink
from harness.lab import power
from harness.lab.inventory import BoardEntry
from harness.peer.ports import is_ipv4
from harness.target import Target

LOOPBACK = "127.0.0.1"
BY_HAND = "none"  # the runner of a board that nobody programs from here


@dataclass(frozen=True)
class Wiring:
    """How one board is reached. `uplink`: its second UART, "" without; `framing`: what it speaks there."""

    board: str
    rig: Rig
    console: str
    baud: int
    uplink: str
    framing: Literal["ppp", "slip"]
    capture: str | None
    broker_address: str
    listen_address: str
    device_address: str = ""
    alive: Callable[[], bool] = lambda: True
    power: Callable[[], None] | None = None  # off and on again; None: only a hand can


def wired(entry: BoardEntry, target: Target) -> Wiring:
    """A board of lab.toml, as labgrid.reached gave it. UsageError when its entry lacks what the target needs."""
    if isinstance(entry.virtual, str):
        return virtual(entry.id, Path(entry.virtual), target, console=entry.serial)
    if not entry.serial and not entry.labgrid:
        raise UsageError(f"board `{entry.id}`: key `serial` is missing", "hil boards --scan names the ports")
    rig, cycle = rig_of(entry, target), power_of(entry)
    if rig.flasher == BY_HAND and cycle is None:
        raise no_reset(entry.id)
    if rig.flasher == "command":
        command.check(rig)
    address = entry.broker_address or target.network.broker_address
    if entry.uplink:
        address = uplink.HOST_ADDRESS
    elif not address:
        raise UsageError(f"board `{entry.id}`: key `broker_address` is missing", "an address of this host it can reach")
    elif not entry.capture:
        raise UsageError(f"board `{entry.id}`: key `capture` is missing", "the interface of this host towards it")
    address = _numeric(entry.id, address)  # devices are told numbers
    return Wiring(
        board=entry.id, rig=rig, console=entry.serial, baud=entry.baud or target.console.baud, uplink=entry.uplink,
        framing=_framing(target), capture=None if entry.uplink else entry.capture, broker_address=address,
        listen_address=LOOPBACK if entry.uplink else address, device_address=entry.device_address, power=cycle,
    )  # fmt: skip


def no_reset(board: str) -> UsageError:
    what = f"board `{board}`: nothing resets it: runner = \"{BY_HAND}\", and no key `power`"
    return UsageError(what, "add `power` in lab.toml: its cycle is the reset then")


def rig_of(entry: BoardEntry, target: Target) -> Rig:
    """What flashing and resetting it takes. UsageError when its runner cannot do this target."""
    if isinstance(entry.virtual, str):
        return _virtual_rig(entry.id, Path(entry.virtual), target)
    runner = entry.runner or target.flash.flasher
    known = (target.flash.flasher, *target.flash.runners)
    # A board's own command stands in its runner_params; who is programmed by hand needs none.
    config = "" if runner in (BY_HAND, "command") and runner not in known else target.flash.config_for(runner)
    return Rig(
        board=entry.id, target=target.id, flasher=runner, config=config, address=target.flash.address,
        probe_id=entry.probe_id, probe_path=entry.probe_path,
        params=(*(target.flash.params if runner == target.flash.flasher else ()), *entry.runner_params),
        prefix=entry.runner_prefix, timeout_s=entry.flash_timeout or target.flash.timeout_s, mcu=target.mcu,
    )  # fmt: skip


def power_of(entry: BoardEntry) -> Callable[[], None] | None:
    """Off and on again; None when only a hand can."""
    return partial(_cycle, Path(entry.virtual)) if isinstance(entry.virtual, str) else power.cycler(entry)


def virtual(
    board: str, folder: Path, target: Target, *, console: str = "", alive: Callable[[], bool] = lambda: True
) -> Wiring:
    """A running virtual board. `console`: where else its console is (a proxy, an exporter)."""
    return Wiring(
        board=board, rig=_virtual_rig(board, folder, target), console=console or str(folder / CONSOLE),
        baud=target.console.baud, uplink=str(folder / UPLINK), framing=_framing(target), capture=None,
        broker_address=uplink.HOST_ADDRESS, listen_address=LOOPBACK, alive=alive, power=partial(_cycle, folder),
    )  # fmt: skip


def _virtual_rig(board: str, folder: Path, target: Target) -> Rig:
    return Rig(
        board=board, target=target.id, flasher="openocd", config=target.flash.config, address=target.flash.address,
        params=interface(folder), timeout_s=target.flash.timeout_s, mcu=target.mcu,
    )  # fmt: skip


def _cycle(folder: Path) -> None:
    ask(folder, "power cycle")


def _framing(target: Target) -> Literal["ppp", "slip"]:
    return "slip" if target.network.kind.startswith("slip") else "ppp"


def _numeric(board: str, address: str) -> str:
    if is_ipv4(address):
        return address
    try:
        return socket.gethostbyname(address)
    except OSError as error:
        what = f"board `{board}`: key `broker_address`: {address}: {error.strerror}"
        raise UsageError(what, "write an IPv4 address") from error
