"""README.md and every page of docs/ against what is there: commands, make's words, paths, links, causes, scenarios,
defects, environment variables. A page may say `…`, or a word in capitals, where the reader puts something of their own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from harness import cli, paths, scenario, target
from tests.docs.test_examples import accept, commands

ROOT = paths.ROOT
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "harness").glob("*/README.md"))]
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
NAMED = ("harness", "docs", "tests", "firmware_shims", "scenarios", "broker_configs", "certs", "setup", "reports")
"""What a path of this repository begins with."""
MADE = re.compile(r"reports/(runs|latest)")
BARE = (["run"], ["flash"], ["show"], ["power"], ["console"], ["lock"], ["certs"], ["jwt"],
        ["certs", "header"], ["certs", "check"], ["jwt", "check"])  # fmt: skip
"""A command by its name, in the middle of a sentence."""
ACTIONS = {"certs": ("make", "check", "header"), "jwt": ("check",)}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def shell_lines(page: Path) -> Iterator[str]:
    """Of the blocks that are no other language, and what stands in a line of text as a command."""
    text = text_of(page)
    for kind, block in FENCE.findall(text):
        if kind in ("", "sh", "bash", "yaml"):
            yield from block.replace("\\\n", " ").splitlines()
    yield from SPAN.findall(FENCE.sub("", text))


@cache
def causes() -> dict[str, set[str]]:
    """Families and their members."""
    table = tomllib.loads((ROOT / "harness/diagnosis/causes.toml").read_text(encoding="utf-8"))
    return {family: set(members) for family, members in table.items()}


@cache
def settings() -> set[str]:
    """The keys of SET."""
    text = (ROOT / "firmware_shims/client/settings.c").read_text(encoding="utf-8")
    return set(re.findall(r'(?:\{|TEXT_ROW\()"([a-z_.]+)", ', text)) | {"ca.alt", "key.alt"}


@cache
def rules() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@EACH
def test_commands_are_understood(page: Path) -> None:
    for line in shell_lines(page):
        for words in commands(line):
            plain = [re.sub(r"^[A-Z]$|^(PID|S|N)$", "1", word) for word in words]
            plain = plain[:-1] if plain[-1:] == ["--help"] else plain
            if plain and plain not in BARE and not any("…" in word or "[" in word for word in plain):
                accept(plain)


@EACH
def test_make_has_what_is_asked_of_it(page: Path) -> None:
    targets = target.load()
    for line in shell_lines(page):
        found = re.match(r"make ([a-z-]+)((?: [A-Z]+=\S+)*)", line)
        if found is None:
            continue
        assert found[1] in rules(), line
        given = dict(word.split("=", 1) for word in found[2].split())
        if "<" in line or found[1] != "hil":
            continue
        assert set(given) <= {"TARGET", "SCENARIO", "PROFILE", "DEFECT", "ARGS"}, line
        wanted = targets[given.get("TARGET", "qemu-m33")]
        assert given.get("DEFECT", "") in ("", *wanted.defects), line
        assert given.get("SCENARIO", "T12-02") in scenario.load(), line


def words_of(text: str) -> set[str]:
    words = {word for span in SPAN.findall(text) for word in re.split(r"[\s,;]+", span)}
    return words | set(re.findall(r"\bdocs/[\w/.-]+\w", text))


@EACH
def test_paths_lead_somewhere(page: Path) -> None:
    text = text_of(page)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in link or (page.parent / link).exists(), link
    for word in (one.rstrip("/.") for one in words_of(text)):
        if word.partition("/")[0] in NAMED and "/" in word and not MADE.match(word) and not re.search(r"[<>$…=]", word):
            assert any(any(base.glob(word)) for base in (ROOT, ROOT / "harness", page.parent)), word


@EACH
def test_causes_and_scenarios_exist(page: Path) -> None:
    text = text_of(page)
    for name in re.findall(r"`([a-z_]+\.[a-z0-9_]+)`", text):
        family, _, member = name.partition(".")
        if family in causes() and member not in ("toml", "h", "c", "py") and name not in settings():
            assert member in causes()[family], name
    scenarios = set(scenario.load())
    layers = "|".join({name.partition("-")[0] for name in scenarios})
    for name in re.findall(rf"\b(?:{layers})-\d\d\b", text):
        assert name in scenarios, name


@EACH
def test_variables_are_read_by_somebody(page: Path) -> None:
    names = set(re.findall(r"\bHIL_[A-Z0-9_]+\b", text_of(page)))
    for name in names:
        if re.fullmatch(r"HIL_[A-Z0-9_]+_(PROJECT|BUILD|IMAGE)", name):
            continue  # of any target, one of your own too
        assert any(name in text for text in sources()), name


@cache
def sources() -> tuple[str, ...]:
    files = [p for folder in ("harness", "firmware_shims", "setup", "tests") for p in (ROOT / folder).rglob("*")
             if p.suffix in (".py", ".c", ".h", ".sh", ".cmake", ".txt") and p != Path(__file__)]  # fmt: skip
    return tuple(p.read_text(encoding="utf-8", errors="replace") for p in files)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("`hil boards --chekc`", test_commands_are_understood),
        ("```\nhil run --every\n```", test_commands_are_understood),
        ("`make buidl`", test_make_has_what_is_asked_of_it),
        ("`make hil TARGET=h563-sim DEFECT=recv_zero`", test_make_has_what_is_asked_of_it),
        ("see `harness/nowhere.py`", test_paths_lead_somewhere),
        ("see docs/nowhere.md", test_paths_lead_somewhere),
        ("[here](nowhere.md)", test_paths_lead_somewhere),
        ("`tls.no_such_cause`", test_causes_and_scenarios_exist),
        ("T12-99 shows it", test_causes_and_scenarios_exist),
        ("set `HIL_NO_SUCH`", test_variables_are_read_by_somebody),
    ],
)
def test_the_checks_find_what_is_wrong(text: str, check: Callable[[Path], None], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        check(page)


def test_the_tables_of_defects_name_what_targets_have() -> None:
    page = text_of(ROOT / "docs/stories.md")
    parts = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    targets = target.load()
    rows = 0
    for part in parts:
        (name,) = {n for n in SPAN.findall(part.splitlines()[0]) if n in targets}
        for line in part.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == 6 and re.fullmatch(r"\d{3}", cells[0]):
                rows += 1
                for defect in SPAN.findall(cells[2]):
                    assert defect in targets[name].defects, (name, defect)
    assert rows > 40


def test_what_an_error_tells_people_to_make_exists() -> None:
    for text in sources():
        for name in re.findall(r"(?:run `|: |run )make ([a-z-]+)`?\"[,)]", text):
            assert name in rules(), name


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_the_examples_of_help_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([command], *([command, action] for action in ACTIONS.get(command, ()))):
        with pytest.raises(SystemExit):
            cli.main([*words, "--help"])
        _, marked, examples = capsys.readouterr().out.partition("\nexample")
        assert marked, words
        lines = [re.split(r"   +|…", line.strip())[0].replace("$PPID", "1") for line in examples.splitlines()]
        found = [one for line in lines for one in commands(line.removeprefix("s:").removeprefix(":"))]
        assert found
        for example in found:
            accept(example[: example.index(">")] if ">" in example else example)
