"""`hil certs` as its arguments and what it prints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from harness.commands import certs as certs_cli
from harness.errors import UsageError
from harness.lab.pki import Pki, load


def call(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="hil certs")
    certs_cli.add_arguments(parser)
    return certs_cli.run(parser.parse_args(words))


def test_list_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    lines = capsys.readouterr().out.splitlines()
    certs, crls = load()
    for name in (*certs, *crls):
        assert sum(line.split()[:1] == [name] for line in lines) == 1, name
    expired = next(line for line in lines if line.startswith("device-p256-expired "))
    assert "expired" in expired.removeprefix("device-p256-expired")
    assert "key of device-p256-spare" in next(line for line in lines if line.startswith("device-p256-mismatch "))


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--json") == 0
    said = json.loads(capsys.readouterr().out)
    certs, crls = load()
    assert [row["name"] for row in said["certificates"]] == list(certs)
    assert [row["name"] for row in said["crls"]] == list(crls)


def test_make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("make", "--out", str(tmp_path / "pki"), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    made = Pki(tmp_path / "pki")
    assert said["certificates"] == len(made.certs) == len(load()[0])
    assert call("make", "--out", str(tmp_path / "pki")) == 0
    assert str(tmp_path / "pki") in capsys.readouterr().out


def test_mistakes_reach_the_user_as_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.toml"):
        call("--table", str(tmp_path / "missing.toml"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Not a directory"):
        call("make", "--out", str(tmp_path / "file" / "pki"))
    with pytest.raises(SystemExit) as caught:
        call("make")
    assert caught.value.code == 2
