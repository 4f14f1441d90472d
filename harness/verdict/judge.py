"""The judge: one attempt → what it is worth. Pure. The rules are those of docs/write-a-scenario.md (verdict rules).

ruling = judge(seen)            # pass, warn, fail, skip or lab, with the sentence, causes and notes
verdict = with_known(ruling, …) # known, fixed
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from harness.diagnosis import remedies
from harness.diagnosis.vocabulary import causes as vocabulary
from harness.model import Cause, Diagnosis, VerdictName
from harness.scenario import Branch
from harness.target import Known
from harness.verdict.checks import REGISTRY, Finding, Vacuous
from harness.verdict.reject import judge_reject
from harness.verdict.seen import Seen

WEIGHT = {"fail": 3, "warn": 2, "pass": 1}


@dataclass
class Ruling:
    """What is being found out. `misses` are graded findings, `notes` do not change the verdict."""

    verdict: VerdictName = "pass"
    why: str = ""
    causes: list[Cause] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    expected_alerts: tuple[int, ...] = ()
    again: bool = True  # of a lab error: whether another attempt may help

    def miss(self, level: str, text: str, cap: str = "must") -> None:
        """Grades a miss; `cap` is the row's level: an advice row never fails."""
        grade = graded(level, cap)
        if grade == "pass":
            self.notes.append(text)
            return
        if WEIGHT[grade] > WEIGHT.get(self.verdict, 0):
            if self.why and self.verdict != "pass":
                self.notes.append(self.why)
            self.verdict, self.why = grade, text
        else:
            self.notes.append(text)


def graded(level: str, cap: str) -> VerdictName:
    """must → fail, should and advice → warn, may → pass; a row that is advice or should caps at warn, may at pass."""
    if "may" in (level, cap):
        return "pass"
    if level == "must" and cap == "must":
        return "fail"
    return "warn"


def judge(seen: Seen) -> Ruling:
    """Order: the bench's own faults, the device's collapse, the branch's duty, the checks, the cause."""
    ruling = Ruling()
    lab = next((c for c in seen.diagnosis.causes if c.id.startswith("lab.")), None)
    if lab is not None:
        return Ruling(verdict="lab", why=lab.explain or lab.id, causes=[lab])
    cap = seen.item.scenario.level
    branch = choose(seen)
    ruling.expected_alerts = branch.alerts
    if collapse := collapsed(seen):
        ruling.miss("must", collapse, "must")  # no scenario's level excuses a crash or a hang
        ruling.causes = blame(seen.diagnosis)
        return ruling
    if not _met(seen, branch, ruling, cap):
        return ruling
    match branch.outcome:
        case "skip":
            return Ruling(verdict="skip", why=_not_applicable(seen), expected_alerts=branch.alerts)
        case "fail":
            first = seen.fit.first if seen.fit else None
            what = first.title if first else "the profile"
            ruling.miss("must", f"the ClientHello lacks what the standard makes mandatory here: {what}", cap)
        case "connect":
            _connect(seen, ruling, cap)
        case "reject":
            judge_reject(seen, branch, ruling, cap)
        case "any":
            pass
    if ruling.verdict == "lab":
        return ruling
    vacuous = _checks(seen, ruling, only_duty=branch.outcome in ("any",))
    if vacuous and ruling.verdict == "pass":
        return Ruling(verdict="skip", why=f"skip (vacuous): {vacuous}", notes=ruling.notes)
    _causes(seen, branch, ruling)
    _flood(seen, ruling)
    if not ruling.why:
        ruling.why = _good(seen, branch)
    return ruling


def choose(seen: Seen) -> Branch:
    """Fits or not, by the first ClientHello; without one (or without TLS) what a fitting device must do."""
    if seen.fit is not None and seen.fit.fits is False:
        return seen.item.unfit
    return seen.item.fits


def _not_applicable(seen: Seen) -> str:
    """Why a row that is for the other kind of device says nothing of this one."""
    if seen.fit is None and not seen.hellos:
        return "skip (vacuous): the device sent no ClientHello, so whether it fits the profile is not known"
    first = seen.fit.first if seen.fit else None
    if first is not None:
        return f"not applicable: {first.title}: nothing in common"
    return "not applicable: the ClientHello fits the profile, and the row is about one that does not"


