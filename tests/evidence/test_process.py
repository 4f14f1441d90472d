"""Nothing the bench starts outlives it; sandboxes are apart; stopping is bounded."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import paths
from harness.errors import LabError
from harness.lab import process, sandbox
from tests.evidence.conftest import Scene

PARENT = """
import sys
from harness.lab import process
{body}
print("up", flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def tree(pid: int) -> set[int]:
    """`pid` and every descendant."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found |= tree(int(child))
    return found


def until(condition: Callable[[], bool], timeout: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def start_parent(body: str) -> subprocess.Popen[bytes]:
    """A Python process that runs `body` and waits; its children are those of the test."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(body=body)],
        cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    return parent


def end(parent: subprocess.Popen[bytes]) -> None:
    parent.kill()
    parent.communicate(timeout=10)


@pytest.mark.parametrize(
    ("body", "processes"),
    [
        ("process.spawn(['sleep', '60'])", 2),
        ("process.spawn(['sh', '-c', 'trap \"\" TERM HUP INT; sleep 60 & sleep 61; wait'], tree=True)", 5),
        ("process.spawn(['sh', '-c', 'setsid -f sleep 60; exec sleep 61'], tree=True)", 4),
        ("import threading as t; a = t.Thread(target=process.spawn, args=(['sleep', '60'],)); a.start(); a.join()", 2),
    ],
    ids=["plain", "tree", "daemon", "from a thread"],
)
def test_children_die_with_a_parent_that_is_killed(body: str, processes: int) -> None:
    parent = start_parent(body)
    try:
        assert until(lambda: len(tree(parent.pid)) == processes), tree(parent.pid)
        # A child of a thread that has ended must live on.
        children = tree(parent.pid) - {parent.pid}
        time.sleep(0.05)
        assert all(alive(child) for child in children)
    finally:
        end(parent)
    assert until(lambda: not any(alive(child) for child in children)), [c for c in children if alive(c)]


def test_a_sandbox_dies_with_its_outermost_process(scene: Scene) -> None:
    outer = subprocess.Popen(
        [paths.BIN / "hil-guard", "--sandbox", "--", "sh", "-c", "setsid -f sleep 60; sleep 61; true"],
        stdin=subprocess.DEVNULL,
    )
    try:
        # outer, init, sh, two sleeps (the daemon is a child of init by then)
        assert until(lambda: len(tree(outer.pid)) == 5), tree(outer.pid)
        inside = tree(outer.pid) - {outer.pid}
    finally:
        outer.kill()
        outer.wait(10)
    assert until(lambda: not any(alive(pid) for pid in inside))


def test_a_sandbox_dies_with_the_parent_named(scene: Scene) -> None:
    body = (
        "import os, subprocess as s\n"
        "s.Popen([process.program('hil-guard'), '--sandbox', '--parent', str(os.getpid()), 'sleep', '60'])"
    )
    parent = start_parent(body)
    try:
        assert until(lambda: len(tree(parent.pid)) == 4)
        inside = tree(parent.pid) - {parent.pid}
    finally:
        end(parent)
    assert until(lambda: not any(alive(pid) for pid in inside))


def test_two_sandboxes_bind_the_same_port(scene: Scene, tmp_path: Path) -> None:
    guard = str(paths.BIN / "hil-guard")
    argv = [guard, "--sandbox", "--", sys.executable, "-m", "tests.evidence.scenes", "own_port", str(tmp_path)]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(argv, cwd=paths.ROOT, stdin=pipe, stdout=pipe) for _ in range(2)]
    try:
        for one in both:
            assert one.stdout is not None
            assert one.stdout.readline() == b"bound\n"
        assert [one.poll() for one in both] == [None, None]
    finally:
        for one in both:
            one.communicate(timeout=10)
    assert [one.returncode for one in both] == [0, 0]


def test_the_network_inside_is_loopback_with_an_ethernet_mtu(scene: Scene) -> None:
    assert scene("network") == "['lo'] 1500\n"


