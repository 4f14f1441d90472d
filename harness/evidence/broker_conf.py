"""mosquitto.conf as `Listener`s: what each listener accepts, as far as the file says it.

What the file does not say stays None, with two exceptions that were measured: without `ciphers` Mosquitto takes
OpenSSL's default list at security level 2, and `tls_version` is a minimum, never a pin (without it: 1.2 and 1.3).
Only OPENSSL_CONF can set a maximum, groups or signature algorithms, so a file in that style may be given beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.evidence import openssl_names
from harness.model import Listener, Version

_VERSIONS: tuple[Version, ...] = ("1.0", "1.1", "1.2", "1.3")
_MAX_BYTES = 1 << 20
_MAX_FILES = 64
# Options of a listener even when per_listener_settings is false.
_SECURITY = ("allow_anonymous", "password_file", "plugin", "auth_plugin", "acl_file")


class OpenSSLConf(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an OPENSSL_CONF file that changes what a listener accepts."""

    minimum: Version | None = None
    maximum: Version | None = None
    suites12: tuple[int, ...] | None = None
    suites13: tuple[int, ...] | None = None
    groups: tuple[int, ...] | None = None
    sigalgs: tuple[int, ...] | None = None


def _version(text: str) -> Version | None:
    """`tlsv1.2`, `TLSv1.2` or `TLSv1` as a version."""
    found = re.fullmatch(r"tlsv1(?:\.([0-3]))?", text.strip().lower())
    return _VERSIONS[int(found[1] or 0)] if found else None


def parse_openssl_conf(text: str) -> OpenSSLConf:
    """Follow openssl_conf → ssl_conf → system_default; without that chain take a section of such a name."""
    sections: dict[str, dict[str, str]] = {"": {}}
    current = sections[""]
    for raw in text.splitlines():
        line = raw.split("#", 1)[0].strip()
        if found := re.fullmatch(r"\[\s*(.*?)\s*\]", line):
            current = sections.setdefault(found[1], {})
        elif "=" in line:
            key, value = line.split("=", 1)
            current[key.strip()] = value.strip()
    top = sections.get(sections[""].get("openssl_conf", "-"), {})
    name = sections.get(top.get("ssl_conf", "-"), {}).get("system_default", "-")
    chosen = sections.get(name)
    if chosen is None:
        chosen = next((body for title, body in sections.items() if title.startswith("system_default")), {})
    get = {key.lower(): value for key, value in chosen.items()}.get
    groups, sigalgs = get("groups") or get("curves"), get("signaturealgorithms")
    return OpenSSLConf(
        minimum=_version(get("minprotocol", "")),
        maximum=_version(get("maxprotocol", "")),
        suites12=openssl_names.suites12(get("cipherstring", "")) if get("cipherstring") else None,
        suites13=openssl_names.suites13(get("ciphersuites", "")) if get("ciphersuites") else None,
        groups=openssl_names.groups(groups) if groups else None,
        sigalgs=openssl_names.sigalgs(sigalgs) if sigalgs else None,
    )


class _Draft(msgspec.Struct):
    bind: str
    port: int
    options: dict[str, str]


def _options(text: str) -> Iterator[tuple[str, str]]:
    for raw in text.splitlines():
        line = raw.strip()
        if line and not line.startswith("#"):
            key, _, value = line.partition(" ")
            yield key.strip(), value.strip()


def _drafts(text: str) -> tuple[dict[str, str], list[_Draft]]:
    """Global options, and each listener with its own."""
    common: dict[str, str] = {}
    drafts: list[_Draft] = []
    current: _Draft | None = None
    bridge = False
    per_listener = any(k == "per_listener_settings" and v.lower() == "true" for k, v in _options(text))
    for key, value in _options(text):
        if key == "listener":
            words = value.split()
            bridge = False
            if not words or not words[0].isdigit() or int(words[0]) > 65535:
                current = _Draft("", -1, {})  # its options belong to nobody
                continue
            current = _Draft(words[1] if len(words) > 1 else "", int(words[0]), {})
            drafts.append(current)
        elif key == "connection":
            bridge = True
        elif bridge:
            continue
        elif key == "port":
            if value.isdigit() and int(value) <= 65535:
                common["port"] = value
        elif current is None or (key in _SECURITY and not per_listener) or key == "max_packet_size":
            common[key] = value
        else:
            current.options[key] = value
    if not drafts or "port" in common:  # the default listener takes the options before the first `listener`
        port = common.get("port", "1883")
        drafts.insert(
            0, _Draft(common.get("bind_address", ""), int(port) if int(port) <= 65535 else 1883, dict(common))
        )
    return common, drafts


def _files(value: str | None, base: Path) -> tuple[Path, ...]:
    """The file as named relative to the configuration or to the working directory, if it exists there."""
    if not value:
        return ()
    for candidate in (base / value, Path(value)):
        try:
            if candidate.is_file():
                return (candidate,)
        except OSError:
            continue
    return ()


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() in ("true", "1")


