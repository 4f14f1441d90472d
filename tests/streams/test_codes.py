"""The code tables and the lookup: complete, consistent, and silent about ordinary numbers."""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path

import pytest

from harness import paths
from harness.diagnosis import code_tables, codes

FOLDER = Path(codes.__file__).parent / "codes"
TABLES = sorted(p for p in FOLDER.glob("*.toml") if p.stem not in ("families", "phrases", "openssl_ciphers"))
CAUSES = set()
for section, body in tomllib.loads(paths.CAUSES.read_text()).items():
    CAUSES |= {f"{section}.{name}" for name in body}


@pytest.mark.parametrize("path", TABLES, ids=lambda p: p.stem)
def test_table_is_sound(path: Path) -> None:
    raw = tomllib.loads(path.read_text())
    assert raw["family"] == path.stem
    assert raw["source"]
    assert path.stem in code_tables.families()
    seen: dict[tuple[int, str], str] = {}
    for row in raw["rows"]:
        code, name, meaning, causes = row[:4]
        versions = row[4] if len(row) > 4 else ""
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_ ./+-]*", name), name
        assert meaning and len(meaning) < 160
        assert set(causes) <= CAUSES, (name, set(causes) - CAUSES)
        assert re.fullmatch(r"(?:\d+(?:\.\d+)?\+?(?: |$))*", versions), (name, versions)
        for one in versions.split() or ["*"]:
            assert (code, one) not in seen, f"{code:#x} is {seen[(code, one)]} and {name} in {one}"
            seen[(code, one)] = name
        if versions:
            assert (code, "*") not in seen, name
        assert (code, "*") not in seen or not versions


def test_phrases_are_sound() -> None:
    known = code_tables.families().keys() | {""}
    for one in code_tables.phrases():
        assert one.phrase == one.phrase.lower()
        assert one.stack in known, one
        assert set(one.causes) <= CAUSES, one
        found = code_tables.lookup_phrase(f"xx {one.phrase.upper()} yy")
        assert found is not None and found.phrase in one.phrase, f"{one.phrase!r} is hidden by an earlier phrase"


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        ("netx", [*range(0x101, 0x155), *range(0x181, 0x1AB), *range(0x10001, 0x10013), *range(0x10080, 0x10086)]),
        ("bearssl", [n for n in range(64) if n not in (11, 30, 61, 63)]),
        ("mqtt5", [0, 1, 2, 4, 16, 17, 24, 25, *range(128, 163)]),
        ("connack", [0, 1, 2, 3, 4, 5, 128]),
        ("lwip", [*range(-16, 1), 256, 257]),
        ("wolfssl", [*range(-333, -300), -340, -343, -360, -397, -404, -457, -500, -501, -503, -505]),
        ("openssl_verify", list(range(80))),
    ],
)  # fmt: skip
def test_family_is_complete(family: str, wanted: list[int]) -> None:
    have = code_tables.table(family).rows
    assert [hex(n) for n in wanted if n not in have] == []


def test_mbedtls_ssl_and_x509_are_complete() -> None:
    have = code_tables.table("mbedtls").rows
    for code in (0x7080, 0x7100, 0x7200, 0x7280, 0x7780, 0x7880, 0x7F00, 0x6C00, 0x6D00, 0x5E80, 0x5D80,
                 0x2180, 0x2700, 0x3000, 0x1080, 0x3D00, 0x4E80, 0x4380, 0x0034, 0x003C, 0x0042, 0x004C, 0x0050, 0x0052,
                 0x0060, 0x0062):  # fmt: skip
        assert -code in have, hex(code)


def names(value: int, form: str, context: str, hint: str = "", version: str = "", **more: str) -> list[tuple[str, str]]:
    return [(one.stack, one.name) for one in codes.lookup(value, form, context, hint, version, **more)]


def test_one_number_two_versions() -> None:
    assert names(-0x7300, "neg_hex", "ret ", "mbedtls", "2.28.3") == [("mbedtls", "MBEDTLS_ERR_SSL_UNKNOWN_CIPHER")]
    assert names(-0x7300, "neg_hex", "ret ", "mbedtls", "3.6.2") == [("mbedtls", "MBEDTLS_ERR_SSL_DECODE_ERROR")]
    assert len(names(-0x7300, "neg_hex", "ret ", "mbedtls")) == 2