def collapsed(seen: Seen) -> str:
    """How the device fell over, "" when it did not."""
    detail = f" ({seen.end.detail})" if seen.end.detail else ""
    return {
        "hang": f"the device hangs: no sign of life within the bound{detail}",
        "late": f"the device did not end its script within {seen.item.scenario.seconds} s{detail}",
        "fault": f"the device crashed{detail}",
        "reset": f"the device reset in the middle of the run{detail}",
        "silent": f"the device never said anything{detail}",
        "gone": f"the device is gone{detail}",
        "done": "",
    }[seen.end.kind]


def _met(seen: Seen, branch: Branch, ruling: Ruling, cap: str) -> bool:
    """Whether what must have happened first did; the ruling is complete when it did not."""
    needs = set(branch.met)
    if branch.outcome in ("connect", "fail", "skip"):
        needs = set()
    elif branch.outcome == "any":
        needs = needs or {"client_hello"}
    for need in sorted(needs):
        if _happened(seen, need):
            continue
        causes = seen.diagnosis.causes
        if causes and causes[0].side == "device" and causes[0].id not in branch.cause:
            ruling.miss("must", f"the device stopped before the stimulus ({need.replace('_', ' ')} never seen): "
                        f"{causes[0].explain or causes[0].id}", cap)  # fmt: skip
            ruling.causes = list(causes)
        elif need == "client_hello":
            ruling.miss("must", "the device sent no ClientHello", cap)
            ruling.causes = list(causes)
        else:
            ruling.verdict, ruling.why = "skip", f"skip (vacuous): {need.replace('_', ' ')} was never seen"
        return False
    return True


def _happened(seen: Seen, need: str) -> bool:
    match need:
        case "tcp":
            return bool(seen.of("synack"))
        case "client_hello":
            return bool(seen.hellos)
        case "server_certificate":
            sealed = any(e.get("phase") == "handshake" for e in seen.of("sealed", "s"))
            return bool(seen.of("certificate", "s")) or sealed
        case "certificate_request":
            return bool(seen.of("certificate_request"))
        case "connack":
            return bool(seen.accepted())
        case _:
            return seen.end.kind == "done"


def _connect(seen: Seen, ruling: Ruling, cap: str) -> None:
    if not seen.accepted():
        causes = blame(seen.diagnosis)
        ruling.causes = causes
        text = causes[0].explain or causes[0].id if causes else "no CONNACK with code 0 was seen"
        ruling.miss("must", f"the device must connect and did not: {text}", cap)
    elif seen.end.result != "ok":
        ruling.causes = blame(seen.diagnosis)
        ruling.miss("must", f"connected, then the script failed at `{seen.end.stage}` with {seen.end.rc}", cap)
    elif seen.diagnosis.outcome == "failed" and seen.diagnosis.causes:
        ruling.notes.append(f"on the way: {seen.diagnosis.causes[0].id}")


def blame(diagnosis: Diagnosis) -> list[Cause]:
    """The causes; when there are none, the findings (what is wrong although it connected)."""
    return list(diagnosis.causes or diagnosis.findings)


def _checks(seen: Seen, ruling: Ruling, *, only_duty: bool) -> str:
    """Runs the checks. Returns why there is nothing to judge, when all of them were vacuous and they are the duty."""
    vacuous: list[str] = []
    ran = 0
    for name in seen.item.checks:
        empty = False
        for result in REGISTRY[name].run(seen):
            if isinstance(result, Vacuous):
                empty = True
                vacuous.append(result.why)
            else:
                _found(result, ruling)
        ran += not empty
    if vacuous and (ran or not only_duty):
        ruling.notes += [f"not judged: {why}" for why in dict.fromkeys(vacuous)]
    duty = only_duty or _only_checks(seen)
    return "; ".join(dict.fromkeys(vacuous)) if duty and vacuous and not ran else ""


