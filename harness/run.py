"""One scenario, from plan to verdict. `run_item` reads top to bottom in the order of docs/architecture.md:

    lease → flash → arm → stimulate → collect → decode → diagnose → verdict

(The run as a whole has claimed its boards and built its firmware before: harness/session.py.) What goes wrong on the
bench's side is a LabError and becomes the verdict `lab`; what the device does wrong is a `DeviceTrouble` and becomes
evidence. Each phase has its own bound, which starts when the phase before ended.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from harness import observe, provision, store
from harness.device import backtrace
from harness.device.base import Locates
from harness.device.boards import Fresh, Source
from harness.device.console import console
from harness.device.shim import (
    CommandRefused,
    DeviceDied,
    DeviceFault,
    DeviceHang,
    DeviceRebooted,
    DeviceSilent,
    DeviceTrouble,
    Shim,
)
from harness.diagnosis.compare import Fit, compare
from harness.diagnosis.engine import diagnose
from harness.errors import HilError, LabError
from harness.evidence import broker_log, uart, wire
from harness.evidence.capture import capture
from harness.evidence.pcapng import with_secrets
from harness.lab.pki import Pki
from harness.lab.profiles import Profile
from harness.model import Attempt, Cause, Diagnosis, Evidence, Image, Listener, SetDifference, Verdict, VerdictName
from harness.peer.mosquitto import broker
from harness.plan import PlanItem
from harness.target import Target
from harness.verdict.judge import Ruling, judge, with_fixes, with_known
from harness.verdict.seen import DeviceEnd, Seen
from harness.verdict.seen import ShimEvent as Said

SETTINGS_TIMEOUT = 30.0
"""Seconds for all SET and PUT of a scenario; at 115200 baud they take 50 ms."""
LAB_RETRIES = 1
Step = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What all scenarios of a run on one target share, in one worker. `boards`: where their boards come from."""

    run_dir: Path
    target: Target
    image: Image
    profiles: dict[str, Profile]
    pki: Pki
    defects: tuple[str, ...] = ()
    retries: int = 0
    step: Step = lambda name: None
    boards: Source = field(default_factory=Fresh)


@dataclass(frozen=True)
class Collected:
    """One attempt's evidence and what the device said, before anybody interprets it."""

    evidence: Evidence
    port: int
    listener: Listener
    end: DeviceEnd
    said: tuple[Said, ...]
    settings: dict[str, str]
    refused: str = ""
    foreign_lines: int = 0


def run_item(bench: Bench, item: PlanItem) -> Verdict:
    """All attempts of one planned scenario; the verdict is on disk when this returns."""
    folder = bench.run_dir / item.target / item.folder
    begun = time.monotonic()
    attempts: list[Attempt] = []
    if item.skip:
        verdict = _verdict(item, Ruling(verdict="skip", why=item.skip), (), 0.0)
        store.write_verdict(folder / store.VERDICT, verdict, bench.run_dir)
        return verdict
    while True:
        number = len(attempts) + 1
        ruling, attempt, fit, seen = _attempt(bench, item, number, folder / f"attempt-{number}")
        attempts.append(attempt)
        verdict = _verdict(item, ruling, tuple(attempts), time.monotonic() - begun, fit=fit, seen=seen)
        verdict = _final(bench, verdict)
        store.write_verdict(folder / f"attempt-{number}" / store.VERDICT, verdict, bench.run_dir)
        store.write_verdict(folder / store.VERDICT, verdict, bench.run_dir)
        budget = max(bench.retries, LAB_RETRIES if ruling.again else 0) if ruling.verdict == "lab" else bench.retries
        if ruling.verdict not in ("fail", "lab") or number > budget or verdict.verdict == "known":
            return verdict


