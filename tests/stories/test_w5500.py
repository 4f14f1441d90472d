"""The table of docs/stories.md for 002: each defect ends 1 with the story's cause first; without it the same scenarios
pass. And the driver and client as a Cortex-M4's compiler sees them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness.paths import ROOT
from tests.engine.bench import hil, ready, verdicts
from tests.stories.story import passes, reproduced, tables_agree

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("stories")]

TARGET = "f429-w5500-sim"
LINES: dict[str, tuple[tuple[str, ...], str]] = {
    "read_gated": (("M3-02",), "device.read_gated_on_socket"),
    "connack_255": (("M3-02", "T12-63"), "device.connack_misparsed"),
    "recv_zero": (("M3-02", "T12-63"), "device.transport_returned_zero"),
    "over_report": (("M3-02", "T12-63"), "device.transport_overreported"),
    "small_input": (("T12-63",), "device.buffer_too_small"),
    "ip_for_name": (("T12-62", "M3-02"), "server_certificate.name_mismatch"),
    "no_yield": (("M3-35",), "mqtt.keepalive_timeout"),
}
"""Defect → the scenarios that fail, and the cause each names first."""

COMMON = (
    "verify_off", "name_unchecked", "dates_unchecked", "no_sni", "ecdsa_sigalgs_only", "no_groups", "no_client_cert",
    "wrong_ca", "key_mismatch", "no_backoff", "hang", "hardfault", "lockup", "uart_flood",
)  # fmt: skip
"""Those of every target; tests/engine/test_defects.py."""

FOR_THE_BOARD = (
    "net/w5500.c", "net/w5500_net.c", "net/w5500_dns.c", "client/paho.c", "client/paho_session.c",
    "boards/f429/w5500_spi.c",
)  # fmt: skip


def test_the_tables_agree() -> None:
    tables_agree(TARGET, "002", LINES, COMMON)


@pytest.mark.parametrize("defect", LINES)
def test_the_story_is_reproduced_and_explained(defect: str, tmp_path: Path) -> None:
    reproduced(TARGET, LINES, defect, tmp_path)


def test_switched_off_all_of_them_pass(tmp_path: Path) -> None:
    passes(TARGET, LINES, tmp_path)


def test_the_gate_does_no_harm_without_tls(tmp_path: Path) -> None:
    """`This works flawlessly when you don't use TLS`: which is why nobody suspected it."""
    done = hil("run", "--target", TARGET, "--defect", "read_gated", "--run-dir", str(tmp_path), "M3-01", timeout=200)
    assert done.returncode == 1, done.stdout + done.stderr
    given = {v["id"]: v["verdict"] for v in verdicts(tmp_path)}
    assert given == {"M3-01[plain]": "pass", "M3-01[r12]": "fail"}


@pytest.mark.parametrize("source", FOR_THE_BOARD)
def test_it_compiles_for_the_board(source: str, tmp_path: Path) -> None:
    shims = ROOT / "firmware_shims"
    includes = [f"-I{shims / folder}" for folder in ("include", "client", "net", "stacks")]
    command = [
        "arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-Os", "-std=c11", "-Wall", "-Wextra", "-Wconversion",
        "-Werror", *includes, "-c", str(shims / source), "-o", str(tmp_path / "out.o"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    needed = subprocess.run(
        ["arm-none-eabi-nm", "-u", str(tmp_path / "out.o")], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert not re.search(r"\b(malloc|calloc|realloc|free)\b", needed), "no heap in the shims"
