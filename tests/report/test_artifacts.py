"""`hil report --artifacts`: what leaves the lab holds no key, whoever wrote it there."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness import paths, store
from harness.errors import UsageError
from harness.evidence import pcapng
from harness.report import artifacts

SECRET = "5a" * 48
RANDOM = "c3" * 32
BODY = [f"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{n:02d}zCCBKMwggSfAgEAAoIBAQC7VJTUt9Us" for n in range(12)]
PEM = ["-----BEGIN PRIVATE KEY-----", *BODY, "4FzA9Q==", "-----END PRIVATE KEY-----"]
STAMP = "2026-11-21T04:22:01.259720Z "


def hil(*words: str | Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "harness.cli", *map(str, words)]
    return subprocess.run(argv, cwd=paths.ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def masked(text: str) -> str:
    return b"".join(artifacts.masked_lines(io.BytesIO(text.encode()))).decode()


@pytest.mark.parametrize("label", ["CLIENT_RANDOM", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0",
                                   "EXPORTER_SECRET", "CLIENT_EARLY_TRAFFIC_SECRET", "RSA"])  # fmt: skip
def test_key_log_lines(label: str) -> None:
    text = masked(f"{STAMP}ssl: {label} {RANDOM} {SECRET}\r\nnext {label} is fine\n")
    assert SECRET not in text and RANDOM not in text
    assert text.startswith(f"{STAMP}ssl: {label} [masked]") and text.endswith(f"next {label} is fine\n")


def test_private_keys_line_by_line_with_others_between() -> None:
    lines = [STAMP + line for line in PEM]
    lines.insert(4, f"{STAMP}wifi: connected, rssi -60")
    text = masked("\n".join(["before", *lines, "after AAAAAAAAAAAAAAAAAAAAAAAAAA"]) + "\n")
    assert not any(part in text for part in (*BODY, "4FzA9Q==")), text
    assert "wifi: connected, rssi -60" in text and "after AAAAAAAAAAAAAAAAAAAAAAAAAA" in text


def test_private_keys_in_json_leave_json() -> None:
    data = {"a": "\n".join(PEM), "b": [f"uart 3: {PEM[0]}"], "c": "kept"}
    text = masked(json.dumps(data, indent=1))
    assert json.loads(text)["c"] == "kept" and not any(part in text for part in BODY)
    cut = masked(json.dumps({"a": "\n".join(PEM[:5]), "c": "kept"}, indent=1))
    assert json.loads(cut)["c"] == "kept" and not any(part in cut for part in BODY)


def test_a_parsers_words_are_left_alone() -> None:
    text = f"{STAMP}pem: expected -----BEGIN PRIVATE KEY-----\n" + f"{STAMP}mqtt: not connected\n" * 3
    assert masked(text).count("mqtt: not connected") == 3


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        found.append((kind, data[at : at + length]))
        at += length
    return found


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run, whose device then said too much."""
    folder = tmp_path_factory.mktemp("run") / "run"
    done = hil("run", "--target", "native", "T13-02", "--run-dir", folder)
    assert done.returncode == 0, done.stderr
    attempt = next(folder.glob("native/*/attempt-1"))
    with (attempt / "uart.log").open("a") as file:
        file.write("\n".join([f"{STAMP}CLIENT_RANDOM {RANDOM} {SECRET}", *(STAMP + line for line in PEM)]) + "\n")
    (attempt / "link.log").symlink_to(folder / "secrets" / "prepared.json")
    (attempt / "core").write_bytes(b"memory of the device")
    return folder


def secrets_of(run: Path) -> list[bytes]:
    """Every key the run made: hex of the key logs, and private keys as PEM lines and as the bytes they stand for."""
    found = {SECRET.encode(), bytes.fromhex(SECRET), RANDOM.encode(), *(line.encode() for line in BODY)}
    for log in run.rglob("keys.log"):
        for line in log.read_text().splitlines():
            words = line.split()
            if len(words) == 3 and not line.startswith("#"):
                found |= {words[2].encode(), bytes.fromhex(words[2])}
    keys = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+(.*?)-----END", re.DOTALL)
    for path in (run / "secrets").rglob("*"):
        if path.is_file():
            for body in keys.findall(path.read_bytes()):
                found |= {line.strip() for line in body.splitlines() if len(line.strip()) > 40}
                found.add(base64.b64decode(b"".join(body.split()))[-64:])
    return sorted(found)


