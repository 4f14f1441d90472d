"""Dialogues with an AT module, as a terminal shows them: each of its few words means what was said before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.diagnosis.engine import diagnose
from harness.evidence import broker_log, uart
from harness.explain import explain
from harness.model import DeviceFacts, Diagnosis, Evidence
from harness.paths import BIN
from tests.diagnosis.cases import Wire
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


def told(text: str, folder: Path, wire: Wire | None = None, epoch: int | None = None, log: str = "") -> Diagnosis:
    (folder / "uart.log").write_text(text)
    return diagnose(wire.done() if wire else [], uart.read(folder / "uart.log"), broker_log.parse_text(log),
                    device=DeviceFacts(stack="spwf04", host="broker.test", epoch=epoch))  # fmt: skip


def refusing(alert: int = 42, **leaf: Any) -> Wire:
    """Every refusal of the module looks alike on the wire."""
    return Wire().open().hello(sni="broker.test").flight12(**leaf).alert("c", alert).end("c")


@pytest.mark.parametrize("number", ["name", "another CA", "CRL", "identifier as text"])
@pytest.mark.parametrize("epoch", [None, 0], ids=["clock not known", "clock never set, as the bench knows"])
def test_what_the_module_says_is_not_put_down_to_its_clock(number: str, epoch: int | None, tmp_path: Path) -> None:
    text, cause = DIALOGUES[number]
    found = told(text, tmp_path, refusing(), epoch).causes
    assert [c.id for c in found] == [cause]
    assert all(c.evidence for c in found)


def test_what_agrees_with_the_module_on_the_wire_is_shown_beside_it(tmp_path: Path) -> None:
    (expired,) = told(DIALOGUES["expired"][0], tmp_path, refusing(45, not_before=0, not_after=86_400)).causes
    assert expired.id == "server_certificate.expired"
    assert any(e.startswith("frame ") for e in expired.evidence)
    assert any(e.startswith("uart ") for e in expired.evidence)


def test_the_name_that_was_compared_is_said(tmp_path: Path) -> None:
    name = CLOCK + PEM + AUTH + OPEN.replace("NULL", "My Root CA") + LOADING + error(62)
    (found,) = told(name, tmp_path, refusing()).causes
    assert found.explain == "The module looks for 'My Root CA' in the broker's certificate, which is for " \
        "broker.test, 10.0.0.1."  # fmt: skip
    assert any("SOCKON" in e for e in found.evidence)


def test_error_74_is_no_refused_connection_where_the_broker_saw_one(tmp_path: Path) -> None:
    text = DIALOGUES["nothing listens"][0]
    (alone,) = told(text, tmp_path).causes
    assert alone.id == "at_module.socket_refused"
    assert "ClientHello" not in alone.explain  # nobody looked
    seen = "1795000000: New connection from 10.0.0.2:51572 on port 8883.\n"
    refused = seen + "1795000000: OpenSSL Error[0]: error:0A000102:SSL routines::unsupported protocol\n"
    assert "at_module.socket_refused" not in [c.id for c in told(text, tmp_path, log=seen).causes]
    assert told(text, tmp_path, log=refused).causes[0].id == "tls.no_common_version"


def test_an_identifier_that_is_missing_is_named_although_tcp_did_open(tmp_path: Path) -> None:
    """Story 004, the second person, with the broker's log: alert 42 alone would be the name."""
    said = ("New connection from 10.0.0.2:51572 on port 8883.",
            "OpenSSL Error[0]: error:0A000412:SSL routines::sslv3 alert bad certificate")  # fmt: skip
    log = "".join(f"1795000000: {line}\n" for line in said)
    found = told(DIALOGUES["no identifier"][0], tmp_path, log=log).causes
    assert [c.id for c in found] == ["at_module.identifier_not_binary"]


def test_a_refused_client_hello_is_not_the_identifier(tmp_path: Path) -> None:
    refused = Wire().open().hello().alert("s", 40).end("s")
    found = told(DIALOGUES["no identifier"][0], tmp_path, refused).causes
    assert found[0].id.startswith("tls.no_common")
    assert "at_module.identifier_not_binary" not in [c.id for c in found]
