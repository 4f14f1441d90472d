"""The device against real brokers: good ones of every kind, bad certificates, client certificates, TLS defects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.firmware.conftest import versions
from tests.firmware.fw import Broker, Device, Pki, Run, mosquitto
from tests.firmware.wire import tap

OLD = ("20200101000000Z", "20210101000000Z")
FUTURE = ("20400101000000Z", "20450101000000Z")

Go = Callable[..., tuple[Run, list[int], str]]


@pytest.fixture(scope="session")
def more(pki: Pki) -> Pki:
    """Certificates good and bad, beyond those of every test."""
    leaf = pki.leaf
    leaf("expired", "p256", "ca", dates=OLD)
    leaf("future", "p256", "ca", dates=FUTURE)
    leaf("wrongname", "p256", "ca", san="DNS:other.test")
    leaf("unknown", "p256", "other")
    leaf("clienteku", "p256", "ca", eku="clientAuth")
    leaf("nosan", "p256", "ca", san="")
    leaf("ip", "p256", "ca", san="IP:127.0.0.1")
    leaf("dnsip", "p256", "ca", san="DNS:127.0.0.1")
    leaf("wild", "p256", "ca", san="DNS:*.test")
    leaf("sha1", "p256", "ca", digest="sha1")
    for kind in ("p384", "p521", "rsa4096", "ed25519"):
        leaf(f"s{kind}", kind, "ca")
        leaf(f"d{kind}", kind, "ca", eku="clientAuth")
    leaf("sub", "p256", "ca", ca=True)
    for name, eku in (("viasub", "serverAuth"), ("devsub", "clientAuth")):
        leaf(name, "p256", "sub", eku=eku)
        (pki.folder / f"{name}.chain").write_bytes(pki.read(f"{name}.pem") + pki.read("sub.pem"))
    for kib in (5, 8, 20):
        names = ",".join(f"DNS:{i:04d}{'x' * 40}.example.test" for i in range((kib * 1024 - 700) // 62))
        leaf(f"big{kib}", "p256", "ca", san=f"DNS:broker.test,{names}")
    return pki


@contextmanager
def served(folder: Path, pki: Pki, cert: str, version: str, client_ca: str = "") -> Iterator[Broker]:
    with mosquitto(folder, pki, cert, only12=version == "12", client_ca=client_ca) as broker:
        yield broker


@pytest.fixture
def go(dut: Device, more: Pki, tmp_path: Path) -> Go:
    """Runs against a broker with `cert`; the run, the device's plain alerts, the broker's log."""

    def run(cert: str, version: str, client_ca: str = "", **settings: object) -> tuple[Run, list[int], str]:
        with served(tmp_path, more, cert, version, client_ca) as broker, tap(broker.port) as seen:
            result = dut.run(
                **{"port": seen.port, "host": "broker.test", "script": "connect;pub1;disconnect", **settings}
            )
            alerts = seen.plain_alerts()
        return result, alerts, broker.log.read_text()

    return run


def test_good_servers(go: Go, stack: str) -> None:
    for version in versions(stack):
        for cert in ("srv", "rsrv", "sp384", "sp521", "srsa4096", "viasub", "wild", "big5", "big8"):
            run, _, log = go(cert, version)
            assert run.ok, (version, cert, run.brief(), log)
            assert run.one("tls", state="ok")["version"] == f"1.{version[1]}"
            assert run.one("mark")["heap_now"] == "0", "everything is given back"
        if stack == "wolfssl":
            assert go("sed25519", version)[0].ok
            assert go("big20", version)[0].ok, "a Certificate message of more than one record"
        assert go("ip", version, host="127.0.0.1")[0].ok


FULL = "connect;sub2;pub0;pub1;pub2;recv:3000;recv:3000;recv:3000;ping;unsub;disconnect"


def test_everything_once(dut: Device, brokers: dict[str, Broker], stack: str) -> None:
    for broker in ("plain", "e12", "r12", *(("e13", "r13") if stack == "wolfssl" else ())):
        for level in (4, 5):
            tls_min = "none" if broker == "plain" else "1.2"
            run = dut.run(port=brokers[broker].port, tls_min=tls_min, mqtt_level=level, script=FULL)
            assert run.ok, (broker, level, run.brief())
            assert [e["qos"] for e in run.all("mqtt", state="msg")] == ["0", "1", "2"]
            for state in ("connack", "suback", "puback", "pubrec", "pubcomp", "pong", "unsuback", "disconnect"):
                assert run.all("mqtt", state=state), (broker, level, state)
            assert all(e["rc"] == "0" for e in run.all("step"))
            assert [int(e["n"]) for e in run.all("step")] == list(range(11))
    seqs = [e.seq for e in dut.events]
    assert seqs == list(range(len(seqs))), "no line lost"


# certificate, further settings, alerts that do (reference: RFC 5246 7.2.2, catalogue X5)
BAD: dict[str, tuple[dict[str, object], set[int]]] = {
    "expired": ({}, {45}),
    "future": ({}, {45, 46}),
    "wrongname": ({}, {42}),
    "unknown": ({}, {48}),
    "clienteku": ({}, {42, 43}),
    "nosan": ({}, {42}),
    "sha1": ({}, {42, 43, 46, 48}),
    "ip": ({}, {42}),
    "dnsip": ({"host": "127.0.0.1"}, {42}),
    "srv": ({"epoch": 0}, {45, 46}),
    "rsrv": ({"epoch": 4070908800}, {45}),
}
ALERT_NAMES = {
    42: "bad certificate",
    43: "unsupported certificate",
    45: "certificate expired",
    46: "certificate unknown",
    48: "unknown ca",
}


@pytest.mark.parametrize("cert", BAD)
def test_bad_server_is_refused_with_its_alert(go: Go, stack: str, cert: str) -> None:
    settings, allowed = BAD[cert]
    for version in versions(stack):
        run, alerts, log = go(cert, version, **settings)
        assert not run.ok
        assert run.one("done")["stage"] == "tls"
        assert not run.all("mqtt")
        assert len(run.all("tls", state="failed")) == 1
        if version == "12":
            assert len(alerts) == 1
            assert alerts[0] in allowed, alerts
        else:
            # Encrypted; the broker prints which one it was.
            assert any(f"alert {ALERT_NAMES[a]}" in log for a in allowed), log


def test_defects_in_verification(go: Go, stack: str, dut: Device, more: Pki) -> None:
    """Each lets through what it is named after, and nothing else."""
    dut.put("ca.alt", more.read("other.pem"))
    cases = [
        ("verify_off", ("unknown", "expired", "wrongname"), ()),
        ("name_unchecked", ("wrongname", "srv"), ("unknown", "expired")),
        ("dates_unchecked", ("expired", "future"), ("unknown", "wrongname")),
        ("wrong_ca", ("unknown",), ("srv",)),
        ("no_sni", ("srv",), ("wrongname",)),
    ]
    for defect, accepted, refused in cases:
        for cert in accepted:
            run, _, log = go(cert, versions(stack)[-1], defect=defect)
            assert run.ok, (defect, cert, run.brief(), log)
        for cert in refused:
            assert not go(cert, versions(stack)[-1], defect=defect)[0].ok, (defect, cert)


def test_defects_that_the_broker_answers(go: Go, stack: str) -> None:
    cases = [("ecdsa_sigalgs_only", "rsrv", "12", 40), ("no_groups", "srv", "12", 40)]
    if stack == "wolfssl":
        cases += [
            ("ecdsa_sigalgs_only", "rsrv", "13", 40),
            ("no_groups", "srv", "13", 109),
            ("no_rsa_pss", "rsrv", "13", 40),
        ]
    for defect, cert, version, alert in cases:
        run, _, _ = go(cert, version, defect=defect)
        assert run.one("tls")["alert"] == str(alert), (defect, version)
        assert not run.all("mqtt")


def credentials(dut: Device, pki: Pki, cert: str, key: str) -> None:
    dut.put("cert", pki.read(cert) if cert else b"")
    dut.put("key", pki.read(key) if key else b"")


def test_client_certificates(go: Go, stack: str, dut: Device, more: Pki) -> None:
    kinds = ["dev", "rdev", "dp384", "dp521", "drsa4096"] + (["ded25519"] if stack == "wolfssl" else [])
    for version in versions(stack):
        for name in kinds:
            credentials(dut, more, f"{name}.pem", f"{name}.key")
            run, _, log = go("srv", version, client_ca="cas.pem")
            assert run.ok, (version, name, run.brief(), log)
        credentials(dut, more, "devsub.chain", "devsub.key")
        assert go("srv", version, client_ca="cas.pem")[0].ok, "leaf and intermediate are sent"
        credentials(dut, more, "devsub.pem", "devsub.key")
        assert go("srv", version, client_ca="cas.pem")[0].one("tls", state="failed")["alert"] == "48"


def test_client_without_certificate(go: Go, stack: str, dut: Device, more: Pki) -> None:
    """An empty Certificate, and the broker's alert is reported, in 1.3 after the handshake."""
    for version, alert in (("12", "40"), ("13", "116")):
        if version not in versions(stack):
            continue
        credentials(dut, more, "", "")
        run, _, log = go("srv", version, client_ca="cas.pem")
        assert "peer did not return a certificate" in log
        assert run.one("tls", state="failed")["alert"] == alert
        credentials(dut, more, "dev.pem", "dev.key")
        run, _, log = go("srv", version, client_ca="cas.pem", defect="no_client_cert")
        assert "peer did not return a certificate" in log
        assert run.one("tls", state="failed")["alert"] == alert
        assert not run.all("mqtt", state="connack")
        dut.set("defect", "")


