"""The table of docs/stories.md for 003: each defect fails with the story's cause first, over PPP, in every permutation
it concerns; without it the same scenarios pass. The firmware needs no capture interface: most of it runs in here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import run, session
from harness.evidence import wire
from harness.lab.profiles import load as load_profiles
from harness.model import Verdict
from harness.plan import PlanItem
from harness.run import Bench
from harness.target import load
from tests.engine.bench import hil, ready, verdicts
from tests.stories.story import tables_agree

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("stories")]

TARGET = "s5d9-sim"
EC = ("JWT-01[e12-cloud-es256]",)
RSA = ("JWT-01[e12-cloud-rs256]",)
BOTH = (*EC, *RSA)
LINES: dict[str, tuple[tuple[str, ...], str]] = {
    "jwt_padding": (BOTH, "jwt.padding"),
    "jwt_alphabet": (RSA, "jwt.not_base64url"),  # an ES256 token in 15 has neither + nor /
    "jwt_padding_cut": (BOTH, "jwt.bad_signature"),
    "jwt_der": (EC, "jwt.bad_signature"),
    "key_mismatch": (BOTH, "jwt.bad_signature"),
    "jwt_other_alg": (BOTH, "jwt.bad_signature"),
    "jwt_text_times": (BOTH, "jwt.malformed"),
    "jwt_expired": (BOTH, "jwt.expired"),
    "jwt_clock_behind": (BOTH, "jwt.expired"),
    "jwt_clock_ahead": (BOTH, "jwt.issued_in_future"),
    "jwt_long_life": (BOTH, "jwt.lifetime_too_long"),
    "jwt_audience": (BOTH, "jwt.wrong_audience"),
    "no_sni": (BOTH, "tls.sni_missing"),
    "primary_root_only": (("JWT-01[e12-cloud-backup-es256]",), "server_certificate.untrusted"),
    "backup_root_only": (BOTH, "server_certificate.untrusted"),
    "ecc_engine": (("JWT-01[e12-cloud-backup-es256]", *BOTH), "tls.device_internal_error"),
    "ecc_uninitialised": (("T12-02[r12-mutual]",), "tls.ecc_not_initialised"),
}
"""Defect → the permutations that fail, and the cause each names first."""

STILL_GOOD = {
    "jwt_der": RSA[0],
    "primary_root_only": EC[0],
    "backup_root_only": "JWT-01[e12-cloud-backup-es256]",
    "ecc_engine": "JWT-01[r12-cloud-rs256]",
}
"""What the same defect leaves alone: each is about one key, one root, one kind of certificate."""

COMMON = (
    "name_unchecked", "dates_unchecked", "no_client_cert", "wrong_ca", "no_backoff", "hang", "hardfault", "lockup",
    "uart_flood",
)  # fmt: skip
"""Those of every target; tests/engine/test_defects.py."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield session.prepare(session.Options(target=TARGET), tmp_path_factory.mktemp("s5d9"))


@pytest.fixture(scope="module")
def items() -> dict[str, PlanItem]:
    _, planned = session.planned(session.Options(target=TARGET))
    return {item.id: item for item in planned}


def judged(bench: Bench, item: PlanItem, folder: Path, *defects: str) -> Verdict:
    assert not item.skip, item.skip
    return run.run_item(dataclasses.replace(bench, run_dir=folder, defects=defects), item)


def test_the_tables_agree() -> None:
    tables_agree(TARGET, "003", LINES, COMMON)


@pytest.mark.parametrize("defect", LINES)
def test_the_story_is_reproduced_and_explained(
    bench: Bench, items: dict[str, PlanItem], tmp_path: Path, defect: str
) -> None:
    scenarios, cause = LINES[defect]
    for name in scenarios:
        verdict = judged(bench, items[name], tmp_path, defect)
        assert verdict.verdict == "fail", (name, verdict.verdict, verdict.why)
        assert verdict.causes[0].id == cause, (name, [c.id for c in verdict.causes])
    if defect in STILL_GOOD:
        verdict = judged(bench, items[STILL_GOOD[defect]], tmp_path, defect)
        assert verdict.verdict == "pass", verdict.why


def test_an_engine_that_fails_its_verification_sends_internal_error(
    bench: Bench, items: dict[str, PlanItem], tmp_path: Path
) -> None:
    verdict = judged(bench, items[EC[0]], tmp_path, "ecc_engine")
    assert [(a.sender, a.code) for a in verdict.alerts] == [("device", 80)]


def test_a_hello_without_a_name_is_refused_by_alert(
    bench: Bench, items: dict[str, PlanItem], tmp_path: Path
) -> None:
    verdict = judged(bench, items[EC[0]], tmp_path, "no_sni")
    assert [(a.sender, a.code) for a in verdict.alerts] == [("broker", 112)]


def test_it_really_is_ppp(bench: Bench, items: dict[str, PlanItem], tmp_path: Path) -> None:
    verdict = judged(bench, items[RSA[0]], tmp_path)
    assert verdict.verdict == "pass", verdict.why
    evidence = verdict.attempts[0].evidence
    assert evidence.capture is not None and evidence.uart is not None
    capture = evidence.capture if evidence.capture.is_absolute() else tmp_path / evidence.capture
    uart = evidence.uart if evidence.uart.is_absolute() else tmp_path / evidence.uart
    assert int.from_bytes(_interface_block(capture.read_bytes())[8:10], "little") == 50  # LINKTYPE_PPP_HDLC
    assert bytes((10, 0, 2, 15, 10, 0, 2, 2)) in capture.read_bytes()  # source and destination of an IP packet
    assert any(e["ev"] == "client_hello" for e in wire.decode(capture))
    log = uart.read_text()
    assert "net state=up ip=10.0.2.15" in log
    assert "eyJ" not in log  # no token in a log


def _interface_block(data: bytes) -> bytes:
    at = 0
    while int.from_bytes(data[at : at + 4], "little") != 1:
        at += int.from_bytes(data[at + 4 : at + 8], "little")
    return data[at:]


def test_the_command_ends_as_a_person_sees_it(tmp_path: Path) -> None:
    good = hil("run", "--target", TARGET, "--run-dir", str(tmp_path / "good"), "-k", "jwt", timeout=200)
    assert good.returncode == 0, good.stdout + good.stderr
    given = verdicts(tmp_path / "good")
    assert {v["verdict"] for v in given} == {"pass", "skip"}
    assert {v["why"] for v in given if v["verdict"] == "skip"} == {"the target lacks tls1.3"}
    words = ("--target", TARGET, "--run-dir", str(tmp_path / "bad"), "--defect", "jwt_padding", *BOTH)
    bad = hil("run", *words, timeout=200)
    assert bad.returncode == 1
    assert "jwt.padding" in bad.stderr + bad.stdout


def test_a_firmware_that_cannot_sign_skips_with_a_reason() -> None:
    unable = [t for t in load().values() if "jwt" not in t.capabilities]
    assert unable
    for target in unable:
        _, planned = session.planned(session.Options(target=target.id, layers=("jwt",)))
        assert all(item.skip for item in planned), target.id
        assert any(re.search(r"the target lacks jwt", item.skip) for item in planned), target.id


def test_the_service_of_the_story() -> None:
    profiles = load_profiles()
    for name in ("e12-cloud", "e12-cloud-backup", "r12-cloud", "e13-cloud"):
        assert profiles[name].demand_sni and profiles[name].tokens is not None
    assert profiles["e12-cloud"].trust == profiles["e12-cloud-backup"].trust == ("ca-p256", "ca-p384")
