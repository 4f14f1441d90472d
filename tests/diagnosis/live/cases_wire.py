"""Cases below and beside the handshake's agreement: malformed, changed and cut bytes, plain against TLS, no broker."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.diagnosis.live import scripts
from tests.diagnosis.live.bench import Stage
from tests.diagnosis.live.case import Case, Script, Wire
from tests.diagnosis.live.clients import mbed, mosq, ossl, paho, sequence, wolf
from tests.diagnosis.live.scripts import (
    DISCONNECT,
    after_flight,
    connect,
    flip,
    fragments,
    hello_bytes,
    proxied,
    publish,
    raw,
    silence,
    tls_client,
)

T = "tls."
CLOSED = ("tls.closed_by_device",)
CORRUPT = ("tls.record_corrupt", "tls.finished_mismatch", "server_certificate.bad_signature")


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return struct.pack(">BHH", kind, version, len(body)) + body


def handshake(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def all_cases() -> Iterator[Case]:
    yield from malformed()
    yield from mixed_up()
    yield from cut()
    yield from changed()
    yield from resumed()


def malformed() -> Iterator[Case]:
    unexpected = (T + "unexpected_message",)
    bad = (T + "malformed_message",)
    hello = hello_bytes("12")
    body = hello[5:]
    yield Case("mal-ccs-first", raw(record(20, b"\x01")), unexpected)
    yield Case("mal-appdata-first", raw(record(23, b"\x00" * 40)), unexpected)
    yield Case("mal-alert-first", raw(record(21, b"\x02\x28")), (*unexpected, *CLOSED, T + "device_internal_error",
               T + "malformed_message"))
    yield Case("mal-finished-first", raw(record(22, handshake(20, b"\x00" * 12))), unexpected)
    yield Case("mal-serverhello-first", raw(record(22, handshake(2, body[4:]))), unexpected)
    yield Case("mal-hs-type-99", raw(record(22, handshake(99, b"\x00" * 20))), (*unexpected, *bad))
    yield Case("mal-hs-badlen", raw(record(22, b"\x01" + (len(body) - 4 + 0).to_bytes(3, "big") + body[4:40] +
               b"\xff" * (len(body) - 40))), bad)
    yield Case("mal-ch-short", raw(record(22, handshake(1, body[4:30]))), bad)
    yield Case("mal-record-type-99", raw(record(99, b"\x00" * 20)), (*unexpected, *bad, "protocol.not_tls"))
    yield Case("mal-record-0707", raw(record(22, body, 0x0707)), (T + "no_common_version", "protocol.not_tls", *bad))
    yield Case("mal-record-toolong", raw(record(22, b"\x01" * 18000)), (T + "record_too_large", *bad))
    yield Case("mal-record-empty", raw(record(22, b"") + hello, wait=0.3), CLOSED, wire="probable")
    yield Case("mal-sslv2", raw(bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0") +
               bytes(16)), (T + "no_common_version", "protocol.not_tls", *bad))
    yield Case("mal-ch-twice", raw(hello + hello, wait=0.4), (*unexpected, *CLOSED), wire="probable")
    yield Case("mal-ch-then-appdata", raw(hello + record(23, b"\x00" * 40)), (*unexpected, *CLOSED), wire="probable")
    yield Case("mal-ch-trailing", raw(record(22, handshake(1, body[4:] + b"\x00" * 7))), bad)
    yield Case("mal-ch-legacy-0299", raw(record(22, handshake(1, b"\x02\x99" + body[6:]))),
               (T + "no_common_version", *bad))
    yield Case("mal-ch-compression", raw(record(22, handshake(1, _compression(body)))), (*bad, T + "closed_by_device"),
               wire="probable")
    yield Case("mal-garbage", raw(bytes(range(1, 120))), ("protocol.not_tls", *bad))
    yield Case("mal-zeroes", raw(bytes(64)), ("protocol.not_tls", *bad))
    yield Case("ok-ch-recordfragmented50-12", raw(fragments(hello, 50)), CLOSED)
    yield Case("ok-ch-recordfragmented1-12", raw(fragments(hello, 1)), CLOSED, wire="probable")


def _compression(body: bytes) -> bytes:
    """The ClientHello's body without the null compression method."""
    at = 4 + 2 + 32
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    return body[4:at] + b"\x01\x01" + body[at + 2 :]


