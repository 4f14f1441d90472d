"""The typed values that go from step to step (see docs/architecture.md). No I/O here, no logic beyond construction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

Side = Literal["device", "broker", "either", "network", "lab"]
Confidence = Literal["certain", "probable", "possible"]
VerdictName = Literal["pass", "warn", "fail", "known", "fixed", "flaky", "skip", "lab"]
Version = Literal["1.0", "1.1", "1.2", "1.3"]


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One root cause: `id` from causes.toml; `evidence` items read `frame 4: …`, `uart 12: …`, `broker 7: …`."""

    id: str
    side: Side
    confidence: Confidence
    evidence: tuple[str, ...] = ()
    explain: str = ""
    fix: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    sender: Literal["device", "broker"]
    level: int
    code: int
    name: str
    encrypted: bool
    frame: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Where one attempt's evidence lies. What does not exist is None."""

    capture: Path | None = None
    uart: Path | None = None
    broker_log: Path | None = None
    broker_config: Path | None = None
    keylog: Path | None = None
    flash_log: Path | None = None  # what the flasher and the probe said


class ServerCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate a listener presents, as far as known. Times are Unix seconds."""

    key: Literal["rsa", "ec", "ed25519", "other"]
    bits: int = 0
    curve: str = ""
    signature: str = ""
    names: tuple[str, ...] = ()
    not_before: int = 0
    not_after: int = 0


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker's listener accepts. None means: not known (not: anything).

    Suites and groups and signature algorithms are IANA code points. `source` says where the knowledge comes from:
    `profile` (the bench's own), `config` (a mosquitto.conf), `inferred` (from the wire only).
    """

    source: Literal["profile", "config", "inferred"]
    tls: bool = True
    versions: tuple[Version, ...] | None = None
    suites12: tuple[int, ...] | None = None
    suites13: tuple[int, ...] | None = None
    groups: tuple[int, ...] | None = None
    sigalgs: tuple[int, ...] | None = None
    certificate: ServerCertificate | None = None
    client_certificate: Literal["none", "optional", "require"] | None = None
    checks_crl: bool | None = None
    password: bool | None = None
    acl: bool | None = None
    identity_as_username: bool = False
    max_packet: int | None = None
    certificate_files: tuple[Path, ...] = ()
    ca_files: tuple[Path, ...] = ()
    crl_files: tuple[Path, ...] = ()


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the device beside the evidence (the bench knows it; `hil explain` may not)."""

    stack: str = ""  # "mbedtls-2.28", "wolfssl-5.5", "netx-6.4", … ; "" unknown
    host: str = ""  # the name it was told to call and to verify
    epoch: int | None = None  # its clock, Unix seconds; 0: never set
    has_certificate: bool | None = None
    trust_files: tuple[Path, ...] = ()  # what it was given as CA
    trusted_leaf: str = ""  # subject of a certificate in its trust store that is no CA: somebody's identity


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the diagnosis. `connections` are what `hil explain --json` prints."""

    outcome: Literal["ok", "failed", "incomplete"]
    causes: tuple[Cause, ...] = ()
    findings: tuple[Cause, ...] = ()
    connections: tuple[dict[str, Any], ...] = ()
    advice: tuple[str, ...] = ()  # what evidence would settle what is only probable


class Image(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    sha256: str
    git: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    verdict: VerdictName
    why: str
    seconds: float
    evidence: Evidence


class SetDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One dimension of ClientHello against profile, in names for people. `common` empty is why nothing was agreed."""

    dimension: Literal["versions", "suites", "groups", "signature_algorithms"]
    offered: tuple[str, ...]
    accepted: tuple[str, ...]
    common: tuple[str, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one scenario on one target. `why` is one sentence for a person."""

    id: str  # scenario id with its permutation: "T12-03[r12-chacha]"
    target: str
    profile: str
    title: str = ""
    clause: str = ""
    level: str = ""
    verdict: VerdictName
    why: str
    causes: tuple[Cause, ...] = ()
    alerts: tuple[Alert, ...] = ()
    expected_alerts: tuple[int, ...] = ()
    differences: tuple[SetDifference, ...] = ()  # ClientHello against profile, when a ClientHello was seen
    attempts: tuple[Attempt, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def node(self) -> str:
        """With its target, as the progress and pytest call it: "T12-03[native-r12-chacha]"."""
        return self.id.replace("[", f"[{self.target}-", 1)


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` holds. Times are ISO-8601 UTC; `totals` counts verdicts by name."""

    schema: int = 1
    started: str
    finished: str
    targets: tuple[str, ...]
    git: str
    totals: dict[str, int]
    images: dict[str, Image] = {}
    verdicts: tuple[Verdict, ...] = ()
