"""The unit tests of the portable firmware code, in C under ASan and UBSan, through CTest."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.paths import ROOT


def test_portable_code(tmp_path: Path) -> None:
    folder = ROOT / "build" / "asan" / "firmware_shims"
    configure = ["cmake", "-S", "firmware_shims", "-B", str(folder), "-G", "Ninja", "-DHIL_TESTS=ON"]
    report = tmp_path / "ctest.xml"
    ctest = ["ctest", "--test-dir", str(folder), "--output-on-failure", "--no-tests=error", "--output-junit"]
    for command in (configure, ["cmake", "--build", str(folder)], [*ctest, str(report)]):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert report.read_text().count("<testcase") >= 7
