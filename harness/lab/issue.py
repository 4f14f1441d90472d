"""Makes one certificate or revocation list from its table. No files here; `harness/lab/pki.py` writes them."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harness.lab.keycache import Key, KeyType

Signature = Literal["", "sha256", "sha384", "sha512", "sha1", "pss-sha256"]
Usage = Literal["digital_signature", "key_encipherment", "key_agreement", "cert_sign", "crl_sign"]
Eku = Literal["server_auth", "client_auth", "code_signing"]
Moment = str

# RFC 5612's enterprise number for documentation: an extension nobody may have a meaning for.
PADDING_OID = x509.ObjectIdentifier("1.3.6.1.4.1.32473.1")
_SHA256_RSA = bytes.fromhex("06092a864886f70d01010b")
_SHA1_RSA = bytes.fromhex("06092a864886f70d010105")
_EKU = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
}
_HASHES: dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(), "pss-sha256": hashes.SHA256(),
}


class CertTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [cert."…"] of pki.toml; the keys are explained on top of that file."""

    kind: Literal["root", "intermediate", "server", "device"]
    key: KeyType
    title: str = ""
    slot: str = ""
    key_of: str = ""
    subject: str = ""
    issuer: str = ""
    dns: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    not_before: Moment
    not_after: Moment
    usage: tuple[Usage, ...] = ()
    eku: tuple[Eku, ...] = ()
    signature: Signature = ""
    aki: bool = True
    pad: int = 0
    chain: Literal["full", "leaf", "root"] = "full"
    chain_bytes: int = 0

    @property
    def is_ca(self) -> bool:
        return self.kind in ("root", "intermediate")


class CrlTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [crl."…"] of pki.toml."""

    issuer: str
    revoked: tuple[str, ...] = ()
    this_update: Moment
    next_update: Moment


def moment(value: Moment, now: dt.datetime) -> dt.datetime:
    """A time of pki.toml in UTC: "+3d", "-2h", "+30m", "-5s" relative to `now`, or "2030-01-31". Else ValueError."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)
    match = re.fullmatch(r"([+-]\d{1,5})([dhms])", value)
    if match is None:
        raise ValueError(f"`{value}` is neither a date (2030-01-31) nor relative like \"-1d\" or \"+2h\"")
    unit = {"d": 86400, "h": 3600, "m": 60, "s": 1}[match[2]]
    return now + dt.timedelta(seconds=int(match[1]) * unit)


def name(text: str) -> x509.Name:
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "HIL bench"),
        x509.NameAttribute(NameOID.COMMON_NAME, text),
    ])


def certificate(
    table: CertTable, subject: str, key: Key, issuer: tuple[x509.Name, Key], now: dt.datetime, pad: int
) -> x509.Certificate:
    """`pad`: bytes of the padding extension's value, 0 for none. `issuer`: name and key of the signer."""
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer[0])
        .public_key(public)
        .serial_number(x509.random_serial_number() | 1 << 158)  # always 20 bytes: sizes do not vary
        .not_valid_before(moment(table.not_before, now))
        .not_valid_after(moment(table.not_after, now))
        .add_extension(x509.BasicConstraints(ca=table.is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if table.issuer and table.aki:
        aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(aki, critical=False)
    if table.usage:
        builder = builder.add_extension(_key_usage(table.usage), critical=True)
    if table.eku:
        builder = builder.add_extension(x509.ExtendedKeyUsage([_EKU[eku] for eku in table.eku]), critical=False)
    names: list[x509.GeneralName] = [x509.DNSName(dns) for dns in table.dns]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in table.ip]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if pad:
        builder = builder.add_extension(x509.UnrecognizedExtension(PADDING_OID, b"\0" * pad), critical=False)
    return _sign(builder, issuer[1], table.signature)


def revocation_list(
    table: CrlTable, issuer: tuple[x509.Name, Key], serials: list[int], now: dt.datetime
) -> x509.CertificateRevocationList:
    since = moment(table.this_update, now)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer[0])
        .last_update(since)
        .next_update(moment(table.next_update, now))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key()), critical=False)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer[1], _hash(issuer[1], ""))


def message_bytes(chain: list[x509.Certificate]) -> int:
    """Length of the TLS 1.2 Certificate message that carries `chain`, with its 4-byte header (RFC 5246 7.4.2)."""
    return 4 + 3 + sum(3 + len(cert.public_bytes(serialization.Encoding.DER)) for cert in chain)


def _key_usage(usages: tuple[Usage, ...]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature="digital_signature" in usages,
        content_commitment=False,
        key_encipherment="key_encipherment" in usages,
        data_encipherment=False,
        key_agreement="key_agreement" in usages,
        key_cert_sign="cert_sign" in usages,
        crl_sign="crl_sign" in usages,
        encipher_only=False,
        decipher_only=False,
    )


def _hash(key: Key, signature: Signature) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if signature:
        return _HASHES[signature]
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


def _sign(builder: x509.CertificateBuilder, key: Key, signature: Signature) -> x509.Certificate:
    if signature in ("sha1", "pss-sha256") and not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"`{signature}` needs an issuer with an RSA key")
    if signature == "sha1" and isinstance(key, rsa.RSAPrivateKey):
        return _sign_sha1(builder, key)
    if signature == "pss-sha256":
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        return builder.sign(key, hashes.SHA256(), rsa_padding=pss)
    return builder.sign(key, _hash(key, signature))


def _sign_sha1(builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey) -> x509.Certificate:
    """`cryptography` refuses to make SHA-1 signatures on certificates, rightly; a device must refuse them too, so one
    is needed. sha1WithRSA has the same DER length as sha256WithRSA: exchange the two OIDs and sign again."""
    made = builder.sign(key, hashes.SHA256())
    body = made.tbs_certificate_bytes.replace(_SHA256_RSA, _SHA1_RSA)
    whole = made.public_bytes(serialization.Encoding.DER)
    rest = whole[whole.index(made.tbs_certificate_bytes) + len(body):].replace(_SHA256_RSA, _SHA1_RSA)
    head = whole[: whole.index(made.tbs_certificate_bytes)]
    signed = key.sign(body, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - the defect under test
    return x509.load_der_x509_certificate(head + body + rest[: -len(signed)] + signed)
