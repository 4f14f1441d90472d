"""hil-uart and its reader: shim lines, the shared captures' logs, hostile input."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import paths
from harness.device import shimline
from harness.errors import LabError, UsageError
from harness.evidence import uart

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "shim_lines.json").read_text())
CAPTURES = Path(os.environ.get("HIL_FIELD_CAPTURES", paths.ROOT / "tests" / "data" / "field-captures"))


def scan(data: bytes) -> list[dict[str, Any]]:
    done = subprocess.run([paths.BIN / "hil-uart", "-"], input=data, capture_output=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def log(tmp_path: Path, data: bytes | str) -> uart.UartLog:
    file = tmp_path / "uart.log"
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return uart.read(file)


def shim(body: str) -> str:
    line = f"@H1 {body} "
    return f"{line}*{shimline.crc16(line.encode()):04x}"


@pytest.mark.parametrize("vector", VECTORS, ids=[v["line"][:40] for v in VECTORS])
def test_shim_lines_mean_the_same_to_both_readers(vector: dict[str, Any]) -> None:
    objects = scan(vector["line"].encode())
    found = [{k: o[k] for k in ("seq", "ms", "event", "fields")} for o in objects if o["kind"] == "event"]
    assert found == vector["events"]
    assert objects[-1]["damaged"] == vector["damaged"]
    live = shimline.parse(vector["line"])
    assert [{"seq": e.seq, "ms": e.ms, "event": e.name, "fields": e.fields} for e in live.events] == vector["events"]
    assert live.damaged == vector["damaged"]


def test_shim_log_gives_events_codes_boots_and_losses(tmp_path: Path) -> None:
    text = "\n".join(
        f"2026-11-21T01:48:0{i}.000001Z {line}"
        for i, line in enumerate(
            [
                shim("0 1 boot stack=wolfssl-5.5.4 level=command"),
                shim("1 5 api name=wolfSSL_connect rc=-188"),
                shim("4 9 tls state=failed rc=-188 alert=48"),
                shim("5 10 fault kind=hardfault pc=0x08001234 cfsr=0x00008200"),
                shim("0 1 boot stack=wolfssl-5.5.4 reset=watchdog"),
                shim("1 2 ready")[:-2],
            ]
        )
    )
    found = log(tmp_path, text)
    assert (found.stack, found.version) == ("wolfssl", "5.5.4")
    assert (found.boots, found.missing, found.damaged) == (2, 2, 1)
    assert [event.name for event in found.events] == ["boot", "api", "tls", "fault", "boot"]
    assert found.events[1].t == pytest.approx(1795225681.000001)
    code = next(hit for hit in found.codes if hit.stack == "wolfssl")
    assert (code.code, code.name, code.api, code.line) == (-188, "ASN_NO_SIGNER_E", "wolfSSL_connect", 2)
    assert "server_certificate.untrusted" in code.causes
    assert any(hit.stack == "tls_alert" and hit.code == 48 for hit in found.codes)
    assert found.faults[0].kind == "hardfault"
    assert found.faults[0].registers == {"pc": "0x08001234", "cfsr": "0x00008200"}


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ("mqtt state=refused code=5", [("connack", 5)]), ("mqtt state=refused code=135", [("mqtt5", 135)]),
        ("mqtt state=suback id=1 code=128", [("connack", 128)]), ("mqtt state=suback id=1 code=1", []),
        ("mqtt state=connack code=0", []), ("mqtt state=pub code=5", []),
        ("api name=mbedtls_ssl_get_verify_result rc=0x09", [("mbedtls_verify", 9)]),
        ("api name=mbedtls_ssl_handshake rc=-0x2700", [("mbedtls", -0x2700)]),
        ("api name=mbedtls_ssl_handshake rc=0", []),
    ],
)  # fmt: skip
def test_codes_inside_shim_events(tmp_path: Path, event: str, wanted: list[tuple[str, int]]) -> None:
    found = log(tmp_path, f"{shim('0 1 boot stack=mbedtls-2.28.3')}\n{shim('1 2 ' + event)}\n")
    assert [(hit.stack, hit.code) for hit in found.codes] == wanted


@pytest.mark.parametrize(
    ("line", "stack", "version"),
    [
        ("[1] ssl_cli.c:2044 0x7ffe: mbedtls_ssl_read_record() returned -30592 (-0x7780)", "mbedtls", "2"),
        ("ssl_tls12_client.c:1234: |1| mbedtls_ssl_read_record() returned -29440 (-0x7300)", "mbedtls", "3"),
        ("mbedTLS 2.28.3\nssl_cli.c:1: f() returned -29440 (-0x7300)", "mbedtls", "2.28.3"),
        ("wolfSSL 5.6.6\nerr -188", "wolfssl", "5.6.6"),
        ("Mbed TLS v3.6.2", "mbedtls", "3.6.2"),
        ("NetX Duo 6.4.2, uses no openssl", "netx", "6.4.2"),
        ("hello", "", ""),
    ],
)
def test_the_stack_and_its_version(tmp_path: Path, line: str, stack: str, version: str) -> None:
    found = log(tmp_path, line)
    assert (found.stack, found.version) == (stack, version)


def test_the_version_decides_what_a_number_means(tmp_path: Path) -> None:
    line = "{}:1: mbedtls_ssl_read_record() returned -29440 (-0x7300)"
    assert log(tmp_path, line.format("ssl_cli.c")).codes[0].name == "MBEDTLS_ERR_SSL_UNKNOWN_CIPHER"
    assert log(tmp_path, line.format("ssl_tls12_client.c")).codes[0].name == "MBEDTLS_ERR_SSL_DECODE_ERROR"
    unknown = log(tmp_path, "mbedtls_ssl_read_record() returned -29440").codes[0]
    assert {unknown.name, unknown.fields["or"]} == {"MBEDTLS_ERR_SSL_UNKNOWN_CIPHER", "MBEDTLS_ERR_SSL_DECODE_ERROR"}


def test_a_fault_dump_is_one_fault_with_its_registers(tmp_path: Path) -> None:
    found = log(tmp_path, "HardFault!\nPC = 0x08001234 LR = 0x08000f00\nCFSR: 0x00008200 HFSR: 0x40000000\nrest\n")
    assert len(found.faults) == 1
    assert found.faults[0].registers == {
        "pc": "0x08001234", "lr": "0x08000f00", "cfsr": "0x00008200", "hfsr": "0x40000000",
    }  # fmt: skip


def test_restarts_are_counted_without_a_shim(tmp_path: Path) -> None:
    one = "*** Booting Zephyr OS build v3.4.0 ***\nhello\n"
    assert log(tmp_path, one).boots == 1
    assert log(tmp_path, one * 3).boots == 3
    assert log(tmp_path, one * 30).boots == 30
    assert log(tmp_path, "hello\n").boots == 0


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"", 0), (b"\0" * 5000, 1), (b"\n" * 3, 3), (b"\xff\xfe\r\r\n-0x", 2), (b"@H1 " * 3000, 1)],
)
def test_hostile_bytes(tmp_path: Path, data: bytes, lines: int) -> None:
    found = log(tmp_path, data)
    assert found.lines == lines
    assert found.stack == ""
    assert not found.codes


def test_noise_is_bounded_and_means_nothing(tmp_path: Path) -> None:
    found = log(tmp_path, random.Random(4).randbytes(2 << 20))  # noqa: S311
    assert found.binary
    assert not [hit for hit in found.codes if hit.score >= 70]
    assert len(found.hits) < 500


def test_a_flood_stays_small_and_keeps_its_end(tmp_path: Path) -> None:
    flood = b"".join(b"sensor %d failed rc=%d\n" % (i, i % 7) for i in range(200_000)) + b"HardFault\n"
    found = log(tmp_path, flood)
    assert len(found.hits) < 200
    assert found.suppressed > 100_000
    assert 28_000 < found.repeated["3"] <= 28_572, "rc=3 came every seventh time"
    assert found.faults[-1].line == 200_001
    peak = subprocess.run(
        ["/usr/bin/env", "bash", "-c", f"ulimit -v 60000; exec {paths.BIN / 'hil-uart'} -"],
        input=flood, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert peak.returncode == 0, "more than 60 MB of address space"


def test_of_a_huge_log_the_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "uart.log"
    with file.open("wb") as out:
        out.write(b"NetX Duo 6.4.2 firmware\n")
        out.truncate(2 << 30)  # 2 GB of NUL, sparse
        out.seek(2 << 30)
        out.write(b"\nnx_secure_tls_session_start: 0x00000114\n")
    found = uart.read(file)
    assert (found.version, found.lines) == ("6.4.2", 3)
    assert [(hit.line, hit.code) for hit in found.codes] == [(3, 0x114)]
    assert found.skipped > 1 << 30


def test_a_device_that_never_ends_is_cut() -> None:
    program = [str(paths.BIN / "hil-uart"), "--max", "2", "/dev/zero"]
    done = subprocess.run(program, capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["bytes"] == 2 << 20


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--max", "x", "-"], ["--max", "0", "-"], ["-x"]])
def test_usage(arguments: list[str]) -> None:
    done = subprocess.run([paths.BIN / "hil-uart", *arguments], capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        uart.read(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        uart.read(tmp_path / "none")
    monkeypatch.setattr(paths, "BIN", tmp_path)
    with pytest.raises(LabError, match="missing"):
        uart.read(tmp_path / "none")


def test_truncated_output_of_the_program_is_noticed() -> None:
    with pytest.raises(LabError):
        uart.from_objects([{"kind": "text", "line": 1, "t": None, "class": "error", "text": "x"}])


# What each log of the shared captures must give: (stack, codes that must be there). Codes of success are left out.
EXPECTED: dict[str, tuple[str, set[tuple[str, int]]]] = {
    "netx-12-ec-mutual-wrong-keytype": ("netx", {("netx", 0x18A)}),
    "netx-12-ec-server-expired": ("netx", {("netx", 0x193), ("netx", 0x10005)}),
    "netx-12-ec-stale-ca": ("netx", {("netx", 0x117), ("netx", 0x10005)}),
    "netx-12-rsa-pss-signed-cert": ("netx", {("netx", 0x189), ("netx", 0x10005)}),
    "netx-13-ec-mutual-rsa-client": ("netx", {("netx", 0x12B), ("netx", 0x10005)}),
    "netx-13-rsa-serveronly": ("netx", {("netx", 0x114), ("netx", 0x10005)}),
    "netx-slow-13-ec-mutual-nocert": ("netx", {("netx", 0x10007)}),
    "netx-tcp-password-missing": ("netx", {("netx", 0x10085)}),
    "netx-tls-client-plain-broker": ("netx", {("netx", 0x38), ("netx", 0x10005)}),
    "netx-noise-13-ec-mutual": ("netx", set()),
    "stacks-ccert-expired-13-wolf": ("wolfssl", {("wolfssl", -313), ("tls_alert", 45)}),
    "stacks-ccert-none-13-wolf": ("wolfssl", {("wolfssl", -397)}),
    "stacks-scert-nochain-12-wolf": ("wolfssl", {("wolfssl", -188), ("tls_alert", 48)}),
    "stacks-scert-wronghost-12-wolf": ("wolfssl", {("wolfssl", -322), ("tls_alert", 42)}),
    "stacks-cipher-noshared-12-mbed": ("mbedtls", {("mbedtls", -0x7780), ("tls_alert", 40)}),
    "stacks-ca-der-as-file-12-mbed": ("mbedtls", set()),
    "stacks-ccert-expired-12-gnutls": ("gnutls", {("tls_alert", 45)}),
    "stacks-ver-client13-broker12only-gnutls": ("gnutls", {("tls_alert", 70)}),
    "stacks-ccert-rsa1024-13-ossl": ("openssl", {("openssl", 0x0A000412), ("tls_alert", 42)}),
    "stacks-scert-wronghost-12-ossl": ("openssl", {("openssl_verify", 62), ("openssl", 0x0A000086)}),
    "stacks-ccert-wrongca-13-paho": ("openssl", {("openssl", 0x0A000418)}),
    "stacks-cipher-noshared-12-paho": ("openssl", {("openssl", 0x0A000410)}),
    "stacks-auth-wrongpw-12-mosq": ("mosquitto", {("connack", 5)}),
    "stacks-identity-nocert-optional-12-ossl": ("openssl", {("connack", 4)}),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_logs_of_the_shared_captures(name: str) -> None:
    found = uart.read(CAPTURES / f"{name}.uart.log")
    stack, wanted = EXPECTED[name]
    assert found.stack == stack
    codes = {(hit.stack, hit.code) for hit in found.codes if hit.code != 0}
    assert codes == wanted


def test_good_runs_give_no_failure_code() -> None:
    """Every log of a run whose truth is "ok" holds no code but success, whatever else it prints."""
    names = ["netx-12-ec-groups-p384-only", "netx-12-rsa4096-serveronly", "stacks-ok-p256-13-wolf",
             "stacks-ok-rsa2048-13-gnutls", "stacks-resume-13-ossl", "stacks-group-noshared-12-mbed",
             "stacks-ok-mtls-12-mosq", "stacks-mfl-2048-rsa2048-12-mbed"]  # fmt: skip
    for name in names:
        found = uart.read(CAPTURES / f"{name}.uart.log")
        assert not [hit for hit in found.codes if hit.code != 0], name
        assert not found.faults, name


def test_netx_calls_keep_their_order_and_result() -> None:
    found = uart.read(CAPTURES / "netx-12-ec-mutual-cert-as-trusted.uart.log")
    calls = [(hit.api, hit.code) for hit in found.codes]
    assert calls[0] == ("nxd_mqtt_client_create", 0)
    assert calls[-2:] == [("nx_secure_tls_session_start", 0x114), ("nxd_mqtt_client_secure_connect", 0x10005)]
    wrong_store = [
        h for h in found.codes if h.api == "nx_secure_tls_trusted_certificate_add" and "client cert" in h.text
    ]
    assert len(wrong_store) == 1
    assert found.version == "6.4.2"
