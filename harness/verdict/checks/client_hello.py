"""Checks of the ClientHello: versions, suites, signature algorithms, names. Code points are IANA's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from harness.diagnosis.registry import suites as registry
from harness.verdict.checks import Finding, Result, Vacuous, check
from harness.verdict.seen import Seen, frame, number

NO_HELLO = Vacuous("the device sent no ClientHello")
TLS12 = 0x0303
TLS13 = 0x0304
SCSV_RENEGOTIATION = 0x00FF
SCSV_FALLBACK = 0x5600
ECDSA_SCHEMES = frozenset((0x0403, 0x0503, 0x0603, 0x0203, 0x0807, 0x0808))
RSA_SCHEMES = frozenset((0x0401, 0x0501, 0x0601, 0x0201, 0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B))
MD5_SCHEMES = frozenset((0x0101, 0x0103))
SHA1_SCHEMES = frozenset((0x0201, 0x0202, 0x0203))


def is_grease(code: int) -> bool:
    """RFC 8701: both bytes equal, low nibble 0xA."""
    return (code & 0x0F0F) == 0x0A0A and code >> 8 == code & 0xFF


def suite_name(code: int) -> str:
    return registry.name(code)


def offers12(hello: dict[str, object]) -> bool:
    versions = hello.get("versions")
    return TLS12 in versions if isinstance(versions, list) else True


@check("RFC 8446 4.1.2, 5.1, D.5; RFC 5246 E.1; RFC 6176 3")
def legacy_versions(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos:
        if hello.get("ssl2"):
            yield Finding("must", "an SSLv2-compatible ClientHello was sent", "tls.malformed_message", (frame(hello),))
            continue
        legacy, record = number(hello["legacy_version"]), number(hello["record_version"])
        if legacy != TLS12:
            yield Finding(
                "must", f"legacy_version is 0x{legacy:04x}, not 0x0303", "tls.no_common_version", (frame(hello),)
            )
        right = record in (0x0301, TLS12) if seen.offers13 else record >> 8 == 3
        if not right:
            yield Finding(
                "must", f"the first record's version is 0x{record:04x}", "tls.malformed_message", (frame(hello),)
            )
        first = {e.get("frame") for e in seen.of("client_hello") if e.get("conn") == hello.get("conn")}
        for later in (e for e in seen.of("record", "c") if e.get("conn") == hello.get("conn")):
            if later.get("frame") not in first and number(later["version"]) != TLS12:
                yield Finding("must", f"a later record has version {later['version']}", "tls.malformed_message",
                              (frame(later),))  # fmt: skip
                break


@check("RFC 8446 4.2.1, 9.2; RFC 8996 4, 5; RFC 7568 3")
def supported_versions(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    does13 = "tls1.3" in seen.target.capabilities and seen.settings.get("tls.max", "1.3") == "1.3"
    for hello in seen.hellos:
        versions = hello.get("versions")
        if versions is None:
            if does13:
                yield Finding("must", "the build does TLS 1.3 and offers no supported_versions",
                              "tls.no_common_version", (frame(hello),))  # fmt: skip
            else:
                yield Vacuous("a 1.2-only hello without supported_versions does not say how low it goes (see T12-19)")
            continue
        if (TLS13 in versions) != does13:
            said = "offers" if TLS13 in versions else "does not offer"
            yield Finding("must", f"the hello {said} TLS 1.3, the build {'does' if does13 else 'does not do'} it",
                          "tls.no_common_version", (frame(hello),))  # fmt: skip
        if old := [v for v in versions if v in (0x0300, 0x0301, 0x0302)]:
            yield Finding("must", "old versions offered: " + ", ".join(f"0x{v:04x}" for v in old),
                          "tls.no_common_version", (frame(hello),))  # fmt: skip


@check("RFC 6066 3; RFC 8446 9.2; RFC 9325 3.7")
def server_name(seen: Seen) -> Iterable[Result]:
    yield from _server_name(seen, "should")


@check("RFC 9325 3.7; RFC 6066 3")
def server_name_given(seen: Seen) -> Iterable[Result]:
    """For a service that cannot do without: its absence is a failure, not advice."""
    yield from _server_name(seen, "must")


def _server_name(seen: Seen, absent: str) -> Iterable[Result]:
    wanted = seen.settings.get("host", "")
    if not seen.hellos:
        yield NO_HELLO
    elif not wanted:
        yield Vacuous("the device was told no DNS name")
    for hello in seen.hellos if wanted else ():
        name = hello.get("sni")
        if name is None:
            yield Finding(absent, "the hello has no server_name", "tls.sni_missing", (frame(hello),))
        elif name != wanted or name.endswith("."):
            yield Finding("must", f"server_name is `{name}`, configured is `{wanted}`", "tls.sni_unrecognised",
                          (frame(hello),))  # fmt: skip
        elif _is_address(name):
            yield Finding("must", f"server_name holds the address {name}", "tls.sni_unrecognised", (frame(hello),))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@check("RFC 5246 A.5; RFC 7465 2; RFC 9325 4.1, 4.2; RFC 10015 2, 3, 4")
def suites_current(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos[:1]:
        never, old, unknown = [], [], []
        for code in hello["suites"]:
            if is_grease(code) or code in (SCSV_RENEGOTIATION, SCSV_FALLBACK):
                continue
            iana = suite_name(code)
            if iana.startswith("0x"):
                unknown.append(iana)
                continue
            name = iana.upper()
            words = set(name.split("_"))
            if (words & {"NULL", "ANON", "EXPORT", "RC4", "DES", "DES40", "EXPORT1024"} and "3DES" not in words) or (
                name.startswith(("TLS_RSA_", "TLS_DH_", "TLS_DHE_")) and "PSK" not in words
            ):
                never.append(iana)
            elif name.startswith(("TLS_ECDH_ECDSA", "TLS_ECDH_RSA")) or "3DES" in words:
                old.append(iana)
            elif "CBC" in words and not hello.get("etm"):
                old.append(f"{iana} without encrypt_then_mac")
        if never:
            yield Finding("must", "offers " + ", ".join(never), "", (frame(hello),))
        if old:
            yield Finding("should", "offers " + ", ".join(old), "", (frame(hello),))
        if unknown:
            yield Finding("may", "offers suites unknown to the registry: " + ", ".join(unknown), "", (frame(hello),))


@check("RFC 5246 7.4.1.4.1; RFC 8446 4.2.3, 9.1")
def sigalgs_fit_suites(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos[:1]:
        schemes = set(hello.get("sigalgs") or ())
        names = [suite_name(code).upper() for code in hello["suites"]]
        for key, wanted in (("ECDSA", ECDSA_SCHEMES), ("RSA", RSA_SCHEMES)):
            suites = [n for n in names if n.startswith(f"TLS_ECDHE_{key}_")]
            if suites and not schemes & wanted:
                yield Finding("should", f"{len(suites)} ECDHE_{key} suites and no {key} signature algorithm",
                              "tls.no_common_signature_algorithm", (frame(hello),))  # fmt: skip
        if TLS13 in hello.get("versions", ()):
            for code, name in ((0x0804, "rsa_pss_rsae_sha256"), (0x0403, "ecdsa_secp256r1_sha256")):
                if code not in schemes:
                    yield Finding("must", f"{name} is mandatory in TLS 1.3 (9.1) and not offered",
                                  "tls.no_common_signature_algorithm", (frame(hello),))  # fmt: skip


@check("RFC 9155 2; RFC 8446 4.2.3; RFC 9325 4.5")
def no_weak_sigalgs(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos[:1]:
        schemes = list(hello.get("sigalgs") or ())
        if not schemes:
            yield Vacuous("the hello has no signature_algorithms (see T12-07, T13-06)")
        if md5 := [s for s in schemes if s in MD5_SCHEMES or s >> 8 == 1]:
            yield Finding("must", "MD5: " + ", ".join(f"0x{s:04x}" for s in md5), "", (frame(hello),))
        sha1 = [s for s in schemes if s in SHA1_SCHEMES]
        if sha1 and offers12(dict(hello)):
            yield Finding("must", "SHA-1 with TLS 1.2: " + ", ".join(f"0x{s:04x}" for s in sha1), "", (frame(hello),))
        elif sha1 and schemes[-len(sha1) :] != sha1:
            yield Finding("must", "SHA-1 is not last in the list", "", (frame(hello),))
        elif sha1:
            yield Finding("should", "SHA-1 for certificates", "", (frame(hello),))


@check("RFC 8446 4.1.2; RFC 5246 7.4.1.2; RFC 9325 3.3")
def null_compression(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos:
        methods = list(hello["compression"])
        if 0 not in methods:
            yield Finding("must", "compression_methods lacks null", "tls.malformed_message", (frame(hello),))
        elif methods != [0]:
            level = "must" if seen.offers13 else "should"
            yield Finding(level, f"compression_methods is {methods}, not [0]", "", (frame(hello),))


@check("RFC 8446 4.1.2, C.1; RFC 5246 7.4.1.2")
def fresh_random(seen: Seen) -> Iterable[Result]:
    randoms = [hello["random"] for hello in seen.hellos]
    if len(randoms) < 50:
        yield Vacuous(f"only {len(randoms)} ClientHellos of 50")
        return
    for hello in seen.hellos:
        if len(set(hello["random"])) <= 2:
            yield Finding("must", f"the random is constant: {hello['random'][:16]}…", "", (frame(hello),))
    if repeats := len(randoms) - len(set(randoms)):
        yield Finding("must", f"the client random repeats {repeats} times in {len(randoms)} hellos")


@check("RFC 8446 4.1.2, D.4")
def session_id(seen: Seen) -> Iterable[Result]:
    hellos = [h for h in seen.hellos if TLS13 in h.get("versions", ())]
    if not hellos:
        yield Vacuous("TLS 1.3 is not offered")
        return
    given = {e.get("session_id", "") for e in seen.of("server_hello")}
    for hello in hellos:
        value = hello.get("session_id") or ""
        if len(value) not in (0, 64) and value not in given:
            yield Finding("must", f"legacy_session_id has {len(value) // 2} bytes", "", (frame(hello),))
        for again in (e for e in seen.of("client_hello") if e.get("hrr_retry") and e.get("conn") == hello.get("conn")):
            if (again.get("session_id") or "") != value:
                yield Finding("must", "legacy_session_id changes after HelloRetryRequest", "", (frame(again),))
    values = [h["session_id"] for h in hellos if h.get("session_id")]
    if len(values) != len(set(values)):
        yield Finding("should", "the same legacy_session_id in several connections")


@check("RFC 8446 4.2.2; RFC 7507 4; RFC 7685 3")
def first_hello_clean(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos:
        if hello.get("cookie"):
            yield Finding("must", "a cookie in an initial ClientHello", "", (frame(hello),))
        if hello.get("fallback_scsv"):
            yield Finding("must", "TLS_FALLBACK_SCSV in a hello with the highest version", "", (frame(hello),))
        if hello.get("padding_nonzero"):
            yield Finding("must", "padding bytes are not all zero", "", (frame(hello),))


@check("RFC 5746 3.4; RFC 9325 3.5")
def renegotiation_info(seen: Seen) -> Iterable[Result]:
    yield from _needs12(seen, "reneg_info", "neither renegotiation_info nor its SCSV", "must")


@check("RFC 9325 3.5; RFC 7627 5.2")
def extended_master_secret(seen: Seen) -> Iterable[Result]:
    yield from _needs12(seen, "ems", "no extended_master_secret", "must")


def _needs12(seen: Seen, flag: str, miss: str, level: str) -> Iterable[Result]:
    hellos = [h for h in seen.hellos if offers12(dict(h))]
    if not hellos:
        yield Vacuous("TLS 1.2 is not offered")
    for hello in hellos:
        if not hello.get(flag):
            yield Finding(level, miss, "", (frame(hello),))


@check("RFC 9325 4.1, 4.2, 4.2.1")
def forward_secret_first(seen: Seen) -> Iterable[Result]:
    hellos = [h for h in seen.hellos if offers12(dict(h))]
    if not hellos:
        yield Vacuous("TLS 1.2 is not offered")
    for hello in hellos[:1]:
        names = [suite_name(c).upper() for c in hello["suites"] if not is_grease(c)]
        old = [n for n in names if n.startswith("TLS_") and "_WITH_" in n]
        if not any(n.startswith(("TLS_ECDHE_RSA_WITH_AES", "TLS_ECDHE_ECDSA_WITH_AES")) and ("GCM" in n or "CCM" in n)
                   for n in old):  # fmt: skip
            yield Finding(
                "should", "no ECDHE suite with AES-GCM or AES-CCM", "tls.no_common_cipher_suite", (frame(hello),)
            )
        secret = [n.startswith(("TLS_ECDHE_", "TLS_DHE_")) for n in old]
        if True in secret and False in secret[: len(secret) - secret[::-1].index(True)]:
            yield Finding("should", "a suite without forward secrecy stands before one with it", "", (frame(hello),))


@check("RFC 9325 4.6; RFC 8446 D.5")
def no_truncated_hmac(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
    for hello in seen.hellos:
        if 4 in hello["extensions"] or hello.get("truncated_hmac"):
            yield Finding("must", "truncated_hmac is offered", "", (frame(hello),))


@check("RFC 9325 3.1.3; RFC 8446 D.1")
def no_fallback(seen: Seen) -> Iterable[Result]:
    if len(seen.hellos) < 2:
        yield Vacuous(f"{len(seen.hellos)} ClientHellos: there is no next one to compare")
        return
    if not any(a.sender == "broker" and a.code in (40, 70) for a in seen.alerts()):
        yield Vacuous("the broker refused no hello with 40 or 70")
    highest = [max(h.get("versions") or [number(h["legacy_version"])]) for h in seen.hellos]
    for before, after, hello in zip(highest, highest[1:], seen.hellos[1:], strict=False):
        if after < before:
            yield Finding("should", f"after a refusal the highest version falls from 0x{before:04x} to 0x{after:04x}",
                          "", (frame(hello),))  # fmt: skip
        if after < TLS12:
            yield Finding("should", f"the next hello offers at most 0x{after:04x}", "", (frame(hello),))


@check("RFC 7301 3.1; RFC 9325 3.8")
def alpn_as_configured(seen: Seen) -> Iterable[Result]:
    if not seen.hellos:
        yield NO_HELLO
        return
    wanted = [name for name in seen.settings.get("tls.alpn", "").split(",") if name]
    sent = [h for h in seen.hellos if h.get("alpn") is not None]
    if not sent and not wanted:
        yield Vacuous("no ALPN is configured and none was sent")
    for hello in seen.hellos:
        names = list(hello.get("alpn") or ())
        if "" in names:
            yield Finding("must", "an empty protocol name", "tls.alpn_mismatch", (frame(hello),))
        if names != wanted:
            yield Finding("must", f"ALPN offers {names}, configured is {wanted}", "tls.alpn_mismatch", (frame(hello),))
