"""Checks of a handshake's messages: what is right passes, each mutation is caught, nobody blamed for another fault."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model import Cause
from harness.verdict.checks import REGISTRY, Finding, Vacuous
from harness.verdict.seen import ShimEvent
from tests.engine.samples import alert, connected, event, hello, opened, seen

REQUEST = event("certificate_request", 0.2, side="s")
LEAF = {"issuer": "CN=CA", "self_signed": False}
CHAIN = event("certificate", 0.3, side="c", count=2, chain=[LEAF, {"issuer": "CN=CA", "self_signed": True}])
KEY_EXCHANGE = event("client_key_exchange", 0.4, side="c")
HELLO2 = event("server_hello", 0.2, side="s", hrr=False)
SIGNED = event("certificate_verify", 0.3, side="s", sigalg=0x0804)
BOTH = [event("finished", 0.5, side="c"), event("finished", 0.6, side="s")]


def results(name: str, events: list[dict[str, Any]], **changes: Any) -> list[Any]:
    return list(REGISTRY[name].run(seen([*opened(), hello(), *events], listener=None, **changes)))


GOOD: list[tuple[str, list[dict[str, Any]]]] = [
    ("certificate_after_request", [REQUEST, CHAIN, KEY_EXCHANGE]),
    ("client_chain_complete", [CHAIN]),
    ("server_signs_pss", [SIGNED]),
    ("finished_both_ways", [HELLO2, *BOTH]),
]
WRONG: list[tuple[str, list[dict[str, Any]], str]] = [
    ("certificate_after_request", [REQUEST, KEY_EXCHANGE], "client_certificate.missing"),
    ("certificate_after_request", [REQUEST, KEY_EXCHANGE, alert(0.5, "client", 40)], "client_certificate.missing"),
    ("certificate_after_request", [REQUEST], ""),  # silence: the diagnosis says why
    ("client_chain_complete", [CHAIN | {"chain": [LEAF], "count": 1}], "client_certificate.untrusted"),
    ("client_chain_complete", [CHAIN | {"chain": [], "count": 0}], "client_certificate.missing"),
    ("finished_both_ways", [HELLO2, BOTH[0]], "tls.finished_mismatch"),
]


@pytest.mark.parametrize(("name", "events"), GOOD)
def test_a_right_handshake_is_not_accused(name: str, events: list[dict[str, Any]]) -> None:
    assert results(name, events) == []


@pytest.mark.parametrize(("name", "events", "cause"), WRONG)
def test_a_wrong_handshake_is_caught(name: str, events: list[dict[str, Any]], cause: str) -> None:
    found = [r for r in results(name, events) if isinstance(r, Finding)]
    assert [(f.level, f.cause) for f in found] == [("must", cause)]


def test_a_scheme_other_than_pss_is_noted() -> None:
    found = results("server_signs_pss", [SIGNED | {"sigalg": 0x0401}])
    assert [(f.level, f.text) for f in found] == [("may", "the server signed with 0x0401")]


def test_a_device_that_refused_the_broker_owes_no_certificate() -> None:
    """The server's flight is judged first: whoever breaks off there has not withheld a certificate."""
    assert isinstance(results("certificate_after_request", [REQUEST, alert(0.3, "client", 42)])[0], Vacuous)


FAILED = ShimEvent("done", {"result": "failed"})
WELL = ShimEvent("done", {"result": "ok"})
UNTRUSTED = Cause(id="server_certificate.untrusted", side="device", confidence="probable")


def clock(events: list[dict[str, Any]], *ends: ShimEvent, **changes: Any) -> list[Any]:
    return list(REGISTRY["clock_recovers"].run(seen(events, listener=None, shim=ends, **changes)))


def test_a_clock_that_is_set_lets_the_device_in() -> None:
    refused = [e | {"conn": 0} for e in (*opened(), hello(conn=0))]
    assert clock([*refused, *connected()], FAILED, WELL) == []
    assert isinstance(clock([*refused], FAILED)[0], Vacuous)
    assert [f.cause for f in clock(connected(), WELL, WELL)] == ["server_certificate.accepted_expired"]
    assert clock(connected(), FAILED, WELL) == []  # the first run did not even send a ClientHello


def test_a_handshake_before_the_clock_is_seen_although_its_run_failed_later() -> None:
    through = ShimEvent("tls", {"state": "ok"}, line=7)
    (found,) = clock(connected(), through, FAILED, WELL)
    assert (found.cause, found.evidence) == ("server_certificate.accepted_expired", ("uart 7: tls state=ok",))


def test_a_session_with_the_clock_is_not_taken_for_one_without() -> None:
    """It is on the wire, and its run failed for another reason: a CONNACK that the device could not read."""
    through, misparsed = ShimEvent("tls", {"state": "ok"}), Cause(
        id="device.connack_misparsed", side="device", confidence="probable")  # fmt: skip
    found = clock(connected(), FAILED, through, FAILED, causes=(misparsed,))
    assert [f.cause for f in found] == [""]


@pytest.mark.parametrize("end", [alert(0.7, "client", 80), event("fin", 0.7, side="c"), event("rst", 0.7, side="s")])
def test_a_handshake_that_was_broken_off_has_no_wrong_finished(end: dict[str, Any]) -> None:
    """TLS 1.3: the server's Finished is there before the client has looked at the certificate."""
    (found,) = results("finished_both_ways", [HELLO2, BOTH[1], end])
    assert isinstance(found, Vacuous)


def test_the_clock_is_blamed_only_when_nothing_else_is_seen() -> None:
    assert [f.cause for f in clock(opened(), FAILED, FAILED)] == ["device.clock_unset"]
    assert [f.cause for f in clock(opened(), FAILED, FAILED, causes=(UNTRUSTED,))] == [""]
