"""A copy of a run that may leave the lab: reports and evidence, nothing that decrypts a session or is somebody's key.

Left out: every `secrets/` folder, the firmware, hidden files, links, and whatever is neither text nor capture. What is
copied is looked through all the same, because a device may print what it should not: lines of a TLS key log and private
keys in PEM are masked, Decryption Secrets Blocks are taken out of captures. The reports are made again from the copy.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from harness import store
from harness.errors import LabError, UsageError
from harness.evidence import pcapng
from harness.model import RunSummary, Verdict

TEXT = (".log", ".json", ".conf", ".cnf", ".md", ".txt", ".stderr", ".toml", ".xml", ".html")
CAPTURE = ".pcapng"
REPORTS = ("junit.xml", "summary.md", "index.html")
LEFT_OUT = ("secrets", "firmware", "pki")
MASK = b"[masked]"
LINE_MAX = 1 << 20  # bytes; a longer line is looked at in pieces
KEY_LINES = 200  # a PEM block ends by then, or is none
_LABELS = (b"CLIENT_RANDOM|RSA|[A-Z_]{0,24}(?:TRAFFIC|EXPORTER)_SECRET(?:_[0-9N])?"
           b"|CLIENT_EARLY_TRAFFIC_SECRET|EARLY_EXPORTER_(?:MASTER_)?SECRET")  # fmt: skip
KEYLOG_LINE = re.compile(rb"\b(" + _LABELS + rb")[ \t]+[0-9a-fA-F]{16,128}[ \t]+[0-9a-fA-F]{16,256}")
"""NSS key log format. `RSA` is its oldest kind of line."""
BEGIN = re.compile(rb"-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----")
END = re.compile(rb"-----END [A-Z ]{0,24}PRIVATE KEY-----")
BODY = re.compile(rb"(?:[A-Za-z0-9+/=\s]|\\[nrt])*")  # also as a JSON string holds it
LONG = re.compile(rb"[A-Za-z0-9+/=]{16,}")
SHORT = re.compile(rb"^((?:\[[^\]]*\]|[\d.:T+Z-]+)?\s*)[A-Za-z0-9+/]{1,15}={0,2}(\s*)$")  # a key's last line


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """Paths relative to the run. `masked`: something was taken out of them."""

    files: tuple[str, ...]
    masked: tuple[str, ...]
    left_out: tuple[str, ...]


def copy(run_dir: Path, out: Path) -> Copied:
    """Makes `out` (new or empty) such a copy of the run. UsageError, LabError lab.disk_full."""
    store.read_run(run_dir)  # or it is none
    if out.resolve().is_relative_to(run_dir.resolve()):
        raise UsageError(f"{out} is inside the run", "name a folder outside it")
    files: list[str] = []
    masked: list[str] = []
    left_out: list[str] = []
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is not empty", "name a new folder")
        for source in sorted(run_dir.rglob("*")):
            name = source.relative_to(run_dir)
            if source.is_dir() and not source.is_symlink():
                continue
            if not _wanted(source, name):
                left_out.append(str(name))
                continue
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            changed = _copy_one(source, target)
            if changed is None:
                target.unlink(missing_ok=True)
                left_out.append(str(name))
                continue
            files.append(str(name))
            if changed:
                masked.append(str(name))
        _reports(out)
    except OSError as error:
        raise LabError("lab.disk_full", f"{error.filename or out}: {error.strerror}", "make room") from error
    made = tuple(name for name in (store.RUN, *REPORTS) if name not in files)
    return Copied(files=(*files, *made), masked=tuple(masked), left_out=tuple(left_out))


def _wanted(source: Path, name: Path) -> bool:
    if source.is_symlink() or not source.is_file() or any(part.startswith(".") for part in name.parts):
        return False
    if any(part in LEFT_OUT for part in name.parts[:-1]) or str(name) in REPORTS:
        return False
    return source.suffix in (*TEXT, CAPTURE)


def _copy_one(source: Path, target: Path) -> bool | None:
    """Whether something was taken out; None when the file cannot be told to be clean."""
    with source.open("rb") as file, target.open("wb") as out:
        if source.suffix == CAPTURE:
            return _copy_capture(file, out)
        changed = False
        for line in masked_lines(file):
            changed = changed or MASK in line
            out.write(line)
        return changed


def masked_lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines, without secrets. Other lines between those of a key (another task's log) stay."""
    left = 0  # lines in which a key's body may still come
    while line := file.readline(LINE_MAX):
        line = KEYLOG_LINE.sub(rb"\1 " + MASK, line)
        if begin := BEGIN.search(line):
            body = BODY.match(line, begin.end())
            rest = line[body.end() :] if body is not None else b""
            left = 0 if rest or END.search(line, begin.end()) else KEY_LINES
            line = line[: begin.end()] + MASK + (rest or b"\n")
        elif left:
            left = 0 if END.search(line) else left - 1
            line = LONG.sub(MASK, line) if LONG.search(line) else SHORT.sub(rb"\1" + MASK + rb"\2", line)
        yield line


def _copy_capture(file: BinaryIO, out: BinaryIO) -> bool | None:
    """Block by block, without those that hold secrets."""
    changed, order = False, "<"
    while head := file.read(12):
        if len(head) < 12:
            return None
        if head[:4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if head[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, length = struct.unpack_from(f"{order}II", head)
        if length < 12 or length % 4 or length > pcapng.MAX_BLOCK:
            return None
        rest = file.read(length - 12)
        if len(rest) < length - 12:
            return None
        if kind == pcapng.SECRETS:
            changed = True
        else:
            out.write(head + rest)
    return changed


def _reports(out: Path) -> None:
    from harness.report import html, junit
    from harness.report import summary as markdown

    found = store.read_run(out)
    summary = msgspec.structs.replace(
        found, verdicts=tuple(_without_keys(v) for v in found.verdicts), images=_named(found)
    )
    store.write_run(out, summary)
    near = msgspec.structs.replace(summary, verdicts=tuple(store.relative(v, out) for v in summary.verdicts))
    junit.write(near, out / REPORTS[0])
    (out / REPORTS[1]).write_text(markdown.render(near), encoding="utf-8")
    (out / REPORTS[2]).write_text(html.render(summary, out), encoding="utf-8")


def _without_keys(verdict: Verdict) -> Verdict:
    attempts = tuple(
        msgspec.structs.replace(a, evidence=msgspec.structs.replace(a.evidence, keylog=None)) for a in verdict.attempts
    )
    return msgspec.structs.replace(verdict, attempts=attempts)


def _named(summary: RunSummary) -> dict[str, object]:
    """Images by their file's name: where they lay is nobody's business."""
    return {t: msgspec.structs.replace(image, path=Path(image.path.name)) for t, image in summary.images.items()}
