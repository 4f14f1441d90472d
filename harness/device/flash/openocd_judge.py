"""What a run of OpenOCD was: `judge(...)`. Pure: the exit status, the lines and what they must prove.

OpenOCD ends with 0 after programming the wrong chip, after writing nothing, and without an adapter. So a run is good
only when it ended with 0 *and* said everything that a good run says *and* none of what never stands in one. But an
`Error:` line alone proves nothing ("Translation from khz to adapter speed not implemented", and all is well).
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
VTOR = 0xE000ED08
MARK = 0x2FFFFF80
"""Written to the vector table's register before a reset, which clears it. OpenOCD says nothing of a reset that the
board ignores, and leaves the core standing where the loader ended. No firmware has its vectors there."""
_WROTE = re.compile(r"\bwrote (\d+) bytes from file\b")
_MARK = re.compile(rf"^0x{VTOR:08x}: ([0-9a-f]{{8}})\b")
_VERIFIED = re.compile(r"\bverified (\d+) bytes\b")


class Proof(NamedTuple):
    """What a run must have said. `size`: bytes of the image, each of which must have been written and compared; 0: none
    were to be. `write` is False when the image is only compared. `reset`: the mark must be gone (`reset_steps`)."""

    lines: tuple[str, ...] = (DONE,)
    size: int = 0
    write: bool = True
    reset: bool = False


def programmed(size: int) -> Proof:
    return Proof(lines=(VERIFIED, RESET, DONE), size=size, reset=True)


def reset_steps() -> tuple[str, ...]:
    """Reset and run, in OpenOCD's words, so that `judge` can tell whether it happened. The second look may fail:
    firmware may turn its debug pins off at once."""
    look = f"catch {{echo [mdw 0x{VTOR:08x}]}}"
    return (f"echo {{{RESET}}}", f"catch {{mww 0x{VTOR:08x} 0x{MARK:08x}}}", look, "reset run", look)


def judge(
    status: int, lines: Sequence[str], proof: Proof, *, timed_out: str = "", flooded: bool = False, unread: int = 0
) -> Verdict:
    """`timed_out`: the phase in which it was ended by us, else "". `unread`: lines that were too many to be kept."""
    never = first_match((row for row in ROWS if row.always), lines)
    if never is not None:
        return never
    if status == 0 and not timed_out and not unread:
        return _proved(lines, proof)
    found = first_match(ROWS, lines)
    if found is not None:
        return found
    last = _last(lines)
    if flooded:
        return Verdict(False, "lab.probe_silent", f"OpenOCD would not stop talking: ended {timed_out}", PROBE, last)
    if timed_out:
        return Verdict(False, "lab.probe_silent", f"OpenOCD went silent and was ended {timed_out}", PROBE, last)
    if status == 0:
        return Verdict(False, "lab.flash_failed", f"OpenOCD ended with 0, and {unread} of its lines were too many to be"
                       " judged", "see openocd.log: what does the configuration print?", last)  # fmt: skip
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
        return OK if not proof.reset else _was_reset(lines)
    # A row explains it better than the mere absence does.
    better = first_match(ROWS, lines)
    if better is not None:
        return better
    return Verdict(False, "lab.flash_failed", f"OpenOCD ended with 0 and never said `{missing[0]}`",
                   "see openocd.log: the configuration runs something else than asked", _last(lines))  # fmt: skip


def _was_reset(lines: Sequence[str]) -> Verdict:
    """A mark that did not hold (a core without the register) or cannot be read afterwards proves nothing either way."""
    seen = [line for line in lines if _MARK.match(line)]
    if len(seen) < 2 or any(int(line.partition(": ")[2][:8], 16) != MARK for line in (seen[-2], seen[-1])):
        return OK
    return Verdict(False, "lab.flash_failed", "the board ignored the reset; its core stands where it was", CONTACT,
                   tuple(seen[-1:]), "reset ignored")  # fmt: skip


def _last(lines: Sequence[str]) -> tuple[str, ...]:
    """The last lines that say something: errors before chatter."""
    said = [line for line in lines if line.strip()]
    errors = [line for line in said if line.startswith("Error")]
    return tuple((errors or said)[-3:])
