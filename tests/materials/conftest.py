"""One set of certificates for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.lab import pki as pkis


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> pkis.Pki:
    return pkis.generate(tmp_path_factory.mktemp("materials") / "pki")


def xxd(path: Path, name: str, data: bytes, length: int | None = None) -> Path:
    """As `xxd -i` writes it."""
    rows = ["  " + ", ".join(f"0x{b:02x}" for b in data[i : i + 12]) for i in range(0, len(data), 12)]
    size = len(data) if length is None else length
    path.write_text(f"unsigned char {name}[] = {{\n" + ",\n".join(rows) + f"\n}};\nunsigned int {name}_len = {size};\n")
    return path
