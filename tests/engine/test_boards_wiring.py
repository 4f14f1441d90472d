"""What lab.toml and a target's table say together about one board."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.device.wiring import virtual, wired
from harness.errors import UsageError
from harness.lab.inventory import BoardEntry
from harness.target import load

H563 = load()["h563"]
F405 = load()["f405-virtual"]
DESK = BoardEntry(
    id="desk", target="h563", serial="usb:A1", probe_id="A1", capture="eth1", broker_address="192.168.7.1"
)


def test_a_board_with_an_interface() -> None:
    found = wired(DESK, H563)
    assert (found.console, found.baud, found.capture, found.uplink) == ("usb:A1", 115200, "eth1", "")
    assert found.broker_address == found.listen_address == "192.168.7.1"
    assert found.rig.flasher == "openocd" and found.rig.config == "target/stm32h5x.cfg"
    assert found.rig.params == ("-f", "interface/stlink.cfg") and found.rig.mcu == H563.mcu
    assert found.power is None


def test_the_entry_goes_before_the_table() -> None:
    entry = msgspec.structs.replace(
        DESK, runner="pyocd", runner_params=("--frequency=1M",), baud=921600, flash_timeout=33
    )
    found = wired(entry, H563)
    assert (found.rig.flasher, found.rig.config, found.rig.timeout_s) == ("pyocd", "stm32h563zitx", 33)
    assert found.rig.params == ("--frequency=1M",), "the table's words are its own flasher's"
    assert found.baud == 921600


def test_a_name_becomes_the_number_that_a_device_can_be_told() -> None:
    found = wired(msgspec.structs.replace(DESK, broker_address="localhost"), H563)
    assert found.broker_address == found.listen_address == "127.0.0.1"
    with pytest.raises(UsageError, match="broker_address"):
        wired(msgspec.structs.replace(DESK, broker_address="no-such-host.invalid"), H563)


def test_a_second_uart_needs_no_interface_and_no_address() -> None:
    entry = BoardEntry(id="desk", target="f405-virtual", serial="usb:A1", uplink="usb:A2")
    found = wired(entry, F405)
    assert (found.uplink, found.framing, found.capture) == ("usb:A2", "ppp", None)
    assert (found.broker_address, found.listen_address) == ("10.0.2.2", "127.0.0.1")


def test_a_virtual_board_is_its_folder() -> None:
    found = virtual("vb", Path("/run/vb"), F405)
    assert (found.console, found.uplink) == ("/run/vb/console", "/run/vb/uplink")
    assert "remote_bitbang host /run/vb/jtag.sock" in found.rig.params
    assert not any("stlink" in word for word in found.rig.params), "its probe is no USB device"
    proxied = BoardEntry(id="vb", target="f405-virtual", virtual="/run/vb", serial="socket://127.0.0.1:7001")
    assert wired(proxied, F405).console == "socket://127.0.0.1:7001"
