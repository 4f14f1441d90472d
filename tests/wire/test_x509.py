"""Certificate facts against the `cryptography` package: every certificate of the field captures, and made ones."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harness.evidence.wire import decode
from tests.wire.captures import FIELD, pcap
from tests.wire.sessions import Recording, packets

USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
EKUS = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}
SHORT = {"commonName": "CN", "organizationName": "O", "countryName": "C", "organizationalUnitName": "OU"}


def name(value: x509.Name) -> str:
    return ", ".join(f"{SHORT[str(a.oid._name)]}={a.value!s}" for a in value)


def key_facts(key: Any) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPublicKey):
        return {"key": "rsa", "bits": key.key_size}
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"key": "ec", "bits": key.key_size, "curve": key.curve.name}
    return {"key": "ed25519", "bits": 256}


def facts(cert: x509.Certificate) -> dict[str, Any]:
    """What hil-wire should say, from the other parser."""
    common = [str(a.value) for a in cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    out: dict[str, Any] = {
        "len": len(cert.public_bytes(Encoding.DER)),
        "subject": name(cert.subject),
        "issuer": name(cert.issuer),
        "cn": common[-1] if common else "",
        "serial": cert.serial_number,
        "not_before": int(cert.not_valid_before_utc.timestamp()),
        "not_after": int(cert.not_valid_after_utc.timestamp()),
        "self_signed": cert.subject == cert.issuer,
        "sha256": cert.fingerprint(hashes.SHA256()).hex(),
        "dns": [],
        "ip": [],
        "ca": False,
        **key_facts(cert.public_key()),
    }
    for extension in cert.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            out["dns"] = value.get_values_for_type(x509.DNSName)
            out["ip"] = [str(a) for a in value.get_values_for_type(x509.IPAddress)]
        elif isinstance(value, x509.BasicConstraints):
            out["ca"] = value.ca
        elif isinstance(value, x509.KeyUsage):
            out["key_usage"] = [ours for ours, theirs in USAGES.items() if getattr(value, theirs)]
        elif isinstance(value, x509.ExtendedKeyUsage):
            out["eku"] = [EKUS.get(oid, "other") for oid in value]
        elif isinstance(value, x509.SubjectKeyIdentifier):
            out["ski"] = value.digest.hex()
        elif isinstance(value, x509.AuthorityKeyIdentifier) and value.key_identifier:
            out["aki"] = value.key_identifier.hex()
    return out


def compare(said: dict[str, Any], cert: x509.Certificate) -> None:
    mine = {**said, "serial": int(said["serial"], 16)}
    mine.pop("der")
    sig = str(mine.pop("sig"))
    theirs = facts(cert)
    if more := len(theirs["dns"]) - 64 if len(theirs["dns"]) > 64 else 0:
        theirs |= {"dns": theirs["dns"][:64], "names_more": more}
    assert mine == theirs
    digest = cert.signature_hash_algorithm
    if digest is not None:
        assert digest.name in sig.lower() or sig == "rsassaPss"


def field() -> Iterator[tuple[str, dict[str, Any]]]:
    seen = set()
    for path in sorted(FIELD.glob("*.pcap")):
        keys = path.with_suffix(".keys")
        for event in decode(path, keylog=keys if keys.exists() else None, der=True, events=("certificate",)):
            for cert in event["chain"]:
                if cert["sha256"] not in seen:
                    seen.add(cert["sha256"])
                    yield path.stem, cert


def test_field_certificates() -> None:
    count = 0
    for stem, said in field():
        try:
            cert = x509.load_der_x509_certificate(bytes.fromhex(said["der"]))
        except ValueError:
            pytest.fail(f"{stem}: the other parser cannot read it")
        compare(said, cert)
        count += 1
    assert count > 25


def through_the_wire(der: list[bytes], path: Path) -> list[dict[str, Any]]:
    """A Certificate message in a TLS 1.2 record of a server."""
    chain = b"".join(len(d).to_bytes(3, "big") + d for d in der)
    body = len(chain).to_bytes(3, "big") + chain
    message = b"\x0b" + len(body).to_bytes(3, "big") + body
    record = b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message
    path.write_bytes(pcap(packets(Recording([(False, record)], ""), 10**18, 1)))
    events = [e for e in decode(path, der=True) if e["ev"] == "certificate"]
    assert len(events) == 1 and events[0]["count"] == len(der)
    chain_said: list[dict[str, Any]] = events[0]["chain"]
    return chain_said


@pytest.mark.parametrize("kind", ["p384", "p521", "ed25519", "rsa"])
def test_made_certificates(kind: str, tmp_path: Path) -> None:
    key: Any
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    elif kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(ec.SECP384R1() if kind == "p384" else ec.SECP521R1())
    subject = x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Böse "Firma", \\ GmbH'),
        x509.NameAttribute(NameOID.COMMON_NAME, "brøker\u2026"),
    ])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    names: list[x509.GeneralName] = [x509.DNSName(f"n{i}.example") for i in range(5)]
    names += [x509.IPAddress(ipaddress.ip_address(a)) for a in ("192.0.2.1", "2001:db8::1")]
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(2**150 + 7)
        .not_valid_before(dt.datetime(1999, 12, 31, 23, 59, 59))
        .not_valid_after(dt.datetime(2061, 2, 28, 12, 0, 1))  # GeneralizedTime from 2050 on
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, None if kind == "ed25519" else hashes.SHA384())
    )
    der = cert.public_bytes(Encoding.DER)
    for said in through_the_wire([der, der], tmp_path / "x.pcap"):
        compare(said, cert)
    for cut in range(0, len(der), 17):
        said = through_the_wire([der[:cut]], tmp_path / "x.pcap")[0]
        assert "malformed" in said