def mixed_up() -> Iterator[Case]:
    plain_on_tls = ("protocol.plain_mqtt_on_tls_port",)
    tls_on_plain = ("protocol.tls_on_plain_port",)
    yield Case("plain-to-tls-raw", raw(connect()), plain_on_tls)
    yield Case("plain-to-tls-v5-raw", raw(connect(level=5)), plain_on_tls)
    yield Case("plain-to-tls-paho", paho_plain(), plain_on_tls)
    yield Case("http-to-tls-raw", raw(b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"), ("protocol.not_tls",))
    yield Case("ssh-to-tls-raw", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), ("protocol.not_tls",))
    yield Case("tls-to-plain-ossl12", ossl("12"), tls_on_plain, plain=True)
    yield Case("tls-to-plain-ossl13", ossl("13"), tls_on_plain, plain=True)
    yield Case("tls-to-plain-mosq", mosq("13"), tls_on_plain, plain=True)
    yield Case("tls-to-plain-paho", paho("13"), tls_on_plain, plain=True)
    yield Case("tls-to-plain-mbed", mbed(), tls_on_plain, plain=True)
    yield Case("tls-to-plain-wolf", wolf("13"), tls_on_plain, plain=True)
    yield Case("http-to-plain-raw", raw(b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
               ("protocol.not_mqtt", "mqtt.malformed_packet", "protocol.not_tls"), plain=True, wire="probable")
    yield Case("broker-nocert", ossl("12"), tls_on_plain, server="")
    yield Case("broker-badcipher", mosq("12"), ("network.refused", T + "broker_misconfigured"),
               conf=("ciphers NOSUCH",), starts=False)
    yield Case("broker-keymismatch", mosq("12"), ("network.refused", T + "broker_misconfigured"), server="",
               conf=("certfile pki/s-rsa2048.crt", "keyfile pki/s-p256.key"), starts=False)
    yield Case("broker-missingkey", ossl("13"), ("network.refused", T + "broker_misconfigured"), server="",
               conf=("certfile pki/s-rsa2048.crt", "keyfile pki/none.key"), starts=False)
    yield Case("broker-missingca", mosq("13"), ("network.refused", T + "broker_misconfigured"),
               conf=("crlfile pki/none.crl",), starts=False)
    yield Case("broker-badconf", mosq("13"), ("network.refused", T + "broker_misconfigured"),
               conf=("no_such_option true",), starts=False)
    yield Case("mosq-8883-means-tls", mosq("", ca=""), ("server_certificate.untrusted",), wire="probable")
    yield Case("race-log-ch-before-accept", ossl("12", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"),
               (T + "no_common_cipher_suite",), conf=("ciphers ECDHE-RSA-AES256-GCM-SHA384",), wire="probable")
    yield Case("race-log-ch-after-accept", sequence(_late_hello), (T + "no_common_cipher_suite",),
               conf=("ciphers ECDHE-ECDSA-AES256-GCM-SHA384",), wire="probable")


def _late_hello(stage: Stage) -> str:
    """The ClientHello well after the broker accepted."""
    import socket

    with socket.create_connection(("127.0.0.1", stage.port), 3) as sock:
        stage.wait_log("New connection", 1.0)
        sock.sendall(hello_bytes("12"))
        scripts.receive(sock)
    return ""


def paho_plain() -> Script:
    def run(stage: Stage) -> str:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="p1")
        lines: list[str] = []
        client.on_disconnect = lambda *a: lines.append(f"disconnected {a[3]}")
        try:
            client.connect("127.0.0.1", stage.port, 60)
        except OSError as error:
            return f"connect: {error}\n"
        for _ in range(10):
            if client.loop(0.05) or lines:
                break
        return "".join(f"{line}\n" for line in lines)

    return run


def cut() -> Iterator[Case]:
    hello12, hello13 = hello_bytes("12"), hello_bytes("13")
    yield Case("trunc-partial-ch-fin-12", raw(hello12[:60]), CLOSED)
    yield Case("trunc-partial-ch-fin-13", raw(hello13[:100]), CLOSED)
    yield Case("trunc-partial-ch-rst-12", raw(hello12[:60], reset=True), CLOSED)
    yield Case("trunc-ch-fin-12", raw(hello12, half=True), CLOSED, wire="probable")
    yield Case("trunc-ch-fin-13", raw(hello13, half=True), CLOSED, wire="probable")
    for v in ("12", "13"):
        yield Case(f"trunc-after-serverflight-fin-{v}", after_flight(v, reset=False), CLOSED)
        yield Case(f"trunc-after-serverflight-rst-{v}", after_flight(v, reset=True), (*CLOSED, "network.reset"))
    yield Case("trunc-partial-ch-silence", silence(1.5, hello12[:60]), (*CLOSED, "device.hang"), wire="probable")
    yield Case("trunc-ch-silence", silence(1.5, hello12), (*CLOSED, "device.hang"), wire="probable")
    yield Case("trunc-tcp-open-fin", raw(b"", wait=0), (*CLOSED, "network.reset"))
    yield Case("trunc-tcp-open-rst", raw(b"", wait=0.1, reset=True), (*CLOSED, "network.reset"))
    yield Case("trunc-tcp-open-silence", silence(1.5), (*CLOSED, "device.hang", "network.peer_silent"), wire="probable")
    for v in ("12", "13"):
        yield Case(f"noconnect-fin-{v}-raw", scripts.talk(v, wait=0), ("device.no_connect",), wire="no")


def changed() -> Iterator[Case]:
    """One bit changes on the way. Content types: 20 ChangeCipherSpec, 22 handshake, 23 application data."""
    rows: tuple[tuple[str, str, tuple[str, int, int, int], Wire], ...] = (
        ("ch-random", "12", ("c", 22, 1, 15), "probable"),
        ("ch-random", "13", ("c", 22, 1, 15), "probable"),
        ("sh-random", "12", ("s", 22, 1, 15), "probable"),
        ("sh-random", "13", ("s", 22, 1, 15), "no"),
        ("server-cert", "12", ("s", 22, 2, 700), "probable"),
        ("server-ske", "12", ("s", 22, 3, 80), "probable"),
        ("client-cke", "12", ("c", 22, 2, 30), "probable"),
        ("client-finished", "12", ("c", 22, 3, -3), "yes"),
        ("client-finished", "13", ("c", 23, 1, -3), "no"),
        ("server-finished", "12", ("s", 22, 6, -3), "probable"),
        # the client's reset may overtake its alert before the proxy has passed it on
        ("server-ee", "13", ("s", 23, 1, -3), "no"),
        ("server-cert", "13", ("s", 23, 2, 100), "no"),
        ("server-finished", "13", ("s", 23, 4, -3), "no"),
        ("client-appdata", "12", ("c", 23, 1, -3), "no"),
        ("client-appdata", "13", ("c", 23, 2, -3), "no"),
        ("server-appdata", "12", ("s", 23, 1, -3), "no"),
        ("server-appdata", "13", ("s", 23, 7, -3), "no"),
    )
    for name, v, (side, kind, number, at), wire in rows:
        steps = (connect(), publish(), DISCONNECT)
        yield Case(
            f"mitm-flip-{name}-{v}",
            proxied(lambda s=side, k=kind, n=number, a=at: flip(s, k, n, a), tls_client(v, *steps)),  # type: ignore[misc]
            CORRUPT if name in ("ch-random", "sh-random", "server-cert", "server-ske") else ("tls.record_corrupt",
            "tls.finished_mismatch"),
            wire=wire,
        )
    for v in ("12", "13"):
        none = ("c", 99, 1, 0)
        yield Case(f"mitm-none-{v}", proxied(lambda n=none: flip(*n), tls_client(v, connect(), DISCONNECT)))  # type: ignore[misc]


def resumed() -> Iterator[Case]:
    for v in ("12", "13"):
        first, second = ossl(v, "-sess_out", "session.pem"), ossl(v, "-sess_in", "session.pem")
        yield Case(f"resume-{v}-ossl", sequence(first, second))
        mutual = ("require_certificate true",)
        yield Case(f"resume-mtls-{v}-ossl", sequence(
            ossl(v, "-sess_out", "session.pem", cert="d-good"), ossl(v, "-sess_in", "session.pem", cert="d-good")),
            conf=mutual)
    yield Case("retry-refused-12-ossl", sequence(*[ossl("12", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")] * 3),
               (T + "no_common_cipher_suite", T + "no_common_signature_algorithm"), wire="probable")
    yield Case("retry-then-ok-12-mosq", sequence(ossl("12", ca="pki/ca-other.crt"), ossl("12")),
               ())
