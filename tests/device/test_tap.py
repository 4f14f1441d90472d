"""The tap of emulated boards. It exists in a network of our own only, so the cases run in a sandbox: tap_cases.py."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness import paths
from harness.device import tap
from harness.device.tap import Tap
from harness.errors import LabError
from harness.lab import sandbox
from tests.device.qemu_bench import build as built
from tests.device.qemu_bench import load_target
from tests.device.test_qemu_machine import build as selftest

pytestmark = pytest.mark.xdist_group("boards")  # they build in one folder


def test_never_in_the_hosts_own_network() -> None:
    if sandbox.inside():
        pytest.skip("this run is in a sandbox itself")
    assert not tap.possible()
    with pytest.raises(LabError, match="sandbox"):
        Tap()


def test_the_cases_in_a_sandbox() -> None:
    able, why = sandbox.available()
    if not able or not os.access(tap.TUN, os.R_OK | os.W_OK):
        pytest.skip(why if not able else f"{tap.TUN} is not ours to open")
    for name in ("qemu-m33", "qemu-m4"):
        built(load_target(name))  # here, where it may take its time
    selftest("qemu_m33")
    done = subprocess.run(
        [paths.BIN / "hil-guard", "--sandbox", "--parent", str(os.getpid()), "--", sys.executable, "-m",
         "tests.device.tap_cases"],
        cwd=paths.ROOT, env={**os.environ, sandbox.MARK: "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "4 passed" in done.stdout
