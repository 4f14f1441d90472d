"""The code points of a Listener are those OpenSSL puts on the wire for the names a profile uses."""

from __future__ import annotations

import re
import socket
import subprocess

import pytest

from harness.lab.codepoints import GROUPS, NOT_FOR_TLS13, SIGALGS, SUITES12, SUITES13
from harness.lab.pki import Pki
from harness.lab.profiles import Profile, listener

ENV = {"OPENSSL_CONF": "/dev/null", "PATH": "/usr/bin:/bin"}


def test_suites() -> None:
    said = subprocess.run(
        ["openssl", "ciphers", "-V", "-ciphersuites", ":".join(SUITES13), f"{':'.join(SUITES12)}:@SECLEVEL=0"],
        env=ENV, capture_output=True, text=True, check=True, timeout=20,
    ).stdout
    rows = re.findall(r"0x(..),0x(..) - (\S+)", said)
    assert {name: int(high + low, 16) for high, low, name in rows} == SUITES12 | SUITES13


def hello(*options: str) -> dict[int, bytes]:
    """The extensions of s_client's ClientHello."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.getsockname()[1]}", *options]
        with subprocess.Popen(argv, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as client:
            stream, _ = server.accept()
            with stream, stream.makefile("rb") as reader:
                stream.settimeout(20)
                record = reader.read(5)
                body = reader.read(int.from_bytes(record[3:5], "big"))
            client.kill()
    at = 4 + 2 + 32
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at] + 2
    found = {}
    while at < len(body):
        kind, size = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
        found[kind] = body[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def numbers(extension: bytes) -> list[int]:
    """A list of 16-bit numbers behind its 16-bit length."""
    assert int.from_bytes(extension[:2], "big") == len(extension) - 2
    return [int.from_bytes(extension[at : at + 2], "big") for at in range(2, len(extension), 2)]


def test_groups() -> None:
    curves = [name for name in GROUPS if not name.startswith("brainpool")]
    assert numbers(hello("-tls1_3", "-groups", ":".join(curves))[10]) == [GROUPS[name] for name in curves]
    older = [name for name in GROUPS if not name.startswith("ffdhe")]
    assert numbers(hello("-tls1_2", "-groups", ":".join(older))[10]) == [GROUPS[name] for name in older]


def test_signature_schemes() -> None:
    names = list(SIGALGS)
    assert numbers(hello("-tls1_2", "-sigalgs", ":".join(names))[13]) == list(SIGALGS.values())


@pytest.mark.parametrize("name", ["r12", "r13", "e-any"])
def test_listener_says_what_the_profile_names(name: str, profiles: dict[str, Profile], pki: Pki) -> None:
    profile = profiles[name]
    accepts = listener(profile, pki)
    assert accepts.source == "profile" and accepts.tls and accepts.versions == profile.versions
    assert accepts.suites12 == tuple(SUITES12[suite] for suite in profile.suites12)
    assert accepts.suites13 == tuple(SUITES13[suite] for suite in profile.suites13)
    assert accepts.groups == (29, 23, 30, 25, 24)
    assert accepts.sigalgs is not None
    assert (set(accepts.sigalgs) & {SIGALGS[scheme] for scheme in NOT_FOR_TLS13} == set()) == (name == "r13")
    assert accepts.certificate is not None
    assert (accepts.certificate.key, accepts.certificate.bits) == (("rsa", 2048) if name[0] == "r" else ("ec", 256))
    assert accepts.certificate.names == ("broker.hil.test",)
    assert accepts.client_certificate == "none"
    assert (accepts.checks_crl, accepts.password, accepts.acl) == (False, False, False)


def test_listener_of_the_other_kinds(profiles: dict[str, Profile], pki: Pki) -> None:
    crl = listener(profiles["e12-mutual-crl"], pki)
    assert crl.client_certificate == "require" and crl.checks_crl
    assert crl.ca_files == tuple(pki.cert(f"ca-device-{key}") for key in ("rsa2048", "p256", "p384"))
    assert crl.crl_files == tuple(pki.crl(f"crl-{key}") for key in ("rsa2048", "p256", "p384"))
    assert listener(profiles["r12-password"], pki).password
    assert listener(profiles["r12-acl"], pki).acl
    assert listener(profiles["r12-max-packet"], pki).max_packet == 1000
    plain = listener(profiles["plain"], pki)
    assert not plain.tls and plain.versions is None and plain.certificate is None
