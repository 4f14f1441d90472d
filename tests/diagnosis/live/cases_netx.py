"""NetX Duo as the reference describes it, played by a script: its ClientHello, its alert, and what it prints.

The captures of the real stack are in tests/data/field-captures; these are the rows of its table that are not.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from tests.diagnosis.live.bench import Stage
from tests.diagnosis.live.case import Case, Script, Wire
from tests.diagnosis.live.hello import GROUPS, KEY_SHARE, SIGALGS, VERSIONS, Hello
from tests.diagnosis.live.scripts import connect, receive

S, T = "server_certificate.", "tls."
SUITES = (0xC02B, 0xC02F, 0xC023, 0xC027, 0x009C, 0x003D, 0x003C)
CURVES = b"\x00\x06\x00\x17\x00\x18\x00\x19"
SCHEMES12 = bytes.fromhex("0014" + "0403050306030401050106010303020302010101")
SCHEMES13 = bytes.fromhex("000e" + "0403050306030401050106010303")
P256 = bytes.fromhex(  # the generator of P-256: a point that every server takes
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


def hello(v: str, ecc: bool = True) -> bytes:
    """Its ClientHello; without nx_secure_tls_ecc_initialize the extensions 10 and 11 are missing."""
    curves = ((GROUPS, CURVES), (11, b"\x01\x00")) if ecc else ()
    if v == "12":
        extensions = (*curves, (0xFF01, b"\x00"), (SIGALGS, SCHEMES12))
        return Hello(0x0303, os.urandom(32), b"", SUITES, b"\x00", extensions).record()
    share = struct.pack(">HHH", 4 + len(P256), 23, len(P256)) + P256
    extensions = (*curves, (VERSIONS, b"\x02\x03\x04"), (KEY_SHARE, share), (SIGALGS, SCHEMES13))
    return Hello(0x0303, os.urandom(32), b"", (0x1301, 0x1304, 0x1305, *SUITES), b"\x00", extensions).record()


def printed(start: int | None, end: int = 0x10005, quiet: bool = False) -> str:
    lines = [
        "[SYS ] NetX Duo 6.4.2 firmware build=n12, IP 10.77.0.2",
        "[APP ] connecting to 10.77.0.1:8883 (tls)",
        "[MQTT] nxd_mqtt_client_create: 0x00000000",
        "[TLS ] nx_secure_tls_session_create: 0x00000000",
        "[TLS ] CA nx_secure_x509_certificate_initialize: 0x00000000",
        "[TLS ] nx_secure_tls_trusted_certificate_add: 0x00000000",
    ]
    if start is not None and not quiet:
        lines.append(f"[TLS ] nx_secure_tls_session_start: 0x{start:08X}")
    lines += [f"[MQTT] nxd_mqtt_client_secure_connect: 0x{end:08X}", "[APP ] MQTT test FAILED"]
    return "".join(f"[   0.001] {line}\n" for line in lines)


def netx(v: str, start: int, alert: int = 0, ecc: bool = True, quiet: bool = False) -> Script:
    """Sends the ClientHello, reads the flight, answers with its alert in clear (TLS 1.2) and closes."""

    def run(stage: Stage) -> str:
        with socket.create_connection(("127.0.0.1", stage.port), 3) as sock:
            sock.sendall(hello(v, ecc))
            receive(sock, 1.0)
            receive(sock, 0.05)
            if alert:
                sock.sendall(bytes([21, 3, 3, 0, 2, 2, alert]))
                receive(sock, 0.3)
        return printed(start, quiet=quiet)

    return run


def _no_hello(stage: Stage) -> str:
    with socket.create_connection(("127.0.0.1", stage.port), 3):
        pass
    return printed(0x43)


def _plain(stage: Stage) -> str:
    with socket.create_connection(("127.0.0.1", stage.port), 3) as sock:
        sock.sendall(connect())
        receive(sock, 0.5)
    return "[   0.002] [MQTT] nxd_mqtt_client_connect: 0x00010007\n[   0.002] [APP ] MQTT test FAILED\n"


def all_cases() -> Iterator[Case]:
    rows: tuple[tuple[str, str, int, int, tuple[str, ...], Wire], ...] = (
        ("expired", "s-expired", 0x193, 45, (S + "expired",), "yes"),
        ("future", "s-future", 0x194, 45, (S + "not_yet_valid", "device.clock_unset"), "probable"),
        ("clock", "s-rsa2048", 0x194, 45, ("device.clock_unset",), "probable"),
        ("wrongca-root-sent", "s-rsa2048", 0x11A, 46, (S + "untrusted",), "probable"),
        ("wrongca-leaf-only", "s-unknown", 0x11B, 48, (S + "untrusted", S + "chain_incomplete"), "yes"),
        ("nochain", "s-nochain", 0x11B, 48, (S + "chain_incomplete", S + "untrusted"), "yes"),
        ("staleca", "s-twin", 0x18D, 42, (S + "bad_signature", S + "untrusted"), "probable"),
        ("hostname", "s-wronghost", 0x195, 80, (S + "name_mismatch",), "probable"),
        ("certbuffer", "s-rsa2048", 0x12D, 80, ("device.buffer_too_small", S + "too_large"), "no"),
    )
    for quiet in (False, True):
        tag = "-quiet" if quiet else ""
        for name, server, start, alert, causes, wire in rows:
            vague = (T + "device_internal_error",) if quiet and name == "certbuffer" else ()
            yield Case(f"netx-{name}{tag}-12-script", netx("12", start, alert, quiet=quiet), (*causes, *vague),
                       server=server, wire=wire)
        yield Case(f"netx-noecc{tag}-12-script", netx("12", 0x114, ecc=False, quiet=quiet),
                   (T + "ecc_not_initialised",), server="s-p256", wire="yes")
        yield Case(f"netx-aes256only{tag}-12-script", netx("12", 0x114, quiet=quiet), (T + "no_common_cipher_suite",),
                   conf=("ciphers ECDHE-RSA-AES256-GCM-SHA384",), wire="probable")
        yield Case(f"netx-x25519only{tag}-13-script", netx("13", 0x114, quiet=quiet), (T + "no_common_group",),
                   openssl=("Groups = X25519",), server="s-p256", wire="probable")
        yield Case(f"netx-rsacert{tag}-13-script", netx("13", 0x114, quiet=quiet),
                   (T + "no_common_signature_algorithm",), wire="probable")
        yield Case(f"netx-12only{tag}-13-script", netx("13", 0x114, quiet=quiet), (T + "no_common_version",),
                   openssl=("MaxProtocol = TLSv1.2",))
        yield Case(f"netx-13only{tag}-12-script", netx("12", 0x114, quiet=quiet), (T + "no_common_version",),
                   conf=("tls_version tlsv1.3",))
    yield Case("netx-noecc-13-script", _no_hello, (T + "ecc_not_initialised",), wire="no")
    yield Case("netx-metadata-small-script", lambda stage: printed(0x4D, 0x4D), ("device.buffer_too_small",), wire="no")
    yield Case("netx-pkcs8-key-script", lambda stage: printed(None, 0x18A), ("client_key.wrong_format",), wire="no")
    yield Case("netx-plain-to-tls-script", _plain, ("protocol.plain_mqtt_on_tls_port",))
    yield Case("netx-tls-to-plain-12-script", netx("12", 0x38), ("protocol.tls_on_plain_port",), plain=True)
