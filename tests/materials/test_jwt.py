"""`hil jwt check`: the token of story 003 and each fault it could have."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness.cli import main
from harness.materials import token as tokens

STORY = (
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJoNG5oNDQtMSIsImV4cCI6MTYzMDQyMTE3OCwiaWF0IjoxNjMwNDIwODc4fQ==."
    "SbNIiu23b0w9udd8jlICsW/cQqsbMgKvzQlSmga8mseI3hVAwW001YQ9QmLPc7Y3z8bE8ndYJXE3lO4UA39M4D6G/KyrybRnzQkFfevRm4qw8NekO"
    "sENPEse25YGNpzydKcVHvomHMBm8r797ApH2Z0Xs3FD2e+EgnS3GkQ4bYVxscMmDFqd/m5IWJPz8mZiwuN3+LXK2gVOF798wObXY7L7q8EWycV2Qb"
    "eDOQlEkVyG1SFTwudM0Y+Geppsli5uUrscEq5ipT/rgIaIFuqUcvykH9IZm/sLHXh54UYIkaAlHdzGyWTr+50cV4X+9ZWwTcfQdrRcECKIsSgeC/J"
    "yHw=="
)
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
NOW = int(time.time())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make(key: Any = EC, *, alg: str = "", der: bool = False, **claims: Any) -> str:
    alg = alg or ("ES256" if key is EC else "RS256")
    payload = {"aud": "project", "iat": NOW, "exp": NOW + 3600, **claims}
    signed = b64(json.dumps({"alg": alg, "typ": "JWT"}).encode()) + "." + b64(json.dumps(payload).encode())
    if key is RSA:
        signature = RSA.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = EC.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        if not der:
            r, s = decode_dss_signature(signature)
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{b64(signature)}"


def causes(token: str, key: Any = None, audience: str = "project", now: int = NOW) -> list[str]:
    return [fault.cause for fault in tokens.check(token, now=now, audience=audience, key=key)]


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES256", "RS256"])
def test_a_good_token(key: Any) -> None:
    assert causes(make(key), key.public_key()) == []


def test_the_token_of_the_story() -> None:
    found = causes(STORY, audience="h4nh44-1", now=1_630_420_900)
    assert found == ["jwt.padding", "jwt.not_base64url"]
    assert "jwt.expired" in causes(STORY, audience="h4nh44-1")


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        (make(der=True), "jwt.bad_signature"),
        (make(alg="RS256"), "jwt.algorithm_key_mismatch"),
        (make(alg="none"), "jwt.algorithm_key_mismatch"),
        (make(exp=NOW - 10, iat=NOW - 100), "jwt.expired"),
        (make(iat=NOW + 3000, exp=NOW + 4000), "jwt.issued_in_future"),
        (make(exp=NOW + 90_000), "jwt.lifetime_too_long"),
        (make(aud="other"), "jwt.wrong_audience"),
        (make(aud=""), "jwt.wrong_audience"),
        (make(iat="now"), "jwt.malformed"),
        (make().rpartition(".")[0], "jwt.malformed"),
        (make().replace(".", ".A", 1), "jwt.malformed"),
        ("a.b.c", "jwt.malformed"),
        (make()[:-1] + ("A" if make()[-1] != "A" else "B"), ""),
    ],
)
def test_each_fault(token: str, cause: str) -> None:
    found = causes(token, EC.public_key())
    assert found == ([cause] if cause else found)
    assert cause or found in (["jwt.bad_signature"], [])  # the last character carries only four bits


def test_another_key() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert causes(make(), other) == ["jwt.bad_signature"]
    assert causes(make(), RSA.public_key()) == ["jwt.algorithm_key_mismatch"]


def test_signed_with_the_padding(tmp_path: Path) -> None:
    """Padding stripped after signing: the text is right, the signature is over another one."""
    signed = ".".join(part + "==" for part in make().split(".")[:2])
    signature = EC.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(signature)
    token = signed.replace("=", "") + "." + b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert causes(token, EC.public_key()) == ["jwt.bad_signature"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = tmp_path / "pub.pem"
    public.write_bytes(EC.public_key().public_bytes(serialization.Encoding.PEM,
                                                    serialization.PublicFormat.SubjectPublicKeyInfo))  # fmt: skip
    file = tmp_path / "token.txt"
    file.write_text(make() + "\n")
    assert main(["jwt", "check", str(file), "--key", str(public), "--audience", "project"]) == 0
    assert "nothing wrong" in capsys.readouterr().out
    assert main(["jwt", "check", STORY, "--clock", "1630420900", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [p["cause"] for p in data["problems"]] == ["jwt.padding", "jwt.not_base64url"]
    assert data["signature_checked"] is False
    for words in (["/nowhere"], [str(file), "--key", str(file)], [str(file), "--clock", "x"]):
        assert main(["jwt", "check", *words]) == 4
        assert len(capsys.readouterr().err.splitlines()) == 1
