"""Whether a board of lab.toml is there, as far as can be told in milliseconds without touching it: its probe on USB,
its console, this host's interface and address towards it, the sockets of a running virtual board. What is behind a
network (labgrid, `runner_prefix`, rfc2217://) is taken to be there; its own steps say when it is not.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from harness.errors import LabError
from harness.lab.inventory import BoardEntry
from harness.lab.inventory_rules import same_probe
from harness.peer.ports import is_ipv4

USB = Path("/sys/bus/usb/devices")
NET = Path("/sys/class/net")


def missing(entry: BoardEntry) -> LabError | None:
    """What is not there, with the next step; None when all is."""
    if entry.virtual is True:
        return None
    if isinstance(entry.virtual, str):
        return None if entry.labgrid else _virtual(entry, Path(entry.virtual))
    if entry.labgrid:
        return _wire(entry)
    probe = _probe(entry) if entry.local_probe and not entry.runner_prefix else None
    return probe or _serial(entry) or _wire(entry)


def _wire(entry: BoardEntry) -> LabError | None:
    """A typing error, or a USB network adapter that is not plugged in; every scenario would find out for itself."""
    if entry.uplink:
        return None
    if entry.capture and not _exists(NET / entry.capture):
        return LabError("lab.capture_failed", f"{entry.id}: this host has no interface {entry.capture}",
                        "plug it in, or correct `capture` in lab.toml; `ip -brief link` names those there are"
                        )  # fmt: skip
    if is_ipv4(entry.broker_address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind((entry.broker_address, 0))
            except OSError:
                return LabError("lab.broker_failed", f"{entry.id}: {entry.broker_address} is no address of this host",
                                "set the interface up, or correct `broker_address` in lab.toml"
                                )  # fmt: skip
    return None


def _virtual(entry: BoardEntry, folder: Path) -> LabError | None:
    for name in ("jtag.sock", "control.sock"):
        try:
            there = stat.S_ISSOCK((folder / name).stat().st_mode)
        except OSError:
            there = False
        if not there:
            return LabError("lab.probe_missing", f"{entry.id}: no virtual board runs in {folder} (no {name})",
                            f"hil-vboard --dir {folder}")  # fmt: skip
    return None


def _probe(entry: BoardEntry) -> LabError | None:
    if entry.probe_path:
        if _exists(USB / entry.probe_path):
            return None
        what = f"no probe at USB path {entry.probe_path}"
    elif entry.probe_id:
        if any(same_probe(number, entry.probe_id) for number in serial_numbers()):
            return None
        what = f"no probe with serial number {entry.probe_id}"
    else:
        return None  # the only one: its flasher finds it
    return LabError("lab.probe_missing", f"{entry.id}: {what} is attached", "plug it in, or run hil boards --scan")


def _exists(path: Path) -> bool:
    """Unlike Path.exists, never raises: a name may be too long, a folder closed to us."""
    return os.path.exists(path)  # noqa: PTH110


def serial_numbers() -> list[str]:
    """Of all USB devices. A device that vanishes while it is read is left out."""
    found = []
    for path in USB.glob("*/serial"):
        try:
            found.append(path.read_text(errors="replace").strip())
        except OSError:
            continue
    return found


def _serial(entry: BoardEntry) -> LabError | None:
    if entry.serial.startswith("/"):
        there = _exists(Path(entry.serial))
    elif entry.serial.startswith("usb:"):
        wanted = entry.serial.split(":")[1].lower()
        there = any(number.lower() == wanted for number in serial_numbers())
    else:
        return None
    if there:
        return None
    return LabError("lab.serial_missing", f"{entry.id}: no console at {entry.serial}",
                    "plug it in, or run hil boards --scan")  # fmt: skip
