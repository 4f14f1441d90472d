"""The plug-in that judges tokens as a cloud service does: a real broker refuses each broken token, its log names the
cause, and the diagnosis of that log has it first."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness.evidence import broker_log
from harness.explain import explain
from harness.lab.pki import Pki, generate
from harness.lab.profiles import Profile, Tokens, load
from harness.model import Evidence
from harness.peer.mosquitto import RunningBroker, broker
from tests.peer.sclient import mqtt_connect

DEVICE = "projects/p/locations/l/registries/r/devices/dut"
MALFORMED = "jwt.malformed"


class Service(NamedTuple):
    """A broker for all tokens of this file, and the keys of its device."""

    running: RunningBroker
    ec: Any
    rsa: Any
    stranger: Any


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("tokens")
    pki: Pki = generate(folder / "pki")
    devices: dict[str, tuple[str, ...]] = {DEVICE: ("device-p256", "device-rsa2048"), "rsa-only": ("device-rsa2048",)}
    tokens = Tokens(audience="project", devices=devices)
    profile: Profile = msgspec.structs.replace(load()["plain"], tokens=tokens)

    def key(name: str) -> Any:
        return serialization.load_pem_private_key(pki.key(name, "pem").read_bytes(), None)

    with broker(profile, pki, folder / "broker") as running:
        yield Service(running, key("device-p256"), key("device-rsa2048"), key("server-p256"))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sign(service: Service, text: str, alg: str = "ES256", key: Any = None) -> bytes:
    if alg == "RS256":
        return bytes((key or service.rsa).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))
    return raw((key or service.ec).sign(text.encode(), ec.ECDSA(hashes.SHA256())))


def token(
    service: Service, claims: Any = None, header: Any = None, *, alg: str = "ES256", key: Any = None,
    signature: Callable[[str], bytes] | None = None, drop: str = "", **changed: Any,
) -> str:  # fmt: skip
    """A good token, but for what is named."""
    now = int(time.time())
    body = {"aud": "project", "iat": now, "exp": now + 3600, **changed} if claims is None else claims
    if drop:
        del body[drop]
    head = {"alg": alg, "typ": "JWT"} if header is None else header
    parts = [b64(x if isinstance(x, bytes) else json.dumps(x).encode()) for x in (head, body)]
    text = ".".join(parts)
    return f"{text}.{b64(signature(text) if signature else sign(service, text, alg, key))}"


def seconds(offset: int) -> int:
    return int(time.time()) + offset


def padded(text: str, part: int, what: str) -> str:
    parts = text.split(".")
    parts[part] = parts[part][:-1] + what if what != "=" else parts[part] + "="
    return ".".join(parts)


Make = Callable[[Service], str]
CASES: dict[str, tuple[str, Make]] = {
    "padding in the header": ("jwt.padding", lambda s: padded(token(s), 0, "=")),
    "padding in the payload": ("jwt.padding", lambda s: padded(token(s), 1, "=")),
    "padding in the signature": ("jwt.padding", lambda s: padded(token(s), 2, "=")),
    "plus in the payload": ("jwt.not_base64url", lambda s: padded(token(s), 1, "+")),
    "slash in the signature": ("jwt.not_base64url", lambda s: padded(token(s), 2, "/")),
    "plus in the header": ("jwt.not_base64url", lambda s: padded(token(s), 0, "+")),
    "one part": (MALFORMED, lambda s: "password"),
    "two parts": (MALFORMED, lambda s: token(s).rpartition(".")[0]),
    "four parts": (MALFORMED, lambda s: token(s) + ".e30"),
    "empty parts": (MALFORMED, lambda s: ".."),
    "empty signature": (MALFORMED, lambda s: token(s).rpartition(".")[0] + "."),
    "a space": (MALFORMED, lambda s: token(s).replace(".", ". ", 1)),
    "a newline at the end": (MALFORMED, lambda s: token(s) + "\n"),
    "a character outside ASCII": (MALFORMED, lambda s: token(s)[:20] + "é" + token(s)[21:]),
    "header is no JSON": (MALFORMED, lambda s: token(s, header=b"alg=ES256")),
    "payload is a list": (MALFORMED, lambda s: token(s, claims=[1, 2])),
    "trailing comma": (MALFORMED, lambda s: token(s, claims=b'{"aud":"project","iat":1,"exp":2,}')),
    "a claim twice": (MALFORMED, lambda s: token(s, claims=b'{"aud":"project","iat":1,"exp":2,"exp":3}')),
    "not UTF-8": (MALFORMED, lambda s: token(s, claims=b'{"aud":"\xff\xfe","iat":1,"exp":2}')),
    "NUL in the payload": (MALFORMED, lambda s: token(s, claims=b'{"aud":"project\x00","iat":1,"exp":2}')),
    "nested too deep": (MALFORMED, lambda s: token(s, claims=b'{"a":' + b"[" * 40 + b"]" * 40 + b"}")),
    "alg is a number": (MALFORMED, lambda s: token(s, header={"alg": 256})),
    "alg is missing": (MALFORMED, lambda s: token(s, header={"typ": "JWT"})),
    "crit in the header": (MALFORMED, lambda s: token(s, header={"alg": "ES256", "crit": ["b64"], "b64": False})),
    "iat as text": (MALFORMED, lambda s: token(s, iat=str(seconds(0)))),
    "exp as text": (MALFORMED, lambda s: token(s, exp="tomorrow")),
    "exp is negative": (MALFORMED, lambda s: token(s, exp=-1)),
    "iat is missing": (MALFORMED, lambda s: token(s, drop="iat")),
    "exp is missing": (MALFORMED, lambda s: token(s, drop="exp")),
    "larger than any token": (MALFORMED, lambda s: token(s, extra="x" * 9000)),
    "cut at 255 characters": (MALFORMED, lambda s: token(s, alg="RS256")[:255].rpartition(".")[0]),
    "alg none": ("jwt.algorithm_key_mismatch", lambda s: token(s, header={"alg": "none"})),
    "alg HS256": ("jwt.algorithm_key_mismatch", lambda s: token(s, header={"alg": "HS256"})),
    "alg in another case": ("jwt.algorithm_key_mismatch", lambda s: token(s, header={"alg": "es256"})),
    "RS256 header, EC key": ("jwt.bad_signature", lambda s: token(s, header={"alg": "RS256"})),
    "DER signature": ("jwt.bad_signature", lambda s: token(
        s, signature=lambda text: s.ec.sign(text.encode(), ec.ECDSA(hashes.SHA256())))),
    "key of somebody else": ("jwt.bad_signature", lambda s: token(s, key=s.stranger)),
    "signed over the decoded bytes": ("jwt.bad_signature", lambda s: token(
        s, signature=lambda text: sign(s, base64.urlsafe_b64decode(text.partition(".")[2] + "==").decode()))),
    "signed over the header only": ("jwt.bad_signature", lambda s: token(
        s, signature=lambda text: sign(s, text.partition(".")[0]))),
    "signed with SHA-384": ("jwt.bad_signature", lambda s: token(
        s, alg="RS256", signature=lambda text: s.rsa.sign(text.encode(), padding.PKCS1v15(), hashes.SHA384()))),
    "PSS instead of PKCS#1": ("jwt.bad_signature", lambda s: token(
        s, alg="RS256", signature=lambda text: s.rsa.sign(
            text.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()))),
    "claims changed after signing": ("jwt.bad_signature", lambda s: token(
        s, signature=lambda text: sign(s, token(s, exp=seconds(7200)).rpartition(".")[0]))),
    "expired": ("jwt.expired", lambda s: token(s, iat=seconds(-4000), exp=seconds(-700))),
    "clock in 1970": ("jwt.expired", lambda s: token(s, iat=120, exp=3720)),
    "issued ahead": ("jwt.issued_in_future", lambda s: token(s, iat=seconds(700), exp=seconds(4300))),
    "nbf ahead": ("jwt.issued_in_future", lambda s: token(s, nbf=seconds(700))),
    "lives 25 hours": ("jwt.lifetime_too_long", lambda s: token(s, exp=seconds(90_600))),
    "aud of another project": ("jwt.wrong_audience", lambda s: token(s, aud="project-2")),
    "aud in another case": ("jwt.wrong_audience", lambda s: token(s, aud="Project")),
    "aud missing": ("jwt.wrong_audience", lambda s: token(s, drop="aud")),
    "aud a list": ("jwt.wrong_audience", lambda s: token(s, aud=["project"])),
}  # fmt: skip


def connect(service: Service, password: str, client: str = DEVICE) -> bytes:
    """What comes back until the broker is done: a CONNACK, or b"" when it only closes."""
    running = service.running
    with socket.create_connection((running.host, running.port), timeout=5) as sock:
        sock.sendall(mqtt_connect("unused", password, client))
        return sock.recv(64)


def refusals(service: Service, since: int) -> list[broker_log.BrokerEntry]:
    """Entries of tokens behind the first `since` lines; waits until the broker has written one."""
    until = time.monotonic() + 5
    while True:
        found = [e for e in broker_log.read(service.running.log) if e.line > since and e.kind.startswith("token_")]
        if found or time.monotonic() > until:
            return found
        time.sleep(0.02)


def lines(service: Service) -> int:
    return len(service.running.log.read_bytes().splitlines())


def test_there_are_forty() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("name", CASES)
def test_a_broken_token_is_refused_with_its_cause(service: Service, tmp_path: Path, name: str) -> None:
    cause, make = CASES[name]
    before = lines(service)
    assert connect(service, make(service)) == b"", "closed without CONNACK"
    entries = refusals(service, before)
    assert [(e.kind, e.fields.get("cause"), e.client) for e in entries] == [("token_refused", cause, DEVICE)]
    log = tmp_path / "broker.log"
    log.write_text(service.running.log.read_text().splitlines()[entries[0].line - 1] + "\n")
    diagnosis = explain(Evidence(broker_log=log))
    assert diagnosis.outcome == "failed"
    assert diagnosis.causes[0].id == cause
    assert diagnosis.causes[0].fix


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("ES256", token),
        ("RS256", lambda s: token(s, alg="RS256")),
        ("at the edge of the skew", lambda s: token(s, iat=seconds(590), exp=seconds(4000))),
        ("issued hours ago", lambda s: token(s, iat=seconds(-20_000), exp=seconds(100))),
        ("24 hours", lambda s: token(s, exp=seconds(86_400))),
        ("a fraction", lambda s: token(s, iat=seconds(0) + 0.5)),
        ("more claims", lambda s: token(s, sub="x", extra={"a": [1, None, True]})),
    ],
)
def test_a_good_token_is_let_in(service: Service, name: str, make: Make) -> None:
    before = lines(service)
    assert connect(service, make(service)) == bytes((0x20, 2, 0, 0))
    assert [e.kind for e in refusals(service, before)] == ["token_accepted"]


def test_who_is_not_registered(service: Service) -> None:
    before = lines(service)
    assert connect(service, token(service), DEVICE.replace("/r/", "/other/")) == b""
    assert refusals(service, before)[0].fields["cause"] == "mqtt.client_id_refused"
    assert "`other/" in refusals(service, before)[0].reason
    before = lines(service)
    assert connect(service, token(service), "rsa-only") == b""
    assert refusals(service, before)[0].fields["cause"] == "jwt.algorithm_key_mismatch"


def test_a_hostile_client_id_stays_one_line(service: Service) -> None:
    before = lines(service)
    connect(service, "x", "a\x1b[31mb accepted: exp in 5 s")
    assert "\x1b" not in service.running.log.read_text()
    assert not any(e.kind == "token_accepted" for e in refusals(service, before))


def test_wrong_options_are_a_lab_error(tmp_path: Path, pki: Pki) -> None:
    from harness.errors import LabError

    tokens = Tokens(audience="project", devices={"two words": ("device-p256",)})
    profile = msgspec.structs.replace(load()["plain"], tokens=tokens)
    with pytest.raises(LabError) as raised, broker(profile, pki, tmp_path / "broker"):
        pass
    assert raised.value.cause == "lab.broker_failed"
