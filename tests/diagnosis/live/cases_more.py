"""What the other tables leave out: odd hellos, MQTT 5 limits, hung brokers, retries, lost records."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.diagnosis.live.bench import Stage
from tests.diagnosis.live.case import Case, Script
from tests.diagnosis.live.clients import gnutls, mbed, mosq, ossl, paho, sequence, wolf
from tests.diagnosis.live.hello import GROUPS, KEY_SHARE, SIGALGS, SNI, VERSIONS, parse
from tests.diagnosis.live.scripts import (
    DISCONNECT,
    Change,
    connect,
    flip,
    packet,
    proxied,
    publish,
    raw,
    subscribe,
    talk,
    tls_client,
    utf8,
)

T, S, C, M = "tls.", "server_certificate.", "client_certificate.", "mqtt."
USERS = ("allow_anonymous false", "password_file pw", "acl_file acl")
LOGIN = ("-u", "u1", "-P", "pw1")
MUTUAL = ("require_certificate true",)


def all_cases() -> Iterator[Case]:
    yield from hellos()
    yield from suites()
    yield from mqtt5()
    yield from brokers()
    yield from accepted()
    yield from path()


def hellos() -> Iterator[Case]:
    missing = (T + "missing_extension",)
    bad = (T + "malformed_message",)
    h12, h13 = parse("12"), parse("13")
    yield Case("hello-13-no-keyshare-raw", raw(h13.without(KEY_SHARE).record()), missing)
    yield Case("hello-13-no-groups-raw", raw(h13.without(GROUPS).record()), missing)
    yield Case("hello-13-no-sigalgs-raw", raw(h13.without(SIGALGS).record()), missing)
    yield Case("hello-13-bad-keyshare-raw", raw(h13.having(KEY_SHARE, bytes.fromhex("0008001d0004aabbccdd")).record()),
               (*bad, T + "no_common_group"))
    share = h13.having(GROUPS, bytes.fromhex("0002001d")).having(KEY_SHARE, bytes.fromhex("0024001700208" + "1" * 63))
    yield Case("hello-13-keyshare-not-in-groups-raw", raw(share.record()), (*bad, T + "no_common_group"),
               wire="probable")
    yield Case("hello-13-versions-empty-raw", raw(h13.having(VERSIONS, b"\x00").record()),
               (*bad, T + "no_common_version"))
    yield Case("hello-13-version-0305-raw", raw(h13.having(VERSIONS, b"\x02\x03\x05").record()),
               (T + "no_common_version",))
    yield Case("hello-12-no-groups-ec-raw", raw(h12.without(GROUPS).record()), server="s-p256", wire="probable",
               causes=(T + "ecc_not_initialised", T + "no_common_group", T + "closed_by_device"))
    yield Case("hello-12-no-sigalgs-ec-raw", raw(h12.without(SIGALGS).record()), server="s-p256", wire="probable",
               causes=(T + "no_common_signature_algorithm", T + "no_common_cipher_suite"))
    yield Case("hello-12-no-sigalgs-rsa-raw", raw(h12.without(SIGALGS).record()), wire="probable",
               causes=(T + "no_common_signature_algorithm", T + "no_common_cipher_suite"))
    yield Case("hello-12-no-suites-raw", raw(replace(h12, suites=()).record()),
               (*bad, T + "no_common_cipher_suite"), wire="probable")
    yield Case("hello-12-only-scsv-raw", raw(replace(h12, suites=(0xFF,)).record()), (T + "no_common_cipher_suite",))
    yield Case("hello-12-unknown-suites-raw", raw(replace(h12, suites=(0xABCD, 0xABCE)).record()),
               (T + "no_common_cipher_suite",), wire="probable")
    yield Case("hello-12-bad-sni-raw", raw(h12.having(SNI, b"\x00\x05\x00\x00\x09ab").record()), bad)
    yield Case("hello-12-duplicate-extension-raw", raw(replace(h12, extensions=(*h12.extensions, h12.extensions[0])
               ).record()), bad)
    yield Case("hello-12-long-session-raw", raw(replace(h12, session=bytes(40)).record()), bad)
    yield Case("hello-ssl3-raw", raw(replace(h12, version=0x0300).record()), (T + "no_common_version",))
    yield Case("hello-10-raw", raw(replace(h12, version=0x0301).record()), (T + "no_common_version",))
    yield Case("hello-12-fallback-raw", raw(replace(h12, suites=(*h12.suites, 0x5600)).record()),
               (T + "no_common_version",))
    yield Case("hello-heartbeat-first-raw", raw(b"\x18\x03\x03\x00\x08" + bytes(8)),
               (T + "unexpected_message", "protocol.not_tls", *bad))


def suites() -> Iterator[Case]:
    noshared = (T + "no_common_cipher_suite",)
    yield Case("cipher-anon-12-ossl", ossl("12", "-cipher", "ADH-AES128-SHA256:@SECLEVEL=0"), noshared, wire="probable")
    yield Case("cipher-null-12-ossl", ossl("12", "-cipher", "NULL-SHA256:@SECLEVEL=0"), noshared, wire="probable")
    yield Case("cipher-dheonly-12-ossl", ossl("12", "-cipher", "DHE-RSA-AES128-GCM-SHA256"))
    yield Case("cipher-static-rsa-12-ossl", ossl("12", "-cipher", "AES128-GCM-SHA256"))
    yield Case("cipher-cbc-12-ossl", ossl("12", "-cipher", "ECDHE-RSA-AES128-SHA"))
    yield Case("cipher-cbc-12-mbed", mbed(suite="TLS-RSA-WITH-AES-128-CBC-SHA"))
    yield Case("ok-alpn-13-ossl", ossl("13", "-alpn", "mqtt"))
    yield Case("ok-alpn-12-ossl", ossl("12", "-alpn", "mqtt"))
    yield Case("ok-p521-group-13-ossl", ossl("13", "-groups", "P-521"))
    yield Case("ok-p521-cert-13-ossl", ossl("13"), server="s-p521")
    yield Case("ok-p521-cert-12-ossl", ossl("12"), server="s-p521")
    yield Case("ccert-none-hrr-13-ossl", ossl("13", "-groups", "X25519:P-384"), (C + "missing",), conf=MUTUAL,
               openssl=("Groups = P-384",), wire="probable")
    yield Case("scert-expired-hrr-13-ossl", ossl("13", "-groups", "X25519:P-384"), (S + "expired",),
               openssl=("Groups = P-384",), server="s-expired", wire="no")
    yield Case("scert-expired-mtls-13-ossl", ossl("13", cert="d-good"), (S + "expired",), server="s-expired",
               conf=MUTUAL, wire="no")
    yield Case("scert-expired-mtls-12-wolf", wolf("12", cert="d-good"), (S + "expired",), server="s-expired",
               conf=MUTUAL)
    yield Case("ccert-expired-and-wrongca-12-ossl", ossl("12", cert="d-wrongca"), (C + "untrusted", C + "crl_missing"),
               conf=(*MUTUAL, "crlfile pki/rsa.crl"))
    yield Case("ver-minimum12-client-default-mosq", mosq(""), conf=("tls_version tlsv1.2",))
    yield Case("key-update-13-ossl", ossl("13", send=b"K\n" + b""), ("device.no_connect", M + "malformed_packet",
               "protocol.not_mqtt"), wire="no")


def mqtt5() -> Iterator[Case]:
    hello5 = connect(level=5)
    for v in ("12", "13", ""):
        name, plain = v or "plain", not v
        wire = "yes" if plain else "no"
        rows: tuple[tuple[str, tuple[bytes, ...], tuple[str, ...], tuple[str, ...]], ...] = (
            ("retain-unavailable", (hello5, packet(0x31, utf8("a/b") + b"\x00hi")), (M + "malformed_packet",
             M + "broker_closed"), ("retain_available false",)),
            ("maxqos", (hello5, publish(qos=2, v5=True)), (M + "malformed_packet", M + "broker_closed"),
             ("max_qos 1",)),
            ("topicalias", (hello5, packet(0x30, utf8("a/b") + b"\x03\x23\xff\xff" + b"hi")),
             (M + "malformed_packet",), ()),
            ("authmethod", (connect(level=5, properties=b"\x15\x00\x03abc"),), (M + "bad_credentials",), ()),
            ("zeroid", (connect("", level=5),), (M + "client_id_refused",), ("allow_zero_length_clientid false",)),
            ("reserved-type", (hello5, b"\x00\x00"), (M + "malformed_packet",), ()),
            ("sub-empty", (hello5, packet(0x82, b"\x00\x01\x00")), (M + "malformed_packet",), ()),
        )
        for case, steps, causes, conf in rows:
            yield Case(f"mqtt5-{case}-{name}-raw", talk(v, *steps), causes, conf=conf, plain=plain, wire=wire)  # type: ignore[arg-type]
        yield Case(f"mqtt-zeroid-v311-{name}-raw", talk(v, connect("")), (M + "client_id_refused",), plain=plain,
                   conf=("allow_zero_length_clientid false",), wire="yes" if plain else "probable")
        yield Case(f"mqtt-two-sessions-{name}-raw", sequence(*[talk(v, connect(f"c{i}"), publish(), DISCONNECT)
                   for i in range(2)]), plain=plain)
        yield Case(f"mqtt-sub-session-{name}-raw", talk(v, connect(), subscribe("a/#"), publish(qos=1), DISCONNECT),
                   plain=plain)
    for v in ("12", "13"):
        yield Case(f"ok-sub-{v}-mosq", mosq(v, program="mosquitto_sub"))
        yield Case(f"ok-will-{v}-mosq", mosq(v, "--will-topic", "a/w", "--will-payload", "x"))
        yield Case(f"ok-retain-v5-{v}-mosq", mosq(v, "-V", "mqttv5", "-r"))
        yield Case(f"ok-v31-{v}-mosq", mosq(v, "-V", "mqttv31"))


def _hung(stage: Stage) -> str:
    assert stage.broker is not None
    stage.broker.send_signal(signal.SIGSTOP)
    try:
        return raw(parse("12").record(), wait=6.0)(stage)
    finally:
        stage.broker.send_signal(signal.SIGCONT)


def _stopped_between(v: str) -> Script:
    """It worked; the broker goes; the next attempt finds nothing."""

    def run(stage: Stage) -> str:
        said = ossl(v)(stage)
        stage.signal(signal.SIGTERM)
        return said + mosq(v)(stage)

    return run


def brokers() -> Iterator[Case]:
    yield Case("broker-hung-raw", _hung, ("network.peer_silent",))
    yield Case("broker-stopped-between-12-mosq", _stopped_between("12"), ("network.refused",))
    yield Case("broker-nocert-13-mosq", mosq("13"), ("protocol.tls_on_plain_port",), server="")
    yield Case("tls-to-plain-gnutls", gnutls("13"), ("protocol.tls_on_plain_port",), plain=True)
    yield Case("tls-to-plain-retry-ossl", sequence(ossl("12"), ossl("13")), ("protocol.tls_on_plain_port",), plain=True)
    yield Case("auth-retry-12-mosq", sequence(*[mosq("12", "-u", "u1", "-P", "no")] * 3), (M + "bad_credentials",),
               conf=USERS, wire="probable")
    wrong = mosq("13", "-u", "u1", "-P", "no")
    yield Case("auth-bad-then-good-13-mosq", sequence(wrong, mosq("13", *LOGIN)), conf=USERS)
    yield Case("auth-good-then-bad-13-mosq", sequence(mosq("13", *LOGIN), wrong),
               (M + "bad_credentials",), conf=USERS, wire="probable")
    yield Case("ccert-none-retry-13-paho", sequence(*[paho("13")] * 3), (C + "missing",), conf=MUTUAL, wire="probable")
    yield Case("scert-expired-retry-13-wolf", sequence(*[wolf("13")] * 3), (S + "expired",), server="s-expired",
               wire="no")


def _verbose(v: str) -> Script:
    """s_client as people run it by hand: every line of what it prints."""

    def run(stage: Stage) -> str:
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{stage.port}", "-CAfile", "pki/ca-all.crt", "-state"]
        argv += ["-tls1_2" if v == "12" else "-tls1_3", "-verify_return_error", "-servername", "broker.test"]
        out, err = stage.run(*argv, send=connect())
        return out.decode(errors="replace") + err

    return run


def accepted() -> Iterator[Case]:
    untrusted = (S + "accepted_untrusted",)
    for name, server in (("unknownca", "s-unknown"), ("nochain", "s-nochain")):
        yield Case(f"noverify-{name}-12-ossl", ossl("12", verify=False), findings=untrusted, server=server)
        yield Case(f"noverify-{name}-13-ossl", ossl("13", verify=False), findings=untrusted, server=server)
        yield Case(f"noverify-{name}-12-gnutls", gnutls("12", verify=False), server=server)
    for v in ("12", "13"):
        wrong = (S + "accepted_wrong_name",)
        yield Case(f"insecure-wronghost-{v}-mosq", mosq(v, "--insecure"), findings=wrong, server="s-wronghost")
        yield Case(f"noname-wronghost-{v}-paho", paho(v, noname="1"), findings=wrong, server="s-wronghost")
        yield Case(f"noverify-expired-{v}-gnutls", gnutls(v, verify=False), findings=(S + "accepted_expired",),
                   server="s-expired") if v == "13" else Case("insecure-expired-12-mosq", mosq(v, "--insecure"),
                   (S + "expired",), server="s-expired")
        yield Case(f"insecure-good-{v}-mosq", mosq(v, "--insecure"))
        for name, server, causes in (
            ("expired", "s-expired", (S + "expired",)), ("unknownca", "s-unknown", (S + "untrusted",)),
            ("ok", "s-rsa2048", ()), ("ccert-none", "", (C + "missing",)),
        ):
            conf = () if server else MUTUAL
            yield Case(f"verbose-{name}-{v}-ossl", _verbose(v), causes, server=server or "s-rsa2048", conf=conf,
                       wire="no" if v == "13" else "yes")
    yield Case("noname-wronghost-12-mbed", mbed(noname="1", host=""), server="s-wronghost")


def _drop(direction: str, kind: int, number: int) -> tuple[str, Change]:
    """Loses one record."""
    _, change = flip(direction, kind, number, -1)

    def lose(record: bytes, index: int, content: int) -> bytes:
        return b"" if change(record, index, content) != record else record

    return direction, lose


def _twice(direction: str, kind: int, number: int) -> tuple[str, Change]:
    """Repeats one record."""
    _, change = flip(direction, kind, number, -1)

    def repeat(record: bytes, index: int, content: int) -> bytes:
        return record + record if change(record, index, content) != record else record

    return direction, repeat


def path() -> Iterator[Case]:
    steps = (connect(), publish(), DISCONNECT)
    broken = (T + "record_corrupt", T + "unexpected_message", T + "finished_mismatch", T + "malformed_message")
    for v, name, side, kind, number in (
        ("12", "client-appdata", "c", 23, 1), ("13", "client-appdata", "c", 23, 2), ("12", "client-cke", "c", 22, 2),
        ("12", "client-ccs", "c", 20, 1), ("13", "client-finished", "c", 23, 1),
    ):
        for how, change in (("drop", _drop), ("twice", _twice)):
            if (v, name, how) in (("13", "client-finished", "twice"), ("12", "client-appdata", "drop")):
                continue
            causes = broken if how == "twice" or name != "client-appdata" else (*broken, "device.no_connect")
            if (name, how) in (("client-cke", "drop"), ("client-ccs", "drop")):
                causes = broken
            yield Case(f"mitm-{how}-{name}-{v}", proxied(
                lambda s=side, k=kind, n=number, c=change: c(s, k, n), tls_client(v, *steps)), causes, wire="no")  # type: ignore[misc]
    for v in ("12", "13"):
        yield Case(f"mitm-flip-ccert-{v}", proxied(
            lambda k=22 if v == "12" else 23, n=2 if v == "12" else 1: flip("c", k, n, 300),  # type: ignore[misc]
            _mutual(v)), (*broken, C + "untrusted", "client_key.mismatch", C + "unsupported"), conf=MUTUAL,
            wire="probable" if v == "12" else "no")
    yield Case("mitm-flip-client-cv-12", proxied(lambda: flip("c", 22, 4, 60), _mutual("12")),
               (*broken, "client_key.mismatch"), conf=MUTUAL, wire="probable")
    yield Case("trunc-length-beyond-12", raw(b"\x16\x03\x01" + struct.pack(">H", 9000) + parse("12").record()[5:]),
               (T + "closed_by_device",), wire="probable")


def _mutual(v: str) -> Callable[[int], Script]:
    def at(port: int) -> Script:
        def run(stage: Stage) -> str:
            argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-no_ign_eof"]
            argv += ["-tls1_2" if v == "12" else "-tls1_3", "-CAfile", "pki/ca-all.crt"]
            stage.run(*argv, "-cert", "pki/d-good.crt", "-key", "pki/d-good.key", send=connect())
            return ""

        return run

    return at
