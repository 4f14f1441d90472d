"""A board's power: `switch(entry, "off")`, `switch(entry, "cycle")`. Back-ends are the `power.kind` of lab.toml:

    none      nothing can be switched; asking for it is a UsageError
    uhubctl   a port of a USB hub with per-port power switching: hub location and port as `uhubctl` prints them.
              Most hubs only pretend: the new status is compared with what was asked for.
    command   the lab's own programs for on, off and cycle; exit status 0 is success
    http      a relay with a URL for each; any 2xx is success. No proxy, no redirect, no password.

Every switching is bounded by `timeout_s`; a cycle without a `cycle` of its own is off, `off_s`, on, and does not end
with the board off if it can help it. LabError `lab.target_unpowered` with what the back-end said.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import urlsplit

from harness.errors import LabError, UsageError
from harness.lab.inventory import BoardEntry, Power
from harness.lab.process import spawn, stop

Action = Literal["on", "off", "cycle"]
MAX_SAID = 200  # characters of a tool's output in an error
MAX_OUTPUT = 1 << 16
UHUBCTL = "uhubctl"


def controllable(entry: BoardEntry) -> bool:
    return entry.power.kind != "none"


def cycler(entry: BoardEntry) -> Callable[[], None] | None:
    """What cycles this board's power, for a recovery ladder; None when nothing does."""
    return (lambda: switch(entry, "cycle")) if controllable(entry) else None


def switch(entry: BoardEntry, action: Action) -> None:
    """UsageError when the board's power cannot be switched so; LabError when the switching fails."""
    power = entry.power
    if power.kind == "none":
        raise UsageError(
            f"board `{entry.id}`: nothing switches its power", "give it a `power` table in lab.toml, or do it by hand"
        )
    if action == "cycle" and not power.cycle:
        _off_and_on(entry)
        return
    if power.kind != "uhubctl" and not getattr(power, action):
        raise UsageError(f"board `{entry.id}`: its power has no `{action}`", f"add power.{action} in lab.toml")
    _BACKENDS[power.kind](entry, action)


def _off_and_on(entry: BoardEntry) -> None:
    """On again whatever becomes of it: a relay that fails to say `off` may have switched all the same."""
    try:
        switch(entry, "off")
        time.sleep(entry.power.off_s)  # what the board's capacitors need
    except BaseException:
        with contextlib.suppress(LabError):  # why it could not be switched off says more
            _on(entry)
        raise
    _on(entry)


def _on(entry: BoardEntry) -> None:
    try:
        switch(entry, "on")
    except LabError:
        switch(entry, "on")  # once more: an unreachable board costs more than a second


# -- uhubctl --


def _uhubctl(entry: BoardEntry, action: Action) -> None:
    power = entry.power
    words = [UHUBCTL, "--location", power.hub, "--ports", str(power.port), "--action", action]
    said = _run(entry, action, words, "apt-get install uhubctl")
    after = said.rpartition("New status for hub")[2] if "New status for hub" in said else ""
    states = re.findall(rf"^\s*Port {power.port}: [0-9a-fA-F]{{4}} (.*)$", after, re.MULTILINE)
    if not states:
        raise _failed(entry, action, f"uhubctl does not say how port {power.port} of hub {power.hub} is now: {said}",
                      "`uhubctl` lists the hubs that can be switched")  # fmt: skip
    if any(("power" in state.split()) != (action == "on") for state in states):
        raise _failed(entry, action, f"port {power.port} of hub {power.hub} says `{states[0]}` afterwards",
                      "this hub does not switch its ports; use another hub or a relay")  # fmt: skip


# -- command --


def _command(entry: BoardEntry, action: Action) -> None:
    command: str | Sequence[str] = getattr(entry.power, action)
    _run(entry, action, ["sh", "-c", command] if isinstance(command, str) else list(command), "correct it in lab.toml")


def _run(entry: BoardEntry, action: Action, words: Sequence[str], fix: str) -> str:
    """What it printed. LabError when it fails or takes too long."""
    shown = words[-1] if words[:2] == ["sh", "-c"] else shlex.join(words)
    bound = entry.power.timeout_s
    with tempfile.TemporaryFile() as output:
        env = {**os.environ, "HIL_BOARD": entry.id, "HIL_POWER": action, "LC_ALL": "C"}
        process = spawn(words, env=env, stdout=output, stderr=output, tree=True)
        try:
            status: int | None = process.wait(bound)
        except subprocess.TimeoutExpired:
            status = None
            with contextlib.suppress(ProcessLookupError):  # the guard's SIGTERM may be ignored, by its children too
                os.killpg(process.pid, signal.SIGKILL)
        finally:
            stop(process)
        output.seek(0)
        said = output.read(MAX_OUTPUT).decode(errors="replace")
    if status is None:
        raise _failed(entry, action, f"`{shown}` did not end within {bound:g} s", fix)
    if status != 0:
        raise _failed(entry, action, f"`{shown}` ended with status {status}: {said}", fix)
    return said


# -- http --


def _http(entry: BoardEntry, action: Action) -> None:
    power = entry.power
    url = str(getattr(power, action))
    try:
        status, said = _request(url, power)
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = (
            f"no answer within {power.timeout_s:g} s" if isinstance(error, TimeoutError) else str(error) or repr(error)
        )
        raise _failed(entry, action, f"{url}: {what}", "is the relay on, and is this host in its network?") from error
    if not 200 <= status < 300:
        raise _failed(entry, action, f"{url} answered {status} {said}", "correct the URL or `method` in lab.toml")


def _request(url: str, power: Power) -> tuple[int, str]:
    """Status and the first words. TimeoutError when it takes more than `timeout_s` in all, however slowly it talks."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    link = kind(parts.hostname or "", parts.port, timeout=power.timeout_s)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with contextlib.suppress(OSError):
            if link.sock is not None:
                link.sock.shutdown(2)

    timer = threading.Timer(power.timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        link.request(power.method, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        answer = link.getresponse()
        said = answer.read1(MAX_SAID).decode(errors="replace")
        if late.is_set():  # our own shutdown ended the headers
            raise TimeoutError
        return answer.status, said
    except (OSError, http.client.HTTPException):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        link.close()


def _failed(entry: BoardEntry, action: Action, what: str, fix: str) -> LabError:
    plain = "".join(c if c.isprintable() else "?" for c in " ".join(what.split()))[: MAX_SAID + 200]
    return LabError("lab.target_unpowered", f"board `{entry.id}`: power {action} failed: {plain}", fix)


_BACKENDS: dict[str, Callable[[BoardEntry, Action], None]] = {
    "uhubctl": _uhubctl, "command": _command, "http": _http,
}  # fmt: skip
