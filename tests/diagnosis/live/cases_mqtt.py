"""Cases in MQTT: credentials, access, limits, sessions, and packets that break the standard."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Iterator

from tests.diagnosis.live.bench import Stage
from tests.diagnosis.live.case import Case, Script, Wire
from tests.diagnosis.live.clients import mosq, ossl, paho, wolf
from tests.diagnosis.live.scripts import (
    DISCONNECT,
    PING,
    connect,
    opened,
    packet,
    publish,
    receive,
    subscribe,
    talk,
    utf8,
)

M = "mqtt."
BAD = (M + "malformed_packet",)
WRONG = {"user": "u1", "password": "no"}
USERS = ("allow_anonymous false", "password_file pw")


def all_cases() -> Iterator[Case]:
    yield from credentials()
    yield from access()
    yield from broken()
    yield from sessions()


def credentials() -> Iterator[Case]:
    refused = (M + "bad_credentials", M + "not_authorised")
    p: Wire = "probable"
    for v in ("12", "13"):
        for name, user in (("wrongpw", ("-u", "u1", "-P", "no")), ("unknownuser", ("-u", "u9", "-P", "pw1")),
                           ("none", ())):
            for level in ("311", "5"):
                version = ("-V", "mqttv5") if level == "5" else ()
                yield Case(f"auth-{name}-v{level}-{v}-mosq", mosq(v, *user, *version), refused[:1], conf=USERS, wire=p)
        yield Case(f"auth-good-{v}-mosq", mosq(v, "-u", "u1", "-P", "pw1"), conf=USERS)
        yield Case(f"auth-wrongpw-{v}-paho", paho(v, **WRONG), refused[:1], conf=USERS, wire=p)
        # this client says goodbye as if it had been let in
        yield Case(f"auth-none-{v}-wolf", wolf(v), refused[:1], conf=USERS, wire="no" if v == "12" else p)
        yield Case(f"auth-none-{v}-ossl", ossl(v), refused[:1], conf=USERS, wire=p)
    identity = ("use_identity_as_username true",)
    for v in ("12", "13"):
        yield Case(f"identity-nocert-optional-{v}-ossl", ossl(v), (*refused[:1], "client_certificate.missing"),
                   conf=identity, wire=p)
        yield Case(f"identity-cert-{v}-ossl", ossl(v, cert="d-good"), conf=(*identity, "require_certificate true"))
        yield Case(f"identity-nocert-{v}-ossl", ossl(v), ("client_certificate.missing",),
                   conf=(*identity, "require_certificate true"), wire="yes" if v == "12" else p)
    yield Case("auth-wrongpw-plain-mosq", mosq("", "-u", "u1", "-P", "no", ca=""), refused[:1], conf=USERS, plain=True)
    yield Case("auth-none-plain-v5-mosq", mosq("", "-V", "mqttv5", ca=""), refused[:1], conf=USERS, plain=True)
    yield Case("ok-plain-mosq", mosq("", ca=""), plain=True)
    yield Case("ok-plain-v5-mosq", mosq("", "-V", "mqttv5", ca=""), plain=True)


def access() -> Iterator[Case]:
    denied = (M + "not_authorised",)
    conf = (*USERS, "acl_file acl")
    login = ("-u", "u1", "-P", "pw1")
    for v in ("12", "13"):
        for level in ("311", "5"):
            more = (*login, "-V", "mqttv5") if level == "5" else login
            for qos in (0, 1, 2):
                yield Case(f"acl-pubdenied-qos{qos}-v{level}-{v}-mosq", mosq(v, *more, topic="ro/x", qos=qos), denied,
                           conf=conf, wire="no")
            yield Case(f"acl-ok-v{level}-{v}-mosq", mosq(v, *more), conf=conf)
    yield Case("acl-pubdenied-plain-v5-mosq", mosq("", *login, "-V", "mqttv5", topic="ro/x", ca=""), denied, conf=conf,
               plain=True)


def tls_or_plain(
    name: str, steps: tuple[bytes, ...], causes: tuple[str, ...], conf: tuple[str, ...] = ()
) -> Iterator[Case]:
    for v in ("12", "13"):
        yield Case(f"mqtt-{name}-{v}-raw", talk(v, *steps), causes, wire="no", conf=conf)
    yield Case(f"mqtt-{name}-plain-raw", talk("", *steps), causes, plain=True, conf=conf)


def broken() -> Iterator[Case]:
    hello, hello5 = connect(), connect(level=5)
    big = b"x" * 2000
    yield from tls_or_plain("bad-utf8-id", (connect(b"\xff\xfe\x00"),), BAD)
    yield from tls_or_plain("badproto-name", (connect(protocol="MQTX"),), (*BAD, M + "protocol_version_refused"))
    yield from tls_or_plain("badproto-version6", (connect(level=6),), (M + "protocol_version_refused",))
    yield from tls_or_plain("mqisdp-level3", (connect(protocol="MQIsdp", level=3), DISCONNECT), ())
    yield from tls_or_plain("emptyid-nocleansession", (connect("", flags=0),), (M + "client_id_refused",))
    yield from tls_or_plain("emptyid-clean", (connect("", flags=2), DISCONNECT), ())
    yield from tls_or_plain("pkt-type-0", (hello, b"\x00\x00"), BAD)
    yield from tls_or_plain("pkt-type-15-v311", (hello, b"\xf0\x00"), BAD)
    yield from tls_or_plain("publish-first", (publish(),), (*BAD, "device.no_connect"))
    yield from tls_or_plain("connect-twice", (hello, hello), BAD)
    yield from tls_or_plain("reserved-flag", (connect(flags=3),), BAD)
    yield from tls_or_plain("password-nouser", (connect(flags=0x42, more=utf8("pw")),), BAD)
    yield from tls_or_plain("will-qos3", (connect(flags=0x1E, more=utf8("w") + utf8("x")),), BAD)
    yield from tls_or_plain("pub-qos3", (hello, publish(qos=3)), BAD)
    yield from tls_or_plain("pub-wildcard", (hello, publish("a/#")), BAD)
    yield from tls_or_plain("pub-emptytopic", (hello, publish("")), BAD)
    yield from tls_or_plain("pub-mid0", (hello, publish(qos=1, mid=0)), BAD)
    yield from tls_or_plain("pub-badutf8", (hello, publish(b"a\xff\xfe")), BAD)
    yield from tls_or_plain("sub-flags0", (hello, subscribe("a/b", first=0x80)), BAD)
    yield from tls_or_plain("sub-badfilter", (hello, subscribe("a/#/b")), BAD)
    yield from tls_or_plain("sub-nofilter", (hello, packet(0x82, b"\x00\x01")), BAD)
    yield from tls_or_plain("badlength", (hello, b"\x30\xff\xff\xff\xff\x7f"), BAD)
    yield from tls_or_plain("connect-short", (packet(0x10, utf8("MQTT") + b"\x04"),), BAD)
    yield from tls_or_plain("v5-badproperty", (connect(level=5, properties=b"\x7f\x01"),), BAD)
    yield from tls_or_plain("oversize-v311", (hello, publish(payload=big)), (M + "packet_too_large",),
                            conf=("max_packet_size 1000",))
    yield from tls_or_plain("oversize-v5", (hello5, publish(payload=big, v5=True)), (M + "packet_too_large",),
                            conf=("max_packet_size 1000",))
    yield from tls_or_plain("ok-raw", (hello, publish(qos=1), PING, DISCONNECT), ())
    yield from tls_or_plain("ok-v5-raw", (hello5, publish(qos=1, v5=True), PING, DISCONNECT), ())
    yield from tls_or_plain("ok-sub", (hello, subscribe("a/b"), PING, DISCONNECT), ())
    for v in ("12", "13"):
        yield Case(f"notmqtt-http-{v}-raw", talk(v, b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
                   ("protocol.not_mqtt", *BAD), wire="no")
        yield Case(f"notmqtt-text-{v}-raw", talk(v, b"hello\n"), ("protocol.not_mqtt", *BAD), wire="no")


def _hold(v: str, then: str, keepalive: int = 60, level: int = 4) -> Script:
    """A session that is good, and then something else ends it."""

    def run(stage: Stage) -> str:
        with opened(stage, v) as sock:
            sock.sendall(connect(keepalive=keepalive, level=level))
            receive(sock, 1.0)
            if then == "duplicate":
                with opened(stage, v) as other:
                    other.sendall(connect(keepalive=keepalive, level=level))
                    receive(other, 1.0)
                    receive(sock, 1.0)
                    other.sendall(DISCONNECT)
            elif then == "keepalive":
                receive(sock, 8.0)
            elif then == "SIGTERM":
                stage.signal(signal.SIGTERM)
                receive(sock, 1.0)
            elif then == "SIGKILL":
                stage.signal(signal.SIGKILL)
                receive(sock, 1.0)
            elif then == "fin":
                receive(sock, 0.1)
        return ""

    return run


def _crowd(v: str) -> Script:
    """One more than max_connections lets in."""

    def run(stage: Stage) -> str:
        with opened(stage, v) as sock:
            sock.sendall(connect())
            receive(sock, 1.0)
            try:
                with opened(stage, v) as other:
                    other.sendall(connect("cli-2"))
                    receive(other, 1.0)
            except OSError as error:
                return f"connect: {error}\n"
            finally:
                sock.sendall(DISCONNECT)
        return ""

    return run


def _linger(stage: Stage) -> str:
    """A device that is reset in the middle of a good session."""
    with opened(stage, "12") as sock:
        sock.sendall(connect())
        receive(sock, 1.0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return ""


def sessions() -> Iterator[Case]:
    closed: tuple[str, ...] = (M + "broker_closed",)
    for v, name, plain in (("12", "12", False), ("13", "13", False), ("", "plain", True)):
        no: Wire = "probable" if plain else "no"
        for level in (4, 5):
            tag = f"v{'5' if level == 5 else '311'}-{name}-raw"
            yield Case(f"mqtt-duplicate-clientid-{tag}", _hold(v, "duplicate", level=level),
                       (M + "session_taken_over",), plain=plain, wire="yes" if plain else "probable")
            if level == 4 or name == "13":
                yield Case(f"mqtt-keepalive-timeout-{tag}", _hold(v, "keepalive", 2, level), (M + "keepalive_timeout",),
                           plain=plain, wire=no)
            yield Case(f"mqtt-brokerstop-{tag}", _hold(v, "SIGTERM", level=level), closed, plain=plain, wire=no)
        yield Case(f"mqtt-brokerkill-{name}-raw", _hold(v, "SIGKILL"), (*closed, "network.reset"), plain=plain, wire=no)
        yield Case(f"mqtt-clientfin-{name}-raw", _hold(v, "fin"), (), plain=plain)
        yield Case(f"mqtt-maxconn-{name}-raw", _crowd(v), (M + "server_unavailable", "tls.closed_by_broker",
                   M + "closed_without_connack", "network.reset"), conf=("max_connections 1",), plain=plain,
                   wire="probable")
