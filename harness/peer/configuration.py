"""What Mosquitto is told: a profile as mosquitto.conf, openssl.cnf, password and ACL file. Text only, no processes.

`tls_version` is only a minimum and `ciphers` does not touch TLS 1.3, so that both ends of the version range, the
groups and the signature schemes are pinned through a configuration of OpenSSL (`OPENSSL_CONF`, section
`system_default`), which Mosquitto's contexts inherit.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import msgspec

from harness.lab.pki import Pki
from harness.lab.process import program
from harness.lab.profiles import Profile

_ITERATIONS = 101


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Where a broker's files lie, all in its work folder."""

    conf: Path
    openssl: Path
    passwords: Path
    acl: Path
    devices: Path


def files(workdir: Path) -> Files:
    workdir = workdir.resolve()
    return Files(
        conf=workdir / "mosquitto.conf", openssl=workdir / "openssl.cnf",
        passwords=workdir / "passwords", acl=workdir / "acl", devices=workdir / "devices",
    )


def write(profile: Profile, pki: Pki, where: Files, *, address: str, port: int, watch_port: int | None) -> None:
    """Writes all files (private). UsageError when the profile names a certificate the PKI lacks."""
    texts = {where.conf: mosquitto_conf(profile, pki, where, address=address, port=port, watch_port=watch_port)}
    if profile.tls:
        texts[where.openssl] = openssl_conf(profile)
    if profile.users:
        texts[where.passwords] = "".join(password_line(user, word) for user, word in profile.users.items())
    if profile.acl:
        texts[where.acl] = "".join(f"{line}\n" for line in profile.acl)
    if profile.tokens is not None:
        rows = [(device, name) for device, names in profile.tokens.devices.items() for name in names]
        texts[where.devices] = "".join(f"{device} {pki.cert(name).resolve()}\n" for device, name in rows)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)


def mosquitto_conf(
    profile: Profile, pki: Pki, where: Files, *, address: str, port: int, watch_port: int | None
) -> str:
    """`watch_port`: a second listener on loopback, in the clear and open to all, for the watcher."""
    lines = [
        f"# {profile.name}: {profile.title}",
        f"per_listener_settings {_bool(watch_port is not None)}",
        "log_dest stderr",
        "log_type all",
        "log_timestamp false",  # our reader stamps each line with microseconds
        "connection_messages true",
        "persistence false",
        "sys_interval 0",
        "set_tcp_nodelay true",
    ]
    if os.geteuid() == 0:
        lines.append("user root")  # else it drops to `mosquitto`, which cannot read private files
    if profile.max_packet:
        lines.append(f"max_packet_size {profile.max_packet}")
    lines += ["", f"listener {port} {address}", *_access(profile, where)]
    if profile.tls:
        lines += _tls(profile, pki, where)
    if watch_port is not None:
        lines += ["", "# for the watcher, not for the device", f"listener {watch_port} 127.0.0.1",
                  "allow_anonymous true"]
    return "\n".join(lines) + "\n"


def _access(profile: Profile, where: Files) -> list[str]:
    lines = [f"allow_anonymous {_bool(not (profile.users or profile.tokens))}"]
    if profile.tokens is not None:
        tokens = profile.tokens
        lines += [
            f"plugin {program('libhil-jwt.so')}", f"plugin_opt_devices {where.devices}",
            f"plugin_opt_audience {tokens.audience}", f"plugin_opt_answer {tokens.answer}",
            f"plugin_opt_skew {tokens.skew}", f"plugin_opt_lifetime {tokens.lifetime}",
            f"plugin_opt_clock_offset {tokens.clock_offset}",
        ]  # fmt: skip
    if profile.users:
        lines.append(f"password_file {where.passwords}")
    if profile.acl:
        lines.append(f"acl_file {where.acl}")
    return lines


def _tls(profile: Profile, pki: Pki, where: Files) -> list[str]:
    lines = [
        f"# exactly TLS {' and '.join(profile.versions)}: OPENSSL_CONF={where.openssl}",
        f"tls_version tlsv{min(profile.versions)}",
        f"certfile {pki.chain(profile.certificate).resolve()}",
        f"keyfile {pki.key(profile.certificate).resolve()}",
    ]
    if profile.suites12:
        lines.append(f"ciphers {':'.join(profile.suites12)}")
    if profile.suites13:
        lines.append(f"ciphers_tls1.3 {':'.join(profile.suites13)}")
    lines.append(f"require_certificate {_bool(profile.client_certificate == 'require')}")
    if profile.client_certificate == "require":
        lines.append(f"cafile {pki.ca_bundle(profile.client_ca).resolve()}")
    if profile.crl:
        lines.append(f"crlfile {pki.crl_bundle(profile.crl).resolve()}")
    if profile.identity_as_username:
        lines.append("use_identity_as_username true")
    return lines


def openssl_conf(profile: Profile) -> str:
    cipher_string = ":".join((*profile.suites12, f"@SECLEVEL={profile.seclevel}"))
    lines = [
        f"# {profile.name}: pins what Mosquitto's own options leave open",
        "openssl_conf = hil",
        "[hil]",
        "ssl_conf = ssl",
        "[ssl]",
        "system_default = listener",
        "[listener]",
        f"MinProtocol = TLSv{min(profile.versions)}",
        f"MaxProtocol = TLSv{max(profile.versions)}",
        f"CipherString = {cipher_string if profile.suites12 else f'DEFAULT:@SECLEVEL={profile.seclevel}'}",
        f"Groups = {':'.join(profile.groups)}",
        f"SignatureAlgorithms = {':'.join(profile.sigalgs)}",
    ]
    if profile.suites13:
        lines.append(f"Ciphersuites = {':'.join(profile.suites13)}")
    return "\n".join(lines) + "\n"


def password_line(user: str, password: str) -> str:
    """Mosquitto 2's format `$7$`: PBKDF2 with HMAC-SHA-512."""
    salt = os.urandom(12)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 64)
    return f"{user}:$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}\n"


def _bool(value: bool) -> str:
    return "true" if value else "false"
