"""Proves that the key log works before anything relies on it: a real handshake whose secrets both sides write down.

A broker that is setuid, has file capabilities, is linked statically or loads another OpenSSL ignores the preload
library and silently logs nothing; this is where it is found out. Once for each broker and library in a process.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from pathlib import Path

from harness.errors import LabError
from harness.lab.pki import Pki
from harness.lab.profiles import Profile
from harness.peer import mosquitto

HANDSHAKE_TIMEOUT = 10.0
CERTIFICATE = "server-p256"
TRUST = "ca-p256"

# The server has written these before its first flight leaves it: nothing to wait for once the client has finished.
# (It writes the application's secrets after that, so that a client can be faster.)
LABELS = ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET")

_PROFILE = Profile(
    name="canary", title="proof of the key log", versions=("1.3",), certificate=CERTIFICATE,
    suites13=("TLS_AES_128_GCM_SHA256",), groups=("X25519", "P-256"), sigalgs=("ecdsa_secp256r1_sha256",),
)
_proved: set[tuple[str, int, str, int]] = set()
_lock = threading.Lock()


def ensure(executable: Path, pki: Pki) -> None:
    """LabError `lab.broker_failed` unless a handshake with this broker yields the client's own secrets in the log."""
    library = mosquitto.keylog_library()
    build = (str(executable), executable.stat().st_mtime_ns, str(library), library.stat().st_mtime_ns)
    with _lock:
        if build in _proved:
            return
        _prove(pki)
        _proved.add(build)


def _prove(pki: Pki) -> None:
    with tempfile.TemporaryDirectory(prefix="hil-canary-") as folder, \
            mosquitto.broker(_PROFILE, pki, Path(folder) / "broker", keylog=True, canary=False) as running:
        secrets = handshake(running.host, running.port, pki.cert(TRUST), Path(folder) / "client.keys")
        assert running.keylog is not None
        logged = set(running.keylog.read_text(encoding="ascii", errors="replace").splitlines())
    missing = [line for line in secrets if line not in logged]
    if len(secrets) != len(LABELS) or missing:
        found = "nothing" if not logged else "other secrets than the client's"
        raise LabError(
            "lab.broker_failed", f"the key log stays useless: after a handshake the broker had logged {found}",
            "a setuid, capability-carrying or static mosquitto ignores LD_PRELOAD: remove those, or run without keys",
        )


def handshake(host: str, port: int, ca: Path, own_log: Path) -> list[str]:
    """Connects as a TLS 1.3 client nobody here wrote and returns its key-log lines of LABELS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(ca)
    context.keylog_filename = str(own_log)
    try:
        with socket.create_connection((host, port), timeout=HANDSHAKE_TIMEOUT) as plain, \
                context.wrap_socket(plain, server_hostname="broker.hil.test"):
            pass
    except OSError as error:
        raise LabError("lab.broker_failed", f"the canary handshake with the broker failed: {error}",
                       "OPENSSL_CONF of this shell may forbid TLS 1.3") from error
    lines = own_log.read_text(encoding="ascii").splitlines()
    return [line for line in lines if line.startswith(LABELS)]