def _attempt(
    bench: Bench, item: PlanItem, number: int, workdir: Path
) -> tuple[Ruling, Attempt, Fit | None, Seen | None]:
    begun = time.monotonic()
    evidence = Evidence()
    fit: Fit | None = None
    seen: Seen | None = None
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        collected = _collect(bench, item, workdir)
        evidence = collected.evidence
        if collected.refused:
            ruling = Ruling(verdict="skip", why=collected.refused)
        else:
            bench.step("decode")
            seen = _interpret(bench, item, collected)
            fit = seen.fit
            bench.step("verdict")
            ruling = judge(seen)
    except LabError as error:
        cause = Cause(id=error.cause, side="lab", confidence="certain", explain=error.what, fix=error.fix)
        ruling = Ruling(verdict="lab", why=error.what, causes=[cause], again=error.again)
        evidence = _there(workdir)
    except HilError as error:  # the capture cannot be read, a certificate is not there
        cause = Cause(id="lab.capture_failed", side="lab", confidence="probable", explain=error.what, fix=error.fix)
        ruling = Ruling(verdict="lab", why=error.what, causes=[cause])
        evidence = _there(workdir)
    except OSError as error:
        cause = Cause(id="lab.disk_full", side="lab", confidence="possible", explain=str(error))
        ruling = Ruling(verdict="lab", why=f"{error.filename or workdir}: {error.strerror}", causes=[cause])
    seconds = time.monotonic() - begun
    return ruling, Attempt(number=number, verdict=ruling.verdict, why=ruling.why, seconds=seconds,
                           evidence=evidence), fit, seen  # fmt: skip


def _collect(bench: Bench, item: PlanItem, workdir: Path) -> Collected:
    """Arm, stimulate, collect. Everything that was started has ended when this returns."""
    profile = bench.profiles[item.profile]
    capture_file = workdir / "capture.pcapng"
    keylog = workdir / "secrets" / "keys.log"
    said: list[Said] = []
    foreign = 0
    with ExitStack() as stack:
        bench.step("lease")
        board = stack.enter_context(bench.boards.take(bench.target, bench.image, item.node, workdir, bench.step))
        bench.step("arm")
        running = stack.enter_context(
            broker(profile, bench.pki, workdir, keylog=keylog, address=board.listen_address,
                   port=observe.port(bench.target))
        )
        live = None
        if board.capture_interface is not None:
            comment = f"hil {item.node} {bench.run_dir.name}"
            only = f"tcp port {running.port}" + (f" and host {board.device_address}" if board.device_address else "")
            live = stack.enter_context(capture(board.capture_interface, only, capture_file, comment))
        tty = stack.enter_context(console(board.console_path, workdir / "uart.log", baud=board.baud))
        shim = Shim(tty, alive=board.alive, last_words=board.last_words, silence=bench.target.limits.silence_ms / 1000)
        bench.step("boot")
        settings: dict[str, str] = {}
        refused = ""
        try:
            board.start()
            if bench.target.level == "command":
                shim.wait_ready(bench.target.limits.boot_ms / 1000)
                bench.step("settings")
                settings = provision.settings(item, profile, board.broker_address, running.port, bench.defects)
                _configure(shim, settings, provision.slots(item, profile, bench.pki))
                if item.scenario.broker == "down":
                    running.stop()
                bench.step("stimulate")
                end = _play(shim, item)
            else:
                bench.step("observe")
                end = observe.watch(tty, running, bench.target, board.device_address)
        except CommandRefused as error:
            refused = f"the shim does not do what the stimulus needs: {error}"
            end = DeviceEnd("gone", detail=str(error))
        except DeviceTrouble as error:
            end = _trouble(error, item)
            if end.kind == "hang" and isinstance(board, Locates) and (place := board.hang_place()):
                end = replace(end, detail=f"{end.detail}; the program is at {place}")
            if end.kind == "fault" and (place := _fault_place(error, bench.image.path)):
                end = replace(end, detail=f"{end.detail}; {place}")
        bench.step("collect")
        shim.poll()
        said = [Said(event.name, event.fields, event.line) for event in shim.events]
        foreign = max(0, tty.count - len(shim.events))
        if end.kind != "done" and live is not None:
            live.stop()  # before the broker's own end blurs what the device did
        if end.kind == "done":
            running.stop()  # it closes what is still open, so that the capture ends with it
        if live is not None:
            live.stop()
        else:
            board.collect_capture(capture_file)
    if keylog.is_file() and keylog.stat().st_size:
        with_secrets(capture_file, keylog, keylog.parent / "capture-with-secrets.pcapng")
    return Collected(
        evidence=_there(workdir), port=running.port, listener=running.listener, end=end, said=tuple(said),
        settings=settings, refused=refused, foreign_lines=foreign,
    )  # fmt: skip


