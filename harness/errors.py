"""What people see when something cannot go on: one line that says what, where and the next step, and an exit code.

Exit codes: 0 all passed, 1 a scenario failed, 2 interrupted, 4 usage or configuration, 5 nothing selected,
10 lab error, 11 board busy, 12 board quarantined, 13 flaky with --fail-on-flaky.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 2
EXIT_USAGE = 4
EXIT_NOTHING = 5
EXIT_LAB = 10
EXIT_BUSY = 11
EXIT_QUARANTINED = 12
EXIT_FLAKY = 13


class HilError(Exception):
    """A condition people can act on. `what` names the thing and the place, `fix` the next step."""

    exit_code = EXIT_USAGE

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}" if self.fix else self.what


class UsageError(HilError):
    """Unknown target, key, option: exit 4."""


class NothingSelected(HilError):
    """The selection is empty: exit 5."""

    exit_code = EXIT_NOTHING


class LabError(HilError):
    """The bench's own part failed: never the device's fault. `cause` is a `lab.*` id of causes.toml. Exit 10.

    `again`: whether another attempt may help; False where whoever raises it has tried again already.
    """

    exit_code = EXIT_LAB
    again = True

    def __init__(self, cause: str, what: str, fix: str = "") -> None:
        super().__init__(what, fix)
        self.cause = cause


class BoardBusy(LabError):
    exit_code = EXIT_BUSY

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__("lab.board_busy", what, fix)


class BoardQuarantined(LabError):
    exit_code = EXIT_QUARANTINED
