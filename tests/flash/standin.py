"""Stand-ins for flashing tools that no machine of ours has: programs that note how they were called and print what
their documentation, source or users say the real one prints. They prove our words to a tool and our judgement of its
words, not the tool."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

from harness.device.flash.base import Rig

CODE = """#!{python}
import json, pathlib, sys, time
here = pathlib.Path({folder!r})
text = " ".join(sys.argv[1:])
for word in sys.argv[1:]:
    if word.endswith(".jlink"):
        text += " | " + " ; ".join(pathlib.Path(word).read_text().split("\\n"))
with (here / "calls").open("a") as calls:
    calls.write(text + "\\n")
for when, say, status in json.loads((here / "replies").read_text()):
    if when in text:
        if status == "silent":
            time.sleep(120)
        print(say)
        sys.exit(status)
sys.exit(99)
"""
SERIAL = "0669FF3130"


class Reply(NamedTuple):
    """What is printed, and the exit status, when the call's words hold `when`."""

    when: str
    say: str
    status: int | str = 0


class StandIn:
    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.path = folder / name
        self.path.write_text(CODE.format(python=sys.executable, folder=str(folder)))
        self.path.chmod(0o755)
        (folder / "calls").touch()

    def says(self, *replies: Reply) -> None:
        (self.folder / "replies").write_text(json.dumps(replies))

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


def usb(folder: Path, *devices: tuple[str, str, str]) -> Path:
    """A folder like /sys/bus/usb/devices: path, id and serial number of each device."""
    folder.mkdir(exist_ok=True)
    for path, usb_id, serial in devices:
        device = folder / path
        device.mkdir()
        vendor, _, product = usb_id.partition(":")
        (device / "idVendor").write_text(vendor + "\n")
        (device / "idProduct").write_text(product + "\n")
        if serial:
            (device / "serial").write_text(serial + "\n")
    return folder


def rig(flasher: str, config: str, **more: object) -> Rig:
    values: dict[str, object] = {
        "board": "b1", "target": "h563", "flasher": flasher, "config": config, "address": 0x08000000,
        "probe_id": SERIAL, "timeout_s": 60, "mcu": "0x484",
    }  # fmt: skip
    return Rig(**(values | more))  # type: ignore[arg-type]
