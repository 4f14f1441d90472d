"""`hil certs check`: one test for each mistake that somebody lost days to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.cli import main
from harness.lab.pki import Pki
from harness.materials.checks import check
from harness.materials.model import Context, Problem
from harness.materials.read import read
from tests.materials.conftest import xxd

CLOCK = 1_795_000_000  # 2026-11-18


def problems(
    *files: Path, stack: str = "netx", clock: int = 0, host: str = "", buffer: int = 0, tls: str = "", suite: str = ""
) -> list[Problem]:
    import time

    pieces, calls = read(list(files))
    context = Context(stack=stack, clock=clock or int(time.time()), host=host, buffer=buffer, tls=tls, suite=suite)
    return check(pieces, calls, context)


def causes(found: list[Problem]) -> set[str]:
    return {problem.cause for problem in found}


def errors(found: list[Problem]) -> set[str]:
    return {problem.cause for problem in found if problem.severity == "error"}


def header_of(tmp_path: Path, pki: Pki, **other: bytes) -> list[Path]:
    parts = {
        "ca_der": pki.cert("ca-device-rsa2048", "der").read_bytes(),
        "client_der": pki.cert("device-rsa2048", "der").read_bytes(),
        "client_key_der": pki.key("device-rsa2048", "pkcs1-der").read_bytes(),
        **other,
    }
    return [xxd(tmp_path / f"{name}.h", name, data) for name, data in parts.items()]


def test_what_is_right_is_not_accused(tmp_path: Path, pki: Pki) -> None:
    assert problems(*header_of(tmp_path, pki)) == []
    for stack in ("mbedtls", "wolfssl"):
        files = pki.cert("ca-device-p256"), pki.chain("device-p256"), pki.key("device-p256", "sec1-pem")
        assert problems(*files, stack=stack) == []
    server = pki.chain("server-p256"), pki.cert("ca-p256")
    assert problems(*server, stack="netx", tls="1.3", host=pki.facts("server-p256").names[0]) == []


def test_pem_in_a_der_array(tmp_path: Path, pki: Pki) -> None:
    files = header_of(tmp_path, pki, ca_der=pki.cert("ca-device-rsa2048").read_bytes())
    found = problems(*files)
    assert errors(found) == {"certificate.wrong_format"}
    assert "DER only" in found[0].what
    key = header_of(tmp_path, pki, client_key_der=pki.key("device-rsa2048", "pkcs1-pem").read_bytes())
    assert errors(problems(*key)) == {"client_key.wrong_format"}


def test_pem_without_its_nul_for_mbedtls(tmp_path: Path, pki: Pki) -> None:
    text = pki.cert("ca-device-p256").read_bytes()
    without = xxd(tmp_path / "a.h", "ca_pem", text)
    found = problems(without, stack="mbedtls")
    assert errors(found) == {"certificate.wrong_format"} and "NUL" in found[0].what
    assert problems(xxd(tmp_path / "b.h", "ca_pem", text + b"\0"), stack="mbedtls") == []
    counted = xxd(tmp_path / "c.h", "ca_pem", text + b"\0", len(text))
    assert errors(problems(counted, stack="mbedtls")) == {"certificate.wrong_format"}
    literal = tmp_path / "d.c"
    lines = "\n".join(f'  "{line}\\r\\n"' for line in text.decode().splitlines())
    literal.write_text(f"/* the root */\nconst char ca_pem[] =\n{lines};\n// end\n")
    assert problems(literal, stack="mbedtls") == []
    assert problems(without, stack="wolfssl") == []


def test_a_key_of_another_certificate(tmp_path: Path, pki: Pki) -> None:
    files = header_of(tmp_path, pki, client_key_der=pki.key("server-rsa2048", "pkcs1-der").read_bytes())
    assert errors(problems(*files)) == {"client_key.mismatch"}


@pytest.mark.parametrize("name", ["device-rsa2048", "device-p256"])
def test_pkcs8_where_the_old_form_is_wanted(tmp_path: Path, pki: Pki, name: str) -> None:
    key = xxd(tmp_path / "k.h", "client_key_der", pki.key(name, "der").read_bytes())
    cert = xxd(tmp_path / "c.h", "client_der", pki.cert(name, "der").read_bytes())
    found = problems(key, cert)
    assert errors(found) == {"client_key.wrong_format"} and "PKCS#8" in found[0].what
    assert problems(key, cert, stack="mbedtls") == []


SOURCE = """
#include "client.h"
UINT setup(NX_SECURE_TLS_SESSION *s) {
    ret = nx_secure_x509_certificate_initialize(&local_client_certificate, (UCHAR*)client_der, // the certificate
        client_der_len, NX_NULL, 0, (UCHAR*)client_key_der, client_key_der_len, %s);
    ret = %s(TLS_session_ptr, &local_client_certificate);
}
"""


@pytest.mark.parametrize(
    ("constant", "store", "expected"),
    [
        ("NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER", "nx_secure_tls_local_certificate_add", set()),
        ("NX_SECURE_X509_KEY_TYPE_EC_DER", "nx_secure_tls_local_certificate_add", {"client_key.wrong_format"}),
        ("NX_SECURE_X509_KEY_TYPE_NONE", "nx_secure_tls_local_certificate_add", {"client_key.wrong_format"}),
        # Story 000 as it was posted.
        ("NX_SECURE_X509_KEY_TYPE_RSA_PKCS1_DER", "nx_secure_tls_trusted_certificate_add",
         {"client_certificate.wrong_store"}),
    ],
)  # fmt: skip
def test_key_type_constant_and_store(tmp_path: Path, pki: Pki, constant: str, store: str, expected: set[str]) -> None:
    source = tmp_path / "setup.c"
    source.write_text(SOURCE % (constant, store))
    assert errors(problems(source, *header_of(tmp_path, pki))) == expected


def deep(pki: Pki) -> str:
    """A server whose chain has an intermediate."""
    return next(n for n, c in pki.certs.items() if c.kind == "server" and len(c.chain) == 2)


def test_order_of_a_chain(tmp_path: Path, pki: Pki) -> None:
    chain = pki.chain(deep(pki)).read_text()
    blocks = [b + "-----END CERTIFICATE-----\n" for b in chain.split("-----END CERTIFICATE-----\n") if b.strip()]
    assert len(blocks) >= 2
    turned = tmp_path / "turned.pem"
    turned.write_text("".join(reversed(blocks)))
    assert "server_certificate.chain_incomplete" in errors(problems(turned, stack="mbedtls"))
    strange = tmp_path / "strange.pem"
    strange.write_text(blocks[0] + pki.cert("ca-rsa2048").read_text())
    assert "server_certificate.chain_incomplete" in errors(problems(strange, stack="mbedtls"))


def test_a_ca_that_did_not_issue_it(pki: Pki) -> None:
    found = problems(pki.cert("server-p256"), pki.cert("ca-rsa2048"), stack="mbedtls")
    assert errors(found) == {"server_certificate.untrusted"}


def test_dates_against_a_clock(pki: Pki) -> None:
    server = pki.cert("server-p256")
    assert errors(problems(server, clock=946_684_800)) == {"server_certificate.not_yet_valid"}
    assert errors(problems(server, clock=4_000_000_000)) == {"server_certificate.expired"}
    assert errors(problems(pki.cert("device-p256"), clock=4_000_000_000)) == {"client_certificate.expired"}


def test_usage(pki: Pki) -> None:
    wrong = [n for n, c in pki.certs.items() if c.kind == "server" and c.eku and "server_auth" not in c.eku]
    assert wrong, "pki.toml has a server certificate for clients only"
    found = problems(pki.cert(wrong[0]), pki.key(wrong[0], "trad-pem"), stack="mbedtls")
    assert not errors(found) - {"client_certificate.wrong_usage", "server_certificate.wrong_usage"}
    own = problems(pki.cert("server-p256"), pki.key("server-p256", "trad-pem"), stack="mbedtls")
    assert errors(own) == {"client_certificate.wrong_usage"}, "a server's certificate as the device's own"


def test_name_against_a_host(pki: Pki) -> None:
    server = pki.cert("server-p256")
    assert errors(problems(server, host="other.example.org")) == {"server_certificate.name_mismatch"}
    assert errors(problems(server, host="203.0.113.9")) == {"server_certificate.name_mismatch"}


def test_size_against_the_buffer(pki: Pki) -> None:
    large = next(n for n, c in pki.certs.items() if c.kind == "server" and c.message_bytes > 4100)
    found = problems(pki.chain(large), stack="netx")
    assert "server_certificate.too_large" in errors(found)
    size = int(next(f.what for f in found if f.cause == "server_certificate.too_large").split("has ")[1].split()[0])
    assert "server_certificate.too_large" not in errors(problems(pki.chain(large), buffer=size))
    assert "server_certificate.too_large" in errors(problems(pki.chain(large), buffer=size - 1))
    assert size == pki.facts(large).message_bytes + 4 or size == pki.facts(large).message_bytes


def test_what_netx_cannot_verify(pki: Pki) -> None:
    pss = next(n for n, f in pki.certs.items() if "pss" in f.signature.lower())
    assert "server_certificate.unsupported" in errors(problems(pki.cert(pss)))
    assert "server_certificate.unsupported" not in errors(problems(pki.cert(pss), stack="mbedtls"))
    rsa13 = problems(pki.cert("server-rsa2048"), tls="1.3")
    assert errors(rsa13) == {"tls.no_common_signature_algorithm"}
    assert errors(problems(pki.cert("server-rsa2048"), tls="1.2")) == set()
    suite = problems(pki.cert("server-rsa2048"), suite="ECDHE-RSA-AES256-GCM-SHA384")
    assert errors(suite) == {"tls.no_common_cipher_suite"}
    assert errors(problems(pki.cert("server-rsa2048"), suite="ECDHE-RSA-AES256-GCM-SHA384", stack="mbedtls")) == set()


def test_the_key_identifier_of_the_at_module(tmp_path: Path, pki: Pki) -> None:
    from harness.materials.chains import subject_key_identifier

    ca = pki.cert("ca-rsa2048")
    pieces, _ = read([ca])
    identifier = subject_key_identifier(pieces[0].certificate)
    text, binary, other = tmp_path / "ski.txt", tmp_path / "ski.bin", tmp_path / "other.bin"
    text.write_text(identifier.hex().upper())
    binary.write_bytes(identifier)
    other.write_bytes(bytes(20))
    assert errors(problems(ca, text, stack="spwf04")) == {"at_module.identifier_not_binary"}
    assert problems(ca, binary, stack="spwf04") == []
    assert errors(problems(ca, other, stack="spwf04")) == {"server_certificate.untrusted"}
    alone = problems(ca, stack="spwf04")
    assert causes(alone) == {"at_module.identifier_not_binary"} and identifier.hex() in alone[0].fix
    assert problems(pki.cert("ca-rsa2048", "der"), stack="spwf04") == []


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda d: d[:-40], "certificate.wrong_format"),  # cut off
        (lambda d: b"\x31" + d[1:], "certificate.wrong_format"),
        (lambda d: d[:2] + bytes(len(d) - 2), "certificate.wrong_format"),
    ],
)
def test_broken_bytes(tmp_path: Path, pki: Pki, change: object, cause: str) -> None:
    data = pki.cert("server-p256", "der").read_bytes()
    assert callable(change)
    assert errors(problems(xxd(tmp_path / "x.h", "ca_der", change(data)))) == {cause}


def test_a_length_that_is_not_the_certificates(tmp_path: Path, pki: Pki) -> None:
    data = pki.cert("server-p256", "der").read_bytes()
    assert errors(problems(xxd(tmp_path / "a.h", "ca_der", data, len(data) - 1))) == {"certificate.wrong_format"}
    assert causes(problems(xxd(tmp_path / "b.h", "ca_der", data + bytes(16)))) == {"certificate.wrong_format"}


def test_an_encrypted_key(tmp_path: Path) -> None:
    out = tmp_path / "k.pem"
    done = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes-128-cbc", "-pass",
         "pass:secret", "-out", str(out)], capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert errors(problems(out, stack="mbedtls")) == {"client_key.wrong_format"}


def test_command(tmp_path: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(path) for path in header_of(tmp_path, pki)]
    assert main(["certs", "check", *files, "--stack", "netx"]) == 0
    assert "nothing wrong for netx" in capsys.readouterr().out
    assert main(["certs", "check", str(pki.cert("server-p256")), "--clock", "2000-01-01", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == 1 and [p["cause"] for p in data["problems"]] == ["server_certificate.not_yet_valid"]
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for words in (["/nowhere/x.pem"], [str(tmp_path)], [str(pki.cert("server-p256")), "--clock", "noon"]):
        assert main(["certs", "check", *words]) == 4
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["certs", "check", str(empty)]) == 1


@pytest.mark.parametrize("seed", range(40))
def test_hostile_files_do_not_break_it(tmp_path: Path, pki: Pki, seed: int) -> None:
    import random

    dice = random.Random(seed)  # noqa: S311
    source = pki.cert("server-p256", "der" if seed % 2 else "pem").read_bytes()
    data = bytearray(source)
    for _ in range(dice.randrange(1, 20)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    path = tmp_path / "x"
    path.write_bytes(bytes(data[: dice.randrange(len(data))]) if seed % 3 == 0 else bytes(data))
    assert main(["certs", "check", str(path)]) in (0, 1)
    assert main(["certs", "header", str(path)]) in (0, 4)
