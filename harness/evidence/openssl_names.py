"""OpenSSL's names of suites, groups and signature algorithms as IANA code points. Tables, no I/O but the tables'."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).resolve().parent.parent / "diagnosis" / "codes" / "openssl_ciphers.toml"

_GROUPS = {
    "p-256": 23, "prime256v1": 23, "secp256r1": 23, "p-384": 24, "secp384r1": 24, "p-521": 25, "secp521r1": 25,
    "x25519": 29, "x448": 30, "secp256k1": 22, "p-192": 19, "prime192v1": 19, "p-224": 21, "secp224r1": 21,
    "brainpoolp256r1": 26, "brainpoolp384r1": 27, "brainpoolp512r1": 28, "ffdhe2048": 256, "ffdhe3072": 257,
    "ffdhe4096": 258, "ffdhe6144": 259, "ffdhe8192": 260, "x25519mlkem768": 0x11EC, "secp256r1mlkem768": 0x11EB,
}  # fmt: skip
_SIGALGS = {
    "rsa_pkcs1_sha256": 0x0401, "rsa_pkcs1_sha384": 0x0501, "rsa_pkcs1_sha512": 0x0601, "rsa_pkcs1_sha1": 0x0201,
    "rsa_pkcs1_sha224": 0x0301, "ecdsa_sha1": 0x0203, "ecdsa_sha224": 0x0303,
    "ecdsa_secp256r1_sha256": 0x0403, "ecdsa_secp384r1_sha384": 0x0503, "ecdsa_secp521r1_sha512": 0x0603,
    "rsa_pss_rsae_sha256": 0x0804, "rsa_pss_rsae_sha384": 0x0805, "rsa_pss_rsae_sha512": 0x0806,
    "ed25519": 0x0807, "ed448": 0x0808, "rsa_pss_pss_sha256": 0x0809, "rsa_pss_pss_sha384": 0x080A,
    "rsa_pss_pss_sha512": 0x080B,
    "rsa+sha256": 0x0401, "rsa+sha384": 0x0501, "rsa+sha512": 0x0601, "rsa+sha1": 0x0201, "rsa+sha224": 0x0301,
    "ecdsa+sha256": 0x0403, "ecdsa+sha384": 0x0503, "ecdsa+sha512": 0x0603, "ecdsa+sha1": 0x0203,
    "ecdsa+sha224": 0x0303, "rsa-pss+sha256": 0x0804, "rsa-pss+sha384": 0x0805, "rsa-pss+sha512": 0x0806,
    "pss+sha256": 0x0804, "pss+sha384": 0x0805, "pss+sha512": 0x0806,
}  # fmt: skip


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))


def default_suites12() -> tuple[int, ...]:
    """What Mosquitto with OpenSSL 3.0 accepts in TLS 1.2 without a `ciphers` line."""
    return tuple(_table()["default12"])


def default_suites13() -> tuple[int, ...]:
    return tuple(_table()["default13"])


def _matches(row: list[Any], word: str) -> bool | None:
    """Whether a suite belongs to one OpenSSL cipher-string word (no operators); None: the word is not known."""
    code, name, kx, au, enc, mac = row
    if name == word:
        return True
    gcm = enc.startswith(("AESGCM", "CHACHA20", "AESCCM", "ARIAGCM"))
    bits = int(found[1]) if (found := re.search(r"\((\d+)\)", enc)) else 0
    classes: dict[str, bool] = {
        "ALL": enc != "None", "COMPLEMENTOFALL": enc == "None", "eNULL": enc == "None", "NULL": enc == "None",
        "aNULL": au == "None", "ADH": kx == "DH" and au == "None", "AECDH": kx == "ECDH" and au == "None",
        "kRSA": kx == "RSA", "RSA": kx == "RSA" and au == "RSA", "aRSA": au == "RSA", "aDSS": au == "DSS",
        "DSS": au == "DSS", "aECDSA": au == "ECDSA", "ECDSA": au == "ECDSA",
        "DH": kx == "DH", "DHE": kx == "DH" and au != "None", "EDH": kx == "DH" and au != "None",
        "kDHE": kx == "DH", "kEDH": kx == "DH",
        "ECDH": kx == "ECDH", "kECDHE": kx == "ECDH", "kEECDH": kx == "ECDH",
        "ECDHE": kx == "ECDH" and au != "None", "EECDH": kx == "ECDH" and au != "None",
        "PSK": "PSK" in kx or au == "PSK", "kPSK": kx == "PSK", "SRP": "SRP" in kx,
        "AES": enc.startswith("AES"), "AESGCM": enc.startswith("AESGCM"), "AESCCM": enc.startswith("AESCCM"),
        "AES128": enc.startswith("AES") and bits == 128, "AES256": enc.startswith("AES") and bits == 256,
        "CHACHA20": enc.startswith("CHACHA20"), "3DES": enc.startswith("3DES"), "DES": enc.startswith("DES"),
        "RC4": enc.startswith("RC4"), "CAMELLIA": enc.upper().startswith("CAMELLIA"), "ARIA": enc.startswith("ARIA"),
        "SEED": enc.startswith("SEED"), "IDEA": enc.startswith("IDEA"),
        "MD5": mac == "MD5", "SHA": mac == "SHA1", "SHA1": mac == "SHA1", "SHA256": mac == "SHA256",
        "SHA384": mac == "SHA384", "TLSv1.2": gcm or mac in ("SHA256", "SHA384"),
        "HIGH": bits >= 128 and enc != "None", "MEDIUM": enc.startswith(("SEED", "IDEA", "RC4")), "LOW": False,
        "EXP": False, "EXPORT": False, "SSLv2": False, "SSLv3": not gcm and mac in ("SHA1", "MD5"),
        "TLSv1": not gcm and mac in ("SHA1", "MD5"), "COMPLEMENTOFDEFAULT": code not in _table()["default12"],
    }  # fmt: skip
    return classes.get(word)


def suites12(text: str) -> tuple[int, ...] | None:
    """TLS 1.2 suites of an OpenSSL cipher string, in its order, without what security level 1 already refuses
    (no authentication, no encryption) and without PSK and SRP, which need more than a certificate.
    None when nothing in it is known."""
    rows = [row for row in _table()["suites"] if row[0] >> 8 != 0x13]
    chosen: list[int] = []
    dead: set[int] = set()
    known = False
    for element in re.split(r"[:, ;]+", text.strip()):
        if not element or element.startswith("@"):
            continue
        operator = element[0] if element[0] in "!-+" else ""
        word = element.lstrip("!-+")
        if word == "DEFAULT":
            hit = list(default_suites12())
            known = True
        else:
            parts = [[_matches(row, part) for row in rows] for part in word.split("+")]
            known_word = all(any(m is not None for m in part) for part in parts)
            known = known or (known_word and operator in ("", "+"))
            hit = [row[0] for i, row in enumerate(rows) if known_word and all(part[i] for part in parts)]
        if operator == "!":
            dead.update(hit)
        if operator in ("!", "-"):
            chosen = [code for code in chosen if code not in hit]
        elif operator == "+":
            chosen = [c for c in chosen if c not in hit] + [c for c in chosen if c in hit]
        else:
            chosen += [code for code in hit if code not in chosen and code not in dead]
    usable = {row[0] for row in rows if row[3] != "None" and row[4] != "None" and "PSK" not in row[2] + row[3]
              and "SRP" not in row[2] and not row[4].startswith(("RC4", "DES"))}  # fmt: skip
    return tuple(code for code in chosen if code in usable) if known else None


def suites13(text: str) -> tuple[int, ...] | None:
    """TLS 1.3 suites of a `ciphers_tls1.3` or `Ciphersuites` list; None when a name is not known."""
    names = {row[1]: row[0] for row in _table()["suites"] if row[0] >> 8 == 0x13}
    codes = [names.get(word) for word in re.split(r"[:, ]+", text.strip()) if word]
    return None if None in codes else tuple(code for code in codes if code is not None)


def _codes(text: str, names: dict[str, int]) -> tuple[int, ...] | None:
    words: Sequence[str] = [w.strip("?*/ ").lower() for w in re.split(r"[:/]", text) if w.strip("?*/ ")]
    codes = [names.get(word) for word in words]
    return None if not codes or None in codes else tuple(code for code in codes if code is not None)


def groups(text: str) -> tuple[int, ...] | None:
    """Named groups of a `Groups` list."""
    return _codes(text, _GROUPS)


def sigalgs(text: str) -> tuple[int, ...] | None:
    """Signature schemes of a `SignatureAlgorithms` list."""
    return _codes(text, _SIGALGS)
