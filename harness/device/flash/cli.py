"""What the flashers with a command line of their own have in common: which probe, one run, its verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from harness.device.flash import image as images
from harness.device.flash import probes, tools
from harness.device.flash.base import FlashError, Rig, Say, shown, silent
from harness.device.flash.probes import Probe
from harness.device.flash.rows import Row, judge_tool
from harness.device.flash.tool import Outcome, Phase, at_host, on_host, run

SHORT_S = 25.0  # for a reset or a look
WRITE_S, RATE = 60.0, 4096  # s for connecting and erasing; bytes/s written


class Piece(NamedTuple):
    """A part of the image as plain bytes in a file of its own, where the tool runs."""

    address: int
    path: str
    size: int


class Cli:
    """Base of a back-end. `kinds`: probes it drives. `rows`: what its lines mean."""

    name = ""
    kinds: tuple[str, ...] = probes.ANY
    rows: tuple[Row, ...] = ()

    def probe(self, rig: Rig) -> Probe:
        """The one probe that is meant; nothing is started when it is not there, or not alone."""
        probe = probes.meant(rig, self.kinds)
        same = [one for one in probes.attached(rig) if one.serial == probe.serial]
        if not probe.serial or len(same) > 1:
            what = f"has no serial number of its own ({', '.join(map(str, same[:4]))})"
            raise FlashError("lab.probe_ambiguous", f"{rig.board}: the probe at {probe.path} {what}",
                             "only openocd picks a probe by its USB path: set runner = \"openocd\"")  # fmt: skip
        return probe

    def call(
        self, rig: Rig, words: Sequence[str], log: Path, *, doing: str, proofs: Sequence[str] = (),
        seconds: float = SHORT_S, say: Say = silent, writes: bool = False,
    ) -> Outcome:  # fmt: skip
        """Runs the tool and judges it. FlashError when the run is not proved good. `writes`: it changes the flash."""
        argv = on_host(rig.prefix, (tools.program(rig), *words), seconds)
        outcome = run(argv, (Phase(doing, seconds, f"flash {rig.board}: {doing}"),), log, total=rig.timeout_s, say=say)
        timed_out = f"in phase {doing} ({outcome.seconds:.0f} s)" if outcome.timed_out else ""
        title = tools.TOOLS[rig.flasher].title
        verdict = judge_tool(title, self.rows, outcome.status, outcome.lines, proofs, timed_out=timed_out)
        if not verdict.ok:
            raise FlashError(verdict.cause, f"{rig.board}: {verdict.sentence}", f"{verdict.remedy} (see {shown(log)})",
                             evidence=verdict.matched, touched=writes, climb=verdict.climb)  # fmt: skip
        return outcome

    def holds(self, rig: Rig, image: Path, log: Path) -> bool:
        """Overridden where the tool compares without writing."""
        self.reset(rig, log)
        return True

    def reset(self, rig: Rig, log: Path) -> None:
        raise NotImplementedError


def write_seconds(image: Path, address: int) -> float:
    return WRITE_S + images.examine(image, address).size / RATE


@contextmanager
def pieces(rig: Rig, image: Path) -> Iterator[tuple[Piece, ...]]:
    """The image cut into plain bytes, for a tool that compares those."""
    with TemporaryDirectory(prefix="hil-flash-") as name, ExitStack() as stack:
        made = []
        for number, segment in enumerate(images.segments(image, rig.address)):
            file = Path(name) / f"{number}.bin"
            file.write_bytes(segment.data)
            made.append(Piece(segment.address, stack.enter_context(at_host(rig, file)), len(segment.data)))
        yield tuple(made)


def word_at(outcome: Outcome, pattern: str, rig: Rig) -> int:
    """The register's value in the tool's words: group 1 of `pattern`, hexadecimal. FlashError when it is not there."""
    for line in outcome.lines:
        found = re.search(pattern, line, re.IGNORECASE)
        if found:
            return int(found[1], 16)
    raise FlashError("lab.flash_failed", f"{rig.board}: no id could be read from the board", "see openocd.log",
                     evidence=outcome.lines[-3:])  # fmt: skip
