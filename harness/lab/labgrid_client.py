"""`labgrid-client` as a program of its own: what it is told, how long it may take, and what its text means.

labgrid lives in a venv of its own (setup/labgrid.sh: it replaces pyserial), so nothing of it is imported. Measured with
26.0.1: a call takes 0.3 s; an address that answers nothing hangs it, so every call is bounded.

Of the user's environment `LG_COORDINATOR`, `LG_USERNAME`, `LG_HOSTNAME` and `LG_PROXY` pass through. `LG_ENV`,
`LG_STATE`, `LG_PLACE` and the like do not: with them `acquire` takes other places than the one it is told.
"""

from __future__ import annotations

import ast
import contextlib
import getpass
import os
import re
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec

from harness import paths
from harness.device.uartlog import escape
from harness.errors import LabError
from harness.lab import process

POLL = 1.0  # s; the client's own step while it waits for a reservation
CALL_TIMEOUT = 15.0  # s; acquiring starts ser2net and waits half a second for it
MAX_OUTPUT = 1 << 18
DEFAULT_COORDINATOR = "127.0.0.1:20408"
NOT_OURS = ("LG_ENV", "LG_PLACE", "LG_STATE", "LG_INITIAL_STATE", "LG_TOKEN", "PLACE", "STATE")
INSTALL = "run setup/labgrid.sh client, or name the program in HIL_LABGRID_CLIENT"

_ORPHAN = re.compile(r"Orphaned resource '(?P<name>.*)' \((?P<exporter>[^/]*)/.*\)")
_RESOURCE = re.compile(r"(?:Acquired|Matching) resource '(?P<name>.*)' \((?P<exporter>[^/]*)/.*\):")
_TOKEN = re.compile(r"export LG_TOKEN=([A-Z0-9]{1,64})")


class Refused(Exception):
    """The client ended with an error; its words, one line."""


class NoCoordinator(LabError):
    """Nothing, or nothing useful, answers at the coordinator's address."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__("lab.tool_missing", what, fix)


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of a place: `cls` such as NetworkSerialPort, `params` as its exporter gives them."""

    name: str
    exporter: str
    cls: str
    avail: bool
    params: dict[str, Any]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """`acquired`: "host/user", or "" when free. `gone`: exporters of acquired resources that are not connected."""

    name: str
    acquired: str
    tags: dict[str, str]
    reservation: str
    resources: tuple[Resource, ...]
    gone: tuple[str, ...]


def find_program() -> Path | None:
    """HIL_LABGRID_CLIENT, else the one setup/labgrid.sh made, else what PATH has."""
    named = os.environ.get("HIL_LABGRID_CLIENT")
    if named:
        return Path(named) if os.access(named, os.X_OK) else None
    own = paths.ROOT / ".venv-labgrid" / "bin" / "labgrid-client"
    if os.access(own, os.X_OK):
        return own
    found = shutil.which("labgrid-client")
    return Path(found) if found else None


def program() -> Path:
    found = find_program()
    if found is None:
        named = os.environ.get("HIL_LABGRID_CLIENT")
        raise LabError("lab.tool_missing", f"labgrid-client not found{f' ({named})' if named else ''}", INSTALL)
    return found


def identity() -> str:
    """"host/user", as labgrid writes down who holds a place."""
    user = os.environ.get("LG_USERNAME") or _user()
    return f"{os.environ.get('LG_HOSTNAME') or socket.gethostname()}/{user}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def coordinator(named: str = "") -> str:
    """LG_COORDINATOR, else `named` (lab.toml), else labgrid's default."""
    return os.environ.get("LG_COORDINATOR") or named or DEFAULT_COORDINATOR


def environment(address: str, who: str) -> dict[str, str]:
    """For calls as `who` ("host/user") to the coordinator at `address`."""
    env = {key: value for key, value in os.environ.items() if key not in NOT_OURS}
    host, _, user = who.partition("/")
    return {**env, "LG_COORDINATOR": address, "LG_HOSTNAME": host, "LG_USERNAME": user, "PYTHONUNBUFFERED": "1"}


