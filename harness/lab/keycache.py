"""Private keys by type and slot. RSA keys are slow to make, so they are kept between runs, outside the repository.

The cache is `$HIL_KEYCACHE`, else `$XDG_CACHE_HOME/hil/keys`, else `~/.cache/hil/keys`: folder 0700, files 0600, each
written whole under another name and linked into place, so that writers at the same time agree on one key. A file that
cannot be read back as the key it should be is replaced. Keys on curves take under a millisecond and are not kept.
These keys belong to a test lab: they must protect nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

KeyType = Literal["rsa1024", "rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521", "ed25519"]
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Progress = Callable[[str], None]

_CURVES: dict[str, type[ec.EllipticCurve]] = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}


def default_folder() -> Path:
    if override := os.environ.get("HIL_KEYCACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hil" / "keys"


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class KeyCache:
    """Hands out one key for each (type, slot). `progress` is told before each slow key is made."""

    def __init__(self, folder: Path | None = None, progress: Progress | None = None) -> None:
        self.folder = folder or default_folder()
        self.made: list[str] = []
        self._progress = progress or _to_stderr
        self._keys: dict[tuple[str, str], Key] = {}

    def get(self, kind: KeyType, slot: str) -> Key:
        known = self._keys.get((kind, slot))
        if known is None:
            known = self._rsa(kind, slot) if kind.startswith("rsa") else _quick(kind)
            self._keys[(kind, slot)] = known
        return known

    def _rsa(self, kind: str, slot: str) -> rsa.RSAPrivateKey:
        path = self.folder / f"{kind}-{slot}.pem"
        bits = int(kind[3:])
        key = _load(path, bits)
        if key is not None:
            return key
        self.made.append(path.stem)
        self._progress(f"keys: making {kind} for {slot} (once; kept in {self.folder})")
        return self._keep(path, rsa.generate_private_key(65537, bits), bits)

    def _keep(self, path: Path, key: rsa.RSAPrivateKey, bits: int) -> rsa.RSAPrivateKey:
        """The key that ends up in the cache: ours, or that of a writer who was faster. A cache that cannot be
        written costs time only."""
        data = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                 serialization.NoEncryption())
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
            whole = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                try:
                    os.link(whole, path)
                except FileExistsError:
                    theirs = _load(path, bits)
                    if theirs is not None:
                        return theirs
                    whole.replace(path)
                    return key
            finally:
                whole.unlink(missing_ok=True)
        except OSError as error:
            self._progress(f"keys: {self.folder} cannot be written ({error.strerror}): keys are made each time")
        return key


def _quick(kind: str) -> Key:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[kind]())


def _load(path: Path, bits: int) -> rsa.RSAPrivateKey | None:
    """The key at `path` if it is a sound RSA key of `bits`. None: not there, cut short, or another one."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != bits:
        return None
    numbers = key.private_numbers()
    return key if numbers.p * numbers.q == numbers.public_numbers.n else None
