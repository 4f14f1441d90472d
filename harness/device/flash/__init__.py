"""Puts an image onto a board: `put(rig, image, log, say=…)`, `flasher(name)` for a back-end by its name.

    base.py        Rig, Flasher, FlashError, Flashed
    ladder.py      put: remembered hash → program → bounded recovery → FlashError with `wedged`
    openocd.py     runs OpenOCD; openocd_judge.py decides what the run was (pure), by the rows of openocd_rows.py
    pyocd.py cubeprogrammer.py jlink.py probe_rs.py command.py    the other back-ends
    tool.py        a tool's process: phases, time-outs, SIGTERM then SIGKILL, log
    probes.py      which debug probe is meant, and whether it is the only one
    tools.py       `hil doctor`: which tool a target needs, and how to get it
"""

from harness.device.flash.backends import flasher
from harness.device.flash.base import Flashed, Flasher, FlashError, Rig, Say
from harness.device.flash.ladder import put

__all__ = ["FlashError", "Flashed", "Flasher", "Rig", "Say", "flasher", "put"]
