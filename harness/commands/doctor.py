"""`hil doctor`: what a run needs of this machine, and for each thing that is missing the next step. Exit 0 or 10."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from harness import paths
from harness.errors import EXIT_LAB, EXIT_OK, HilError, LabError
from harness.target import Target

TOOL_TIMEOUT = 10.0
LEAST_DISK = 500 << 20  # bytes; a run of the whole catalogue takes about 30 MB
PROGRAMS = (
    "hil-wire", "hil-uart", "hil-capture", "hil-guard", "hil-uplink", "hil-vboard", "hil-ntp", "libhil-keylog.so",
    "libhil-sni.so", "libhil-jwt.so",
)  # fmt: skip
TOOLS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("mosquitto", ("-h",), "mosquitto", "all"),
    ("openssl", ("version",), "openssl", "all"),
    ("cmake", ("--version",), "cmake", "all"),
    ("ninja", ("--version",), "ninja-build", "all"),
    ("cc", ("--version",), "gcc", "native"),
    ("arm-none-eabi-gcc", ("--version",), "gcc-arm-none-eabi", "qemu"),
    ("qemu-system-arm", ("--version",), "qemu-system-arm", "qemu"),
    ("openocd", ("--version",), "openocd", "board"),
    ("slirp-fullbolt", ("-h",), "slirp", "ppp"),
    ("dnsmasq", ("--version",), "dnsmasq-base", "services"),
)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. `needed_by`: what cannot run without it: all, a kind of target, or one target. `wanted` is
    False for what only a board needs that this host does not have: absent is no problem then."""

    name: str
    ok: bool
    what: str
    fix: str = ""
    needed_by: str = "all"
    wanted: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: hil doctor --target qemu-m33"
    parser.add_argument("--target", default="", metavar="ID", help="only what this target needs")
    parser.add_argument("--json", action="store_true", help="print data")


def run(arguments: argparse.Namespace) -> int:
    from harness.report.terminal import hang
    from harness.target import find, load

    targets = load()
    checks = [*examine(), *flashers(targets, arguments.target)]
    if arguments.target:
        wanted = needs_of(find(arguments.target, targets))
        checks = [c for c in checks if c.needed_by in wanted]
    usable = {name: runs(t, checks) for name, t in targets.items() if arguments.target in ("", name)}
    problems = [c for c in checks if not c.ok and c.wanted]
    if arguments.json:
        data = {"schema": 1, "ok": not problems, "checks": checks, "targets": usable}
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(data)) + b"\n")
    else:
        for check in checks:
            state = "ok" if check.ok else "PROBLEM" if check.wanted else "absent"
            print(hang(f"{state:7}  {check.name:22}  {check.what}", 33, sys.stdout))
            if not check.ok:
                print(hang(f"{'':33}fix: {check.fix}", 38, sys.stdout))
        for word, good in (("can run:", True), ("cannot run:", False)):
            names = [name for name, there in usable.items() if there is good]
            if names:
                print(hang(f"{word:11}  {', '.join(names)}", 13, sys.stdout))
    return EXIT_OK if not problems else EXIT_LAB


def needs_of(target: Target) -> set[str]:
    """The words of `Check.needed_by` that concern this target."""
    emulated = "qemu" if target.id.startswith("qemu") else "board"
    kind = "native" if target.id.startswith("native") or target.id.endswith("-sim") else emulated
    return {"all", kind, target.id} | ({"ppp"} if target.network.kind.startswith("ppp") else set())


def runs(target: Target, checks: Iterable[Check]) -> bool:
    """Whether what it needs is here: tools, and a board in lab.toml unless a run makes its own."""
    from harness.device.boards import self_made
    from harness.lab import inventory

    there = self_made(target) or any(entry.target == target.id for entry in inventory.load().values())
    return there and all(c.ok for c in checks if c.needed_by in needs_of(target))


