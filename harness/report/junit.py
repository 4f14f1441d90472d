"""junit.xml: one testcase a scenario; failures carry the cause id as type, lab errors are <error>, the rest <skipped>.

Every attempt's capture and UART log are attached as `[[ATTACHMENT|path]]` lines and as properties.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from harness.model import RunSummary, Verdict

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


def clean(text: str) -> str:
    """Device text holds anything; XML 1.0 does not."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _properties(verdict: Verdict) -> dict[str, str]:
    seen = verdict.alerts[0] if verdict.alerts else None
    last = verdict.attempts[-1].evidence if verdict.attempts else None
    return {
        "hil.target": verdict.target,
        "hil.profile": verdict.profile,
        "hil.cause": verdict.causes[0].id if verdict.causes else "",
        "hil.alert.expected": ",".join(map(str, verdict.expected_alerts)),
        "hil.alert.seen": str(seen.code) if seen else "",
        "hil.alert.sender": seen.sender if seen else "",
        "hil.attempts": str(len(verdict.attempts)),
        "hil.flaky": str(verdict.verdict == "flaky").lower(),
        "hil.pcap": str(last.capture) if last and last.capture else "",
        "hil.uart": str(last.uart) if last and last.uart else "",
    }


def _testcase(verdict: Verdict, suite: ET.Element) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"hil.{verdict.target}",
        name=clean(verdict.node),
        time=f"{verdict.seconds:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    for name, value in _properties(verdict).items():
        if value:
            ET.SubElement(properties, "property", name=name, value=clean(value))
    cause = verdict.causes[0] if verdict.causes else None
    detail = clean("\n".join([verdict.why, *(cause.evidence if cause else ()), cause.fix if cause else ""]))
    match verdict.verdict:
        case "fail":
            ET.SubElement(
                case, "failure", type=cause.id if cause else "conformance", message=clean(verdict.why)
            ).text = detail
        case "lab":
            ET.SubElement(case, "error", type=cause.id if cause else "lab", message=clean(verdict.why)).text = detail
        case "skip" | "known":
            ET.SubElement(case, "skipped", type=verdict.verdict, message=clean(verdict.why))
        case _:
            pass
    lines = [f"{verdict.verdict}: {verdict.why}"]
    for attempt in verdict.attempts:
        evidence = attempt.evidence
        lines += [
            f"[[ATTACHMENT|{path}]]"
            for path in (evidence.capture, evidence.uart, evidence.broker_log, evidence.flash_log)
            if path
        ]
    ET.SubElement(case, "system-out").text = clean("\n".join(lines))


def render(summary: RunSummary) -> bytes:
    verdicts = summary.verdicts
    counts = {
        "tests": len(verdicts),
        "failures": sum(v.verdict == "fail" for v in verdicts),
        "errors": sum(v.verdict == "lab" for v in verdicts),
        "skipped": sum(v.verdict in ("skip", "known") for v in verdicts),
    }
    attributes = {"name": "hil", "timestamp": summary.started, "time": f"{sum(v.seconds for v in verdicts):.3f}"}
    suite = ET.Element("testsuite", attributes | {name: str(n) for name, n in counts.items()})
    for verdict in verdicts:
        _testcase(verdict, suite)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def write(summary: RunSummary, out: Path) -> None:
    out.write_bytes(render(summary) + b"\n")
