"""The command session against a device that loses, damages, floods, faults, reboots, hangs and dies."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.device import shim as shim_module
from harness.device import shimline
from harness.device.shim import (
    CommandRefused,
    DeviceDied,
    DeviceFault,
    DeviceHang,
    DeviceRebooted,
    DeviceSilent,
    Shim,
)
from tests.device.conftest import Bench

VECTORS = Path(__file__).parent.parent / "streams" / "shim_lines.json"


def test_boot_and_ready(bench: Bench) -> None:
    boot = next(event for event in bench.shim.events if event.name == "boot")
    assert boot.seq == 0
    assert boot.fields["stack"] == "none"
    assert bench.shim.boots == 1
    assert bench.shim.lost == 0
    assert abs(boot.t - time.time_ns()) < 20e9


def test_settings_run_and_done(bench: Bench) -> None:
    bench.shim.set("host", "broker with space.example%")
    bench.shim.put("ca", b"-----BEGIN CERTIFICATE-----\n" * 100)
    bench.shim.put("cert", b"")
    bench.shim.run()
    done = bench.shim.wait_event(("done",), 10.0)
    assert done.fields == {"result": "ok", "stage": "script", "rc": "0"}
    assert bench.shim.repeats == 0
    assert bench.shim.state == "done"


@pytest.mark.parametrize("lost", [1, 2])
def test_lost_answers_are_asked_for_again(bench: Bench, lost: int) -> None:
    bench.shim.set("fake.lose", str(lost))
    start = time.monotonic()
    bench.shim.set("host", "a")
    assert bench.shim.repeats == lost
    assert time.monotonic() - start < lost * shim_module.ANSWER_TIMEOUT + 1.0
    assert bench.shim.lost == lost


def test_a_put_whose_answer_is_lost(bench: Bench) -> None:
    bench.shim.set("fake.lose", "1")
    bench.shim.put("ca", bytes(range(256)) * 20)
    assert bench.shim.repeats >= 1


def test_a_put_that_arrived_damaged_is_repeated(bench: Bench) -> None:
    bench.shim.set("fake.corrupt", "1")
    bench.shim.put("ca", b"x" * 1000)
    assert bench.shim.repeats == 1


def test_run_is_not_started_twice_when_its_answer_is_lost(bench: Bench) -> None:
    bench.shim.set("fake.lose", "1")
    bench.shim.run()
    bench.shim.wait_event(("done",), 5.0)
    with pytest.raises(DeviceHang):
        bench.shim.wait_event(("done",), 0.5)
    assert bench.shim.repeats == 0


def test_a_silent_device_is_given_up_in_bounded_time(bench: Bench) -> None:
    bench.shim.set("fake.lose", "99")
    start = time.monotonic()
    with pytest.raises(DeviceHang, match="no answer after 5 attempts"):
        bench.shim.set("host", "a")
    assert time.monotonic() - start < 8.0


def test_a_refusal_says_why(bench: Bench) -> None:
    with pytest.raises(CommandRefused, match="SET nonsense: unknown") as refused:
        bench.shim.set("nonsense", "1")
    assert refused.value.reason == "unknown"


@pytest.mark.parametrize("trouble", ["noise", "glue"])
def test_foreign_text_around_every_line(bench: Bench, trouble: str) -> None:
    bench.shim.set(f"fake.{trouble}", "1")
    for n in range(20):
        bench.shim.set("host", f"h{n}")
    bench.shim.run()
    bench.shim.wait_event(("done",), 5.0)
    assert bench.shim.repeats == 0
    assert bench.shim.lost == 0


def test_lost_bytes_cost_one_event_and_are_counted(bench: Bench) -> None:
    bench.shim.set("fake.cut", "3")
    bench.shim.set("host", "a")
    assert bench.shim.repeats == 1
    assert bench.shim.damaged == 1
    assert bench.shim.lost == 1


def test_a_115200_baud_line(bench: Bench) -> None:
    bench.shim.set("fake.slow", "11520")
    for _ in range(5):
        bench.shim.set("host", "a.example")
    assert bench.shim.repeats == 0


@pytest.mark.parametrize(
    ("end", "error", "cause", "text"),
    [
        ("fault", DeviceFault, "device.hard_fault", "pc=08001234"),
        ("watchdog", DeviceFault, "device.watchdog_reset", "kind=watchdog"),
        ("reboot", DeviceRebooted, "device.watchdog_reset", "reset=pin"),
        ("segv", DeviceDied, "device.hard_fault", "SIGSEGV"),
        ("exit", DeviceDied, "device.hard_fault", "status 3: out of luck"),
    ],
)
def test_what_a_device_can_do_instead_of_finishing(
    bench: Bench, end: str, error: type[shim_module.DeviceTrouble], cause: str, text: str
) -> None:
    bench.shim.set("fake.end", end)
    bench.shim.run()
    with pytest.raises(error, match=text) as raised:
        bench.shim.wait_event(("done",), 10.0)
    assert raised.value.cause == cause


def test_a_hang_that_still_ticks_ends_at_the_bound(bench: Bench) -> None:
    bench.shim.set("fake.end", "hang")
    bench.shim.run()
    with pytest.raises(DeviceHang, match=r"no done within 1 s; state tls") as hang:
        bench.shim.wait_event(("done",), 1.0)
    assert hang.value.cause == "device.hang"


def test_silence_ends_before_the_bound(bench: Bench) -> None:
    bench.shim.set("fake.end", "silent")
    bench.shim.run()
    start = time.monotonic()
    with pytest.raises(DeviceHang, match=r"silent for 0\.5 s while waiting for done; state tcp connected"):
        bench.shim.wait_event(("done",), 30.0, silence=0.5)
    assert time.monotonic() - start < 3.0


def test_reset_by_command_and_by_board(bench: Bench) -> None:
    bench.shim.reset()
    assert bench.shim.wait_ready(5.0).fields["reset"] == "software"
    bench.shim.set("fake.end", "silent")
    bench.shim.run()
    bench.shim.forget()
    bench.board.reset()
    assert bench.shim.wait_ready(10.0).fields["reset"] == "power"
    assert bench.shim.boots == 3
    bench.shim.set("host", "a")


def test_no_boot_is_silence(bench: Bench) -> None:
    second = Shim(bench.console)
    with pytest.raises(DeviceSilent, match="no boot line") as silent:
        second.wait_ready(0.3)
    assert silent.value.cause == "device.silent"


def test_a_flood_does_not_hide_events_or_fill_the_disk(bench: Bench) -> None:
    bench.shim.set("fake.flood", str(50 << 20))
    bench.shim.run()
    bench.shim.wait_event(("done",), 60.0)
    assert bench.shim.lost == 0
    assert bench.log.stat().st_size < 25 << 20
    bench.console.close()
    text = bench.uart()
    assert "log full" in text
    assert "are not in this log" in text
    assert "done result=ok" in text


def test_vectors() -> None:
    """The lines every reader of the protocol must agree on."""
    for case in json.loads(VECTORS.read_text()):
        parsed = shimline.parse(case["line"])
        seen = [{"seq": e.seq, "ms": e.ms, "event": e.name, "fields": e.fields} for e in parsed.events]
        assert seen == case["events"], case["line"]
        assert parsed.damaged == case["damaged"], case["line"]


@pytest.mark.parametrize("value", ["", "a b", "100%", "ü", "a=b", "*1234", "\n@H1 "])
def test_escaping_round_trips(value: str) -> None:
    escaped = shimline.escape(value)
    assert escaped.isascii()
    assert " " not in escaped
    assert "\n" not in escaped
    assert shimline.unescape(escaped) == value


def test_a_command_that_does_not_fit_is_refused_here() -> None:
    with pytest.raises(ValueError, match="640"):
        shimline.command("SET", "host", "x" * 700)
    assert shimline.crc16(b"123456789") == 0x29B1  # the published check value
    assert shimline.command("RUN") == b"RUN *a30c\n"
