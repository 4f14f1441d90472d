"""Makes the evidence of a case: Mosquitto with its log and keys, a capture of lo, the client. In a sandbox.

Files are named as in tests/data/field-captures. The folder that the broker reads its certificates from is not where
the evidence lies, so that mosquitto.conf names files nobody else can open, as it is when somebody sends us evidence.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.evidence.capture import capture
from harness.lab import pki, process
from tests.diagnosis.live.case import Case, Made

HERE = Path(__file__).resolve().parent
START_TIMEOUT = 5.0
CLIENT_TIMEOUT = 12.0
SETTLE = 0.08  # seconds a broker has to close what the client left
CONNACK = re.compile(rb"\x20\x02..|\x20\x03...", re.DOTALL)
TLS_PORT, PLAIN_PORT = 8883, 1883
HEAD = (
    "user root",
    "log_dest stderr",
    "log_type all",
    "log_timestamp_format %H:%M:%S",
    "connection_messages true",
    "per_listener_settings false",
)


@dataclass
class Stage:
    """What a client's script may use."""

    case: Case
    work: Path  # working directory: pki/, built clients
    log: Path
    broker: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return PLAIN_PORT if self.case.plain else TLS_PORT

    def run(self, *argv: str, env: dict[str, str] | None = None, send: bytes = b"") -> tuple[bytes, str]:
        """Run a client: `send` goes to its stdin, which is closed after a CONNACK came back (or it ended).
        Gives stdout and stderr."""
        errors = self.work / "stderr.txt"
        full = {**os.environ, **(env or {})}
        with errors.open("wb") as err:
            proc = process.spawn(
                list(argv), cwd=self.work, env=full, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err
            )
            out = b""
            try:
                assert proc.stdin is not None
                assert proc.stdout is not None
                if send:
                    with contextlib.suppress(OSError):
                        proc.stdin.write(send)
                        proc.stdin.flush()
                    out = _read(proc.stdout.fileno(), 2.0, until=CONNACK)
                    with contextlib.suppress(OSError):
                        proc.stdin.write(b"\xe0\x00")
                with contextlib.suppress(OSError):
                    proc.stdin.close()
                out += _read(proc.stdout.fileno(), CLIENT_TIMEOUT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    proc.wait(CLIENT_TIMEOUT)
            finally:
                process.stop(proc)
        return out, errors.read_text(errors="replace")

    def wait_log(self, text: str, timeout: float = 10.0, count: int = 1) -> bool:
        """Until the broker's log holds `text` `count` times."""
        return _wait(lambda: self.log.read_text(errors="replace").count(text) >= count, timeout)

    def signal(self, number: signal.Signals) -> None:
        assert self.broker is not None
        self.broker.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.broker.wait(START_TIMEOUT)


def prepare(work: Path) -> None:
    """Certificates under the names of `pki.toml`, passwords, ACL, and the small C clients where their libraries are."""
    made = pki.generate(work / "made", table=HERE / "pki.toml")
    folder = work / "pki"
    folder.mkdir(exist_ok=True)
    for name in made.certs:
        shutil.copy(made.chain(name), folder / f"{name}.crt")
        shutil.copy(made.cert(name), folder / f"{name}.leaf.crt")
        shutil.copy(made.cert(name, "der"), folder / f"{name}.der")
        shutil.copy(made.key(name), folder / f"{name}.key")
    for name in made.crls:
        shutil.copy(made.crl(name), folder / f"{name}.crl")
    shutil.copy(made.ca_bundle(["ca-rsa", "ca-ec"]), folder / "ca-all.crt")
    subprocess.run(["mosquitto_passwd", "-b", "-c", work / "pw", "u1", "pw1"], check=True, capture_output=True)
    (work / "acl").write_text("topic readwrite a/#\ntopic read ro/#\nuser u1\ntopic readwrite a/#\ntopic read ro/#\n")
    (work / "psk").write_text(f"dev1:{'01' * 16}\n")
    for name, libraries in (("mbed", ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"]), ("wolf", ["-lwolfssl"])):
        argv: list[str | Path] = ["cc", "-O1", "-w", HERE / "clients" / f"{name}.c", "-o", work / name, *libraries]
        subprocess.run(argv, check=False, capture_output=True, timeout=60)
    shutil.copy(HERE / "clients" / "paho_client.py", work / "paho_client.py")


def make(case: Case, work: Path, folder: Path) -> Made:
    """Runs the case once. What its client needs and is not there makes it skipped, with the name."""
    made = Made(case, folder)
    missing = [tool for tool in case.needs if not _there(tool, work)]
    if missing:
        made.skipped = f"{', '.join(missing)} missing"
        return made
    conf, log, keys = (made.file(k) for k in ("conf", "broker.log", "keys"))
    conf.write_text("\n".join(configuration(case)) + "\n")
    for path in (log, keys):
        path.unlink(missing_ok=True)
    raw = work / "raw.pcapng"
    stage = Stage(case, work, log)
    ports = f"port {TLS_PORT} or port {PLAIN_PORT}"
    with _broker(stage, conf, keys), capture("lo", ports, raw, case.name) as live:
        said = case.run(stage)
        _wait(lambda: False, SETTLE)
        live.stop()
    made.file("uart.log").write_text(said)
    shutil.move(raw, made.file("pcap"))
    return made


def configuration(case: Case) -> list[str]:
    lines = [*HEAD]
    if not any(line.startswith("allow_anonymous") for line in case.conf):
        lines.append("allow_anonymous true")
    ahead = ("allow_anonymous", "password_file", "acl_file", "max_connections", "message_size_limit", "max_packet_size")
    lines += [line for line in case.conf if line.startswith(ahead[:3] + ahead[4:])]
    lines.append(f"listener {PLAIN_PORT if case.plain else TLS_PORT} 127.0.0.1")
    if not case.plain and not any(line.startswith("psk") for line in case.conf):
        lines += ["cafile pki/ca-all.crt"]
        if case.server:
            lines += [f"certfile pki/{case.server}.crt", f"keyfile pki/{case.server}.key"]
    lines += [line for line in case.conf if not line.startswith(ahead[:3] + ahead[4:])]
    return lines


@contextlib.contextmanager
def _broker(stage: Stage, conf: Path, keys: Path) -> Iterator[None]:
    env = {**os.environ, "HIL_KEYLOG": str(keys), "LD_PRELOAD": str(process.program("libhil-keylog.so"))}
    if stage.case.openssl:
        cnf = stage.work / "openssl.cnf"
        cnf.write_text(openssl_cnf(stage.case.openssl))
        env["OPENSSL_CONF"] = str(cnf)
    with stage.log.open("wb") as log:
        proc = process.spawn(["mosquitto", "-c", conf], cwd=stage.work, env=env, stderr=log, stdout=log)
        stage.broker = proc
        try:
            _wait(lambda: "running" in stage.log.read_text() or proc.poll() is not None, START_TIMEOUT)
            if stage.case.starts and proc.poll() is not None:
                raise RuntimeError(f"{stage.case.name}: broker not up: {stage.log.read_text(errors='replace')}")
            yield
        finally:
            process.stop(proc)


def openssl_cnf(lines: tuple[str, ...]) -> str:
    head = "openssl_conf = default_conf\n[default_conf]\nssl_conf = ssl\n[ssl]\nsystem_default = sys\n[sys]\n"
    return head + "\n".join(lines) + "\n"


def _there(tool: str, work: Path) -> bool:
    return (work / tool).exists() or shutil.which(tool) is not None


def _read(fd: int, timeout: float, until: re.Pattern[bytes] | None = None) -> bytes:
    data, deadline = b"", time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0 and not (until and until.search(data)):
        if not select.select([fd], [], [], left)[0]:
            break
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        data += chunk
    return data


def _wait(done: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.004)
    return True
