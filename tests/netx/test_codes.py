"""What each fault of stories 000 and 001 looks like: the device's own codes, the alert and the broker's words, as they
were measured with real NetX Duo 6.4.2 and Mosquitto. HIL_NETX_IMAGE runs the same rows on another image (conftest.py):
the shim linked with the real library gives the same answers."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.fw import Device, Pki, Run, mosquitto
from tests.firmware.wire import tap
from tests.netx.conftest import codes

START = "nx_secure_tls_session_start"
RECEIVE = "nx_secure_tls_session_receive"
INIT = "nx_secure_x509_certificate_initialize"


@dataclass(frozen=True)
class Row:
    """One row of the table. `code` of `api`; `got`: the alert received, `sent`: the broker's word for the one sent."""

    code: str
    api: str = START
    got: int | None = None
    sent: str = ""
    log: str = ""
    server: str = "srv"
    client: str = ""
    key: str = ""
    trust: str = "cas.pem"
    mutual: str = ""
    only12: bool = False
    extra: str = ""
    openssl: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    connects: bool = False


V12: dict[str, object] = {"tls_min": "1.2", "tls_max": "1.2"}
V13: dict[str, object] = {"tls_min": "1.3", "tls_max": "1.3"}
X25519 = "Groups=X25519\n"

ROWS: dict[str, Row] = {
    "1.3, RSA server certificate": Row("0x114", got=40, log="no suitable signature algorithm", server="rsrv",
                                       settings=V13),
    "1.2, RSA server certificate": Row("0x0", server="rsrv", settings=V12, connects=True),
    "1.2, no client certificate": Row("0x114", got=40, log="peer did not return a certificate", mutual="cas.pem",
                                      settings=V12),
    "1.2, added as trusted": Row("0x114", got=40, log="peer did not return a certificate", mutual="cas.pem",
                                 client="dev", settings=V12 | {"defect": "cert_as_trusted"}),
    "1.3, no client certificate": Row("0x114", RECEIVE, got=116, log="peer did not return a certificate",
                                      mutual="cas.pem", settings=V13),
    "only AES256-GCM-SHA384": Row("0x114", got=40, log="no shared cipher", server="rsrv", only12=True,
                                  extra="ciphers ECDHE-RSA-AES256-GCM-SHA384", settings=V12),
    "the same, added by hand": Row("0x114", got=51, log="digest check failed", server="rsrv", only12=True,
                                   extra="ciphers ECDHE-RSA-AES256-GCM-SHA384",
                                   settings=V12 | {"defect": "sha384_suite"}),
    "only X25519, 1.2": Row("0x114", got=40, log="no shared cipher", only12=True, extra="ciphers ECDHE",
                            openssl="MaxProtocol=TLSv1.2\n" + X25519, settings=V12),
    "only X25519, 1.3": Row("0x114", got=40, log="no suitable key share", openssl=X25519, settings=V13),
    "P-384 only, 1.3: a second hello": Row("0x0", openssl="Groups=P-384\n", settings=V13, connects=True),
    "no ecc_initialize, 1.2": Row("0x114", got=40, log="no shared cipher", only12=True,
                                  settings=V12 | {"defect": "ecc_uninitialised"}),
    "no ecc_initialize, 1.3": Row("0x43", settings=V13 | {"defect": "ecc_uninitialised"}),
    "foreign client CA, 1.2": Row("0x114", got=48, log="certificate verify failed", mutual="cas.pem",
                                  client="foreign", settings=V12),
    "foreign client CA, 1.3": Row("0x114", RECEIVE, got=48, log="certificate verify failed", mutual="cas.pem",
                                  client="foreign", settings=V13),
    "client expired, 1.2": Row("0x114", got=45, log="certificate verify failed", mutual="cas.pem",
                               client="dev-expired", settings=V12),
    "key of another, 1.2": Row("0x114", got=51, log="bad signature", mutual="cas.pem", client="dev", key="foreign.key",
                               settings=V12),
    "mutual EC, 1.2": Row("0x0", mutual="cas.pem", client="dev", settings=V12, connects=True),
    "mutual RSA, 1.2": Row("0x0", server="rsrv", mutual="cas.pem", client="rdev", settings=V12, connects=True),
    "mutual EC, 1.3": Row("0x0", mutual="cas.pem", client="dev", settings=V13, connects=True),
    "RSA client, 1.3": Row("0x12b", sent="unsupported certificate", mutual="cas.pem", client="rdev", settings=V13),
    "PKCS#8": Row("0x18a", INIT, client="dev", settings={"defect": "pkcs8_key"}),
    "PKCS#8, RSA": Row("0x18a", INIT, client="rdev", settings={"defect": "pkcs8_key"}),
    "PEM key": Row("0x186", INIT, client="dev", settings={"defect": "pem_key"}),
    "no key at all": Row("0x190", INIT, client="dev", key="letters", settings={}),
    "RSA key, EC certificate, 1.2": Row("0x2000f", sent="internal error", mutual="cas.pem", client="dev",
                                        key="rdev.key", settings=V12),
    "RSA key, EC certificate, 1.3": Row("0x12c", sent="unsupported certificate", mutual="cas.pem", client="dev",
                                        key="rdev.key", settings=V13),
    "wrong key type": Row("0x18a", INIT, client="dev", settings={"defect": "wrong_key_type"}),
    "wrong key type, RSA": Row("0x18a", INIT, client="rdev", settings={"defect": "wrong_key_type"}),
    "wrong CA, leaf only": Row("0x11b", sent="unknown ca", trust="other.pem", settings=V12),
    "wrong CA, the root comes too": Row("0x11a", sent="certificate unknown", trust="other.pem", server="rooted",
                                        settings=V12),
    "CA with the same name, EC": Row("0x117", sent="bad certificate", trust="twin.pem", settings=V12),
    "CA with the same name, RSA": Row("0x18d", sent="bad certificate", trust="rtwin.pem", server="rsrv", settings=V12),
    "expired, 1.2": Row("0x193", sent="certificate expired", server="expired", settings=V12),
    "expired, 1.3": Row("0x193", sent="certificate expired", server="expired", settings=V13),
    "clock in the past": Row("0x194", sent="certificate expired", settings=V12 | {"epoch": 946684800}),
    "clock never set": Row("0x194", sent="certificate expired", settings=V12 | {"epoch": 0}),
    "expired, no time function": Row("0x0", server="expired", settings=V12 | {"defect": "dates_unchecked"},
                                     connects=True),
    "name, checked": Row("0x195", sent="internal error", settings=V12 | {"host": "elsewhere.test"}),
    "name, checked, 1.3": Row("0x195", sent="internal error", settings=V13 | {"host": "elsewhere.test"}),
    "name, not checked": Row("0x0", settings=V12 | {"host": "elsewhere.test", "defect": "name_unchecked"},
                             connects=True),
    "broker 1.3, client 1.2": Row("0x114", got=70, log="unsupported protocol",
                                  openssl="MinProtocol=TLSv1.3\n", settings=V12),
    "broker 1.2, client 1.3": Row("0x114", got=70, log="unsupported protocol", only12=True, settings=V13),
    "packet buffer": Row("0x4d", "nx_secure_tls_session_packet_buffer_set", settings={"defect": "small_buffer"}),
    "certificate buffer": Row("0x12d", sent="internal error", settings=V12 | {"defect": "small_cert_buffer"}),
}  # fmt: skip


