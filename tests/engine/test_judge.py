"""The judge's rules, each with both of its branches, on synthetic events."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from harness.scenario import Branch, Met
from harness.target import Known
from harness.verdict.judge import graded, judge, with_fixes, with_known
from harness.verdict.seen import DeviceEnd
from tests.engine.samples import (
    FAILED,
    OK,
    alert,
    cause,
    connected,
    event,
    hello,
    item,
    opened,
    refused,
    scenario,
    seen,
)

UNKNOWN_CA = ("server_certificate.untrusted",)
MET: tuple[Met, ...] = ("server_certificate",)
NAMED = Branch(outcome="reject", alerts=(48,), tolerated=(42,), rule="named", met=MET, cause=UNKNOWN_CA)
LISTED = Branch(outcome="reject", alerts=(48, 42), rule="listed", met=MET, cause=UNKNOWN_CA)


def test_connect_passes_and_says_so() -> None:
    ruling = judge(seen(connected()))
    assert (ruling.verdict, ruling.why) == ("pass", "connected, CONNACK 0, the script ended well")


def test_connect_without_connack_fails_with_the_cause() -> None:
    ruling = judge(seen(refused(), end=FAILED, causes=(cause("server_certificate.untrusted"),)))
    assert ruling.verdict == "fail"
    assert [c.id for c in ruling.causes] == ["server_certificate.untrusted"]


def test_connected_but_script_failed() -> None:
    ruling = judge(seen(connected(), end=DeviceEnd("done", "failed", "mqtt", "-1")))
    assert ruling.verdict == "fail" and "`mqtt`" in ruling.why


@pytest.mark.parametrize(
    ("branch", "code", "tls13", "verdict"),
    [
        (NAMED, 48, False, "pass"),
        (NAMED, 42, False, "pass"),  # tolerated, with a note
        (NAMED, 80, False, "fail"),  # 7.2.2: this one is to be sent
        (NAMED, None, False, "fail"),  # 1.2: the alert must be sent
        (NAMED, None, True, "warn"),  # 1.3 (6.2): if any is sent
        (NAMED, 80, True, "fail"),
        (LISTED, 42, False, "pass"),
        (LISTED, 80, False, "warn"),
        (LISTED, None, False, "warn"),
    ],
)
def test_alert_rules(branch: Branch, code: int | None, tls13: bool, verdict: str) -> None:
    events = refused(code)
    if tls13:
        events = [e | ({"version": "0304"} if e["ev"] == "server_hello" else {}) for e in events]
    ruling = judge(seen(events, plan_item=item(fits=branch), end=FAILED, causes=(cause(*UNKNOWN_CA),)))
    assert ruling.verdict == verdict, ruling
    if code == 42 and branch is NAMED:
        assert any("tolerated" in note for note in ruling.notes)


def test_close_notify_is_no_answer_to_a_bad_certificate() -> None:
    ruling = judge(seen(refused(0), plan_item=item(fits=NAMED), end=FAILED, causes=(cause(*UNKNOWN_CA),)))
    assert ruling.verdict == "fail" and "without an alert" in ruling.why


def test_unreadable_alert_is_inconclusive() -> None:
    events = [*refused(None), event("sealed", 0.35, side="c", type=23, phase="handshake")]
    ruling = judge(seen(events, plan_item=item(fits=NAMED), end=FAILED, causes=(cause(*UNKNOWN_CA),)))
    assert ruling.verdict == "warn" and "inconclusive" in ruling.why


def test_broker_log_settles_an_unreadable_alert() -> None:
    events = [*refused(None), event("sealed", 0.35, side="c", type=23, phase="handshake")]
    told = seen(events, plan_item=item(fits=NAMED), end=FAILED, causes=(cause(*UNKNOWN_CA),), broker_alerts=(48,))
    assert judge(told).verdict == "pass"


def test_reject_that_connects_fails_and_names_what_was_accepted() -> None:
    ruling = judge(seen(connected(), plan_item=item(fits=NAMED)))
    assert ruling.verdict == "fail"
    assert ruling.causes[0].id == "server_certificate.accepted_untrusted"


def test_reject_with_mqtt_bytes_fails() -> None:
    events = [*refused(48), event("mqtt", 0.4, side="c", type="CONNECT", len=20)]
    ruling = judge(seen(events, plan_item=item(fits=NAMED), end=FAILED, causes=(cause(*UNKNOWN_CA),)))
    assert ruling.verdict == "fail" and "CONNECT" in ruling.why


def test_connect_may_precede_the_brokers_alert_in_tls13() -> None:
    branch = Branch(outcome="reject", alerts=(116,), sender="broker", met=("client_hello",), connect_may_precede=True,
                    cause=("client_certificate.missing",))  # fmt: skip
    events = [*refused(None, closes=None), event("mqtt", 0.4, side="c", type="CONNECT", len=20),
              alert(0.5, "server", 116), event("fin", 0.6, side="c")]  # fmt: skip
    told = seen(events, plan_item=item(fits=branch), end=FAILED, causes=(cause("client_certificate.missing"),))
    assert judge(told).verdict == "pass"


@pytest.mark.parametrize(("closes", "verdict"), [(0.5, "pass"), (5.1, "pass"), (5.6, "fail"), (None, "fail")])
def test_the_device_closes_in_bounded_time(closes: float | None, verdict: str) -> None:
    events = refused(48, closes=closes)
    ruling = judge(seen(events, plan_item=item(fits=NAMED), end=FAILED, causes=(cause(*UNKNOWN_CA),)))
    assert ruling.verdict == verdict


def test_a_reset_of_the_broker_ends_the_socket() -> None:
    events = [*refused(48, closes=None), event("rst", 0.4, side="s")]
    ruling = judge(seen(events, plan_item=item(fits=NAMED), end=FAILED, causes=(cause(*UNKNOWN_CA),)))
    assert ruling.verdict == "pass"


def test_reporting_success_after_a_refusal_fails() -> None:
    ruling = judge(seen(refused(48), plan_item=item(fits=NAMED), end=OK, causes=(cause(*UNKNOWN_CA),)))
    assert ruling.verdict == "fail" and "success" in ruling.why


# -- fits or not --


def test_unfit_default_is_refused_by_the_broker() -> None:
    events = [*opened(), hello(suites=[0xC02B]), alert(0.2, "server", 40), event("fin", 0.3, side="c")]
    ruling = judge(seen(events, end=FAILED, causes=(cause("tls.no_common_cipher_suite", "either"),)))
    assert ruling.verdict == "pass"


def test_unfit_that_connects_is_the_benchs_fault() -> None:
    events = [e | ({"suites": [0xC02B]} if e["ev"] == "client_hello" else {}) for e in connected()]
    ruling = judge(seen(events))
    assert ruling.verdict == "lab" and "profile" in ruling.why


@pytest.mark.parametrize(("outcome", "verdict"), [("fail", "fail"), ("skip", "skip")])
def test_unfit_may_be_the_failure_or_not_apply(outcome: Any, verdict: str) -> None:
    events = [*opened(), hello(suites=[0xC02B]), alert(0.2, "server", 40), event("fin", 0.3, side="c")]
    told = seen(events, plan_item=item(unfit=Branch(outcome=outcome)), end=FAILED,
                causes=(cause("tls.no_common_cipher_suite"),))  # fmt: skip
    ruling = judge(told)
    assert ruling.verdict == verdict and "cipher suites" in ruling.why


def test_unfit_demands_the_dimension_that_failed_as_cause() -> None:
    events = [*opened(), hello(suites=[0xC02B]), alert(0.2, "server", 40), event("fin", 0.3, side="c")]
    ruling = judge(seen(events, end=FAILED, causes=(cause("tls.no_common_group"),)))
    assert ruling.verdict == "warn" and "tls.no_common_cipher_suite" in ruling.why


# -- nothing may pass because nothing happened --


def test_nothing_connected_is_no_pass() -> None:
    for branch in (Branch(), NAMED, Branch(outcome="any", met=("client_hello",))):
        ruling = judge(seen([], plan_item=item(scenario(checks=("legacy_versions",)), fits=branch), end=FAILED))
        assert ruling.verdict in ("fail", "skip"), (branch, ruling)


def test_no_client_hello_fails() -> None:
    branch = Branch(outcome="any", met=("client_hello",))
    ruling = judge(seen(opened(), plan_item=item(scenario(checks=("legacy_versions",)), fits=branch), end=FAILED))
    assert ruling.verdict == "fail" and "ClientHello" in ruling.why


def test_stimulus_never_met_is_vacuous() -> None:
    events = [*opened(), hello(), event("fin", 0.3, side="s"), event("fin", 0.4, side="c")]
    ruling = judge(seen(events, plan_item=item(fits=NAMED), end=FAILED))
    assert ruling.verdict == "skip" and "vacuous" in ruling.why


def test_stimulus_prevented_by_the_device_fails() -> None:
    events = [*opened(), hello(), event("fin", 0.4, side="c")]
    ruling = judge(seen(events, plan_item=item(fits=NAMED), end=FAILED, causes=(cause("device.buffer_too_small"),)))
    assert ruling.verdict == "fail"
    assert ruling.causes[0].id == "device.buffer_too_small"


def test_vacuous_check_of_a_passive_row_is_a_skip() -> None:
    row = scenario(via="PA", checks=("psk_modes",))
    branch = Branch(outcome="any", met=("client_hello",))
    ruling = judge(seen(connected(), plan_item=item(row, fits=branch)))
    assert ruling.verdict == "skip" and "vacuous" in ruling.why


# -- the device collapses, the bench fails --


@pytest.mark.parametrize("level", ["must", "advice"])
@pytest.mark.parametrize("kind", ["hang", "late", "fault", "reset", "silent", "gone"])
def test_a_collapse_fails(kind: Any, level: str) -> None:
    end = DeviceEnd(kind, detail="x")
    ruling = judge(seen(connected(), plan_item=item(scenario(level=level)), end=end, causes=(cause("device.hang"),)))
    assert ruling.verdict == "fail" and ruling.causes[0].id == "device.hang"


def test_lab_causes_are_never_the_devices() -> None:
    ruling = judge(seen(refused(), end=FAILED, causes=(cause("lab.broker_failed", "lab"),)))
    assert ruling.verdict == "lab"


def test_uart_flood_warns() -> None:
    assert judge(seen(connected(), foreign_lines=1001)).verdict == "warn"
    assert judge(seen(connected(), foreign_lines=1000)).verdict == "pass"


# -- levels --


@pytest.mark.parametrize(
    ("level", "cap", "verdict"),
    [("must", "must", "fail"), ("should", "must", "warn"), ("advice", "must", "warn"), ("may", "must", "pass"),
     ("must", "should", "warn"), ("must", "advice", "warn"), ("must", "may", "pass")],
)  # fmt: skip
def test_levels(level: str, cap: str, verdict: str) -> None:
    assert graded(level, cap) == verdict


def test_an_advice_row_warns_at_most() -> None:
    ruling = judge(seen(refused(), plan_item=item(scenario(level="advice")), end=FAILED))
    assert ruling.verdict == "warn"


def test_a_cause_without_a_remedy_gets_one_in_the_words_of_the_stack() -> None:
    own = msgspec.structs.replace(cause("tls.sni_missing"), fix="my own words")
    bare = msgspec.structs.replace(cause("tls.sni_missing"), fix="")
    kept, netx = with_fixes([own, bare], "netx-6.4.2")
    assert kept.fix == "my own words" and "nx_secure_tls_session_sni_extension_set" in netx.fix
    (generic,) = with_fixes([bare], "")
    assert generic.fix and generic.fix != netx.fix


# -- known and fixed --

ENTRY = Known(scenario="X-1", cause="tls.sni_missing", reason="next release", until=dt.date(2026, 12, 31))


@pytest.mark.parametrize(
    ("verdict", "causes", "today", "expected"),
    [
        ("fail", ["tls.sni_missing"], dt.date(2026, 12, 31), "known"),
        ("fail", ["tls.sni_missing"], dt.date(2027, 1, 1), "fail"),
        ("fail", ["device.hang"], dt.date(2026, 12, 1), "fail"),
        ("pass", [], dt.date(2026, 12, 1), "fixed"),
        ("lab", [], dt.date(2026, 12, 1), "lab"),
        ("skip", [], dt.date(2026, 12, 1), "skip"),
    ],
)
def test_known_failures(verdict: Any, causes: list[str], today: dt.date, expected: str) -> None:
    name, _ = with_known(verdict, [cause(c) for c in causes], "X-1[r12]", (ENTRY,), today)
    assert name == expected


def test_other_scenarios_are_not_touched_by_a_known_entry() -> None:
    assert with_known("fail", [cause("tls.sni_missing")], "X-2[r12]", (ENTRY,), dt.date(2026, 1, 1))[0] == "fail"


def test_a_row_for_another_kind_of_device_says_why_it_does_not_apply() -> None:
    other = item(fits=Branch(outcome="skip"))
    assert "the row is about one that does not" in judge(seen(connected(), plan_item=other)).why
    silent = judge(seen(opened(), plan_item=other, end=FAILED))
    assert (silent.verdict, "sent no ClientHello" in silent.why) == ("skip", True)
    unfit = item(unfit=Branch(outcome="skip"))
    assert "nothing in common" in judge(seen([*opened(), hello(suites=[0x1234])], plan_item=unfit)).why


def test_a_refusal_for_another_reason_is_said_so() -> None:
    row = item(fits=Branch(outcome="reject", met=MET, cause=UNKNOWN_CA))
    ruling = judge(seen(refused(), plan_item=row, end=FAILED, causes=(cause("device.clock_unset"),)))
    assert ruling.verdict == "warn"
    assert ruling.why == f"it ended for another reason than the row's: device.clock_unset, not {UNKNOWN_CA[0]}"
    none = judge(seen(refused(), plan_item=row, end=FAILED))
    assert none.why == "no cause could be named; the row is about server_certificate.untrusted"


def test_the_cause_of_a_check_has_its_side_its_evidence_and_no_more_certainty_than_it_may() -> None:
    row = scenario(checks=("client_chain_complete",))
    leaf = event("certificate", 0.25, side="c", count=1, chain=[{"issuer": "CN=CA", "self_signed": False}])
    ruling = judge(seen([*connected()[:5], leaf, *connected()[5:]], plan_item=item(row)))
    (found,) = ruling.causes
    assert (found.id, found.side, found.confidence) == ("client_certificate.untrusted", "either", "possible")
    assert found.evidence


def test_a_flood_shows_how_much() -> None:
    (flood,) = judge(seen(connected(), foreign_lines=5000)).causes
    assert flood.evidence == ("uart: 5000 lines that are no events",)
