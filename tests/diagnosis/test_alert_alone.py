"""Without a capture: what set-up calls, alert numbers and the broker's words say together, and what they leave open."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.device import shimline
from harness.diagnosis.engine import diagnose
from harness.evidence import broker_log, uart
from harness.model import Diagnosis, Listener, ServerCertificate
from harness.paths import BIN
from tests.diagnosis.cases import Wire

pytestmark = pytest.mark.skipif(not (BIN / "hil-uart").exists(), reason="hil-uart is not built")

CREATED = "nx_secure_tls_session_create 0x0\n"
CURVES = "nx_secure_tls_ecc_initialize 0x0\n"
BUFFER = "nx_secure_tls_session_packet_buffer_set 0x0\n"
NAME = "nx_secure_tls_session_sni_extension_set 0x0\n"
CA = "nx_secure_tls_trusted_certificate_add 0x0\n"
OWN = "nx_secure_tls_local_certificate_add 0x0\n"
OWN_AS_CA = "client certificate: nx_secure_tls_trusted_certificate_add 0x0\n"
REFUSED = "nx_secure_tls_session_start 0x114\n"
SETUP = CREATED + CURVES + BUFFER + NAME + CA


def heard(text: str, folder: Path, *said: str) -> Diagnosis:
    """A firmware that starts the session itself, and prints what it calls; what the broker said."""
    (folder / "uart.log").write_text(text)
    log = broker_log.parse_text("".join(f"1795000000: {line}\n" for line in said))
    return diagnose([], uart.read(folder / "uart.log"), log)


def shim(body: str) -> str:
    """The shim's line, with the sum that its protocol wants."""
    line = f"@H1 1 5 {body} "
    return f"{line}*{shimline.crc16(line.encode()):04x}\n"


def event(alert: int, suite: str = "") -> str:
    return shim(f"tls state=failed version=1.2 suite={suite} rc=276 alert={alert} flags=0x0 resumed=0")


