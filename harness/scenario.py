"""Scenarios: `load(folder)` reads scenarios/*.toml, each table one row of the catalogue. How to write one:
docs/write-a-scenario.md. An unknown key is a UsageError that names file and key.

What a scenario expects depends on whether the device's ClientHello fits the profile: `fits` and `unfit` state both.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import UsageError
from harness.lab import tables
from harness.paths import SCENARIOS

Level = Literal["must", "should", "may", "advice"]
Layer = Literal["client_hello", "tls12", "tls13", "x509", "tcp", "mqtt311", "mqtt5", "jwt", "at_module"]
FILES: tuple[Layer, ...] = (
    "client_hello", "tls12", "tls13", "x509", "tcp", "mqtt311", "mqtt5", "jwt", "at_module",
)  # fmt: skip
Met = Literal["tcp", "client_hello", "server_certificate", "certificate_request", "connack", "shim"]


class Branch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be seen on one side of "does the ClientHello fit the profile".

    outcome    connect: CONNACK 0 and the script ends well. reject: no session, device closes and reports, in bounded
               time. fail: to be here at all is the failure (the standard makes mandatory what is missing).
               skip: not applicable. any: only the checks decide.
    alerts     numbers that are right; `sender` says whose. rule `named`: the standard names it (another fails in
               1.3 and silence warns; in 1.2 silence fails as well); `listed`: none is fixed, others and silence warn;
               `peer`: the number is the broker's, recorded only.
    tolerated  numbers that pass with a note.
    met        what must have happened before the branch can be judged at all.
    cause      the diagnosis must name one of these first.
    connect_may_precede  TLS 1.3: the device may have sent CONNECT before the broker's alert reached it.
    """

    outcome: Literal["connect", "reject", "fail", "skip", "any"] = "connect"
    alerts: tuple[int, ...] = ()
    tolerated: tuple[int, ...] = ()
    sender: Literal["device", "broker"] = "device"
    rule: Literal["named", "listed", "peer"] = "peer"
    met: tuple[Met, ...] = ()
    cause: tuple[str, ...] = ()
    connect_may_precede: bool = False


