"""The boards of this host: `load()` reads lab.toml, strictly. docs/describe-a-board.md explains every key.

Where: `HIL_LAB` (a file that must exist), else `lab.toml` at the top of the repository (git-ignored: a lab is nobody
else's), else `~/.config/hil/lab.toml`. No file is an empty lab, not an error. With `HIL_BOARDS=a,b` only these boards
of it are seen. What is wrong is a `UsageError` of one line with file, board, key and next step; nothing is guessed,
because a guess flashes the wrong board.

    for board in of_target("h563"): …          # the boards a run may take, in the order of the file
    entry = find("h563-1")                     # one, or a UsageError that lists those there are

Field names follow Zephyr's hardware map where they fit (`id serial baud runner runner_params probe_id fixtures
flash_timeout notes`; its `platform` is our `target`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness import paths, target
from harness.errors import UsageError
from harness.lab import inventory_rules as rules
from harness.lab import tables
from harness.lab.services.model import Services, checked

RUNNERS = ("openocd", "pyocd", "stm32cubeprogrammer", "jlink", "probe-rs", "command", "none")
"""Flashers by Zephyr's names of them."""
NO_PROBE = ("command", "none")
MAX_BOARDS = 1000
QUARANTINE_AFTER = 3
MAX_FOLDER = 90  # characters of a folder of Unix sockets, whose paths end at 107

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as harness/lab/lease.py: it names the lock file
_USB_PATH = re.compile(r"\d+-\d+(\.\d+)*")
_INTERFACE = re.compile(r"[^\s/]{1,15}")

PowerKind = Literal["none", "uhubctl", "command", "http"]


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the board is switched (harness/lab/power.py). `command` and `http`: `on` and `off`, or `cycle`, or all."""

    kind: PowerKind = "none"
    hub: str = ""  # uhubctl: the hub's location, as `uhubctl` prints it ("1-1.4")
    port: int = 0  # uhubctl: the port of that hub
    on: str | tuple[str, ...] = ()  # a command (words, or a line for the shell), or a URL
    off: str | tuple[str, ...] = ()
    cycle: str | tuple[str, ...] = ()
    method: Literal["GET", "POST", "PUT"] = "GET"  # http
    off_s: float = 2.0  # how long it stays off in a cycle
    timeout_s: float = 15.0  # for one switching


class Labgrid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A board reached through labgrid (harness/lab/labgrid.py): one place, or any free one with these tags."""

    place: str = ""  # "+": the one of the reservation in LG_TOKEN
    tags: dict[str, str] = {}
    console: str = ""  # name of its serial resource, where it has several
    coordinator: str = ""  # host:port; LG_COORDINATOR goes before it


class BoardEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[board]]`. Empty means: what the target's table says, or that there is none."""

    id: str  # names the board, its lock and its quarantine
    target: str  # a file of firmware_shims/targets/
    serial: str = ""  # console: /dev/serial/by-id/…, usb:SERIAL[:INTERFACE], rfc2217://host:port, socket://host:port
    baud: int = 0  # 0: the target's
    uplink: str = ""  # second UART that carries PPP or SLIP; written as `serial`
    probe_id: str = ""  # the probe's USB serial number
    probe_path: str = ""  # its USB path ("1-2.3"), where serial numbers repeat
    runner: str = ""  # flasher, one of RUNNERS; "": the target's
    runner_params: tuple[str, ...] = ()  # extra words for the flasher
    runner_prefix: tuple[str, ...] = ()  # words before the flasher's command: ["ssh", "labhost"]
    flash_timeout: int = 0  # s; 0: the target's
    power: Power = Power()
    capture: str = ""  # the interface of this host that carries the board's packets
    broker_address: str = ""  # what the device shall call
    device_address: str = ""  # the device's own address, for the capture's filter
    fixtures: tuple[str, ...] = ()  # what is wired to it: tags a selection can ask for
    notes: str = ""  # for people
    labgrid: str | Labgrid = ""  # how it is reached through labgrid: the place's name, or a table
    virtual: bool | str = False  # no hardware: each run starts one under this id; or a running hil-vboard's folder

    @property
    def local_probe(self) -> bool:
        """Whether a probe on this host (or behind `runner_prefix`) is picked by its serial number."""
        return not (self.virtual or self.labgrid or self.runner in NO_PROBE)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[lab]`."""

    quarantine_after: int = QUARANTINE_AFTER  # lab errors of one board in a row; 0: never by itself


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """A lab.toml. `path` is None when there is none; `services` is harness/lab/services/model.py."""

    path: Path | None
    boards: dict[str, BoardEntry]
    settings: Settings = Settings()
    services: Services | None = None


def lab_file() -> Path | None:
    """The file in use, or None. UsageError when HIL_LAB names one that is not there."""
    named = os.environ.get("HIL_LAB")
    if named:
        path = Path(named).expanduser()
        if not path.exists():  # /dev/null is an empty lab
            raise UsageError(f"{path}: no such file (from HIL_LAB)", "correct HIL_LAB, or unset it")
        return path
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return next((path for path in (paths.ROOT / "lab.toml", home / "hil" / "lab.toml") if path.is_file()), None)


def load(path: Path | None = None) -> dict[str, BoardEntry]:
    """Every board by id, in the order of the file; {} without a file. UsageError as above."""
    return load_lab(path).boards


def load_lab(path: Path | None = None) -> Lab:
    """The whole file: boards and settings."""
    path = path or lab_file()
    if path is None:
        return Lab(path=None, boards={})
    document = tables.read(path)
    if unknown := [key for key in document if key not in ("board", "lab", "services")]:
        hint = rules.near(unknown[0], ("board", "lab", "services")) or "use [[board]], [lab] and [services]"
        raise rules.wrong(path, "", unknown[0], "unknown key", hint)
    services = checked(path, document["services"]) if "services" in document else None
    settings = _convert(path, "[lab]", document.get("lab", {}), Settings)
    if not 0 <= settings.quarantine_after <= 1000:
        raise rules.wrong(path, "[lab]", "quarantine_after", "not within 0 to 1000", "write 3, or 0 for never")
    rows = document.get("board", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise rules.wrong(path, "", "board", "not a list of tables", "write [[board]] with two brackets")
    if len(rows) > MAX_BOARDS:
        raise rules.wrong(path, "", "board", f"{len(rows)} boards", f"at most {MAX_BOARDS} in one file")
    known = tuple(target.load())
    boards: dict[str, BoardEntry] = {}
    for number, row in enumerate(rows, 1):
        entry = _entry(path, number, row, known)
        if entry.id in boards:
            raise rules.wrong(path, f"board `{entry.id}`", "id", "given to two boards", "give each a name of its own")
        boards[entry.id] = entry
    _check_probes(path, list(boards.values()))
    _check_consoles(path, list(boards.values()))
    wanted = [name for name in os.environ.get("HIL_BOARDS", "").split(",") if name]
    if wanted:
        boards = {entry.id: entry for entry in (find(name, boards) for name in wanted)}
    return Lab(path=path, boards=boards, settings=settings, services=services)


def of_target(name: str, boards: dict[str, BoardEntry] | None = None) -> tuple[BoardEntry, ...]:
    """The boards with this target, in the order of the file."""
    return tuple(entry for entry in (load() if boards is None else boards).values() if entry.target == name)


def find(name: str, boards: dict[str, BoardEntry] | None = None) -> BoardEntry:
    """The board called `name`; else the only one of the target `name`; else a UsageError with those there are."""
    boards = load() if boards is None else boards
    if name in boards:
        return boards[name]
    same = of_target(name, boards)
    if len(same) == 1:
        return same[0]
    if same:
        raise UsageError(f"`{name}` is {len(same)} boards: {', '.join(e.id for e in same)}", "name one of them")
    if not boards:
        raise UsageError(f"no board `{name}`: this host has no lab.toml", "`hil boards --scan` writes a first one")
    raise UsageError(f"no board `{name}`", f"{rules.near(name, boards)}there are: {', '.join(boards)}")


# -- checks of one board --


def _entry(path: Path, number: int, row: dict[str, Any], known: tuple[str, ...]) -> BoardEntry:
    name = row.get("id")
    label = f"board `{name}`" if isinstance(name, str) and _ID.fullmatch(name) else f"board {number}"
    rules.check_text(path, label, row)
    entry: BoardEntry = _convert(path, label, row, BoardEntry)
    if not _ID.fullmatch(entry.id):
        raise rules.wrong(path, label, "id", "not a name", "use 1 to 64 letters, digits, dots and dashes")
    if entry.target not in known:
        hint = f"{rules.near(entry.target, known)}there are: {', '.join(known)}"
        raise rules.wrong(path, label, "target", f"no target `{entry.target}`", hint)
    if entry.runner and entry.runner not in RUNNERS:
        hint = f"{rules.near(entry.runner, RUNNERS)}there are: {', '.join(RUNNERS)}"
        raise rules.wrong(path, label, "runner", f"no runner `{entry.runner}`", hint)
    if entry.baud and not 300 <= entry.baud <= 12_000_000:
        raise rules.wrong(path, label, "baud", f"{entry.baud} is no bit rate", "300 to 12000000, for example 115200")
    if not 0 <= entry.flash_timeout <= 3600:
        raise rules.wrong(path, label, "flash_timeout", f"{entry.flash_timeout} s", "0 (the target's) to 3600 seconds")
    if entry.probe_path and not _USB_PATH.fullmatch(entry.probe_path):
        raise rules.wrong(
            path, label, "probe_path", f"`{entry.probe_path}` is no USB path", "as `hil boards --scan` prints it: 1-2.3"
        )
    for key in ("serial", "uplink"):
        rules.check_port(path, label, key, getattr(entry, key))
    if entry.capture and not _INTERFACE.fullmatch(entry.capture):
        raise rules.wrong(path, label, "capture", f"`{entry.capture}` is no interface", "as `ip link` names it: eth1")
    for key in ("broker_address", "device_address"):
        rules.check_address(path, label, key, getattr(entry, key))
    if isinstance(entry.virtual, str) and not (entry.virtual.startswith("/") and len(entry.virtual) < MAX_FOLDER):
        what = "no absolute path of a socket's length"
        raise rules.wrong(path, label, "virtual", what, 'for example "/run/hil/vboard-1"')
    if entry.virtual is True and (
        used := [k for k in ("serial", "probe_id", "probe_path", "labgrid") if getattr(entry, k)]
    ):
        raise rules.wrong(path, label, used[0], "a virtual board has none", f"remove `{used[0]}`, or `virtual`")
    if isinstance(entry.labgrid, Labgrid):
        rules.check_labgrid(path, label, entry.labgrid)
    rules.check_power(path, label, entry.power)
    return entry


# -- checks between boards --


def _check_probes(path: Path, boards: list[BoardEntry]) -> None:
    """Each probe can be told from all others: by serial number, or by USB path where that repeats. What is named is
    compared whoever drives it; to name one is asked only of boards whose flasher needs it."""
    probed = [entry for entry in boards if not (entry.virtual or entry.labgrid)]
    for host in dict.fromkeys(entry.runner_prefix for entry in probed):
        here = [entry for entry in probed if entry.runner_prefix == host]
        picked = [entry for entry in here if entry.local_probe]
        for entry in picked:
            if not (entry.probe_id or entry.probe_path) and len(picked) > 1:
                raise rules.wrong(
                    path,
                    f"board `{entry.id}`",
                    "probe_id",
                    f"missing, and there are {len(picked)} boards with a probe",
                    "give each its probe's serial number (`hil boards --scan`)",
                )
        for at, entry in enumerate(here):
            for other in here[:at]:
                same_id = bool(entry.probe_id) and rules.same_probe(entry.probe_id, other.probe_id)
                same_path = bool(entry.probe_path) and entry.probe_path == other.probe_path
                if same_path:
                    raise rules.wrong(
                        path,
                        f"board `{entry.id}`",
                        "probe_path",
                        f"{entry.probe_path} is that of board `{other.id}` too",
                        "one probe is one board",
                    )
                if same_id and not (entry.probe_path and other.probe_path):
                    raise rules.wrong(
                        path,
                        f"board `{entry.id}`",
                        "probe_id",
                        f"{entry.probe_id} is that of board `{other.id}` too",
                        "correct it, or give both a probe_path if two probes really share a serial number",
                    )


def _check_consoles(path: Path, boards: list[BoardEntry]) -> None:
    seen: dict[str, str] = {}
    for entry in boards:
        for key in ("serial", "uplink", "virtual"):
            port = getattr(entry, key)
            if not isinstance(port, str) or not port:
                continue
            if key == "virtual":
                port = os.path.normpath(port)
            name = port if port.startswith("/") else port.lower()
            if name in seen:
                once = "one virtual board is one board" if key == "virtual" else "each UART has one reader"
                raise rules.wrong(path, f"board `{entry.id}`", key, f"{port} is {seen[name]} already", once)
            seen[name] = f"`{key}` of board `{entry.id}`"
        place = entry.labgrid.place if isinstance(entry.labgrid, Labgrid) else entry.labgrid
        if place and f"place {place}" in seen:
            what = f"{place} is that of board `{seen[f'place {place}']}` too"
            raise rules.wrong(path, f"board `{entry.id}`", "labgrid", what, "one place is one board")
        seen[f"place {place}"] = entry.id


# -- words --


def _convert(path: Path, label: str, row: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(row, kind, strict=True)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        inside = where.rstrip("`").lstrip(".")
        unknown = re.search(r"unknown field `(.*)`$", text, re.DOTALL)
        if unknown is not None:
            tables_inside = {"power": Power, "labgrid": Labgrid}
            fields = tables_inside.get(inside, kind).__struct_fields__
            key = f"{inside}.{unknown[1]}" if inside else unknown[1]
            hint = rules.near(unknown[1], fields) + f"the keys are: {', '.join(fields)}"
            raise rules.wrong(path, label, key, "unknown key", hint) from None
        missing = re.search(r"missing required field `(.*)`$", text)
        if missing is not None:
            raise rules.wrong(path, label, missing[1], "missing", f'add {missing[1]} = "…"') from None
        raise rules.wrong(path, label, inside, text, "see docs/describe-a-board.md") from None


