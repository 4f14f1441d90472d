"""Return addresses on a stack: calls are recognised, leftovers passed over, damaged images refused."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from harness.device.backtrace import Code, frames, places

pytestmark = pytest.mark.xdist_group("boards")  # they build in one folder

SOURCE = r"""
.syntax unified
.thumb
.macro func name
.global \name
.type \name, %function
.thumb_func
\name:
.endm
func main
    bl outer
    b .
.size main, . - main
func outer
    push {lr}
    bl far
    pop {pc}
.size outer, . - outer
func other
    bl outer
    blx r3
    bx lr
.size other, . - other
.space 0x20000
func far
    wfi
    bl main
    bx lr
.size far, . - far
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "a.s").write_text(SOURCE)
    subprocess.run(
        ["arm-none-eabi-gcc", "-mcpu=cortex-m33", "-mthumb", "-g", "-nostdlib", "-Wl,-Ttext=0x10000000",
         "-Wl,-e,main", "-o", "a.elf", "a.s"], cwd=folder, check=True, timeout=30,
    )  # fmt: skip
    return folder / "a.elf"


MAIN, OUTER, OTHER, FAR = 0x10000000, 0x10000006, 0x1000000E, 0x20016 + 0x10000000


def test_calls_forward_and_backward_far(image: Path) -> None:
    code = Code(image)
    assert [code.name(code.function(at)) for at in (MAIN, OUTER, OTHER, FAR)] == ["main", "outer", "other", "far"]
    assert code.call_before(MAIN + 4 + 1) == (MAIN, OUTER)
    assert code.call_before(OUTER + 6 + 1) == (OUTER + 2, FAR)
    assert code.call_before(FAR + 6 + 1) == (FAR + 2, MAIN)
    assert code.call_before(OTHER + 6 + 1) == (OTHER + 4, None), "through a register"


@pytest.mark.parametrize("word", [0, 1, MAIN + 4, MAIN + 1, MAIN + 3, OUTER + 2 + 1, 0x10000800 + 1, 0xFFFFFFFF])
def test_what_is_no_return_address(image: Path, word: int) -> None:
    assert Code(image).call_before(word) is None


def test_leftovers_are_passed_over(image: Path) -> None:
    stack = [7, OTHER + 4 + 1, OUTER + 6 + 1, FAR + 6 + 1, MAIN + 4 + 1, OTHER + 4 + 1]
    found = frames(Code(image), FAR, 0xFFFFFFF9, stack)
    assert found == [FAR, OUTER + 2, MAIN]
    assert [text.split()[1] for text in places(image, found)] == ["far", "outer", "main"]
    assert "a.s:" in places(image, found)[0]


def test_damaged_images_are_refused_or_harmless(image: Path, tmp_path: Path) -> None:
    good = image.read_bytes()
    chance = random.Random(1)  # noqa: S311 - not for secrets
    broken = tmp_path / "broken.elf"
    refused = 0
    for number in range(300):
        data = bytearray(good)
        if number % 2:
            del data[chance.randrange(len(data)) :]
        else:
            table = int.from_bytes(good[32:36], "little")
            for _ in range(4):
                data[chance.choice((chance.randrange(52), table + chance.randrange(len(data) - table)))] = (
                    chance.randrange(256)
                )
        broken.write_bytes(data)
        try:
            code = Code(broken)
        except ValueError:
            refused += 1
            continue
        for word in (MAIN + 5, OUTER + 7, FAR + 7, 3, 0xFFFFFFFF):
            code.call_before(word)
    assert refused > 50
    assert places(tmp_path / "none", [16]) == ["0x00000010"]
