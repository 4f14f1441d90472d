"""Does a ClientHello fit a listener? Set by set, in the order in which a server decides. Pure.

The order is the order of the fault met first: version, then (1.2) suite by version and certificate key, group, curve of
the certificate, signature algorithm; in 1.3 signature algorithm stands before group, because OpenSSL picks the
certificate first. A set the listener's side of which is not known has `ok = None` and is never a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from harness.diagnosis.registry import suites
from harness.diagnosis.registry.codepoints import (
    CURVE_GROUPS,
    GROUPS,
    SCHEMES,
    VERSIONS,
    group_name,
    scheme_name,
)
from harness.model import Listener, Version

NAMES_SHOWN = 24  # a set longer than this is cut in what people see


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """One set: what the device offered, what the listener accepts, what both have. `ok` None: not decidable."""

    name: str
    title: str
    offered: tuple[str, ...]
    accepted: tuple[str, ...] | None
    common: tuple[str, ...]
    ok: bool | None
    cause: str = ""  # id of causes.toml when `ok` is False, or the one to suspect when it is None
    note: str = ""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """`fits`: True (must connect), False (`first` says what fails first), None (the listener is not known enough)."""

    version: str  # "1.2", "1.3" or "" when none is common
    dimensions: tuple[Dimension, ...]
    fits: bool | None

    @property
    def first(self) -> Dimension | None:
        return next((d for d in self.dimensions if d.ok is False and d.cause), None)

    def of(self, name: str) -> Dimension | None:
        return next((d for d in self.dimensions if d.name == name), None)


def offered_versions(hello: Mapping[str, Any]) -> list[str]:
    """Versions the ClientHello offers, newest first. Without supported_versions: legacy_version and what is below."""
    listed = hello.get("versions")
    if listed:
        return [VERSIONS[v] for v in sorted(set(listed), reverse=True) if v in VERSIONS]
    legacy = _int(hello.get("legacy_version", 0x0303))
    return [VERSIONS[code] for code in sorted(VERSIONS, reverse=True) if code <= min(legacy, 0x0303)]


def openssl_defaults(listener: Listener) -> Listener:
    """The listener with what it does not say filled in as Mosquitto 2.0 with OpenSSL 3.0 (level 2) would."""
    return msgspec.structs.replace(
        listener,
        versions=listener.versions or ("1.2", "1.3"),
        suites12=listener.suites12 if listener.suites12 is not None else suites.OPENSSL_DEFAULT_12,
        suites13=listener.suites13 if listener.suites13 is not None else suites.OPENSSL_DEFAULT_13,
        groups=listener.groups if listener.groups is not None else (29, 23, 30, 25, 24, 256, 257, 258, 259, 260),
        sigalgs=listener.sigalgs if listener.sigalgs is not None else _OPENSSL_SIGALGS,
    )


_OPENSSL_SIGALGS = tuple(c for c, s in SCHEMES.items() if s.hash not in ("MD5", "SHA1") and c < 0x0810)


def compare(client_hello: Mapping[str, Any], listener: Listener) -> Fit:
    """Compare a `client_hello` event (docs/wire-events.md) with a listener."""
    versions = _versions(client_hello, listener)
    if versions.ok is False:
        return Fit(version="", dimensions=(versions, _sni(client_hello, listener)), fits=False)
    version = versions.common[0].removeprefix("TLS ") if versions.common else _highest(client_hello)
    if version == "1.3":
        blocking = [versions, _suites13(client_hello, listener), _schemes13(client_hello, listener)]
        blocking.append(_groups13(client_hello, listener))
    else:
        usable = _usable12(client_hello, listener, version)
        blocking = [versions, _suites12(client_hello, listener, version, usable)]
        blocking.append(_groups12(client_hello, listener, usable))
        blocking.append(_curve12(client_hello, listener, usable))
        blocking.append(_schemes12(client_hello, listener, usable))
    states = [d.ok for d in blocking]
    fits = False if False in states else (None if None in states else True)
    return Fit(version=version, dimensions=(*blocking, _sni(client_hello, listener)), fits=fits)


def _highest(hello: Mapping[str, Any]) -> str:
    known = offered_versions(hello)
    return known[0] if known else "1.2"


def _versions(hello: Mapping[str, Any], listener: Listener) -> Dimension:
    offered = offered_versions(hello)
    explicit = bool(hello.get("versions"))
    accepted = listener.versions
    ok: bool | None = None
    common: list[str] = []
    note = ""
    if accepted is not None:
        common = [v for v in offered if v in accepted]
        ok = bool(common)
        if ok and not explicit and common[0] != offered[0]:
            ok, note = None, "without supported_versions a ClientHello does not say how low the device goes"
    shown = offered if explicit else offered[:1]
    return Dimension(
        name="versions",
        title="protocol versions",
        offered=tuple(_tls(v) for v in shown),
        accepted=None if accepted is None else tuple(_tls(v) for v in accepted),
        common=tuple(_tls(v) for v in common),
        ok=ok,
        cause="" if ok is not False else "tls.no_common_version",
        note=note,
    )


def _tls(version: str | Version) -> str:
    return f"TLS {version}" if version != "3.0" else "SSL 3.0"


def _offered_suites(hello: Mapping[str, Any], tls13: bool) -> list[suites.Suite]:
    found = []
    for code in hello.get("suites", ()):
        if suites.is_signal(code):
            continue
        suite = suites.lookup(code)
        if suite is not None and suite.tls13 == tls13:
            found.append(suite)
    return found


def _suites13(hello: Mapping[str, Any], listener: Listener) -> Dimension:
    offered = _offered_suites(hello, True)
    return _suite_dimension("cipher suites (TLS 1.3)", offered, offered, listener.suites13)


def _usable12(hello: Mapping[str, Any], listener: Listener, version: str) -> list[suites.Suite]:
    """Offered suites that this version and this certificate allow."""
    key = listener.certificate.key if listener.certificate else ""
    usable = []
    for suite in _offered_suites(hello, False):
        if suite.needs_12 and version in ("1.1", "1.0", "3.0"):
            continue
        if key == "rsa" and suite.auth not in ("rsa", "none"):
            continue
        if key in ("ec", "ed25519") and suite.auth not in ("ec", "none"):
            continue
        usable.append(suite)
    return usable


def _suites12(hello: Mapping[str, Any], listener: Listener, version: str, usable: list[suites.Suite]) -> Dimension:
    offered = _offered_suites(hello, False)
    dimension = _suite_dimension(f"cipher suites (TLS {version})", offered, usable, listener.suites12)
    if dimension.ok is False and listener.certificate and listener.suites12 is not None:
        by_name = {s.code for s in offered} & set(listener.suites12)
        if by_name:
            names = ", ".join(suites.name(code) for code in sorted(by_name))
            note = f"both know {names}, but the broker's certificate has a key of type {listener.certificate.key}"
            return msgspec.structs.replace(dimension, note=note)
    if dimension.ok is True and listener.certificate is None:
        kinds = {s.auth for s in _common12(listener, usable)}
        if len(kinds) == 1 and kinds <= {"rsa", "ec"}:
            kind = "an EC" if kinds == {"ec"} else "an RSA"
            return msgspec.structs.replace(dimension, ok=None, note=f"they fit only {kind} certificate")
    return dimension


def _suite_dimension(
    title: str, offered: list[suites.Suite], usable: list[suites.Suite], accepted: tuple[int, ...] | None
) -> Dimension:
    common = [s.name for s in usable if accepted is not None and s.code in accepted]
    ok = None if accepted is None else bool(common)
    if accepted is None and not usable:
        ok = False  # nothing that this version and certificate could use, whatever the broker accepts
    return Dimension(
        name="suites",
        title=title,
        offered=_cut(s.name for s in offered),
        accepted=None if accepted is None else _cut(suites.name(code) for code in accepted),
        common=_cut(common),
        ok=ok,
        cause="" if ok is not False else "tls.no_common_cipher_suite",
    )


def _common12(listener: Listener, usable: list[suites.Suite]) -> list[suites.Suite]:
    return [s for s in usable if listener.suites12 is None or s.code in listener.suites12]


def _groups12(hello: Mapping[str, Any], listener: Listener, usable: list[suites.Suite]) -> Dimension:
    common = _common12(listener, usable)
    elliptic = [s for s in common if s.kx == "ecdhe"]
    groups = hello.get("groups")
    dimension = _group_dimension(hello, listener)
    never = "tls.ecc_not_initialised" if groups is None else ""
    if not elliptic:
        note = "not needed: a suite without elliptic curves is common" if common else ""
        return msgspec.structs.replace(dimension, ok=True if common else None, cause="", note=note)
    if len(elliptic) < len(common) and dimension.ok is not True:
        unread = listener.certificate is None and any(s.auth == "ec" for s in common)
        if listener.suites12 is None or unread:
            note = "needed unless the broker accepts DHE or static RSA, with an RSA certificate"
            return msgspec.structs.replace(dimension, ok=None, cause=never, note=note)
        note = "not needed: a suite without elliptic curves is common"
        return msgspec.structs.replace(dimension, ok=True, cause="", note=note)
    if groups is None:
        return msgspec.structs.replace(
            dimension,
            ok=False,
            cause="tls.ecc_not_initialised",
            note="ECDHE suites are offered without the supported_groups extension",
        )
    return dimension


def _groups13(hello: Mapping[str, Any], listener: Listener) -> Dimension:
    dimension = _group_dimension(hello, listener)
    missing = [n for n, key in (("supported_groups", "groups"), ("key_share", "key_shares")) if hello.get(key) is None]
    if missing and not hello.get("psk"):
        note = f"mandatory in TLS 1.3 and absent: {', '.join(missing)}"
        return msgspec.structs.replace(dimension, ok=False, cause="tls.missing_extension", note=note)
    return dimension


def _group_dimension(hello: Mapping[str, Any], listener: Listener) -> Dimension:
    groups = [g for g in hello.get("groups") or () if not suites.is_grease(g)]
    accepted = listener.groups
    common = [g for g in groups if accepted is not None and g in accepted]
    ok = None if accepted is None else bool(common)
    return Dimension(
        name="groups",
        title="key-exchange groups",
        offered=_cut(group_name(g) for g in groups),
        accepted=None if accepted is None else _cut(group_name(g) for g in accepted),
        common=_cut(group_name(g) for g in common),
        ok=ok,
        cause="" if ok is not False else "tls.no_common_group",
    )


def _curve12(hello: Mapping[str, Any], listener: Listener, usable: list[suites.Suite]) -> Dimension:
    """RFC 8422 5.1: in TLS 1.2 supported_groups also limits the curve of the certificate's key."""
    certificate = listener.certificate
    groups = hello.get("groups")
    needed = certificate is not None and certificate.key == "ec" and any(s.auth == "ec" for s in usable)
    ok: bool | None = True
    accepted: tuple[str, ...] | None = None
    if needed and certificate is not None:
        code = CURVE_GROUPS.get(certificate.curve)
        accepted = (group_name(code) if code else certificate.curve or "unknown curve",)
        ok = None if code is None or groups is None else code in groups
    elif certificate is None:
        ok = None if any(s.auth == "ec" for s in usable) and not any(s.auth == "rsa" for s in usable) else True
    offered = _cut(group_name(g) for g in groups or () if g in GROUPS)
    return Dimension(
        name="certificate_curve",
        title="curve of the broker's certificate",
        offered=offered,
        accepted=accepted,
        common=accepted if ok and accepted else (),
        ok=ok,
        cause="" if ok is not False else "tls.no_common_group",
    )


