"""Calls the command as a person does, and reads what it left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from harness.paths import BIN, ROOT

NEEDED = ("hil-wire", "hil-uart", "hil-capture", "hil-guard", "libhil-keylog.so")


def ready() -> bool:
    """Whether the host programs are built; the end-to-end tests need them all."""
    return all((BIN / name).exists() for name in NEEDED)


def hil(*words: str, timeout: float = 300, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *words], cwd=ROOT, capture_output=True, text=True, timeout=timeout,
        check=False, env={**os.environ, **env},
    )  # fmt: skip


def verdicts(run_dir: Path) -> list[dict[str, Any]]:
    data = msgspec.json.decode((run_dir / "run.json").read_bytes())
    found: list[dict[str, Any]] = data["verdicts"]
    return found


def wrong(given: list[dict[str, Any]]) -> list[tuple[str, str, str, list[str]]]:
    """What a good firmware must not get; the notes say what an earlier attempt was."""
    return [(v["verdict"], v["id"], v["why"], v["notes"]) for v in given if v["verdict"] not in ("pass", "skip")]
