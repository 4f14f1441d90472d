"""No invalid read, no uninitialised value, no leak: the decoder under valgrind on field captures, keys included."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.paths import BIN

DATA = Path(__file__).parent.parent / "data" / "field-captures"
EVERY = 9  # each ninth capture: a minute under valgrind would be spent on the rest
CAPTURES = sorted(DATA.glob("*.pcap"))[::EVERY]
ERROR = 99


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_clean_under_valgrind(capture: Path) -> None:
    keys = capture.with_suffix(".keys")
    command = ["valgrind", "--quiet", "--leak-check=full", f"--error-exitcode={ERROR}", str(BIN / "hil-wire")]
    command += ["--keylog", str(keys)] if keys.exists() else []
    done = subprocess.run([*command, str(capture)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"ev":"end"' in done.stdout.splitlines()[-1].replace(" ", "")
