"""The virtual board's parts behind OpenOCD: its interpreter, protection, each microcontroller, slow paths."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from harness.device.flash import tools
from tests.flash.vboard import F4, HERE, Ran, VirtualBoard, firmware, virtual_board

H5 = (
    "jtag newtap h5 cpu -irlen 4 -ircapture 1 -irmask 0xf -expected-id 0x6ba00477",
    "jtag newtap h5 bs -irlen 5",
    "dap create h5.dap -chain-position h5.cpu",
    "target create h5.cpu cortex_m -dap h5.dap -ap-num 1",
    "cortex_m reset_config sysresetreq",
)


@pytest.fixture(scope="module")
def board() -> Iterator[VirtualBoard]:
    with virtual_board() as board:
        yield board


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware(tmp_path_factory.mktemp("image"))


def word(ran: Ran, address: int) -> int:
    """What `mdw` said is at `address`, the last time."""
    found = re.findall(rf"(?m)^0x{address:08x}: ([0-9a-f]{{8}})", ran.text)
    assert found, ran.text
    return int(found[-1], 16)


@pytest.mark.parametrize("optimise", ["-O0", "-O1", "-Os", "-O3"])
def test_compiled_code_computes_what_it_does_here(board: VirtualBoard, tmp_path: Path, optimise: str) -> None:
    """Real compiler output in the board's RAM against the same C on this machine."""
    seed = random.Random(optimise).randrange(1 << 32)  # noqa: S311
    here = tmp_path / "here"
    source = HERE / "interpreted.c"
    subprocess.run(["gcc", "-O1", "-DHOST", f"-DSEED={seed}u", source, "-o", here], check=True, timeout=60)
    wanted = subprocess.run([here], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    elf, raw = tmp_path / "code.elf", tmp_path / "code.bin"
    core = ["-mcpu=cortex-m4", "-mthumb", optimise, "-ffreestanding", "-nostartfiles", "-nodefaultlibs"]
    subprocess.run(["arm-none-eabi-gcc", *core, f"-DSEED={seed}u", "-T", HERE / "ram.ld", source, "-lgcc", "-o", elf],
                   check=True, timeout=60)  # fmt: skip
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, raw], check=True, timeout=60)
    ran = board.openocd("reset halt", f"load_image {raw} 0x20000000 bin", "reg sp 0x20010000", "reg xpsr 0x01000000",
                        "resume 0x20000000", "wait_halt 20000", "reg r0", "shutdown")  # fmt: skip
    assert f"r0 (/32): 0x{wanted}" in ran.text, (wanted, ran.text, board.listing("log")[-3:])


def test_slow_path_without_work_area(board: VirtualBoard, image: Path) -> None:
    """OpenOCD writes each half-word by itself, and compares by reading: no loader at all."""
    at = f"{image} 0x08000000 bin"
    ran = board.openocd("stm32f4x.cpu configure -work-area-size 0", "reset halt", "flash erase_sector 0 0 0",
                        f"flash write_image {at}", f"verify_image {at}", "reset run", "shutdown")  # fmt: skip
    assert ran.status == 0, ran.text
    ran.in_order("falling back to single memory accesses", f"verified {image.stat().st_size} bytes")


def test_erase_check_and_mass_erase(board: VirtualBoard, image: Path) -> None:
    assert board.program(image).status == 0
    ran = board.openocd("reset halt", "flash erase_check 0", "stm32f2x mass_erase 0", "flash erase_check 0",
                        "mdw 0x08000000", "shutdown")  # fmt: skip
    assert ran.status == 0, ran.text
    ran.in_order("#  0: 0x00000000 (0x4000 16kB) not erased", "stm32x mass erase complete", "Bank is erased")
    assert word(ran, 0x08000000) == 0xFFFFFFFF


def test_write_protection_by_option_bytes(board: VirtualBoard, image: Path) -> None:
    """Set and lifted by OpenOCD itself; it survives the power."""
    set_it = board.openocd("reset halt", "flash protect 0 0 3 on", "mdw 0x40023c14", "shutdown")
    assert set_it.status == 0, set_it.text
    assert word(set_it, 0x40023C14) >> 16 & 0xFFF == 0xFF0
    board.ask("power cycle")
    refused = board.program(image)
    assert refused.status == 1
    refused.in_order("stm32x device protected", "failed erasing sectors 0 to 0")
    lifted = board.openocd("reset halt", "flash protect 0 0 3 off", "shutdown")
    assert lifted.status == 0, lifted.text
    assert board.program(image).status == 0


def test_read_protection_is_lifted_at_a_price(board: VirtualBoard, image: Path) -> None:
    assert board.program(image).status == 0
    locked = board.openocd("reset halt", "stm32f2x lock 0", "shutdown")
    assert locked.status == 0, locked.text
    board.ask("power cycle")
    unreadable = board.openocd("reset halt", "mdw 0x40023c14", "mdw 0x08000000", "shutdown")
    assert word(unreadable, 0x40023C14) >> 8 & 0xFF not in (0xAA, 0xCC)
    assert unreadable.status == 1 and "JTAG-DP STICKY ERROR" in unreadable.text
    assert board.program(image).status == 1
    unlocked = board.openocd("reset halt", "stm32f2x unlock 0", "mdw 0x08000000", "shutdown")
    assert unlocked.status == 0, unlocked.text
    assert word(unlocked, 0x08000000) == 0xFFFFFFFF  # the flash was erased with it
    assert board.program(image).status == 0


