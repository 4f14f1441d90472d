"""Connections as `hil explain --json` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.diagnosis.compare import offered_versions
from harness.diagnosis.facts import Conn, leaf
from harness.diagnosis.outcome import connected
from harness.diagnosis.registry import suites
from harness.diagnosis.registry.codepoints import group_name, scheme_name


def describe(conn: Conn) -> dict[str, Any]:
    """One connection as plain data."""
    return {
        "client": conn.client,
        "server": conn.server,
        "connected": connected(conn),
        "closed": {"how": conn.close.get("how", ""), "first": _who(conn)} if conn.close else {},
        "tls": _tls(conn),
        "alerts": [
            {
                "sender": a.sender,
                "level": a.level,
                "code": a.code,
                "name": a.name,
                "encrypted": a.encrypted,
                "frame": a.frame,
            }
            for a in conn.alerts
        ],
        "mqtt": _mqtt(conn),
    }


VERSION_NAMES = {"3.0": "SSL 3.0", "1.0": "TLS 1.0", "1.1": "TLS 1.1", "1.2": "TLS 1.2", "1.3": "TLS 1.3"}


def _versions(hello: Mapping[str, Any]) -> list[str]:
    """Without supported_versions only the highest is known."""
    offered = offered_versions(hello)
    return offered if hello.get("versions") else offered[:1]


def _who(conn: Conn) -> str:
    return {"c": "device", "s": "broker"}.get(conn.sender_first, "")


def _tls(conn: Conn) -> dict[str, Any]:
    hello = conn.hello
    if hello is None:
        return {}
    result: dict[str, Any] = {
        "handshake": conn.handshake,
        "decrypted": conn.decrypted,
        "offered": {
            "versions": [VERSION_NAMES.get(v, v) for v in _versions(hello)],
            "suites": [suites.name(s) for s in hello.get("suites", ()) if not suites.is_signal(s)],
            "groups": [group_name(g) for g in hello.get("groups") or ()],
            "signature_algorithms": [scheme_name(s) for s in hello.get("sigalgs") or ()],
        },
    }
    if hello.get("sni"):
        result["server_name"] = hello["sni"]
    if conn.version:
        result["version"] = f"TLS {conn.version}"
    if conn.server_hello is not None:
        result["suite"] = suites.name(int(conn.server_hello.get("suite", 0)))
        group = conn.server_hello.get("group") or (conn.server_key_exchange or {}).get("group")
        if group:
            result["group"] = group_name(int(group))
        result["resumed"] = conn.resumed
    end = leaf(conn.server_certificate)
    if end is not None:
        result["certificate"] = {
            key: end[key]
            for key in ("subject", "issuer", "not_before", "not_after", "dns", "ip", "key", "bits", "curve", "sig")
            if key in end
        } | {"chain": len((conn.server_certificate or {}).get("chain", ()))}
    if conn.certificate_request is not None:
        result["client_certificate_requested"] = True
    if conn.client_certificate is not None:
        sent = leaf(conn.client_certificate)
        result["client_certificate"] = sent.get("subject", "") if sent else "empty"
    return result


def _mqtt(conn: Conn) -> dict[str, Any]:
    if not conn.mqtt:
        return {}
    result: dict[str, Any] = {"packets": len(conn.mqtt)}
    connect = next(iter(conn.packets("CONNECT", "c")), None)
    if connect is not None:
        keys = ("protocol", "level", "clean", "keepalive", "client_id", "username")
        result["connect"] = {k: connect[k] for k in keys if k in connect}
    answer = next(iter(conn.packets("CONNACK", "s")), None)
    if answer is not None:
        result["connack"] = answer.get("code")
    broken = [s for m in conn.mqtt for s in m.get("statements") or ()]
    if broken:
        result["statements"] = [{k: s[k] for k in ("id", "text", "level") if k in s} for s in broken[:16]]
    return result