class DeviceSetup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the device is given; what is not named comes from the profile.

    identity   a [cert] of certs/pki.toml; "none": no certificate and no key. `chain`: with its intermediates.
    identity_as_trust  its certificate goes into the trust slot, and no identity is given.
    damage     this slot gets bytes that are neither PEM nor DER.
    clock      now | unset | a moment such as "+400d" after now
    set        SET keys of docs/shim-protocol.md; `stack` adds those that are in one stack's own words
    defect     defects of the firmware that are the stimulus itself
    again      after `done` these are SET and the script runs a second time (`epoch` = "now": the clock is set)
    """

    identity: str = ""
    chain: bool = True
    identity_as_trust: bool = False
    trust: tuple[str, ...] = ()
    host: str = ""
    damage: Literal["", "ca", "cert", "key"] = ""
    clock: str = "now"
    set: dict[str, str] = {}
    stack: dict[str, dict[str, str]] = {}
    defect: tuple[str, ...] = ()
    again: dict[str, str] = {}


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One permutation beside the profile: settings on top of the scenario's, other expectation if it has its own."""

    name: str
    profiles: tuple[str, ...] = ()
    device: DeviceSetup | None = None
    needs: tuple[str, ...] = ()
    fits: Branch | None = None
    unfit: Branch | None = None
    checks: tuple[str, ...] | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. `needs`: capabilities of the target. `checks`: names registered in harness/verdict/checks."""

    id: str
    title: str
    layer: Layer
    via: str
    level: Level
    clause: str
    stimulus: str
    expected: str
    profiles: tuple[str, ...]
    anchors: str = ""
    field_bug: str = ""
    needs: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()  # the target must be able to switch these on
    device: DeviceSetup = DeviceSetup()
    variants: tuple[Variant, ...] = ()
    fits: Branch = Branch()
    unfit: Branch = Branch(outcome="reject")
    checks: tuple[str, ...] = ()
    broker: Literal["up", "down"] = "up"  # down: it ends before the device runs, so that its port is closed
    seconds: int = 30  # bound of the run on the device, from RUN to `done`


def load(folder: Path = SCENARIOS) -> dict[str, Scenario]:
    """Every scenario by id, in the order of the files. UsageError names file, table and key of what is wrong."""
    files = [folder / f"{name}.toml" for name in FILES if (folder / f"{name}.toml").is_file()]
    if not files:
        raise UsageError(f"{folder}: no scenarios here", "name the folder that holds tls12.toml")
    found: dict[str, Scenario] = {}
    for path in files:
        found |= load_file(path, found)
    return found


def load_file(path: Path, known: dict[str, Scenario] | None = None) -> dict[str, Scenario]:
    """The scenarios of one file; the file's name is their layer unless a table says otherwise."""
    if path.stem not in FILES:
        near = difflib.get_close_matches(path.stem, FILES, n=1)
        raise UsageError(f"{path}: not a layer", f"name it {near[0] if near else FILES[0]}.toml")
    found: dict[str, Scenario] = {}
    for name, (_, body) in tables.expand({path: tables.read(path)}).items():
        if "id" in body:
            raise UsageError(f"{path}: [{name}]: key `id`: the table's name is the scenario's id", "remove it")
        scenario = tables.convert(path, name, {"id": name.upper(), "layer": path.stem} | body, Scenario)
        if scenario.id in (known or {}):
            raise UsageError(f"{path}: [{name}]: defined in another file as well", "keep one")
        _check(f"{path}: [{name}]", scenario)
        found[scenario.id] = scenario
    return found


def _check(where: str, scenario: Scenario) -> None:
    from harness.verdict.checks import REGISTRY

    for check in (*scenario.checks, *(c for v in scenario.variants for c in v.checks or ())):
        if check not in REGISTRY:
            near = difflib.get_close_matches(check, REGISTRY, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(REGISTRY))}"
            raise UsageError(f"{where}: key `checks`: no check `{check}`", hint)
    if not scenario.profiles and not scenario.variants:
        raise UsageError(f"{where}: key `profiles`: empty", "name at least one table of broker_configs")
    if scenario.fits.outcome == "any" and not scenario.checks:
        raise UsageError(f"{where}: key `fits.outcome`: `any` without checks expects nothing", "add checks")
    for label, branch in _branches(scenario):
        if branch.rule != "peer" and not branch.alerts:
            raise UsageError(f"{where}: key `{label}.alerts`: rule `{branch.rule}` without alerts", "name them")
        if branch.outcome in ("reject", "any") and label.startswith("fits") and not (branch.met or branch.cause):
            raise UsageError(f"{where}: key `{label}.met`: a rejection that needs nothing to happen first would pass "
                             "when nothing connected", 'for example met = ["client_hello"]')  # fmt: skip


def _branches(scenario: Scenario) -> list[tuple[str, Branch]]:
    found = [("fits", scenario.fits), ("unfit", scenario.unfit)]
    for variant in scenario.variants:
        if variant.fits:
            found.append((f"fits of variant {variant.name}", variant.fits))
        if variant.unfit:
            found.append((f"unfit of variant {variant.name}", variant.unfit))
    return found


def find(name: str, scenarios: dict[str, Scenario]) -> Scenario:
    if name.upper() in scenarios:
        return scenarios[name.upper()]
    padded = re.sub(r"-(\d)$", r"-0\1", name.upper())
    near = [padded] if padded in scenarios else difflib.get_close_matches(name.upper(), scenarios, n=1, cutoff=0.5)
    raise UsageError(f"no scenario `{name}`", f"did you mean `{near[0]}`?" if near else "`hil list` names them")
