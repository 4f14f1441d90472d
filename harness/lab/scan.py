"""What is attached, as a first lab.toml: debug probes from sysfs, their consoles from pyserial's list, names from
udev's links. It reads only, and guesses only where it says so; a target that cannot be told has to be filled in.

The target is guessed by the label of the probe's USB disk (ST's Nucleo boards say `NOD_H563ZI` there), else
by the probe's kind where only one target is flashed by it. USB strings are the device's: none is taken as TOML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.lab.inventory import BoardEntry
from harness.lab.inventory_rules import same_probe

MAX_STRING = 120  # characters of a USB string
MAX_DEVICES = 500
LABELS = {"H563ZI": "h563", "F429ZI": "f429-w5500", "F401RE": "f401-spwf04"}
"""Part on the disk's label → target."""
STLINK = {
    "3744": "ST-LINK/V1", "3748": "ST-LINK/V2", "374a": "ST-LINK/V2-1", "374b": "ST-LINK/V2-1", "3752": "ST-LINK/V2-1",
    "374d": "STLINK-V3", "374e": "STLINK-V3", "374f": "STLINK-V3", "3753": "STLINK-V3", "3754": "STLINK-V3",
    "3755": "STLINK-V3", "3757": "STLINK-V3PWR",
}  # fmt: skip
ST, SEGGER = "0483", "1366"
DAPLINK = {("0d28", "0204"), ("2e8a", "000c")}
_DEVICE = re.compile(r"\d+-\d+(\.\d+)*")


@dataclass(frozen=True)
class Roots:
    """Where to look; tests give a tree of their own."""

    devices: Path = Path("/sys/bus/usb/devices")
    blocks: Path = Path("/sys/class/block")
    labels: Path = Path("/dev/disk/by-label")
    by_id: Path = Path("/dev/serial/by-id")


@dataclass(frozen=True)
class Probe:
    """One debug probe. `number` is its serial number, "" when it has none that can be typed. `consoles`: how lab.toml
    names its serial ports. `target`: a guess, "" without one; `why` says on what it rests."""

    path: str
    kind: str  # st-link, j-link, cmsis-dap
    name: str
    number: str
    consoles: tuple[str, ...] = ()
    target: str = ""
    why: str = ""


@dataclass(frozen=True)
class Found:
    probes: tuple[Probe, ...]
    others: tuple[str, ...] = field(default=())  # serial ports that belong to no probe, as lab.toml names them


def look(ports: Iterable[Any], only: Mapping[str, str] | None = None, roots: Roots | None = None) -> Found:
    """`ports` as pyserial's `comports()` gives them; `only`: probe kind → the one target usually flashed by it."""
    roots = roots or Roots()
    ports = list(ports)
    labels = _labels(roots)
    probes = []
    # Devices without their interfaces, of which a probe has up to seven.
    devices = [path for path in roots.devices.glob("*") if _DEVICE.fullmatch(path.name)]
    for path in sorted(devices, key=_by_number)[:MAX_DEVICES]:
        kind, name = _kind(path)
        if not kind:
            continue
        mine = [port for port in ports if _usb_path(port) == path.name]
        target, why = _guess(kind, labels.get(path.name, ""), only or {})
        number = _text(path / "serial")
        probes.append(
            Probe(
                path=path.name, kind=kind, name=name, number=number if _typeable(number) else "",
                consoles=tuple(_console(port, mine, roots) for port in mine), target=target, why=why,
            )
        )  # fmt: skip
    theirs = {probe.path for probe in probes}
    others = [port for port in ports if _usb_path(port) and _usb_path(port) not in theirs]
    return Found(tuple(probes), tuple(_console(port, _beside(port, others), roots) for port in others))


def as_toml(found: Found, targets: Collection[str], known: Mapping[str, BoardEntry] | None = None) -> str:
    """A lab.toml. Boards already `known` are comments."""
    known = known or {}
    lines = [
        "# Written by `hil boards --scan`. Every key: docs/describe-a-board.md. Correct it, then `hil boards --check`.",
        "",
    ]
    counts: dict[str, int] = {}
    numbers = [probe.number.lower() for probe in found.probes]
    for probe in found.probes:
        same = next((entry.id for entry in known.values() if _is(entry, probe)), "")
        if same:
            lines += [f"# {probe.name} at {probe.path} is board `{same}` already", ""]
            continue
        stem = probe.target or probe.kind
        while f"{stem}-{counts.get(stem, 0) + 1}" in known:
            counts[stem] = counts.get(stem, 0) + 1
        counts[stem] = counts.get(stem, 0) + 1
        lines += _board(probe, f"{stem}-{counts[stem]}", targets, numbers.count(probe.number.lower()) > 1)
    if found.others:
        lines += ["# Serial ports of no probe, for `serial` or `uplink` of a board above:"]
        lines += [f"#   {name}" for name in found.others]
    return "\n".join(lines).rstrip() + "\n"


