"""Every check: a hello or packet that is right passes, each single mutation is caught. One table row a mutation."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model import Cause
from harness.verdict.checks import REGISTRY, Finding, Vacuous
from harness.verdict.seen import ShimEvent
from tests.engine.samples import connected, event, hello, opened, seen

GOOD13: dict[str, Any] = {
    "versions": [0x0304, 0x0303], "suites": [0x1301, 0xC02B, 0xC02F, 0x00FF], "extensions": [0, 10, 13, 43, 45, 51],
    "groups": [29, 23], "key_shares": [29], "sigalgs": [0x0403, 0x0804, 0x0401], "legacy_version": "0303",
}  # fmt: skip


def results(name: str, events: list[dict[str, Any]], **changes: Any) -> list[Any]:
    return list(REGISTRY[name].run(seen(events, listener=None, **changes)))


def of_hello(name: str, **changes: Any) -> list[Any]:
    return results(name, [*opened(), hello(**changes)])


HELLO_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("legacy_versions", {"legacy_version": "0302"}, "must"),
    ("legacy_versions", {"record_version": "0200"}, "must"),
    ("legacy_versions", {"ssl2": True}, "must"),
    ("legacy_versions", GOOD13 | {"record_version": "0302"}, "must"),
    ("supported_versions", GOOD13 | {"versions": [0x0304, 0x0302]}, "must"),
    ("supported_versions", GOOD13 | {"versions": [0x0303]}, "must"),
    ("server_name", {"sni": None}, "should"),
    ("server_name", {"sni": "other.test"}, "must"),
    ("server_name_given", {"sni": None}, "must"),
    ("server_name", {"sni": "broker.hil.test."}, "must"),
    ("suites_current", {"suites": [0xC02F, 0x0005]}, "must"),  # RC4
    ("suites_current", {"suites": [0xC02F, 0x002F]}, "must"),  # static RSA
    ("suites_current", {"suites": [0xC02F, 0x0033]}, "must"),  # DHE
    ("suites_current", {"suites": [0xC02F, 0x0001]}, "must"),  # NULL
    ("suites_current", {"suites": [0xC02F, 0xC013]}, "should"),  # CBC without encrypt_then_mac
    ("sigalgs_fit_suites", {"sigalgs": [0x0403]}, "should"),
    ("sigalgs_fit_suites", GOOD13 | {"sigalgs": [0x0403]}, "must"),
    ("no_weak_sigalgs", {"sigalgs": [0x0401, 0x0201]}, "must"),
    ("no_weak_sigalgs", {"sigalgs": [0x0401, 0x0101]}, "must"),
    ("no_weak_sigalgs", GOOD13 | {"versions": [0x0304], "sigalgs": [0x0403, 0x0201]}, "should"),
    ("no_weak_sigalgs", GOOD13 | {"versions": [0x0304], "sigalgs": [0x0201, 0x0403]}, "must"),
    ("null_compression", {"compression": [1]}, "must"),
    ("null_compression", {"compression": [0, 1]}, "should"),
    ("null_compression", GOOD13 | {"compression": [0, 1]}, "must"),
    ("session_id", GOOD13 | {"session_id": "aabb"}, "must"),
    ("first_hello_clean", {"cookie": True}, "must"),
    ("first_hello_clean", {"fallback_scsv": True}, "must"),
    ("first_hello_clean", {"padding_nonzero": True}, "must"),
    ("renegotiation_info", {"reneg_info": False}, "must"),
    ("extended_master_secret", {"ems": False}, "must"),
    ("forward_secret_first", {"suites": [0x009C, 0xC02F]}, "should"),
    ("forward_secret_first", {"suites": [0xC013]}, "should"),
    ("no_truncated_hmac", {"extensions": [0, 4]}, "must"),
    ("alpn_as_configured", {"alpn": ["mqtt"]}, "must"),
    ("alpn_as_configured", {"alpn": [""]}, "must"),
    ("mandatory_extensions_13", GOOD13 | {"extensions": [0, 10, 43, 51]}, "must"),
    ("mandatory_extensions_13", GOOD13 | {"extensions": [0, 13, 43, 51]}, "must"),
    ("mandatory_extensions_13", GOOD13 | {"extensions": [0, 10, 13, 43]}, "must"),
    ("mandatory_extensions_13", GOOD13 | {"extensions": [41, 10, 13, 43, 51]}, "must"),
    ("no_duplicate_extensions", {"extensions": [0, 10, 10]}, "must"),
    ("groups_current", {"groups": [23, 19]}, "must"),
    ("groups_current", GOOD13 | {"groups": [29, 24]}, "must"),
    ("groups_current", GOOD13 | {"key_shares": [24]}, "must"),
    ("groups_current", GOOD13 | {"key_shares": [23, 29]}, "must"),
    ("groups_current", GOOD13 | {"key_shares": [29, 29]}, "must"),
    ("psk_modes", GOOD13 | {"psk": True, "psk_modes": []}, "must"),
    ("point_formats", {"point_formats": [1]}, "must"),
    ("point_formats", {"point_formats": [0, 1]}, "must"),
    ("point_formats", {"suites": [0x009C]}, "must"),
    ("groups_with_ecc", {"extensions": [0, 13]}, "should"),
    ("sigalgs_present", {"extensions": [0, 10]}, "must"),
    ("rsa_pss_offered", GOOD13 | {"sigalgs": [0x0403]}, "must"),
]


@pytest.mark.parametrize(("name", "changes", "level"), HELLO_CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_wrong_hello_is_caught(name: str, changes: dict[str, Any], level: str) -> None:
    found = [r for r in of_hello(name, **changes) if isinstance(r, Finding)]
    assert [f.level for f in found if f.level == level], found


@pytest.mark.parametrize("name", sorted({case[0] for case in HELLO_CASES}))
@pytest.mark.parametrize("good", [{}, GOOD13], ids=["1.2", "1.3"])
def test_a_right_hello_is_not_accused(name: str, good: dict[str, Any]) -> None:
    from tests.engine.samples import target

    on = target() if good else target(capabilities=("tls1.2",))
    found = results(name, [*opened(), hello(**good)], on=on)
    assert [f for f in found if isinstance(f, Finding) and f.level != "may"] == []


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_no_check_is_satisfied_by_nothing(name: str) -> None:
    """With no event at all every check says so: vacuous or a miss, never silence."""
    assert results(name, []) or name in ("finished_both_ways",), name


def test_grease_is_ignored() -> None:
    assert results("suites_current", [*opened(), hello(suites=[0x0A0A, 0xC02F])]) == []


def test_random_is_compared_over_fifty_hellos() -> None:
    fresh = [hello(n + 1.0, conn=n + 1, random=f"{n:064x}"[::-1] + "") for n in range(50)]
    spread = [e | {"random": f"{hash(str(n)) & (2**255 - 1):064x}"} for n, e in enumerate(fresh)]
    assert results("fresh_random", spread) == []
    assert isinstance(results("fresh_random", spread[:49])[0], Vacuous)
    twice = [*spread[:-1], spread[-1] | {"random": spread[0]["random"]}]
    assert any(isinstance(r, Finding) for r in results("fresh_random", twice))
    constant = [e | {"random": "00" * 32} for e in spread]
    assert any("constant" in r.text for r in results("fresh_random", constant) if isinstance(r, Finding))


def test_no_fallback_after_a_refusal() -> None:
    from tests.engine.samples import alert

    same = [hello(0.1, **GOOD13), alert(0.2, "server", 40), hello(1.1, conn=2, **GOOD13)]
    assert results("no_fallback", same) == []
    lower = [hello(0.1, **GOOD13), alert(0.2, "server", 70), hello(1.1, conn=2)]
    assert any(isinstance(r, Finding) for r in results("no_fallback", lower))


def packet(kind: str, t: float = 1.0, side: str = "c", **fields: Any) -> dict[str, Any]:
    return event("mqtt", t, side=side, type=kind, **({"len": 2, "flags": 0} | fields))


CONNECT = packet("CONNECT", 0.3, len=20, protocol="MQTT", level=4, clean=True, client_id="d", keepalive=5)
CONNACK = packet("CONNACK", 0.4, "s", code=0)
PUBLISH = packet("PUBLISH", 0.5, topic="hil/device", qos=0, dup=False, payload_len=5)
PUBLISH1 = PUBLISH | {"qos": 1, "id": 1}
PUBACK = packet("PUBACK", 0.6, "s", id=1)
SUBSCRIBE = packet("SUBSCRIBE", 0.6, flags=2, id=1, filters=[{"topic": "a/+/#", "qos": 1}])
UNSUBSCRIBE = packet("UNSUBSCRIBE", 0.7, flags=2, id=2, filters=["a/b"])
DISCONNECT = packet("DISCONNECT", 1.0)
FIN = event("fin", 1.1, side="c")
START = event("open", 0.0)
SET = {"mqtt.topic": "hil/device", "mqtt.payload": "hello"}

MQTT_CASES: list[tuple[str, list[dict[str, Any]], dict[str, str], str]] = [
    ("connect_first_and_once", [START, PUBLISH], {}, "must"),
    ("connect_first_and_once", [START, CONNECT, CONNACK, CONNECT | {"t": 10**9}], {}, "must"),
    ("connect_first_and_once", [START, CONNECT | {"t": 31 * 10**9}], {}, "must"),
    ("connect_well_formed", [CONNECT | {"level": 5}], {}, "must"),
    ("connect_well_formed", [CONNECT | {"flags": 1}], {}, "must"),
    ("connect_well_formed", [CONNECT | {"malformed": "length"}], {}, "must"),
    ("connect_well_formed", [CONNECT | {"statements": [{"id": "M-1", "text": "x", "level": "must"}]}], {}, "must"),
    ("connect_flags", [CONNECT | {"password_len": 3}], {}, "must"),
    ("connect_flags", [CONNECT], {"mqtt.username": "u"}, "must"),
    ("connect_flags", [CONNECT], {"mqtt.will": "a,1,0,x"}, "must"),
    ("connect_flags", [CONNECT | {"will": {"topic": "a", "qos": 0, "retain": 0}}], {"mqtt.will": "a,1,0,x"}, "must"),
    ("client_id_stable", [CONNECT, CONNECT | {"client_id": "e"}], {}, "must"),
    ("client_id_stable", [CONNECT, CONNECT | {"client_id": "", "clean": False}], {}, "must"),
    ("strings_clean", [CONNECT | {"client_id": "a\x00"}], {}, "must"),
    ("strings_clean", [PUBLISH | {"topic": "a\x07"}], {}, "should"),
    ("publish_qos0", [CONNACK, PUBLISH | {"dup": True}], SET, "must"),
    ("publish_qos0", [CONNACK, PUBLISH | {"id": 3}], SET, "must"),
    ("publish_qos0", [CONNACK, PUBLISH | {"topic": "a/#"}], SET, "must"),
    ("publish_qos0", [CONNACK, PUBLISH | {"topic": "b"}], SET, "advice"),
    ("publish_qos1", [PUBLISH1 | {"id": 0}, PUBACK], {}, "must"),
    ("publish_qos1", [PUBLISH1, PUBLISH1, PUBACK], {}, "must"),
    ("publish_qos1", [PUBLISH1, PUBACK, PUBLISH1 | {"dup": True}], {}, "must"),
    ("subscribe_well_formed", [SUBSCRIBE | {"flags": 0}, UNSUBSCRIBE], {}, "must"),
    ("subscribe_well_formed", [SUBSCRIBE | {"id": 0}, UNSUBSCRIBE], {}, "must"),
    ("subscribe_well_formed", [SUBSCRIBE, UNSUBSCRIBE | {"filters": ["a#"]}], {}, "must"),
    ("subscribe_well_formed", [SUBSCRIBE, UNSUBSCRIBE | {"filters": []}], {}, "must"),
    ("keep_alive_kept", [CONNECT, packet("PINGREQ", 6.5), packet("PINGREQ", 11.0)], {"mqtt.keepalive": "5"}, "must"),
    ("keep_alive_kept", [CONNECT, packet("PINGREQ", 5.0, len=3), packet("PINGREQ", 10.0), packet("PINGREQ", 15.0)],
     {"mqtt.keepalive": "5"}, "must"),
    ("disconnect_clean", [CONNACK, DISCONNECT | {"len": 3}, FIN], {}, "must"),
    ("disconnect_clean", [CONNACK, DISCONNECT, PUBLISH | {"t": 1_050_000_000}, FIN], {}, "must"),
    ("disconnect_clean", [CONNACK, DISCONNECT], {}, "must"),
    ("disconnect_clean", [CONNACK, DISCONNECT, FIN | {"t": 6_100_000_000}], {}, "must"),
    ("disconnect_clean", [CONNACK, PUBLISH, FIN], {}, "should"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "events", "settings", "level"), MQTT_CASES)
def test_wrong_mqtt_is_caught(name: str, events: list[dict[str, Any]], settings: dict[str, str], level: str) -> None:
    found = [r for r in results(name, events, settings=settings) if isinstance(r, Finding)]
    assert [f for f in found if f.level == level], found


GOOD_MQTT: list[tuple[str, list[dict[str, Any]], dict[str, str]]] = [
    ("connect_first_and_once", connected(), {}),
    ("connect_well_formed", [CONNECT], {}),
    ("connect_flags", [CONNECT | {"username": "u", "password_len": 1, "will": {"topic": "a", "qos": 1, "retain": 1}}],
     {"mqtt.username": "u", "mqtt.password": "p", "mqtt.will": "a,1,1,x"}),
    ("client_id_stable", [CONNECT, CONNECT], {}),
    ("strings_clean", [CONNECT, PUBLISH, SUBSCRIBE], {}),
    ("publish_qos0", [CONNACK, PUBLISH], SET),
    ("publish_qos1", [PUBLISH1, PUBACK, PUBLISH1 | {"id": 2}, PUBACK | {"id": 2}], {}),
    ("subscribe_well_formed", [SUBSCRIBE, UNSUBSCRIBE], {}),
    ("keep_alive_kept", [CONNECT, packet("PINGREQ", 5.0), packet("PINGREQ", 10.0), packet("DISCONNECT", 15.0)],
     {"mqtt.keepalive": "5"}),
    ("disconnect_clean", [CONNACK, DISCONNECT, FIN], {}),
    ("disconnect_clean", [CONNACK, DISCONNECT, event("rst", 1.05, side="s")], {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "events", "settings"), GOOD_MQTT)
def test_right_mqtt_is_not_accused(name: str, events: list[dict[str, Any]], settings: dict[str, str]) -> None:
    assert results(name, events, settings=settings) == []


KEEP = {"mqtt.keepalive": "5"}


def test_silence_until_the_broker_closes_is_a_missed_keep_alive() -> None:
    found = results("keep_alive_kept", [CONNECT, event("rst", 8.0, side="s")], settings=KEEP)
    (miss,) = (r for r in found if isinstance(r, Finding))
    assert (miss.level, miss.cause, len(miss.evidence)) == ("must", "mqtt.keepalive_timeout", 2)
    gated = Cause(id="device.read_gated_on_socket", side="device", confidence="probable")
    found = results("keep_alive_kept", [CONNECT, event("fin", 9.0, side="c")], settings=KEEP, causes=(gated,))
    assert [r.cause for r in found if isinstance(r, Finding)] == [""]  # it waited for what it never read


def test_a_session_that_ended_early_for_another_reason_missed_no_keep_alive() -> None:
    for end in ([event("fin", 0.6, side="c")], [packet("DISCONNECT", 4.0), event("fin", 4.1, side="c")], []):
        assert all(isinstance(r, Vacuous) for r in results("keep_alive_kept", [CONNECT, *end], settings=KEEP))


def test_packets_in_time_without_a_ping_blame_no_time_out() -> None:
    sent = [CONNECT, *(packet("PUBLISH", 4.0 * n, topic="a", qos=0) for n in range(1, 4))]
    (miss,) = results("keep_alive_kept", sent, settings=KEEP)
    assert (miss.text, miss.cause, len(miss.evidence)) == ("no PINGREQ while idle", "", 2)


def test_a_forbidden_topic_must_be_refused_by_the_api() -> None:
    refused = ShimEvent("step", {"name": "badtopic:610062", "rc": "-3"})
    taken = ShimEvent("step", {"name": "badtopic:610062", "rc": "0"})
    assert results("bad_topics_refused", [CONNECT], shim=(refused,), settings=SET) == []
    assert any(isinstance(r, Finding) for r in results("bad_topics_refused", [CONNECT], shim=(taken,), settings=SET))
    sent = [CONNECT, PUBLISH | {"topic": "a"}]
    assert any(isinstance(r, Finding) for r in results("bad_topics_refused", sent, shim=(refused,), settings=SET))


@pytest.mark.parametrize(
    ("times", "storm"), [((0, 1.0, 3.0, 7.0), ""), ((0, 0.1, 0.2, 0.3), "device.retry_storm"), ((0, 2, 4, 6), "grow")]
)
def test_back_off(times: tuple[float, ...], storm: str) -> None:
    found = results("backs_off", [event("open", t, conn=n) for n, t in enumerate(times)])
    if not storm:
        assert found == []
    else:
        assert any(storm == r.cause or storm in r.text for r in found)
        assert all(r.evidence for r in found if r.cause)
