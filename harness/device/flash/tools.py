"""Which flashing tool is on this machine, which target it can do, and how to get one that can.

An OpenOCD is judged by what it has: the target's configuration file among its scripts. Debian's has `stm32f4x.cfg` and
lacks `stm32h5x.cfg`; ST's fork has both. `HIL_OPENOCD`, `HIL_PYOCD`, `HIL_CUBEPROGRAMMER`, `HIL_JLINK` and
`HIL_PROBE_RS` name a program to use instead of what is found. The places where ST and SEGGER install are from memory of
their installers; none was on the machine this was written on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.device.flash.base import FlashError, Rig, split
from harness.errors import UsageError
from harness.target import Target

HOME = Path.home()
ST = (Path("/opt/st"), HOME / "st", HOME / "STMicroelectronics", Path("/usr/local/STMicroelectronics"))
CUBE_IDE = ("stm32cubeide*/plugins/com.st.stm32cube.ide.mcu.externaltools.openocd.*/tools/bin/openocd",)
CUBE_SCRIPTS = "com.st.stm32cube.ide.mcu.debug.openocd_*/resources/openocd/st_scripts"
MAX_FOUND = 8


class Tool(NamedTuple):
    """`programs`: names to look for in PATH. `places`: patterns under known folders. `get`: for people."""

    title: str
    variable: str
    programs: tuple[str, ...]
    places: tuple[tuple[Path, str], ...]
    get: str


TOOLS: dict[str, Tool] = {
    "openocd": Tool(
        "OpenOCD", "HIL_OPENOCD", ("openocd",), tuple((folder, pattern) for folder in ST for pattern in CUBE_IDE),
        "apt-get install openocd"),
    "pyocd": Tool(
        "pyOCD", "HIL_PYOCD", ("pyocd",), ((HOME / ".local/bin", "pyocd"),),
        "pipx install pyocd, then `pyocd pack install DEVICE`"),
    "stm32cubeprogrammer": Tool(
        "STM32_Programmer_CLI", "HIL_CUBEPROGRAMMER", ("STM32_Programmer_CLI", "STM32_Programmer.sh"),
        tuple((folder, pattern) for folder in ST for pattern in (
            "STM32Cube/STM32CubeProgrammer/bin/STM32_Programmer_CLI",
            "stm32cubeide*/plugins/com.st.stm32cube.ide.mcu.externaltools.cubeprogrammer.*/tools/bin/STM32_Programmer_CLI")),
        "STM32CubeProgrammer from st.com (also inside STM32CubeIDE)"),
    "jlink": Tool(
        "JLinkExe", "HIL_JLINK", ("JLinkExe",), ((Path("/opt/SEGGER"), "JLink*/JLinkExe"),),
        "SEGGER's J-Link software pack from segger.com"),
    "probe-rs": Tool(
        "probe-rs", "HIL_PROBE_RS", ("probe-rs",), ((HOME / ".cargo/bin", "probe-rs"),),
        "cargo install probe-rs-tools"),
}  # fmt: skip
OPENOCD_ST = "ST's OpenOCD (inside STM32CubeIDE, or build github.com/STMicroelectronics/OpenOCD; HIL_OPENOCD names it)"


class OpenOcdTool(NamedTuple):
    """`argv` starts it with its scripts in reach."""

    path: str
    argv: tuple[str, ...]


class Need(NamedTuple):
    """What a target or board needs of flashing tools. `usable`: one of them is there and can do it."""

    target: str
    flasher: str
    usable: bool
    what: str
    fix: str


def find(flasher: str, environment: os._Environ[str] | dict[str, str] | None = None) -> tuple[str, ...]:
    """The programs there are for this flasher, the preferred first."""
    tool = TOOLS[flasher]
    env = os.environ if environment is None else environment
    named = env.get(tool.variable, "")
    if named:
        return (named,) if _runnable(named) else ()
    found = [path for name in tool.programs if (path := shutil.which(name, path=env.get("PATH", os.defpath)))]
    for folder, pattern in tool.places:
        there = sorted(folder.glob(pattern), reverse=True)[:MAX_FOUND]
        found += [str(path) for path in there if os.access(path, os.X_OK)]
    return tuple(dict.fromkeys(found))


def program(rig: Rig) -> str:
    """The program of a rig's flasher. FlashError lab.tool_missing with where to get it. A lab host's is believed."""
    tool = TOOLS[rig.flasher]
    if rig.prefix:
        return os.environ.get(tool.variable) or tool.programs[0]
    found = find(rig.flasher)
    if not found:
        raise FlashError("lab.tool_missing", f"{rig.board}: {tool.title} is not installed{_named(tool)}",
                         f"get it: {tool.get}; or name it in {tool.variable}")  # fmt: skip
    return found[0]


def openocd_for(rig: Rig) -> OpenOcdTool:
    """An OpenOCD that has every file the rig's configuration names. FlashError lab.tool_missing."""
    if rig.prefix:
        return OpenOcdTool("openocd", tuple(split(os.environ.get("HIL_OPENOCD") or "openocd", "HIL_OPENOCD")))
    found = find("openocd")
    wanted = [*split(rig.config, rig.target), *_after(rig, "-f", "--file")]
    tool, lacking = _capable(found, wanted, [Path(folder) for folder in _after(rig, "-s", "--search")])
    if tool is not None:
        return tool
    if not found:
        tool_ = TOOLS["openocd"]
        raise FlashError("lab.tool_missing", f"{rig.board}: OpenOCD is not installed{_named(tool_)}",
                         f"{tool_.get}; `hil doctor --target {rig.target}` names what else can flash it")  # fmt: skip
    raise FlashError(
        "lab.tool_missing", f"{rig.board}: no OpenOCD here has {lacking} (looked at {', '.join(found[:3])})",
        f"get {OPENOCD_ST}, or set `runner`; `hil doctor --target {rig.target}` names what can flash it",
    )  # fmt: skip


