"""What a device is given for a scenario: SET keys, PUT slots, and the facts the diagnosis may know of it."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from pathlib import Path

from harness.errors import UsageError
from harness.lab.issue import moment
from harness.lab.pki import Pki
from harness.lab.profiles import Profile
from harness.model import DeviceFacts
from harness.plan import PlanItem

HOST = "broker.hil.test"
SCRIPT = "connect;disconnect"
FALLBACK_TRUST = "ca-rsa2048"
WRONG_CA = "ca-other-rsa2048"
DAMAGE = b"TUlJQ0hJTCBuZWl0aGVyIFBFTSBub3IgREVSLCBqdXN0IGJhc2U2NCB3aXRob3V0IGEgZnJhbWU="


def now() -> str:
    return str(int(time.time()))


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def epoch(clock: str) -> str:
    """`now`, `unset` (0) or a moment as in certs/pki.toml."""
    if clock == "now":
        return now()
    if clock == "unset":
        return "0"
    try:
        return str(int(moment(clock, dt.datetime.now(dt.UTC)).timestamp()))
    except ValueError as error:
        raise UsageError(f"key `clock`: {error}", "now, unset, or a moment such as +400d") from error


def settings(item: PlanItem, profile: Profile, address: str, port: int, defects: tuple[str, ...]) -> dict[str, str]:
    """Every SET of the scenario, in order. Defects of the run come on top of those that are the stimulus."""
    device = item.device
    values = {
        "host": device.host or profile.host or HOST,
        "address": address,
        "port": str(port),
        "epoch": epoch(device.clock),
        "seed": secrets.token_hex(32),
        "script": SCRIPT,
    }
    if not profile.tls:
        values |= {"tls.min": "none", "tls.max": "none"}
    if profile.users:
        user, password = next(iter(profile.users.items()))
        values |= {"mqtt.username": user, "mqtt.password": password}
    if profile.tokens:  # the service ignores the user name; MQTT 3.1.1 wants one beside a password
        client = next(iter(profile.tokens.devices))
        values |= {"mqtt.client_id": client, "mqtt.username": "unused", "jwt.audience": profile.tokens.audience}
    values |= device.set
    if not profile.tls and device.set.get("tls.min", "none") != "none":
        values.pop("tls.max")  # the scenario wants TLS towards a plain listener
        values |= {k: v for k, v in device.set.items() if k == "tls.max"}
    for stack in device.stack.values():
        values |= stack
    active = list(dict.fromkeys((*device.defect, *defects)))
    if active:
        values["defect"] = ",".join(active)
    return values


def identity(item: PlanItem, profile: Profile) -> str:
    """The [cert] the device carries, "" for none. A device has one whether the broker asks or not."""
    name = item.device.identity or profile.device
    return "" if name == "none" else name


def slots(item: PlanItem, profile: Profile, pki: Pki) -> dict[str, bytes]:
    """Every PUT of the scenario."""
    device = item.device
    trust = device.trust or profile.trust or (FALLBACK_TRUST,)
    name = identity(item, profile)
    ca = b"".join(pki.cert(ca).read_bytes() for ca in trust)
    cert = key = b""
    if name:
        cert = (pki.chain(name) if device.chain else pki.cert(name)).read_bytes()
        key = pki.key(name, "trad-pem").read_bytes()
    if device.identity_as_trust:
        ca, cert, key = ca + cert, b"", b""
    given = {"ca": ca, "cert": cert, "key": key, "ca.alt": pki.cert(WRONG_CA).read_bytes()}
    if name:
        spare = f"{_base(name, pki)}-spare"
        if spare in pki.certs:
            given["key.alt"] = pki.key(spare, "trad-pem").read_bytes()
    if device.damage:
        given[device.damage] = DAMAGE
    return {slot: data for slot, data in given.items() if data or slot in ("cert", "key")}


def _base(name: str, pki: Pki) -> str:
    """`device-p256` of `device-p256-expired`."""
    return "-".join(name.split("-")[:2])


def _last_epoch(item: PlanItem, given: dict[str, str]) -> str:
    """The clock of the last run on the device, which is the one the diagnosis looks at."""
    later = item.device.again.get("epoch", given["epoch"])
    return now() if later == "now" else later


def facts(item: PlanItem, profile: Profile, pki: Pki, given: dict[str, str], stack: str) -> DeviceFacts:
    """What the diagnosis may know: what the device was told, not what it did with it. Of a device that was told nothing
    only its stack is known."""
    if not given:
        return DeviceFacts(stack=stack)
    trust: list[Path] = [pki.cert(ca) for ca in (item.device.trust or profile.trust or (FALLBACK_TRUST,))]
    name = identity(item, profile)
    leaf = ""
    if item.device.identity_as_trust and name:
        trust.append(pki.cert(name))
        leaf = pki.facts(name).subject
    return DeviceFacts(
        stack=stack, host=given["host"], epoch=int(_last_epoch(item, given)),
        has_certificate=bool(name) and not item.device.identity_as_trust and item.device.damage != "cert",
        trust_files=tuple(trust), trusted_leaf=leaf,
    )  # fmt: skip
