"""Packages: equal bytes for equal contents, every hash checked, and nothing an archive says gets out of its folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import package, paths, ustar
from harness.errors import HilError, UsageError
from harness.model import Image
from harness.target import Target, load

TARGETS = load()
NATIVE = TARGETS["native"]
CONTENT = b"\x7fELF" + bytes(range(256)) * 40


def image(folder: Path, content: bytes = CONTENT) -> Image:
    path = folder / "firmware.elf"
    path.write_bytes(content)
    return Image(path=path, sha256=hashlib.sha256(content).hexdigest(), git="0123456789ab-dirty")


@pytest.mark.parametrize("ending", package.ENDINGS)
def test_there_and_back(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"native{ending}"
    made = image(tmp_path)
    made.path.chmod(0o755)
    package.write(out, NATIVE, made)
    first = out.read_bytes()
    os.utime(made.path, (1, 1))
    package.write(out, NATIVE, made)
    assert out.read_bytes() == first, "not reproducible"
    found = package.unpack(out, tmp_path / "there", TARGETS)
    assert (found.sha256, found.git, found.path.read_bytes()) == (made.sha256, made.git, CONTENT)
    assert os.access(found.path, os.X_OK)
    assert package.targets_of([str(out)]) == ("native",)
    assert package.image_for(TARGETS["qemu-m33"], [str(out)], tmp_path / "x", TARGETS) is None


def test_a_target_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table lies in HIL_TARGETS, on both hosts."""
    (tmp_path / "targets").mkdir()
    table = (paths.TARGETS / "native.toml").read_text().replace('id = "native"', 'id = "mine"')
    (tmp_path / "targets" / "mine.toml").write_text(table)
    monkeypatch.setenv("HIL_TARGETS", str(tmp_path / "targets"))
    known = load()
    package.write(tmp_path / "mine.tar.gz", known["mine"], image(tmp_path))
    assert package.unpack(tmp_path / "mine.tar.gz", tmp_path / "there", known).path.read_bytes() == CONTENT
    monkeypatch.setenv("HIL_TARGETS", str(tmp_path / "tarets"))
    with pytest.raises(UsageError, match="HIL_TARGETS"):
        load()