def _configure(shim: Shim, settings: dict[str, str], slots: dict[str, bytes]) -> None:
    until = time.monotonic() + SETTINGS_TIMEOUT
    for key, value in settings.items():
        shim.set(key, value)
    for name, data in slots.items():
        if time.monotonic() > until:
            raise DeviceHang(f"the settings took more than {SETTINGS_TIMEOUT:.0f} s")
        shim.put(name, data)


def _play(shim: Shim, item: PlanItem) -> DeviceEnd:
    """RUN, and until `done`; a second time when the scenario says so."""
    bound = float(item.scenario.seconds)
    shim.run()
    done = shim.wait_event(("done",), bound)
    if item.device.again:
        for key, value in item.device.again.items():
            shim.set(key, provision.now() if (key, value) == ("epoch", "now") else value)
        shim.run()
        done = shim.wait_event(("done",), bound)
    fields = done.fields
    return DeviceEnd("done", fields.get("result", ""), fields.get("stage", ""), fields.get("rc", ""))


def _fault_place(error: DeviceTrouble, image: Path) -> str:
    """Function and line of a fault's program counter; "" when the image does not tell."""
    pc = error.event.fields.get("pc", "") if error.event is not None else ""
    if re.fullmatch("[0-9a-f]{8}", pc) is None or int(pc, 16) == 0:
        return ""
    place = backtrace.places(image, [int(pc, 16)])[0]
    return f"pc is {place}" if " " in place else ""


def _trouble(error: DeviceTrouble, item: PlanItem) -> DeviceEnd:
    detail = str(error)
    match error:
        case DeviceSilent():
            return DeviceEnd("silent", detail=detail)
        case DeviceFault():
            return DeviceEnd("fault", detail=detail)
        case DeviceRebooted():
            return DeviceEnd("reset", detail=detail)
        case DeviceDied():
            return DeviceEnd("gone", detail=detail)
        case _:
            return DeviceEnd("hang" if detail.startswith("silent") else "late", detail=detail)


def _interpret(bench: Bench, item: PlanItem, collected: Collected) -> Seen:
    """Decode and diagnose."""
    evidence = collected.evidence
    if evidence.capture is None or evidence.uart is None or evidence.broker_log is None:
        raise LabError("lab.capture_failed", "evidence of the attempt is missing", "see the run's folder")
    events = list(wire.decode(evidence.capture, keylog=evidence.keylog, ports=(collected.port,)))
    log = uart.read(evidence.uart)
    entries = broker_log.read(evidence.broker_log)
    bench.step("diagnose")
    facts = provision.facts(
        item, bench.profiles[item.profile], bench.pki, collected.settings, _stack(collected, bench.target)
    )
    diagnosis = diagnose(events, log, entries, collected.listener, facts)
    hello = next((e for e in events if e["ev"] == "client_hello"), None)
    fit = compare(dict(hello), collected.listener) if hello is not None and collected.listener.tls else None
    return Seen(
        item=item, target=bench.target, events=events, shim=collected.said, end=collected.end,
        diagnosis=with_trouble(diagnosis, collected.end, collected.said), fit=fit, settings=collected.settings,
        foreign_lines=collected.foreign_lines,
    )  # fmt: skip


TROUBLE = {"hang": "device.hang", "late": "device.hang", "fault": "device.hard_fault", "gone": "device.hard_fault",
           "reset": "device.watchdog_reset", "silent": "device.silent"}  # fmt: skip


