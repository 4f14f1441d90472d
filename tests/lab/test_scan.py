"""`hil boards --scan` against made-up USB trees: what it finds, how it names it, and that its output is a lab.toml."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from harness import target
from harness.commands import boards
from harness.errors import LabError, UsageError
from harness.lab import inventory, scan
from harness.lab.inventory import BoardEntry

ONLY = {"j-link": "s5d9"}


class Tree:
    """A sysfs, its block devices and udev's links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = scan.Roots(
            folder / "bus/usb/devices", folder / "class/block", folder / "disk/by-label", folder / "serial/by-id"
        )
        for path in (self.roots.devices, self.roots.blocks, self.roots.labels, self.roots.by_id):
            path.mkdir(parents=True)
        self.ports: list[Any] = [SimpleNamespace(device="/dev/ttyS0", serial_number=None, location=None)]

    def device(
        self, path: str, ids: str, serial: str = "", product: str = "", interfaces: tuple[str, ...] = ()
    ) -> None:
        real = self.folder / "devices/pci0/usb1" / path
        real.mkdir(parents=True)
        vendor, _, number = ids.partition(":")
        for name, text in (("idVendor", vendor), ("idProduct", number), ("serial", serial), ("product", product)):
            if text:
                (real / name).write_text(text + "\n")
        for at, text in enumerate(interfaces):
            (real / f"{path}:1.{at}").mkdir()
            (real / f"{path}:1.{at}" / "interface").write_text(text + "\n")
        (self.roots.devices / path).symlink_to(real)

    def disk(self, path: str, label: str, name: str) -> None:
        real = self.folder / "devices/pci0/usb1" / path / "host0/block" / name
        real.mkdir(parents=True)
        (self.roots.blocks / name).symlink_to(real)
        (self.roots.labels / label).symlink_to(self.folder / "dev" / name)

    def port(self, device: str, serial: str | None, location: str, by_id: str = "") -> None:
        self.ports.append(SimpleNamespace(device=device, serial_number=serial, location=location))
        if by_id:
            (self.roots.by_id / by_id).symlink_to(device)

    def look(self) -> scan.Found:
        return scan.look(self.ports, ONLY, self.roots)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def read(text: str, folder: Path) -> dict[str, BoardEntry]:
    path = folder / "scanned.toml"
    path.write_text(text)
    return inventory.load(path)


def shelf(tree: Tree) -> None:
    tree.device("1-1", "05e3:0608", product="USB2.0 Hub")
    tree.device("1-1.2", "0483:374e", "002800193234", "STLINK-V3")
    tree.disk("1-1.2", "NOD_H563ZI", "sda")
    tree.port("/dev/ttyACM0", "002800193234", "1-1.2:1.1", "usb-STMicroelectronics_STLINK-V3_002800193234-if01")
    tree.device("1-1.3", "0483:374b", "066BFF303", "STM32 STLink")
    tree.disk("1-1.3", "NODE_F401RE", "sdb")
    tree.port("/dev/ttyACM1", "066BFF303", "1-1.3:1.2")
    tree.device("1-1.10", "1366:1015", "000731004455", "J-Link")
    tree.port("/dev/ttyACM2", "000731004455", "1-1.10:1.0")
    tree.device("2-4", "0403:6010", "FT7ABC", "Dual RS232-HS")
    tree.port("/dev/ttyUSB0", "FT7ABC", "2-4:1.0")
    tree.port("/dev/ttyUSB1", "FT7ABC", "2-4:1.1")


def test_a_shelf_becomes_a_lab_file_that_loads(tree: Tree, tmp_path: Path) -> None:
    shelf(tree)
    text = scan.as_toml(tree.look(), target.load())
    boards = read(text, tmp_path)
    assert list(boards) == ["h563-1", "f401-spwf04-1", "s5d9-1"]
    assert boards["h563-1"].serial == str(tree.roots.by_id / "usb-STMicroelectronics_STLINK-V3_002800193234-if01")
    assert boards["f401-spwf04-1"].serial == "usb:066BFF303", "no udev link: by serial number"
    assert [b.probe_id for b in boards.values()] == ["002800193234", "066BFF303", "000731004455"]
    assert not any(b.probe_path for b in boards.values())
    assert "a guess by the disk label NOD_H563ZI" in text and "a guess by the only target for a j-link" in text
    assert '# power = { kind = "uhubctl", hub = "1-1", port = 2 }' in text
    assert "#   usb:FT7ABC:0\n#   usb:FT7ABC:1" in text and "ttyS0" not in text


