from __future__ import annotations

from pathlib import Path

import pytest

from harness.lab.pki import Pki, generate
from harness.lab.profiles import Profile, load


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return generate(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def profiles() -> dict[str, Profile]:
    return load()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "broker"