def _schemes12(hello: Mapping[str, Any], listener: Listener, usable: list[suites.Suite]) -> Dimension:
    common = _common12(listener, usable)
    if common and all(s.kx in ("rsa", "psk") for s in common):
        return msgspec.structs.replace(
            _scheme_dimension(hello, listener, False), ok=True, cause="", note="static RSA needs no signature"
        )
    dimension = _scheme_dimension(hello, listener, False)
    if dimension.ok is False and any(s.kx == "rsa" for s in common):
        return msgspec.structs.replace(dimension, ok=True, cause="", note="static RSA needs no signature")
    return dimension


def _schemes13(hello: Mapping[str, Any], listener: Listener) -> Dimension:
    if hello.get("sigalgs") is None and not hello.get("psk"):
        note = "mandatory in TLS 1.3 and absent: signature_algorithms"
        empty = _scheme_dimension(hello, listener, True)
        return msgspec.structs.replace(empty, ok=False, cause="tls.missing_extension", note=note)
    return _scheme_dimension(hello, listener, True)


def schemes_for(offered: list[int], key: str, curve: str, tls13: bool) -> list[int]:
    """The offered signature schemes a server with this certificate key could sign with."""
    fitting = []
    for code in offered:
        scheme = SCHEMES.get(code)
        if scheme is None or scheme.key != key or (tls13 and not scheme.tls13):
            continue
        if tls13 and scheme.curve and curve and CURVE_GROUPS.get(curve) not in (None, scheme.curve):
            continue
        fitting.append(code)
    return fitting


