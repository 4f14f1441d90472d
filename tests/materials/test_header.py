"""`hil certs header`: what it writes, a C compiler reads, and the bytes come back."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from harness.cli import main
from harness.lab.pki import Pki
from harness.materials.read import read

PROGRAM = """
#include <stdio.h>
#include "{header}"
int main(void) {{ return fwrite({name}, 1, {name}_len, stdout) != {name}_len || {name}_len != sizeof {name}; }}
"""


def bytes_of(tmp_path: Path, header: Path, name: str) -> bytes:
    """Compiles the header strictly and prints the array."""
    (tmp_path / "main.c").write_text(PROGRAM.format(header=header, name=name))
    built = subprocess.run(
        ["cc", "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-o", tmp_path / "main", tmp_path / "main.c"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return subprocess.run([tmp_path / "main"], capture_output=True, timeout=10, check=True).stdout


@pytest.mark.parametrize("source", ["pem", "der"])
def test_a_certificate(tmp_path: Path, pki: Pki, source: str) -> None:
    out = tmp_path / "ca.h"
    path = pki.cert("ca-p256", "pem" if source == "pem" else "der")
    assert main(["certs", "header", str(path), "--stack", "netx", "--name", "ca_der", "--out", str(out)]) == 0
    assert bytes_of(tmp_path, out, "ca_der") == pki.cert("ca-p256", "der").read_bytes()
    assert read([out])[0][0].what == "certificate"


@pytest.mark.parametrize(("name", "form"), [("device-rsa2048", "pkcs1"), ("device-p256", "sec1")])
def test_any_key_becomes_what_netx_takes(tmp_path: Path, pki: Pki, name: str, form: str) -> None:
    out = tmp_path / "key.h"
    words = ["certs", "header", str(pki.key(name, "pem")), "--stack", "netx", "--name", "k", "--out", str(out)]
    assert main(words) == 0
    assert bytes_of(tmp_path, out, "k") == pki.key(name, "trad-der").read_bytes()
    assert read([out])[0][0].form_of_key == form
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    constant = {"pkcs1": "NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER", "sec1": "NX_SECURE_X509_KEY_TYPE_EC_DER"}[form]
    assert constant in out.read_text()


def test_pem_for_mbedtls_counts_its_nul(tmp_path: Path, pki: Pki) -> None:
    out = tmp_path / "ca.h"
    words = ["certs", "header", str(pki.cert("ca-p256", "der")), "--stack", "mbedtls", "--form", "pem", "--name", "c"]
    assert main([*words, "--out", str(out), "--ram", "--align", "32"]) == 0
    data = bytes_of(tmp_path, out, "c")
    assert data.endswith(b"-----END CERTIFICATE-----\n\0")
    assert "static unsigned char c[] __attribute__((aligned(32)))" in out.read_text()


def test_a_chain_is_an_array_each(tmp_path: Path, pki: Pki) -> None:
    out = tmp_path / "chain.h"
    chain = next(n for n, c in pki.certs.items() if len(c.chain) == 2)
    assert main(["certs", "header", str(pki.chain(chain)), "--stack", "netx", "--out", str(out)]) == 0
    names = [piece.blob.name for piece in read([out])[0]]
    assert len(names) == len(set(names)) >= 2


@pytest.mark.parametrize(
    "words",
    [["--form", "pem", "--stack", "netx"], ["--name", "1ca"], ["--name", "a b"]],
)
def test_what_cannot_be(pki: Pki, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["certs", "header", str(pki.cert("ca-p256")), *words]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1
