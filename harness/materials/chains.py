"""Facts of certificates that several checks need. Pure. A certificate whose extensions cannot be parsed has none."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID

_USAGES = {
    Eku.CLIENT_AUTH: "clientAuth", Eku.SERVER_AUTH: "serverAuth", Eku.CODE_SIGNING: "codeSigning",
    Eku.EMAIL_PROTECTION: "emailProtection", Eku.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}  # fmt: skip
T = TypeVar("T", bound=x509.ExtensionType)


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None


def is_ca(certificate: x509.Certificate) -> bool:
    """basicConstraints CA, or a version-1 root that signed itself."""
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None:
        return bool(constraints.ca)
    return certificate.version is x509.Version.v1 and self_signed(certificate)


def self_signed(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    return _extension(certificate, x509.KeyUsage)


def usages(certificate: x509.Certificate) -> set[str]:
    """extendedKeyUsage by name; empty when it is not there."""
    found = _extension(certificate, x509.ExtendedKeyUsage)
    return {_USAGES.get(oid, oid.dotted_string) for oid in found or ()}


def subject_key_identifier(certificate: x509.Certificate | None) -> bytes:
    found = _extension(certificate, x509.SubjectKeyIdentifier) if certificate is not None else None
    return found.digest if found is not None else b""


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """subjectAltName's DNS names and addresses; without any the common name (RFC 6125 6.4.4)."""
    found = _extension(certificate, x509.SubjectAlternativeName)
    if found is not None:
        return (*found.get_values_for_type(x509.DNSName), *(str(a) for a in found.get_values_for_type(x509.IPAddress)))
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return tuple(str(one.value) for one in common)


def matches(pattern: str, host: str) -> bool:
    """RFC 6125: whole labels, `*` only as the whole first label, addresses by value."""
    try:
        return ipaddress.ip_address(pattern) == ipaddress.ip_address(host)
    except ValueError:
        pass
    first, _, rest = pattern.lower().rstrip(".").partition(".")
    host_first, _, host_rest = host.lower().rstrip(".").partition(".")
    if first == "*":
        return bool(host_first) and "." in rest and rest == host_rest
    return (first, rest) == (host_first, host_rest)


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def short(name: x509.Name) -> str:
    """The common name, or the whole."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def day(clock: int) -> str:
    try:
        return dt.datetime.fromtimestamp(clock, dt.UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return f"second {clock}"
