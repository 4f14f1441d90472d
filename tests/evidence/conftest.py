"""Running a scene of tests/evidence/scenes.py in a network of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import paths
from harness.lab import sandbox

Scene = Callable[..., str]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """`scene(name, *arguments)` runs it inside a sandbox, in `tmp_path`, and returns what it printed."""
    possible, why = sandbox.available()
    if not possible:
        pytest.skip(why)

    def run(name: str, *arguments: str, timeout: float = 50.0) -> str:
        guard = [str(paths.BIN / "hil-guard"), "--sandbox", "--"]
        done = subprocess.run(
            [*guard, sys.executable, "-m", "tests.evidence.scenes", name, str(tmp_path), *arguments],
            cwd=paths.ROOT, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
