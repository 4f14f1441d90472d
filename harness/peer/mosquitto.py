"""One Mosquitto for one scenario: `broker(profile, pki, workdir)` starts it, sees that it listens, ends and reaps it.

    with broker(profiles["r12"], pki, workdir) as running:
        print(running.host, running.port, running.listener.suites12)

Readiness is what Mosquitto says about itself ("running" in its log) and what the kernel says (a listening socket);
nothing connects to find out, so neither the capture nor the log holds a probe. A broker that cannot start is a
LabError `lab.broker_failed` with the log's last error. TLS keys are logged by harness/keylog, proved by a canary.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import LabError, UsageError
from harness.lab.pki import Pki
from harness.lab.process import spawn
from harness.lab.profiles import Profile, listener
from harness.model import Listener
from harness.paths import BIN
from harness.peer import configuration, ports
from harness.peer.brokerlog import BrokerLog

START_TIMEOUT = 15.0
"""Seconds until a broker must be ready. It takes 20 ms; a machine under load takes its time."""
STOP_TIMEOUT = 3.0
"""Seconds a broker has to end after SIGTERM; then SIGKILL, and as long again to be reaped."""
SIGTERM_INTERVAL = 0.25
PORT_ATTEMPTS = 10
KEYLOG_LIBRARY = "libhil-keylog.so"
SNI_LIBRARY = "libhil-sni.so"
SNI_ARMED = "hil-sni: server_name is demanded"  # harness/sni/sni.h

_IN_USE = "Address already in use"


class RunningBroker:
    """A broker that listens. `watch_port` is the watcher's own listener, None without one."""

    def __init__(
        self, process: subprocess.Popen[bytes], log: BrokerLog, *, profile: Profile, host: str, port: int,
        watch_port: int | None, conf: Path, keylog: Path | None, listener: Listener, version: str,
    ) -> None:
        self.profile = profile
        self.host = host
        self.port = port
        self.watch_port = watch_port
        self.conf = conf
        self.log = log.path
        self.keylog = keylog
        self.listener = listener
        self.version = version
        self.pid = process.pid
        self._process = process
        self._log = log
        self._ended_by_us = False

    def alive(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """LabError when the broker ended although nobody here ended it, or its log could not be kept."""
        if self._log.error is not None:
            raise file_error(self.log, self._log.error)
        status = self._process.poll()
        if status is not None and not self._ended_by_us:
            self._log.join(STOP_TIMEOUT)
            raise LabError(
                "lab.broker_failed", f"mosquitto ended by itself with status {status}: {self._log.last_error()}",
                f"read {self.log}",
            )

    def wait_log(self, pattern: str, timeout: float) -> str | None:
        """The first log line with `pattern`, waited for; None when it did not come within `timeout` seconds."""
        match = self._log.wait(pattern, timeout)
        return match.string if match else None

    def stop(self) -> None:
        """Ends it in good order: clients see a close. Harmless when it has ended."""
        self._ended_by_us = True
        _end(self._process, self._log)

    def kill(self) -> None:
        """Ends it at once, as a power cut would: clients see the kernel close."""
        self._ended_by_us = True
        self._process.kill()
        _end(self._process, self._log)


@contextmanager
def broker(
    profile: Profile, pki: Pki, workdir: Path, *, keylog: bool | Path = True, address: str = "127.0.0.1",
    port: int | None = None, watch: bool = False, canary: bool = True,
) -> Iterator[RunningBroker]:
    """A running broker for the time of the `with`. Writes mosquitto.conf, openssl.cnf, broker.log and, for TLS,
    keys.log (or the path given as `keylog`) into `workdir`. `port`: exactly this one, else a free one. `watch`: a
    second, plain listener on loopback for harness/peer/watcher.py. `canary`: prove the key log first (once a process).

    LabError `lab.broker_failed`: it cannot start, or ended by itself while the block went well; `lab.tool_missing`.
    """
    executable = find_mosquitto()
    if not ports.is_ipv4(address):
        raise UsageError(f"`{address}` is not an IPv4 address", "127.0.0.1, or that of an interface")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        keys = _keylog_path(profile, workdir, keylog)
    except OSError as error:
        raise file_error(workdir, error) from error
    if keys is not None and canary:
        from harness.peer import canary as proof  # which uses this module

        proof.ensure(executable, pki)
    where = configuration.files(workdir)
    accepts = listener(profile, pki)
    process, log, port, watch_port, version = _start(
        executable, profile, pki, where, workdir / "broker.log", keys, address=address, wanted=port, watch=watch
    )
    running = RunningBroker(
        process, log, profile=profile, host=address, port=port, watch_port=watch_port, conf=where.conf, keylog=keys,
        listener=accepts, version=version,
    )
    try:
        yield running
        running.check()
    finally:
        running.stop()


def find_mosquitto() -> Path:
    """`HIL_MOSQUITTO`, else the system's."""
    found = os.environ.get("HIL_MOSQUITTO") or shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found or not os.access(found, os.X_OK):
        raise LabError("lab.tool_missing", "mosquitto is not installed", "apt-get install mosquitto")
    return Path(found)


def keylog_library() -> Path:
    return preload_library(KEYLOG_LIBRARY)


def preload_library(name: str) -> Path:
    library = BIN / name
    if not library.is_file():
        raise LabError("lab.tool_missing", f"{library} is not built", "cmake --build build/host")
    return library.resolve()


def file_error(path: Path, error: OSError) -> LabError:
    """A file of the broker's that cannot be written, in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LabError("lab.disk_full", f"{path}: {error.strerror}", "free some space")
    return LabError("lab.broker_failed", f"{path} cannot be written: {error.strerror}", "correct its permissions")


def _keylog_path(profile: Profile, workdir: Path, keylog: bool | Path) -> Path | None:
    """Where keys go, made private and empty. None: no TLS, or not wanted."""
    if not profile.tls or keylog is False:
        return None
    path = (workdir / "keys.log" if keylog is True else keylog).absolute()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    return path


def _environment(profile: Profile, where: configuration.Files, keys: Path | None) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key not in ("SSLKEYLOGFILE", "OPENSSL_CONF")}
    env |= {"TZ": "UTC", "LC_ALL": "C"}
    if profile.tls:
        env["OPENSSL_CONF"] = str(where.openssl)
    libraries = [keylog_library()] if keys is not None else []
    if profile.demand_sni:
        libraries.append(preload_library(SNI_LIBRARY))
    if libraries:
        # LD_PRELOAD takes spaces for separators, so the folder goes where they are none.
        env["LD_PRELOAD"] = ":".join(library.name for library in libraries)
        env["LD_LIBRARY_PATH"] = ":".join(filter(None, (str(libraries[0].parent), env.get("LD_LIBRARY_PATH"))))
    if keys is not None:
        env["HIL_KEYLOG"] = str(keys)
    return env


def _start(
    executable: Path, profile: Profile, pki: Pki, where: configuration.Files, log_path: Path, keys: Path | None, *,
    address: str, wanted: int | None, watch: bool,
) -> tuple[subprocess.Popen[bytes], BrokerLog, int, int | None, str]:
    """Starts until a port is ours: between looking for a free one and Mosquitto's bind somebody may take it."""
    tried: set[int] = set()
    env = _environment(profile, where, keys)
    for _ in range(1 if wanted else PORT_ATTEMPTS):
        port = wanted or ports.candidate(address, tried)
        tried.add(port)
        watch_port = ports.candidate("127.0.0.1", tried) if watch else None
        if watch_port is not None:
            tried.add(watch_port)
        try:
            configuration.write(profile, pki, where, address=address, port=port, watch_port=watch_port)
            log_path.unlink(missing_ok=True)
        except OSError as error:
            raise file_error(where.conf.parent, error) from error
        process, log = _launch([executable, "-c", where.conf], env, log_path)
        try:
            version = _ready(process, log, profile, [(address, port), ("127.0.0.1", watch_port)])
        except BaseException:
            _end(process, log)
            raise
        if version is not None:
            return process, log, port, watch_port, version
        _end(process, log)
    if wanted:
        raise LabError("lab.broker_failed", f"port {wanted} at {address} is taken",
                       "end what listens there, or name no port")
    raise LabError("lab.broker_failed", f"no port at {address} stayed free in {PORT_ATTEMPTS} attempts",
                   "end what takes the ports")


def _launch(
    argv: Sequence[str | Path], env: dict[str, str], log_path: Path
) -> tuple[subprocess.Popen[bytes], BrokerLog]:
    try:
        process = spawn(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise LabError("lab.broker_failed", f"{argv[0]} cannot be started: {error.strerror}", "hil doctor") from error
    assert process.stderr is not None
    return process, BrokerLog(process.stderr, log_path)


def _ready(
    process: subprocess.Popen[bytes], log: BrokerLog, profile: Profile, sockets: list[tuple[str, int | None]]
) -> str | None:
    """The broker's version once it listens; None when its port was taken meanwhile; LabError otherwise."""
    until = time.monotonic() + START_TIMEOUT
    match = log.wait(r"mosquitto version (\S+) running", START_TIMEOUT)
    if match is None:
        ended = log.join(max(0.1, until - time.monotonic()))
        if ended and any(_IN_USE in line for line in log.lines):
            return None
        if not ended:
            what = f"mosquitto was not ready within {START_TIMEOUT:.0f} s"
            raise LabError("lab.broker_failed", f"{what} for profile {profile.name}", f"read {log.path}")
        raise LabError(
            "lab.broker_failed", f"mosquitto cannot start with profile {profile.name}: {log.last_error()}",
            _advice(log.lines, log.path),
        )
    if profile.demand_sni and log.wait(SNI_ARMED, 0) is None:
        raise LabError("lab.broker_failed", "mosquitto serves clients without server_name: libhil-sni.so was ignored",
                       "a setuid, capability-carrying or static mosquitto ignores LD_PRELOAD: remove those")
    for address, port in sockets:
        if port is not None and not ports.listening(address, port):
            raise LabError("lab.broker_failed", f"mosquitto says it runs, but nothing listens at {address}:{port}",
                           "is another network namespace in use?")
    process.poll()
    return match[1]


def _advice(lines: list[str], log_path: Path) -> str:
    text = "\n".join(lines)
    if "Unable to load" in text or "server certificate" in text.lower() or "key values mismatch" in text:
        return "make the certificates again (hil certs make), and compare the profile's `certificate`"
    if "Unknown configuration variable" in text or "Error found at" in text:
        return "this Mosquitto does not know an option; 2.0.11 or later is needed"
    if "ermission denied" in text:
        return "make the file readable for the user the broker runs as"
    return f"read {log_path}"


def _end(process: subprocess.Popen[bytes], log: BrokerLog) -> None:
    """SIGTERM, after a bound SIGKILL, and reaped in any case.

    SIGTERM is repeated: between its "running" and its main loop Mosquitto 2.0 sets the flag back that the first one
    has just cleared, and would go on for ever.
    """
    until = time.monotonic() + STOP_TIMEOUT
    try:
        while process.poll() is None and time.monotonic() < until:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(SIGTERM_INTERVAL, STOP_TIMEOUT))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_TIMEOUT)
        log.join(STOP_TIMEOUT)