def test_mismatched_key(go: Go, stack: str, dut: Device, more: Pki) -> None:
    credentials(dut, more, "dev.pem", "dev.key")
    dut.put("key.alt", more.read("srv.key"))
    for version in versions(stack):
        run, _, _ = go("srv", version, client_ca="cas.pem", defect="key_mismatch")
        assert run.one("tls", state="failed")["alert"] == "51"


def test_key_formats(go: Go, stack: str, dut: Device, more: Pki, tmp_path: Path) -> None:
    """PKCS#8, PKCS#1, SEC1; PEM and DER; a DER certificate."""
    import subprocess

    def convert(*args: str) -> bytes:
        return subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=20).stdout

    for name, traditional in (("dev", "ec"), ("rdev", "rsa")):
        key, cert = str(more.path(f"{name}.key")), str(more.path(f"{name}.pem"))
        old = ["-traditional"] if traditional == "rsa" else []
        keys = [
            convert(traditional, "-in", key, *old),
            convert(traditional, "-in", key, *old, "-outform", "DER"),
            convert("pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER"),
        ]
        for der in keys:
            dut.put("cert", convert("x509", "-in", cert, "-outform", "DER"))
            dut.put("key", der)
            run, _, log = go("srv", versions(stack)[-1], client_ca="cas.pem")
            assert run.ok, (name, der[:30], run.brief(), log)
    dut.put("ca", convert("x509", "-in", str(more.path("ca.pem")), "-outform", "DER"))
    assert go("srv", versions(stack)[-1])[0].ok


def test_unreadable_credentials(go: Go, dut: Device, more: Pki) -> None:
    """TCP-17: reported, and no ClientHello."""
    dut.put("ca", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    run, _, log = go("srv", "12")
    assert run.one("done")["stage"] == "tls"
    assert int(run.one("done")["rc"]) < 0
    assert run.one("tcp", state="connected")
    assert "no shared" not in log


def test_declined_ticket(go: Go, stack: str) -> None:
    """T12-47, T13-43: a restarted broker has lost its ticket keys; a full handshake follows, never a failure."""
    for version in versions(stack):
        assert go("srv", version, resume=1, script="connect;pub1;disconnect")[0].ok
        run, _, log = go("srv", version, resume=1, script="connect;pub1;disconnect;repeat:2")
        assert run.ok, (version, run.brief(), log)
        assert [e["resumed"] for e in run.all("tls", state="ok")] == ["0", "1"]
