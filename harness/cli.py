"""`hil`: one command, a subcommand a file. Nothing heavy is imported before it is needed.

Errors that people can act on are one line on stderr, `hil: what: the next step`, and an exit code (harness/errors.py).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from harness.errors import EXIT_INTERRUPTED, EXIT_LAB, EXIT_USAGE, HilError

COMMANDS = {
    "list": ("harness.commands.listing", "what there is: scenarios, targets, broker profiles"),
    "show": ("harness.commands.listing", "one scenario, target or profile in full"),
    "doctor": ("harness.commands.doctor", "what is missing on this machine, each with its fix"),
    "build": ("harness.commands.build", "build a target's firmware"),
    "flash": ("harness.commands.flash", "put the firmware onto a board"),
    "run": ("harness.commands.run", "run scenarios on a target"),
    "explain": ("harness.commands.explain", "diagnose evidence somebody already has"),
    "report": ("harness.commands.report", "make the reports of a run again"),
    "boards": ("harness.commands.boards", "the boards of this host and who holds them"),
    "lock": ("harness.commands.locks", "hold a board"),
    "unlock": ("harness.commands.locks", "give a board back"),
    "console": ("harness.commands.wires", "a board's console"),
    "power": ("harness.commands.wires", "switch a board off and on"),
    "labgrid": ("harness.commands.labgrid", "boards of other hosts: who has their places, and the clean-up"),
    "certs": ("harness.commands.certs", "the bench's certificates; C arrays and checks of your own"),
    "jwt": ("harness.commands.materials", "check a token that is an MQTT password"),
    "services": ("harness.commands.services", "DHCP, DNS and NTP for a board on a wire of its own"),
}
AFTER_DASHES = {"run": "pytest_args", "lock": "command"}
"""Commands that take words after `--`, and the name these get."""


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code; never raises what a person could act on."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except HilError as error:
        print(f"hil: {_one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("hil: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read us (head, a pager) has left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"hil: {where}{error.strerror or error}: check the path and the free space", file=sys.stderr)
        return EXIT_LAB


def _one_line(text: str) -> str:
    """Whatever a tool, a lock's holder or a file said: nothing in it moves the cursor."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(text.split()))


def _dispatch(words: list[str]) -> int:
    command = words[0] if words else ""
    if command in COMMANDS:
        module = importlib.import_module(COMMANDS[command][0])
        parser = argparse.ArgumentParser(
            prog=f"hil {command}", description=COMMANDS[command][1],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        add = getattr(module, f"add_{command}_arguments", None) or module.add_arguments
        add(parser)
        run = getattr(module, f"run_{command}", None) or module.run
        arguments, extra = _parse(parser, words[1:], command)
        if extra is not None:
            setattr(arguments, AFTER_DASHES[command], extra)
        return int(run(arguments))
    if command in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if command in ("-V", "--version"):
        from importlib.metadata import version

        print(f"hil {version('hil-harness')}")
        return 0
    if not command:
        print(_usage(), file=sys.stderr)
        return EXIT_USAGE
    import difflib

    near = difflib.get_close_matches(command, COMMANDS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "`hil --help` names them"
    print(f"hil: no command `{command}`: {hint}", file=sys.stderr)
    return EXIT_USAGE


def _parse(
    parser: argparse.ArgumentParser, words: list[str], command: str
) -> tuple[argparse.Namespace, list[str] | None]:
    """argparse exits with 2 for a usage error; our number for it is 4. What follows `--` is for somebody else."""
    extra = None
    if command in AFTER_DASHES and "--" in words:
        at = words.index("--")
        words, extra = words[:at], words[at + 1 :]
    try:
        return parser.parse_args(words), extra
    except SystemExit as stop:
        raise SystemExit(EXIT_USAGE if stop.code else 0) from None


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = ["usage: hil COMMAND [options]      (hil COMMAND --help explains one)", ""]
    lines += [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    lines += ["", "example: hil run --target native -k tls13"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
