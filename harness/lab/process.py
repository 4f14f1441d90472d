"""Starts children so that none outlives us."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

Stream = int | IO[bytes] | None


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """A started child; the caller ends and reaps it. OSError when it cannot be started."""
    return subprocess.Popen(
        [str(arg) for arg in argv], cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr,
        pass_fds=tuple(pass_fds), close_fds=True,
    )
