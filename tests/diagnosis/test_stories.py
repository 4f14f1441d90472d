"""The five field reports, end to end: the evidence a poster had leads to the cause the thread finally found.

Stories A and B are the shared NetX captures. For C, D and E the wire is made again: a real TLS session run in memory,
cut or ended as the story tells, beside the poster's own UART and broker lines.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.explain import explain
from harness.lab.pki import Pki, generate
from harness.model import Diagnosis, Evidence
from tests.bench.generate import PCAP_HEADER, Session, frame, mqtt_connect, packets, run_session
from tests.diagnosis.cases import diagnosis
from tests.streams.test_stories import STORY_C, STORY_C2, STORY_C_BROKER, STORY_D, STORY_E

SECOND = 1_000_000_000
START = 1_750_000_000 * SECOND


@dataclass(frozen=True)
class Scene:
    folder: Path
    pki: Pki

    def session(self, certificate: str = "server-rsa2048", connect: bytes = b"") -> Session:
        """A whole TLS 1.2 session up to DISCONNECT; `connect` replaces the CONNECT packet."""
        return run_session(
            self.pki,
            "1.2",
            0,
            0,
            self.folder / "keys.log",
            certificate=certificate,
            connect=connect or mqtt_connect(b"dut"),
        )

    def capture(self, flights: list[tuple[bool, bytes]], first_fin: bool, pause: float = 0.0) -> Path:
        """The flights as TCP over Ethernet; the side `first_fin` (True: device) closes after `pause` seconds."""
        whole = packets(Session(flights, "1.2"))
        if not first_fin:
            device_fin, broker_fin, last = whole[-3:]
            seq, ack = device_fin[1], device_fin[2]
            whole[-3:] = [
                (False, ack, seq, broker_fin[3], b""),
                (True, seq, ack + 1, device_fin[3], b""),
                (False, ack + 1, seq + 1, last[3], b""),
            ]
        clock = START
        path = self.folder / "story.pcap"
        with path.open("wb") as file:
            file.write(PCAP_HEADER)
            for number, packet in enumerate(whole):
                clock += int(pause * SECOND) if number == len(whole) - 3 else 2_000_000
                data = frame(packet, bytes([10, 0, 0, 7]), 50123)
                file.write(struct.pack("<IIII", *divmod(clock, SECOND), len(data), len(data)) + data)
        return path

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, generate(tmp_path / "pki"))


def first(found: Diagnosis) -> str:
    assert found.outcome == "failed"
    return found.causes[0].id


def server_flight(session: Session) -> list[tuple[bool, bytes]]:
    """ClientHello and the broker's first flight."""
    assert session.flights[0][0] and not session.flights[1][0]
    return session.flights[:2]


# Story A (000): STM32H563 + NetX Duo, TLS 1.2: alert 0x28: the suite first, then the certificate in the wrong store.
@pytest.mark.parametrize("streams", ["wkubc", "wubc", "wc"])
def test_story_a_the_suite_falls_first(streams: str) -> None:
    name = "netx-story-a-12-rsa-mutual-cert-as-trusted-aes256gcm"
    assert first(diagnosis(name, streams)) == "tls.no_common_cipher_suite"


def test_story_a_then_the_wrong_store() -> None:
    found = diagnosis("netx-story-a-12-rsa-mutual-cert-as-trusted-default-suites", "wubc")
    assert first(found) in ("client_certificate.wrong_store", "client_certificate.missing")
    assert "nx_secure_tls_local_certificate_add" in found.causes[0].fix


# Story B (001): the same board with TLS 1.3: RSA server certificate and no RSA-PSS.
@pytest.mark.parametrize("streams", ["wkubc", "wc", "wb"])
def test_story_b_rsa_without_pss(streams: str) -> None:
    assert first(diagnosis("netx-13-rsa-serveronly", streams)) == "tls.no_common_signature_algorithm"


# Story C (002): W5500 + mbedTLS + Paho: MQTTConnect() returns 255 although the broker accepted.
def test_story_c_connack_left_at_255(scene: Scene) -> None:
    flights = scene.session().flights[:-1]  # the device never gets as far as DISCONNECT
    capture = scene.capture(flights, first_fin=True, pause=3.0)
    found = explain(
        Evidence(
            capture=capture,
            keylog=scene.folder / "keys.log",
            uart=scene.write("uart.log", STORY_C),
            broker_log=scene.write("broker.log", STORY_C_BROKER),
        )
    )
    assert first(found) == "device.connack_misparsed"


def test_story_c_reads_gated_on_the_chip(scene: Scene) -> None:
    """Wire and keys alone: the CONNACK was delivered, the device never acted on it and closed."""
    capture = scene.capture(scene.session().flights[:-1], first_fin=True, pause=95.0)
    found = explain(Evidence(capture=capture, keylog=scene.folder / "keys.log"))
    assert first(found) == "device.read_gated_on_socket"
    assert found.causes[0].confidence != "certain"


def test_story_c_certificate_longer_than_the_buffer(scene: Scene) -> None:
    flights = server_flight(scene.session(certificate="server-rsa2048-chain-5k"))
    found = explain(Evidence(capture=scene.capture(flights, first_fin=True), uart=scene.write("uart.log", STORY_C2)))
    assert first(found) in ("tls.record_too_large", "server_certificate.too_large")


# Story D (003): Synergy S5D9: alert 80 from the device while it verifies an ECC certificate in its crypto engine.
def test_story_d_crypto_engine(scene: Scene) -> None:
    flights = [*server_flight(scene.session(certificate="server-p256")), (True, bytes.fromhex("15030300020250"))]
    found = explain(Evidence(capture=scene.capture(flights, first_fin=True), uart=scene.write("uart.log", STORY_D)))
    assert first(found) == "tls.device_internal_error"
    assert found.connections[0]["alerts"][0] | {"sender": "device", "code": 80} == found.connections[0]["alerts"][0]


def token(mutate: Callable[[str], str]) -> str:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": "RS256", "typ": "JWT"})
    return mutate(f"{head}.{part({'aud': 'p', 'iat': START // SECOND, 'exp': START // SECOND + 3600})}.{'A' * 342}")


def test_story_d_broker_closes_on_the_token(scene: Scene) -> None:
    """The broker closes after the first application data: the JWT in the password has base64 padding."""
    password = token(lambda text: text + "==").encode()
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03dut\x00\x06unused" + struct.pack(">H", len(password)) + password
    length = bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
    session = scene.session(connect=b"\x10" + length + body)
    flights = session.flights[:-2]  # neither CONNACK nor DISCONNECT
    found = explain(Evidence(capture=scene.capture(flights, first_fin=False), keylog=scene.folder / "keys.log"))
    assert first(found) == "jwt.padding"
    unopened = explain(Evidence(capture=scene.capture(flights, first_fin=False)))
    assert all(cause.confidence != "certain" for cause in unopened.causes)


# Story E (004): SPWF04SA: the subject key identifier went in as 40 characters.
def test_story_e_identifier_as_text(scene: Scene) -> None:
    found = explain(Evidence(uart=scene.write("uart.log", STORY_E)))
    assert first(found) == "at_module.identifier_not_binary"
    assert "20" in found.causes[0].fix
