"""`hil explain` at its door: what people and programs get, and a clear line for evidence that cannot be read."""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands import explain as explain_cli
from harness.diagnosis.engine import diagnose
from harness.evidence import pcapng, uart
from harness.paths import CAUSES
from harness.report import explain_html, explain_rows, explain_text
from tests.diagnosis.cases import DATA, Wire

CASE = DATA / "netx-story-a-12-rsa-mutual-cert-as-trusted-aes256gcm"
EMPTY_PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def run(*args: str | Path) -> int:
    parser = argparse.ArgumentParser()
    explain_cli.add_arguments(parser)
    return explain_cli.run(parser.parse_args([str(a) for a in args]))


def evidence(case: Path = CASE) -> list[str | Path]:
    def beside(suffix: str) -> Path:
        return case.with_name(case.name + suffix)

    return [
        beside(".pcap"), "--uart", beside(".uart.log"), "--broker-log", beside(".broker.log"),
        "--broker-config", beside(".conf"),
    ]  # fmt: skip


def test_json_is_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*evidence(), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["outcome"]) == (1, "failed")
    cause = said["causes"][0]
    assert set(cause) == {"id", "side", "confidence", "evidence", "explain", "fix"}
    assert cause["id"] == "tls.no_common_cipher_suite"
    assert [c["id"] for c in said["causes"]][1] == "client_certificate.wrong_store"
    connection = said["connections"][0]
    assert {"client", "server", "tls", "alerts", "mqtt"} <= set(connection)
    assert connection["alerts"] == [
        {"sender": "broker", "level": 2, "code": 40, "name": "handshake_failure", "encrypted": False, "frame": 8}
    ]


def test_people_get_the_verdict_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*evidence()) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("FAILED  tls.no_common_cipher_suite (certain")
    assert "\x1b" not in out  # not a terminal
    sets = out.index("Sets that do not meet")
    assert out.index("What to change") < sets < out.index("ClientHello TLS 1.2, 7 suites")
    assert "nx_secure_tls_local_certificate_add" in out
    assert "broker accepts  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" in out


def test_html_is_one_file_without_foreign_resources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "why.html"
    assert run(*evidence(), "--json", "--html", page) == 0
    text = page.read_text(encoding="utf-8")
    assert "tls.no_common_cipher_suite" in text
    assert "device offers" in text
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text
    json.loads(capsys.readouterr().out)