def _board(probe: Probe, name: str, targets: Collection[str], repeats: bool) -> list[str]:
    hub, _, port = probe.path.rpartition("." if "." in probe.path else "-")
    lines = ["[[board]]", f"id = {_quoted(name)}"]
    if probe.target:
        lines.append(f"target = {_quoted(probe.target)} # a guess by {probe.why}: check it")
    else:
        lines.append(f'target = "" # fill in one of: {", ".join(targets)}')
    if probe.consoles:
        more = f" # or {', '.join(probe.consoles[1:])}" if len(probe.consoles) > 1 else ""
        lines.append(f"serial = {_quoted(probe.consoles[0])}{more}")
    else:
        lines.append('# serial = "" # this probe has no serial port: name the board\'s own')
    if probe.number:
        lines.append(f"probe_id = {_quoted(probe.number)}")
    if repeats or not probe.number:
        why = "another probe has the same serial number" if repeats else "the probe has no usable serial number"
        lines.append(f"probe_path = {_quoted(probe.path)} # {why}")
    lines += [
        f'# power = {{ kind = "uhubctl", hub = {_quoted(hub)}, port = {port} }} # if that hub switches its ports',
        "# capture = \"eth1\"                # this host's interface with the board's packets",
        '# broker_address = "192.168.7.1"  # this host as the board sees it',
        f"notes = {_quoted(f'{probe.name} at USB {probe.path}')}",
        "",
    ]
    return lines


def _is(entry: BoardEntry, probe: Probe) -> bool:
    if entry.probe_path:
        return entry.probe_path == probe.path
    return bool(probe.number and entry.probe_id) and same_probe(entry.probe_id, probe.number)


# -- USB --


def _kind(path: Path) -> tuple[str, str]:
    """Kind and name of a probe, ("", "") for any other device."""
    vendor, product = _text(path / "idVendor").lower(), _text(path / "idProduct").lower()
    name = _text(path / "product")
    if vendor == ST and product in STLINK:
        return "st-link", STLINK[product]
    if vendor == SEGGER:
        return "j-link", name or "J-Link"
    interfaces = [_text(one / "interface") for one in path.glob(f"{path.name}:*")]
    if (vendor, product) in DAPLINK or any("CMSIS-DAP" in text for text in (name, *interfaces)):
        return "cmsis-dap", name or "CMSIS-DAP"
    return "", ""


def _guess(kind: str, label: str, only: Mapping[str, str]) -> tuple[str, str]:
    part = next((part for part in LABELS if label.endswith(part)), "")
    if part:
        return LABELS[part], f"the disk label {label}"
    if not label and kind in only:
        return only[kind], f"the only target for a {kind}"
    return "", ""


def _labels(roots: Roots) -> dict[str, str]:
    """Disk label by the USB path of the device it is on."""
    found: dict[str, str] = {}
    for link in sorted(roots.labels.glob("*"))[:MAX_DEVICES]:
        try:
            block = (roots.blocks / link.resolve().name).resolve()
        except (OSError, RuntimeError):  # a link in a circle
            continue
        usb = [part for part in block.parts if _DEVICE.fullmatch(part)]
        if usb and _typeable(link.name):
            found[usb[-1]] = link.name
    return found


def _usb_path(port: Any) -> str:
    """`1-2.3` of pyserial's location `1-2.3:1.2`; "" for a port that is not on USB."""
    location = str(port.location or "").partition(":")[0]
    return location if _DEVICE.fullmatch(location) else ""


def _beside(port: Any, ports: list[Any]) -> list[Any]:
    return [one for one in ports if _usb_path(one) == _usb_path(port)]


def _console(port: Any, siblings: list[Any], roots: Roots) -> str:
    """What lab.toml calls it: udev's link if there is one, else the serial number, with the interface if needed."""
    for link in sorted(roots.by_id.glob("*"))[:MAX_DEVICES]:
        try:
            same = link.resolve().name == Path(str(port.device)).name
        except (OSError, RuntimeError):
            continue
        if same and link.name.isprintable():
            return str(link)
    number = str(port.serial_number or "")
    if not _typeable(number):
        return str(port.device)  # nothing better; the loader refuses it and says why
    interface = str(port.location or "").rpartition(":")[2].rpartition(".")[2]
    return f"usb:{number}:{interface}" if len(siblings) > 1 and interface.isdigit() else f"usb:{number}"


# -- words --


def _text(path: Path) -> str:
    """A sysfs attribute; "" when it is not there or vanishes meanwhile."""
    try:
        text = path.read_text(errors="replace")[: MAX_STRING * 2].strip()
    except OSError:
        return ""
    return "".join(c if c.isprintable() else "?" for c in text)[:MAX_STRING]


def _typeable(text: str) -> bool:
    """Old ST-LINKs have bytes for a serial number that nobody can type."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}", text))


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)


def _by_number(path: Path) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", path.name)[:10])