class Client:
    """Calls against one coordinator, as `who` (ourselves). LabError when program or coordinator is missing, `Refused`
    for all else."""

    def __init__(self, address: str, who: str = "") -> None:
        self.address = address
        self.identity = who or identity()
        self._program = program()

    def call(self, *words: str, timeout: float = CALL_TIMEOUT) -> str:
        """What it prints. Its own children and it are gone when this returns."""
        proc = process.spawn(
            [self._program, *words], env=environment(self.address, self.identity),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = proc.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise self.silent(timeout) from None
        finally:
            process.stop(proc, term_timeout=0.5)
        text = out[:MAX_OUTPUT].decode(errors="replace")
        if proc.returncode == 0:
            return text
        raise self.refusal(err[-MAX_OUTPUT:].decode(errors="replace"))

    def refusal(self, text: str) -> Exception:
        """LabError when it could not reach the coordinator, else `Refused`."""
        if "Could not connect to coordinator" in text or "coordinator is unavailable" in text:
            return NoCoordinator(
                f"no labgrid coordinator answers at {self.address}",
                "start labgrid-coordinator there, or correct LG_COORDINATOR",
            )
        return Refused(last_line(text))

    def silent(self, seconds: float) -> LabError:
        return NoCoordinator(
            f"labgrid-client got no answer from {self.address} in {seconds:g} s",
            "is that the coordinator, of labgrid 25 or newer?",
        )

    def reserve(self, tags: dict[str, str], wait: float) -> str:
        """A token for one free place with these tags. The client polls while it waits, so that the reservation lives.
        `Refused` when none became free in `wait` seconds; the reservation is cancelled then, as in every other end."""
        words = [f"{key}={value}" for key, value in sorted(tags.items())]
        proc = process.spawn(
            [self._program, "reserve", "--wait", "--shell", *words],
            env=environment(self.address, self.identity), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        token = ""
        done = False
        try:
            match = _TOKEN.search(_first_line(proc, CALL_TIMEOUT))
            token = match[1] if match else ""
            if not token:
                proc.kill()
                text = _rest(proc)
                raise self.refusal(text) if text.strip() else self.silent(CALL_TIMEOUT)
            try:
                done = proc.wait(max(wait, POLL)) == 0
            except subprocess.TimeoutExpired:
                raise Refused(f"no place with {' '.join(words)} is free") from None
            if not done:
                raise self.refusal(_rest(proc))
            return token
        finally:
            process.stop(proc, term_timeout=0.5)
            if token and not done:
                self.cancel(token)

    def cancel(self, token: str) -> None:
        """Gives a reservation back; one that is gone already is no error."""
        with contextlib.suppress(Refused, LabError):
            self.call("cancel-reservation", token)

    def places(self) -> list[Place]:
        """Every place there is, without resources."""
        blocks = re.split(r"^(?=Place ')", self.call("-v", "places"), flags=re.MULTILINE)
        return [parse_place(block) for block in blocks if block.strip()]

    def show(self, place: str) -> Place:
        """The place of exactly this name, or of a reservation (`+TOKEN`). `Refused` when there is none."""
        found = parse_place(self.call("-p", place, "show"))
        if not place.startswith("+") and found.name != place:
            raise Refused(f"no place {place}")  # labgrid takes any name that contains it
        return found

    def acquire(self, place: str) -> None:
        self.call("-p", place, "acquire")

    def release(self, place: str, holder: str) -> None:
        """Only if `holder` ("host/user") has it, in one step; a place that is free already is no error."""
        try:
            self.call("-p", place, "release-from", holder)
        except Refused as error:
            if "is not acquired" not in str(error):
                raise


def _first_line(proc: subprocess.Popen[bytes], timeout: float) -> str:
    """What it prints first; "" when it ends or the time does."""
    assert proc.stdout is not None
    fd = proc.stdout.fileno()
    deadline = time.monotonic() + timeout
    found = b""
    while b"\n" not in found and (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([fd], [], [], left)
        data = os.read(fd, 4096) if ready else b""
        if not data:
            break
        found += data
    return found.decode(errors="replace")


def _rest(proc: subprocess.Popen[bytes]) -> str:
    """The error text of a process that has ended."""
    assert proc.stderr is not None
    return proc.stderr.read(MAX_OUTPUT).decode(errors="replace")


def parse_place(text: str) -> Place:
    """The text of `show`. `Refused` when it is none."""
    lines = text.splitlines()
    if not lines or not (head := re.fullmatch(r"Place '(.*)':", lines[0])):
        raise Refused("labgrid-client show printed no place")
    fields: dict[str, str] = {}
    resources: list[Resource] = []
    gone: list[str] = []
    at = 1
    while at < len(lines):
        line = lines[at]
        at += 1
        if match := _RESOURCE.fullmatch(line):
            block = []
            while at < len(lines) and lines[at].startswith("  "):
                block.append(lines[at])
                at += 1
            resources += _resource(match, "\n".join(block))
        elif match := _ORPHAN.fullmatch(line):
            gone.append(match["exporter"])
        elif not resources and (match := re.fullmatch(r"  (\w[\w ]*): ?(.*)", line)):
            fields.setdefault(match[1], match[2].strip())
    acquired = fields.get("acquired", "None")
    return Place(
        name=head[1], acquired="" if acquired == "None" else acquired, reservation=fields.get("reservation", ""),
        tags=dict(word.split("=", 1) for word in fields.get("tags", "").split(", ") if "=" in word),
        resources=tuple(resources), gone=tuple(dict.fromkeys(gone)),
    )  # fmt: skip


def _resource(match: re.Match[str], block: str) -> list[Resource]:
    """It is printed as a Python dict. What cannot be read as one is left out."""
    try:
        data = ast.literal_eval(block.strip())
        return [
            Resource(
                name=match["name"], exporter=match["exporter"], cls=str(data["cls"]), avail=bool(data["avail"]),
                params=dict(data["params"]),
            )
        ]  # fmt: skip
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return []


def last_line(text: str) -> str:
    """The last line of an error text, printable and short, without the program's name."""
    lines = [line for line in text.splitlines() if line.strip()]
    said = lines[-1] if lines else "no reason given"
    said = re.sub(r"^(labgrid-client: )?(Server error: )?(Error: )*", "", said.strip())
    return escape(said.encode())[:240]