def trad_key(pki: Pki, name: str) -> bytes:
    """PKCS#1 or SEC 1, as the bench gives it."""
    if name == "letters":
        return b"TUlJQ0hJTCBuZWl0aGVyIFBFTSBub3IgREVS"
    kind = "rsa" if name.startswith("r") else "ec"
    extra = ["-traditional"] if kind == "rsa" else []
    return subprocess.run(
        ["openssl", kind, *extra, "-in", str(pki.path(name))], capture_output=True, check=True, timeout=20
    ).stdout


def attempt(dut: Device, pki: Pki, row: Row, folder: Path) -> tuple[Run, str, list[int]]:
    dut.put("ca", pki.read(row.trust))
    if row.client:
        dut.put("cert", pki.read(f"{row.client}.pem"))
        dut.put("key", trad_key(pki, row.key or f"{row.client}.key"))
    with (
        mosquitto(folder, pki, row.server, client_ca=row.mutual, only12=row.only12, extra=row.extra,
                  openssl_conf=row.openssl) as broker,
        tap(broker.port) as seen,
    ):  # fmt: skip
        run = dut.run(port=seen.port, script="connect;disconnect", **row.settings)
        alerts = seen.plain_alerts() if seen.client and seen.client[-1] else []
    return run, broker.log.read_text(), alerts


@pytest.mark.parametrize("name", ROWS)
def test_row(dut: Device, pki: Pki, name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    run, log, alerts = attempt(dut, pki, row, tmp_path)
    assert run.ok == row.connects, run.brief() + log
    said = codes(run, row.api)
    assert row.code in said, run.brief()
    if row.connects:
        return
    assert said[-1] == row.code
    got = [e["alert"] for e in run.all("tls", state="failed")]
    assert got == ["" if row.got is None else str(row.got)], run.brief()
    assert row.log in log
    if row.sent:
        assert f"alert {row.sent}" in log, log
        assert not alerts or len(alerts) == 1
    assert codes(run, "nx_secure_tls_session_delete")[-1] == "0x0", "or the next attempt ends in 0x7"


@contextmanager
def peer(talk: Callable[[socket.socket], None]) -> Any:
    """Something that accepts one connection and is no TLS server; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            talk(client)
            done.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        listener.close()
        thread.join(5)


def test_silent_server(dut: Device) -> None:
    with peer(lambda client: None) as port:
        run = dut.run(port=port, script="connect", timeout=500)
    assert codes(run, START)[-1] == "0x1"
    assert run.one("done")["stage"] == "tls"


def test_silent_server_does_not_silence_the_device(dut: Device) -> None:
    """The heartbeat goes on while the thread is inside NetX."""
    with peer(lambda client: None) as port:
        run = dut.run(port=port, script="connect", timeout=1200)
    assert len(run.all("tick")) >= 2


def test_plain_port(dut: Device, tmp_path: Path) -> None:
    with mosquitto(tmp_path, None) as broker:
        run = dut.run(port=broker.port, script="connect")
    assert codes(run, START)[-1] == "0x38"


def test_again_after_a_failure(dut: Device, pki: Pki, tmp_path: Path) -> None:
    """A failed set-up and a failed handshake both leave the session free for the next."""
    dut.put("cert", pki.read("dev.pem"))
    dut.put("key", trad_key(pki, "dev.key"))
    with mosquitto(tmp_path, pki, "srv", client_ca="cas.pem") as broker:
        assert not dut.run(port=broker.port, script="connect;disconnect", defect="wrong_key_type").ok
        assert not dut.run(defect="", host="elsewhere.test").ok
        assert dut.run(host="broker.test").ok
        assert dut.run(script="connect;sub1;pub1;recv:3000;ping;disconnect", tls_max="1.2").ok
