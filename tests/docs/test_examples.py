"""The pages and examples cannot rot: every `hil` command in them is given to the real argument parsers, units and
workflows are parsed, and whatever is uploaded is the copy without secrets."""

from __future__ import annotations

import argparse
import configparser
import contextlib
import importlib
import io
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from harness import cli, paths, target
from harness.device import project

DOCS = paths.ROOT / "docs"
EXAMPLES = DOCS / "examples"
UNITS = sorted(EXAMPLES.glob("*.service")) + sorted(EXAMPLES.glob("*.timer"))
WORKFLOWS = sorted(EXAMPLES.glob("*.yml"))
PAGES = [DOCS / "nightly-lab.md"]
HIL = re.compile(r"(?:^|.*/)hil")
PREFIX = ("sudo", "exec", "-")


def commands(line: str) -> Iterator[list[str]]:
    """The words of each `hil …` in one line of shell."""
    line = re.sub(r"\$\{\{.*?\}\}", "X", line)
    line = re.sub(r"\$\$\(.*?\)|\$\(.*?\)", "X", line)
    for part in re.split(r"&&|\|\||[;|]", line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            words = part.split()
        while words and (words[0] in PREFIX or "=" in words[0]):
            words = words[1:]
        words = [words[0].lstrip("-"), *words[1:]] if words else []
        if words[:2] == ["/bin/sh", "-c"]:
            yield from commands(words[2])
        elif words and HIL.fullmatch(words[0]):
            yield words[1:]


def accept(words: list[str]) -> None:
    """As harness/cli.py does it, up to the parsed arguments."""
    name = words[0]
    assert name in cli.COMMANDS, f"no command `{name}`"
    module: Any = importlib.import_module(cli.COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"hil {name}")
    (getattr(module, f"add_{name}_arguments", None) or module.add_arguments)(parser)
    words = words[1 : words.index("--")] if "--" in words else words[1:]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser.parse_args(words)
    except SystemExit:
        raise AssertionError(f"hil {shlex.join([name, *words])}: {said.getvalue().splitlines()[-1]}") from None


def test_the_check_itself_finds_what_is_wrong() -> None:
    wrong = ("hil run --every-board", "hil nonsense", "true && hil boards --chekc", "hil services --frobnicate")
    for line in wrong:
        with pytest.raises(AssertionError):
            for words in commands(line):
                accept(words)
    assert [w[0] for w in commands('sudo .venv/bin/hil run "$X" || hil report latest; echo hil')] == ["run", "report"]


def test_pages() -> None:
    for page in PAGES:
        blocks = re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        found = [words for block in blocks for line in block.splitlines() for words in commands(line)]
        assert len(found) >= 15, page
        for words in found:
            accept(words)


def test_links_of_the_page_lead_somewhere() -> None:
    for page in PAGES:
        links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        assert links and all((page.parent / link).exists() for link in links if "://" not in link), links
    assert "docs/nightly-lab.md" in (paths.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units(path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path, encoding="utf-8")
    assert unit.get("Unit", "Description")
    lines = [line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("Exec")]
    found = [words for _, _, value in lines for words in commands(value.replace("%%", "%"))]
    assert path.suffix == ".timer" or len(found) == len(lines), "an Exec line without a hil command"
    for words in found:
        accept(words)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With a `hil` where the units expect one."""
    program = tmp_path / "hil" / ".venv" / "bin" / "hil"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    copies = []
    for path in UNITS:
        copy = tmp_path / path.name
        copy.write_text(path.read_text(encoding="utf-8").replace("/opt/hil", str(tmp_path / "hil")), encoding="utf-8")
        copies.append(copy)
    done = verify(*copies)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    (tmp_path / UNITS[0].name).write_text("[Service]\nType=oneshot\nExecStrat=/bin/true\n", encoding="utf-8")
    assert "ExecStrat" in verify(copies[0]).stderr, "it finds nothing"


def verify(*units: Path) -> subprocess.CompletedProcess[str]:
    argv = ["systemd-analyze", "verify", "--man=no", *map(str, units)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def steps(path: Path) -> dict[str, list[str]]:
    """Shell lines of each job."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    jobs = document.get("jobs") or {k: v for k, v in document.items() if isinstance(v, dict) and "script" in v}
    return {name: [step["run"] for step in job.get("steps", ()) if "run" in step]
                  + [str(line) for key in ("script", "after_script") for line in job.get(key, ())]
            for name, job in jobs.items()}  # fmt: skip


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows(path: Path) -> None:
    jobs = steps(path)
    assert len(jobs) == 2
    found = {name: [w for text in lines for line in text.splitlines() for w in commands(line)]
             for name, lines in jobs.items()}  # fmt: skip
    for every in found.values():
        for words in every:
            accept(words)
    build, test = found.values()
    packages = [words[words.index("--package") + 1] for words in build if "--package" in words]
    assert len(packages) == 1 and packages[0].endswith(".tar.zst")
    assert [words[0] for words in test] == ["boards", "run", "report"]
    taken = [test[1][at + 1] for at, word in enumerate(test[1]) if word == "--package"]
    listed = re.findall(r"^\s+(?:target|- TARGET): \[(.*)\]$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert [Path(name).name for name in taken] == [f"{name}.tar.zst" for name in listed[0].split(", ")]
    table, text = target.load(), path.read_text(encoding="utf-8")
    for name in listed[0].split(", "):
        # A target without firmware in this repository needs somebody's.
        assert table[name].build.command or f"  {project.variable(name, 'PROJECT')}: " in text


def uploads(path: Path) -> Iterator[str]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for job in (document.get("jobs") or document).values():
        if not isinstance(job, dict):
            continue
        for step in job.get("steps", ()):
            if "upload-artifact" in step.get("uses", ""):
                yield str(step["with"]["path"])
        yield from job.get("artifacts", {}).get("paths", ())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_packages_and_the_copy_without_secrets_are_uploaded(path: Path) -> None:
    found = list(uploads(path))
    assert len(found) == 2 and Path(found[1]).name == "upload" and found[0].endswith(".tar.zst"), found
    text = path.read_text(encoding="utf-8")
    assert re.search(r"--artifacts (\.\./)?upload\n", text) and "secrets/" not in text
