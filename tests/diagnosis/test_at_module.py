"""Dialogues with an AT module, as a terminal shows them: each of its few words means what was said before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.explain import explain
from harness.model import Evidence
from harness.paths import BIN
from tests.streams.test_stories import STORY_E

pytestmark = pytest.mark.skipif(not (BIN / "hil-uart").exists(), reason="hil-uart is not built")

CLOCK = "AT+S.TIME=1504170338\nAT-S.OK\n"
PEM = "AT+S.TLSCERT=ca,1348\nAT-S.No SubjectKeyId\nAT-S.OK\n"
DER = "AT+S.TLSCERT=ca,995\nAT-S.OK\n"
AUTH = "AT+S.TLSCERT=auth,20\nAT-S.OK\n"
TEXT = "AT+S.TLSCERT=Auth,40\n3EF1747FD79122144BCADF4F95DF960A32823B4C\nAT-S.OK\n"
OPEN = "AT+S.SOCKON=172.26.7.83,4443,NULL,s\n"
LOADING = "AT-S.Loading:1:1\n"
FAILED = "AT-S.ERROR:74:Failed to open socket\n"

# The second person of story 004, word by word.
YOANN = """AT+S.TLSCERT=ca,1348
AT-S.No SubjectKeyId
AT-S.OK
AT+S.TLSCERT=content,1
AT-S.List
AT-S.CA:1
AT-S.Cert:0
AT-S.Key:0
AT-S.Id:0
AT-S.OK
AT+S.SOCKON=192.168.1.38,4433,,Example Certificate Authority
AT-S.ERROR:74:Failed to open socket
"""


def error(number: int) -> str:
    return f"AT-S.Certificate Error:{number}\n{FAILED}"


DIALOGUES = {
    "identifier as text": (CLOCK + PEM + TEXT + OPEN + error(3), "at_module.identifier_not_binary"),
    "identifier as text, of DER": (CLOCK + DER + TEXT + OPEN + error(3), "at_module.identifier_not_binary"),
    "text, then corrected": (CLOCK + PEM + TEXT + AUTH + OPEN + error(3), "server_certificate.untrusted"),
    "no identifier": (CLOCK + PEM + OPEN + FAILED, "at_module.identifier_not_binary"),
    "no identifier, as posted": (YOANN, "at_module.identifier_not_binary"),
    "as posted": (STORY_E, "at_module.identifier_not_binary"),
    "another CA": (CLOCK + PEM + AUTH + OPEN + error(3), "server_certificate.untrusted"),
    "CRL": (CLOCK + PEM + AUTH + OPEN + LOADING + error(3), "server_certificate.crl_missing"),
    "CRL, DER": (CLOCK + DER + OPEN + LOADING + error(3), "server_certificate.crl_missing"),
    "clock": (PEM + AUTH + OPEN + LOADING + error(9), "at_module.clock_unset"),
    "clock, shown": ("AT+S.TIME\nAT-S.Date:70.01.01:00\n" + DER + OPEN + LOADING + error(9), "at_module.clock_unset"),
    "clock set to 0": ("AT+S.TIME=0\nAT-S.OK\n" + DER + OPEN + LOADING + error(9), "at_module.clock_unset"),
    "not valid yet": (CLOCK + DER + OPEN + LOADING + error(9), "server_certificate.not_yet_valid"),
    "expired": (CLOCK + DER + OPEN + LOADING + error(10), "server_certificate.expired"),
    "name": (CLOCK + PEM + AUTH + OPEN + LOADING + error(62), "server_certificate.name_mismatch"),
    "nothing listens": (CLOCK + PEM + AUTH + OPEN + FAILED, "at_module.socket_refused"),
    "CA refused": (CLOCK + "AT+S.TLSCERT=ca,9\nAT-S.ERROR:111:Request failed\n", "certificate.wrong_format"),
    "key refused": (CLOCK + DER + "AT+S.TLSCERT=key,9\nAT-S.ERROR:111:Request failed\n", "client_key.wrong_format"),
    "only an answer": ("AT-S.Certificate Error:3\n" + FAILED, "at_module.identifier_not_binary"),
    "a second attempt": (CLOCK + PEM + OPEN + FAILED + AUTH + OPEN + LOADING + error(62),
                         "server_certificate.name_mismatch"),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALOGUES)
def test_what_was_said_before(name: str, tmp_path: Path) -> None:
    text, cause = DIALOGUES[name]
    (tmp_path / "uart.log").write_text(text)
    found = explain(Evidence(uart=tmp_path / "uart.log"))
    assert found.causes and found.causes[0].id == cause, [(c.id, c.evidence) for c in found.causes]
    assert any(item.startswith("uart ") for item in found.causes[0].evidence)


def test_a_log_without_the_module_says_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "uart.log").write_text("ERROR:74:Failed to mount\nLoading: 1:1\nCertificate loaded\n")
    found = explain(Evidence(uart=tmp_path / "uart.log"))
    assert not [c.id for c in found.causes if c.id.startswith("at_module.")]


def test_an_identifier_that_was_given_is_no_fault(tmp_path: Path) -> None:
    """`No SubjectKeyId` stands in every log of a PEM CA, good ones too."""
    (tmp_path / "uart.log").write_text(CLOCK + PEM + AUTH + OPEN + FAILED)
    found = explain(Evidence(uart=tmp_path / "uart.log"))
    assert "at_module.identifier_not_binary" not in [c.id for c in found.causes]
