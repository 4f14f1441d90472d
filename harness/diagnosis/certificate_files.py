"""A listener's certificate file as the facts that decide a handshake. Needs `cryptography`; imported only on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.model import ServerCertificate


def server_certificate(path: Path) -> ServerCertificate | None:
    """The first certificate of a PEM (or DER) file; None when it cannot be read."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        data = path.read_bytes()
        pem = b"-----BEGIN" in data
        certificate = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
        key = certificate.public_key()
        names = _names(certificate)
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None
    kind: Literal["rsa", "ec", "ed25519", "other"] = "other"
    bits, curve = 0, ""
    if isinstance(key, rsa.RSAPublicKey):
        kind, bits = "rsa", key.key_size
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind, bits, curve = "ec", key.key_size, key.curve.name
    elif isinstance(key, ed25519.Ed25519PublicKey):
        kind, bits = "ed25519", 256
    return ServerCertificate(
        key=kind,
        bits=bits,
        curve=curve,
        signature=certificate.signature_algorithm_oid._name,
        names=names,
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        not_after=int(certificate.not_valid_after_utc.timestamp()),
    )


def _names(certificate: object) -> tuple[str, ...]:
    from cryptography import x509

    assert isinstance(certificate, x509.Certificate)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = extension.value.get_values_for_type(x509.DNSName)
    return (*names, *(str(ip) for ip in extension.value.get_values_for_type(x509.IPAddress)))
