"""A network of our own: re-executes the running command inside `hil-guard --sandbox`.

Inside, HIL_SANDBOX=1 is set, the only interface is lo, and every process ends when the outermost one does. It needs no
root where the kernel allows user namespaces; `available()` says what to change otherwise.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache

from harness import paths

MARK = "HIL_SANDBOX"
CHECK_TIMEOUT = 10.0


def inside() -> bool:
    """Whether this process already runs in a sandbox of ours."""
    return os.environ.get(MARK) == "1"


@lru_cache(maxsize=1)
def available() -> tuple[bool, str]:
    """Whether a sandbox can be made here, and hil-guard's own sentence: the setting to change when it cannot."""
    guard = paths.BIN / "hil-guard"
    try:
        done = subprocess.run(
            [guard, "--check"], capture_output=True, text=True, timeout=CHECK_TIMEOUT, check=False
        )
    except FileNotFoundError:
        return False, f"sandbox not possible: hil-guard is not built (looked in {paths.BIN})"
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"sandbox not possible: {error}"
    text = (done.stdout or done.stderr).strip() or f"hil-guard --check ended with {done.returncode}"
    return done.returncode == 0, text.splitlines()[-1]


def enter(argv: Sequence[str] | None = None) -> bool:  # noqa: RET503 (execve does not return)
    """Replaces this process by `argv` (default: itself) inside a sandbox. Does not return then.

    Returns True when already inside, False when no sandbox is possible (see `available`): the caller then goes on
    without one, and captures need CAP_NET_RAW.
    """
    if inside():
        return True
    if not available()[0]:
        return False
    words = list(argv) if argv is not None else _own_command()
    guard = os.fspath(paths.BIN / "hil-guard")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(guard, [guard, "--sandbox", "--", *words], {**os.environ, MARK: "1"})  # noqa: S606


def _own_command() -> list[str]:
    """How this interpreter was started (`hil …`, `python -m pytest …`), options of the interpreter included."""
    return [sys.executable, *sys.orig_argv[1:]]
