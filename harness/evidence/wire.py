"""The wire's events: runs `hil-wire` on a capture and hands its JSON lines on as dictionaries (docs/wire-events.md)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import HilError
from harness.paths import BIN

TIMEOUT_S = 120.0
OUTPUT_MAX = 512 * 1024 * 1024
"""Bytes of events taken; more means that `events` should have been narrowed."""

_decoder = msgspec.json.Decoder(dict[str, Any])


class WireError(HilError):
    """The capture cannot be read, or the decoder is not there."""


def _command(
    capture: Path, keylog: Path | None, ports: tuple[int, ...], der: bool, events: tuple[str, ...], summary: bool
) -> list[str]:
    command = [str(BIN / "hil-wire")]
    if keylog is not None:
        command += ["--keylog", str(keylog)]
    if ports:
        command += ["--port", ",".join(str(port) for port in ports)]
    if events:
        command += ["--events", ",".join(events)]
    if summary:
        command.append("--summary")
    if der:
        command.append("--der")
    # A name that begins with a dash must not be taken for an option.
    command.append(str(capture) if not str(capture).startswith("-") else f"./{capture}")
    return command


def _reason(capture: Path, stderr: bytes, code: int) -> WireError:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    text = lines[0].removeprefix("hil-wire: ") if lines else f"{capture}: hil-wire ended with status {code}"
    what, _, fix = text.rpartition(": ")
    return WireError(what, fix) if what else WireError(text)


def decode(
    capture: Path,
    *,
    keylog: Path | None = None,
    ports: tuple[int, ...] = (),
    der: bool = False,
    events: tuple[str, ...] = (),
    summary: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> list[dict[str, Any]]:
    """All events of `capture` in order. `ports`: server ports beside the well-known ones. Raises WireError."""
    command = _command(capture, keylog, ports, der, events, summary)
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise WireError(f"{command[0]} is missing", "build the host programs: make setup") from None
    except OSError as error:
        what = f"{command[0]} cannot be run: {error.strerror}"
        raise WireError(what, "build the host programs: make setup") from None
    except subprocess.TimeoutExpired:
        raise WireError(f"{capture}: not decoded within {timeout_s:.0f} s", "use a smaller capture") from None
    if done.returncode != 0:
        raise _reason(capture, done.stderr, done.returncode)
    if len(done.stdout) > OUTPUT_MAX:
        raise WireError(f"{capture}: more than {OUTPUT_MAX >> 20} MB of events", "name the kinds needed, or a summary")
    try:
        return [_decoder.decode(line) for line in done.stdout.splitlines()]
    except msgspec.DecodeError as error:
        what = f"{capture}: hil-wire printed what is not JSON ({error})"
        raise WireError(what, "report it with the capture") from None
