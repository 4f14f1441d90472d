"""docs/describe-a-board.md: its lab files load as they stand and together explain every key; its commands exist."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from harness.commands import boards, locks, wires
from harness.lab import inventory
from harness.lab.inventory import BoardEntry, Power, Settings
from harness.paths import ROOT

PAGE = (ROOT / "docs" / "describe-a-board.md").read_text()
EXAMPLES = [block for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[[board]]" in block]


def test_the_examples_load_together(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text("\n".join(EXAMPLES))
    assert len(inventory.load(path)) == 5


def test_every_key_is_explained() -> None:
    text = "\n".join(EXAMPLES)
    for kind in (BoardEntry, Power, Settings):
        for key in kind.__struct_fields__:
            assert re.search(rf"\b{key} = ", text), f"{kind.__name__}.{key} is not in the page"
    for runner in inventory.RUNNERS:
        assert runner in text


def test_the_commands_take_what_the_page_says() -> None:
    parsers = {}
    for name, add in (
        ("boards", boards.add_boards_arguments), ("lock", locks.add_lock_arguments),
        ("unlock", locks.add_unlock_arguments), ("console", wires.add_console_arguments),
        ("power", wires.add_power_arguments),
    ):  # fmt: skip
        parsers[name] = argparse.ArgumentParser(prog=name)
        add(parsers[name])
    rows = [row for row in PAGE.splitlines() if row.startswith("| `hil ")]
    assert len(rows) >= 7
    for row in rows:
        command = row.split()[2].strip("`")
        known = parsers[command].format_help()
        for option in re.findall(r"--[a-z-]+", row.split("|")[1]):
            assert option in known, f"hil {command} has no {option}"
