"""The services on a wire: real dnsmasq, real hil-ntp, a board's side in a network namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import paths
from harness.lab import sandbox


def play(scene: str, folder: Path) -> None:
    possible, why = sandbox.available()
    if not possible:
        pytest.skip(why)
    done = subprocess.run(
        [paths.BIN / "hil-guard", "--sandbox", "--", sys.executable, "-m", "tests.services.scenes", scene, folder],
        cwd=paths.ROOT, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.parametrize("scene", ["address", "lies", "bounded", "refusals", "foreign", "namespace", "command"])
def test_scene(scene: str, tmp_path: Path) -> None:
    play(scene, tmp_path)


@pytest.mark.skipif(not (shutil.which("udhcpc") or shutil.which("busybox")), reason="no udhcpc on this machine")
def test_a_client_that_is_not_ours(tmp_path: Path) -> None:
    play("real_client", tmp_path)
