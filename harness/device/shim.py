"""The command-level session with a device: settings in, events out (docs/shim-protocol.md).

A `Shim` reads the console in the caller's thread: every call takes in what has come, so `events`, `boots`, `lost` are
current after any of them. What a device does wrong comes out as a `DeviceTrouble`; what the bench's own line does wrong
(port gone, disk full) as a LabError from the console.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Collection
from typing import NoReturn

from harness.device import shimline
from harness.device.console import Console, ConsoleTimeout
from harness.device.shimline import ShimEvent

ANSWER_TIMEOUT = 1.0  # s a command waits for its answer before it is sent again
PUT_TIMEOUT = 1.4  # longer than the second after which the device itself gives a PUT up
BYTES_PER_SECOND = 4000  # slowest transfer of a PUT that is still progress (115200 baud give 11,520)
ATTEMPTS = 5
SILENCE = 6.0  # s without any line of a running device: a hang (a tick comes every second)
LOOK = 0.1  # s between two looks at whether the device is alive
MAX_EVENTS = 20000

_PROGRESS = frozenset({"net", "tcp", "tls", "api", "mqtt", "step", "mark", "done", "tick"})


class DeviceTrouble(Exception):
    """The device, not the lab. `cause` is its id in causes.toml; the text names the state it was in."""

    cause = "device.hang"

    def __init__(self, what: str, event: ShimEvent | None = None) -> None:
        super().__init__(what)
        self.event = event


class DeviceHang(DeviceTrouble):
    """Alive once, then silent or without the expected event for the whole bound."""


class DeviceSilent(DeviceTrouble):
    """Nothing at all came out of it."""

    cause = "device.silent"


class DeviceFault(DeviceTrouble):
    """A `fault` event; `event` has its registers. A watchdog's has the cause `device.watchdog_reset`."""

    cause = "device.hard_fault"

    def __init__(self, what: str, event: ShimEvent | None = None) -> None:
        super().__init__(what, event)
        if event is not None and event.fields.get("kind") == "watchdog":
            self.cause = "device.watchdog_reset"


class DeviceDied(DeviceTrouble):
    """It can no longer answer: process ended, emulator aborted."""

    cause = "device.hard_fault"


class DeviceRebooted(DeviceTrouble):
    """A `boot` nobody asked for, with no fault before it."""

    cause = "device.watchdog_reset"


class CommandRefused(DeviceTrouble):
    """The shim answered `err`; `reason` is its word for why."""

    def __init__(self, what: str, reason: str, event: ShimEvent | None = None) -> None:
        super().__init__(f"{what}: {reason}", event)
        self.reason = reason