def _scheme_dimension(hello: Mapping[str, Any], listener: Listener, tls13: bool) -> Dimension:
    listed = hello.get("sigalgs")
    # RFC 5246 7.4.1.4.1: absent in TLS 1.2 means SHA-1 only, which OpenSSL refuses at level 2
    offered = [0x0201, 0x0203] if listed is None else [s for s in listed if not suites.is_grease(s)]
    certificate = listener.certificate
    ok: bool | None = None
    note = "" if listed is not None else "no signature_algorithms extension: SHA-1 is implied"
    accepted: list[int] | None = None
    common: list[int] = []
    if certificate is not None and certificate.key in ("rsa", "ec", "ed25519"):
        every = list(listener.sigalgs) if listener.sigalgs is not None else list(_OPENSSL_SIGALGS)
        accepted = schemes_for(every, certificate.key, certificate.curve, tls13)
        common = [s for s in offered if s in accepted]
        ok = bool(common)
        if not ok and tls13 and certificate.key == "rsa" and any(s in (0x0401, 0x0501, 0x0601) for s in offered):
            note = "TLS 1.3 allows no rsa_pkcs1 in handshakes; an RSA certificate needs rsa_pss_rsae"
    else:
        keys = {key for key in ("rsa", "ec", "ed25519") if schemes_for(offered, key, "", tls13)}
        if not keys:
            ok = False
        elif "rsa" not in keys:
            note = "fits only an EC certificate" if tls13 or not note else note
    return Dimension(
        name="signature_algorithms",
        title="signature algorithms",
        offered=_cut(scheme_name(s) for s in offered),
        accepted=None if accepted is None else _cut(scheme_name(s) for s in accepted),
        common=_cut(scheme_name(s) for s in common),
        ok=ok,
        cause="" if ok is not False else "tls.no_common_signature_algorithm",
        note=note,
    )


def _sni(hello: Mapping[str, Any], listener: Listener) -> Dimension:
    """Not blocking: Mosquitto has one certificate a listener and ignores the name."""
    name = hello.get("sni")
    names = listener.certificate.names if listener.certificate else ()
    ok = name_matches(name, names) if name and names else None
    return Dimension(
        name="server_name",
        title="server name",
        offered=(name,) if name else (),
        accepted=names or None,
        common=(name,) if ok and name else (),
        ok=ok,
    )


def name_matches(name: str, patterns: tuple[str, ...] | list[str]) -> bool:
    """RFC 6125 6.4.3: case-insensitive, `*` only as the whole left-most label."""
    wanted = name.rstrip(".").lower()
    for pattern in patterns:
        p = pattern.rstrip(".").lower()
        if p == wanted:
            return True
        if p.startswith("*.") and "." in wanted and wanted.split(".", 1)[1] == p[2:]:
            return True
    return False


def _cut(names: Any) -> tuple[str, ...]:
    every = tuple(names)
    if len(every) <= NAMES_SHOWN:
        return every
    return (*every[:NAMES_SHOWN], f"… {len(every) - NAMES_SHOWN} more")


def _int(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)
