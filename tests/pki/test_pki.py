"""What pki.toml promises, checked with `openssl`, which nobody here wrote."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.lab.keycache import KeyCache
from harness.lab.pki import CertFacts, Pki, generate, load

HOST = "broker.hil.test"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return generate(tmp_path_factory.mktemp("pki"))


def openssl(*args: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def verify_error(pki: Pki, name: str, root: str, *options: str | Path) -> int:
    """0, or the X509_V_ERR number that `openssl verify` finds for the certificate with its own chain file."""
    said = openssl("verify", "-trusted", pki.cert(root), "-untrusted", pki.chain(name), *options, pki.cert(name))
    match = re.search(r"error (\d+) at \d+ depth", said)
    assert match or said.strip().endswith(": OK"), said
    return int(match[1]) if match else 0


SERVER: dict[str, int] = {
    "server-rsa2048": 0, "server-rsa3072": 0, "server-rsa4096": 0, "server-rsa2048-intermediate": 0,
    "server-rsa2048-chain-5k": 0, "server-rsa2048-chain-8k": 0, "server-rsa2048-chain-20k": 0,
    "server-rsa2048-pss": 0, "server-rsa2048-sha1": 68,
    "server-rsa2048-expired": 10, "server-rsa2048-not-yet-valid": 9, "server-rsa2048-wrong-name": 62,
    "server-rsa2048-client-usage": 26, "server-rsa2048-code-usage": 26, "server-rsa2048-self-signed": 18,
    "server-rsa2048-unknown-ca": 20, "server-rsa2048-twin-ca": 7, "server-rsa2048-missing-intermediate": 20,
    "server-p256": 0, "server-p521": 0, "server-ed25519": 0, "server-p256-intermediate": 0,
    "server-p256-chain-5k": 0, "server-p256-chain-8k": 0, "server-p256-chain-20k": 0,
    "server-p256-expired": 10, "server-p256-not-yet-valid": 9, "server-p256-wrong-name": 62,
    "server-p256-client-usage": 26, "server-p256-code-usage": 26, "server-p256-self-signed": 18,
    "server-p256-unknown-ca": 20, "server-p256-twin-ca": 7, "server-p256-missing-intermediate": 20,
    "server-p384": 0, "server-p256-under-p384": 0,
}


def test_every_server_certificate_has_exactly_its_defect(pki: Pki) -> None:
    names = {name for name, facts in pki.certs.items() if facts.kind == "server"}
    assert names == set(SERVER)
    found = {}
    for name in names:
        trust = "ca-p384" if "p384" in name else "ca-rsa2048" if "rsa" in name else "ca-p256"
        strict = ["-purpose", "sslserver", "-verify_hostname", HOST, "-auth_level", "2"]
        found[name] = verify_error(pki, name, trust, *strict)
    assert found == SERVER


def test_defects_are_the_only_ones(pki: Pki) -> None:
    """A defect taken out of sight leaves a certificate that verifies: nothing else is wrong with it."""
    strict = ["-purpose", "sslserver", "-verify_hostname", HOST]
    now = int(time.time())
    for key in ("rsa2048", "p256"):
        ca = f"ca-{key}"
        assert verify_error(pki, f"server-{key}-expired", ca, *strict, "-attime", str(now - 100 * 86400)) == 0
        assert verify_error(pki, f"server-{key}-not-yet-valid", ca, *strict, "-attime", str(now + 400 * 86400)) == 0
        assert verify_error(pki, f"server-{key}-wrong-name", ca, "-verify_hostname", "other.test") == 0
        assert verify_error(pki, f"server-{key}-unknown-ca", f"ca-other-{key}", *strict) == 0
        assert verify_error(pki, f"server-{key}-twin-ca", f"ca-twin-{key}", *strict) == 0
        assert verify_error(pki, f"server-{key}-client-usage", ca, "-purpose", "sslclient") == 0
        whole: list[str | Path] = ["-untrusted", pki.cert(f"ca-int-{key}")]
        assert verify_error(pki, f"server-{key}-missing-intermediate", ca, *strict, *whole) == 0


@pytest.mark.parametrize("key", ["rsa2048", "p256", "p384"])
def test_devices(pki: Pki, key: str) -> None:
    root = f"ca-device-{key}"
    expected = {"": 0, "-expired": 10, "-not-yet-valid": 9, "-wrong-usage": 26, "-unknown-ca": 20, "-revoked": 0,
                "-intermediate": 0, "-missing-intermediate": 20, "-spare": 0, "-mismatch": 0, "-mismatch-type": 0}
    names = {name for name, facts in pki.certs.items() if facts.kind == "device" and name.startswith(f"device-{key}")}
    assert names - {"device-rsa2048-sha1"} == {f"device-{key}{suffix}" for suffix in expected}
    found = {
        suffix: verify_error(pki, f"device-{key}{suffix}", root, "-purpose", "sslclient") for suffix in expected
    }
    assert found == expected


def test_weak_devices(pki: Pki) -> None:
    assert verify_error(pki, "device-rsa1024", "ca-device-rsa2048", "-auth_level", "2") == 66
    assert verify_error(pki, "device-rsa2048-sha1", "ca-device-rsa2048", "-auth_level", "2") == 68


@pytest.mark.parametrize("key", ["rsa2048", "p256", "p384"])
def test_revocation_lists(pki: Pki, key: str) -> None:
    root = f"ca-device-{key}"

    def check(device: str, crl: str) -> int:
        return verify_error(pki, device, root, "-crl_check", "-CRLfile", pki.crl(crl))

    assert check(f"device-{key}", f"crl-{key}") == 0
    assert check(f"device-{key}-revoked", f"crl-{key}") == 23
    assert check(f"device-{key}", f"crl-{key}-expired") == 12
    assert check(f"device-{key}", "crl-other") == 3


def public_of(path: Path, form: str) -> str:
    return openssl("pkey", "-in", path, "-inform", form, "-pubout")


def test_keys_fit_their_certificates_in_every_format(pki: Pki) -> None:
    chosen = ["server-rsa2048", "server-rsa3072", "server-rsa4096", "server-p256", "server-p384", "server-p521",
              "server-ed25519", "device-rsa2048", "device-p256", "device-rsa1024"]
    for name in chosen:
        wanted = openssl("x509", "-in", pki.cert(name), "-noout", "-pubkey")
        assert "BEGIN PUBLIC KEY" in wanted
        assert openssl("x509", "-in", pki.cert(name, "der"), "-inform", "DER", "-noout", "-pubkey") == wanted
        facts = pki.facts(name)
        own = {"rsa": "pkcs1", "ec": "sec1"}.get(facts.key)
        assert public_of(pki.key(name), "PEM") == public_of(pki.key(name, "der"), "DER") == wanted
        if own == "pkcs1":
            assert public_of(pki.key(name, "pkcs1-pem"), "PEM") == wanted
            assert public_of(pki.key(name, "pkcs1-der"), "DER") == wanted
            assert "BEGIN RSA PRIVATE KEY" in pki.key(name, "trad-pem").read_text()
        if own == "sec1":
            assert public_of(pki.key(name, "sec1-pem"), "PEM") == wanted
            assert public_of(pki.key(name, "sec1-der"), "DER") == wanted
            assert "BEGIN EC PRIVATE KEY" in pki.key(name, "trad-pem").read_text()
    with pytest.raises(UsageError, match="no sec1-der form"):
        pki.key("server-rsa2048", "sec1-der")
    with pytest.raises(UsageError, match="no trad-der form"):
        pki.key("server-ed25519", "trad-der")


def test_mismatched_keys_do_not_fit(pki: Pki) -> None:
    for key in ("rsa2048", "p256", "p384"):
        same, other = f"device-{key}-mismatch", f"device-{key}-mismatch-type"
        for name in (same, other):
            assert not pki.facts(name).key_matches
            assert public_of(pki.key(name), "PEM") != openssl("x509", "-in", pki.cert(name), "-noout", "-pubkey")
        kinds = [openssl("pkey", "-in", pki.key(name), "-noout", "-text").split("\n")[0] for name in (same, other)]
        assert kinds[0] == openssl("pkey", "-in", pki.key(f"device-{key}"), "-noout", "-text").split("\n")[0]
        assert kinds[0] != kinds[1]


def text_of(pki: Pki, name: str) -> str:
    return openssl("x509", "-in", pki.cert(name), "-noout", "-text")


def test_facts_are_what_openssl_reads(pki: Pki) -> None:
    def check(facts: CertFacts) -> None:
        text = text_of(pki, facts.name)
        assert f"Signature Algorithm: {facts.signature}\n" in text
        assert f"({facts.bits} bit)" in text or facts.key == "ed25519"
        dates = openssl("x509", "-in", pki.cert(facts.name), "-noout", "-dates", "-serial", "-fingerprint", "-sha256")
        for label, value in (("notBefore", facts.not_before), ("notAfter", facts.not_after)):
            match = re.search(rf"{label}=(.*)", dates)
            assert match
            assert dt.datetime.strptime(match[1] + "+0000", "%b %d %H:%M:%S %Y GMT%z").timestamp() == value
        assert f"serial={facts.serial.upper()}" in dates
        assert facts.sha256 in dates.replace(":", "").lower()
        for name in facts.names:
            assert f"DNS:{name}" in text

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(check, pki.certs.values()))


def test_the_defects_of_signatures(pki: Pki) -> None:
    assert "Signature Algorithm: rsassaPss" in text_of(pki, "server-rsa2048-pss")
    assert "Signature Algorithm: sha1WithRSAEncryption" in text_of(pki, "server-rsa2048-sha1")
    assert verify_error(pki, "server-rsa2048-sha1", "ca-rsa2048", "-auth_level", "0") == 0, "not only weak"


@pytest.mark.parametrize(("name", "size"), [("5k", 5006), ("8k", 8192), ("20k", 20480)])
@pytest.mark.parametrize("key", ["rsa2048", "p256"])
def test_big_chains_have_their_exact_size(pki: Pki, key: str, name: str, size: int) -> None:
    chain = pki.chain(f"server-{key}-chain-{name}").read_text()
    parts = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", chain, re.DOTALL)
    assert len(parts) == 3
    ders = [
        subprocess.run(["openssl", "x509", "-outform", "DER"], input=part.encode(), capture_output=True, check=True)
        for part in parts
    ]
    # RFC 5246 7.4.2: type and length, length of the list, and a length before each certificate.
    assert 4 + 3 + sum(3 + len(der.stdout) for der in ders) == size
    assert pki.facts(f"server-{key}-chain-{name}").message_bytes == size


def test_warm_generation_takes_under_two_seconds(pki: Pki, tmp_path: Path) -> None:
    """Measured in CPU time of this process, which a loaded machine does not stretch; it takes about 0.15 s."""
    start = time.process_time()
    keys = KeyCache()
    generate(tmp_path / "again", keys=keys)
    assert keys.made == []
    assert time.process_time() - start < 2.0


def test_validity_is_relative_to_the_given_moment(tmp_path: Path) -> None:
    now = dt.datetime(2031, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
    made = generate(tmp_path / "later", now=now)
    day = 86400
    assert made.made == now.timestamp()
    assert made.facts("server-p256").not_before == now.timestamp() - day
    assert made.facts("server-p256-expired").not_after == now.timestamp() - 30 * day
    assert made.facts("ca-p256").not_before == 0
    assert made.crls["crl-p256-expired"].next_update == now.timestamp() - 30 * day


def test_files_are_private_and_can_be_opened_again(pki: Pki) -> None:
    assert pki.out.stat().st_mode & 0o077 == 0
    for path in (pki.out / "keys").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    again = Pki(pki.out)
    assert again.certs == pki.certs and again.crls == pki.crls
    with pytest.raises(UsageError, match="no generated certificates"):
        Pki(pki.out / "keys")


def test_bundles(pki: Pki) -> None:
    bundle = pki.ca_bundle(["ca-rsa2048", "ca-p256"])
    assert bundle.read_bytes() == pki.cert("ca-rsa2048").read_bytes() + pki.cert("ca-p256").read_bytes()
    assert pki.ca_bundle(["ca-p256"]) == pki.cert("ca-p256")
    assert pki.ca_bundle(["ca-p256", "ca-rsa2048"]) != bundle
    assert pki.crl_bundle(["crl-p256", "crl-other"]).read_text().count("BEGIN X509 CRL") == 2
    with pytest.raises(UsageError):
        pki.ca_bundle([])


def test_unknown_names(pki: Pki) -> None:
    for ask in (pki.cert, pki.chain, pki.key, pki.crl, pki.facts):
        with pytest.raises(UsageError, match="nobody"):
            ask("nobody")
    with pytest.raises(UsageError, match="unknown format"):
        pki.cert("ca-p256", "pfx")  # type: ignore[arg-type]


MINIMAL = """
[cert.root]
kind = "root"
key = "p256"
not_before = "-1d"
not_after = "+1d"
[cert.leaf]
kind = "server"
key = "p256"
issuer = "root"
not_before = "-1d"
not_after = "+1d"
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((b'key = "p256"\nissuer', b'kee = "p256"\nissuer'), r"\[cert.leaf\]: .*`kee`"),
        ((b'key = "p256"\nissuer', b'key = "p257"\nissuer'), r"\[cert.leaf\]: key `key`: .*p257"),
        ((b'issuer = "root"', b'issuer = "rot"'), r"\[cert.leaf\]: key `issuer`: no certificate `rot`"),
        ((b'kind = "root"', b'kind = "root"\nissuer = "leaf"'), "circle"),
        ((b'"-1d"', b'"yesterday"'), r"\[cert.root\]: `yesterday` is neither"),
        ((b'"-1d"', b'"+2d"'), r"\[cert.root\]: it ends before it begins"),
        ((b'issuer = "root"', b'issuer = "root"\nsignature = "sha1"'), "needs an issuer with an RSA key"),
        ((b'issuer = "root"', b'issuer = "root"\nchain_bytes = 20'), "bytes more without any padding"),
        ((b'issuer = "root"', b'like = "nothing"'), r"\[leaf\]: key `like`: no table `nothing`"),
        ((b"[cert.leaf]", b"[certs.leaf]"), "unknown table"),
        ((b"[cert.leaf]", b"[cert.leaf"), "not valid TOML"),
    ],
)
def test_mistakes_in_the_table_are_named_with_file_and_key(
    tmp_path: Path, change: tuple[bytes, bytes], says: str
) -> None:
    path = tmp_path / "pki.toml"
    whole = MINIMAL.encode()
    path.write_bytes(whole)
    assert generate(tmp_path / "good", table=path).facts("leaf").root == "root"
    assert change[0] in whole
    path.write_bytes(whole.replace(change[0], change[1], 1))
    with pytest.raises(UsageError, match=says) as caught:
        generate(tmp_path / "bad", table=path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_revoking_what_another_issued_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "pki.toml"
    crl = '[crl.x]\nissuer = "leaf"\nrevoked = ["leaf"]\nthis_update = "-1d"\nnext_update = "+1d"\n'
    path.write_text(MINIMAL + crl)
    with pytest.raises(UsageError, match="not issued by"):
        load(path)
