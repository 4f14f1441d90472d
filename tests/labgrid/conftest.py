"""Locks, state, lab.toml and identity of each test's own. Two xdist groups: whole runs, and all else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labgrid.rig import HOST, USER, VENV, Echo, Rig, rig


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/labgrid/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("labgrid-runs" if "test_runs" in item.nodeid else "labgrid"))


@pytest.fixture(autouse=True)
def lab_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    for name, value in (
        ("HIL_LOCKS", folder / "locks"),
        ("HIL_STATE", folder / "state"),
        ("HIL_LAB", folder / "lab.toml"),
        ("LG_HOSTNAME", HOST),
        ("LG_USERNAME", USER),
    ):
        monkeypatch.setenv(name, str(value))
    for name in ("LG_COORDINATOR", "LG_ENV", "LG_PLACE", "LG_TOKEN", "LG_STATE"):
        monkeypatch.delenv(name, raising=False)
    (folder / "lab.toml").write_text("")
    return folder


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests that leave it as it was: places p1 to p8 with echoing devices, tags board and slot."""
    assert (VENV / "labgrid-client").exists(), "labgrid is not installed: run setup/labgrid.sh"
    places = {f"p{n}": {"board": "h563" if n > 6 else "f429", "slot": str(n)} for n in range(1, 9)}
    with rig(tmp_path_factory.mktemp("labgrid"), places) as made:
        for name in places:
            Echo(made.port(name))
        made.start_exporter()
        yield made


@pytest.fixture
def lab(shelf: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """The shelf, with its coordinator in LG_COORDINATOR. Nothing is held afterwards."""
    monkeypatch.setenv("LG_COORDINATOR", shelf.address)
    yield shelf
    assert shelf.holders() == {} and shelf.reservations() == 0


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A coordinator of the test's own with places p1 and p2, to be maltreated."""
    assert (VENV / "labgrid-client").exists(), "labgrid is not installed: run setup/labgrid.sh"
    folder = tmp_path / "labgrid"
    folder.mkdir()
    with rig(folder, {"p1": {}, "p2": {}}) as made:
        monkeypatch.setenv("LG_COORDINATOR", made.address)
        yield made
