"""Records what the OpenOCD of this machine prints for each fault, as the log of a run without our own checks before
it: `python -m tests.flash.record FOLDER`. tests/flash/recorded/ was made so, with Debian's OpenOCD 0.12.0."""

from __future__ import annotations

import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from harness.device.flash import tools
from harness.device.flash.base import Rig, silent
from harness.device.flash.image import Facts
from harness.device.flash.openocd import OpenOcd
from harness.errors import HilError
from tests.flash.table import FAULTS, Fault, contents, rig_for
from tests.flash.vboard import virtual_board


class Unchecked(OpenOcd):
    """Straight to the writing: no look at the probes, the chip, the image or the configuration."""

    def _identify(self, rig: Rig, log: Path, say: object) -> str:
        return ""

    def selection(self, rig: Rig) -> tuple[str, ...]:
        return ()

    def tool(self, rig: Rig) -> tuple[str, ...]:
        return (tools.find("openocd")[0],)


def record(fault: Fault, folder: Path) -> None:
    with virtual_board("--machine", "none") as board, tempfile.TemporaryDirectory() as name:
        image, log = Path(name) / fault.image, Path(name) / "openocd.log"
        image.write_bytes(contents())
        if fault.fault:
            board.ask(f"fault {fault.fault}")
        rig = rig_for("board", board.jtag, fault)
        unchecked = Unchecked()
        if fault.name == "image-missing":
            image.unlink()
        with suppress(HilError):
            unchecked.write(rig, image, Facts(True, len(contents()), "bin"), log, silent)
        text = log.read_text().replace(str(board.folder), "DIR").replace(name, "IMAGE")
        (folder / f"{fault.name}.log").write_text(re.sub(r"(?m)^ *\d+\.\d{3} ", "   0.000 ", text))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda fault: record(fault, folder), (*FAULTS, Fault("good", "", ""))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
