"""A shelf of virtual boards for tests: hil-vboards that outlive runs, a lab.toml that lists them, and for each a
console server (a socket:// port, as ser2net) that is also the witness: it sees two users of one board, whatever the
bench believes.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from harness.device.virtual import CONSOLE, VirtualBoard


class Witness:
    """Serves the consoles of boards and notes each use: (board, begin, end). `clashes`: begun before the last ended."""

    def __init__(self, consoles: dict[str, Path]) -> None:
        self.uses: list[tuple[str, float, float]] = []
        self.clashes: list[str] = []
        self.ports: dict[str, int] = {}
        self._pick = selectors.DefaultSelector()
        self._live: dict[str, tuple[socket.socket, float]] = {}
        self._ptys: dict[str, int] = {}
        self._stop = threading.Event()
        self._listeners = []
        for board, console in consoles.items():
            self._ptys[board] = os.open(console, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self.ports[board] = listener.getsockname()[1]
            self._listeners.append(listener)
            self._pick.register(self._ptys[board], selectors.EVENT_READ, ("device", board))
            self._pick.register(listener, selectors.EVENT_READ, ("call", board))
        self._thread = threading.Thread(target=self._serve, name="witness", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        for link, _ in self._live.values():
            link.close()
        for listener in self._listeners:
            listener.close()
        for fd in self._ptys.values():
            os.close(fd)
        self._pick.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            ready = [(key.fileobj, *key.data) for key, _ in self._pick.select(0.1)]
            # What ended comes before what begins: a dead user's end is in the same round as its successor's call.
            for file, what, board in sorted(ready, key=lambda one: one[1] == "call"):
                getattr(self, f"_{what}")(board, file)

    def _call(self, board: str, listener: socket.socket) -> None:
        link, _ = listener.accept()
        if board in self._live:
            self.clashes.append(f"{board} at {time.monotonic():.3f}")
            link.close()
            return
        link.setblocking(False)
        self._live[board] = link, time.monotonic()
        self._pick.register(link, selectors.EVENT_READ, ("user", board))

    def _user(self, board: str, link: socket.socket) -> None:
        try:
            data = link.recv(65536)
        except OSError:
            data = b""
        if data:
            self._write(self._ptys[board], data)
            return
        self._pick.unregister(link)
        link.close()
        _, begun = self._live.pop(board)
        self.uses.append((board, begun, time.monotonic()))

    def _device(self, board: str, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(fd, 65536)
            if board in self._live:
                with contextlib.suppress(OSError):
                    self._live[board][0].sendall(data)

    def _write(self, fd: int, data: bytes) -> None:
        """Slowly where the board reads slowly; a board that is off for a second loses it, as a UART does."""
        until = time.monotonic() + 1.0
        while data and time.monotonic() < until:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                time.sleep(0.001)


class Shelf:
    """`folder`: lab.toml, locks, state; `environment` points a bench at them."""

    def __init__(self, folder: Path, boards: dict[str, VirtualBoard], witness: Witness, lab: str) -> None:
        self.folder = folder
        self.boards = boards
        self.witness = witness
        self._lab = lab
        self.turn(0)
        self.environment = {
            "HIL_LAB": str(folder / "lab.toml"), "HIL_LOCKS": str(folder / "locks"), "HIL_STATE": str(folder / "state"),
        }  # fmt: skip


    def turn(self, by: int) -> None:
        """lab.toml with its boards in another order: workers begin with the first ones."""
        head, *rows = self._lab.split("[[board]]\n")
        rows = rows[by % len(rows) :] + rows[: by % len(rows)]
        (self.folder / "lab.toml").write_text("[[board]]\n".join([head, *rows]))


@contextlib.contextmanager
def shelf(folder: Path, count: int, *, target: str = "f405-virtual", more: str = "") -> Iterator[Shelf]:
    """`count` boards vb1, vb2, … of `target`."""
    short = Path(tempfile.mkdtemp(prefix="hil-shelf-"))  # Unix sockets want short paths
    boards: dict[str, VirtualBoard] = {}
    witness: Witness | None = None
    try:
        for number in range(1, count + 1):
            boards[f"vb{number}"] = VirtualBoard(short / f"vb{number}", "stm32f405", "netduinoplus2")
        witness = Witness({name: board.folder / CONSOLE for name, board in boards.items()})
        lab = more + "".join(
            f'[[board]]\nid = "{name}"\ntarget = "{target}"\nvirtual = "{board.folder}"\n'
            f'serial = "socket://127.0.0.1:{witness.ports[name]}"\n'
            for name, board in boards.items()
        )  # fmt: skip
        yield Shelf(folder, boards, witness, lab)
    finally:
        if witness is not None:
            witness.close()
        for board in boards.values():
            board.close()
        shutil.rmtree(short, ignore_errors=True)
