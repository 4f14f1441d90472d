"""Groups, signature schemes, extensions, versions and alerts by code point, with the names people know them by.

Source: IANA TLS parameters. Unknown values get a hexadecimal name, never an error.
"""

from __future__ import annotations

from typing import NamedTuple

GROUPS: dict[int, str] = {
    1: "sect163k1", 3: "sect163r2", 6: "sect233k1", 7: "sect233r1", 9: "sect283k1", 10: "sect283r1",
    11: "sect409k1", 12: "sect409r1", 13: "sect571k1", 14: "sect571r1", 16: "secp160r1", 18: "secp192k1",
    19: "secp192r1", 20: "secp224k1", 21: "secp224r1", 22: "secp256k1", 23: "secp256r1 (P-256)",
    24: "secp384r1 (P-384)", 25: "secp521r1 (P-521)", 26: "brainpoolP256r1", 27: "brainpoolP384r1",
    28: "brainpoolP512r1", 29: "x25519", 30: "x448", 256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096",
    259: "ffdhe6144", 260: "ffdhe8192", 4587: "SecP256r1MLKEM768", 4588: "X25519MLKEM768",
}  # fmt: skip

CURVE_GROUPS: dict[str, int] = {
    "secp192r1": 19, "prime192v1": 19, "secp224r1": 21, "secp256k1": 22, "secp256r1": 23, "prime256v1": 23,
    "secp384r1": 24, "secp521r1": 25, "brainpoolP256r1": 26, "brainpoolP384r1": 27, "brainpoolP512r1": 28,
}  # fmt: skip


class Scheme(NamedTuple):
    """One signature scheme. `key` is the certificate key it signs with; `curve` binds ECDSA in TLS 1.3 only."""

    name: str
    key: str  # "rsa", "rsa-pss" (a key with the PSS OID), "ec", "ed25519", "dss", "other"
    tls13: bool  # allowed in CertificateVerify of TLS 1.3 (RFC 8446 4.2.3)
    hash: str
    curve: int = 0


SCHEMES: dict[int, Scheme] = {
    0x0101: Scheme("rsa_md5", "rsa", False, "MD5"),
    0x0201: Scheme("rsa_pkcs1_sha1", "rsa", False, "SHA1"),
    0x0202: Scheme("dsa_sha1", "dss", False, "SHA1"),
    0x0203: Scheme("ecdsa_sha1", "ec", False, "SHA1"),
    0x0301: Scheme("rsa_pkcs1_sha224", "rsa", False, "SHA224"),
    0x0302: Scheme("dsa_sha224", "dss", False, "SHA224"),
    0x0303: Scheme("ecdsa_sha224", "ec", False, "SHA224"),
    0x0401: Scheme("rsa_pkcs1_sha256", "rsa", False, "SHA256"),
    0x0402: Scheme("dsa_sha256", "dss", False, "SHA256"),
    0x0403: Scheme("ecdsa_secp256r1_sha256", "ec", True, "SHA256", 23),
    0x0501: Scheme("rsa_pkcs1_sha384", "rsa", False, "SHA384"),
    0x0502: Scheme("dsa_sha384", "dss", False, "SHA384"),
    0x0503: Scheme("ecdsa_secp384r1_sha384", "ec", True, "SHA384", 24),
    0x0601: Scheme("rsa_pkcs1_sha512", "rsa", False, "SHA512"),
    0x0602: Scheme("dsa_sha512", "dss", False, "SHA512"),
    0x0603: Scheme("ecdsa_secp521r1_sha512", "ec", True, "SHA512", 25),
    0x0804: Scheme("rsa_pss_rsae_sha256", "rsa", True, "SHA256"),
    0x0805: Scheme("rsa_pss_rsae_sha384", "rsa", True, "SHA384"),
    0x0806: Scheme("rsa_pss_rsae_sha512", "rsa", True, "SHA512"),
    0x0807: Scheme("ed25519", "ed25519", True, ""),
    0x0808: Scheme("ed448", "other", True, ""),
    0x0809: Scheme("rsa_pss_pss_sha256", "rsa-pss", True, "SHA256"),
    0x080A: Scheme("rsa_pss_pss_sha384", "rsa-pss", True, "SHA384"),
    0x080B: Scheme("rsa_pss_pss_sha512", "rsa-pss", True, "SHA512"),
    0x081A: Scheme("ecdsa_brainpoolP256r1tls13_sha256", "ec", True, "SHA256", 26),
    0x081B: Scheme("ecdsa_brainpoolP384r1tls13_sha384", "ec", True, "SHA384", 27),
    0x081C: Scheme("ecdsa_brainpoolP512r1tls13_sha512", "ec", True, "SHA512", 28),
}

EXTENSIONS: dict[int, str] = {
    0: "server_name", 1: "max_fragment_length", 4: "truncated_hmac", 5: "status_request",
    10: "supported_groups", 11: "ec_point_formats", 13: "signature_algorithms", 15: "heartbeat",
    16: "application_layer_protocol_negotiation", 18: "signed_certificate_timestamp", 21: "padding",
    22: "encrypt_then_mac", 23: "extended_master_secret", 28: "record_size_limit", 35: "session_ticket",
    41: "pre_shared_key", 42: "early_data", 43: "supported_versions", 44: "cookie",
    45: "psk_key_exchange_modes", 47: "certificate_authorities", 49: "post_handshake_auth",
    50: "signature_algorithms_cert", 51: "key_share", 0xFF01: "renegotiation_info",
}  # fmt: skip

ALERTS: dict[int, str] = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
    22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
    45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca",
    49: "access_denied", 50: "decode_error", 51: "decrypt_error", 60: "export_restriction",
    70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
    115: "unknown_psk_identity", 116: "certificate_required", 117: "general_error",
    120: "no_application_protocol", 121: "ech_required",
}  # fmt: skip

VERSIONS: dict[int, str] = {0x0300: "3.0", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}


def group_name(code: int) -> str:
    return GROUPS.get(code, f"0x{code:04x}")


def scheme_name(code: int) -> str:
    scheme = SCHEMES.get(code)
    return scheme.name if scheme else f"0x{code:04x}"


def extension_name(code: int) -> str:
    return EXTENSIONS.get(code, f"0x{code:04x}")


def alert_name(code: int) -> str:
    return ALERTS.get(code, "unknown")


def version_name(code: int) -> str:
    known = VERSIONS.get(code)
    return ("SSL 3.0" if known == "3.0" else f"TLS {known}") if known else f"0x{code:04x}"
