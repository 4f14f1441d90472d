"""AT modules of the SPWF04SA kind: what the dialogue between host and module says, command by command.

The module has few words: every failure ends in error 74, and one number stands for several faults. What was uploaded
before, and whether the module read a CA (`Loading`), tells them apart.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.diagnosis.facts import Story, certificate_names, leaf
from harness.diagnosis.outcome import works
from harness.diagnosis.rules.claim import LIKELY, PROVED, TOLD, Claim, failing, frame, uart

if TYPE_CHECKING:
    from harness.evidence.uart import UartHit

KEY_ID = 20  # bytes of a subject key identifier, as the module wants them
_LINE = re.compile(
    r"(?P<time>AT\+S\.TIME=(?P<epoch>\d{1,10}))"
    r"|AT\+S\.TLSCERT=(?P<slot>ca|cert|key|auth),(?P<len>\d{1,5})"
    r"|(?P<open>AT\+S\.SOCKON=)"
    r"|(?P<crl>AT\+S\.SCFG=tls_crl,1)"
    r"|(?P<unset>-S\.Date:70\.)"
    r"|(?P<missing>-S\.No SubjectKeyId)"
    r"|(?P<loading>-S\.Loading:)"
    r"|Certificate Error:(?P<certificate>\d{1,5})"
    r"|-S\.ERROR:(?P<error>\d{1,5})(?P<why>[^\r\n]*)",
    re.IGNORECASE,
)
CRL, NOT_YET, EXPIRED, NAME = 3, 9, 10, 62  # certificate errors; 3 is also "no such CA"


@dataclasses.dataclass
class Dialogue:
    """What was said up to the last attempt to open a socket."""

    heard: bool = False  # commands are in the log, not only answers
    time_set: UartHit | None = None
    clock_unset: UartHit | None = None  # the module shows 1970
    no_identifier: UartHit | None = None  # a PEM CA whose identifier was not given
    text_identifier: UartHit | None = None  # given with a length that is none
    crl_wanted: UartHit | None = None
    refused: tuple[str, UartHit] | None = None  # the upload of a slot failed
    opened: UartHit | None = None
    loading: UartHit | None = None
    certificate: tuple[int, UartHit] | None = None
    failed: UartHit | None = None  # error 74


def listen(hits: Iterable[UartHit]) -> Dialogue:
    """The dialogue of a log. Lines of other origin change nothing."""
    said = Dialogue()
    slot = ""
    for hit in hits:
        found = None if hit.kind == "event" else _LINE.search(hit.text)
        if found is None:
            continue
        if found["time"]:
            said.heard = True
            said.time_set, said.clock_unset = (hit, None) if int(found["epoch"]) else (None, hit)
        elif found["unset"]:
            said.clock_unset = hit
        elif found["slot"]:
            said.heard = True
            slot = found["slot"].lower()
            if slot == "auth":
                wrong = int(found["len"]) != KEY_ID
                said.text_identifier = hit if wrong else None
                said.no_identifier = None
        elif found["missing"]:
            said.no_identifier = hit
        elif found["crl"]:
            said.crl_wanted = hit
        elif found["open"]:
            said.heard = True
            slot = ""
            said.opened, said.loading, said.certificate, said.failed = hit, None, None, None
        elif found["loading"]:
            said.loading = hit
        elif found["certificate"]:
            said.certificate = (int(found["certificate"]), hit)
        elif found["error"] == "74":
            said.failed = hit
        elif found["error"] and slot:
            said.refused = (slot + (" fit" if "fit" in found["why"].lower() else ""), hit)
    return said


def dialogue(story: Story) -> Iterator[Claim]:
    """The module's faults: identifier, clock, CRL, names, uploads, and a socket that never opened."""
    said = listen(story.uart)
    if works(story) is True:
        return
    if said.refused is not None:
        yield from _upload(*said.refused)
    if said.certificate is not None:
        yield from _certificate(story, said, *said.certificate)
    elif said.failed is not None:
        yield from _seventy_four(story, said, said.failed)


def _upload(slot: str, hit: UartHit) -> Iterator[Claim]:
    causes = {"key": "client_key.wrong_format", "key fit": "client_key.mismatch"}
    if slot != "auth":
        yield Claim(
            id=causes.get(slot, "certificate.wrong_format"), confidence="probable", weight=TOLD + 8,
            evidence=(uart(hit),), explain=f"The module refused what was uploaded as `{slot.partition(' ')[0]}`.",
        )  # fmt: skip


