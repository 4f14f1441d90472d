"""Builds a target's firmware with the command its table gives, and says what came out."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import paths
from harness.device.uartlog import escape
from harness.errors import LabError
from harness.lab.process import spawn, stop
from harness.model import Image

LOOK = 0.5  # s between two reports of progress
GIT_TIMEOUT = 5.0
_ERROR = re.compile(
    r"^(?P<where>[^\s:][^:\n]*:\d+(?::\d+)?): (?:fatal )?error: (?P<what>.*)$"
    r"|^(?P<link>.*(?:undefined reference to|multiple definition of|region .* overflowed|cannot find -l).*)$"
    r"|^(?P<cmake>CMake Error.*)$",
    re.MULTILINE,
)


def build(
    name: str,
    command: str | Sequence[str],
    image: Path | Callable[[], Path],
    log: Path,
    *,
    timeout: float = 600.0,
    cwd: Path = paths.ROOT,
    progress: Callable[[str], None] | None = None,
) -> Image:
    """Runs `command` (a list, or a line for the shell) in `cwd`; `image` (relative to `cwd`, or found by a call) must
    exist then.

    Everything printed goes to `log`; `progress` is called with its last line now and then. Whether anything has to be
    done is the build tool's business. Raises LabError lab.build_failed with the first error's file and line.
    """
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    status = _run(name, argv, log, timeout, cwd, progress)
    if status != 0:
        raise LabError("lab.build_failed", f"{name}: {_first_error(log, argv, status)}", f"see {log}")
    image = image() if callable(image) else image
    path = image if image.is_absolute() else cwd / image
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise LabError(
            "lab.build_failed", f"{name}: the build succeeded but {image} is not there ({error.strerror})",
            "correct `image` in the target's table",
        ) from error  # fmt: skip
    return Image(path=path, sha256=digest, git=git_version(cwd))


def git_version(folder: Path = paths.ROOT) -> str:
    """Commit of the tree, with `-dirty` when files differ; "" outside of git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"],
            cwd=folder, capture_output=True, text=True, timeout=GIT_TIMEOUT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(
    name: str, argv: list[str], log: Path, timeout: float, cwd: Path, progress: Callable[[str], None] | None
) -> int:
    deadline = time.monotonic() + timeout
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    except OSError as error:
        raise LabError("lab.disk_full", f"{log}: {error.strerror}", "make room") from error
    with output:
        output.write(f"$ {shlex.join(argv)}\n".encode())
        output.flush()
        proc = spawn(argv, cwd=cwd, env={**os.environ, "LC_ALL": "C"}, stdout=output, stderr=output, tree=True)
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LabError(
                        "lab.build_failed", f"{name}: not built within {timeout:g} s; last: {_last_line(log)}",
                        f"see {log}, or raise `timeout_s` in the target's [build]",
                    )  # fmt: skip
                try:
                    return proc.wait(min(left, LOOK))
                except subprocess.TimeoutExpired:
                    if progress is not None:
                        progress(_last_line(log))
        finally:
            stop(proc)


def _tail(log: Path, size: int = 4096) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read().decode(errors="replace")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in _tail(log).splitlines() if line.strip()]
    return escape(lines[-1][:160].encode()) if lines else ""


def _first_error(log: Path, argv: list[str], status: int) -> str:
    with log.open("rb") as file:
        text = file.read(8 << 20).decode(errors="replace")
    found = _ERROR.search(text)
    if found is None:
        return f"`{shlex.join(argv)[:120]}` ended with status {status}: {_last_line(log)}"
    if found["where"]:
        return escape(f"{found['where']}: {found['what']}"[:300].encode())
    line = (found["link"] or found["cmake"]).strip()
    if line.startswith("CMake Error"):
        # The reason is indented below the place.
        reason = next((row.strip() for row in text[found.end() :].splitlines() if row.strip()), "")
        line = f"{line} {reason}"
    return escape(line[:300].encode())
