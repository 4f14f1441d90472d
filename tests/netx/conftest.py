"""The stand-in h563-sim, built once, and a PKI with what stories 000 and 001 need."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.firmware import built
from harness.target import find, load
from tests.firmware.fw import Device, Pki, Run, device


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ours: a build next door must not pull it away. HIL_NETX_IMAGE names another one, made with
    -DHIL_SANITIZE=ON for example."""
    if given := os.environ.get("HIL_NETX_IMAGE"):
        return Path(given)
    return built(find("h563-sim", load()), keep=tmp_path_factory.mktemp("h563-sim")).path


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    p = Pki(tmp_path_factory.mktemp("pki"))
    p.ca("ca", "p256", "Test CA")
    p.ca("rca", "rsa", "RSA CA")
    p.ca("other", "p256", "Other CA")
    p.ca("twin", "p256", "Test CA")
    p.ca("rtwin", "rsa", "RSA CA")
    p.leaf("srv", "p256", "ca")
    p.leaf("rsrv", "rsa", "rca")
    p.leaf("expired", "p256", "ca", dates=("20200101000000Z", "20210101000000Z"))
    p.leaf("dev", "p256", "ca", eku="clientAuth")
    p.leaf("rdev", "rsa", "rca", eku="clientAuth")
    p.leaf("foreign", "p256", "other", eku="clientAuth")
    p.leaf("dev-expired", "p256", "ca", eku="clientAuth", dates=("20200101000000Z", "20210101000000Z"))
    p.path("rooted.pem").write_bytes(p.read("srv.pem"))
    p.path("rooted.key").write_bytes(p.read("srv.key"))
    p.path("rooted.chain").write_bytes(p.read("srv.pem") + p.read("ca.pem"))  # the broker sends its root, too
    p.path("cas.pem").write_bytes(p.read("ca.pem") + p.read("rca.pem"))
    return p


@pytest.fixture
def dut(firmware: Path, pki: Pki) -> Iterator[Device]:
    with device(firmware) as d:
        d.put("ca", pki.read("cas.pem"))
        d.set("host", "broker.test")
        d.set("address", "127.0.0.1")
        d.set("epoch", int(time.time()))
        d.set("timeout", 3000)
        yield d


def codes(run: Run, api: str) -> list[str]:
    """What the calls of one name returned, in order."""
    return [e["rc"] for e in run.all("api") if e["name"] == api]