def _after(rig: Rig, *options: str) -> list[str]:
    """What the rig's own words say to an option of OpenOCD."""
    return [value for word, value in zip(rig.params, rig.params[1:], strict=False) if word in options]


def openocd_with(config: str) -> OpenOcdTool | None:
    """As `openocd_for`, for `hil doctor` and tests that need to know."""
    return _capable(find("openocd"), split(config, "[flash] config"))[0]


def _capable(
    found: Iterable[str], wanted: Sequence[str], more: Sequence[Path] = ()
) -> tuple[OpenOcdTool | None, str]:
    lacking = wanted[0] if wanted else ""
    for path in found:
        folders = (*more, *script_folders(path))
        missing = [name for name in wanted if not _has(folders, name)]
        if not missing:
            extra = [word for folder in _own_scripts(path) for word in ("-s", str(folder))]
            return OpenOcdTool(path, (path, *extra)), ""
        lacking = missing[0]
    return None, lacking


def script_folders(path: str) -> tuple[Path, ...]:
    """Where this OpenOCD looks for configuration files, by its documentation: OPENOCD_SCRIPTS, ~/.openocd, its own."""
    real = Path(path).resolve()
    named = [Path(word) for word in os.environ.get("OPENOCD_SCRIPTS", "").split(":") if word]
    own = [real.parent.parent / "share/openocd/scripts", real.parent.parent / "share/openocd/site",
           real.parent.parent / "openocd/scripts", real.parent.parent / "scripts"]  # fmt: skip
    return (Path.cwd(), *named, HOME / ".openocd", HOME / ".config/openocd", *own, *_own_scripts(path))


def _own_scripts(path: str) -> tuple[Path, ...]:
    """STM32CubeIDE keeps its scripts in another plugin than the program."""
    plugins = next((parent for parent in Path(path).resolve().parents if parent.name == "plugins"), None)
    return () if plugins is None else tuple(sorted(plugins.glob(CUBE_SCRIPTS), reverse=True)[:1])


def _has(folders: Iterable[Path], name: str) -> bool:
    return Path(name).is_file() if name.startswith("/") else any((folder / name).is_file() for folder in folders)


def needs(target: Target, runner: str = "", params: Sequence[str] = ()) -> Need:
    """What this target needs, for people: its own flasher (or a board's `runner` and runner_params instead), else
    another one that is there."""
    flash = target.flash
    chosen = runner or flash.flasher
    own = next((word.removeprefix("write=") for word in params if word.startswith("write=")), "")
    if chosen == "command" and own:
        there = usable_program("command", own)
        what = f"command: {there}" if there else f"`{own[:60]}` cannot be run"
        return Need(target.id, "command", bool(there), what, "" if there else "correct runner_params in lab.toml")
    if chosen == "none":
        return Need(target.id, "none", True, "flashed by nobody: a run starts its own board, or it is done by hand", "")
    try:
        config = flash.config_for(runner)
    except UsageError as error:
        return Need(target.id, chosen, False, error.what, error.fix)
    able = [(chosen, config), *((name, config) for name, config in flash.runners.items() if name != chosen)]
    usable = [(name, path) for name, config in able if (path := usable_program(name, config))]
    if usable and usable[0][0] == chosen:
        has = "has" if chosen == "openocd" else "can take"
        return Need(target.id, chosen, True, f"{chosen}: {usable[0][1]} {has} {config}", "")
    reason = _reason(chosen, config)
    if usable:
        others = ", ".join(f"{name} ({path})" for name, path in usable)
        return Need(target.id, chosen, False, f"{reason}; but there is {others}",
                    f"set runner = \"{usable[0][0]}\" for its boards in lab.toml")  # fmt: skip
    ways = [OPENOCD_ST if name == "openocd" else TOOLS[name].get for name, _ in able if name in TOOLS]
    fix = flash.notes or "; or ".join(dict.fromkeys(ways))
    return Need(target.id, chosen, False, reason, f"get one of: {fix}")


def usable_program(flasher: str, config: str) -> str:
    """The program that can flash by this configuration, "" when none is there."""
    if flasher == "command":
        words = split(config, "[flash] config")
        return words[0] if words and (shutil.which(words[0]) or _runnable(words[0])) else ""
    if flasher == "openocd":
        tool = openocd_with(config)
        return tool.path if tool is not None else ""
    return next(iter(find(flasher)), "") if flasher in TOOLS else ""


def _reason(flasher: str, config: str) -> str:
    if flasher not in TOOLS:
        return f"`{flasher}` with `{config}` cannot be run"
    tool = TOOLS[flasher]
    found = find(flasher)
    if not found:
        return f"{tool.title} is not installed{_named(tool)}"
    return f"{found[0]} has no {config}"


def _named(tool: Tool) -> str:
    named = os.environ.get(tool.variable, "")
    return f" ({tool.variable}={named} is no program)" if named else ""


def _runnable(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.X_OK)
