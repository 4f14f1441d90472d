"""Broker profiles: `load(folder)` reads broker_configs/*.toml; `listener(profile, pki)` says what one accepts.

The meaning of each key is on top of broker_configs/base.toml. A profile is pinned at both ends: what it does not name
(version, suite, group, signature scheme) is refused. `harness/peer/mosquitto.py` turns one into a running broker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import UsageError
from harness.lab import tables
from harness.lab.codepoints import GROUPS, NOT_FOR_TLS13, SIGALGS, SUITES12, SUITES13
from harness.lab.pki import Pki
from harness.model import Listener
from harness.paths import PROFILES


class Tokens(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Passwords are tokens, judged by libhil-jwt.so (harness/jwt) as a cloud service does. `devices`: client id = the
    [cert] of certs/pki.toml whose key is registered. Times in seconds; `clock_offset`: how far its clock is ahead."""

    audience: str
    devices: dict[str, tuple[str, ...]]
    answer: Literal["close", "connack"] = "close"
    skew: int = 600
    lifetime: int = 86400
    clock_offset: int = 0


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One listener, named after its table. Suites and groups carry OpenSSL's names, signature schemes IANA's."""

    name: str = ""
    title: str
    tls: bool = True
    versions: tuple[Literal["1.2", "1.3"], ...] = ()
    certificate: str = ""
    suites12: tuple[str, ...] = ()
    suites13: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    sigalgs: tuple[str, ...] = ()
    seclevel: int = 2
    client_certificate: Literal["none", "require"] = "none"
    client_ca: tuple[str, ...] = ()
    crl: tuple[str, ...] = ()
    users: dict[str, str] = {}
    acl: tuple[str, ...] = ()
    identity_as_username: bool = False
    tokens: Tokens | None = None
    demand_sni: bool = False
    max_packet: int = 0
    trust: tuple[str, ...] = ()
    device: str = ""
    host: str = ""


def load(folder: Path = PROFILES) -> dict[str, Profile]:
    """Every profile by name. UsageError names file, table and key of what is wrong."""
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise UsageError(f"{folder}: no broker profiles here", "name the folder that holds base.toml")
    made = {}
    for name, (path, body) in tables.expand({path: tables.read(path) for path in files}).items():
        if "name" in body:
            raise UsageError(f"{path}: [{name}]: key `name`: the table's name is the profile's name")
        made[name] = tables.convert(path, name, {"name": name} | body, Profile)
        _check(f"{path}: [{name}]", made[name])
    return made


def _check(where: str, profile: Profile) -> None:
    known = {"suites12": SUITES12, "suites13": SUITES13, "groups": GROUPS, "sigalgs": SIGALGS}
    for key, names in known.items():
        for value in getattr(profile, key):
            if value not in names:
                raise UsageError(f"{where}: key `{key}`: unknown `{value}`", f"known: {', '.join(names)}")
    problems = {
        "certificate": profile.tls and not profile.certificate,
        "versions": profile.tls and not profile.versions,
        "suites12": ("1.2" in profile.versions) != bool(profile.suites12),
        "suites13": ("1.3" in profile.versions) != bool(profile.suites13),
        "groups": profile.tls and not profile.groups,
        "sigalgs": profile.tls and not profile.sigalgs,
        "seclevel": not 0 <= profile.seclevel <= 5,
        "client_ca": (profile.client_certificate == "require") != bool(profile.client_ca),
        "crl": bool(profile.crl) and profile.client_certificate == "none",
        "identity_as_username": profile.identity_as_username and profile.client_certificate == "none",
        "tokens": profile.tokens is not None and bool(profile.users or not profile.tokens.devices),
        "demand_sni": profile.demand_sni and not profile.tls,
        "max_packet": profile.max_packet < 0,
        "tls": not profile.tls and any((profile.certificate, profile.versions, profile.groups, profile.sigalgs)),
    }
    for key, wrong in problems.items():
        if wrong:
            raise UsageError(f"{where}: key `{key}` is missing or does not fit the others", "see base.toml")


def listener(profile: Profile, pki: Pki) -> Listener:
    """What the profile's broker accepts, in code points, and the files it uses."""
    passwords = bool(profile.users or profile.tokens)
    if not profile.tls:
        return Listener(
            source="profile", tls=False, client_certificate="none", checks_crl=False, password=passwords,
            acl=bool(profile.acl), max_packet=profile.max_packet or None,
        )  # fmt: skip
    sigalgs = [name for name in profile.sigalgs if "1.2" in profile.versions or name not in NOT_FOR_TLS13]
    return Listener(
        source="profile",
        versions=profile.versions,
        suites12=tuple(SUITES12[name] for name in profile.suites12),
        suites13=tuple(SUITES13[name] for name in profile.suites13),
        groups=tuple(GROUPS[name] for name in profile.groups),
        sigalgs=tuple(SIGALGS[name] for name in sigalgs),
        certificate=pki.facts(profile.certificate).server_certificate(),
        client_certificate=profile.client_certificate,
        checks_crl=bool(profile.crl),
        password=passwords,
        acl=bool(profile.acl),
        identity_as_username=profile.identity_as_username,
        max_packet=profile.max_packet or None,
        certificate_files=(pki.chain(profile.certificate),),
        ca_files=tuple(pki.cert(name) for name in profile.client_ca),
        crl_files=tuple(pki.crl(name) for name in profile.crl),
    )
