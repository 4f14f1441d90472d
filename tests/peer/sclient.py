"""A client nobody here wrote: `openssl s_client`, with an MQTT CONNECT typed into it, and what came of it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT = 20.0
WEAK = "@SECLEVEL=0"  # the client must be able to offer anything


def mqtt_connect(user: str = "", password: str = "", client_id: str = "s_client") -> bytes:
    """An MQTT 3.1.1 CONNECT, clean session, keep-alive 60 s."""
    flags = 0x02 | (0x80 if user else 0) | (0x40 if password else 0)
    strings = [client_id, *([user] if user else []), *([password] if password else [])]
    payload = b"".join(len(data := text.encode()).to_bytes(2, "big") + data for text in strings)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x3c" + payload
    assert len(body) < 1 << 14
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return b"\x10" + length + body


@dataclass(frozen=True)
class Outcome:
    """`connack`: the broker's answer to CONNECT; `alert`: the number of an alert it sent; `verify`: what the client
    found wrong with the server's certificate (X509_V_ERR numbers)."""

    connack: int | None = None
    alert: int | None = None
    verify: tuple[int, ...] = ()
    protocol: str = ""
    suite: str = ""
    group: str = ""
    hash: str = ""
    signature: str = ""
    certificate_bytes: int = 0
    text: str = field(default="", repr=False)


def attempt(port: int, args: Sequence[str | Path], connect: bytes | None = None) -> Outcome:
    """One connection. It ends when four bytes came (a CONNACK) or the broker closed."""
    with tempfile.NamedTemporaryFile(prefix="s_client-", suffix=".msg") as messages:
        argv = ["openssl", "s_client", "-brief", "-msgfile", messages.name, "-msg",
                "-connect", f"127.0.0.1:{port}", *map(str, args)]
        env = {"OPENSSL_CONF": "/dev/null", "PATH": "/usr/bin:/bin"}
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        try:
            answer, errors = _talk(child, mqtt_connect() if connect is None else connect)
        finally:
            child.kill()
            child.wait(TIMEOUT)
        text = errors.decode("utf-8", "replace")
        return _read(answer, text, Path(messages.name).read_text(errors="replace"))


def _talk(child: subprocess.Popen[bytes], connect: bytes) -> tuple[bytes, bytes]:
    """What it printed on stdout (up to four bytes) and stderr. A client that hangs is ended, so that reads return."""
    assert child.stdin and child.stdout and child.stderr
    bound = threading.Timer(TIMEOUT, child.kill)
    bound.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(connect)
            child.stdin.flush()
        answer = child.stdout.read(4)
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        return answer, child.stderr.read()
    finally:
        bound.cancel()
        for pipe in (child.stdout, child.stderr):
            pipe.close()


def _read(answer: bytes, text: str, messages: str) -> Outcome:
    def said(pattern: str) -> str:
        match = re.search(pattern, text, re.MULTILINE)
        return match[1] if match else ""

    alert = said(r"SSL alert number (\d+)")
    key = said(r"^Server Temp Key: (.*)$").split(", ")
    sizes = re.findall(r"<<< TLS 1\.\d, Handshake \[length ([0-9a-f]+)\], Certificate$", messages, re.MULTILINE)
    return Outcome(
        connack=answer[3] if answer[:3] == b"\x20\x02\x00" else None,
        alert=int(alert) if alert else None,
        verify=tuple(int(number) for number in re.findall(r"verify error:num=(\d+):", text)),
        protocol=said(r"^Protocol version: (\S+)"),
        suite=said(r"^Ciphersuite: (\S+)"),
        group=key[1] if key[0] in ("ECDH", "DH") else key[0],
        hash=said(r"^Hash used: (\S+)"),
        signature=said(r"^Signature type: (\S+)"),
        certificate_bytes=int(sizes[0], 16) if sizes else 0,
        text=text,
    )
