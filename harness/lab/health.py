"""The smoke test of a board before a night: `examine(entry, …)` goes the way a scenario goes, a step at a time.

    attached   probe and console are there (milliseconds, nothing is touched)
    probe      the probe answers, is the only one meant, and the microcontroller behind it is the target's
    flash      the target's image is written and verified (or was there already)
    boot       after a reset its first words come, within the target's boot_ms
    uart       what it says is text; firmware with the shim also answers a command: both directions, right bit rate
    network    one scenario of the engine: the device reaches the broker (what it does there is the run's business)

Each step has its own bound. After one that failed, what needs it is left out, by name: nothing that was not looked at
counts as good. `device` and `engine` are how it touches the world, so that the order of things is tested without any.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from harness.device.console import Console, ConsoleTimeout
from harness.device.shim import DeviceTrouble, Shim
from harness.errors import HilError, LabError
from harness.lab.inventory import BoardEntry
from harness.model import Verdict
from harness.target import Target

STEPS = ("attached", "probe", "flash", "boot", "uart", "network")
NEEDS: dict[str, tuple[str, ...]] = {
    "probe": ("attached",), "flash": ("probe",), "boot": ("probe",), "uart": ("boot",), "network": ("probe", "boot"),
}  # fmt: skip
"""Which earlier steps must not have failed."""
IDENTIFY_S = 60.0  # bound of a back-end's identify; its own phases are shorter
LINES = 20  # of an unmodified image, looked at for text
LISTEN_S = 5.0  # how long an unmodified image may take to say so many
GARBAGE = 0.1  # share of escaped bytes from which a line is no text
NEVER_REACHED = ("network.", "device.", "lab.")
"""Causes with which nobody can say that something of the device arrived at the broker."""

Result = Literal["ok", "failed", "left out"]
Say = Callable[[str], None]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. `bound` in s; `cause` is a `lab.*` id for a step that failed."""

    board: str
    step: str
    result: Result
    seconds: float
    bound: float
    what: str
    fix: str = ""
    cause: str = ""


class Device(Protocol):
    """A board under examination (harness/commands/check.py). All calls are bounded and raise HilErrors."""

    def missing(self) -> LabError | None: ...
    def identify(self) -> str: ...
    def flash(self, say: Say) -> str: ...
    def console(self) -> contextlib.AbstractContextManager[Console]: ...
    def halt(self) -> None: ...
    def reset(self) -> None: ...
    def connect(self) -> tuple[Verdict | None, str]:
        """The verdict of one scenario, or None and why there is none."""


class LeftOut(Exception):
    """A step that does not apply to this board, and why."""


def examine(
    entry: BoardEntry, target: Target, device: Device, *, flash: bool = True, say: Say = lambda text: None
) -> list[Step]:
    """Every step, in order."""
    return _Examination(entry, target, device, flash, say).all()


def fit(steps: list[Step]) -> bool:
    return not any(step.result == "failed" for step in steps)


