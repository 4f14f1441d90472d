"""Cipher suites: code point, IANA name (without `TLS_`) and OpenSSL name where it differs. Source: IANA TLS registry.

What a suite needs (key exchange, certificate type, hash, lowest version) is read from its name, so that there is
one table and no second copy of the same knowledge.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.diagnosis.registry.suite_table import TABLE

KeyExchange = Literal["ecdhe", "dhe", "ecdh", "dh", "rsa", "psk", "any", "other"]


class Suite(NamedTuple):
    """One cipher suite. `auth` is the certificate key it needs: `any` in TLS 1.3, `none` for PSK and anonymous."""

    code: int
    name: str
    openssl: str
    kx: KeyExchange
    auth: Literal["rsa", "ec", "dss", "none", "any"]
    cipher: str
    hash: str
    tls13: bool

    @property
    def aead(self) -> bool:
        return any(mark in self.cipher for mark in ("GCM", "CCM", "POLY1305"))

    @property
    def needs_12(self) -> bool:
        """Cannot be negotiated below TLS 1.2 (AEAD and SHA-2 suites: RFC 5246 A.5, RFC 5289)."""
        return not self.tls13 and (self.aead or self.hash in ("SHA256", "SHA384"))


def lookup(code: int) -> Suite | None:
    """The suite of a code point; None when it is not in the registry (GREASE, private use, signalling values)."""
    row = _ROWS.get(code)
    return _parse(code, row) if row else None


def name(code: int) -> str:
    """Human name: `TLS_ECDHE_RSA_…`, or `0x1234` when unknown."""
    row = _ROWS.get(code)
    return "TLS_" + row.split(" ")[0] if row else f"0x{code:04x}"


def by_openssl(text: str) -> int | None:
    """Code point of an OpenSSL cipher name (`ECDHE-RSA-AES128-GCM-SHA256`) or of an IANA name."""
    wanted = text.upper()
    for code, row in _ROWS.items():
        parts = row.split(" ")
        if wanted in ("TLS_" + parts[0], parts[-1].upper()):
            return code
    return None


def is_signal(code: int) -> bool:
    """Not a suite at all: renegotiation and fallback signals (RFC 5746, RFC 7507), GREASE (RFC 8701)."""
    return code in (0x00FF, 0x5600) or is_grease(code)


def is_grease(code: int) -> bool:
    return code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF


def weakness(code: int) -> str:
    """Why a negotiated suite is obsolete, or "" when it is not (RFC 9325 4.1, RFC 7465, RFC 8429)."""
    suite = lookup(code)
    if suite is None or suite.tls13:
        return ""
    for mark, why in _WEAK_CIPHERS:
        if mark in suite.cipher:
            return why
    if "anon" in suite.name:
        return "the broker is not authenticated (anonymous key exchange)"
    if suite.kx == "rsa":
        return "static RSA key exchange: no forward secrecy"
    return ""


_WEAK_CIPHERS = (
    ("NULL", "nothing is encrypted"),
    ("EXPORT", "export-grade keys"),
    ("RC4", "RC4 is prohibited (RFC 7465)"),
    ("RC2", "RC2 is obsolete"),
    ("3DES", "3DES has 64-bit blocks (RFC 8429)"),
    ("DES", "single DES is broken"),
    ("IDEA", "IDEA has 64-bit blocks"),
)


def _parse(code: int, row: str) -> Suite:
    parts = row.split(" ")
    iana = parts[0]
    if "_WITH_" not in iana:  # TLS 1.3: only cipher and hash
        cipher, _, digest = iana.rpartition("_")
        tls13 = code >> 8 == 0x13
        return Suite(code, "TLS_" + iana, parts[-1], "any", "any", cipher or iana, digest, tls13)
    head, _, tail = iana.partition("_WITH_")
    cipher, _, digest = tail.rpartition("_")
    if digest in ("8", "CCM") or (cipher.endswith("CCM") and digest == "8"):
        cipher, digest = tail, "SHA256"
    kx: KeyExchange = "other"
    for prefix in ("ECDHE", "DHE", "ECDH", "DH", "RSA", "PSK"):
        if head.startswith(prefix):
            kx = _KX[prefix]
            break
    auth: Literal["rsa", "ec", "dss", "none", "any"] = "none"
    if "ECDSA" in head:
        auth = "ec"
    elif "RSA" in head:
        auth = "rsa"
    elif "DSS" in head:
        auth = "dss"
    if "anon" in head or ("PSK" in head and "RSA" not in head):
        auth = "none"
    if "EXPORT" in head:
        cipher = f"EXPORT_{cipher}"
    return Suite(code, "TLS_" + iana, parts[-1], kx, auth, cipher, digest, False)


_KX: dict[str, KeyExchange] = {
    "ECDHE": "ecdhe", "DHE": "dhe", "ECDH": "ecdh", "DH": "dh", "RSA": "rsa", "PSK": "psk",
}  # fmt: skip

# What OpenSSL 3.0 takes when a listener has no `ciphers` line (list DEFAULT at security level 2).
OPENSSL_DEFAULT_12: tuple[int, ...] = (
    0xC02C,
    0xC030,
    0x009F,
    0xCCA9,
    0xCCA8,
    0xCCAA,
    0xC02B,
    0xC02F,
    0x009E,
    0xC024,
    0xC028,
    0x006B,
    0xC023,
    0xC027,
    0x0067,
    0xC00A,
    0xC014,
    0x0039,
    0xC009,
    0xC013,
    0x0033,
    0x009D,
    0x009C,
    0x003D,
    0x003C,
    0x0035,
    0x002F,
)
OPENSSL_DEFAULT_13: tuple[int, ...] = (0x1302, 0x1303, 0x1301)

_ROWS: dict[int, str] = {int(line[:4], 16): line[5:] for line in TABLE.split("\n") if line}
