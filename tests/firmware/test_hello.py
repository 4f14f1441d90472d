"""The device's ClientHello, seen from the other end of the socket: a model citizen, and each defect visible."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.firmware.fw import Broker, Device
from tests.firmware.wire import Hello, tap

SNI, GROUPS, POINTS, SIGALGS, EMS, TICKET, PSK = 0, 10, 11, 13, 23, 35, 41
VERSIONS, COOKIE, PSK_MODES, KEY_SHARE, RENEGOTIATION = 43, 44, 45, 51, 0xFF01
TRUNCATED_HMAC, EARLY_DATA = 4, 42
SUITES12 = {0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8}
SUITES13 = {0x1301, 0x1302, 0x1303}
PSS = {0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B}
RSA = PSS | {0x0401, 0x0501, 0x0601}


def hello(dut: Device, **settings: object) -> Hello:
    with tap(None) as seen:
        run = dut.run(port=seen.port, script="connect", **settings)
        assert not run.ok
        assert run.one("done")["stage"] == "tls"
        return seen.hello()


def test_good_hello(dut: Device, stack: str) -> None:
    h = hello(dut)
    assert h.record_version in (0x0301, 0x0303)
    assert h.version == 0x0303
    suites = set(h.suites) - {0x00FF}
    assert suites == (SUITES12 | SUITES13 if stack == "wolfssl" else SUITES12)
    assert h.compression == b"\0"
    assert len(h.order) == len(set(h.order))
    assert h.sni == "broker.test"
    assert h.list16(GROUPS) == (23, 29, 24, 25)
    sigalgs = h.list16(SIGALGS)
    assert {0x0401, 0x0403, 0x0503} <= set(sigalgs)
    assert not [s for s in sigalgs if s >> 8 in (1, 2, 3)], "MD5, SHA-1 or SHA-224"
    assert EMS in h.extensions
    assert h.extensions[POINTS] == b"\x01\x00"
    assert h.extensions.get(RENEGOTIATION) == b"\0" or 0x00FF in h.suites
    assert not {TRUNCATED_HMAC, COOKIE, EARLY_DATA, PSK, TICKET} & set(h.extensions)
    assert 0x5600 not in h.suites
    if stack == "wolfssl":
        assert h.list16(VERSIONS, 1) == (0x0304, 0x0303)
        assert set(sigalgs) >= {0x0804, 0x0807}
        assert h.extensions[KEY_SHARE][2:6] == b"\x00\x17\x00\x41"
    else:
        assert VERSIONS not in h.extensions


def test_version_bounds(dut: Device, stack: str) -> None:
    h = hello(dut, tls_max="1.2")
    assert set(h.suites) - {0x00FF} == SUITES12
    assert VERSIONS not in h.extensions
    assert KEY_SHARE not in h.extensions
    if stack == "wolfssl":
        h = hello(dut, tls_min="1.3", tls_max="1.3")
        assert set(h.suites) == SUITES13
        assert h.list16(VERSIONS, 1) == (0x0304,)


def test_settings_show(dut: Device) -> None:
    h = hello(dut, tls_groups="secp384r1", tls_sigalgs="ecdsa_secp256r1_sha256,rsa_pkcs1_sha256")
    assert h.list16(GROUPS) == (24,)
    assert h.list16(SIGALGS) == (0x0403, 0x0401)
    suites = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    h = hello(dut, tls_suites=suites, tls_max="1.2", tls_groups="", tls_sigalgs="")
    assert [s for s in h.suites if s != 0x00FF] == [0xCCA8, 0xC02B]


def test_unknown_names_are_refused(dut: Device) -> None:
    for setting in ({"tls_groups": "secp999"}, {"tls_groups": "", "tls_sigalgs": "rsa_md5"}):
        with tap(None) as seen:
            run = dut.run(port=seen.port, script="connect", **setting)
            assert not run.ok
            assert not seen.client or not seen.client[0], "no hello at all"


def test_no_sni_for_an_address(dut: Device) -> None:
    assert SNI not in hello(dut, host="127.0.0.1").extensions


@pytest.mark.parametrize("defect", ["no_sni", "no_groups", "ecdsa_sigalgs_only", "no_rsa_pss"])
def test_defect_shows_and_nothing_else(dut: Device, stack: str, defect: str) -> None:
    if stack == "mbedtls" and defect == "no_rsa_pss":
        answer = dut.line("SET defect no_rsa_pss")
        assert answer.name == "err", "2.28 never offers it, so it cannot be switched off"
        return
    good = hello(dut)
    bad = hello(dut, defect=defect)
    missing = set(good.order) - set(bad.order)
    assert set(bad.order) <= set(good.order)
    assert bad.suites == good.suites
    assert missing == {"no_sni": {SNI}, "no_groups": {GROUPS}}.get(defect, set())
    left_out = set(good.list16(SIGALGS)) - set(bad.list16(SIGALGS))
    wanted = {"ecdsa_sigalgs_only": RSA, "no_rsa_pss": PSS}.get(defect, set())
    assert left_out == wanted & set(good.list16(SIGALGS))


def test_random_never_repeats(dut: Device) -> None:
    """The same seed twice in one boot, and no seed at all."""
    dut.set("seed", "ab" * 32)
    randoms = [hello(dut).random for _ in range(8)]
    dut.set("seed", "ab" * 32)
    randoms += [hello(dut).random for _ in range(4)]
    assert len({r[4:] for r in randoms}) == len(randoms)
    assert all(len({r[i : i + 8] for r in randoms}) == len(randoms) for i in (4, 12, 20))


def test_resumption_hello(dut: Device, brokers: dict[str, Broker], stack: str) -> None:
    """CH-12: psk_key_exchange_modes with pre_shared_key, which is last; no early data; each ticket is another one."""
    with tap(brokers["e13" if stack == "wolfssl" else "e12"].port) as seen:
        run = dut.run(port=seen.port, resume=1, script="connect;pub1;disconnect;repeat:3")
        assert run.ok, run.brief()
        hellos = [seen.hello(i) for i in range(3)]
    assert [e["resumed"] for e in run.all("tls", state="ok")] == ["0", "1", "1"]
    if stack == "wolfssl":
        assert [PSK in h.extensions for h in hellos] == [False, True, True]
        for h in hellos[1:]:
            assert h.order[-1] == PSK
            assert PSK_MODES in h.extensions
            assert EARLY_DATA not in h.extensions
        assert all(a.extensions[PSK] != b.extensions[PSK] for a, b in pairwise(hellos[1:]))
    else:
        assert [len(h.extensions[TICKET]) > 0 for h in hellos] == [False, True, True]


def test_no_fallback_after_refusal(dut: Device) -> None:
    """CH-21: the next hello has the same highest version."""
    with tap(None) as seen:
        dut.run(port=seen.port, script="connect", reconnect=2, backoff_base=10)
        hellos = [seen.hello(i) for i in range(len(seen.client))]
    assert len(hellos) == 3
    assert len({(h.version, h.extensions.get(VERSIONS), h.suites) for h in hellos}) == 1