def test_annotated_capture_comments_the_frame_and_carries_the_keys(tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    case = DATA / "netx-slow-13-ec-mutual-nocert"
    keys = case.with_name(case.name + ".keys")
    assert run(case.with_name(case.name + ".pcap"), "--keylog", keys, "--json", "--annotate", out) == 0
    items = list(pcapng.read(out))
    packets = [i for i in items if isinstance(i, pcapng.Packet)]
    commented = {n: p.comments for n, p in enumerate(packets, 1) if p.comments}
    assert list(commented) == [12]
    assert commented[12][0].startswith("hil explain: client_certificate.missing: ")
    assert [i.data for i in items if isinstance(i, pcapng.Secrets)] == [keys.read_bytes()]


def test_what_a_device_says_drives_no_terminal_and_no_page() -> None:
    evil = "\x1b]0;owned\x07\x1b[31m<script>alert(1)</script>\u202e"
    wire = Wire().open().hello(sni=evil).flight12(dns=[evil], ip=[], subject=evil).alert("c", 42).end("c")
    hit = uart.UartHit(line=1, text=evil, kind="code", stack="netx", code=1, name=evil, causes=("device.hang",))
    from harness.diagnosis.facts import tell

    story = tell(wire.done(), uart.UartLog(hits=(hit,), stack="netx", size=9))
    found = diagnose(wire.done(), uart.UartLog(hits=(hit,), stack="netx", size=9))
    rows, sets = explain_rows.exchanges(wire.events, story), explain_rows.sets(story)
    text = explain_text.render(found, rows, sets, evil, colour=False)
    page = explain_html.page(found, rows, sets, evil)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "<script" not in page
    assert "\x1b" not in page
    assert "owned" in text
    assert "owned" in page


def unreadable(tmp_path: Path) -> dict[str, list[str | Path]]:
    files = {
        "empty.pcap": b"",
        "text.pcap": b"this is no capture, it is a letter\n" * 9,
        "noise.pcap": bytes(range(256)) * 9,
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    good = CASE.with_name(CASE.name + ".pcap")
    return {
        **{name: [tmp_path / name] for name in files},
        "directory": [tmp_path],
        "missing": [tmp_path / "nothing.pcap"],
        "no evidence": [],
        "missing uart": [good, "--uart", tmp_path / "nothing.log"],
        "directory as broker log": [good, "--broker-log", tmp_path],
        "missing configuration": [good, "--broker-config", tmp_path / "nothing.conf"],
        "missing keys": [good, "--keylog", tmp_path / "nothing.keys"],
        "page into nowhere": [good, "--html", tmp_path / "no" / "such.html"],
        "annotation without capture": ["--uart", CASE.with_name(CASE.name + ".uart.log"), "--annotate", "x.pcapng"],
        "annotation over the capture": [good, "--annotate", good],
    }


@pytest.mark.parametrize("what", [
    "empty.pcap", "text.pcap", "noise.pcap", "directory", "missing", "no evidence", "missing uart",
    "directory as broker log", "missing configuration", "missing keys", "page into nowhere",
    "annotation without capture", "annotation over the capture",
])  # fmt: skip
def test_one_clear_line_and_exit_4(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*unreadable(tmp_path)[what]) == 4
    caught = capsys.readouterr()
    lines = caught.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("hil explain: ")
    assert "Traceback" not in caught.err


def test_truncated_and_packed_captures_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = CASE.with_name(CASE.name + ".pcap").read_bytes()
    for name, content in (("cut.pcap", data[:-7]), ("packed.pcap.gz", gzip.compress(data)), ("none.pcap", EMPTY_PCAP)):
        path = tmp_path / name
        path.write_bytes(content)
        assert run(path, "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert all(c["confidence"] != "certain" for c in said["causes"])
    for size in range(24, len(data), 61):
        cut = tmp_path / "part.pcap"
        cut.write_bytes(data[:size])
        assert run(cut, "--json") == 0
        assert "certain" not in [c["confidence"] for c in json.loads(capsys.readouterr().out)["causes"]]


def test_binary_uart_log_and_foreign_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = tmp_path / "uart.log"
    noise.write_bytes(bytes(range(256)) * 64)
    case = DATA / "netx-slow-13-ec-mutual-nocert"
    capture = case.with_name(case.name + ".pcap")
    other = DATA / "stacks-ok-p256-13-wolf.keys"
    assert run(capture, "--uart", noise, "--keylog", other, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["causes"][0]["id"] == "client_certificate.missing"
    assert said["causes"][0]["confidence"] != "certain"
    assert any("belongs to another session" in a for a in said["advice"])
    assert any("not text" in a for a in said["advice"])


def test_logs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    case = DATA / "netx-12-ec-mutual-wrong-keytype"
    assert run("--uart", case.with_name(case.name + ".uart.log"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["causes"][0]["id"] == "client_key.wrong_format"
    case = DATA / "stacks-auth-wrongpw-12-mosq"
    assert run("--broker-log", case.with_name(case.name + ".broker.log"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["causes"][0]["id"] == "mqtt.bad_credentials"


def test_json_loads_neither_rich_nor_jinja() -> None:
    code = (
        "import sys; from harness import cli; cli.main(['explain', *sys.argv[1:]]); "
        "print(sorted({'rich', 'jinja2', 'cryptography', 'scapy', 'pytest'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, evidence()), "--json"],
        capture_output=True, text=True, timeout=60, check=True, cwd=CAUSES.parent.parent.parent,
    )  # fmt: skip
    assert done.stderr.strip() == "[]"
