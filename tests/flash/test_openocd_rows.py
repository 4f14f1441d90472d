"""Every fault of the table, live: real OpenOCD, a virtual board with that fault, `put` as the engine calls it. The
right cause, exit 10, bounded time, and a second board that is flashed and works all the while.

All faults run at once (most of their time is OpenOCD's own waiting), in whichever xdist worker comes first; the tests
look at what came of it.
"""

from __future__ import annotations

import fcntl
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.device import flash
from harness.device.flash.base import silent
from harness.errors import EXIT_LAB, LabError
from tests.flash.table import FAULTS, FLASH, Fault, contents, rig_for
from tests.flash.vboard import virtual_board

AT_ONCE = 9
OVER = 14.0  # s beyond timeout_s: one phase that began in time, and a killed OpenOCD
HEALTHY = "healthy"


def attempt(fault: Fault, folder: Path) -> dict[str, Any]:
    """One `put` onto a board with this fault, as plain data."""
    folder.mkdir()
    image, log = folder / fault.image, folder / "openocd.log"
    if fault.name != "image-missing":
        image.write_bytes(contents())
    with virtual_board("--machine", "none") as board:
        if fault.fault:
            board.ask(f"fault {fault.fault}")
        start = time.monotonic()
        result: dict[str, Any] = {"cause": "", "recovered": [], "wedged": False, "code": 0, "what": "", "trouble": []}
        try:
            done = flash.put(rig_for(fault.name, board.jtag, fault), image, log, say=silent)
            result |= {"recovered": list(done.recovered), "trouble": list(done.trouble)}
            result["holds"] = board.ask(f"sha256 0x{FLASH:x} {len(contents())}").split()[-1] == done.sha256
        except LabError as error:
            result |= {"cause": error.cause, "code": error.exit_code, "what": str(error)}
            if isinstance(error, flash.FlashError):
                result |= {"wedged": error.wedged, "evidence": list(error.evidence)}
        return result | {"seconds": time.monotonic() - start, "log": log.read_text() if log.exists() else ""}


def keep_flashing(folder: Path, stop: threading.Event) -> dict[str, Any]:
    """The healthy neighbour: another image each time, until the faulty boards are through."""
    folder.mkdir()
    image, rounds, wrong = folder / "image.bin", 0, []
    with virtual_board("--machine", "none") as board:
        rig = rig_for(HEALTHY, board.jtag)
        while not stop.is_set() or rounds < 3:
            rounds += 1
            image.write_bytes(contents(rounds))
            done = flash.put(rig, image, folder / "openocd.log", say=silent)
            held = board.ask(f"sha256 0x{FLASH:x} {len(contents())}").split()[-1]
            if held != done.sha256 or done.recovered:
                wrong.append(f"round {rounds}: {done} holds {held}")
    return {"rounds": rounds, "wrong": wrong}


@pytest.fixture(scope="session")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    base = tmp_path_factory.getbasetemp()
    shared = (base if base.name.startswith("pytest-") else base.parent) / "flash-rows"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = shared / "outcome.json"
        if not kept.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("HIL_STATE", str(shared / "state"))
                kept.write_text(json.dumps(run_all(shared)))
    found: dict[str, dict[str, Any]] = json.loads(kept.read_text())
    return found


def run_all(folder: Path) -> dict[str, dict[str, Any]]:
    stop = threading.Event()
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        neighbour = pool.submit(keep_flashing, folder / HEALTHY, stop)
        slow_first = sorted(FAULTS, key=lambda fault: fault.fault not in ("bsy_stuck", "probe_silent", "loader_stuck"))
        running = {fault.name: pool.submit(attempt, fault, folder / fault.name) for fault in slow_first}
        try:
            results = {name: future.result() for name, future in running.items()}
        finally:
            stop.set()
        return results | {HEALTHY: neighbour.result()}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault: Fault, outcome: dict[str, dict[str, Any]]) -> None:
    result = outcome[fault.name]
    assert result["seconds"] < fault.timeout_s + OVER
    if fault.mends:
        # It struck once: the ladder put it right, said so, and the board holds the image.
        assert result["cause"] == ""
        assert result["recovered"]
        assert result["trouble"][0].startswith(f"{fault.cause}: ")
        assert result["holds"]
        return
    assert (result["cause"], result["code"]) == (fault.cause, EXIT_LAB), result["what"]
    assert result["wedged"] == fault.wedged
    assert "\n" not in result["what"]
    assert result["what"].startswith((f"{fault.name}: ", "/"))
    for line in result.get("evidence", ()):
        assert line in result["log"]


def test_the_neighbour_is_unharmed(outcome: dict[str, dict[str, Any]]) -> None:
    healthy = outcome[HEALTHY]
    assert healthy["wrong"] == []
    assert healthy["rounds"] >= 3


def test_no_fault_ends_as_a_pass_unnoticed(outcome: dict[str, dict[str, Any]]) -> None:
    assert {name for name, result in outcome.items() if name != HEALTHY and not result["cause"]} == {
        fault.name for fault in FAULTS if fault.mends
    }


def test_a_wrong_board_is_never_written(outcome: dict[str, dict[str, Any]]) -> None:
    """The chip is looked at first, by an OpenOCD that is not asked to write."""
    for name in ("wrong-device-id", "wrong-idcode"):
        assert "flash write_image" not in outcome[name]["log"]