class Shim:
    """`alive` says whether the device still can answer; `last_words` how it ended (see Board)."""

    def __init__(
        self,
        console: Console,
        *,
        alive: Callable[[], bool] = lambda: True,
        last_words: Callable[[], str] = lambda: "",
        silence: float = SILENCE,
    ) -> None:
        self._console = console
        self._alive = alive
        self._last_words = last_words
        self._silence = silence
        self._line = console.count  # console lines taken in
        self._next = 0  # events handed out by wait_event
        self._dropped = 0  # events forgotten at the front of `events`
        self._expect: int | None = None  # sequence number of the next event
        self._heard = time.monotonic()
        self.events: list[ShimEvent] = []
        self.boots = 0
        self.lost = 0  # events whose sequence numbers never came
        self.damaged = 0  # markers with no valid line behind them
        self.state = ""  # of the last tick or milestone, for messages
        self.repeats = 0  # commands sent again

    # -- waiting --

    def wait_ready(self, timeout: float) -> ShimEvent:
        """Waits for `ready`; returns the `boot` event before it. DeviceSilent when there was no boot at all."""
        try:
            self.wait_event(("ready",), timeout, boot_ok=True, silence=timeout)
        except DeviceHang as error:
            if not any(event.name == "boot" for event in self.events):
                said = self._console.tail(1)
                seen = f"last on the UART: {said[-1].text[:120]}" if said else "nothing on the UART"
                raise DeviceSilent(f"no boot line within {timeout:g} s; {seen}") from error
            raise
        boot = next((event for event in reversed(self.events) if event.name == "boot"), None)
        if boot is None:
            raise DeviceHang("ready without a boot line: the start of the UART was lost")
        return boot

    def wait_event(
        self, names: Collection[str], timeout: float, *, boot_ok: bool = False, silence: float | None = None
    ) -> ShimEvent:
        """The next event not handed out yet whose name is in `names`; those before it are passed over.

        Raises DeviceFault, DeviceRebooted (unless `boot_ok`), DeviceDied, and DeviceHang when nothing came for
        `silence` seconds (default: the session's) or the event not within `timeout`.
        """
        deadline = time.monotonic() + timeout
        silence = self._silence if silence is None else silence
        self._heard = time.monotonic()
        while True:
            found = self._take(names, boot_ok)
            if found is not None:
                return found
            now = time.monotonic()
            what = "/".join(names)
            if now >= deadline:
                raise DeviceHang(f"no {what} within {timeout:g} s; state {self.state or 'unknown'}", self._last())
            if now - self._heard >= silence:
                raise DeviceHang(
                    f"silent for {silence:g} s while waiting for {what}; state {self.state or 'unknown'}", self._last()
                )
            self._listen(min(LOOK, deadline - now))

    def poll(self) -> None:
        """Takes in what has come, without waiting."""
        self._read(0.0)

    def forget(self) -> None:
        """Passes over every event so far: call it before a reset, so that `wait_ready` sees the new boot only."""
        self.poll()
        self._next = len(self.events)

    # -- commands --

    def set(self, key: str, value: str) -> None:
        """SET; repeated while unanswered. CommandRefused with the shim's reason (`unknown`, `bad_value`, …)."""
        self._command(("SET", key, shimline.escape(value)), "key", key)

    def put(self, name: str, data: bytes) -> None:
        """PUT with its bytes; the device's hash of them must be ours. An empty `data` clears the slot."""
        expected = {"name": name, "len": str(len(data)), "crc32": f"{zlib.crc32(data):08x}"}
        line = shimline.command("PUT", name, str(len(data)))
        patience = PUT_TIMEOUT + len(data) / BYTES_PER_SECOND
        trouble = ""
        for attempt in range(ATTEMPTS):
            self.repeats += attempt > 0
            mark = self._mark()
            self._send(line)
            answer = self._answer("PUT", "name", name, mark, PUT_TIMEOUT)
            if answer is None:
                trouble = "no answer"
                continue
            if answer.name == "err":
                trouble = self._refusal(answer)
                continue
            self._send(data)
            done = self._answer("PUT", "name", name, mark, patience, stored=True)
            if done is not None and done.name == "put" and expected.items() <= done.fields.items():
                return
            trouble = "no answer to the bytes" if done is None else f"{done.name} {done.fields}"
        self._give_up(f"PUT {name} ({len(data)} bytes)", trouble)

    def run(self) -> None:
        """RUN. Returns when the device has begun; `wait_event(("done",), …)` follows."""
        line = shimline.command("RUN")
        trouble = ""
        for attempt in range(ATTEMPTS):
            self.repeats += attempt > 0
            mark = self._mark()
            self._send(line)
            # RUN is not idempotent: a device whose answer got lost shows that it runs by its first tick.
            answer = self._answer("RUN", "", "", mark, PUT_TIMEOUT, instead=_PROGRESS)
            if answer is not None and answer.name != "err":
                return
            trouble = "no answer" if answer is None else self._refusal(answer)
        self._give_up("RUN", trouble)

    def reset(self) -> None:
        """RESET, where the device listens (not while it runs: that is Board.reset). `wait_ready` follows."""
        self._command(("RESET",), "", "")

    # -- inside --

    def _command(self, words: tuple[str, ...], field: str, value: str) -> None:
        line = shimline.command(*words)
        trouble = ""
        for attempt in range(ATTEMPTS):
            self.repeats += attempt > 0
            mark = self._mark()
            self._send(line)
            answer = self._answer(words[0], field, value, mark, ANSWER_TIMEOUT)
            if answer is not None and answer.name == "ok":
                return
            trouble = "no answer" if answer is None else self._refusal(answer)
        self._give_up(" ".join(words[:2]), trouble)

    def _refusal(self, answer: ShimEvent) -> str:
        """Why the shim said `err`, if saying it again can help (the line was damaged); otherwise raises."""
        reason = answer.fields.get("reason", "?")
        damaged = reason in ("crc", "timeout", "too_long") or answer.fields.get("cmd") == "?"
        if not damaged:
            subject = answer.fields.get("key") or answer.fields.get("name") or ""
            raise CommandRefused(f"{answer.fields.get('cmd', '?')} {subject}".strip(), reason, answer)
        return reason

    def _give_up(self, what: str, trouble: str) -> NoReturn:
        raise DeviceHang(f"{what}: {trouble} after {ATTEMPTS} attempts; state {self.state or 'unknown'}", self._last())

    def _answer(
        self, cmd: str, field: str, value: str, mark: int, timeout: float, *,
        stored: bool = False, instead: Collection[str] = (),
    ) -> ShimEvent | None:  # fmt: skip
        """The answer to `cmd` among the events from `mark` on; None after `timeout`. `stored`: wait for `put`."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events[mark - self._dropped :]:
                self._raise_trouble(event, boot_ok=False)
                if event.name in instead:
                    return event
                if event.name == "err" and event.fields.get("cmd") in (cmd, "?"):
                    named = event.fields.get(field, value)
                    if named == value:
                        return event
                if event.name == "put" and stored and event.fields.get("name") == value:
                    return event
                matches = event.name == "ok" and event.fields.get("cmd") == cmd and not stored
                if matches and event.fields.get(field, value) == value:
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._listen(min(LOOK, left))

    def _send(self, data: bytes) -> None:
        try:
            self._console.send(data)
        except ConsoleTimeout as error:
            raise DeviceHang(f"{error}; state {self.state or 'unknown'}", self._last()) from error

    def _mark(self) -> int:
        """Number of the next event to come; answers to what is sent now come from here on."""
        self.poll()
        return self._dropped + len(self.events)

    def _last(self) -> ShimEvent | None:
        return self.events[-1] if self.events else None

    def _listen(self, timeout: float) -> None:
        if self._read(timeout) or self._alive():
            return
        self._read(0.0)  # what it said before it died
        for event in self.events[self._next :]:
            self._raise_trouble(event, boot_ok=True)
        words = self._last_words() or "it ended"
        raise DeviceDied(f"{words}; state {self.state or 'unknown'}", self._last())

    def _read(self, timeout: float) -> bool:
        lines = self._console.wait_marked(self._line, timeout)
        for line in lines:
            self._line = line.seq + 1
            parsed = shimline.parse(line.text, line.t, line.number)
            self.damaged += parsed.damaged
            for event in parsed.events:
                self._note(event)
        return bool(lines)

    def _note(self, event: ShimEvent) -> None:
        if event.name == "boot":
            self.boots += 1
        elif self._expect is not None and event.seq > self._expect:
            self.lost += event.seq - self._expect
        self._expect = event.seq + 1
        self._heard = time.monotonic()
        state = event.fields.get("state")
        if event.name == "tick" and state:
            self.state = state
        elif event.name in ("boot", "ready", "net", "tcp", "tls", "mqtt", "done"):
            self.state = f"{event.name} {state}" if state else event.name
        self.events.append(event)
        if len(self.events) > MAX_EVENTS:
            cut = len(self.events) - MAX_EVENTS
            del self.events[:cut]
            self._dropped += cut
            self._next = max(0, self._next - cut)

    def _take(self, names: Collection[str], boot_ok: bool) -> ShimEvent | None:
        while self._next < len(self.events):
            event = self.events[self._next]
            self._next += 1
            if event.name in names:
                return event
            self._raise_trouble(event, boot_ok)
        return None

    def _raise_trouble(self, event: ShimEvent, boot_ok: bool) -> None:
        if event.name == "fault":
            registers = " ".join(f"{key}={value}" for key, value in event.fields.items())
            raise DeviceFault(f"{registers}; state {self.state or 'unknown'}", event)
        if event.name == "boot" and not boot_ok:
            raise DeviceRebooted(f"it booted again, reset={event.fields.get('reset', '?')}", event)
