"""A sample of the live cases, made and explained here and now. All of them: `python -m tests.diagnosis.live`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import paths
from harness.lab import sandbox
from tests.diagnosis.live import cases

SAMPLE = (
    "ok-mtls-good-12-ossl",
    "ok-bigchain-13-mosq",
    "ok-hrr-13-ossl",
    "noverify-expired-12-wolf",
    "noverify-wronghost-13-ossl",
    "scert-expired-13-ossl",
    "scert-wronghost-12-mosq",
    "scert-nochain-12-mbed",
    "scert-clienteku-13-gnutls",
    "scert-twinca-12-paho",
    "mfl-512-rsa2048-12-mbed",
    "ccert-none-13-paho",
    "ccert-wrongca-13-wolf",
    "ccert-revoked-12-ossl",
    "ccert-crlexpired-12-ossl",
    "cipher-noshared-13-ossl",
    "group-noshared-ecdhe-12-ossl",
    "group-eccert-curve-12-ossl",
    "sigalg-ecdsaonly-rsacert-13-ossl",
    "ver-client13-broker12only-mosq",
    "psk-wrongkey-13-ossl",
    "plain-to-tls-raw",
    "tls-to-plain-ossl12",
    "broker-badcipher",
    "trunc-partial-ch-fin-12",
    "mitm-flip-server-appdata-12",
    "auth-wrongpw-v5-13-mosq",
    "acl-pubdenied-qos0-v311-12-mosq",
    "mqtt-publish-first-13-raw",
    "mqtt-duplicate-clientid-v311-13-raw",
)
SUBSETS = ("all", "wire", "no-keys")
LIMIT = 120.0  # seconds for all of them on a loaded machine; 15 on a quiet one
LINE = re.compile(r"^(\S+)\s+(\S+)\s+(\S+)\s+(ok|failed|incomplete): (.*)$")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the module prints about the sample, run in a sandbox of its own."""
    possible, why = sandbox.available()
    if not possible:
        pytest.skip(why)
    argv = [sys.executable, "-m", "tests.diagnosis.live", "--keep", str(tmp_path_factory.mktemp("live"))]
    done = subprocess.run(
        [*argv, *(f"--subset={s}" for s in SUBSETS), *SAMPLE],
        cwd=Path(paths.ROOT),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return str(done.stdout + done.stderr)


@pytest.mark.parametrize("name", SAMPLE)
def test_live(report: str, name: str) -> None:
    skipped = re.search(rf"^skipped\s+{re.escape(name)}: (.*)$", report, re.MULTILINE)
    if skipped:
        pytest.skip(skipped[1])
    rows = {m[2]: m for line in report.splitlines() if (m := LINE.match(line)) and m[3] == name}
    assert set(rows) == set(SUBSETS), report
    for subset, row in rows.items():
        assert row[1] in ("right", "listed", "open"), row[0]
        if subset == "all":
            assert row[1] == "right", row[0]


def test_names_in_the_sample_exist() -> None:
    assert not set(SAMPLE) - set(cases.table())


def test_a_wrong_answer_is_called_wrong() -> None:
    """The judge itself: a good run that is accused, and a certain cause that is another one."""
    from harness.model import Cause, Diagnosis
    from tests.diagnosis.live.judge import grade

    table = cases.table()
    wrong = Cause(id="tls.record_corrupt", side="network", confidence="certain")
    likely = Cause(id="tls.record_corrupt", side="network", confidence="probable")
    good, bad = table["ok-mtls-good-12-ossl"], table["scert-expired-12-ossl"]
    assert grade(good, "all", Diagnosis(outcome="failed", causes=(likely,))) == "ACCUSED"
    assert grade(good, "all", Diagnosis(outcome="failed", causes=(wrong,))) == "CERTAIN-WRONG"
    assert grade(bad, "wire", Diagnosis(outcome="failed", causes=(wrong,))) == "CERTAIN-WRONG"
    assert grade(bad, "all", Diagnosis(outcome="ok")) == "wrong"
    assert grade(table["noverify-expired-12-wolf"], "all", Diagnosis(outcome="ok")) == "finding"
