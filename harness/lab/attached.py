"""Whether a board of lab.toml is there, as far as can be told in milliseconds without touching it: its probe on USB,
its console, the sockets of a running virtual board. What is behind a network (labgrid, `runner_prefix`, rfc2217://) is
taken to be there; its own steps say when it is not.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.errors import LabError
from harness.lab.inventory import BoardEntry
from harness.lab.inventory_rules import same_probe

USB = Path("/sys/bus/usb/devices")


def missing(entry: BoardEntry) -> LabError | None:
    """What is not there, with the next step; None when all is."""
    if entry.labgrid or entry.virtual is True:
        return None
    if isinstance(entry.virtual, str):
        return _virtual(entry, Path(entry.virtual))
    return (_probe(entry) if entry.local_probe and not entry.runner_prefix else None) or _serial(entry)


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
