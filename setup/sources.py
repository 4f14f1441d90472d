"""Fetches the library sources named in sources.toml into build/src/<name>, checked by SHA-256.

First choice: Debian source packages through apt-get, with a private copy of the system's own source list in which
`deb` reads `deb-src`; the system's configuration is neither assumed to have source lines nor changed, and no root is
needed. Fallback (no apt-get, or no Debian archive in its list): the upstream release. Standard library only: this runs
while the machine is being set up.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

APT = Path("/etc/apt")
DOWNLOAD_TIMEOUT_S = 180


class SourcesError(Exception):
    """Says what could not be had, and the next step."""


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(root: Path, parts: list[str]) -> str:
    """Hash over (relative name, content hash) of every .c and .h below `parts`, in name order; line ends made alike,
    because Debian's tarball of lwIP has CRLF where the project's own has LF."""
    files = sorted(p for part in parts for p in (root / part).rglob("*.[ch]"))
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()


def codename() -> str:
    release = Path("/etc/os-release")
    match = re.search(r"^VERSION_CODENAME=(\w+)", release.read_text() if release.exists() else "", re.M)
    return match[1] if match else ""


def source_list(into: Path) -> bool:
    """Writes the distribution's own entries as deb-src lists into `into`; False when there are none."""
    suite = codename()
    if not suite:
        return False

    def ours(names: str) -> bool:
        return any(name == suite or name.startswith(suite + "-") for name in names.split())

    found = False
    for path in [APT / "sources.list", *sorted((APT / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".sources":
            kept = []
            for stanza in re.split(r"\n\s*\n", text):
                suites = re.search(r"^Suites:(.*)$", stanza, re.M)
                if suites and ours(suites[1]):
                    kept.append(re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.M))
            out = "\n\n".join(kept)
        else:
            lines = [re.match(r"^deb(\s+(?:\[[^]]*\]\s+)?\S+\s+)(\S+)(.*)$", line) for line in text.splitlines()]
            out = "\n".join(f"deb-src{m[1]}{m[2]}{m[3]}" for m in lines if m and ours(m[2]))
        if out.strip():
            (into / path.name).write_text(out + "\n")
            found = True
    return found


def apt_download(names: dict[str, str], into: Path) -> dict[str, str]:
    """Downloads source packages {package: version}; returns what went wrong as {package: reason}."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-source"):
        return dict.fromkeys(names, "apt-get or dpkg-source is not installed")
    private = into / "apt"
    parts, lists = private / "parts", private / "lists"
    for folder in (parts, lists / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    if not source_list(parts):
        return dict.fromkeys(names, "apt's source list names no archive of this distribution")
    options = [
        *("-o", "Dir::Etc::sourcelist=/dev/null"),
        *("-o", f"Dir::Etc::sourceparts={parts}"),
        *("-o", f"Dir::State::lists={lists}"),
        *("-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Cache::pkgcache="),
        *("-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "-q"),
    ]

    def apt(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["apt-get", *options, *arguments], cwd=into, capture_output=True, text=True,
                              timeout=600, check=False)  # fmt: skip

    updated = apt("update")
    if updated.returncode:
        return dict.fromkeys(names, f"apt-get update: {last_line(updated.stderr)}")
    wrong = {}
    for package, version in names.items():
        result = apt("source", "--download-only", f"{package}={version}")
        if result.returncode:  # a newer revision replaced ours; its upstream tarball is still the pinned one
            result = apt("source", "--download-only", package)
        if result.returncode:
            wrong[package] = f"apt-get source: {last_line(result.stderr)}"
    return wrong


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def unpack_debian(pin: dict[str, Any], downloads: Path, target: Path) -> str:
    """Unpacks the checked package; returns "" or why it could not."""
    present = {name: downloads / name for name in pin["files"] if (downloads / name).exists()}
    original = next((n for n in pin["files"] if ".orig." in n), "")
    if original not in present:
        return f"{original} did not arrive"
    for name, path in present.items():
        if sha256(path) != pin["files"][name]:
            return f"{name}: SHA-256 is not the pinned one"
    if len(present) == len(pin["files"]):
        dsc = downloads / f"{pin['package']}_{pin['version']}.dsc"
        command = ["dpkg-source", "--no-check", "--no-copy", "-x", str(dsc), str(target)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return "" if result.returncode == 0 else f"dpkg-source: {last_line(result.stderr)}"
    print(f"sources: {pin['package']} {pin['version']} is no longer offered; using its upstream tarball unpatched")
    unpack_tar(present[original], target)
    return ""


def unpack_tar(archive: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
        (top,) = Path(scratch).iterdir()
        top.rename(target)


def upstream(name: str, pin: dict[str, Any], downloads: Path, target: Path) -> str:
    archive = downloads / f"{name}-upstream.tar.gz"
    try:
        with urllib.request.urlopen(pin["upstream"], timeout=DOWNLOAD_TIMEOUT_S) as answer:  # noqa: S310 (https, pinned)
            archive.write_bytes(answer.read())
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        return f"{pin['upstream']}: {error}"
    unpack_tar(archive, target)
    if tree_sha256(target, pin["tree"]) != pin["tree_sha256"]:
        shutil.rmtree(target)
        return f"{pin['upstream']}: content is not the pinned one"
    return ""


def main(into: Path) -> None:
    pins = tomllib.loads((Path(__file__).parent / "sources.toml").read_text())
    into.mkdir(parents=True, exist_ok=True)
    into = into.resolve()
    downloads = into / "downloads"
    downloads.mkdir(exist_ok=True)
    wrong = apt_download({pin["package"]: pin["version"] for pin in pins.values()}, downloads)
    for name, pin in pins.items():
        target = into / name
        if target.exists():
            shutil.rmtree(target)
        reason = wrong.get(pin["package"]) or unpack_debian(pin, downloads, target)
        if reason:
            print(f"sources: {name}: {reason}; trying upstream", file=sys.stderr)
            second = upstream(name, pin, downloads, target)
            if second:
                raise SourcesError(
                    f"{name} {pin['version']} cannot be had ({reason}; {second}): "
                    f"put its unpacked source into {target} and run make again"
                )
    shutil.rmtree(downloads)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except SourcesError as error:
        sys.exit(f"sources: {error}")
