"""A front end that demands server_name (harness/sni): a real broker refuses a hello without it, with the alert of the
version, says so in its log, and serves any other."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.errors import LabError
from harness.lab.pki import Pki, generate
from harness.lab.profiles import load
from harness.paths import BIN
from harness.peer import mosquitto
from harness.peer.mosquitto import RunningBroker, broker

pytestmark = pytest.mark.skipif(not (BIN / mosquitto.SNI_LIBRARY).exists(), reason="host programs are not built")
ALERTS = {"1.2": "UNRECOGNIZED_NAME", "1.3": "MISSING_EXTENSION"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return generate(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module", params=["1.2", "1.3"])
def front(
    request: pytest.FixtureRequest, pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningBroker]:
    name = "e12" if request.param == "1.2" else "e13"
    profile = msgspec.structs.replace(load()[name], demand_sni=True)
    with broker(profile, pki, tmp_path_factory.mktemp(name)) as running:
        yield running


def greet(running: RunningBroker, pki: Pki, name: str | None) -> str:
    """The version agreed on. ssl.SSLError when the broker refuses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(pki.cert("ca-p256"))
    with socket.create_connection((running.host, running.port), timeout=5) as plain, \
            context.wrap_socket(plain, server_hostname=name) as secure:
        return secure.version() or ""


def test_without_a_name_it_refuses(front: RunningBroker, pki: Pki) -> None:
    version = front.profile.versions[0]
    with pytest.raises(ssl.SSLError) as refused:
        greet(front, pki, None)
    assert ALERTS[version] in str(refused.value.reason)
    assert front.wait_log("hil-sni: refused a ClientHello without server_name", 5) is not None


def test_with_any_name_it_serves_and_the_keys_are_logged(front: RunningBroker, pki: Pki) -> None:
    assert greet(front, pki, "somebody.test") == f"TLSv{front.profile.versions[0]}"
    assert front.keylog is not None and front.keylog.stat().st_size > 0


def test_a_broker_that_ignores_the_library_is_found_out(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "SNI_LIBRARY", mosquitto.KEYLOG_LIBRARY)  # which demands nothing
    profile = msgspec.structs.replace(load()["e12"], demand_sni=True)
    with pytest.raises(LabError) as error, broker(profile, pki, tmp_path):
        pass
    assert error.value.cause == "lab.broker_failed" and "libhil-sni.so" in error.value.what


def test_without_the_key_nobody_is_asked(pki: Pki, tmp_path: Path) -> None:
    with broker(load()["e12"], pki, tmp_path) as running:
        assert greet(running, pki, None) == "TLSv1.2"
