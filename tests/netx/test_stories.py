"""The table of docs/stories.md for 000 and 001: each defect ends 1 with the story's cause first; without it the same
scenarios pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.paths import ROOT
from harness.target import find, load
from tests.engine.bench import hil, ready, verdicts

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("boards")]

TARGET = "h563-sim"
LINES: dict[str, tuple[tuple[str, ...], str]] = {
    "cert_as_trusted": (("T12-02", "T12-01"), "client_certificate.wrong_store"),
    "no_aead": (("T12-61", "T12-02"), "tls.no_common_cipher_suite"),
    "sha384_suite": (("T12-60", "T12-02"), "tls.handshake_hash_mismatch"),
    "ecc_uninitialised": (("T12-02",), "tls.ecc_not_initialised"),
    "no_sni": (("T12-62",), "tls.sni_missing"),
    "pkcs8_key": (("T12-02", "T12-01"), "client_key.wrong_format"),
    "pem_key": (("T12-02", "T12-01"), "client_key.wrong_format"),
    "tls13_forced": (("T13-60",), "tls.no_common_signature_algorithm"),
    "wrong_key_type": (("T13-61", "T12-02"), "client_key.wrong_format"),
    "small_buffer": (("T13-61",), "device.buffer_too_small"),
    "small_cert_buffer": (("T13-61",), "device.buffer_too_small"),
    "tls13_only": (("T12-01", "T12-02"), "tls.no_common_version"),
}
"""Defect → the scenarios that fail, and the cause each names first."""

COMMON = (
    "name_unchecked", "dates_unchecked", "no_client_cert", "wrong_ca", "key_mismatch", "no_backoff", "hang",
    "hardfault", "lockup", "uart_flood",
)  # fmt: skip
"""Those of every target; tests/engine/test_defects.py."""


def test_the_tables_agree() -> None:
    assert {*LINES, *COMMON} == set(find(TARGET, load()).defects)
    text = (ROOT / "docs" / "stories.md").read_text()
    section = text.partition("## 000 and 001")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if re.match(r"\| 00[01] \|", line)]
    for defect, (scenarios, cause) in LINES.items():
        found = [row for row in rows if f"| `{defect}` |" in row]
        assert len(found) == 1, defect
        assert f"| `{cause}` |" in found[0]
        assert f"| {', '.join(scenarios)} |" in found[0]


@pytest.mark.parametrize("defect", LINES)
def test_the_story_is_reproduced_and_explained(defect: str, tmp_path: Path) -> None:
    scenarios, cause = LINES[defect]
    done = hil("run", "--target", TARGET, "--defect", defect, "--run-dir", str(tmp_path), *scenarios, timeout=200)
    assert done.returncode == 1, done.stdout + done.stderr
    given = verdicts(tmp_path)
    assert {v["id"].partition("[")[0] for v in given} == set(scenarios)
    for verdict in given:
        assert verdict["verdict"] == "fail", (verdict["id"], verdict["why"])
        assert verdict["causes"][0]["id"] == cause, (verdict["id"], [c["id"] for c in verdict["causes"]])
        if defect == "tls13_only":
            assert "supported_versions" in verdict["causes"][0]["explain"], "the suites of 1.2 mislead"


def test_switched_off_all_of_them_pass(tmp_path: Path) -> None:
    scenarios = {name for names, _ in LINES.values() for name in names}
    done = hil("run", "--target", TARGET, "--run-dir", str(tmp_path), *sorted(scenarios), timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {v["verdict"] for v in verdicts(tmp_path)} == {"pass"}


def test_the_suite_netx_does_not_have(tmp_path: Path) -> None:
    """Story 000 as it was: a broker with nothing but ECDHE-RSA-AES256-GCM-SHA384. The device is refused as it must be,
    and the verdict says why."""
    done = hil("run", "--target", TARGET, "--run-dir", str(tmp_path), "T12-60", timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (verdict,) = verdicts(tmp_path)
    assert verdict["causes"][0]["id"] == "tls.no_common_cipher_suite"
