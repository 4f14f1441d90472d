"""What a profile's *name* promises, as attempts of a foreign client with their outcomes.

Nothing here reads the profile: a table that is not what its name says must not be able to agree with itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.lab.pki import Pki
from tests.peer.sclient import WEAK, mqtt_connect

HOST = "broker.hil.test"
SUITES13 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]
GROUPS = ["X25519", "P-256", "X448", "P-521", "P-384", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1",
          "ffdhe2048", "ffdhe3072", "ffdhe4096"]
SIGALGS = ["ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512", "ed25519", "ed448",
           "rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512",
           "rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512", "RSA+SHA224", "ECDSA+SHA224"]
TEMP_KEY = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}
DEFECTS: dict[str, tuple[int, ...]] = {  # X509_V_ERR numbers, any of which must be among the client's findings
    "unknown-ca": (20,), "self-signed": (18,), "missing-intermediate": (20,), "twin-ca": (7,), "wrong-name": (62,),
    "expired": (10,), "not-yet-valid": (9,), "client-usage": (26,), "code-usage": (26,), "sha1": (68,),
}
CHAINS = {"chain-5k": 5006, "chain-8k": 8192, "chain-20k": 20480}
IDENTITIES: dict[str, int | None] = {  # alert of the broker for a device, None: accepted (alerts.md, table 2b)
    "": None, "-expired": 45, "-not-yet-valid": 42, "-wrong-usage": 43, "-unknown-ca": 48, "-revoked": None,
    "-intermediate": None, "-missing-intermediate": 48,
}


@dataclass(frozen=True)
class Attempt:
    """`want`: attributes of the Outcome; `verify` wants one of its numbers to be found."""

    about: str
    args: list[str | Path]
    want: dict[str, Any]
    connect: bytes = field(default_factory=mqtt_connect)


class Base:
    """r12, r13, e12, e13, r-any, e-any: what all profiles that begin so have in common."""

    def __init__(self, base: str, pki: Pki) -> None:
        self.kind = base[0]
        self.version = base[1:]
        self.pki = pki
        self.is13 = self.version == "13"
        self.key = "rsa2048" if self.kind == "r" else "p256"
        self.only = ["-tls1_3"] if self.is13 else ["-tls1_2"]
        self.protocol = "TLSv1.3" if self.is13 else "TLSv1.2"

    def verified(self, trust: str = "", *, level: int | None = None) -> list[str | Path]:
        ca = self.pki.cert(trust or f"ca-{self.key}")
        cipher = [] if level is None else ["-cipher", f"DEFAULT:@SECLEVEL={level}"]
        return ["-CAfile", ca, "-verify_return_error", "-verify_hostname", HOST, "-servername", HOST, *cipher]

    def device(self, name: str) -> list[str | Path]:
        return ["-cert", self.pki.cert(name), "-key", self.pki.key(name), "-cert_chain", self.pki.chain(name),
                "-cipher", f"DEFAULT:{WEAK}"]

    def good(self, *more: str | Path, about: str = "connects", **want: Any) -> Attempt:
        args = [*self.only, *self.verified(), *more]
        return Attempt(about, args, {"connack": 0, "alert": None, "protocol": self.protocol} | want)

    def refused(self, about: str, alert: int | None, *more: str | Path) -> Attempt:
        return Attempt(about, [*self.only, *more], {"connack": None, "alert": alert})

    def other_versions(self) -> Iterator[Attempt]:
        others = {"12": ["-tls1_3", "-tls1_1"], "13": ["-tls1_2", "-tls1_1"], "-any": ["-tls1_1"]}[self.version]
        for option in others:
            yield Attempt(f"only {option}", [option, "-cipher", f"ALL:{WEAK}"], {"connack": None, "alert": 70})


def story(name: str, pki: Pki) -> list[Attempt]:
    """All attempts for the profile `name`. KeyError when the name promises something unknown here."""
    match = re.fullmatch(r"([re](?:12|13|-any))(?:-(.+))?", name)
    if match is None:
        raise KeyError(f"{name}: not a name this test understands")
    base, special = Base(match[1], pki), match[2] or ""
    return [*base.other_versions(), *_special(base, special)]


def _special(base: Base, special: str) -> Iterator[Attempt]:
    if special == "":
        yield from _plain_base(base)
    elif special.startswith("suite-"):
        yield from _suite(base, special.removeprefix("suite-").upper())
    elif special.startswith("group-"):
        wanted = special.removeprefix("group-")
        yield from _group(base, next(group for group in GROUPS if group.lower() == wanted))
    elif special.startswith("sigalg-"):
        yield from _sigalg(base, special.removeprefix("sigalg-"))
    elif special in CHAINS or special in DEFECTS or special in ("intermediate", "pss"):
        yield from _server_certificate(base, special)
    elif special.startswith("mutual"):
        yield from _mutual(base, special.removeprefix("mutual").removeprefix("-"))
    elif special == "password":
        yield from _password(base, [])
    elif special.startswith("token"):  # good and broken tokens: test_tokens.py
        args = [*base.only, *base.verified()]
        want = {"connack": 5 if special == "token-connack" else None, "alert": None, "protocol": base.protocol}
        yield Attempt("a password that is no token", args, want, mqtt_connect("user", "secret", "dut"))
    elif special.startswith("cloud"):  # with a name and a token: the scenarios of jwt.toml
        args = [*base.only, *base.verified("ca-p384" if special == "cloud-backup" else "")]
        want = {"connack": None, "alert": None, "protocol": base.protocol}
        yield Attempt("a password that is no token", args, want, mqtt_connect("user", "secret", "dut"))
        yield base.refused("no server name", 109 if base.is13 else 112, "-noservername")
    elif special in ("acl", "max-packet"):
        yield base.good()  # what they do inside MQTT: test_mosquitto.py
    else:
        yield from _key(base, special)


def _plain_base(base: Base) -> Iterator[Attempt]:
    signature = {"r": "RSA-PSS", "e": "ECDSA"}[base.kind]
    if base.version == "-any":
        for option, protocol in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            args = [option, *base.verified()]
            want = {"connack": 0, "protocol": protocol, "signature": signature}
            yield Attempt(f"connects with {option}", args, want)
        return
    yield base.good(signature=signature)
    if base.is13:
        yield base.refused("other suites", 40, "-ciphersuites", "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256")
        yield base.refused("other groups", 40, "-groups", "ffdhe2048:ffdhe3072")
        yield base.refused("PKCS #1 only", 40, "-sigalgs", "rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512")
    else:
        others = "ALL:!AESGCM:!CHACHA20:!AESCCM:@SECLEVEL=0"
        yield base.refused("other suites", 40, "-cipher", others)
        yield base.refused("static RSA and DHE", 40, "-cipher", f"kRSA:kDHE:{WEAK}")
        yield base.refused("other groups", 40, "-groups", "brainpoolP256r1:brainpoolP384r1")
        yield base.refused("SHA-1 and SHA-224 only", 40, "-sigalgs", "RSA+SHA224:ECDSA+SHA224:RSA+SHA1:ECDSA+SHA1",
                           "-cipher", f"ALL:{WEAK}")
    wrong = "ecdsa_secp256r1_sha256" if base.kind == "r" else "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"
    yield base.refused("signature schemes of the other key type", 40, "-sigalgs", wrong)


def _suite(base: Base, suite: str) -> Iterator[Attempt]:
    if base.is13:
        suite = f"TLS_{suite}"
        yield base.good("-ciphersuites", suite, suite=suite)
        others = [other for other in SUITES13 if other != suite]
        assert len(others) == len(SUITES13) - 1
        yield base.refused("all other suites", 40, "-ciphersuites", ":".join(others))
        return
    if suite.startswith("RSA-"):
        suite = suite.removeprefix("RSA-")
    elif suite.startswith("ARIA") and base.kind == "r":
        suite = f"ECDHE-{suite}"
    else:
        suite = f"ECDHE-{'RSA' if base.kind == 'r' else 'ECDSA'}-{suite}"
    yield base.good("-cipher", f"{suite}:{WEAK}", suite=suite)
    yield base.good("-cipher", f"ALL:{WEAK}", about="chosen from all", suite=suite)
    yield base.refused("all other suites", 40, "-cipher", f"ALL:!{suite}:{WEAK}")


def _group(base: Base, group: str) -> Iterator[Attempt]:
    known = TEMP_KEY.get(group, group)
    # The certificate's own curve has to be offered in TLS 1.2 as well (RFC 8422 5.1.1).
    own = ":P-256" if base.kind == "e" and group != "P-256" else ""
    if not group.startswith("ffdhe"):
        yield base.good("-groups", f"{group}{own}", group=known)
    else:
        yield base.good("-groups", group)
    yield base.good("-groups", ":".join(GROUPS), about="chosen from all")
    others = [other for other in GROUPS if other != group]
    assert len(others) == len(GROUPS) - 1
    yield base.refused("all other groups, every suite", 40, "-groups", ":".join(others), "-cipher", f"ALL:{WEAK}")


def _sigalg(base: Base, scheme: str) -> Iterator[Attempt]:
    trust = {"ecdsa_secp384r1_sha384": "ca-p384"}.get(scheme, "") if base.is13 else ""
    want = {"connack": 0, "protocol": base.protocol}
    hash_of = re.search(r"sha(\d+)$", scheme)
    if hash_of:
        want |= {"hash": f"SHA{hash_of[1]}"}
    kinds = {"rsa_pss_r": "RSA-PSS", "rsa_pkcs1": "RSA", "ecdsa_sec": "ECDSA", "ed25519": "ed25519"}
    want |= {"signature": kinds[scheme[:9]]}
    yield Attempt("only this scheme", [*base.only, *base.verified(trust), "-sigalgs", scheme], want)
    yield Attempt("chosen from all", [*base.only, *base.verified(trust), "-sigalgs", ":".join(SIGALGS)], want)
    others = [other for other in SIGALGS if other != scheme]
    assert len(others) == len(SIGALGS) - 1
    yield base.refused("all other schemes", 40, "-sigalgs", ":".join(others), "-cipher", f"ALL:{WEAK}")


def _server_certificate(base: Base, special: str) -> Iterator[Attempt]:
    if special in DEFECTS:
        yield Attempt(f"verification finds: {special}", [*base.only, *base.verified()],
                      {"connack": None, "verify": DEFECTS[special]})
        yield Attempt("works for who does not look", [*base.only, "-cipher", f"DEFAULT:{WEAK}"],
                      {"connack": 0, "alert": None})
    elif special in CHAINS:
        # TLS 1.3 adds an empty context and two bytes of extensions for each of the three certificates.
        yield base.good(certificate_bytes=CHAINS[special] + (1 + 3 * 2 if base.is13 else 0))
    else:
        yield base.good()


def _key(base: Base, special: str) -> Iterator[Attempt]:
    """Certificates of other keys: no defect, all must verify."""
    trust, signature = {
        "3072": ("", "RSA-PSS"), "4096": ("", "RSA-PSS"), "p384": ("ca-p384", "ECDSA"),
        "p384-ca": ("ca-p384", "ECDSA"), "p521": ("", "ECDSA"), "ed25519": ("", "ed25519"),
    }[special]
    yield Attempt("connects", [*base.only, *base.verified(trust)],
                  {"connack": 0, "protocol": base.protocol, "signature": signature})
    if special == "p384" and base.is13:
        yield base.refused("P-256 signatures only", 40, "-sigalgs", "ecdsa_secp256r1_sha256")


def _mutual(base: Base, special: str) -> Iterator[Attempt]:
    yield base.refused("no certificate", 116 if base.is13 else 40)
    login = mqtt_connect("hil-device", "correct-horse")
    for key in ("rsa2048", "p256", "p384"):
        for suffix, usual in IDENTITIES.items():
            if key != base.key and suffix:
                continue  # the other types: only that they are accepted at all
            alert = _altered(special, suffix, usual)
            want = {"connack": None, "alert": alert} if alert else {"connack": 0, "alert": None}
            args = [*base.only, *base.verified(level=0), *base.device(f"device-{key}{suffix}")]
            connect = login if special == "password" else mqtt_connect()
            yield Attempt(f"device-{key}{suffix}", args, want, connect)
    if special == "":
        for weak in ("device-rsa1024", "device-rsa2048-sha1"):
            yield Attempt(weak, [*base.only, *base.device(weak)], {"connack": None, "alert": 42})
    if special == "password":
        yield from _password(base, base.device(f"device-{base.key}"))


def _altered(special: str, suffix: str, alert: int | None) -> int | None:
    """What a CRL or another authority makes of the identities that would be accepted, or refused for less."""
    if special == "other-ca":
        return 48
    if special == "crl" and suffix == "-revoked":
        return 44
    # A list is wanted for the leaf's issuer; the intermediate has none (X509_V_ERR_UNABLE_TO_GET_CRL: 48).
    if special in ("crl", "crl-expired", "crl-missing") and suffix == "-intermediate":
        return 48
    # OpenSSL looks for revocation before it looks at dates, so a list that cannot be used hides them.
    if special == "crl-expired" and suffix in ("", "-revoked", "-not-yet-valid"):
        return 45
    if special == "crl-missing" and suffix in ("", "-revoked", "-not-yet-valid", "-expired"):
        return 48
    return alert


def _password(base: Base, identity: list[str | Path]) -> Iterator[Attempt]:
    for about, user, password, code in (
        ("right password", "hil-device", "correct-horse", 0), ("wrong password", "hil-device", "wrong", 5),
        ("unknown user", "nobody", "correct-horse", 5), ("no credentials", "", "", 5),
    ):
        args = [*base.only, *base.verified(level=0), *identity]
        yield Attempt(about, args, {"connack": code, "alert": None}, mqtt_connect(user, password))
