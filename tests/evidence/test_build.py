"""Building a target: what comes out, what is said when nothing does."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from harness.device.build import build
from harness.errors import LabError


def test_an_image_with_its_hash(tmp_path: Path) -> None:
    image = build("t", "printf firmware > out.bin", Path("out.bin"), tmp_path / "log", cwd=tmp_path)
    assert image.path == tmp_path / "out.bin"
    assert image.sha256 == hashlib.sha256(b"firmware").hexdigest()
    assert (tmp_path / "log").read_text().startswith("$ sh -c 'printf firmware > out.bin'\n")


def test_a_command_as_a_list(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    image = build("t", ["cp", "in", "a b"], Path("a b"), tmp_path / "log", cwd=tmp_path)
    assert image.path.read_text() == "x"


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("a.c: In function f:\\na.c:3:5: error: expected ;\\nb.c:1:1: error: other", "a.c:3:5: expected ;"),
        ("src/a.c:1:10: fatal error: no.h: No such file", "src/a.c:1:10: no.h: No such file"),
        ("ld: x.o: in function m:\\nm.c:(.text+0x1): undefined reference to `f`", "undefined reference to `f`"),
        ("region `FLASH` overflowed by 12 bytes", "region `FLASH` overflowed by 12 bytes"),
        ("CMake Error at CMakeLists.txt:3 (x):\\n  no such\\n", "CMake Error at CMakeLists.txt:3 (x): no such"),
        ("something else went wrong", "something else went wrong"),
    ],
)
def test_the_first_error_is_named(tmp_path: Path, printed: str, told: str) -> None:
    command = f"printf '%b\\n' '{printed}' >&2; exit 3"
    with pytest.raises(LabError) as failed:
        build("h563", command, Path("x"), tmp_path / "log", cwd=tmp_path)
    assert failed.value.cause == "lab.build_failed"
    assert failed.value.what.startswith("h563: ")
    assert told in failed.value.what
    assert str(tmp_path / "log") in failed.value.fix


def test_a_coloured_error_is_plain_text(tmp_path: Path) -> None:
    for printed in ("\x1b[31mgone\x1b[0m", "a.c:1:2: error: \x1b[31mgone", "CMake Error: \x1b]0;title\x07"):
        (tmp_path / "said").write_text(f"{printed}\n")
        with pytest.raises(LabError) as failed:
            build("x", "cat said; exit 1", Path("x"), tmp_path / "log", cwd=tmp_path)
        assert failed.value.what.isprintable() and "\\x1b" in failed.value.what


def test_a_build_that_never_ends_is_ended_with_its_children(tmp_path: Path) -> None:
    lines: list[str] = []
    start = time.monotonic()
    with pytest.raises(LabError, match=r"not built within 1\.2 s; last: step 1"):
        build(
            "t", "echo 'step 1'; sleep 60 & sleep 60; true", Path("x"), tmp_path / "log",
            cwd=tmp_path, timeout=1.2, progress=lines.append,
        )  # fmt: skip
    assert time.monotonic() - start < 6.0
    assert lines
    assert set(lines) == {"step 1"}


def test_success_without_an_image(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"the build succeeded but no\.bin is not there"):
        build("t", "true", Path("no.bin"), tmp_path / "log", cwd=tmp_path)


def test_a_build_that_has_nothing_to_do_is_fast(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    start = time.monotonic()
    for n in range(5):
        build("t", ["true"], Path("x"), tmp_path / f"log{n}", cwd=tmp_path)
    assert time.monotonic() - start < 1.5
