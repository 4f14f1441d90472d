"""Which stacks a device runs, told from its own log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from harness.diagnosis.code_tables import families, lookup_phrase
from harness.diagnosis.codes import is_at

# Mbed TLS's debug lines name the source file, and the files changed names with 3.1.
_SOURCE = re.compile(r"\b(ssl_cli|ssl_tls12_client|ssl_tls13_client|ssl_tls13_generic)\.c:\d+")


def detect_all(hits: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Stacks in use, with their version ("" unknown), from hil-uart's objects; the most telling first.

    A shim's `boot` event and a banner with a version are proof; function names and symbols are counted.
    """
    proof: dict[str, str] = {}
    votes: dict[str, int] = {}
    spoken: dict[str, int] = {}  # named, without a version: prose names stacks too
    for hit in hits:
        kind = hit["kind"]
        if kind == "event" and hit["event"] == "boot":
            stack, _, version = str(hit["fields"].get("stack", "")).partition("-")
            if stack in families():
                proof[stack] = version
        elif kind == "text" and hit.get("class") == "banner":
            banner = str(hit.get("name", "")).lower()
            for name, family in families().items():
                if banner in family.banners:
                    if version := str(hit.get("version", "")):
                        proof.setdefault(name, version)
                    else:
                        spoken[name] = spoken.get(name, 0) + 1
        elif kind in ("number", "name"):
            for name, family in families().items():
                api = str(hit.get("api", "")).lower()
                symbol = str(hit.get("name", ""))
                if (api and api.startswith(family.apis)) or (name != "errno" and symbol.startswith(family.symbols)
                                                             and symbol and family.symbols):  # fmt: skip
                    votes[name] = votes.get(name, 0) + 1
            if hit.get("form") in ("openssl", "verify"):
                votes["openssl"] = votes.get("openssl", 0) + 1
            if hit.get("form") == "at" and is_at(str(hit.get("text", ""))):
                votes["spwf04"] = votes.get("spwf04", 0) + 1
            if hit.get("form") == "neg_hex" and int(hit["value"]) <= -0x1000:
                votes["mbedtls"] = votes.get("mbedtls", 0) + 1
        elif kind == "text" and (phrase := lookup_phrase(str(hit["text"]))) and phrase.stack:
            votes[phrase.stack] = votes.get(phrase.stack, 0) + 1
        elif kind == "alert" and "ssl alert number" in str(hit["text"]).lower():
            votes["openssl"] = votes.get("openssl", 0) + 1
        if kind in ("number", "alert") and (found := _SOURCE.search(str(hit["text"]))):
            proof.setdefault("mbedtls", "2" if found[1] == "ssl_cli" else "3")
    for name, times in spoken.items():  # only what belongs to no proven kind
        if not any(families()[one].order == families()[name].order for one in (*proof, *votes)):
            votes[name] = times
    names = sorted(
        {*proof, *votes} & families().keys(),
        key=lambda name: (families()[name].order, name not in proof, -votes.get(name, 0)),
    )
    return {name: proof.get(name, "") for name in names if families()[name].order < 8}


def detect_stack(hits: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """(name, version) of the TLS stack, or of what comes nearest to one; ("", "") when nothing shows."""
    return next(iter(detect_all(hits).items()), ("", ""))
