"""Packages: built on one host, tested on another. `hil build --package OUT` writes, `hil run --package FILE` runs.

A package is a ustar archive, compressed with zstd (`.tar.zst`) or gzip (`.tar.gz`):

    manifest.json   Manifest: schema, target, image, git, size and sha256 of each file
    target.toml     the target's table, as it was when the image was built
    <image>         the image

Equal image, table and commit make an equal package, byte by byte. It holds no time, host, user or key. A package is not
signed: take it from where you would take the firmware. The lab host runs by its own table of the target; one that
differs in anything but how to build is refused, since scenarios would be judged by another promise.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness import paths, ustar
from harness.errors import LabError, UsageError
from harness.lab import tables
from harness.lab.process import spawn, stop
from harness.model import Image
from harness.target import Target, files

SCHEMA = 1
MANIFEST, TABLE = "manifest.json", "target.toml"
ENDINGS = (".tar.zst", ".tar.gz")
MANIFEST_MAX = 64 << 10
LIMIT = 256 << 20
"""Bytes unpacked; the largest image of ours is 3 MB."""
FILES = 3
ZSTD_TIMEOUT = 120.0
ZSTD_WINDOW = "--memory=64MB"
NOT_COMPARED = ("build", "title")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----\s+(?:[A-Za-z0-9+/=]{16,}\s+){2}")
"""With two lines of a body: parsers hold the first line alone."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`image` names one of `files`; `executable`: it is a program of the host (target native)."""

    schema: int
    target: str
    image: str
    git: str
    files: tuple[File, ...]
    executable: bool = False


def write(out: Path, target: Target, image: Image, *, with_keys: bool = False) -> Manifest:
    """Makes the package at `out`, whole or not at all. UsageError for another ending than ENDINGS, for a table that
    cannot be read, and for an image that holds a private key in PEM unless `with_keys`."""
    if not out.name.endswith(ENDINGS):
        raise UsageError(f"{out}: a package ends in {' or '.join(ENDINGS)}", f"--package {target.id}.tar.gz")
    table = next((path for path in files() if path.stem == target.id), paths.TARGETS / f"{target.id}.toml")
    try:
        data, described = image.path.read_bytes(), table.read_bytes()
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}", "build the target again") from error
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise LabError("lab.build_failed", f"{image.path} changed since it was built", "build again, alone")
    if _PRIVATE_KEY.search(data) and not with_keys:
        raise UsageError(f"{image.path} holds a private key: whoever gets the package would get it",
                         "build without it, or add --with-keys")  # fmt: skip
    name = _plain(image.path.name)
    manifest = Manifest(
        schema=SCHEMA, target=target.id, image=name, git=image.git, executable=os.access(image.path, os.X_OK),
        files=tuple(File(name=n, size=len(d), sha256=hashlib.sha256(d).hexdigest())
                    for n, d in ((TABLE, described), (name, data))),
    )  # fmt: skip
    archive = io.BytesIO()
    head = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    ustar.write(archive, ((MANIFEST, head), (TABLE, described), (name, data)))
    _write_whole(out, _compressed(out, archive.getvalue()))
    return manifest


def manifest_of(path: Path) -> Manifest:
    """What a package says of itself. UsageError when it is none."""
    with _reading(path) as source, _plainly(path):
        for name, size, contents in ustar.read(source, limit=LIMIT, most=FILES):
            return _manifest(path, name, size, contents)
    raise UsageError(f"{path}: an empty archive", "make it with hil build --package")


def unpack(path: Path, folder: Path, targets: Mapping[str, Target]) -> Image:
    """The image, in `folder`, every hash verified. UsageError, and nothing left behind, when the package is damaged, no
    package, or not for a target of `targets` as it is described here."""
    made: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _reading(path) as source, _plainly(path):
            manifest = _unpack(path, source, folder, made)
        _same_target(path, manifest, folder / TABLE, targets)
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    image = folder / manifest.image
    if manifest.executable:
        image.chmod(0o755)
    digest = next(file.sha256 for file in manifest.files if file.name == manifest.image)
    return Image(path=image, sha256=digest, git=manifest.git)


def targets_of(packages: Sequence[str]) -> tuple[str, ...]:
    """The target of each package; two for one target are a UsageError."""
    names = [manifest_of(Path(package)).target for package in packages]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise UsageError(f"two packages for {name}: {packages[names.index(name)]}, {packages[at]}", "name one")
    return tuple(names)


def image_for(
    target: Target, packages: Sequence[str], keep: Path, targets: Mapping[str, Target]
) -> Image | None:
    """The image of `target` out of one of `packages`, put into `keep`; None when none is for it."""
    for package in packages:
        if manifest_of(Path(package)).target == target.id:
            return unpack(Path(package), keep, targets)
    return None


# -- reading --


