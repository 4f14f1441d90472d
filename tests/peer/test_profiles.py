"""Every broker profile accepts exactly what its name says, found out with `openssl s_client`."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.lab.pki import Pki
from harness.lab.profiles import Profile, load
from harness.peer.mosquitto import broker
from tests.peer.sclient import Outcome, attempt, mqtt_connect
from tests.peer.stories import Attempt, story

NAMES = sorted(name for name, profile in load().items() if profile.tls)
GROUPED = [NAMES[start : start + 10] for start in range(0, len(NAMES), 10)]


@pytest.mark.parametrize("names", GROUPED, ids=lambda names: f"{names[0]}..{names[-1]}")
def test_profiles_are_what_their_names_say(
    names: list[str], profiles: dict[str, Profile], pki: Pki, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: _differences(profiles[name], pki, tmp_path / name), names)
    differences = [line for lines in found for line in lines]
    assert not differences, "\n".join(differences)


def _differences(profile: Profile, pki: Pki, workdir: Path) -> list[str]:
    trials = story(profile.name, pki)
    # A story in which nothing connects would also be told by a broker that does not work at all.
    if not any(trial.want.get("connack") == 0 for trial in trials):
        refusing = ("-other-ca", "-crl-expired", "-crl-missing", "-token", "-token-connack", "-cloud", "-cloud-backup")
        assert profile.name.endswith(refusing), profile.name
    with broker(profile, pki, workdir, keylog=False) as running:
        outcomes = [(trial, attempt(running.port, trial.args, trial.connect)) for trial in trials]
    return [
        f"{profile.name}: {trial.about}: {wrong}" for trial, outcome in outcomes for wrong in _wrong(trial, outcome)
    ]


def _wrong(trial: Attempt, outcome: Outcome) -> list[str]:
    found = []
    for key, want in trial.want.items():
        got = getattr(outcome, key)
        if not (set(want) & set(got) if key == "verify" else got == want):
            found.append(f"{key}: wanted {want!r}, got {got!r} ({outcome} {outcome.text.splitlines()[-1:]})")
    return found


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("r12", {"versions": ("1.2", "1.3"), "suites13": ("TLS_AES_128_GCM_SHA256",)}),
        ("r13", {"versions": ("1.2", "1.3"), "suites12": ("ECDHE-RSA-AES128-GCM-SHA256",)}),
        ("r13", {"sigalgs": ("ecdsa_secp256r1_sha256",)}),
        ("e12", {"certificate": "server-rsa2048"}),
        ("r12-suite-aes128-gcm-sha256", {"suites12": ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA")}),
        ("r13-suite-aes_128_gcm_sha256", {"suites13": ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384")}),
        ("r12-group-p-384", {"groups": ("P-384", "X25519")}),
        ("e13-group-p-384", {"groups": ("P-384", "X25519")}),
        ("r13-sigalg-rsa_pss_rsae_sha384", {"sigalgs": ("rsa_pss_rsae_sha384", "rsa_pss_rsae_sha256")}),
        ("r12-expired", {"certificate": "server-rsa2048"}),
        ("e13-chain-5k", {"certificate": "server-p256"}),
        ("r12-mutual", {"client_certificate": "none", "client_ca": ()}),
        ("e13-mutual-crl", {"crl": ()}),
        ("e12-password", {"users": {}}),
    ],
)
def test_a_profile_that_is_not_what_its_name_says_is_noticed(
    name: str, change: dict[str, Any], profiles: dict[str, Profile], pki: Pki, tmp_path: Path
) -> None:
    wrong = msgspec.structs.replace(profiles[name], **change)
    assert _differences(wrong, pki, tmp_path)


@pytest.mark.parametrize("name", ["plain", "plain-password", "plain-acl"])
def test_plain_listeners(name: str, profiles: dict[str, Profile], pki: Pki, work: Path) -> None:
    with broker(profiles[name], pki, work) as running:
        assert running.keylog is None
        refused = 5 if name == "plain-password" else 0
        assert _plain(running.port, mqtt_connect()) == bytes([0x20, 2, 0, refused])
        assert _plain(running.port, mqtt_connect("hil-device", "correct-horse")) == b"\x20\x02\x00\x00"
        client_hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"
        assert _plain(running.port, client_hello) == b""


def _plain(port: int, sent: bytes) -> bytes:
    """The first four bytes of the answer; empty when the broker closes without any."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        stream.sendall(sent)
        try:
            return stream.recv(4)
        except ConnectionResetError:
            return b""


def test_what_a_device_is_given_for_a_profile_exists_and_leads_to_the_server(
    profiles: dict[str, Profile], pki: Pki
) -> None:
    untrusted = ("-unknown-ca", "-twin-ca", "-self-signed")
    for profile in profiles.values():
        if profile.device:
            assert pki.facts(profile.device).kind == "device"
        assert bool(profile.device) == (profile.client_certificate == "require")
        if profile.tls:
            primary_and_backup = profile.name.startswith("e") and "-cloud" in profile.name
            assert profile.host == "broker.hil.test" and len(profile.trust) == 1 + primary_and_backup
            assert all(pki.facts(root).kind == "root" for root in profile.trust)
            leads_there = pki.facts(profile.certificate).root in profile.trust
            assert leads_there != profile.name.endswith(untrusted), profile.name
