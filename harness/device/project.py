"""Somebody's own firmware: `HIL_<TARGET>_PROJECT=folder` builds what is there instead of what this repository has.

For target `h563` (upper case, `-` as `_`):
    HIL_H563_PROJECT   the folder; the target's [build] project_command runs in it
    HIL_H563_BUILD     another command, a line for the shell (`true` when the image is built elsewhere)
    HIL_H563_IMAGE     the image, relative to the folder; needed when project_image fits several files
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from harness.errors import LabError, UsageError
from harness.paths import ROOT
from harness.target import Target


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, where, and the pattern of what comes out. `own`: not this repository's."""

    command: str | tuple[str, ...]
    folder: Path
    image: str
    own: bool


def variable(target: str, what: str) -> str:
    """`HIL_H563_PROJECT` of `h563`, `PROJECT`."""
    return f"HIL_{target.upper().replace('-', '_')}_{what}"


def project(target: Target, env: Mapping[str, str] = os.environ) -> Project:
    """How `target`'s image is made. UsageError (exit 4) with what to set when there is nothing to build."""
    name = variable(target.id, "PROJECT")
    given = env.get(name, "")
    if not given:
        if not target.build.command:
            raise UsageError(
                f"target {target.id}: this repository has no firmware for it",
                f"set {name} to the folder of yours (docs/describe-a-board.md), or run an emulated target",
            )
        return Project(command=target.build.command, folder=ROOT, image=target.build.image, own=False)
    folder = Path(given).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder (from {name})", f"correct {name}, or unset it")
    command = env.get(variable(target.id, "BUILD"), "") or target.build.project_command
    if not command:
        raise UsageError(f"target {target.id}: no command builds {folder}",
                         f"set {variable(target.id, 'BUILD')}, for example to `make -j2`")  # fmt: skip
    image = env.get(variable(target.id, "IMAGE"), "") or target.build.project_image
    if not image:
        raise UsageError(f"target {target.id}: which image does {folder} make?",
                         f"set {variable(target.id, 'IMAGE')}, relative to that folder")  # fmt: skip
    return Project(command=command, folder=folder, image=image, own=True)


def image_of(target: Target, made: Project) -> Path:
    """The one file that fits the pattern, after the build. LabError lab.build_failed when there is none or several."""
    name = variable(target.id, "IMAGE")
    path = made.folder / made.image
    if path.is_file() or not any(c in made.image for c in "*?["):
        return path
    try:
        found = sorted(one for one in made.folder.glob(made.image) if one.is_file())
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"target {target.id}: `{made.image}` is no pattern: {error}", f"set {name}") from error
    if len(found) == 1:
        return found[0]
    if not found:
        raise LabError("lab.build_failed", f"{target.id}: the build made no {made.folder / made.image}", f"set {name}")
    names = ", ".join(str(one.relative_to(made.folder)) for one in found[:5])
    raise LabError("lab.build_failed", f"{target.id}: {len(found)} files fit {made.image}: {names}", f"set {name}")
