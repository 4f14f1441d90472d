"""The firmware under test, built once a session, and a PKI for all of them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.paths import ROOT
from tests.firmware.fw import Broker, Device, Pki, device, mosquitto

STACKS = ("wolfssl", "mbedtls")
W5500 = "mbedtls_w5500"  # with the driver, the model of the chip and the Paho-style read path: built with sanitizers
os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1")


def build(stack: str) -> Path:
    """A folder of the tests' own: a run of the bench next door must not see its image change."""
    folder = ROOT / "build" / "test-fw" / stack
    configure = [
        *("cmake", "-S", "firmware_shims", "-B", str(folder), "-G", "Ninja"),
        *("-DHIL_BOARD=native", f"-DHIL_STACK={stack}", f"-DHIL_SANITIZE={'ON' if stack == W5500 else 'OFF'}"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # pytest-xdist's workers build the same
        for command in (configure, ["cmake", "--build", str(folder)]):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "firmware"


@pytest.fixture(scope="session", params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def images() -> dict[str, Path]:
    """Firmware by stack, built when first asked for."""
    return {}


@pytest.fixture
def firmware(stack: str, images: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that a build next door does not pull it away. Not of session scope itself: modules override `stack`,
    and pytest would go on with the image of the module before."""
    if stack not in images:
        images[stack] = tmp_path_factory.mktemp(f"firmware-{stack}") / "firmware"
        shutil.copy2(build(stack), images[stack])
    return images[stack]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    p = Pki(tmp_path_factory.mktemp("pki"))
    p.ca("ca", "p256", "Test CA")
    p.ca("rca", "rsa", "RSA CA")
    p.ca("other", "p256", "Other CA")
    p.leaf("srv", "p256", "ca")
    p.leaf("rsrv", "rsa", "rca")
    p.leaf("dev", "p256", "ca", eku="clientAuth")
    p.leaf("rdev", "rsa", "rca", eku="clientAuth")
    (p.folder / "cas.pem").write_bytes(p.read("ca.pem") + p.read("rca.pem"))
    return p


@pytest.fixture
def dut(firmware: Path, pki: Pki) -> Iterator[Device]:
    """A fresh device that trusts the test CAs and knows the time."""
    with device(firmware) as d:
        d.put("ca", pki.read("cas.pem"))
        d.set("host", "broker.test")
        d.set("address", "127.0.0.1")
        d.set("epoch", int(time.time()))
        d.set("timeout", 4000)
        yield d


@pytest.fixture(scope="session")
def brokers(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Broker]]:
    """Good brokers that all tests share: e13, e12, r13, r12, plain, and m13, m12 which demand a certificate."""
    folder = tmp_path_factory.mktemp("brokers")
    with (
        mosquitto(folder, pki, "srv") as e13,
        mosquitto(folder, pki, "srv", only12=True) as e12,
        mosquitto(folder, pki, "rsrv") as r13,
        mosquitto(folder, pki, "rsrv", only12=True) as r12,
        mosquitto(folder, pki, "srv", client_ca="cas.pem") as m13,
        mosquitto(folder, pki, "srv", client_ca="cas.pem", only12=True) as m12,
        mosquitto(folder, None) as plain,
    ):
        yield {"e13": e13, "e12": e12, "r13": r13, "r12": r12, "m13": m13, "m12": m12, "plain": plain}


def versions(stack: str) -> tuple[str, ...]:
    return ("12", "13") if stack == "wolfssl" else ("12",)
