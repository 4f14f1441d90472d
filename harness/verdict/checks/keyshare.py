"""Checks of a ClientHello's extensions as a set: what is mandatory, groups and key shares, point formats, PSK."""

from __future__ import annotations

from collections.abc import Iterable

from harness.verdict.checks import Finding, Result, Vacuous, check
from harness.verdict.checks.client_hello import NO_HELLO, TLS13, is_grease, suite_name
from harness.verdict.seen import Event, Seen, frame

SIGNATURE_ALGORITHMS, SUPPORTED_GROUPS, KEY_SHARE, PRE_SHARED_KEY, POINT_FORMATS = 13, 10, 51, 41, 11
SECP256R1, X25519 = 23, 29
OLD_GROUPS = frozenset((*range(1, 21), 0xFF01, 0xFF02))  # below 224 bits, or RFC 8422's explicit curves
OLD_224 = frozenset((20, 21))


def _hellos13(seen: Seen) -> list[Event]:
    return [h for h in seen.of("client_hello") if TLS13 in h.get("versions", ())]


@check("RFC 8446 9.2, 4.2, 4.2.11")
def mandatory_extensions_13(seen: Seen) -> Iterable[Result]:
    hellos = _hellos13(seen)
    if not hellos:
        yield Vacuous("TLS 1.3 is not offered")
    for hello in hellos:
        types = hello["extensions"]
        if PRE_SHARED_KEY not in types:
            for code, name, cause in (
                (SIGNATURE_ALGORITHMS, "signature_algorithms", "tls.missing_extension"),
                (SUPPORTED_GROUPS, "supported_groups", "tls.missing_extension"),
            ):
                if code not in types:
                    yield Finding("must", f"{name} is missing", cause, (frame(hello),))
        elif types[-1] != PRE_SHARED_KEY:
            yield Finding("must", "pre_shared_key is not the last extension", "tls.malformed_message", (frame(hello),))
        if (KEY_SHARE in types) != (SUPPORTED_GROUPS in types):
            yield Finding("must", "one of key_share and supported_groups is there without the other",
                          "tls.missing_extension", (frame(hello),))  # fmt: skip


@check("RFC 8446 4.2; RFC 5246 7.4.1.4")
def no_duplicate_extensions(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.of("client_hello"):
        types = hello["extensions"]
        if twice := hello.get("duplicate_extensions") or sorted({t for t in types if types.count(t) > 1}):
            yield Finding("must", f"extensions sent twice: {twice}", "tls.malformed_message", (frame(hello),))


@check("RFC 8446 4.2.7, 4.2.8, 9.1; RFC 8422 5.1.1; RFC 9325 4.2.1, 4.5")
def groups_current(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.of("client_hello"):
        groups = list(hello.get("groups") or ())
        if old := [g for g in groups if (g in OLD_GROUPS or g in OLD_224) and not is_grease(g)]:
            yield Finding("must", "deprecated groups: " + ", ".join(f"0x{g:04x}" for g in old), "", (frame(hello),))
        if TLS13 not in hello.get("versions", ()):
            continue
        if SECP256R1 not in groups:
            yield Finding("must", "secp256r1 is mandatory in TLS 1.3 and not offered", "tls.no_common_group",
                          (frame(hello),))  # fmt: skip
        if X25519 not in groups:
            yield Finding("may", "x25519 (SHOULD, 9.1) is not offered", "", (frame(hello),))
        shares = list(hello.get("key_shares") or ())
        if len(shares) != len(set(shares)):
            yield Finding("must", f"two key shares for one group: {shares}", "tls.malformed_message", (frame(hello),))
        if strange := [s for s in shares if s not in groups]:
            yield Finding(
                "must", f"key shares for groups not offered: {strange}", "tls.malformed_message", (frame(hello),)
            )
        order = [g for g in groups if g in shares]
        if not strange and order != list(dict.fromkeys(shares)) and not hello.get("hrr_retry"):
            yield Finding("must", f"key shares {shares} are not in the order of supported_groups {groups}", "",
                          (frame(hello),))  # fmt: skip


@check("RFC 8446 4.2.9")
def psk_modes(seen: Seen) -> Iterable[Result]:
    hellos = [h for h in seen.of("client_hello") if h.get("psk") or PRE_SHARED_KEY in h["extensions"]]
    if not hellos:
        yield Vacuous("no hello offered a pre-shared key")
    for hello in hellos:
        if not hello.get("psk_modes"):
            yield Finding("must", "pre_shared_key without psk_key_exchange_modes", "tls.missing_extension",
                          (frame(hello),))  # fmt: skip


@check("RFC 8422 4, 5.1.2; RFC 9325 4.2.1")
def point_formats(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos[:1]:
        formats = hello.get("point_formats")
        ecc = _offers_ecc(hello)
        if formats is not None and 0 not in formats:
            yield Finding(
                "must", f"ec_point_formats {formats} lacks uncompressed", "tls.malformed_message", (frame(hello),)
            )
        elif formats is not None and list(formats) != [0]:
            yield Finding("must", f"ec_point_formats is {formats}, not [0]", "", (frame(hello),))
        if not seen.offers13 and not ecc and (formats is not None or _only_curves(hello)):
            yield Finding("must", "EC extensions without an ECC suite", "", (frame(hello),))


def _offers_ecc(hello: Event) -> bool:
    return any("ECDH" in suite_name(code).upper() for code in hello["suites"])


def _only_curves(hello: Event) -> bool:
    groups = hello.get("groups") or ()
    return bool(groups) and all(g < 256 for g in groups)


@check("RFC 8422 4; RFC 9325 4.2.1")
def groups_with_ecc(seen: Seen) -> Iterable[Result]:
    hellos = [h for h in seen.hellos if _offers_ecc(h)]
    if not hellos:
        yield Vacuous("no ECC suite is offered") if seen.hellos else NO_HELLO
    for hello in hellos:
        if SUPPORTED_GROUPS not in hello["extensions"]:
            yield Finding("should", "ECC suites without supported_groups", "tls.ecc_not_initialised", (frame(hello),))


@check("RFC 9155 2; RFC 5246 7.4.1.4.1")
def sigalgs_present(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos:
        if SIGNATURE_ALGORITHMS not in hello["extensions"] or not hello.get("sigalgs"):
            yield Finding(
                "must", "signature_algorithms is missing", "tls.no_common_signature_algorithm", (frame(hello),)
            )


@check("RFC 8446 9.1, 4.2.3")
def rsa_pss_offered(seen: Seen) -> Iterable[Result]:
    hellos = _hellos13(seen)
    if not hellos:
        yield Vacuous("TLS 1.3 is not offered")
    for hello in hellos[:1]:
        if 0x0804 not in (hello.get("sigalgs") or ()):
            yield Finding("must", "rsa_pss_rsae_sha256 is mandatory in TLS 1.3 and not offered",
                          "tls.no_common_signature_algorithm", (frame(hello),))  # fmt: skip