def _suites12(own: dict[str, str], ssl: OpenSSLConf) -> tuple[int, ...] | None:
    if "certfile" not in own:
        return None  # PSK only: the list of suites without a certificate is not evaluated
    if ciphers := own.get("ciphers"):
        return openssl_names.suites12(ciphers)
    return ssl.suites12 or openssl_names.default_suites12()


def _listener(draft: _Draft, common: dict[str, str], base: Path, ssl: OpenSSLConf, explicit: bool) -> Listener:
    own = draft.options
    get = {**{key: common[key] for key in _SECURITY if key in common}, **own}.get
    anonymous = get("allow_anonymous")
    # Mosquitto 2: without any listener line the broker is local only and lets everybody in.
    open_door = _is_true(anonymous) if anonymous is not None else not explicit
    checks = any(get(key) for key in ("password_file", "plugin", "auth_plugin"))
    packet = common.get("max_packet_size") or own.get("max_packet_size") or ""
    tls = bool(own.get("certfile") or own.get("psk_hint"))
    fields: dict[str, object] = {
        "source": "config",
        "tls": tls,
        "password": checks or not open_door,
        "acl": bool(get("acl_file")) or (None if get("plugin") or get("auth_plugin") else False),
        "max_packet": int(packet) if packet.isdigit() and int(packet) > 0 else None,
    }
    if not tls:
        return msgspec.convert(fields, Listener)
    named = own.get("tls_version")
    lowest = (_version(named) if named else None) or "1.2"
    if ssl.minimum and ssl.minimum > lowest:
        lowest = ssl.minimum
    if lowest < "1.2" and "@SECLEVEL=0" not in own.get("ciphers", ""):
        lowest = "1.2"  # measured: OpenSSL 3 at its default level has no signature algorithm for 1.0 and 1.1
    highest = ssl.maximum or "1.3"
    tls13 = own.get("ciphers_tls1.3")
    cert = own.get("certfile")
    return Listener(
        source="config",
        tls=True,
        versions=tuple(v for v in _VERSIONS if lowest <= v <= highest),
        suites12=_suites12(own, ssl),
        suites13=openssl_names.suites13(tls13) if tls13 else ssl.suites13 or openssl_names.default_suites13(),
        groups=ssl.groups,
        sigalgs=ssl.sigalgs,
        client_certificate="require" if _is_true(own.get("require_certificate")) else "none",
        checks_crl=bool(own.get("crlfile")),
        password=checks or not open_door,
        acl=bool(get("acl_file")) or (None if get("plugin") or get("auth_plugin") else False),
        identity_as_username=_is_true(own.get("use_identity_as_username"))
        or _is_true(own.get("use_subject_as_username")),
        max_packet=int(packet) if packet.isdigit() and int(packet) > 0 else None,
        certificate_files=_files(cert, base),
        ca_files=_files(own.get("cafile"), base),
        crl_files=_files(own.get("crlfile"), base),
    )


def parse(text: str, base: Path, ssl: OpenSSLConf | None = None) -> list[tuple[str, int, Listener]]:
    """(bind address, port, listener) of a configuration's text; file names are looked up beside `base`."""
    common, drafts = _drafts(text)
    explicit = any(key in ("listener", "port") for key, _ in _options(text))
    return [
        (draft.bind, draft.port, _listener(draft, common, base, ssl or OpenSSLConf(), explicit)) for draft in drafts
    ]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = "is a directory" if path.is_dir() else error.strerror or str(error)
        raise UsageError(f"broker configuration {path}: {reason}", "name a mosquitto.conf") from error
    if len(raw) > _MAX_BYTES or b"\0" in raw:
        raise UsageError(f"broker configuration {path} is not a mosquitto.conf", "name a text file under 1 MB")
    return raw.decode("utf-8", "replace")


def listeners(path: Path, openssl_conf: Path | None = None) -> list[tuple[str, int, Listener]]:
    """All listeners of the file at `path` (with its `include_dir`). Raises UsageError when it cannot be read."""
    text = _text(path)
    for key, value in _options(text):
        folder = path.parent / value
        if key == "include_dir" and folder.is_dir():
            text += "".join("\n" + _text(one) for one in sorted(folder.glob("*.conf"))[:_MAX_FILES])
    ssl = parse_openssl_conf(_text(openssl_conf)) if openssl_conf else None
    return parse(text, path.parent, ssl)


def read(path: Path, port: int | None = None, openssl_conf: Path | None = None) -> Listener:
    """The listener on `port`; without one, or when only one exists, the only or the first TLS listener.

    Raises UsageError when the file cannot be read or several listeners exist and none has this port.
    """
    found = listeners(path, openssl_conf)
    for _, number, one in found:
        if number == port:
            return one
    if port is not None and len(found) > 1:
        known = ", ".join(str(number) for _, number, _ in found)
        raise UsageError(f"broker configuration {path} has no listener on port {port}", f"it has {known}")
    return next((one for _, _, one in found if one.tls), found[0][2])