def test_a_table_that_no_parser_bears(tmp_path: Path) -> None:
    out, made = tmp_path / "p.tar.gz", {package.TABLE: b"a = " + b"[" * 50_000, "fw": CONTENT}
    listed = [{"name": n, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in made.items()]
    head = {"schema": 1, "target": "native", "image": "fw", "git": "", "files": listed}
    archive = io.BytesIO()
    ustar.write(archive, ((package.MANIFEST, json.dumps(head).encode()), *made.items()))
    out.write_bytes(gzip.compress(archive.getvalue()))
    with pytest.raises(UsageError, match="nested too deeply"):
        package.unpack(out, tmp_path / "there", TARGETS)
    assert not list((tmp_path / "there").iterdir())


def test_tar_and_system_tools_read_it(tmp_path: Path) -> None:
    out = tmp_path / "native.tar.gz"
    package.write(out, NATIVE, image(tmp_path))
    with tarfile.open(out) as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == ["manifest.json", "target.toml", "firmware.elf"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
    text = gzip.decompress(out.read_bytes())
    assert str(tmp_path).encode() not in text and os.uname().nodename.encode() not in text[: 3 * 512]


def archive(files: list[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    ustar.write(made, files)
    return made.getvalue()


def manifest(**changes: Any) -> bytes:
    table = (paths.TARGETS / "native.toml").read_bytes()
    rows = [{"name": n, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()}
            for n, d in (("target.toml", table), ("firmware.elf", CONTENT))]  # fmt: skip
    data = {"schema": 1, "target": "native", "image": "firmware.elf", "git": "abc", "files": rows}
    return json.dumps(data | changes).encode()


def parts(**changes: Any) -> list[tuple[str, bytes]]:
    table = (paths.TARGETS / "native.toml").read_bytes()
    return [("manifest.json", manifest(**changes)), ("target.toml", table), ("firmware.elf", CONTENT)]


def foreign(change: Callable[[tarfile.TarInfo], None]) -> bytes:
    """The last member as another tar writes it, changed."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as out:
        info = tarfile.TarInfo("firmware.elf")
        info.size = len(CONTENT)
        change(info)
        out.addfile(info, io.BytesIO(CONTENT[: info.size]))
    return begun(parts()[:2]) + made.getvalue()


def begun(files: list[tuple[str, bytes]]) -> bytes:
    """The files without the end of an archive."""
    return archive(files)[: sum(512 + 512 * -(-len(data) // 512) for _, data in files)]


def link(kind: bytes, to: str) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, to, 0

    return change


def named(name: str) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.name = name

    return change


def evil_manifest_names(name: str) -> bytes:
    rows = json.loads(manifest())["files"]
    rows[1]["name"] = name
    return archive([("manifest.json", manifest(files=rows, image=name)), *parts()[1:]])


def other_table() -> bytes:
    table = (paths.TARGETS / "native.toml").read_bytes().replace(b'"tls1.3", ', b"", 1)
    assert table != (paths.TARGETS / "native.toml").read_bytes()
    rows = json.loads(manifest())["files"]
    rows[0] |= {"size": len(table), "sha256": hashlib.sha256(table).hexdigest()}
    return archive([("manifest.json", manifest(files=rows)), ("target.toml", table), ("firmware.elf", CONTENT)])


HOSTILE: dict[str, tuple[bytes, str]] = {
    "parent": (foreign(named("../firmware.elf")), "no plain name"),
    "absolute": (foreign(named("/etc/cron.d/x")), "no plain name"),
    "folder": (foreign(named("a/b")), "no plain name"),
    "symlink": (foreign(link(tarfile.SYMTYPE, "/etc/passwd")), "no plain file"),
    "hardlink": (foreign(link(tarfile.LNKTYPE, "/etc/passwd")), "no plain file"),
    "device": (foreign(link(tarfile.CHRTYPE, "")), "no plain file"),
    "fifo": (foreign(link(tarfile.FIFOTYPE, "")), "no plain file"),
    "directory": (foreign(link(tarfile.DIRTYPE, "")), "no plain file"),
    "manifest with a path": (evil_manifest_names("../../x"), "names other files"),
    "manifest names itself": (evil_manifest_names("manifest.json"), "names other files"),
    "other content": (archive([*parts()[:2], ("firmware.elf", CONTENT[:-1] + b"x")]), "the hash is not"),
    "other size": (archive([*parts()[:2], ("firmware.elf", CONTENT + b"x")]), "not as the manifest says"),
    "one more": (archive([*parts(), ("more", b"x")]), "more than 3 files"),
    "twice": (archive([*parts()[:2], parts()[1]]), "in it twice"),
    "missing": (archive(parts()[:2]), "`firmware.elf` is missing"),
    "manifest last": (archive(parts()[1:] + parts()[:1]), "does not begin with manifest.json"),
    "empty": (archive([]), "missing"),
    "no json": (archive([("manifest.json", b"{"), *parts()[1:]]), "manifest.json"),
    "unknown key": (archive(parts(extra=1)), "unknown field"),
    "later schema": (archive(parts(schema=2)), "schema 2"),
    "unknown target": (archive(parts(target="nothing-such")), "not known here"),
    "target with a path": (archive(parts(target="../x")), "no plain word"),
    "another table": (other_table(), "differs from the package's in: capabilities"),
    "cut": (archive(parts())[:5000], "cut short"),
    "something behind": (archive(parts()) + archive([("x", b"y")]), "follows its end"),
    "zeros behind": (archive(parts()) + bytes(20000), "follows its end"),
    "no tar": (b"hello" * 500, "no tar"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_packages_leave_nothing(tmp_path: Path, name: str) -> None:
    data, said = HOSTILE[name]
    file = tmp_path / "p.tar.gz"
    file.write_bytes(gzip.compress(data))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError) as caught:
        package.unpack(file, tmp_path / "there", TARGETS)
    assert said in str(caught.value), caught.value
    assert list((tmp_path / "there").iterdir()) == []
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "there"])


def test_nothing_is_written_through_what_is_there(tmp_path: Path) -> None:
    file, there = tmp_path / "p.tar.gz", tmp_path / "there"
    package.write(file, NATIVE, image(tmp_path))
    there.mkdir()
    (tmp_path / "precious").write_text("mine")
    (there / "firmware.elf").symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError, match="already there"):
        package.unpack(file, there, TARGETS)
    assert (tmp_path / "precious").read_text() == "mine" and (there / "firmware.elf").is_symlink()


def test_bombs_end_at_the_bound(tmp_path: Path) -> None:
    """A header may promise much, and a compressed file hold much: neither is written or kept in memory."""
    header = bytearray(archive([("firmware.elf", b"")])[:512])
    header[124:136] = b"%011o\0" % (300 << 20)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    file = tmp_path / "p.tar.gz"
    file.write_bytes(gzip.compress(begun(parts()[:2]) + bytes(header)))
    with pytest.raises(UsageError, match="more than 256 MB"):
        package.unpack(file, tmp_path / "there", TARGETS)
    file.write_bytes(gzip.compress(archive([*parts()]) + bytes(400 << 20), 1))
    with pytest.raises(UsageError, match="follows its end"):
        package.unpack(file, tmp_path / "there", TARGETS)
    assert list((tmp_path / "there").iterdir()) == []


def test_damage_anywhere_is_a_usage_error_or_harmless(tmp_path: Path) -> None:
    plain, file = archive(parts()), tmp_path / "p.tar.gz"
    chance = random.Random(7)  # noqa: S311
    taken = 0
    for number in range(150):
        data = bytearray(gzip.compress(plain, 1) if number % 2 else plain)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        file.write_bytes(bytes(data) if number % 2 else gzip.compress(bytes(data), 1))
        there = tmp_path / f"there-{number}"
        try:
            found = package.unpack(file, there, TARGETS)
        except HilError:
            assert list(there.iterdir()) == []
            continue
        taken += 1
        assert found.path.read_bytes() == CONTENT and found.path.parent == there
    assert taken < 40


def test_private_keys_are_not_packaged_by_accident(tmp_path: Path) -> None:
    parser = b"-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0"
    package.write(tmp_path / "a.tar.gz", NATIVE, image(tmp_path, CONTENT + parser))
    body = b"".join(b"MIIEpAIBAAKCAQEA7bq98Xc0vQkUu0q3V1nC0Q2hH5Jj8z5dF2d7y1l5c6yYxk3\n" for _ in range(8))
    key = b"-----BEGIN EC PRIVATE KEY-----\n" + body + b"-----END EC PRIVATE KEY-----\n"
    with pytest.raises(UsageError, match="holds a private key"):
        package.write(tmp_path / "b.tar.gz", NATIVE, image(tmp_path, CONTENT + key))
    assert not (tmp_path / "b.tar.gz").exists()
    package.write(tmp_path / "b.tar.gz", NATIVE, image(tmp_path, CONTENT + key), with_keys=True)


def test_the_image_must_be_the_one_that_was_built(tmp_path: Path) -> None:
    made = image(tmp_path)
    made.path.write_bytes(b"another")
    with pytest.raises(HilError, match="changed since"):
        package.write(tmp_path / "a.tar.gz", NATIVE, made)
    with pytest.raises(UsageError, match=r"ends in \.tar\.zst"):
        package.write(tmp_path / "a.zip", NATIVE, image(tmp_path))


def test_two_packages_for_one_target(tmp_path: Path) -> None:
    for name in "ab":
        package.write(tmp_path / f"{name}.tar.gz", NATIVE, image(tmp_path))
    with pytest.raises(UsageError, match="two packages for native"):
        package.targets_of([str(tmp_path / "a.tar.gz"), str(tmp_path / "b.tar.gz")])


@pytest.mark.xdist_group("boards")
def test_command(tmp_path: Path) -> None:
    """`hil build --package` from the real tree; twice the same bytes; what is in it is what was built."""
    ending = ".tar.zst" if shutil.which("zstd") else ".tar.gz"
    outs = [tmp_path / f"{n}{ending}" for n in "ab"]
    for out in outs:
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", "build", "--target", "native", "--package", out, "--json"],
            cwd=paths.ROOT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert outs[0].read_bytes() == outs[1].read_bytes()
    said = json.loads(done.stdout)
    found = package.unpack(outs[0], tmp_path / "there", TARGETS)
    assert said["target"] == "native" and found.sha256 in str(said["files"])
    run = subprocess.run([found.path, "--nonsense"], capture_output=True, timeout=10, check=False)
    assert run.returncode != 126, "not executable"
    assert isinstance(NATIVE, Target)
