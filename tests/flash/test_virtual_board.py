"""The virtual board's life with the stock OpenOCD: flashing, running, resets, power, consoles, what it remembers."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from harness.lab import process
from tests.flash.vboard import Port, VirtualBoard, firmware, virtual_board

CYCLES = int(os.environ.get("HIL_VBOARD_CYCLES", "4"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware(tmp_path_factory.mktemp("image"))


@pytest.fixture
def board() -> Iterator[VirtualBoard]:
    with virtual_board() as board:
        yield board


@pytest.fixture
def console(board: VirtualBoard) -> Iterator[Port]:
    with closing(Port(board.folder / "console")) as port:
        yield port


def digest(image: Path) -> str:
    return sha256(image.read_bytes()).hexdigest()


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_blank_board_is_programmed_and_runs(board: VirtualBoard, console: Port, image: Path) -> None:
    """A blank part locks up before a debugger comes; OpenOCD says so and goes on, as with silicon."""
    assert board.status()["core"] == "lockup"
    with closing(Port(board.folder / "uplink")) as uplink:
        ran = board.program(image)
        assert ran.status == 0, ran.text
        ran.in_order("clearing lockup after double fault", "device id = 0x10076413", "flash size = 1024 KiB",
                     f"verified {image.stat().st_size} bytes", "** Verified OK **")  # fmt: skip
        assert console.wait(b"\r\n") == b"HELLO one\r\n"
        assert uplink.wait(b"\r\n") == b"UPLINK\r\n"
    console.write(b"echo\r\x00\xff")
    assert console.wait(b"\xff") == b"echo\r\x00\xff"
    assert board.ask(f"sha256 0x08000000 {image.stat().st_size}") == digest(image)
    board.ask(f"read 0x08000000 {image.stat().st_size} {board.folder}/back.bin")
    assert (board.folder / "back.bin").read_bytes() == image.read_bytes()
    status = board.status()
    assert status["core"] == "firmware" and status["boots"] == "1" and status["probe"] == "free", status


def test_cycles(board: VirtualBoard, console: Port, tmp_path: Path) -> None:
    """Program, verify, reset run, banner; HIL_VBOARD_CYCLES says how often."""
    images = [firmware(tmp_path, name) for name in ("one", "two")]
    took = []
    for i in range(CYCLES):
        began = time.monotonic()
        ran = board.program(images[i % 2])
        assert ran.status == 0, ran.text
        assert console.wait(b"\r\n") == (b"HELLO one\r\n", b"HELLO two\r\n")[i % 2]
        took.append(time.monotonic() - began)
    assert board.status()["boots"] == str(CYCLES)
    print(f"{CYCLES} cycles, median {statistics.median(took):.3f} s, longest {max(took):.3f} s")


def test_half_a_megabyte(board: VirtualBoard, console: Port, tmp_path: Path) -> None:
    whole = bytearray(firmware(tmp_path).read_bytes())
    whole += random.Random(1).randbytes(512 * 1024 - len(whole))  # noqa: S311
    image = tmp_path / "big.bin"
    image.write_bytes(whole)
    began = time.monotonic()
    ran = board.program(image)
    assert ran.status == 0, ran.text
    assert time.monotonic() - began < 30  # 2.6 s on an idle machine
    ran.in_order("wrote 524288 bytes", "verified 524288 bytes")
    console.wait(b"HELLO one\r\n")
    assert board.ask("sha256 0x08000000 524288") == digest(image)


def test_consoles_outlive_everything(board: VirtualBoard, console: Port, image: Path) -> None:
    place = (board.folder / "console").readlink()
    assert board.program(image).status == 0
    console.wait(b"HELLO one\r\n")
    for line in ("reset", "power cycle"):
        board.ask(line)
        assert console.wait(b"HELLO one\r\n") == b"HELLO one\r\n"
    pid = int(board.wait("emulator", "running")["pid"])
    board.ask("power off")
    assert not alive(pid)
    assert board.status()["core"] == "off"
    console.write(b"nobody hears")
    assert console.quiet(0.3) == b""
    board.ask("power on")
    assert console.wait(b"HELLO one\r\n") == b"HELLO one\r\n"
    assert (board.folder / "console").readlink() == place


def test_looking_does_not_disturb_and_halting_ends_the_image(board: VirtualBoard, console: Port, image: Path) -> None:
    assert board.program(image).status == 0
    console.wait(b"HELLO one\r\n")
    before = board.wait("emulator", "running")
    looked = board.openocd("mdw 0xE0042000", "mdw 0x08000000 2", "shutdown")
    looked.in_order("0xe0042000: 10076413", "0x08000000: 20020000")
    after = board.status()
    assert (after["pid"], after["boots"]) == (before["pid"], before["boots"])
    halted = board.openocd("halt", "reg pc", "shutdown")
    halted.in_order("halted due to debug-request", "pc (/32): 0x0800004")
    status = board.status()
    assert status["core"] == "halted" and status["emulator"] == "none" and not alive(int(before["pid"]))
    assert board.openocd("halt", "resume", "shutdown").status == 0
    assert console.wait(b"HELLO one\r\n") == b"HELLO one\r\n"  # anew


def test_the_reset_line_of_the_probe(board: VirtualBoard, console: Port, image: Path) -> None:
    """NRST instead of SYSRESETREQ, also held while connecting, as a last resort does."""
    assert board.program(image).status == 0
    console.wait(b"HELLO one\r\n")
    under = ("reset_config srst_only srst_nogate connect_assert_srst", "init")
    halted = board.openocd("reset halt", "reg pc", "shutdown", before=under)
    halted.in_order("halted due to debug-request", "pc (/32): 0x0800004")
    assert any("NRST pulled by the probe" in line for line in board.listing("log"))
    assert board.openocd("reset run", "shutdown", before=under).status == 0
    console.wait(b"HELLO one\r\n")
    board.ask("fault reset_ignored")  # of the software reset only
    assert board.openocd("reset run", "shutdown", before=under).status == 0
    console.wait(b"HELLO one\r\n")


def test_an_openocd_killed_while_it_writes(board: VirtualBoard, console: Port, image: Path, tmp_path: Path) -> None:
    """What a time-out of the bench leaves: half an image, a core in a loader. The next run starts from there."""
    big = tmp_path / "big.bin"
    big.write_bytes(random.Random(4).randbytes(300_000))  # noqa: S311
    argv = ["openocd", *board.arguments("reset init", f"flash write_image erase {big} 0x08000000 bin", "shutdown")]
    with process.running(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as openocd:
        until = time.monotonic() + 20
        while int(board.status()["programmed"]) < 20_000:
            assert time.monotonic() < until and openocd.poll() is None
        openocd.kill()
        openocd.wait(10)
    board.wait("probe", "free")
    assert int(board.status()["programmed"]) < 150_000
    assert board.program(image).status == 0
    assert console.wait(b"HELLO one\r\n") == b"HELLO one\r\n"


def test_a_lockup_is_noticed(board: VirtualBoard, console: Port, image: Path, tmp_path: Path) -> None:
    """An image whose first instruction faults, and whose fault handler faults: the emulator aborts."""
    dead = tmp_path / "dead.bin"
    dead.write_bytes(b"\x00\x00\x02\x20" + b"\x41\x00\x00\x08" * 15 + b"\xff\xde" * 16)  # UDF
    assert "** Verified OK **" in board.program(dead).text  # it may have seen and halted the lockup already
    board.ask("power cycle")
    status = board.wait("core", "lockup")
    assert "signal 6" in status["note"] and "Lockup" in status["note"], status
    assert status["emulator"] == "none"
    again = board.program(image)
    assert again.status == 0
    again.in_order("clearing lockup after double fault", "** Verified OK **")
    console.wait(b"HELLO one\r\n")


def test_an_emulator_that_does_not_start(tmp_path: Path, image: Path) -> None:
    with virtual_board("--machine", "no-such-machine") as board:
        assert board.program(image).status == 0
        board.wait("emulator", "none")
        assert "ended with 1" in board.status()["note"]
    with virtual_board("--qemu", str(tmp_path / "nothing")) as board:
        assert board.program(image).status == 0
        board.wait("note", f"the emulator ended with 127: {tmp_path}/nothing: No such file or directory")
    with virtual_board("--machine", "none") as board:
        assert board.program(image).status == 0
        assert (board.status()["core"], board.status()["emulator"]) == ("firmware", "none")


def test_console_faults(board: VirtualBoard, console: Port, image: Path) -> None:
    assert board.program(image).status == 0
    console.wait(b"HELLO one\r\n")
    with closing(Port(board.folder / "uplink")) as uplink:
        uplink.wait(b"UPLINK\r\n")
        board.ask("fault console-silent")
        board.ask("fault uplink-silent")
        board.ask("reset")
        assert console.quiet(0.5) == b""
        assert uplink.quiet(0.1) == b""
        board.ask("clear")
        board.ask("fault console_noise")
        board.ask("reset")
        uplink.wait(b"UPLINK\r\n")
        noise = console.quiet(0.3)
        assert noise and b"HELLO" not in noise
        board.ask("clear")
        board.ask("fault boots-nothing")
        board.ask("reset")
        assert board.status()["emulator"] == "none"
        assert console.quiet(0.3) == b""
        board.ask("clear")
        board.ask("reset")
        console.wait(b"HELLO one\r\n")


def test_flash_contents_are_remembered(tmp_path: Path, image: Path) -> None:
    state = tmp_path / "flash.bin"
    with virtual_board("--image-state", str(state)) as board:
        assert board.program(image).status == 0
    assert state.read_bytes().rstrip(b"\xff") == image.read_bytes().rstrip(b"\xff")
    with virtual_board("--image-state", str(state)) as board, closing(Port(board.folder / "console")) as console:
        console.wait(b"HELLO one\r\n")
    state.write_bytes(b"x" * (1024 * 1024 + 1))
    argv = [str(process.program("hil-vboard")), "--dir", str(tmp_path / "b"), "--image-state", str(state)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and "File too large" in done.stderr


def test_flash_contents_that_cannot_be_kept_are_told(tmp_path: Path, image: Path) -> None:
    """At each start of the image, not only when the board ends and nobody can do anything any more."""
    (tmp_path / "folder").mkdir()
    state = tmp_path / "folder" / "flash.bin"
    state.write_bytes(image.read_bytes())
    with virtual_board("--image-state", str(state)) as board:
        board.wait("emulator", "running")
        state.unlink()
        state.mkdir()
        assert board.program(image).status == 0
        board.wait("emulator", "running")
        assert "the flash contents are not kept: Is a directory" in board.listing("log")
        state.rmdir()


def test_the_emulator_holds_its_two_ends_and_nothing_else(tmp_path: Path, image: Path) -> None:
    """A second descriptor of an end would hide from the board that the emulator closed it."""
    state = tmp_path / "flash.bin"
    state.write_bytes(image.read_bytes())
    with virtual_board("--image-state", str(state)) as board, closing(Port(board.folder / "console")) as console:
        console.wait(b"HELLO one\r\n")
        folder = Path("/proc") / board.status()["pid"] / "fd"
        held = [str(fd.readlink()) for fd in folder.iterdir()]
        assert len([link for link in held if link.startswith("socket:")]) == 2, held


def test_nothing_outlives_the_board(tmp_path: Path, image: Path) -> None:
    state = tmp_path / "flash.bin"
    state.write_bytes(image.read_bytes())
    argv: list[str | Path] = [process.program("hil-vboard"), "--dir", str(tmp_path / "b"), "--image-state", str(state)]
    for end in ("stdin", "TERM", "KILL"):
        with process.running(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdin is not None
            assert child.stdout.readline() == b"READY\n"
            with closing(VirtualBoard(tmp_path / "b")) as board:
                pid = int(board.wait("emulator", "running")["pid"])
            if end == "stdin":
                child.stdin.close()
            else:
                child.send_signal(getattr(signal, f"SIG{end}"))
            child.wait(10)
            until = time.monotonic() + 5
            while alive(pid):
                assert time.monotonic() < until
                time.sleep(0.02)
            if end != "KILL":
                assert child.returncode == 0
                left = {path.name for path in (tmp_path / "b").iterdir()}
                assert left == {"boot.bin", "qemu.log"}


@pytest.mark.parametrize(
    "options",
    [("--part", "stm32f405"), ("--dir", "b", "--part", "z80"), ("--dir", "b", "extra"), ("--dir", "b", "--what"),
     ("--dir", "b", "--power", "maybe"), ("--dir", "x" * 120), ("--dir", "/dev/null/b")],
    ids=lambda options: options[-1][:12],
)  # fmt: skip
def test_bad_command_lines(options: tuple[str, ...], tmp_path: Path) -> None:
    argv = [str(process.program("hil-vboard")), *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stderr and "READY" not in done.stdout


def test_hostile_clients(board: VirtualBoard, console: Port, image: Path) -> None:
    """Garbage, half a session, a client that asks and never reads, and lines that are none."""
    noise = random.Random(7)  # noqa: S311
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(board.jtag))
            client.sendall(noise.randbytes(3000) + bytes(noise.choice(b"01234567Rrstu") for _ in range(5000)))
            if noise.random() < 0.5:
                client.settimeout(5)
                client.recv(100)
    with socket.socket(socket.AF_UNIX) as greedy:
        greedy.connect(str(board.jtag))
        greedy.setblocking(False)
        sent = 0
        while sent < 4_000_000 and select.select([], [greedy], [], 0.5)[1]:
            sent += greedy.send(b"R" * 65536)
        assert board.status()["probe"] == "held"  # it still answers others
    for line in (b"\xff\xfe", b"fault", b"fault \x1b[2J", b"read 0 4", b"sha256 0xffffffff 0xffffffff", b"x" * 900):
        board.refused(line)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(board.folder / "control.sock"))
        client.sendall(b"y" * 5000)
        client.settimeout(5)
        assert client.recv(100).startswith(b"ERR ")
    assert board.program(image).status == 0
    console.wait(b"HELLO one\r\n")