def test_combined_and_derived_codes() -> None:
    assert names(-0x2562, "neg_hex", "") == [
        ("mbedtls", "MBEDTLS_ERR_X509_INVALID_EXTENSIONS + MBEDTLS_ERR_ASN1_UNEXPECTED_TAG")
    ]
    assert names(-0x87, "neg_hex", "returned ", "mbedtls", "4.0", api="mbedtls_ssl_read") == [
        ("mbedtls", "PSA_ERROR_INVALID_ARGUMENT")
    ]
    flags = codes.lookup(0x09, "hex", "verify flags ", "mbedtls")[0]
    assert flags.name == "MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_NOT_TRUSTED"
    received = codes.lookup(256 + 48, "dec", "BearSSL error ", "bearssl")[0]
    assert (received.alert, received.stack) == (48, "bearssl")


@pytest.mark.parametrize(("code", "alert"), [(0x0A000418, 48), (0x0A000412, 42), (0x14094412, 42), (0x0A0000C1, None)])
def test_alert_inside_an_openssl_code(code: int, alert: int | None) -> None:
    assert codes.lookup(code, "openssl", "error:")[0].alert == alert


@pytest.mark.parametrize(
    ("value", "form", "context", "hint", "stack", "name"),
    [
        (65541, "dec", "nxd_mqtt_client_secure_connect error ", "", "netx", "NXD_MQTT_CONNECT_FAILURE"),
        (65541, "dec", "error ", "", "netx", "NXD_MQTT_CONNECT_FAILURE"),
        (0x10085, "hex", "", "", "netx", "NXD_MQTT_ERROR_NOT_AUTHORIZED"),
        (0x114, "hex", "ret=", "netx", "netx", "NX_SECURE_TLS_ALERT_RECEIVED"),
        (276, "dec", "ret=", "netx", "netx", "NX_SECURE_TLS_ALERT_RECEIVED"),
        (-29184, "neg_dec", "returned ", "", "mbedtls", "MBEDTLS_ERR_SSL_INVALID_RECORD"),
        (-313, "neg_dec", "error ", "", "wolfssl", "FATAL_ERROR"),
        (-188, "neg_dec", "err = ", "wolfssl", "wolfssl", "ASN_NO_SIGNER_E"),
        (-14, "neg_dec", "mqtt err: ", "lwip", "lwip", "ERR_RST"),
        (104, "dec", "errno ", "", "errno", "ECONNRESET"),
        (5, "dec", "rc=", "pubsubclient", "pubsubclient", "MQTT_CONNECT_UNAUTHORIZED"),
        (135, "connack", "CONNACK ", "", "mqtt5", "Not authorized"),
        (62, "verify", "verify error:num=", "", "openssl_verify", "X509_V_ERR_HOSTNAME_MISMATCH"),
    ],
)  # fmt: skip
def test_the_family_is_found(value: int, form: str, context: str, hint: str, stack: str, name: str) -> None:
    assert names(value, form, context, hint)[0] == (stack, name)


@pytest.mark.parametrize(
    ("value", "form", "context", "hint"),
    [
        (8883, "dec", "port ", "netx"), (1883, "dec", "rc ", "lwip"), (65541, "dec", "bytes: ", "netx"),
        (65541, "dec", "value = ", ""), (276, "hex", "length ", ""), (-67, "neg_dec", "RSSI: ", "wolfssl"),
        (-12, "neg_dec", "temp: ", "lwip"), (7, "dec", "free: ", "netx"), (5, "dec", "returned ", "mosquitto"),
        (66, "dec", "ssl->f_send() returned ", "mbedtls"), (1, "dec", "exit status ", "netx"),
        (40, "dec", "humidity ", "netx"),
        (0, "hex", "getSn_SR(0) returned ", "wiznet"), (0, "dec", "socket_connect: ", "wiznet"),
        (0x20001234, "hex", "error at ", "netx"), (2024, "dec", "year ", ""), (-40, "neg_dec", "rssi=", "netx"),
    ],
)  # fmt: skip
def test_ordinary_numbers_are_no_codes(value: int, form: str, context: str, hint: str) -> None:
    assert names(value, form, context, hint) == []


@pytest.mark.parametrize(
    ("symbol", "stack"),
    [
        ("NX_SECURE_TLS_ALERT_RECEIVED", "netx"), ("MBEDTLS_ERR_SSL_WANT_READ", "mbedtls"),
        ("ASN_NO_SIGNER_E", "wolfssl"),
        ("BR_ERR_X509_TIME_UNKNOWN", "bearssl"), ("TLSV1_ALERT_UNKNOWN_CA", "openssl"), ("ECONNREFUSED", "errno"),
        ("SOCKERR_TIMEOUT", "wiznet"), ("ERR_RST", "lwip"), ("MQTTBadResponse", "coremqtt"),
        ("PSA_ERROR_BAD_STATE", "psa"),
        ("WRONG_VERSION_NUMBER", "openssl"), ("KEY_VALUES_MISMATCH", "openssl_lib"), ("NO_START_LINE", "openssl_lib"),
    ],
)  # fmt: skip
def test_symbols_are_known(symbol: str, stack: str) -> None:
    found = codes.lookup_name(symbol)
    assert found is not None and found.stack == stack


