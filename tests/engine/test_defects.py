"""The bench is tested by what it catches: every defect the firmware can switch on, by its right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.target import load
from tests.engine.bench import hil, ready, verdicts, wrong

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("engine")]

CAUGHT: dict[str, tuple[tuple[str, ...], str, str]] = {
    "verify_off": (("X5-01[r12-unknown-ca]", "X5-50"), "fail", "server_certificate.accepted_untrusted"),
    "name_unchecked": (("X5-03",), "fail", "server_certificate.accepted_wrong_name"),
    "dates_unchecked": (("X5-06",), "fail", "server_certificate.accepted_expired"),
    "no_sni": (("CH-04",), "warn", "tls.sni_missing"),
    "ecdsa_sigalgs_only": (("T12-02", "T13-02", "CH-06"), "fail", "tls.no_common_signature_algorithm"),
    "no_rsa_pss": (("T13-02", "T13-04"), "fail", "tls.no_common_signature_algorithm"),
    "no_groups": (("T12-06", "T12-01"), "warn", "tls.ecc_not_initialised"),
    "no_client_cert": (("T12-01", "T12-02"), "fail", "client_certificate.missing"),
    "wrong_ca": (("T12-01", "T12-02"), "fail", "server_certificate.untrusted"),
    "key_mismatch": (("T12-01", "T12-02"), "fail", "client_key.mismatch"),
    "no_backoff": (("TCP-01",), "warn", "device.retry_storm"),
    "hang": (("T12-02",), "fail", "device.hang"),
    "hardfault": (("T12-02",), "fail", "device.hard_fault"),
    "lockup": (("T12-02",), "fail", "device.hard_fault"),
    "uart_flood": (("TCP-01",), "warn", "device.uart_flood"),
}
"""Defect → scenarios that are run, the verdict at least one of them gets, and the cause it leads with."""

TARGETS = ("native", "qemu-m33", "qemu-m4")
IN_THE_CLIENT = ("no_client_cert", "wrong_ca", "key_mismatch", "no_backoff", "uart_flood")
"""Defects of code that is the same on every board: once as a process and once as firmware is enough."""
CASES = [(t, d) for t in TARGETS for d in CAUGHT if t != "qemu-m4" or d not in IN_THE_CLIENT]


def test_the_table_names_every_defect() -> None:
    """Of these targets; the systems of the field stories have tables of their own (tests/netx/test_stories.py)."""
    assert {defect for name, target in load().items() if name in TARGETS for defect in target.defects} == set(CAUGHT)


@pytest.mark.parametrize(("target", "defect"), CASES)
def test_a_defect_is_caught_by_name(target: str, defect: str, tmp_path: Path) -> None:
    known = load()
    if target not in known or defect not in known[target].defects:
        pytest.skip(f"{target} cannot switch on {defect}")
    scenarios, verdict, cause = CAUGHT[defect]
    done = hil("run", "--target", target, "--defect", defect, "--run-dir", str(tmp_path), *scenarios, timeout=120)
    assert "Traceback" not in done.stderr
    given = verdicts(tmp_path)
    caught = [v for v in given if v["verdict"] == verdict and v["causes"] and v["causes"][0]["id"] == cause]
    assert caught, [(v["id"], v["verdict"], v["why"], [c["id"] for c in v["causes"]]) for v in given]
    assert not [v["id"] for v in given if v["verdict"] == "lab"]
    assert done.returncode == (1 if any(v["verdict"] == "fail" for v in given) else 0)


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_scenarios_pass_without_a_defect(target: str, tmp_path: Path) -> None:
    if target not in load():
        pytest.skip(f"no target {target}")
    scenarios = {name for names, _, _ in CAUGHT.values() for name in names}
    done = hil("run", "--target", target, "--run-dir", str(tmp_path), *sorted(scenarios), timeout=120)
    given = verdicts(tmp_path)
    assert wrong(given) == []
    assert done.returncode == 0