def _only_checks(seen: Seen) -> bool:
    """Rows whose duty is what the checks look at; the connection is only the stimulus."""
    return "PA" in seen.item.scenario.via or seen.item.scenario.layer == "mqtt311"


def _found(finding: Finding, ruling: Ruling) -> None:
    before = ruling.verdict
    ruling.miss(finding.level, finding.text)
    if finding.cause and graded(finding.level, "must") != "pass":
        cause = Cause(id=finding.cause, side=vocabulary()[finding.cause].side, evidence=finding.evidence,
                      confidence="certain" if finding.sure else "possible", explain=finding.text)  # fmt: skip
        worse = WEIGHT.get(ruling.verdict, 0) > WEIGHT.get(before, 0)
        known = next((c for c in ruling.causes if c.id == finding.cause), None)
        if known is None:
            ruling.causes.insert(0 if worse else len(ruling.causes), cause)


def _causes(seen: Seen, branch: Branch, ruling: Ruling) -> None:
    """The cause the row demands, and the diagnosis's causes behind those of the checks."""
    told = list(seen.diagnosis.causes)
    wanted = branch.cause
    if not wanted and branch is seen.item.unfit and seen.fit is not None and seen.fit.first is not None:
        wanted = (seen.fit.first.cause,)
    if wanted and ruling.verdict in ("pass", "warn") and branch.outcome in ("reject", "any"):
        named = [c.id for c in (*told, *seen.diagnosis.findings)]
        if not named or named[0] not in wanted:
            row = " or ".join(wanted)
            ruling.miss("should", f"it ended for another reason than the row's: {named[0]}, not {row}" if named else
                        f"no cause could be named; the row is about {row}")  # fmt: skip
    if ruling.verdict != "pass" or branch.outcome == "reject":
        ruling.causes += [c for c in (told or seen.diagnosis.findings) if c.id not in {x.id for x in ruling.causes}]


FLOOD = 1000
"""Foreign UART lines of one run beyond which logging itself is a defect: at 115200 baud they take 5 s and more."""


def _flood(seen: Seen, ruling: Ruling) -> None:
    if seen.foreign_lines > FLOOD:
        text = f"the device floods its UART: {seen.foreign_lines} lines that are no events"
        ruling.miss("should", text)
        ruling.causes.append(Cause(id="device.uart_flood", side="device", confidence="certain", explain=text,
                                   evidence=(f"uart: {seen.foreign_lines} lines that are no events",)))  # fmt: skip


def _good(seen: Seen, branch: Branch) -> str:
    if branch.outcome == "connect":
        return "connected, CONNACK 0, the script ended well"
    if branch.outcome == "reject":
        cause = f": {seen.diagnosis.causes[0].id}" if seen.diagnosis.causes else ""
        return f"refused as it must be{cause}"
    return "as the standard says"


def with_fixes(causes: Iterable[Cause], stack: str) -> tuple[Cause, ...]:
    """Who named a cause without a word on what to change (a check, a hang) gets the tables' word for the stack."""
    return tuple(c if c.fix else msgspec.structs.replace(c, fix=remedies.for_target(c.id, stack)) for c in causes)


def with_known(
    verdict: VerdictName, causes: list[Cause], scenario: str, known: tuple[Known, ...], today: dt.date
) -> tuple[VerdictName, str]:
    """`known` for a listed failure until its date, `fixed` when a listed one passes; and a note. An entry without a
    cause stands for a failure that has none (a row about the ClientHello that names no cause)."""
    entries = [k for k in known if k.scenario.upper() in (scenario.upper(), scenario.split("[")[0].upper())]
    ids = {c.id for c in causes}
    for entry in entries:
        if verdict == "fail" and (entry.cause in ids or not (entry.cause or ids)):
            if today <= entry.until:
                return "known", f"known until {entry.until}: {entry.reason}"
            return "fail", f"was known until {entry.until}: {entry.reason}"
    if entries and verdict in ("pass", "warn"):
        return "fixed", f"listed as {entries[0].cause} ({entries[0].reason}), and passes: remove the entry"
    return verdict, ""