def test_what_the_comments_propose_loads_too(tree: Tree, tmp_path: Path) -> None:
    shelf(tree)
    text = scan.as_toml(tree.look(), target.load())
    text = text.replace("# power", "power").replace("# capture", "capture").replace("# broker", "broker")
    assert read(text, tmp_path)["h563-1"].power.hub == "1-1"


def test_equal_serial_numbers_get_their_path(tree: Tree, tmp_path: Path) -> None:
    for path, disk in (("1-2", "sda"), ("1-3", "sdb")):
        tree.device(path, "0483:374b", "066BFF303", "STM32 STLink")
        tree.port(f"/dev/{disk}", "066BFF303", f"{path}:1.2", f"usb-ST-{path}-if02")
    text = scan.as_toml(tree.look(), target.load()).replace('target = ""', 'target = "f401-spwf04"')
    assert [b.probe_path for b in read(text, tmp_path).values()] == ["1-2", "1-3"]


def test_a_serial_number_nobody_can_type(tree: Tree, tmp_path: Path) -> None:
    tree.device("1-2", "0483:3748", 'S\x01\x1b[2J"\n', 'ST"LINK\x1b')
    text = scan.as_toml(tree.look(), target.load())
    assert "\x1b" not in text and "no usable serial number" in text and "has no serial port" in text
    board = read(text.replace('target = ""', 'target = "h563"'), tmp_path)["st-link-1"]
    assert (board.probe_id, board.probe_path) == ("", "1-2")


def test_a_target_that_cannot_be_told_has_to_be_filled_in(tree: Tree, tmp_path: Path) -> None:
    tree.device("1-2", "0d28:0204", "9900", "DAPLink")
    tree.device("1-3", "1209:da42", "XYZ", "something", ("CDC", "My CMSIS-DAP v2"))
    text = scan.as_toml(tree.look(), target.load())
    assert text.count("fill in one of:") == 2 and "h563" in text
    with pytest.raises(UsageError, match="key `target`: no target ``"):
        read(text, tmp_path)


def test_a_disk_of_another_board_is_no_guess(tree: Tree) -> None:
    tree.device("1-2", "1366:1015", "0007", "J-Link")
    tree.disk("1-2", "SOMEBOARD", "sda")
    (probe,) = tree.look().probes
    assert (probe.kind, probe.target) == ("j-link", "")


def test_boards_known_already_are_not_repeated(tree: Tree, tmp_path: Path) -> None:
    shelf(tree)
    known = read(scan.as_toml(tree.look(), target.load()), tmp_path)
    tree.device("1-7", "0483:374e", "00FF", "STLINK-V3")
    tree.disk("1-7", "X_H563ZI", "sdz")
    text = scan.as_toml(tree.look(), target.load(), known)
    assert "is board `h563-1` already" in text and text.count("[[board]]") == 1
    assert 'id = "h563-2"' in text
    typed = msgspec.structs.replace(known["s5d9-1"], probe_id="731004455")  # as it stands on the label
    assert "is board `s5d9-1` already" in scan.as_toml(tree.look(), target.load(), known | {"s5d9-1": typed})


def test_a_rack_of_probes_with_all_their_interfaces(tree: Tree) -> None:
    interfaces = ("Debug", "MSD", "VCP", "Data", "Bridge")
    for number in range(100):
        tree.device(f"1-{number + 1}", "0483:374e", f"S{number:04}", "STLINK-V3", interfaces)
        for link in (tree.roots.devices / f"1-{number + 1}").glob("*:*"):
            (tree.roots.devices / link.name).symlink_to(link)
    assert len(tree.look().probes) == 100


def test_without_a_probe_the_ports_are_named(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.device("2-4", "0403:6001", "FT7ABC", "FT232R")
    tree.port("/dev/ttyUSB0", "FT7ABC", "2-4:1.0")
    found = tree.look()
    monkeypatch.setattr(scan, "look", lambda *_: found)
    with pytest.raises(LabError) as caught:
        boards._scan("")
    assert "usb:FT7ABC" in caught.value.what and 'runner = "none"' in caught.value.fix


def test_nothing_attached_and_nothing_there_at_all(tree: Tree, tmp_path: Path) -> None:
    assert tree.look() == scan.Found((), ())
    nowhere = tmp_path / "nowhere"
    assert scan.look([], {}, scan.Roots(nowhere, nowhere, nowhere, nowhere)) == scan.Found((), ())
    (tree.roots.labels / "loop").symlink_to(tree.roots.labels / "loop")
    assert tree.look() == scan.Found((), ())


def test_the_real_host_can_be_looked_at() -> None:
    from serial.tools import list_ports

    scan.as_toml(scan.look(list_ports.comports(), ONLY), target.load())
