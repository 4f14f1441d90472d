"""A target's image, built once a run: one builder at a time for each target, whoever else runs on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.device.build import build, git_version
from harness.device.project import image_of, project
from harness.errors import LabError
from harness.model import Image
from harness.paths import BUILD
from harness.target import Target

__all__ = ["built", "git_version"]


def built(target: Target, *, keep: Path | None = None, progress: Callable[[str], None] | None = None) -> Image:
    """The image, made or up to date. LabError lab.build_failed with the first error's file and line; UsageError when
    there is nothing to build it from (harness/device/project.py).

    `keep`: a folder for a copy, which is then the image: a build that another run starts meanwhile cannot replace the
    firmware under this one, and its addresses can be looked up later.
    """
    made = project(target)
    folder = BUILD / "fw"
    with _alone(folder, target.id):
        image = build(
            target.id, made.command, lambda: image_of(target, made), folder / f"{target.id}.log",
            timeout=float(target.build.timeout_s), cwd=made.folder, progress=progress,
        )  # fmt: skip
        return image if keep is None else _kept(image, keep)


def _kept(image: Image, folder: Path) -> Image:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copy = Path(shutil.copy2(image.path, folder / image.path.name))
        digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    except OSError as error:
        raise LabError("lab.disk_full", f"{folder}: {error.strerror}", "make it writable, or make room") from error
    return msgspec.structs.replace(image, path=copy, sha256=digest)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """A lock the kernel drops when we die. The file stays: removing it would let two hold it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f".{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise LabError("lab.disk_full", f"{folder}: {error.strerror}", "make it writable, or make room") from error
