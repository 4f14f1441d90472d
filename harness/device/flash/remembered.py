"""Which image a board was last given, under the state folder that outlives runs (harness/lab/quarantine.py's).

The record is dropped before anything is written to the board and made only after the write was verified, so that a
bench that dies in between leaves none. It says what we did, not what the board holds now: a back-end that can compare
does (`Flasher.holds`).
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import msgspec

from harness.device.flash.base import Rig
from harness.errors import LabError
from harness.lab import quarantine

MAX_FILE = 4096


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`place`: where and how it was written; another address or probe is another board for us."""

    sha256: str
    place: str


def holds(rig: Rig, sha256: str) -> bool:
    """Whether this image was the last one. A record that cannot be read is none."""
    try:
        with _path(rig).open("rb") as file:
            record = msgspec.json.decode(file.read(MAX_FILE), type=Record)
    except (OSError, msgspec.MsgspecError):
        return False
    return record == Record(sha256=sha256, place=_place(rig))


def forget(rig: Rig) -> None:
    """LabError when the record stays: it would be believed. Or when no other could be made afterwards: each scenario
    would write the board again, and end with that error."""
    _write(rig, "")
    try:
        _path(rig).unlink(missing_ok=True)
    except OSError as error:
        raise _trouble(rig, error) from error


def remember(rig: Rig, sha256: str) -> None:
    _write(rig, sha256)


def _write(rig: Rig, sha256: str) -> None:
    path = _path(rig)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(msgspec.json.encode(Record(sha256=sha256, place=_place(rig))))
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise _trouble(rig, error) from error


def _place(rig: Rig) -> str:
    words = (rig.target, rig.config, f"0x{rig.address:08x}", rig.probe_id, rig.probe_path, *rig.prefix, *rig.params)
    return " ".join(words)


def _path(rig: Rig) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", rig.board)[:64]
    return quarantine.folder() / f"flashed-{name}.json"


def _trouble(rig: Rig, error: OSError) -> LabError:
    return LabError("lab.disk_full", f"record of {rig.board}'s image: {error}", "set HIL_STATE to a writable folder")
