"""The shared field captures with their truth, and events made by hand."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

from harness import explain
from harness.diagnosis.engine import diagnose_story
from harness.model import Diagnosis, Evidence

DATA = Path(__file__).parent.parent / "data" / "field-captures"
SECOND = 1_000_000_000
NOW = 1_795_000_000  # Unix seconds of the hand-made stories: November 2026


@functools.cache
def truth() -> dict[str, dict[str, Any]]:
    return tomllib.loads((DATA / "expected.toml").read_text(encoding="utf-8"))


def names() -> list[str]:
    return sorted(truth())


def _there(path: Path, wanted: bool) -> Path | None:
    return path if wanted and path.is_file() else None


@functools.cache
def diagnosis(name: str, streams: str) -> Diagnosis:
    """`streams` holds letters: w wire, k keys, u UART, b broker log, c configuration."""
    story, _ = explain.read(
        Evidence(
            capture=_there(DATA / f"{name}.pcap", "w" in streams),
            keylog=_there(DATA / f"{name}.keys", "k" in streams),
            uart=_there(DATA / f"{name}.uart.log", "u" in streams),
            broker_log=_there(DATA / f"{name}.broker.log", "b" in streams),
            broker_config=_there(DATA / f"{name}.conf", "c" in streams),
        )
    )
    return diagnose_story(story)


class Wire:
    """Events as `hil-wire` prints them, written like the exchange they stand for."""

    def __init__(self, server: str = "10.0.0.1:8883") -> None:
        self.events: list[dict[str, Any]] = [{"ev": "capture", "t": 0, "frame": 0}]
        self.server = server
        self.frame = 0
        self.conn = 0
        self.t = NOW * SECOND

    def add(self, ev: str, side: str = "", wait: float = 0.001, **fields: Any) -> Wire:
        self.frame += 1
        self.t += int(wait * SECOND)
        event: dict[str, Any] = {"ev": ev, "t": self.t, "frame": self.frame, "conn": self.conn, **fields}
        if side:
            event["dir"] = side
        self.events.append(event)
        return self

    def open(self, answered: bool = True, port: int = 50000) -> Wire:
        self.conn += 1
        self.add("open", client=f"10.0.0.2:{port + self.conn}", server=self.server, how="syn")
        self.add("syn", "c", seq=0, ack=0)
        return self.add("synack", "s", seq=0, ack=0) if answered else self

    def hello(self, **fields: Any) -> Wire:
        base: dict[str, Any] = {
            "record_version": "0301",
            "legacy_version": "0303",
            "suites": [0xC02B, 0xC02F, 0xC02C, 0xC030],
            "extensions": [0, 10, 11, 13],
            "groups": [29, 23, 24],
            "sigalgs": [0x0403, 0x0804, 0x0401],
            "psk": False,
            "len": 200,
        }
        return self.add("client_hello", "c", **{k: v for k, v in {**base, **fields}.items() if v is not None})

    def hello13(self, **fields: Any) -> Wire:
        base: dict[str, Any] = {
            "versions": [0x0304],
            "suites": [0x1301, 0x1302],
            "key_shares": [29],
            "extensions": [10, 13, 43, 51],
        }
        return self.hello(**{**base, **fields})

    def server_hello(self, version: str = "0303", suite: int = 0xC02F, **fields: Any) -> Wire:
        return self.add("server_hello", "s", hrr=False, version=version, suite=suite, suite_name="", **fields)

    def certificate(self, side: str = "s", chain: int = 2, **leaf: Any) -> Wire:
        own: dict[str, Any] = {
            "subject": "CN=broker", "issuer": "CN=ca", "not_before": NOW - 86400, "not_after": NOW + 86400,
            "dns": ["broker.test"], "ip": ["10.0.0.1"], "cn": "broker", "key": "rsa", "bits": 2048,
            "sig": "sha256WithRSAEncryption", "self_signed": False, **leaf,
        }  # fmt: skip
        root = {
            "subject": own["issuer"], "issuer": own["issuer"], "not_before": 0, "not_after": 1 << 40,
            "self_signed": True,
            "key": "rsa", "bits": 2048, "sig": "sha256WithRSAEncryption",
        }  # fmt: skip
        certificates = [own, root][:chain]
        return self.add("certificate", side, len=1500, records=1, count=len(certificates), chain=certificates)

    def flight12(self, request: bool = False, **leaf: Any) -> Wire:
        self.server_hello().certificate(**leaf).add("server_key_exchange", "s", group=29, kind="ecdhe")
        if request:
            self.add("certificate_request", "s", sigalgs=[], cas=["CN=ca"])
        return self.add("server_hello_done", "s", len=4)

    def keys12(self) -> Wire:
        return self.add("client_key_exchange", "c", len=70).add("ccs", "c").add("sealed", "c", type=22, len=40,
                        phase="handshake", guess="finished")  # fmt: skip

    def alert(self, side: str, code: int, encrypted: bool = False, level: int = 2) -> Wire:
        from harness.diagnosis.registry.codepoints import alert_name

        sender = "client" if side == "c" else "server"
        return self.add(
            "alert", side, sender=sender, level=level, code=code, name=alert_name(code), encrypted=encrypted
        )

    def mqtt(self, side: str, kind: str, tls: bool = True, wait: float = 0.001, **fields: Any) -> Wire:
        return self.add("mqtt", side, wait=wait, type=kind, len=fields.pop("len", 4), tls=tls, flags=0, **fields)

    def connect(self, tls: bool = True, **fields: Any) -> Wire:
        base: dict[str, Any] = {"protocol": "MQTT", "level": 4, "clean": True, "keepalive": 60, "client_id": "dut"}
        return self.mqtt("c", "CONNECT", tls=tls, **{**base, **fields})

    def end(self, side: str = "s", how: str = "fin", wait: float = 0.001, **fields: Any) -> Wire:
        """`side` closes; the connection's summary follows."""
        if how in ("fin", "rst"):
            self.add(how, side, wait=wait)
        seen = [e for e in self.events if e.get("conn") == self.conn]
        tls = any(e["ev"] in ("client_hello", "server_hello") for e in seen)
        quiet = {"open", "syn", "synack", "fin", "rst", "icmp", "gap"}
        sent = {s: sum(100 for e in seen if e.get("dir") == s and e["ev"] not in quiet) for s in "cs"}
        base: dict[str, Any] = {
            "how": how, "first": side, "bytes_c": sent["c"], "bytes_s": sent["s"], "tls": tls,
            "handshake": "partial" if tls else "none", "decrypted": any(e["ev"] == "mqtt" for e in seen),
            "keys": "none", "retransmissions": 0, "gaps": 0,
        }  # fmt: skip
        return self.add("close", wait=0, **{**base, **fields})

    def done(self) -> list[dict[str, Any]]:
        return [*self.events, {"ev": "end", "t": self.t, "frame": self.frame, "packets": self.frame}]