CASES = [
    # After a ServerHello alert 40 is no answer to the ClientHello.
    (SETUP + OWN_AS_CA + REFUSED + event(40, "0xc02b"), (), "client_certificate.wrong_store", "probable"),
    (SETUP + REFUSED + event(40, "0xc02b"), (), "client_certificate.missing", "probable"),
    (SETUP + OWN + REFUSED + event(40), (), "tls.no_common_cipher_suite", "possible"),
    (SETUP + OWN_AS_CA + event(116, "0x1301"), (), "client_certificate.wrong_store", "probable"),
    # The set-up shows what is missing in it.
    (CREATED + BUFFER + NAME + CA + REFUSED + event(40), (), "tls.ecc_not_initialised", "probable"),
    (CREATED + CURVES + BUFFER + CA + REFUSED + event(112), (), "tls.sni_missing", "probable"),
    (SETUP + REFUSED + event(112), (), "tls.sni_unrecognised", "probable"),
    # NetX has no SHA-384 for the handshake; elsewhere decrypt_error is the key, or Finished.
    (SETUP + REFUSED + event(51, "0xc030"), (), "tls.handshake_hash_mismatch", "probable"),
    (SETUP + REFUSED + event(51, "0xc02f"), (), "tls.finished_mismatch", "possible"),
    (SETUP + REFUSED, ("OpenSSL Error[0]: error:0A000095:SSL routines::digest check failed",),
     "tls.handshake_hash_mismatch", "probable"),
    ("", ("OpenSSL Error[0]: error:0A000095:SSL routines::digest check failed",), "tls.finished_mismatch", "probable"),
    # A plain listener takes TLS for a broken packet.
    (SETUP + "nx_secure_tls_session_start 0x38\n", ("Client <unknown> disconnected due to protocol error.",),
     "protocol.tls_on_plain_port", "probable"),
    ("mbedtls_ssl_handshake returned -0x7280\n", ("Client <unknown> disconnected due to protocol error.",),
     "protocol.tls_on_plain_port", "probable"),
    # The broker's log alone: who closed, in both of Mosquitto's forms; and the bench's own front end.
    ("", ("OpenSSL Error[0]: error:0A000126:SSL routines::unexpected eof while reading",
          "Client <unknown> disconnected: Protocol error."), "tls.closed_by_device", "possible"),
    ("", ("Client connection from 10.0.0.2 failed: error:0A000126:SSL routines::unexpected eof while reading.",),
     "tls.closed_by_device", "possible"),
    ("", ("hil-sni: refused a ClientHello without server_name",
          "OpenSSL Error[0]: error:0A0000EA:SSL routines::callback failed"), "tls.sni_missing", "probable"),
    ("", ("Client connection from 10.0.0.2 failed: error:0A00010B:SSL routines::wrong version number.",),
     "protocol.plain_mqtt_on_tls_port", "possible"),
    (shim("mqtt state=connect_sent"),
     ("Client connection from 10.0.0.2 failed: error:0A00010B:SSL routines::wrong version number.",),
     "protocol.plain_mqtt_on_tls_port", "probable"),
    # Two attempts: the last one decides.
    ("", ("OpenSSL Error[0]: error:0A000415:SSL routines::sslv3 alert certificate expired",
          "Client <unknown> disconnected: Protocol error.",
          "OpenSSL Error[0]: error:0A000418:SSL routines::tlsv1 alert unknown ca"),
     "server_certificate.untrusted", "probable"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said", "cause", "level"), CASES)
def test_what_is_left_to_know(text: str, said: tuple[str, ...], cause: str, level: str, tmp_path: Path) -> None:
    found = heard(text, tmp_path, *said)
    assert found.outcome == "failed"
    assert (found.causes[0].id, found.causes[0].confidence) == (cause, level), [c.id for c in found.causes]
    assert all(c.evidence for c in found.causes)


def test_a_code_of_an_earlier_run_is_not_the_cause(tmp_path: Path) -> None:
    first, second = "nx_secure_tls_session_start 0x194\n", "nx_secure_tls_session_start 0x11b\n"
    ended = shim("done result=failed stage=tls rc=1")
    found = heard(first + ended + second + ended, tmp_path)
    assert found.causes[0].id == "server_certificate.untrusted"
    assert "device.clock_unset" not in [c.id for c in found.causes]
    again = heard(first + ended + ended, tmp_path)  # the second run says nothing new
    assert again.causes[0].id == "device.clock_unset"


CONF = Listener(
    source="config", versions=("1.2", "1.3"), suites12=(0xC02C, 0xCCA9), suites13=(0x1301, 0x1302), sigalgs=None,
)  # fmt: skip
NO_SHARED = ("OpenSSL Error[0]: error:0A0000C1:SSL routines::no shared cipher",)


@pytest.mark.parametrize("said", [NO_SHARED, ()], ids=["log", "no log"])
def test_a_broker_held_to_12_by_what_no_configuration_says(said: tuple[str, ...]) -> None:
    """MaxProtocol stands in OPENSSL_CONF; a hello with both versions then fails by its suites of 1.2."""
    both = {"versions": [0x0304, 0x0303], "suites": [0x1301, 0xC023, 0xC02B], "extensions": [10, 13, 43, 51]}
    wire = Wire().open().hello(**both, key_shares=[23]).alert("s", 40).end("s")
    log = broker_log.parse_text("".join(f"1795000000: {line}\n" for line in said))
    found = diagnose(wire.done(), broker=log, listener=CONF)
    assert (found.causes[0].id, found.causes[0].confidence) == ("tls.no_common_cipher_suite", "probable")
    assert "MaxProtocol" in found.causes[0].explain


def test_no_shared_cipher_is_not_the_missing_pss_of_13() -> None:
    """An RSA certificate without PSS would be "no suitable signature algorithm": 1.3 was not what the broker tried."""
    both = {"versions": [0x0304, 0x0303], "suites": [0x1301, 0xC02F], "extensions": [10, 13, 43, 51]}
    wire = Wire().open().hello(**both, key_shares=[23], groups=[23], sigalgs=[0x0403, 0x0401]).alert("s", 40).end("s")
    rsa = msgspec.structs.replace(CONF, suites12=(0xC02F,), certificate=ServerCertificate(key="rsa", bits=2048))
    log = broker_log.parse_text("".join(f"1795000000: {line}\n" for line in NO_SHARED))
    found = diagnose(wire.done(), broker=log, listener=rsa)
    assert "tls.no_common_signature_algorithm" not in [c.id for c in found.causes]
    assert found.causes[0].id == "tls.no_common_group"


def test_a_name_that_was_not_sent_is_not_called_unknown(tmp_path: Path) -> None:
    (tmp_path / "uart.log").write_text(SETUP + REFUSED + event(112))
    wire = Wire().open().hello(sni=None, extensions=[10, 11, 13]).alert("s", 112).end("s")
    found = diagnose(wire.done(), uart.read(tmp_path / "uart.log"))
    assert [c.id for c in found.causes] == ["tls.sni_missing"]


@pytest.mark.parametrize("first", ["c", "s"])
def test_a_broker_that_says_goodbye_instead_of_connack(first: str) -> None:
    """Sealed, TLS 1.2. Both sides close at once, and whose FIN is seen first is a race."""
    wire = Wire().open().hello().flight12().keys12().add("ccs", "s")
    wire.add("sealed", "s", type=22, len=40, phase="handshake", guess="finished")
    wire.add("sealed", "c", type=23, len=280, phase="application").add("sealed", "s", type=21, len=26, guess="alert")
    wire.add("sealed", "c", type=21, len=26, guess="alert")
    found = diagnose(wire.end(first, handshake="complete").done())
    assert found.outcome == "failed"
    assert (found.causes[0].id, found.causes[0].confidence) == ("mqtt.closed_without_connack", "possible")


def test_tls_to_a_port_that_is_known_to_be_plain_whoever_closes() -> None:
    for side in ("c", "s"):
        found = diagnose(Wire().open().hello().end(side).done(), listener=Listener(source="config", tls=False))
        assert (found.causes[0].id, found.causes[0].confidence) == ("protocol.tls_on_plain_port", "certain")


def test_a_remedy_has_the_words_of_the_client_beside_tls(tmp_path: Path) -> None:
    log = "mbedtls_ssl_handshake returned 0\nMQTTConnect returned 255\n"
    (found, *_) = heard(log, tmp_path).causes
    assert found.id == "device.connack_misparsed"
    assert "MQTTDeserialize_connack" in found.fix


def test_what_is_only_suspected_is_not_said_as_if_it_were_known() -> None:
    found = diagnose(Wire().open().hello().alert("s", 40).end("s").done())
    assert found.causes
    for one in found.causes:
        assert one.confidence != "certain"
        assert one.explain.startswith("What the broker accepts is not known")