def examine() -> Iterable[Check]:
    """Every check, in the order in which they would bite."""
    for name, argument, package, needed in TOOLS:
        yield tool(name, argument, package, needed)
    for name in PROGRAMS:
        path = paths.BIN / name
        there = path.is_file()
        yield Check(
            name=name, ok=there, what=str(path) if there else f"not built (looked in {paths.BIN})", fix="make setup"
        )
    yield _guarded("namespaces", _namespaces)
    yield _guarded("capture", _capture)
    yield _guarded("key log", _keylog)
    yield _guarded("disk", _disk)
    yield msgspec.structs.replace(_guarded("labgrid", _labgrid), needed_by="board")


def flashers(targets: Mapping[str, Target], asked: str) -> Iterable[Check]:
    """For each target that is flashed: the tool that can, or why none can and how to get one."""
    from harness.device.boards import self_made
    from harness.device.flash import tools
    from harness.lab import inventory

    for target in targets.values():
        here = [entry for entry in inventory.of_target(target.id) if not (entry.virtual or entry.runner_prefix)]
        for runner, params in dict.fromkeys((entry.runner, entry.runner_params) for entry in here) or (("", ()),):
            need = tools.needs(target, runner, params)
            if need.flasher != "none":
                wanted = bool(here) or target.id == asked or self_made(target)
                yield Check(name=f"flash {target.id}", ok=need.usable, what=need.what, fix=need.fix,
                            needed_by=target.id, wanted=wanted)  # fmt: skip


def tool(name: str, argument: tuple[str, ...], package: str, needed_by: str) -> Check:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        return Check(name=name, ok=False, what="not found", fix=f"apt-get install {package}", needed_by=needed_by)
    try:
        done = subprocess.run([path, *argument], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=TOOL_TIMEOUT, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        said = f"no answer in {TOOL_TIMEOUT:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else error.strerror
        return Check(name=name, ok=False, what=f"{path} does not run: {said}",
                     fix=f"apt-get install --reinstall {package}", needed_by=needed_by)  # fmt: skip
    first = (done.stdout or done.stderr).strip().splitlines()
    return Check(name=name, ok=True, what=first[0][:80] if first else path, needed_by=needed_by)


def _guarded(name: str, look: Callable[[], tuple[bool, str, str]]) -> Check:
    try:
        ok, what, fix = look()
    except LabError as error:
        ok, what, fix = False, error.what, error.fix
    except (HilError, OSError) as error:
        ok, what, fix = False, str(error), "see the message"
    return Check(name=name, ok=ok, what=what, fix=fix)


def _namespaces() -> tuple[bool, str, str]:
    from harness.lab import sandbox

    ok, what = sandbox.available()
    if not ok and os.geteuid() == 0:
        return True, f"{what}; running as root without one", ""
    return ok, what, "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or run as root"


def _capture() -> tuple[bool, str, str]:
    """In a sandbox everything may be captured; outside it takes CAP_NET_RAW."""
    from harness.lab import sandbox

    if sandbox.available()[0]:
        return True, "in a network of its own", ""
    from harness.evidence.capture import capture

    with tempfile.TemporaryDirectory() as folder, capture("lo", "tcp port 9", Path(folder) / "x.pcapng", "hil doctor"):
        pass
    return True, "on lo", ""


def _keylog() -> tuple[bool, str, str]:
    """A real broker and a real handshake: does the preload library see the keys?"""
    from harness.lab import pki, profiles
    from harness.peer import mosquitto

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificates = pki.generate(folder / "pki")
        with mosquitto.broker(profiles.load()["r12"], certificates, folder / "broker") as running:
            return True, f"proved by a handshake with mosquitto {running.version}", ""


def _labgrid() -> tuple[bool, str, str]:
    from harness.commands import labgrid

    return labgrid.check()


def _disk() -> tuple[bool, str, str]:
    folder = next(p for p in (paths.RUNS, *paths.RUNS.parents) if p.is_dir())
    free = shutil.disk_usage(folder).free
    what = f"{free >> 20} MB free at {folder}"
    return free >= LEAST_DISK, what, f"make room: a run takes about 30 MB, {LEAST_DISK >> 20} MB are asked for"
