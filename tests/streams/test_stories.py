"""What the five field reports print is recognised: the posters' own words and numbers, as logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evidence import broker_log, uart

STORY_A = """\
[   0.105] [TLS ] nx_secure_tls_session_start: 0x114 (NX_SECURE_TLS_ALERT_RECEIVED)
alert level is 0x2 and alert value 0x28
error is returned - 0x10005 (NXD_MQTT_CONNECT_FAILURE)
"""
STORY_B = """\
NX_SECURE_TLS_ALERT_RECEIVED (alert 0x28 (decimal value of 40), which indicates handshake failure)
"""
STORY_C = """\
init connect[1]
  . Performing the SSL/TLS handshake...
=> handshake
<= handshake wrapup
<= handshake
ok
    [ Ciphersuite is TLS-RSA-WITH-AES-256-CBC-SHA256 ]
Connected to Socket 0
MQTTConnect() returned: 255
Connection closed
"""
STORY_C_BROKER = """\
2022-10-05 12:15:09: New connection from 10.0.0.7 on port 8883.
2022-10-05 12:15:15: New client connected from 10.0.0.7 as 002200375456500320383743 (c1, k60, u'somebody').
2022-10-05 12:15:18: Client 002200375456500320383743 disconnected.
"""
STORY_C2 = """\
    => fetch input
    in_left: 0, nb_want: 5
    Port:[0]/Recv(5)[5]:
    16 03 03 13 8E
    ssl->f_recv(_timeout)() returned 5 (-0xfffffffb)
    bad message length
    mbedtls_ssl_read_record_layer() returned -29184 (-0x7200)
    mbedtls_ssl_read_record() returned -29184 (-0x7200)
    failed
    ! mbedtls_ssl_handshake returned -29184: SSL - An invalid SSL record was received
"""
STORY_D = """\
[0000002175][new_thread0_entry.c:0244] - Secure_tls_ecc_initialize returned : 0x0
[0000002235][new_thread0_entry.c:0395] - nxd_mqtt_client_secure_connect error 65541
function _nx_secure_tls_handshake_process Fails with 56 (0x38) error
[0000002326][new_thread0_entry.c:0291] - MQTT Client secure connect : ERROR 0x10005
"""
STORY_E = """\
>>model number is SPWF04SA
>>UART TX buffer: AT+S.TLSCERT=content,2
-S.Clean
-S.OK
>>UART TX buffer: AT+S.TLSCERT=Ca,1425
-----BEGIN CERTIFICATE-----
MIID3zCCA0igAwIBAgIJAMo2ixe4LOmpMA0GCSqGSIb3DQEBCwUAMIGTMQswCQYD
-----END CERTIFICATE-----
-S.No SubjectKeyId
-S.OK
>>UART TX buffer: AT+S.TLSCERT=Auth,40
3EF1747FD79122144BCADF4F95DF960A32823B4C
-S.OK
+S.SOCKON=172.26.7.83,4443,NULL,s
AT-S.Certificate Error:3
-S.ERROR:74:Failed to open socket
"""


def read(tmp_path: Path, text: str) -> uart.UartLog:
    (tmp_path / "uart.log").write_text(text)
    return uart.read(tmp_path / "uart.log")


@pytest.mark.parametrize(
    ("text", "stack", "wanted"),
    [
        (STORY_A, "netx", {("netx", 0x114), ("tls_alert", 40), ("netx", 0x10005)}),
        (STORY_B, "netx", {("netx", 0x114), ("tls_alert", 40)}),
        (STORY_C, "mbedtls", {("paho", 255)}),
        (STORY_C2, "mbedtls", {("mbedtls", -0x7200)}),
        (STORY_D, "netx", {("netx", 0), ("netx", 65541), ("netx", 56)}),
        (STORY_E, "spwf04", {("spwf04", 3), ("spwf04", 74)}),
    ],
    ids="ABCDEF",
)
def test_codes_of_the_story(tmp_path: Path, text: str, stack: str, wanted: set[tuple[str, int]]) -> None:
    found = read(tmp_path, text)
    assert found.stack == stack
    assert {(hit.stack, hit.code) for hit in found.codes} == wanted


def test_connack_left_at_255(tmp_path: Path) -> None:
    found = read(tmp_path, STORY_C)
    code = found.codes[0]
    assert code.api == "MQTTConnect"
    assert "device.connack_misparsed" in code.causes
    assert any(hit.name == "tls_ok" for hit in found.hits), "the handshake itself went well"
    entries = broker_log.parse_text(STORY_C_BROKER)
    assert [entry.kind for entry in entries] == ["new_connection", "connected", "disconnected"]
    assert (entries[1].keepalive, entries[1].user, entries[1].protocol) == (60, "somebody", None)


def test_record_longer_than_the_buffer(tmp_path: Path) -> None:
    found = read(tmp_path, STORY_C2)
    assert any("tls.record_too_large" in hit.causes for hit in found.hits)
    assert all(hit.line != 5 for hit in found.codes), "5 received bytes are no code"


def test_identifier_as_text(tmp_path: Path) -> None:
    found = read(tmp_path, STORY_E)
    assert any("at_module.identifier_not_binary" in hit.causes for hit in found.hits)
    assert any("at_module.socket_refused" in hit.causes for hit in found.hits)
    entered = next(hit for hit in found.hits if "TLSCERT=Auth,40" in hit.text)
    assert (entered.stack, entered.line) == ("spwf04", 11)
