"""What a rule says: a claim, with its weight. The engine orders claims and turns them into causes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from harness.diagnosis.facts import AlertFact, Conn, Story
from harness.diagnosis.outcome import connected, refused_in_logs
from harness.model import Confidence

if TYPE_CHECKING:
    from harness.evidence.broker_log import BrokerEntry
    from harness.evidence.uart import UartHit

# Weights: what the evidence proves comes before what it suggests, the specific before the general. A rule may add or
# take a few points to order two claims of the same band; bands stand 10 apart.
PROVED = 90  # the wire shows it, or wire and listener together
LOGGED = 80  # the broker's log says it
TOLD = 70  # the device's own code or message says it
LIKELY = 60  # the picture fits this best
MAYBE = 40  # one of several that give this picture
FALLBACK = 20  # only when nothing else is known
HIDDEN = 10  # a second fault, which the first one hides


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One possible cause. `frame`: where it went wrong, for the annotated capture (0: nowhere on the wire)."""

    id: str
    confidence: Confidence
    weight: int
    evidence: tuple[str, ...] = ()
    explain: str = ""
    frame: int = 0


Rule = Callable[[Story], Iterable[Claim]]


def frame(event: Mapping[str, Any] | AlertFact | None, text: str) -> str:
    """Evidence item of the wire: `frame 4: …`."""
    number = event.frame if isinstance(event, AlertFact) else (event or {}).get("frame", 0)
    return f"frame {number}: {text}"


def uart(hit: UartHit) -> str:
    """Evidence item of the device's console: `uart 12: …`."""
    said = hit.text.strip()
    if hit.name and hit.name not in said:
        said = f"{said} ({hit.name})"
    return f"uart {hit.line}: {said[:160]}"


def log(entry: BrokerEntry) -> str:
    """Evidence item of the broker's log: `broker 7: …`."""
    return f"broker {entry.line}: {entry.text[:160]}"


def alert_text(alert: AlertFact) -> str:
    sealed = ", encrypted" if alert.encrypted else ""
    return f"{alert.sender} sent alert {alert.code} {alert.name}{sealed}"


def alert_evidence(alert: AlertFact) -> str:
    return frame(alert, alert_text(alert))


def entries(story: Story, *reasons: str) -> list[BrokerEntry]:
    """Broker-log entries whose OpenSSL reason is one of these (lower case)."""
    return [e for e in story.broker if e.reason.lower() in reasons]


def first_log(story: Story, *reasons: str) -> tuple[str, ...]:
    return tuple(log(e) for e in entries(story, *reasons)[:1])


def told(story: Story, cause: str) -> list[UartHit]:
    """UART hits whose code suggests a cause."""
    return [h for h in story.uart if cause in h.causes and not says_less(story, h)]


def says_less(story: Story, hit: UartHit) -> bool:
    """Mbed TLS's -0x2700 is "the flags say why": where the flags are in the log and say otherwise, it is no cause."""
    if hit.name != "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED":
        return False
    flags = {c for h in story.uart if h.stack == "mbedtls_verify" for c in h.causes}
    return bool(flags) and not set(hit.causes) & flags


def first_told(story: Story, cause: str) -> tuple[str, ...]:
    return tuple(uart(h) for h in told(story, cause)[:1])


def failing(story: Story) -> list[Conn]:
    """Connections without a working session, oldest first."""
    doubted = refused_in_logs(story)
    return [c for c in story.conns if connected(c) is not True or (doubted and c.sealed and not c.mqtt)]
