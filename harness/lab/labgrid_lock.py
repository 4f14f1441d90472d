"""The lock of a labgrid place on this host, what its file says to other processes, and the keeper that gives the place
back after us.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from pathlib import Path

import msgspec

from harness.errors import BoardBusy, LabError
from harness.lab import lease as leases
from harness.lab.labgrid_client import Client, Refused, coordinator, environment, identity, program

KEEPER = 45.0  # s a keeper takes at most

_KEEP = """
trap '' HUP INT TERM
read -r said || :
[ "$said" = released ] && exit 0
for try in 1 2 3; do
    if text=$(timeout -k 1 6 "$1" -p "$2" release-from "$3" 2>&1) ||
        case $text in *"is not acquired"*) true ;; *) false ;; esac; then
        [ -z "$4" ] || timeout -k 1 6 "$1" cancel-reservation "$4"
        : >"$5"
        exit 0
    fi
    sleep 2
done
"""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the lock file of a place says, for other processes. It counts only while the file is locked; one that is not
    empty although nobody holds the lock tells of a run that ended without giving the place back."""

    board: str
    place: str
    address: str  # the coordinator's
    identity: str
    pid: int
    since: str  # ISO-8601 UTC
    reason: str
    by_hand: bool = False  # acquired before we came: not ours to give back
    token: str = ""  # of a reservation
    host: str = ""  # the exporter's
    serial: str = ""  # URL of the console, when it was last looked at
    probe_path: str = ""

    def __str__(self) -> str:
        return f"the run for board {self.board} (process {self.pid}) since {self.since}: {self.reason}"


def lock_name(place: str) -> str:
    """Lock files are named by letters, digits, dot and dash; places may have any name."""
    return f"labgrid-{re.sub('[^A-Za-z0-9.-]', '_', place)[:40]}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def lock(place: str, deadline: float) -> tuple[int, Record | None]:
    """The place's lock on this host, and what a dead run left in it. Waits for a dead run's keeper to end."""
    name = lock_name(place)
    patience = time.monotonic() + KEEPER
    while True:
        fd = leases.lock_file(name)
        if fd is not None:
            return fd, read(fd)
        other = read_file(leases.folder() / f"{name}.lock")
        now = time.monotonic()
        if now > deadline and (other is None or alive(other.pid) or now > patience):
            who = other or "another run on this host"
            raise BoardBusy(f"labgrid place {place} is held by {who}", "wait with --wait SECONDS, or ask the holder")
        time.sleep(0.1)


def record_of(board: str) -> Record | None:
    """What the living run that holds this board's place wrote down."""
    records = [read_file(path) for path in leases.folder().glob("labgrid-*.lock")]
    living = [r for r in records if r is not None and r.board == board and alive(r.pid)]
    return max(living, key=lambda record: record.since, default=None)


def read_file(path: Path) -> Record | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return read(fd)
    finally:
        os.close(fd)


def read(fd: int) -> Record | None:
    try:
        return msgspec.json.decode(os.pread(fd, 8192, 0), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def write(fd: int, record: Record) -> None:
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(record), 0)
    except OSError as error:
        what = f"lock of labgrid place {record.place}: {error.strerror}"
        raise LabError("lab.disk_full", what, "make room") from error


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def keeper(client: Client, record: Record, fd: int) -> subprocess.Popen[bytes]:
    """Outlives us on purpose, so it is not started by `process.spawn`; it ends by itself within KEEPER seconds of our
    end. It shares the lock, so that nobody takes the place while it gives it back."""
    path = leases.folder() / f"{lock_name(record.place)}.lock"
    env = environment(client.address, client.identity)
    words = [str(program()), record.place, record.identity, record.token, str(path)]
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _KEEP, "hil-labgrid-keeper", *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=(fd,), start_new_session=True, cwd="/", env=env,
        )  # fmt: skip
    except OSError as error:
        raise LabError("lab.tool_missing", f"/bin/sh: {error.strerror}", "run `hil doctor`") from error


def release_from(who: str = "", address: str = "") -> list[str]:
    """Gives back every place that `who` ("host/user", ourselves by default) holds, except those of a living run of this
    host. Returns their names. For a CI job's last step, and for what a torn-down host left behind."""
    client = Client(coordinator(address))
    holder = who or identity()
    freed = []
    for place in client.places():
        fd = leases.lock_file(lock_name(place.name)) if place.acquired == holder else None
        if fd is None:
            continue
        try:
            client.release(place.name, holder)
            os.ftruncate(fd, 0)
        except Refused as error:
            raise LabError("lab.board_busy", f"labgrid place {place.name}: {error}", "labgrid-client who") from None
        finally:
            os.close(fd)
        freed.append(place.name)
    return freed
