"""Plan: scenarios × target × selection → what will run, in order. Pure. What does not apply is planned as a skip with
its reason, so that nothing vanishes silently.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from harness.errors import NothingSelected, UsageError
from harness.lab.profiles import Profile
from harness.scenario import Branch, DeviceSetup, Scenario, Variant
from harness.target import Target


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario in one permutation on one target. `skip` is why it cannot run here, "" when it can."""

    scenario: Scenario
    target: str
    profile: str
    variant: str
    device: DeviceSetup
    fits: Branch
    unfit: Branch
    checks: tuple[str, ...] = ()
    round: int = 0  # of a repeated run; 0: not repeated
    skip: str = ""

    @property
    def id(self) -> str:
        """`T12-03[r12-chacha]`: the scenario with its permutation."""
        return f"{self.scenario.id}[{self.permutation}]"

    @property
    def permutation(self) -> str:
        return f"{self.profile}-{self.variant}" if self.variant else self.profile

    @property
    def node(self) -> str:
        """The name pytest and JUnit use."""
        again = f"#{self.round}" if self.round else ""
        return f"{self.scenario.id}[{self.target}-{self.permutation}]{again}"

    @property
    def folder(self) -> str:
        """A folder name for its evidence."""
        again = f"-{self.round:03}" if self.round else ""
        return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{self.scenario.id}-{self.permutation}{again}")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """`ids`: scenario ids or whole permutations; `only`: node ids of an earlier run. `shard` = (index from 1, of)."""

    ids: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    keyword: str = ""
    only: tuple[str, ...] | None = None
    shard: tuple[int, int] | None = None
    repeat: int = 1


def plan(
    scenarios: Mapping[str, Scenario],
    profiles: Mapping[str, Profile],
    target: Target,
    selection: Selection | None = None,
    defects: Collection[str] = (),
) -> tuple[PlanItem, ...]:
    """All that is selected; NothingSelected when nothing is, UsageError for an unknown profile or defect."""
    for defect in defects:
        if defect not in target.defects:
            raise UsageError(f"target {target.id} cannot switch on the defect `{defect}`",
                             f"it can: {', '.join(target.defects) or 'none'}")  # fmt: skip
    items = [item for scenario in scenarios.values() for item in permutations(scenario, profiles, target)]
    chosen = [item for item in items if selection is None or selected(item, selection)]
    chosen = repeated(chosen, selection.repeat if selection else 1)
    if not chosen:
        raise NothingSelected("no scenario fits the selection", "`hil list` names what there is")
    return tuple(chosen)


def repeated(items: Iterable[PlanItem], times: int) -> list[PlanItem]:
    """Round after round of the same items."""
    known = list(items)
    if times <= 1:
        return known
    return [msgspec.structs.replace(item, round=n) for n in range(1, times + 1) for item in known]


def permutations(scenario: Scenario, profiles: Mapping[str, Profile], target: Target) -> list[PlanItem]:
    variants: Sequence[Variant] = scenario.variants or (Variant(name=""),)
    items = []
    for variant in variants:
        for name in variant.profiles or scenario.profiles:
            if name not in profiles:
                raise UsageError(
                    f"scenario {scenario.id}: no broker profile `{name}`", "`hil list --profiles` names them"
                )
            device = variant.device or scenario.device
            items.append(
                PlanItem(
                    scenario=scenario, target=target.id, profile=name, variant=variant.name, device=device,
                    fits=variant.fits or scenario.fits, unfit=variant.unfit or scenario.unfit,
                    checks=scenario.checks if variant.checks is None else variant.checks,
                    skip=why_not(scenario, variant, device, profiles[name], target),
                )
            )  # fmt: skip
    return items


def why_not(scenario: Scenario, variant: Variant, device: DeviceSetup, profile: Profile, target: Target) -> str:
    """Why the target cannot run it; "" when it can."""
    for need in (*scenario.needs, *variant.needs):
        if need.startswith("!"):
            if need[1:] in target.capabilities:
                return f"only for a device without {need[1:]}"
        elif need not in target.capabilities:
            return f"the target lacks {need}"
    for defect in (*scenario.defects, *device.defect):
        if defect not in target.defects:
            return f"the firmware cannot do what the stimulus needs: {defect}"
    if target.level != "command":
        if device != DeviceSetup() or scenario.broker == "down":
            return f"needs commands to the device: its firmware is at level {target.level}"
        if (variant.fits or scenario.fits).outcome != "any":  # not only what it sends
            return f"needs the run's certificates in the device: its firmware is at level {target.level}"
    if device.stack and target.stack_family not in device.stack:
        return f"no settings for the stack {target.stack}"
    can = [v for v in ("1.2", "1.3") if f"tls{v}" in target.capabilities]
    wanted = device.set.get("tls.max")
    if wanted in ("1.2", "1.3") and f"tls{wanted}" not in target.capabilities:
        return f"the target lacks tls{wanted}"
    if profile.tls and not can:
        return "the target has no TLS"
    return ""


def selected(item: PlanItem, selection: Selection) -> bool:
    scenario = item.scenario
    wanted = {name.upper() for name in selection.ids}
    if wanted and not {scenario.id, item.id.upper(), item.node.upper()} & wanted:
        return False
    if selection.layers and scenario.layer not in selection.layers:
        return False
    if selection.profiles and item.profile not in selection.profiles:
        return False
    if selection.keyword and selection.keyword.lower() not in f"{item.node} {scenario.layer} {scenario.title}".lower():
        return False
    if selection.only is not None and item.id not in selection.only:
        return False
    if selection.shard is not None:
        index, of = selection.shard
        return zlib.crc32(item.id.encode()) % of == index - 1
    return True
