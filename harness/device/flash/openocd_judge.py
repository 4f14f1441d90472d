"""What a run of OpenOCD was: `judge(...)`. Pure: the exit status, the lines and what they must prove.

OpenOCD ends with 0 after programming the wrong chip, after writing nothing, and without an adapter. So a run is good
only when it ended with 0 *and* said everything that a good run says *and* none of what never stands in one. But an `Error:` line alone proves nothing ("Translation from khz to adapter speed not implemented", and all is well).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from harness.device.flash.openocd_rows import CONTACT, PROBE, ROWS
from harness.device.flash.rows import OK, Verdict, first_match

VERIFIED = "** Verified OK **"
RESET = "** Resetting Target **"
DONE = "** hil: done **"
SIGABRT = 128 + 6
_WROTE = re.compile(r"\bwrote (\d+) bytes from file\b")
_VERIFIED = re.compile(r"\bverified (\d+) bytes\b")


class Proof(NamedTuple):
    """What a run must have said. `size`: bytes of the image, each of which must have been written and compared; 0: none
    were to be. `write` is False when the image is only compared."""

    lines: tuple[str, ...] = (DONE,)
    size: int = 0
    write: bool = True


def programmed(size: int) -> Proof:
    return Proof(lines=(VERIFIED, RESET, DONE), size=size)


def judge(status: int, lines: Sequence[str], proof: Proof, *, timed_out: str = "", flooded: bool = False) -> Verdict:
    """`timed_out`: the phase in which it was ended by us, else ""."""
    never = first_match((row for row in ROWS if row.always), lines)
    if never is not None:
        return never
    if status == 0 and not timed_out:
        return _proved(lines, proof)
    found = first_match(ROWS, lines)
    if found is not None:
        return found
    last = _last(lines)
    if flooded:
        return Verdict(False, "lab.probe_silent", f"OpenOCD did not stop talking and was ended {timed_out}", PROBE, last)
    if timed_out:
        return Verdict(False, "lab.probe_silent", f"OpenOCD went silent and was ended {timed_out}", PROBE, last)
    if status > 128:
        return Verdict(False, "lab.probe_silent", f"OpenOCD was ended by signal {status - 128}", PROBE, last)
    said = f": {last[-1][:160]}" if last else ", and said nothing"
    return Verdict(False, "lab.flash_failed", f"OpenOCD ended with status {status}{said}", CONTACT, last)


def _proved(lines: Sequence[str], proof: Proof) -> Verdict:
    missing = [wanted for wanted in proof.lines if not any(wanted in line for line in lines)]
    if not missing and proof.size:
        counts = ([("wrote", _WROTE)] if proof.write else []) + [("verified", _VERIFIED)]
        for word, pattern in counts:
            total = sum(int(found.group(1)) for line in lines if (found := pattern.search(line)))
            if total < proof.size:
                missing.append(f"{word} {proof.size} bytes (it says {total})")
    if not missing:
        return OK
    # A row explains it better than the mere absence does.
    better = first_match(ROWS, lines)
    if better is not None:
        return better
    return Verdict(False, "lab.flash_failed", f"OpenOCD ended with 0 and never said `{missing[0]}`",
                   "see openocd.log: the configuration runs something else than asked", _last(lines))  # fmt: skip


def _last(lines: Sequence[str]) -> tuple[str, ...]:
    """The last lines that say something: errors before chatter."""
    said = [line for line in lines if line.strip()]
    errors = [line for line in said if line.startswith("Error")]
    return tuple((errors or said)[-3:])