class _Examination:
    def __init__(self, entry: BoardEntry, target: Target, device: Device, flash: bool, say: Say) -> None:
        self._entry, self._target, self._device, self._may_flash, self._say = entry, target, device, flash, say
        self._done: dict[str, Step] = {}
        self._broken: set[str] = set()  # failed, or left out for one that did
        self._heard: Console | None = None
        self._shim: Shim | None = None

    def all(self) -> list[Step]:
        with contextlib.ExitStack() as stack:
            for name in ("attached", "probe", "flash"):
                self._step(name, getattr(self, f"_{name}"))
            self._step("boot", lambda: self._boot(stack))
            self._step("uart", self._uart)
        self._step("network", self._network)  # the console is the engine's by now
        return [self._done[name] for name in STEPS]

    def _step(self, name: str, work: Callable[[], str]) -> None:
        bound = self._bound(name)
        broken = next((n for n in NEEDS.get(name, ()) if n in self._broken), "")
        begun = time.monotonic()
        result: Result = "ok"
        cause = fix = ""
        if broken:
            result, what = "left out", f"needs `{broken}`"
        else:
            self._say(f"{self._entry.id}: {name} (within {bound:g} s)")
            try:
                what = work()
            except LeftOut as reason:
                result, what = "left out", str(reason)
            except HilError as error:
                result, what, fix = "failed", error.what, error.fix
                cause = error.cause if isinstance(error, LabError) else ""
            except DeviceTrouble as trouble:
                result, what, cause = "failed", str(trouble), "lab.serial_missing"
                fix = f"is `serial` the right port and `baud` right? hil console {self._entry.id} --reset"
        if broken or result == "failed":
            self._broken.add(name)
        self._done[name] = Step(
            board=self._entry.id, step=name, result=result, seconds=round(time.monotonic() - begun, 3), bound=bound,
            what=_plain(what), fix=_plain(fix), cause=cause,
        )  # fmt: skip

    def _bound(self, name: str) -> float:
        limits = self._target.limits
        flash = float(self._entry.flash_timeout or self._target.flash.timeout_s)
        return {
            "attached": 1.0, "probe": IDENTIFY_S, "flash": self._target.build.timeout_s + flash,
            "boot": limits.boot_ms / 1000, "uart": LISTEN_S, "network": network_bound(self._entry, self._target),
        }[name]  # fmt: skip

    # -- the steps --

    def _attached(self) -> str:
        gone = self._device.missing()
        if gone is not None:
            raise gone
        return "probe and console are there"

    def _probe(self) -> str:
        self._no_process_yet()
        mcu = self._device.identify()
        expected = self._target.mcu
        return f"{mcu}, as the target's" if mcu and expected else mcu or "answers; it cannot tell the microcontroller"

    def _flash(self) -> str:
        self._no_process_yet()
        if not self._may_flash:
            raise LeftOut("not asked for (--no-flash)")
        return self._device.flash(self._say)

    def _boot(self, stack: contextlib.ExitStack) -> str:
        self._no_process_yet()
        self._device.halt()
        console = stack.enter_context(self._device.console())
        self._heard = console
        self._shim = Shim(console) if self._target.level != "observe" else None  # it takes what comes from here on
        begun = time.monotonic()
        self._device.reset()
        limit = self._target.limits.boot_ms / 1000
        if self._shim is None:
            try:
                line = console.wait_for(lambda one: bool(one.text.strip()), limit, "line after the reset")
            except ConsoleTimeout as error:
                raise DeviceTrouble(str(error)) from error
            return f"first line after {time.monotonic() - begun:.1f} s: {line.text[:60]}"
        boot = self._shim.wait_ready(limit)
        return f"ready after {time.monotonic() - begun:.1f} s, build {boot.fields.get('build', '?')}"

    def _uart(self) -> str:
        self._no_process_yet()
        if self._shim is not None and self._target.level == "command":
            self._shim.set("mqtt.keepalive", "30")
            if self._shim.lost or self._shim.damaged:
                lost, damaged = self._shim.lost, self._shim.damaged
                raise LabError("lab.serial_missing", f"{lost} lines lost, {damaged} damaged since the reset",
                               "check the cable, the ground and the bit rate")  # fmt: skip
            return "a command was answered, no line was lost"
        if self._heard is None:
            raise LeftOut("no console")
        return text_or_noise(_first_lines(self._heard))

    def _network(self) -> str:
        verdict, why = self._device.connect()
        if verdict is None:
            raise LeftOut(why)
        return reach(verdict)

    def _no_process_yet(self) -> None:
        if self._entry.virtual is True:
            raise LeftOut("each run makes this board itself")


def text_or_noise(lines: list[str]) -> str:
    """What an unmodified image said. A wrong bit rate gives bytes, but no text."""
    said = "".join(lines)
    escaped = said.count("\\x")
    if not said.strip():
        raise LabError("lab.serial_missing", "nothing but line ends", "is `baud` right?")
    if escaped * 4 > GARBAGE * len(said):
        raise LabError("lab.serial_missing", f"noise instead of text: {said[:60]}", "is `baud` right?")
    return f"{len(lines)} lines of text"


def reach(verdict: Verdict) -> str:
    """What a scenario's verdict says of the network. LabError when nothing arrived."""
    name = f"{verdict.id} is {verdict.verdict}"
    if verdict.verdict == "skip":
        raise LeftOut(f"{name}: {verdict.why}")
    first = verdict.causes[0] if verdict.causes else None
    cause = first.id if first is not None else ""
    if verdict.verdict == "lab" or (verdict.verdict == "fail" and (not cause or cause.startswith(NEVER_REACHED))):
        what = f"{name}: {verdict.why}"
        fix = (first.fix if first is not None else "") or "check `capture`, `broker_address`, cable and firewall"
        raise LabError(cause if cause.startswith("lab.") else "lab.capture_failed", what, fix)
    return f"reaches the broker; {name}" + (f" ({cause}: the device's own)" if cause else "")


def network_bound(entry: BoardEntry, target: Target) -> float:
    """For one scenario with everything around it, s."""
    limits = target.limits
    return (entry.flash_timeout or target.flash.timeout_s) + (limits.boot_ms + limits.connect_ms) / 1000 + 90.0


def _first_lines(console: Console) -> list[str]:
    deadline = time.monotonic() + LISTEN_S
    lines = [line.text for line in console.tail(LINES)]
    while len(lines) < LINES and (left := deadline - time.monotonic()) > 0:
        console.wait_lines(console.count, min(left, 0.5))
        lines = [line.text for line in console.tail(LINES)]
    return lines


def _plain(text: str) -> str:
    """One line: boards and tools are quoted here."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:300]


def table(steps: list[Step]) -> list[str]:
    """Rows for a terminal, with the next step below what failed."""
    rows = []
    width = max((len(step.board) for step in steps), default=0)
    for step in steps:
        rows.append(f"{step.board:{width}}  {step.step:8}  {step.result:8}  {step.seconds:6.1f} s  {step.what}")
        if step.result == "failed" and step.fix:
            rows.append(f"{'':{width}}  {'':8}  {'':8}  {'':8}  next: {step.fix}")
    return rows