def test_stepping_and_breakpoints(board: VirtualBoard, image: Path) -> None:
    """Single steps and a breakpoint in a program in RAM: movs r0, #0; adds r0, #1; b back."""
    ran = board.openocd("reset halt", "mww 0x20000000 0x30012000", "mww 0x20000004 0x0000e7fd", "reg pc 0x20000000",
                        "reg xpsr 0x01000000", "step", "step", "reg r0", "step", "step", "reg r0", "bp 0x20000004 2",
                        "resume", "wait_halt 5000", "reg pc", "shutdown")  # fmt: skip
    assert ran.status == 0, ran.text
    ran.in_order("r0 (/32): 0x00000001", "r0 (/32): 0x00000002", "halted due to breakpoint", "pc (/32): 0x20000004")


def test_dap_info(board: VirtualBoard) -> None:
    ran = board.openocd("dap info", "shutdown")
    assert ran.status == 0, ran.text
    ran.in_order("AP ID register 0x24770011", "Type is MEM-AP AHB3", "MEM-AP BASE 0xe00ff003", "ROMTABLE[0x0]")


@pytest.mark.parametrize(
    ("part", "device", "size", "place"),
    [("stm32f401", "0x10016433", "512 KiB", 0x08060000), ("stm32f429", "0x20036419", "2048 KiB", 0x081E0000)],
)
def test_other_parts_of_the_family(part: str, device: str, size: str, place: int, tmp_path: Path) -> None:
    """Programmed at the beginning and in the last sector; F429 has two banks."""
    image = tmp_path / "x.bin"
    image.write_bytes(random.Random(2).randbytes(20_001))  # noqa: S311
    with virtual_board("--part", part) as board:
        for address in (0x08000000, place):
            at = f"{image} 0x{address:08x} bin"
            ran = board.openocd("reset halt", f"flash write_image erase {at}", f"verify_image {at}", "shutdown")
            assert ran.status == 0, ran.text
            ran.in_order(f"device id = {device}", f"flash size = {size}", "verified 20001 bytes")
            length = image.stat().st_size
            assert board.ask(f"sha256 0x{address:08x} {length}") == sha256(image.read_bytes()).hexdigest()


def test_h563_by_its_registers(image: Path) -> None:
    """No flash driver for it in Debian's OpenOCD: the sequence of RM0481 7.3, by register writes."""
    flash = 0x40022000
    before: list[str] = [*H5, "init"]
    unlock = (f"mww 0x{flash + 0x04:08x} 0x45670123", f"mww 0x{flash + 0x04:08x} 0xcdef89ab")
    with virtual_board("--part", "stm32h563") as board:
        ran = board.openocd(
            "reset halt", "mdw 0x44024000", "mdh 0x08fff80c", *unlock,
            f"mww 0x{flash + 0x28:08x} 0x24", f"mdw 0x{flash + 0x20:08x} 1",  # erase sector 0
            f"mww 0x{flash + 0x28:08x} 0x2",
            "mww 0x08000000 0x20010000", "mww 0x08000004 0x08000101", "mww 0x08000008 3", "mww 0x0800000c 4",
            f"mdw 0x{flash + 0x20:08x}", f"mdw 0x{flash + 0x20:08x}", "mdw 0x08000000 4", "shutdown",
            target=(), before=before,
        )  # fmt: skip
        assert ran.status == 0, ran.text
        ran.in_order("Cortex-M33 r0p4 processor detected", "0x44024000: 10016484", "0x08fff80c: 0800",
                     "0x08000000: 20010000 08000101 00000003 00000004")  # fmt: skip
        assert word(ran, flash + 0x20) == 1 << 16  # EOP, no error
        # A closed product: nothing behind the debug port answers.
        board.ask("fault rdp1")
        closed = board.openocd("reset halt", "shutdown", target=(), before=before)
        assert closed.status == 1
        closed.in_order("JTAG-DP STICKY ERROR", "examination failed")


def test_h563_with_an_openocd_that_can(tmp_path: Path) -> None:
    tool = tools.openocd_with("target/stm32h5x.cfg")
    if tool is None:
        pytest.skip("no OpenOCD with target/stm32h5x.cfg here (Debian's 0.12.0 has none; HIL_OPENOCD names one)")
    image = tmp_path / "x.bin"
    image.write_bytes(random.Random(3).randbytes(30_000))  # noqa: S311
    with virtual_board("--part", "stm32h563") as board:
        at = f"{image} 0x08000000 bin"
        ran = board.openocd("reset halt", f"flash write_image erase {at}", f"verify_image {at}", "shutdown",
                            target=("-f", "target/stm32h5x.cfg"), program=tool.argv)  # fmt: skip
        assert ran.status == 0, ran.text
        assert "verified 30000 bytes" in ran.text


def test_a_wrong_configuration_meets_a_wrong_chip(image: Path) -> None:
    """The H563 behind the F4's configuration: OpenOCD says UNEXPECTED, finds no core where it looks, and fails."""
    with virtual_board("--part", "stm32h563") as board:
        ran = board.program(image, target=F4)
        assert ran.status == 1
        ran.in_order("UNEXPECTED: 0x6ba00477", "expected 1 of 1: 0x4ba00477")
