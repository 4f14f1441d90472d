"""Every test has a lab of its own: locks, state and lab.toml in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def lab_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.setenv("HIL_LOCKS", str(folder / "locks"))
    monkeypatch.setenv("HIL_STATE", str(folder / "state"))
    monkeypatch.setenv("HIL_LAB", str(folder / "lab.toml"))
    (folder / "lab.toml").write_text("")
    return folder