def with_trouble(diagnosis: Diagnosis, end: DeviceEnd, said: tuple[Said, ...] = ()) -> Diagnosis:
    """What the session with the device saw of its end comes first: the UART's text alone cannot tell a hang."""
    if end.kind == "done":
        return diagnosis
    wanted = TROUBLE[end.kind]
    if "kind=watchdog" in end.detail:
        wanted = "device.watchdog_reset"
    elif end.kind == "reset" and "reset=watchdog" not in end.detail:
        wanted = "device.hard_fault"
    known = next((c for c in diagnosis.causes if c.id == wanted), None)
    last = f"uart {said[-1].line}: `{said[-1].name}` is the last that the device said" if said else "uart: no event"
    first = known or Cause(id=wanted, side="device", confidence="certain", evidence=(last,), explain=end.detail)
    rest = tuple(c for c in diagnosis.causes if c.id != wanted)
    return msgspec.structs.replace(diagnosis, outcome="failed", causes=(first, *rest))


def _stack(collected: Collected, target: Target) -> str:
    boot = next((s for s in collected.said if s.name == "boot"), None)
    return (boot.fields.get("stack") if boot else "") or target.stack


def _there(workdir: Path) -> Evidence:
    """Paths of what exists."""
    names = {"capture": "capture.pcapng", "uart": "uart.log", "broker_log": "broker.log",
             "broker_config": "mosquitto.conf", "keylog": "secrets/keys.log", "flash_log": "openocd.log"}  # fmt: skip
    found: dict[str, Any] = {key: workdir / name for key, name in names.items() if (workdir / name).is_file()}
    return Evidence(**found)


DIMENSIONS = {"versions": "versions", "suites": "suites", "suites12": "suites", "suites13": "suites",
              "groups": "groups", "sigalgs": "signature_algorithms",
              "signature_algorithms": "signature_algorithms"}  # fmt: skip


def _differences(fit: Fit | None) -> tuple[SetDifference, ...]:
    found = []
    for dimension in fit.dimensions if fit is not None else ():
        name: Any = DIMENSIONS.get(dimension.name)
        if name is not None and dimension.accepted is not None:
            found.append(
                SetDifference(
                    dimension=name, offered=dimension.offered, accepted=dimension.accepted, common=dimension.common
                )
            )
    return tuple(found)


def _verdict(
    item: PlanItem, ruling: Ruling, attempts: tuple[Attempt, ...], seconds: float, *, fit: Fit | None = None,
    seen: Seen | None = None,
) -> Verdict:  # fmt: skip
    return Verdict(
        id=item.id, target=item.target, profile=item.profile, title=item.scenario.title, clause=item.scenario.clause,
        level=item.scenario.level, verdict=ruling.verdict, why=ruling.why or ruling.verdict,
        causes=with_fixes(ruling.causes, seen.target.stack if seen else ""),
        alerts=tuple(a for a in (seen.alerts() if seen else ()) if a.code != 0), attempts=attempts,
        expected_alerts=ruling.expected_alerts, differences=_differences(fit), seconds=round(seconds, 3),
        notes=tuple(dict.fromkeys(ruling.notes)),
    )  # fmt: skip


def _final(bench: Bench, verdict: Verdict) -> Verdict:
    """Known failures of the target, and a pass that needed another try."""
    name: VerdictName
    name, note = with_known(verdict.verdict, list(verdict.causes), verdict.id, bench.target.known, provision.today())
    notes = (*verdict.notes, note) if note else verdict.notes
    if len(verdict.attempts) > 1 and name in ("pass", "warn", "fixed"):
        first = verdict.attempts[0]
        name, notes = "flaky", (*notes, f"attempt 1 was {first.verdict}: {first.why}")
    return msgspec.structs.replace(verdict, verdict=name, notes=notes)


@contextmanager
def only_hil_errors(item: PlanItem) -> Iterator[None]:
    """Context for callers that want one line instead of a traceback from what is not the bench's to handle."""
    try:
        yield
    except HilError as error:
        raise type(error)(f"{item.node}: {error.what}", error.fix) from error
