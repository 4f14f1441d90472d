"""Reports of hostile verdicts: nothing a device says may become markup, and nothing may be lost."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec

from harness.model import Alert, Attempt, Cause, Evidence, RunSummary, SetDifference, Verdict
from harness.report import html, junit, summary, terminal

NASTY = "<script>alert(1)</script>\x1b[31m|`x`]]>\x00\u202e"


def failed(**changes: object) -> Verdict:
    fields: dict[str, object] = {
        "id": "T12-03[r12-chacha]",
        "target": "native",
        "profile": "r12-chacha",
        "verdict": "fail",
        "why": f"device says {NASTY}",
        "title": "Server has one suite the DUT lacks",
        "clause": "RFC 5246 7.4.1.3",
        "causes": (
            Cause(
                id="tls.no_common_cipher_suite",
                side="either",
                confidence="certain",
                evidence=(f"frame 4: {NASTY}",),
                explain="No suite in common.",
                fix="Enable ECDHE-RSA-AES128-GCM-SHA256.",
            ),
        ),
        "alerts": (Alert(sender="broker", level=2, code=40, name="handshake_failure", encrypted=False, frame=4),),
        "expected_alerts": (40, 71),
        "differences": (
            SetDifference(dimension="suites", offered=("A", "B"), accepted=("C",), common=()),
            SetDifference(dimension="versions", offered=("1.2",), accepted=("1.2",), common=("1.2",)),
        ),
        "attempts": (
            Attempt(number=1, verdict="fail", why="x", seconds=0.5, evidence=Evidence(uart=Path("a/uart.log"))),
        ),
        "seconds": 0.5,
    }
    return Verdict(**(fields | changes))  # type: ignore[arg-type]


def run_of(*verdicts: Verdict) -> RunSummary:
    totals: dict[str, int] = {}
    for verdict in verdicts:
        totals[verdict.verdict] = totals.get(verdict.verdict, 0) + 1
    return RunSummary(
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:00:09Z",
        targets=("native",),
        git="abc1234",
        totals=totals,
        verdicts=verdicts,
    )


def test_junit_kinds_and_properties() -> None:
    run = run_of(
        failed(),
        failed(id="b", verdict="lab", causes=(Cause(id="lab.broker_failed", side="lab", confidence="certain"),)),
        failed(id="c", verdict="skip"),
        failed(id="d", verdict="pass"),
    )
    suite = ET.fromstring(junit.render(run)).find("testsuite")  # noqa: S314 (our own output)
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "4",
        "1",
        "1",
        "1",
    )
    cases = suite.findall("testcase")
    failure = cases[0].find("failure")
    assert failure is not None and failure.get("type") == "tls.no_common_cipher_suite"
    error = cases[1].find("error")
    assert error is not None and error.get("type") == "lab.broker_failed"
    properties = {p.get("name"): p.get("value") for p in cases[0].iter("property")}
    assert properties["hil.alert.seen"] == "40"
    assert properties["hil.alert.sender"] == "broker"
    assert properties["hil.alert.expected"] == "40,71"
    assert "[[ATTACHMENT|a/uart.log]]" in (cases[0].findtext("system-out") or "")


def test_html_escapes_what_the_device_says(tmp_path: Path) -> None:
    page = html.render(run_of(failed()), tmp_path)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "Enable ECDHE-RSA-AES128-GCM-SHA256." in page
    assert '<tr class="alarm"><td>suites</td><td>A, B</td><td>C</td><td>nothing</td></tr>' in page


def test_markdown_keeps_its_table(tmp_path: Path) -> None:
    text = summary.render(run_of(failed(), failed(id="ok", verdict="pass")))
    rows = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert len(rows) == 1
    assert "<script>" not in text
    assert "\\|" in rows[0]
    assert "1 fail, 1 pass" in text


def test_skips_are_counted_by_reason() -> None:
    many = [failed(id=f"x{n}", verdict="skip", why=f"the target lacks {'jwt' if n < 3 else n}") for n in range(12)]
    line = summary.skips_line([failed(), *many])
    assert line.startswith("the target lacks jwt (3); the target lacks 3 (1); ") and line.endswith("; others (5)")
    assert summary.skips_line([failed()]) == ""
    assert "Skipped: the target lacks jwt (3); " in summary.render(run_of(*many))


def test_terminal_block_has_what_a_person_needs() -> None:
    block = terminal.failure_block(failed(), colour=False)
    assert "\x1b" not in block and "\x00" not in block
    assert "broker sent fatal handshake_failure (40, 0x28), frame 4" in block
    assert "device offers  A, B" in block and "broker accepts C" in block
    assert "nothing in common" in block
    assert "tls.no_common_cipher_suite (certain; device or broker has to change something)" in block
    assert block.startswith("FAIL  T12-03[native-r12-chacha]  ")
    assert "a/uart.log" in block


def test_sets_that_all_meet_take_one_line() -> None:
    met = failed().differences[1:]
    block = terminal.failure_block(failed(differences=met), colour=False)
    assert "  hello     fits profile r12-chacha: versions\n" in block and "in common: " not in block


def test_a_narrow_terminal_gets_narrow_lines() -> None:
    long = failed(why="word " * 60, differences=(
        SetDifference(dimension="suites", offered=("TLS_AES_128_GCM",) * 9, accepted=("C",), common=()),
    ))  # fmt: skip
    for width in (60, 80, 120):
        lines = terminal.failure_block(long, colour=False, width=width).splitlines()
        assert max(map(len, lines[1:])) <= width
        assert any(len(line) > width - 45 for line in lines[1:])


def test_a_row_goes_on_under_its_column() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    row = "T12-03  " + "word " * 40
    assert terminal.hang(row, 8, io.StringIO()) == row
    first, *rest = terminal.hang(row, 8, Terminal()).splitlines()
    assert first.startswith("T12-03  word") and rest and all(line.startswith(" " * 8 + "word") for line in rest)


def test_of_several_targets_the_page_says_which(tmp_path: Path) -> None:
    run = msgspec.structs.replace(run_of(failed(), failed(target="qemu-m4")), targets=("native", "qemu-m4"))
    page = html.render(run, tmp_path)
    assert '<span class="id">T12-03[qemu-m4-r12-chacha]</span>' in page
    text = summary.render(run)
    assert text.count("No suite in common.") == 1 and text.count("Fix: ") == 1
    assert "T12-03\\[native-r12-chacha\\], T12-03\\[qemu-m4-r12-chacha\\]" in text


def test_terminal_colour_only_when_asked() -> None:
    assert "\x1b[1;31mFAIL" in terminal.failure_block(failed(), colour=True)
