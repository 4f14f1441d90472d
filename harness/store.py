"""Where verdicts live on disk. `verdict.json` is written whole (rename) the moment a verdict exists; `run.json` is made
from them and can be made again from them, so that nothing is lost when the bench is killed. Paths in the files are
relative to the run's folder.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import LabError, UsageError
from harness.model import Evidence, RunSummary, Verdict

T = TypeVar("T")
VERDICT = "verdict.json"
RUN = "run.json"


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError


def write_whole(path: Path, data: bytes) -> None:
    """Writes under another name and renames: a reader sees all of it or nothing. LabError when the disk is full."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise LabError("lab.disk_full", f"{path}: {error.strerror}", "make room or choose another folder") from error


def write_verdict(path: Path, verdict: Verdict, run_dir: Path) -> None:
    write_whole(path, msgspec.json.format(msgspec.json.encode(relative(verdict, run_dir), enc_hook=_encode)) + b"\n")


def read_verdicts(run_dir: Path) -> list[Verdict]:
    """Every verdict given so far, by target and id; paths absolute. A file that is damaged is left out."""
    found = []
    for path in sorted(run_dir.glob(f"*/*/{VERDICT}")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            verdict = msgspec.json.decode(path.read_bytes(), type=Verdict, dec_hook=_decode)
            found.append(absolute(verdict, run_dir))
    return found


def summary_of(
    verdicts: Iterable[Verdict], *, started: str, finished: str, targets: tuple[str, ...], git: str,
    images: dict[str, Any] | None = None,
) -> RunSummary:  # fmt: skip
    given = tuple(verdicts)
    return RunSummary(
        started=started, finished=finished, targets=targets, git=git,
        totals=dict(sorted(Counter(v.verdict for v in given).items())), images=images or {}, verdicts=given,
    )  # fmt: skip


def write_run(run_dir: Path, summary: RunSummary) -> None:
    stored = msgspec.structs.replace(summary, verdicts=tuple(relative(v, run_dir) for v in summary.verdicts))
    write_whole(run_dir / RUN, encode(stored))


def encode(value: Any) -> bytes:
    """Readable JSON of a model value."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_encode)) + b"\n"


def decode(data: bytes, kind: type[T]) -> T:
    """The other way round. msgspec.DecodeError."""
    return msgspec.json.decode(data, type=kind, dec_hook=_decode)


def read_run(run_dir: Path) -> RunSummary:
    """`run.json`, with what verdict.json files know beyond it (a run that was killed). UsageError when it is no run."""
    path = run_dir / RUN
    summary = None
    if path.is_file():
        try:
            summary = msgspec.json.decode(path.read_bytes(), type=RunSummary, dec_hook=_decode)
        except msgspec.DecodeError as error:
            raise UsageError(f"{path}: {error}", "name the folder of a run") from error
    verdicts = read_verdicts(run_dir)
    if summary is None and not verdicts:
        raise UsageError(f"{run_dir}: no run here", "name a folder of reports/runs")
    if summary is None:
        targets = tuple(sorted({v.target for v in verdicts}))
        return summary_of(verdicts, started="", finished="", targets=targets, git="")
    if len(verdicts) >= len(summary.verdicts):
        return summary_of(
            verdicts, started=summary.started, finished=summary.finished, targets=summary.targets, git=summary.git,
            images=summary.images,
        )  # fmt: skip
    return msgspec.structs.replace(summary, verdicts=tuple(absolute(v, run_dir) for v in summary.verdicts))


def relative(verdict: Verdict, run_dir: Path) -> Verdict:
    return _mapped(verdict, lambda p: p.relative_to(run_dir) if p.is_relative_to(run_dir) else p)


def absolute(verdict: Verdict, run_dir: Path) -> Verdict:
    return _mapped(verdict, lambda p: run_dir / p)


def _mapped(verdict: Verdict, change: Any) -> Verdict:
    attempts = []
    for attempt in verdict.attempts:
        paths = {f: getattr(attempt.evidence, f) for f in attempt.evidence.__struct_fields__}
        evidence = Evidence(**{k: (change(v) if v is not None else None) for k, v in paths.items()})
        attempts.append(msgspec.structs.replace(attempt, evidence=evidence))
    return msgspec.structs.replace(verdict, attempts=tuple(attempts))
