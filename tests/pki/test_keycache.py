"""RSA keys are kept between runs, private, and writers at the same time agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from harness.lab.keycache import Key, KeyCache, default_folder
from harness.paths import ROOT


def number(key: Key) -> int:
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.private_numbers().public_numbers.n


def silent(_text: str) -> None:
    pass


def test_rsa_keys_are_kept_and_announced(tmp_path: Path) -> None:
    said: list[str] = []
    first = KeyCache(tmp_path / "keys", said.append)
    key = first.get("rsa1024", "device")
    assert isinstance(key, rsa.RSAPrivateKey) and key.key_size == 1024
    assert len(said) == 1 and "rsa1024" in said[0] and first.made == ["rsa1024-device"]
    assert first.get("rsa1024", "device") is key
    second = KeyCache(tmp_path / "keys", said.append)
    assert number(second.get("rsa1024", "device")) == number(key)
    assert len(said) == 1 and second.made == []
    assert number(second.get("rsa1024", "other")) != number(key)


def test_files_are_private(tmp_path: Path) -> None:
    KeyCache(tmp_path / "keys", silent).get("rsa1024", "device")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    files = list((tmp_path / "keys").iterdir())
    assert [path.name for path in files] == ["rsa1024-device.pem"]
    assert files[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", b"\0" * 100])
def test_a_spoilt_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rsa1024-device.pem"
    path.write_bytes(content)
    key = KeyCache(tmp_path, silent).get("rsa1024", "device")
    assert number(KeyCache(tmp_path, silent).get("rsa1024", "device")) == number(key)


def test_a_key_of_another_size_is_replaced(tmp_path: Path) -> None:
    KeyCache(tmp_path, silent).get("rsa1024", "device")
    (tmp_path / "rsa1024-device.pem").rename(tmp_path / "rsa2048-device.pem")
    key = KeyCache(tmp_path, silent).get("rsa2048", "device")
    assert isinstance(key, rsa.RSAPrivateKey) and key.key_size == 2048


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    cache = KeyCache(tmp_path / "file" / "keys", said.append)
    assert isinstance(cache.get("rsa1024", "device"), rsa.RSAPrivateKey)
    assert any("cannot be written" in text for text in said)


def test_curves_are_made_each_time(tmp_path: Path) -> None:
    cache = KeyCache(tmp_path / "keys", silent)
    p384 = cache.get("p384", "server")
    assert isinstance(p384, ec.EllipticCurvePrivateKey) and p384.curve.name == "secp384r1"
    assert isinstance(cache.get("ed25519", "server"), ed25519.Ed25519PrivateKey)
    assert not (tmp_path / "keys").exists()


def test_eight_writers_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom harness.lab.keycache import KeyCache\n"
        "key = KeyCache(Path(sys.argv[1]), lambda text: None).get('rsa1024', 'x')\n"
        "print(key.private_numbers().public_numbers.n)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    said = {child.communicate(timeout=60)[0].strip() for child in children}
    assert len(said) == 1 and said != {""}
    assert [path.name for path in tmp_path.iterdir()] == ["rsa1024-x.pem"]


def test_the_cache_is_not_in_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HIL_KEYCACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert not default_folder().is_relative_to(ROOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "hil" / "keys"
