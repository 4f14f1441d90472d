"""`hil services`: DHCP, DNS and NTP for a board on a wire of its own, until Ctrl-C. [services] of lab.toml first."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.lab.services import RunningServices
    from harness.lab.services.model import Services

EXAMPLE = """examples:
  hil services --interface enp3s0 --check                 may they run there?
  sudo .venv/bin/hil services --interface enp3s0          until Ctrl-C; a line typed is a new NTP behaviour
  sudo .venv/bin/hil services --interface enp3s0 --ntp 'offset -3600' --name mqtt.example.com"""
STDIN = 0
LINE = 1024  # bytes
LOOK = 0.5  # s between two looks at the leases


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLE
    parser.add_argument("--interface", default=None, metavar="IFACE", help="the board's wire; never guessed")
    parser.add_argument("--namespace", default=None, metavar="NAME", help="the network namespace that holds it")
    parser.add_argument("--address", default=None, metavar="ADDR/LEN", help="this host there (192.168.77.1/24)")
    parser.add_argument("--also", action="append", default=None, metavar="ADDR/LEN",
                        help="a further address the interface may have (repeatable)")  # fmt: skip
    parser.add_argument("--ntp", default=None, metavar="TEXT", help="honest, off, offset -3600, kiss RATE … (honest)")
    parser.add_argument("--name", action="append", default=[], metavar="NAME[=ADDR]",
                        help="a name beside the broker's (repeatable)")  # fmt: skip
    parser.add_argument("--host", action="append", default=[], metavar="MAC=ADDR", help="a fixed address (repeatable)")
    parser.add_argument("--first", default=None, metavar="ADDR", help="the first address handed out")
    parser.add_argument("--leases", type=int, default=None, metavar="N", help="how many addresses at most (16)")
    parser.add_argument("--lease", dest="lease_s", type=int, default=None, metavar="S", help="seconds of a lease (600)")
    parser.add_argument("--no-dhcp", dest="dhcp", action="store_false", default=None, help="no DHCP")
    parser.add_argument("--no-dns", dest="dns", action="store_false", default=None, help="no DNS")
    parser.add_argument("--no-router", dest="router", action="store_false", default=None, help="offer no router")
    parser.add_argument("--dir", default="", metavar="DIR", help="where configuration and logs go (a temporary folder)")
    parser.add_argument("--check", action="store_true", help="only say whether they may run there")
    parser.add_argument("--json", action="store_true", help="print data, a line for each event")


def run(arguments: argparse.Namespace) -> int:
    import contextlib
    import tempfile

    from harness import provision
    from harness.lab import profiles
    from harness.lab.services import interface, services

    config = configured(arguments)
    names = sorted({provision.HOST, *(p.host for p in profiles.load().values())} - {""})
    interface.check(config, interface.look(config))
    if arguments.check:
        _say(arguments, "may run", config, f"{config.interface} ({config.address}): services may run there")
        return 0
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as stack:
            folder = Path(arguments.dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="hil-services-")))
            running = stack.enter_context(services(config, folder, broker_names=names, say=_progress))
            _say(arguments, "ready", config, f"READY on {config.interface} as {config.own}; logs in {folder}")
            _serve(arguments, running)
    except KeyboardInterrupt:
        print("hil: services ended", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def configured(arguments: argparse.Namespace) -> Services:
    """[services] of lab.toml with the options over it, checked."""
    from harness.lab import inventory
    from harness.lab.services.model import Services, checked, read

    path = inventory.lab_file()
    base = read(path) if path is not None else None
    table: dict[str, Any] = {} if base is None else {key: getattr(base, key) for key in Services.__struct_fields__}
    for key in ("interface", "namespace", "address", "also", "ntp", "first", "leases", "lease_s", "dhcp", "dns",
                "router"):  # fmt: skip
        if (value := getattr(arguments, key)) is not None:
            table[key] = value
    table["names"] = table.get("names", {}) | dict(_pair(text, "--name", needs=False) for text in arguments.name)
    table["hosts"] = table.get("hosts", {}) | dict(_pair(text, "--host", needs=True) for text in arguments.host)
    if "interface" not in table:
        raise UsageError("no interface is named", "hil services --interface enp3s0, or [services] in lab.toml")
    return checked("hil services" if base is None else path or "", table)


def _pair(text: str, option: str, *, needs: bool) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if needs and not (name and sign and value):
        raise UsageError(f"{option} {text}: not NAME=ADDRESS", f"for example {option} 02:00:5e:00:00:01=192.168.77.50")
    return name, value


def _serve(arguments: argparse.Namespace, running: RunningServices) -> None:
    """Until interrupted: tells new leases, and takes behaviours of the NTP server from stdin."""
    told: set[tuple[str, str]] = set()
    typed, listening = b"", True
    while True:
        running.check()
        for lease in running.leases():
            if (lease.mac, lease.address) not in told:
                told.add((lease.mac, lease.address))
                _say(arguments, "lease", lease, f"lease  {lease.address}  {lease.mac}  {lease.name}")
        if select.select([STDIN] if listening else [], [], [], LOOK)[0]:
            data = os.read(STDIN, LINE)
            listening = bool(data)
            *lines, typed = (typed + data).split(b"\n")
            typed = typed[-LINE:]
            for line in lines:
                _behave(arguments, running, line.decode(errors="replace").strip())


def _behave(arguments: argparse.Namespace, running: RunningServices, text: str) -> None:
    if running.ntp is None or not text:
        return
    try:
        running.ntp.behave(text)
    except UsageError as error:
        print(f"hil: {error}", file=sys.stderr)
    else:
        _say(arguments, "ntp", {"behaviour": text}, f"ntp    {text}")


def _progress(text: str) -> None:
    print(f"hil: {text}", file=sys.stderr)


def _say(arguments: argparse.Namespace, event: str, value: Any, text: str) -> None:
    import msgspec

    if not arguments.json:
        print(text, flush=True)
        return
    data = msgspec.to_builtins(value)
    print(msgspec.json.encode({"event": event, **data}).decode(), flush=True)
