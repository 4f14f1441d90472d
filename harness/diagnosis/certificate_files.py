"""A listener's certificate file as the facts that decide a handshake. Needs `cryptography`; imported only on demand."""

from __future__ import annotations

from pathlib import Path

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
    common = {
        "names": names,
        "not_before": int(certificate.not_valid_before_utc.timestamp()),
        "not_after": int(certificate.not_valid_after_utc.timestamp()),
        "signature": certificate.signature_algorithm_oid._name,
    }
    if isinstance(key, rsa.RSAPublicKey):
        return ServerCertificate(key="rsa", bits=key.key_size, **common)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ServerCertificate(key="ec", bits=key.key_size, curve=key.curve.name, **common)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return ServerCertificate(key="ed25519", bits=256, **common)
    return ServerCertificate(key="other", **common)


def _names(certificate: object) -> tuple[str, ...]:
    from cryptography import x509

    assert isinstance(certificate, x509.Certificate)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = extension.value.get_values_for_type(x509.DNSName)
    return (*names, *(str(ip) for ip in extension.value.get_values_for_type(x509.IPAddress)))
