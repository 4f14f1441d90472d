"""A product with NetX's own MQTT client: secure_connect hides session_start's code, the shim says it unaltered."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.paths import ROOT
from tests.firmware.fw import Device, Pki, device, mosquitto
from tests.firmware.wire import tap
from tests.netx.conftest import codes
from tests.netx.test_codes import trad_key

SECURE = "nxd_mqtt_client_secure_connect"
START = "nx_secure_tls_session_start"


@pytest.fixture(scope="session")
def product(firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, linked from what the stand-in is made of; `firmware` has built that."""
    folder = ROOT / "build" / "test-fw" / "netx-product"
    options = ["-G", "Ninja", "-DHIL_BOARD=native", "-DHIL_STACK=netx"]
    configure = ["cmake", "-S", "firmware_shims", "-B", str(folder), *options]
    image = tmp_path_factory.mktemp("product") / "product"
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".build.lock"
    for command in (configure, ["cmake", "--build", str(folder), "--target", "product"]):
        done = subprocess.run(["flock", str(lock), *command], cwd=ROOT, capture_output=True, text=True, timeout=600,
                              check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shutil.copy2(folder / "product", image)
    return image


@pytest.fixture
def dut(product: Path, pki: Pki) -> Iterator[Device]:
    with device(product) as d:
        d.put("ca", pki.read("cas.pem"))
        d.put("cert", pki.read("dev.pem"))
        d.put("key", trad_key(pki, "dev.key"))
        d.set("host", "broker.test")
        d.set("address", "127.0.0.1")
        d.set("epoch", int(time.time()))
        d.set("timeout", 3000)
        yield d


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_connects_and_publishes(dut: Device, pki: Pki, tmp_path: Path, version: str) -> None:
    with mosquitto(tmp_path, pki, "srv", client_ca="cas.pem") as broker:
        run = dut.run(port=broker.port, tls_max=version, mqtt_topic="field/story", mqtt_payload="x")
        assert run.ok, run.brief()
        log = broker.log.read_text()
    assert codes(run, START) == ["0x0"]
    assert codes(run, SECURE) == ["0x0"]
    assert run.one("mqtt", state="connack")["code"] == "0"
    assert "field/story" in log
    assert "disconnected." in log, "in order"


def test_the_hidden_code_and_the_alert(dut: Device, pki: Pki, tmp_path: Path) -> None:
    """Story 000: 0x10005 outside, 0x114 and alert 40 inside; then the fix, on the same client object."""
    with mosquitto(tmp_path, pki, "srv", client_ca="cas.pem") as broker:
        run = dut.run(port=broker.port, tls_max="1.2", defect="cert_as_trusted")
        assert codes(run, START) == ["0x114"]
        assert codes(run, SECURE) == ["0x10005"]
        assert run.one("tls", state="failed")["alert"] == "40"
        assert run.one("tls", state="failed")["rc"] == str(0x114)
        assert dut.run(defect="").ok, "the failed attempt left the session free"


def test_set_up_fails_before_tcp(dut: Device) -> None:
    with tap(None) as seen:
        run = dut.run(port=seen.port, defect="wrong_key_type")
        assert codes(run, SECURE) == ["0x18a"], "raw, as the callback gave it"
        assert codes(run, START) == []
        assert seen.client == [], "no packets"


def test_password_is_refused(dut: Device, pki: Pki, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "device", "right"], check=True, timeout=20)
    with mosquitto(tmp_path, pki, "srv", extra=f"password_file {passwords}\nallow_anonymous false") as broker:
        run = dut.run(port=broker.port, **{"mqtt_username": "device", "mqtt_password": "wrong"})
        assert codes(run, SECURE) == ["0x10085"]
        assert run.one("mqtt", state="refused")["code"] == "5"
        assert dut.run(**{"mqtt_password": "right"}).ok


def test_nothing_listens(dut: Device) -> None:
    with tap(None) as seen:
        port = seen.port
    run = dut.run(port=port)
    assert codes(run, SECURE) == ["0x10005"]
    assert codes(run, START) == [], "TCP did not open"
