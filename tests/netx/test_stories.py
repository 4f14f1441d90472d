"""The table of docs/stories.md for 000 and 001: each defect ends 1 with the story's cause first; without it the same
scenarios pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.bench import hil, ready, verdicts
from tests.stories.story import passes, reproduced, tables_agree

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("stories")]

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
    tables_agree(TARGET, "000 and 001", LINES, COMMON)


@pytest.mark.parametrize("defect", LINES)
def test_the_story_is_reproduced_and_explained(defect: str, tmp_path: Path) -> None:
    for verdict in reproduced(TARGET, LINES, defect, tmp_path):
        if defect == "tls13_only":
            assert "supported_versions" in verdict["causes"][0]["explain"], "the suites of 1.2 mislead"


def test_switched_off_all_of_them_pass(tmp_path: Path) -> None:
    passes(TARGET, LINES, tmp_path)


def test_the_suite_netx_does_not_have(tmp_path: Path) -> None:
    """Story 000 as it was: a broker with nothing but ECDHE-RSA-AES256-GCM-SHA384. The device is refused as it must be,
    and the verdict says why."""
    done = hil("run", "--target", TARGET, "--run-dir", str(tmp_path), "T12-60", timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (verdict,) = verdicts(tmp_path)
    assert verdict["causes"][0]["id"] == "tls.no_common_cipher_suite"
