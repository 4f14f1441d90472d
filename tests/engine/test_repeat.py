"""The good firmware is never accused: the whole set, twenty times over."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.engine.bench import hil, ready, verdicts, wrong

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("engine")]

ROUNDS = int(os.environ.get("HIL_TEST_ROUNDS", "20"))


def test_the_good_firmware_is_never_accused(tmp_path: Path) -> None:
    done = hil("run", "--target", "native", "--repeat", str(ROUNDS), "-n", "6", "--run-dir", str(tmp_path), timeout=880)
    given = verdicts(tmp_path)
    assert wrong(given) == []
    assert done.returncode == 0, done.stderr[-2000:]
    rounds = Counter(v["id"] for v in given)
    assert set(rounds.values()) == {ROUNDS}
    passed = {v["id"].partition("[")[0] for v in given if v["verdict"] == "pass"}
    assert len(passed) >= 70
