"""What `hil explain` says of a case, stream by stream, against what is true of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.explain import explain
from harness.model import Diagnosis, Evidence
from tests.diagnosis.live.case import Case, Made

Grade = Literal["right", "listed", "open", "wrong", "CERTAIN-WRONG", "ACCUSED", "finding"]
SUBSETS: dict[str, tuple[str, ...]] = {
    "all": ("uart.log", "broker.log", "conf", "keys"),
    "wire": (),
    "uart": ("uart.log",),
    "log": ("broker.log",),
    "conf": ("conf",),
    "keys": ("keys",),
    "no-keys": ("uart.log", "broker.log", "conf"),
}


@dataclass(frozen=True)
class Judgement:
    """`right`: first cause. `listed`: among the causes. `open`: no certain cause, and none right, where the reference
    expects no more of this evidence. The rest is a fault of the diagnosis."""

    case: str
    subset: str
    grade: Grade
    said: str

    @property
    def good(self) -> bool:
        return self.grade in ("right", "listed", "open")


def evidence(made: Made, subset: str) -> Evidence:
    have = SUBSETS[subset]
    found = {kind: made.file(kind) for kind in have}  # type: ignore[arg-type]
    there = {kind: path for kind, path in found.items() if path.exists() and path.stat().st_size}
    return Evidence(
        capture=made.file("pcap"), uart=there.get("uart.log"), broker_log=there.get("broker.log"),
        broker_config=there.get("conf"), keylog=there.get("keys"),
    )


def judge(made: Made, subset: str) -> Judgement:
    diagnosis = explain(evidence(made, subset))
    return Judgement(made.case.name, subset, grade(made.case, subset, diagnosis), _words(diagnosis))


def grade(case: Case, subset: str, diagnosis: Diagnosis) -> Grade:
    said = [cause.id for cause in diagnosis.causes]
    if case.ok:
        if diagnosis.outcome != "ok" or said:
            sure = any(c.confidence == "certain" for c in diagnosis.causes)
            return "CERTAIN-WRONG" if sure else "ACCUSED" if subset in ("all", "wire", "no-keys") else "wrong"
        accepted = [f.id for f in diagnosis.findings if ".accepted_" in f.id]
        if subset == "all" and any(f not in accepted for f in case.findings):
            return "finding"
        return "right" if set(accepted) <= set(case.findings) or "untrusted" in "".join(case.findings) else "finding"
    if said and said[0] in case.causes and diagnosis.outcome != "ok":
        return "right"
    hidden = case.wire == "no" and subset != "all"
    if any(c.confidence == "certain" and c.id not in case.causes for c in diagnosis.causes[:1]):
        return "CERTAIN-WRONG"
    if set(said) & set(case.causes):
        return "listed" if hidden or (case.wire == "probable" and subset != "all") else "wrong"
    return "open" if (hidden and subset != "log") or (hidden and not _log_says(case)) else "wrong"


def _log_says(case: Case) -> bool:
    """Whether the broker's log separates this cause from others (alerts.md, table 2b)."""
    silent = ("server_certificate.", "client_certificate.", "client_key.", "device.", "mqtt.malformed", "tls.psk")
    return not case.causes[0].startswith((*silent, "tls.ecc_"))


def _words(diagnosis: Diagnosis) -> str:
    causes = ", ".join(f"{c.id}({c.confidence[:4]})" for c in diagnosis.causes[:3])
    findings = ", ".join(f.id for f in diagnosis.findings)
    return f"{diagnosis.outcome}: {causes or '-'}" + (f" findings: {findings}" if findings else "")