@pytest.mark.parametrize("mode", [[], ["--tree"], ["--sandbox"]])
def test_exit_statuses_come_through(mode: list[str], scene: Scene) -> None:
    def status(*command: str) -> int:
        guard = process.program("hil-guard")
        return subprocess.run([guard, *mode, "--", *command], check=False, timeout=10, capture_output=True).returncode

    assert status("true") == 0
    assert status("sh", "-c", "exit 7") == 7
    assert status("sh", "-c", "kill -9 $$") == (128 + 9 if mode else -9)
    assert status("/no/such/program") == 127
    assert status("/dev/null") == 126


@pytest.mark.parametrize("mode", ["--tree", "--sandbox"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_forwarded(mode: str, number: signal.Signals, scene: Scene) -> None:
    script = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [15, 2, 1])\n"
        "os.write(1, b'up')\n"
        "os._exit(signal.sigwait([15, 2, 1]))"
    )
    guard = subprocess.Popen(
        [process.program("hil-guard"), mode, "--", sys.executable, "-c", script], stdout=subprocess.PIPE
    )
    assert guard.stdout is not None
    assert guard.stdout.read(2) == b"up"
    guard.send_signal(number)
    assert guard.wait(10) == number
    guard.stdout.close()


def test_stop_is_bounded_and_closes_pipes() -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    deaf = process.spawn(["sh", "-c", script], stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"up\n"
    start = time.monotonic()
    assert process.stop(deaf, term_timeout=0.3, kill_timeout=5.0) == -9
    assert time.monotonic() - start < 3.0
    assert deaf.stdout.closed
    assert process.stop(deaf) == -9


def test_running_ends_with_its_block() -> None:
    with pytest.raises(ZeroDivisionError), process.running(["sleep", "60"]) as proc:
        assert alive(proc.pid)
        _ = 1 // 0
    assert proc.returncode == -15


def test_no_core_dumps_unless_asked_for() -> None:
    def limit(core: bool) -> bytes:
        proc = process.spawn(["sh", "-c", "ulimit -c"], stdout=subprocess.PIPE, core=core)
        return proc.communicate(timeout=10)[0].strip()

    assert limit(False) == b"0"
    assert limit(True) == subprocess.check_output(["sh", "-c", "ulimit -c"]).strip()


def test_many_threads_spawn_at_once() -> None:
    """Children started from threads that end at once all finish with their own status."""
    statuses: list[int] = []

    def one(n: int) -> None:
        statuses.append(process.spawn(["sh", "-c", f"exit {n}"]).wait(10))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == list(range(20))


def test_a_missing_program_or_guard_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no-such-tool not found") as missing:
        process.spawn(["no-such-tool"])
    assert missing.value.cause == "lab.tool_missing"
    monkeypatch.setattr(paths, "BIN", tmp_path)
    with pytest.raises(LabError, match="hil-guard is not built") as unbuilt:
        process.spawn(["true"])
    assert unbuilt.value.cause == "lab.tool_missing"


def test_enter_executes_the_same_command_inside(scene: Scene) -> None:
    script = (
        "import socket, sys\n"
        "from harness.lab import sandbox\n"
        "assert sandbox.enter() is True\n"
        "print([name for _, name in socket.if_nameindex()], sys.argv[1:], sandbox.inside())"
    )
    environment = {key: value for key, value in os.environ.items() if key != sandbox.MARK}
    done = subprocess.run(
        [sys.executable, "-c", script, "a b", "*"],
        cwd=paths.ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stdout == "['lo'] ['a b', '*'] True\n", done.stderr


def test_without_the_guard_no_sandbox_and_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "BIN", tmp_path)
    monkeypatch.delenv(sandbox.MARK, raising=False)
    sandbox.available.cache_clear()
    try:
        possible, why = sandbox.available()
        assert not possible
        assert "not built" in why
        assert sandbox.enter(["true"]) is False
    finally:
        sandbox.available.cache_clear()
