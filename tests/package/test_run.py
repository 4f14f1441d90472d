"""Built on one host, run on another; and what failed, on the targets where it failed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness import firmware, package, paths, session, store
from harness.errors import NothingSelected
from harness.model import Image
from harness.target import load

pytestmark = pytest.mark.xdist_group("boards")


def hil(*words: str | Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "harness.cli", *map(str, words)]
    return subprocess.run(argv, cwd=paths.ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def test_the_packages_image_is_the_one_that_runs(tmp_path: Path) -> None:
    """The image is a script around the firmware, which no build of this tree makes."""
    native = load()["native"]
    real = firmware.built(native, keep=tmp_path / "real").path
    script = tmp_path / "firmware"
    script.write_text(f'#!/bin/sh\necho packaged >>{tmp_path}/witness\nexec {real} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    package.write(tmp_path / "p.tar.gz", native, Image(path=script, sha256=digest, git="0123456789ab"))
    done = hil("run", "--package", tmp_path / "p.tar.gz", "T13-02", "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = store.read_run(tmp_path / "run")
    assert run.images["native"].sha256 == digest and run.git == "0123456789ab"
    assert [v.verdict for v in run.verdicts] == ["pass"]
    assert (tmp_path / "witness").read_text().startswith("packaged")


def test_a_bad_package_is_one_line_and_leaves_no_run(tmp_path: Path) -> None:
    (tmp_path / "p.tar.gz").write_bytes(b"\x1f\x8bnonsense")
    done = hil("run", "--package", tmp_path / "p.tar.gz", "--run-dir", tmp_path / "run")
    assert done.returncode == 4 and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "run").exists()
    package.write(tmp_path / "q.tar.gz", load()["native"], firmware.built(load()["native"], keep=tmp_path / "real"))
    done = hil("run", "--target", "qemu-m33", "--package", tmp_path / "q.tar.gz")
    assert done.returncode == 4 and "is not for --target qemu-m33" in done.stderr


def test_only_failed_over_several_targets(tmp_path: Path) -> None:
    """What failed on one target is not run on the other, whether targets are named or come from the run."""
    first = tmp_path / "first"
    done = hil("run", "--target", "native,native-mbedtls", "T13-02", "T12-02", "--defect", "no_sni", "--run-dir", first)
    assert done.returncode in (0, 1), done.stderr
    run = store.read_run(first)
    assert {v.target for v in run.verdicts} == {"native", "native-mbedtls"}

    def put(failed: set[tuple[str, str]]) -> None:
        for path in first.glob("*/*/verdict.json"):
            verdict = json.loads(path.read_text())
            name = (verdict["target"], verdict["id"].partition("[")[0])
            path.write_text(json.dumps(verdict | {"verdict": "fail" if name in failed else "pass"}))
        changed = store.read_verdicts(first)
        store.write_run(first, msgspec.structs.replace(run, verdicts=tuple(changed)))

    def planned(*words: str) -> set[str]:
        told = hil("run", "--only-failed", str(first), "--dry-run", *words)
        assert told.returncode == 0, told.stderr
        return {line.split()[1] for line in told.stdout.splitlines()}

    put({("native", "T13-02"), ("native-mbedtls", "T12-02")})
    wanted = {n for n in planned() if n.startswith(("T13-02[native-r", "T12-02[native-mbedtls"))}
    assert wanted == planned() == planned("--target", "native,native-mbedtls") and len(wanted) == 2, planned()
    put({("native", "T13-02")})
    targets, folder = "native,native-mbedtls", tmp_path / "again"
    again = hil("run", "--only-failed", str(first), "--target", targets, "--run-dir", folder)
    assert again.returncode == 0, again.stderr
    ran = {(v.target, v.id.partition("[")[0]) for v in store.read_run(folder).verdicts}
    assert ran == {("native", "T13-02")}
    options = session.Options(target="native-mbedtls", only_failed=str(first))
    with pytest.raises(NothingSelected, match="nothing failed on native-mbedtls"):
        session.planned(options)
    assert hil("run", "--only-failed", str(first), "--target", "native-mbedtls").returncode == 5
