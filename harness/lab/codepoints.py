"""IANA code points of the names that broker profiles use (OpenSSL's names for suites and groups)."""

from __future__ import annotations

SUITES12: dict[str, int] = {
    "AES128-SHA": 0x002F, "AES256-SHA": 0x0035, "AES128-SHA256": 0x003C, "AES256-SHA256": 0x003D,
    "AES128-GCM-SHA256": 0x009C, "AES256-GCM-SHA384": 0x009D,
    "ECDHE-ECDSA-AES128-SHA": 0xC009, "ECDHE-ECDSA-AES256-SHA": 0xC00A,
    "ECDHE-RSA-AES128-SHA": 0xC013, "ECDHE-RSA-AES256-SHA": 0xC014,
    "ECDHE-ECDSA-AES128-SHA256": 0xC023, "ECDHE-ECDSA-AES256-SHA384": 0xC024,
    "ECDHE-RSA-AES128-SHA256": 0xC027, "ECDHE-RSA-AES256-SHA384": 0xC028,
    "ECDHE-ECDSA-AES128-GCM-SHA256": 0xC02B, "ECDHE-ECDSA-AES256-GCM-SHA384": 0xC02C,
    "ECDHE-RSA-AES128-GCM-SHA256": 0xC02F, "ECDHE-RSA-AES256-GCM-SHA384": 0xC030,
    "ECDHE-ECDSA-ARIA128-GCM-SHA256": 0xC05C, "ECDHE-ECDSA-ARIA256-GCM-SHA384": 0xC05D,
    "ECDHE-ARIA128-GCM-SHA256": 0xC060, "ECDHE-ARIA256-GCM-SHA384": 0xC061,
    "ECDHE-ECDSA-CAMELLIA128-SHA256": 0xC072, "ECDHE-ECDSA-CAMELLIA256-SHA384": 0xC073,
    "ECDHE-RSA-CAMELLIA128-SHA256": 0xC076, "ECDHE-RSA-CAMELLIA256-SHA384": 0xC077,
    "ECDHE-ECDSA-AES128-CCM": 0xC0AC, "ECDHE-ECDSA-AES256-CCM": 0xC0AD,
    "ECDHE-ECDSA-AES128-CCM8": 0xC0AE, "ECDHE-ECDSA-AES256-CCM8": 0xC0AF,
    "ECDHE-RSA-CHACHA20-POLY1305": 0xCCA8, "ECDHE-ECDSA-CHACHA20-POLY1305": 0xCCA9,
}

SUITES13: dict[str, int] = {
    "TLS_AES_128_GCM_SHA256": 0x1301, "TLS_AES_256_GCM_SHA384": 0x1302, "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "TLS_AES_128_CCM_SHA256": 0x1304, "TLS_AES_128_CCM_8_SHA256": 0x1305,
}

GROUPS: dict[str, int] = {
    "P-256": 23, "P-384": 24, "P-521": 25,
    "brainpoolP256r1": 26, "brainpoolP384r1": 27, "brainpoolP512r1": 28,
    "X25519": 29, "X448": 30, "ffdhe2048": 256, "ffdhe3072": 257,
}

SIGALGS: dict[str, int] = {
    "rsa_pkcs1_sha256": 0x0401, "rsa_pkcs1_sha384": 0x0501, "rsa_pkcs1_sha512": 0x0601,
    "ecdsa_secp256r1_sha256": 0x0403, "ecdsa_secp384r1_sha384": 0x0503, "ecdsa_secp521r1_sha512": 0x0603,
    "rsa_pss_rsae_sha256": 0x0804, "rsa_pss_rsae_sha384": 0x0805, "rsa_pss_rsae_sha512": 0x0806,
    "ed25519": 0x0807, "ed448": 0x0808,
    "rsa_pss_pss_sha256": 0x0809, "rsa_pss_pss_sha384": 0x080A, "rsa_pss_pss_sha512": 0x080B,
}

NOT_FOR_TLS13 = frozenset({"rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512"})
"""RFC 8446 4.2.3: these may sign certificates, but no CertificateVerify."""