@pytest.mark.parametrize(
    ("code", "name", "cause"),
    [
        (0x05800074, "X509_R_KEY_VALUES_MISMATCH", "client_key.mismatch"),
        (0x0B080074, "X509_R_KEY_VALUES_MISMATCH", "client_key.mismatch"),  # as 1.1 packed it
        (0x0480006C, "PEM_R_NO_START_LINE", "certificate.wrong_format"),
        (0x0909006C, "PEM_R_NO_START_LINE", "certificate.wrong_format"),
        (0x8000006F, "ECONNREFUSED", "network.refused"),
        (0x0A000102, "SSL_R_UNSUPPORTED_PROTOCOL", "tls.no_common_version"),
        (0x1408F10B, "SSL_R_WRONG_VERSION_NUMBER", "protocol.tls_on_plain_port"),
    ],
)
def test_openssl_s_other_libraries_and_the_old_packing(code: int, name: str, cause: str) -> None:
    found = codes.lookup(code, "openssl", "error:")
    assert [one.name for one in found] == [name]
    assert cause in found[0].causes


@pytest.mark.parametrize(
    ("value", "form", "context", "text", "stack", "name"),
    [
        (5, "dec", "Connected with result code ", "", "connack", "not authorized"),
        (4, "dec", "on_connect rc=", "", "connack", "bad user name or password"),
        (135, "dec", "received PUBACK (Mid: 1, RC:", "", "mqtt5", "Not authorized"),
        (128, "suback", "Subscribed (mid: 1): ", "", "connack", "SUBACK failure"),
        (0x2700, "hex", "Last tls stack error number: ", "", "mbedtls", "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED"),
        (113, "dec", "captured as transport's socket errno: ", "", "errno", "EHOSTUNREACH"),
        (-111, "neg_dec", "connect failed: ", "<err> net: connect failed: -111", "errno", "ECONNREFUSED"),
        (104, "dec", "ConnectionResetError: [Errno ", "", "errno", "ECONNRESET"),
        (40, "dec", "Description: Handshake Failure (", "Description: Handshake Failure (40)", "tls_alert",
         "handshake_failure"),
    ],
)  # fmt: skip
def test_sentences_that_settle_it(value: int, form: str, context: str, text: str, stack: str, name: str) -> None:
    assert names(value, form, context, text=text or f"{context}{value}")[0] == (stack, name)


@pytest.mark.parametrize(
    ("value", "form", "api", "first"),
    [
        (0x189, "hex", "nx_secure_tls_session_start", "server_certificate.unsupported"),
        (0x189, "hex", "nx_secure_x509_certificate_initialize", "certificate.wrong_format"),
        (-0x2180, "neg_hex", "mbedtls_ssl_handshake", "server_certificate.unsupported"),
        (-0x2180, "neg_hex", "mbedtls_x509_crt_parse", "certificate.wrong_format"),
        (-140, "neg_dec", "wolfSSL_connect", "server_certificate.unsupported"),
        (-140, "neg_dec", "wolfSSL_CTX_load_verify_buffer", "certificate.wrong_format"),
    ],
)
def test_what_does_not_parse_depends_on_when(value: int, form: str, api: str, first: str) -> None:
    assert codes.lookup(value, form, f"{api}: ", api=api)[0].causes[0] == first


def test_bytes_read_are_no_mbedtls_code() -> None:
    assert names(66, "dec", "mbedtls_ssl_read returned ", "mbedtls", api="mbedtls_ssl_read") == []
    assert names(0x42, "hex", "mbedtls_ssl_read returned ", "mbedtls", api="mbedtls_ssl_read") == []


def test_an_unknown_symbol_has_no_meaning() -> None:
    assert codes.lookup_name("NX_MADE_UP_NAME") is None


def test_tables_load_fast() -> None:
    """A bound far above the measured 20 ms: it only catches a table that made loading quadratic."""
    code_tables.table.cache_clear()
    start = time.perf_counter()
    for path in TABLES:
        code_tables.table(path.stem)
    assert time.perf_counter() - start < 1.0