def _unpack(path: Path, source: ustar.Source, folder: Path, made: list[Path]) -> Manifest:
    manifest: Manifest | None = None
    expected: dict[str, File] = {}
    for name, size, contents in ustar.read(source, limit=LIMIT, most=FILES):
        if manifest is None:
            manifest = _manifest(path, name, size, contents)
            expected = {file.name: file for file in manifest.files}
            continue
        wanted = expected.pop(name, None)
        if wanted is None or wanted.size != size:
            raise ustar.BadArchive(f"`{name}` is not as the manifest says")
        target = folder / name
        # Never through something that is already there.
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as out:
            made.append(target)
            digest = hashlib.sha256()
            for data in contents:
                digest.update(data)
                out.write(data)
        if digest.hexdigest() != wanted.sha256:
            raise ustar.BadArchive(f"`{name}`: the hash is not the manifest's")
    if manifest is None or expected:
        raise ustar.BadArchive(f"`{next(iter(expected), MANIFEST)}` is missing")
    return manifest


def _manifest(path: Path, name: str, size: int, contents: Iterator[bytes]) -> Manifest:
    if name != MANIFEST or size > MANIFEST_MAX:
        raise ustar.BadArchive(f"it does not begin with {MANIFEST}")
    try:
        manifest = msgspec.json.decode(b"".join(contents), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ustar.BadArchive(f"{MANIFEST}: {error}") from error
    names = [file.name for file in manifest.files]
    if manifest.schema != SCHEMA:
        raise UsageError(f"{path}: schema {manifest.schema}, this bench reads {SCHEMA}", "build it with this version")
    good = all(ustar.NAME.fullmatch(n) for n in names) and all(_SHA256.fullmatch(f.sha256) for f in manifest.files)
    if not good or sorted(names) != sorted({TABLE, manifest.image}) or manifest.image in (TABLE, MANIFEST):
        raise ustar.BadArchive(f"{MANIFEST} names other files than {TABLE} and one image")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", manifest.target) or not re.fullmatch(r"[\w.+-]{0,80}", manifest.git):
        raise ustar.BadArchive(f"{MANIFEST}: target or git is no plain word")
    return manifest


def _same_target(path: Path, manifest: Manifest, table: Path, targets: Mapping[str, Target]) -> None:
    here = targets.get(manifest.target)
    if here is None:
        raise UsageError(f"{path} is for target {manifest.target}, which is not known here", "update this checkout")
    theirs = tables.convert(path, TABLE, tables.read(table), Target)
    fields = [f for f in Target.__struct_fields__ if f not in NOT_COMPARED and getattr(here, f) != getattr(theirs, f)]
    if fields:
        raise UsageError(f"{path}: the table of {manifest.target} here differs from the package's in: "
                         f"{', '.join(fields)}", "use the same commit on both hosts")  # fmt: skip


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[ustar.Source]:
    """The archive inside, decompressed as it is read."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name a package made by hil build --package") from error
    if magic[:2] == b"\x1f\x8b":
        with gzip.open(path, "rb") as file:
            yield file
    elif magic == b"\x28\xb5\x2f\xfd":
        with path.open("rb") as file:
            proc = spawn([_zstd(), "-q", "-d", "-c", ZSTD_WINDOW], stdin=file, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)  # fmt: skip
            try:
                assert proc.stdout is not None
                yield proc.stdout
            finally:
                stop(proc)
    else:
        raise UsageError(f"{path}: no package", "make one with hil build --package OUT.tar.gz")


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except (ustar.BadArchive, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path}: damaged, or no package: {error}", "make it again: hil build --package") from error
    except FileExistsError as error:
        raise UsageError(f"{error.filename} is already there", "choose another --run-dir") from error


# -- writing --


def _compressed(out: Path, data: bytes) -> bytes:
    if out.name.endswith(".tar.gz"):
        return gzip.compress(data, 9, mtime=0)
    try:
        done = subprocess.run([_zstd(), "-q", "-10", "-T1", "-c"], input=data, capture_output=True,
                              timeout=ZSTD_TIMEOUT, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError("lab.tool_missing", f"zstd does not run: {error}", "use .tar.gz") from error
    if done.returncode != 0:
        raise LabError("lab.tool_missing", f"zstd: {done.stderr.decode(errors='replace').strip()}", "use .tar.gz")
    return done.stdout


def _zstd() -> str:
    program = shutil.which("zstd")
    if program is None:
        raise LabError("lab.tool_missing", "zstd not found", "apt-get install zstd, or use a package in .tar.gz")
    return program


def _write_whole(out: Path, data: bytes) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            Path(name).chmod(0o644)
            Path(name).replace(out)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LabError("lab.disk_full", f"{out}: {error.strerror}", "make room, or name another file") from error


def _plain(name: str) -> str:
    """A name that an archive of ours may hold."""
    made = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:90]
    return made if ustar.NAME.fullmatch(made) and made not in (MANIFEST, TABLE) else f"image-{made}"
