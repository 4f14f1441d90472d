"""What an option may be: `type=` of argparse. A UsageError of one line for the rest, which includes inf and nan."""

from __future__ import annotations

from collections.abc import Callable

from harness.errors import UsageError

LONGEST = 30 * 86400.0  # s


def seconds(text: str) -> float:
    """0 to 30 days."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= LONGEST:  # false for nan
        raise UsageError(f"`{text}` is no time in seconds", f"0 to {LONGEST:.0f}, for example 600")
    return value


def count(least: int) -> Callable[[str], int]:
    """`least` to 100000."""

    def number(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= value <= 100_000:
            raise UsageError(f"`{text}` is no number that can be used here", f"{least} to 100000")
        return value

    return number
