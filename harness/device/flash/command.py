"""A flasher that is a command of the user's: for tools nobody wrote a back-end for (Renesas Flash Programmer, a robot).

`config` is the command that writes and verifies, split as a shell would, without one; `write=` goes before it. In it
stand {image} {address} {board} {probe_id} {probe_path}; the same is in the environment as HIL_IMAGE … HIL_PROBE_PATH.
The board's `runner_params` (or the target's `params`) name the rest, each `word=command`:

    write=…      writes and verifies, where the target's table says nothing or something else
    identify=…   prints the device id in its last line (0x484); without it nothing checks which board is there
    reset=…      reset and run (needed for a run)      halt=…   erase=…   under_reset=…
    ok=REGEX     a line that the writing must print; without it the exit status alone is believed
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness.device.flash import image as images
from harness.device.flash import mcu
from harness.device.flash.base import FlashError, Rig, Say, Step, shown, silent, split
from harness.device.flash.rows import judge_tool
from harness.device.flash.tool import Outcome, Phase, at_host, on_host, run
from harness.errors import UsageError

KEYS = ("write", "identify", "reset", "halt", "erase", "under_reset", "ok")
SHORT_S = 30.0


class Command:
    """A `Flasher`; see above."""

    name = "command"

    def identify(self, rig: Rig, log: Path) -> str:
        line = _params(rig).get("identify", "")
        if not line:
            return ""
        outcome = self._call(rig, line, log, "identify", SHORT_S)
        said = next((text.strip() for text in reversed(outcome.lines) if text.strip()), "")
        try:
            found = int(said, 16)
        except ValueError as error:
            raise FlashError("lab.flash_failed", f"{rig.board}: `identify` printed no device id: {said[:80]}",
                             "its last line must be a number like 0x484", evidence=(said,)) from error  # fmt: skip
        return mcu.checked(rig, found, mask=-1)  # a command may print any maker's id

    def program(self, rig: Rig, image: Path, log: Path, say: Say) -> str:
        images.examine(image, rig.address or 1)
        line = _params(rig).get("write", rig.config)
        if not line:
            raise FlashError("lab.tool_missing", f"{rig.board}: no command writes it",
                             "add \"write=COMMAND {image}\" to its runner_params in lab.toml")  # fmt: skip
        found = self.identify(rig, log)
        ok = _params(rig).get("ok", "")
        with at_host(rig, image) as path:
            self._call(rig, line, log, "write", float(rig.timeout_s), path=path, say=say, writes=True,
                       proofs=(ok,) if ok else ())  # fmt: skip
        return found

    def holds(self, rig: Rig, image: Path, log: Path) -> bool:
        """It cannot look; the record is believed."""
        return True

    def reset(self, rig: Rig, log: Path) -> None:
        line = _params(rig).get("reset", "")
        if not line:
            raise FlashError("lab.tool_missing", f"{rig.board}: nothing resets it",
                             "add \"reset=COMMAND\" to its runner_params in lab.toml")  # fmt: skip
        self._call(rig, line, log, "reset", SHORT_S)

    def halt(self, rig: Rig, log: Path) -> None:
        line = _params(rig).get("halt", "")
        if line:
            self._call(rig, line, log, "halt", SHORT_S)

    def recover(self, rig: Rig, step: Step, log: Path) -> None:
        line = _params(rig).get("under_reset" if step == "reset" else "erase", "")
        if line:
            self._call(rig, line, log, step, float(rig.timeout_s), writes=step == "erase")

    def _call(
        self, rig: Rig, line: str, log: Path, doing: str, seconds: float, *, path: str = "", say: Say = silent,
        writes: bool = False, proofs: tuple[str, ...] = (),
    ) -> Outcome:  # fmt: skip
        facts = {
            "image": path, "address": f"0x{rig.address:08x}", "board": rig.board, "probe_id": rig.probe_id,
            "probe_path": rig.probe_path,
        }  # fmt: skip
        words = [_filled(rig, word, facts) for word in split(line, rig.board)]
        if not words or (not rig.prefix and shutil.which(words[0]) is None):
            raise FlashError("lab.tool_missing", f"{rig.board}: `{line[:80]}` cannot be run",
                             "correct its runner_params in lab.toml, or the target's [flash] config")  # fmt: skip
        env = [f"HIL_{key.upper()}={value}" for key, value in facts.items()]
        argv = on_host(rig.prefix, ("env", *env, *words), seconds)
        outcome = run(argv, (Phase(doing, seconds, f"flash {rig.board}: {doing}"),), log, total=rig.timeout_s, say=say)
        timed_out = f"in phase {doing} ({outcome.seconds:.0f} s)" if outcome.timed_out else ""
        title = os.path.basename(words[0])  # noqa: PTH119
        verdict = judge_tool(title, (), outcome.status, outcome.lines, proofs, timed_out=timed_out)
        if not verdict.ok:
            raise FlashError(verdict.cause, f"{rig.board}: {verdict.sentence}", f"{verdict.remedy} (see {shown(log)})",
                             evidence=verdict.matched, touched=writes)  # fmt: skip
        return outcome


def check(rig: Rig) -> None:
    """UsageError when a run could not write or reset this board, before anything is built."""
    params = _params(rig)
    for key, line in params.items():
        if key != "ok":
            split(line, f"board `{rig.board}`: runner_params: {key}=")
    for key, given in (("write", params.get("write", rig.config)), ("reset", params.get("reset"))):
        if not given:
            raise UsageError(f"board `{rig.board}`: runner = \"command\", and no command for {key}",
                             f"add \"{key}=COMMAND\" to its runner_params in lab.toml")  # fmt: skip


def _params(rig: Rig) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in rig.params:
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS:
            raise UsageError(f"{rig.board}: runner_params: `{word[:80]}`", f"one of {', '.join(KEYS)}, and =command")
        found[key] = value
    if "ok" in found:
        try:
            re.compile(found["ok"])
        except re.error as error:
            raise UsageError(f"{rig.board}: runner_params: ok=: {error}", "write a regular expression") from error
    return found


def _filled(rig: Rig, word: str, facts: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in facts:
            raise UsageError(f"{rig.target}: `{found[0]}` in its flash command", f"there are {', '.join(facts)}")
        return facts[found[1]]

    return re.sub(r"\{(\w+)\}", value, word)
