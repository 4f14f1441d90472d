"""Verdicts on disk: whole or not at all, recovered without run.json, paths relative to the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import session, store
from harness.errors import LabError, UsageError
from harness.model import Attempt, Evidence, Verdict


def verdict(run_dir: Path, name: str = "T12-02[r12]", given: str = "pass") -> Verdict:
    evidence = Evidence(capture=run_dir / "t" / "x" / "attempt-1" / "capture.pcapng")
    attempt = Attempt(number=1, verdict=given, why="w", seconds=0.1, evidence=evidence)  # type: ignore[arg-type]
    return Verdict(id=name, target="t", profile="r12", verdict=given, why="w", attempts=(attempt,))  # type: ignore[arg-type]


def put(run_dir: Path, folder: str, one: Verdict) -> None:
    store.write_verdict(run_dir / "t" / folder / store.VERDICT, one, run_dir)


def test_round_trip_and_relative_paths(tmp_path: Path) -> None:
    one = verdict(tmp_path)
    put(tmp_path, "x", one)
    text = (tmp_path / "t" / "x" / store.VERDICT).read_text()
    assert json.loads(text)["attempts"][0]["evidence"]["capture"] == "t/x/attempt-1/capture.pcapng"
    assert store.read_verdicts(tmp_path) == [one]


def test_a_run_without_run_json_is_recovered(tmp_path: Path) -> None:
    put(tmp_path, "x", verdict(tmp_path))
    put(tmp_path, "y", verdict(tmp_path, "T13-01[e13]", "fail"))
    assert store.read_run(tmp_path).totals == {"fail": 1, "pass": 1}


def test_verdicts_beyond_run_json_count(tmp_path: Path) -> None:
    put(tmp_path, "x", verdict(tmp_path))
    store.write_run(
        tmp_path, store.summary_of(store.read_verdicts(tmp_path), started="s", finished="f", targets=("t",), git="g")
    )
    put(tmp_path, "y", verdict(tmp_path, "T13-01[e13]"))
    assert store.read_run(tmp_path).totals == {"pass": 2}


def test_a_damaged_verdict_does_not_hide_the_others(tmp_path: Path) -> None:
    put(tmp_path, "x", verdict(tmp_path))
    (tmp_path / "t" / "y").mkdir(parents=True)
    (tmp_path / "t" / "y" / store.VERDICT).write_text('{"id": ')
    assert len(store.read_verdicts(tmp_path)) == 1


def test_no_run_here(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run here"):
        store.read_run(tmp_path)


def test_nothing_half_written_stays_behind(tmp_path: Path) -> None:
    store.write_whole(tmp_path / "file" / "x", b"1")
    with pytest.raises(LabError) as error:
        store.write_whole(tmp_path / "file" / "x" / "y", b"2")
    assert error.value.cause == "lab.disk_full"
    assert [p.name for p in (tmp_path / "file").iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("totals", "flaky", "code"),
    [({"pass": 3}, False, 0), ({"pass": 1, "fail": 1, "lab": 1}, False, 1), ({"pass": 1, "lab": 1}, False, 10),
     ({"pass": 1, "flaky": 1}, False, 0), ({"pass": 1, "flaky": 1}, True, 13), ({"skip": 4}, False, 5),
     ({"warn": 1, "known": 1, "fixed": 1}, False, 0)],
)  # fmt: skip
def test_exit_codes(totals: dict[str, int], flaky: bool, code: int) -> None:
    summary = store.summary_of((), started="", finished="", targets=("t",), git="")
    import msgspec

    assert session.exit_code(msgspec.structs.replace(summary, totals=totals), fail_on_flaky=flaky) == code


@pytest.mark.parametrize("text", ["0/2", "3/2", "x", "1/", "/2"])
def test_shard_errors(text: str) -> None:
    with pytest.raises(UsageError, match="shard"):
        session.selection(session.Options(target="native", shard=text))