@pytest.mark.xdist_group("boards")
def test_no_key_of_a_real_run_is_in_the_copy(run_dir: Path, tmp_path: Path) -> None:
    attempt = next(run_dir.glob("native/*/attempt-1"))
    plain = attempt / "capture.pcapng"
    keylog = attempt / "secrets" / "keys.log"
    with_keys = attempt / "more.pcapng"
    pcapng.with_secrets(plain, keylog, with_keys)
    secrets = secrets_of(run_dir)
    # The search finds them where they are.
    assert len(secrets) > 100
    assert any(secret in with_keys.read_bytes() for secret in secrets)
    assert any(secret in (attempt / "uart.log").read_bytes() for secret in secrets)
    out = tmp_path / "upload"
    done = hil("report", run_dir, "--artifacts", out)
    assert done.returncode == 0, done.stderr
    copied = [path for path in out.rglob("*") if path.is_file()]
    for path in copied:
        data = path.read_bytes()
        assert not [s for s in secrets if s in data], path
        assert not path.is_symlink()
    names = {str(path.relative_to(out)) for path in copied}
    inside = str(attempt.relative_to(run_dir))
    evidence = ("capture.pcapng", "more.pcapng", "uart.log", "broker.log", "verdict.json")
    wanted = {f"{inside}/{name}" for name in evidence}
    assert wanted | {"run.json", "junit.xml", "summary.md", "index.html"} <= names, names
    assert not any("secrets" in name or "firmware/" in name or name.endswith(("link.log", "core")) for name in names)
    assert f"masked  {inside}/uart.log" in done.stdout and f"masked  {inside}/more.pcapng" in done.stdout
    before, after = blocks(with_keys.read_bytes()), blocks((out / inside / "more.pcapng").read_bytes())
    assert after == [block for block in before if block[0] != pcapng.SECRETS] and len(after) < len(before)
    assert (out / inside / "capture.pcapng").read_bytes() == plain.read_bytes()
    assert store.read_run(out).totals == store.read_run(run_dir).totals
    links = re.findall(r'href="([^"#][^"]*)"', (out / "index.html").read_text())
    assert links and all((out / name).is_file() for name in links), links
    attachments = re.findall(r"\[\[ATTACHMENT\|(.*?)\]\]", "".join(ET.parse(out / "junit.xml").getroot().itertext()))  # noqa: S314
    assert attachments and all((out / name).is_file() for name in attachments)


@pytest.mark.xdist_group("boards")
def test_where_a_copy_may_go(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        artifacts.copy(run_dir, tmp_path / "full")
    with pytest.raises(UsageError, match="inside the run"):
        artifacts.copy(run_dir, run_dir / "upload")
    with pytest.raises(UsageError, match="no run"):
        artifacts.copy(tmp_path / "full", tmp_path / "out")


def test_a_damaged_capture_is_left_out(tmp_path: Path) -> None:
    source, target = tmp_path / "a.pcapng", tmp_path / "b.pcapng"
    for data in (b"\x0a\x0d\x0d\x0a", struct.pack("<III", 0x0A0D0D0A, 8, 0x1A2B3C4D), b"x" * 100,
                 struct.pack("<III", 6, 1000, 0) + b"cut"):  # fmt: skip
        source.write_bytes(data)
        assert artifacts._copy_one(source, target) is None


@pytest.mark.xdist_group("boards")
def test_a_run_that_was_killed_has_artifacts_too(run_dir: Path, tmp_path: Path) -> None:
    """`run.json` is written at the end only; the verdicts given so far are enough."""
    killed = tmp_path / "killed"
    shutil.copytree(run_dir, killed, symlinks=True)
    for name in (store.RUN, *artifacts.REPORTS):
        (killed / name).unlink()
    copied = artifacts.copy(killed, tmp_path / "out")
    assert {store.RUN, *artifacts.REPORTS} <= set(copied.files)
    assert store.read_run(tmp_path / "out").totals == {"pass": 1}
