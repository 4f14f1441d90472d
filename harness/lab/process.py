"""Children that never outlive us: every program the bench starts goes through `spawn` (see harness/guard/guard.h).

The kernel ends a guarded child when the *thread* that started it ends. `spawn` may be called from any thread all the
same: calls from others than the main thread are carried out by one thread that lives as long as the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from harness import paths
from harness.errors import LabError

File = None | int | IO[Any]

PR_SET_PDEATHSIG = 1
TERM_TIMEOUT = 3.0  # seconds a program has to end after SIGTERM
KILL_TIMEOUT = 5.0  # seconds the kernel has to end it after SIGKILL


def program(name: str) -> Path:
    """Path of one of our built host programs; LabError lab.tool_missing when it is not built."""
    path = paths.BIN / name
    if not os.access(path, os.X_OK):
        raise LabError("lab.tool_missing", f"{name} is not built (looked in {paths.BIN})", "run `make setup`")
    return path


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: File = subprocess.DEVNULL,
    stdout: File = None,
    stderr: File = None,
    pass_fds: Sequence[int] = (),
    tree: bool = False,
    core: bool = False,
    foreground: bool = False,
) -> subprocess.Popen[bytes]:
    """Starts `argv` so that it dies with us. `tree`: with all its descendants (build tools, daemons, programs that
    change their user). `core`: allow core dumps. `foreground`: in our process group: it may use the terminal
    and gets its Ctrl-C. Same pid as the program unless `tree`.

    Raises LabError lab.tool_missing when hil-guard or the program does not exist.
    """
    words = [os.fspath(word) for word in argv]
    if not _runnable(words[0], cwd, env):
        raise LabError("lab.tool_missing", f"{words[0]} not found", "run `hil doctor`")
    guard = [str(program("hil-guard")), "--parent", str(os.getpid())]
    if tree:
        guard.append("--tree")
    if not core:
        guard.append("--no-core")
    guarded = [*guard, "--", *words]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            guarded,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            process_group=None if foreground else 0,  # Ctrl-C is for the bench, which ends its children in order
        )

    if threading.current_thread() is threading.main_thread():
        return start()
    return _spawner(os.getpid()).submit(start).result()


def die_with(parent: int) -> None:
    """The kernel ends this process (SIGKILL) when `parent`, which started it, ends. Returns only while that lives."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise LabError("lab.tool_missing", f"prctl: {os.strerror(ctypes.get_errno())}", "Linux is needed")
    if os.getppid() != parent:
        os._exit(1)


def stop(
    proc: subprocess.Popen[bytes], *, term_timeout: float = TERM_TIMEOUT, kill_timeout: float = KILL_TIMEOUT
) -> int:
    """Ends `proc` in bounded time (SIGTERM, then SIGKILL), reaps it and closes its pipes. Returns its exit status.

    A process that even SIGKILL does not end in `kill_timeout` seconds (stuck in the kernel) is left behind: -9.
    """
    try:
        if proc.poll() is None:
            proc.terminate()
            try:
                proc.wait(term_timeout)
            except subprocess.TimeoutExpired:
                _kill(proc)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    proc.wait(kill_timeout)
    finally:
        for pipe in (proc.stdin, proc.stdout, proc.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
    return -9 if proc.returncode is None else proc.returncode


def _kill(proc: subprocess.Popen[bytes]) -> None:
    """With what is left of its process group: a guard that is killed cannot see to a tree that ignores SIGTERM."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(proc.pid) == proc.pid:
            os.killpg(proc.pid, signal.SIGKILL)
    proc.kill()


@contextlib.contextmanager
def running(
    argv: Sequence[str | Path], *, term_timeout: float = TERM_TIMEOUT, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """`spawn` for the length of a with-block; `stop` at its end, whatever happens. `options` as for `spawn`."""
    proc = spawn(argv, **options)
    try:
        yield proc
    finally:
        stop(proc, term_timeout=term_timeout)


def _runnable(name: str, cwd: Path | None, env: Mapping[str, str] | None) -> bool:
    if "/" in name:
        return os.access((cwd or Path()) / name, os.X_OK)
    search = (os.environ if env is None else env).get("PATH", os.defpath)
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in search.split(os.pathsep))  # noqa: PTH118


@lru_cache(maxsize=1)
def _spawner(_pid: int) -> ThreadPoolExecutor:
    """The long-lived thread; one per process (a fork has none of its parent's threads)."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="hil-spawn")