def _identifier(said: Dialogue, evidence: tuple[str, ...]) -> Iterator[Claim]:
    """Identifier as text, or none at all."""
    hit = said.text_identifier or said.no_identifier
    if hit is not None:
        text = "The CA is PEM and no identifier was given"
        if said.text_identifier is not None:
            text = "The subject key identifier went in as text"
        yield Claim(
            id="at_module.identifier_not_binary", confidence="probable", weight=TOLD + 6,
            evidence=(uart(hit), *evidence), explain=f"{text}: the module finds no CA for the broker's chain.",
        )  # fmt: skip


def _certificate(story: Story, said: Dialogue, number: int, hit: UartHit) -> Iterator[Claim]:
    evidence = (*((uart(said.loading),) if said.loading else ()), uart(hit))
    if number == CRL and said.loading is None:
        yield from _identifier(said, evidence)
        if said.text_identifier or said.no_identifier:
            return
        if not said.heard:
            yield Claim(
                id="at_module.identifier_not_binary", confidence="probable", weight=TOLD, evidence=evidence,
                explain="No CA was found by its identifier.",
            )  # fmt: skip
            return
        yield Claim(
            id="server_certificate.untrusted", confidence="probable", weight=TOLD + 4, evidence=evidence,
            explain="The module has no CA with the identifier that the broker's chain names.",
        )  # fmt: skip
    elif number == CRL:
        wanted = (uart(said.crl_wanted),) if said.crl_wanted else ()
        yield Claim(
            id="server_certificate.crl_missing", confidence="probable", weight=TOLD + 6,
            evidence=(*wanted, *evidence), explain="The CA was found and loaded; the module wants its CRL.",
        )  # fmt: skip
    elif number in (NOT_YET, EXPIRED) and (said.clock_unset or (said.heard and not said.time_set)):
        clock = (uart(said.clock_unset),) if said.clock_unset else ()
        yield Claim(
            id="at_module.clock_unset", confidence="probable", weight=PROVED + 4, evidence=(*clock, *evidence),
            explain="The module's clock was never set: to it the certificate is not valid yet.",
        )  # fmt: skip
    elif number == NAME:
        shown = story.conns[-1].server_certificate if story.conns else None
        yield Claim(
            id="server_certificate.name_mismatch", confidence="probable", weight=TOLD + 6,
            evidence=(*((uart(said.opened),) if said.opened else ()), *evidence,
                      *((frame(shown, "the broker's certificate"),) if leaf(shown) else ())),
            explain=_name(said, leaf(shown)),
        )  # fmt: skip
    else:
        causes = {NOT_YET: "server_certificate.not_yet_valid", EXPIRED: "server_certificate.expired"}
        if number in causes:
            yield Claim(id=causes[number], confidence="probable", weight=TOLD + 6, evidence=evidence)


def _name(said: Dialogue, end: Mapping[str, Any] | None) -> str:
    """What was compared: the third word of SOCKON, and the names in the certificate where it can be read."""
    words = said.opened.text.partition("=")[2].split(",") if said.opened else []
    called = repr(words[2].strip()) if len(words) > 2 and words[2].strip() else "the name in AT+S.SOCKON"
    names = ", ".join(certificate_names(end)[:4]) if end else ""
    return f"The module looks for {called} in the broker's certificate, which is for {names or 'another name'}."


def _seventy_four(story: Story, said: Dialogue, hit: UartHit) -> Iterator[Claim]:
    """Error 74 alone. Before TLS, unless the wire shows a ClientHello."""
    if any(c.hellos for c in story.conns):
        if said.loading is None and story.conns[-1].server_hello is not None:
            yield from _identifier(said, (uart(hit),))  # else the broker refused before it showed a certificate
        return
    if said.loading is not None:
        return
    if said.no_identifier or said.text_identifier:
        yield from _identifier(said, (uart(hit),))
    if not story.has_wire and any(e.kind == "new_connection" or e.code is not None for e in story.broker):
        return  # TCP did open
    refused = [c for c in failing(story) if c.refused is not None]
    wire = (frame(refused[-1].refused, "RST instead of SYN+ACK: nothing listens there"),) if refused else ()
    nothing = ("wire: no connection to a broker",) if story.has_wire and not story.conns else ()
    yield Claim(
        id="at_module.socket_refused",
        confidence="probable",
        weight=PROVED + 4 if wire else LIKELY if not story.has_wire or story.conns else PROVED - 2,
        evidence=(uart(hit), *wire, *nothing),
        explain="Error 74 without `Loading` before it, and no ClientHello: TCP did not open."
        if story.has_wire
        else "Error 74 without `Loading` before it: TCP did not open, or the server ended TLS before its certificate.",
    )
