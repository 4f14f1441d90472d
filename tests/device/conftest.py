"""A fake device on a pty, its console and its shim session."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.device.console import Console
from harness.device.native import NativeBoard
from harness.device.shim import Shim

FAKE = Path(__file__).with_name("fake_device.py")


class Bench(NamedTuple):
    board: NativeBoard
    console: Console
    shim: Shim
    log: Path

    def uart(self) -> str:
        return self.log.read_text()

    def digest(self) -> str:
        return hashlib.sha256(self.log.read_bytes()).hexdigest()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A started fake device that has said `ready`."""
    board = NativeBoard(FAKE, tmp_path)
    try:
        with Console(board.console_path, tmp_path / "uart.log") as console:
            shim = Shim(console, alive=board.alive, last_words=board.last_words)
            board.start()
            shim.wait_ready(10.0)
            yield Bench(board, console, shim, tmp_path / "uart.log")
    finally:
        board.close()
