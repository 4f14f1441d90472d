"""Which debug probe is meant, and whether exactly one fits. OpenOCD and others take the first of several without a word
(zephyr #82331, #26769); so the attached ones are counted before any tool is started.

Probes are USB devices of known makers; one whose maker is not listed is found by its serial number all the same.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.device.flash.base import FlashError, Rig
from harness.device.flash.tool import ask, plain
from harness.lab.inventory_rules import same_probe

USB = Path("/sys/bus/usb/devices")
HOST_S = 10.0
MAKERS = {
    "stlink": ("0483:3744", "0483:3748", "0483:374a", "0483:374b", "0483:374d", "0483:374e", "0483:374f", "0483:3752",
               "0483:3753", "0483:3754", "0483:3755", "0483:3757"),
    "jlink": ("1366:",),
    "cmsis-dap": ("0d28:0204", "03eb:2111", "03eb:2141", "03eb:2145", "03eb:216c", "2e8a:000c", "1fc9:0143",
                  "0483:572a", "04b4:f138", "c251:f001"),
}  # fmt: skip
"""USB ids by kind of probe, those of OpenOCD's interface/stlink.cfg, SEGGER (any product) and common CMSIS-DAP."""
ANY = tuple(MAKERS)

_FIELDS = ("idVendor", "idProduct", "serial")
_SCRIPT = (
    'cd /sys/bus/usb/devices && for d in *; do [ -r "$d/idVendor" ] && '
    'echo "$d|$(cat $d/idVendor)|$(cat $d/idProduct)|$(cat $d/serial 2>/dev/null)"; done; true'
)


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is the USB path ("1-2.3")."""

    path: str
    usb_id: str
    serial: str

    def kind(self) -> str:
        return next((kind for kind, ids in MAKERS.items() if any(self.usb_id.startswith(i) for i in ids)), "")

    def __str__(self) -> str:
        return f"{plain(self.serial) or 'without serial number'} at {self.path}"


def attached(rig: Rig) -> tuple[Probe, ...]:
    """Every USB device of the host that has the board."""
    return _far(rig) if rig.prefix else _near()


def meant(rig: Rig, kinds: tuple[str, ...] = ANY) -> Probe:
    """The one probe this rig means. FlashError lab.probe_missing or lab.probe_ambiguous; nothing is touched."""
    devices = attached(rig)
    if rig.probe_id or rig.probe_path:
        fit = [
            device for device in devices
            if (not rig.probe_id or same_probe(device.serial, rig.probe_id))
            and (not rig.probe_path or device.path == rig.probe_path)
        ]  # fmt: skip
    else:
        fit = [device for device in devices if device.kind() in kinds]
    wanted = _wanted(rig)
    if not fit:
        there = [str(d) for d in devices if d.kind()]
        raise FlashError(
            "lab.probe_missing", f"{rig.board}: no debug probe {wanted} is attached"
            + (f" (there is {', '.join(there[:4])})" if there else ""),
            "plug it in and power the board, or correct probe_id in lab.toml (`hil boards --scan` lists probes)",
        )  # fmt: skip
    if len(fit) > 1:
        named = ", ".join(str(d) for d in fit[:4])
        raise FlashError(
            "lab.probe_ambiguous", f"{rig.board}: {len(fit)} debug probes fit {wanted}: {named}",
            "add probe_path to the board in lab.toml" if rig.probe_id else "add probe_id to the board in lab.toml",
        )  # fmt: skip
    return fit[0]


def _wanted(rig: Rig) -> str:
    words = [f"with serial number {rig.probe_id}"] if rig.probe_id else []
    words += [f"at USB path {rig.probe_path}"] if rig.probe_path else []
    return " ".join(words) or "of a kind this flasher drives"


def _near() -> tuple[Probe, ...]:
    found = []
    for folder in sorted(USB.iterdir()) if USB.is_dir() else ():
        vendor, product, serial = (_read(folder / field) for field in _FIELDS)
        if vendor and product:
            found.append(Probe(path=folder.name, usb_id=f"{vendor}:{product}", serial=serial))
    return tuple(found)


def _read(path: Path) -> str:
    """A device that vanishes while it is read has no number."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _far(rig: Rig) -> tuple[Probe, ...]:
    found = []
    for line in ask(rig, _SCRIPT, HOST_S).splitlines():
        path, _, rest = line.partition("|")
        vendor, _, rest = rest.partition("|")
        product, _, serial = rest.partition("|")
        if vendor and product:
            found.append(Probe(path=path, usb_id=f"{vendor}:{product}", serial=serial.strip()))
    return tuple(found)
