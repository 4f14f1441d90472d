"""Boards of other hosts, through labgrid: `claim` holds a board's place for a run, `reached` says where its console and
probe are now. Optional: only boards of lab.toml that name a `labgrid` place or tags come here.

    lease = claim(lease, entry, "hil run …")   # the controller, once a run, above the board's own kernel lock
    entry = reached(entry)                     # a worker, before each attempt: serial, runner_prefix, probe_path
    lease.release()                            # in every exit path

What labgrid does not do, and is done here (measured with 26.0.1):

- An acquired place never expires, and a coordinator that restarts forgets who has what. So there is a kernel lock on
  this host for each place beside the one for each board, and a place forgotten under us is acquired again.
- The death of a client frees nothing. So a keeper (a shell that reads a pipe of ours) outlives us, by seconds: it gives
  the place back when we end without having done so, even by SIGKILL. Where it cannot (the coordinator was away, the
  container was torn down), the next run on this host does, or `hil labgrid release-from HOST/USER`.
- The RFC 2217 port changes when an exporter restarts and is None for seconds after, and ser2net may not run although
  the exporter says so. So the port is asked for again whenever it does not answer as ser2net does.
- A place's exporter may be gone: its board's scenarios are then `lab` (`lab.serial_missing`), within REACH seconds.

A place that the same user has acquired by hand is used, and left as it was.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec

from harness.device.uartlog import escape
from harness.errors import BoardBusy, LabError, UsageError
from harness.lab import labgrid_lock as locks
from harness.lab import lease as leases
from harness.lab.inventory import BoardEntry, Labgrid
from harness.lab.labgrid_client import Client, NoCoordinator, Place, Refused, coordinator
from harness.lab.labgrid_lock import Record

LOOK = 0.5  # s between two looks at a place while waiting for it
REACH = 30.0  # s for a console to be there: a coordinator looks after an exporter that came back every 15 s
PROBE = 2.0  # s for ser2net to greet
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
SERIAL = "NetworkSerialPort"
DEBUGGER = "NetworkUSBDebugger"
WAIT = "wait with --wait SECONDS, or ask the holder"
_HOST = re.compile(r"(?!-)[A-Za-z0-9._:-]{1,253}")
_USB_PATH = re.compile(r"\d+-\d+(\.\d+)*")


class Hold:
    """A place that is ours. `release` gives it back and is safe to call twice. Made by `hold`."""

    def __init__(self, client: Client, record: Record, fd: int) -> None:
        self.record = record
        self._client = client
        self._fd = fd
        self._keeper: subprocess.Popen[bytes] | None = None

    def take(self, leftover: Record | None, deadline: float) -> None:
        """Acquires the place; notes when it was ours already, acquired by hand."""
        place, client = self.record.place, self._client
        while True:
            now = _show(client, place)
            if now.acquired == client.identity:
                if leftover is None or leftover.by_hand or leftover.identity != now.acquired:
                    self.record = msgspec.structs.replace(self.record, by_hand=True)
                else:
                    self._arm()
                return
            if not now.acquired:
                self._arm()
                try:
                    client.acquire(place)
                    return
                except Refused as error:
                    busy = _not_acquired(client, place, str(error))
            elif leftover is not None and leftover.identity == now.acquired and not leftover.by_hand:
                # The kernel lock is ours, so the run of this host that took it is dead, and so is its keeper.
                with contextlib.suppress(Refused):
                    client.release(place, now.acquired)
                leftover = None
                continue
            else:
                busy = BoardBusy(f"labgrid place {place} is held by {now.acquired}", WAIT)
            left = deadline - time.monotonic()
            if left <= 0:
                raise busy
            time.sleep(min(LOOK, left))  # labgrid's client cannot wait for a place it names

    def locate(self, entry: BoardEntry) -> None:
        """Finds console, host and probe, and writes down for other processes that this run has the place."""
        self.record = _located(self._client, entry, self.record)
        locks.write(self._fd, self.record)

    def _arm(self) -> None:
        """From here on somebody gives the place back, whatever becomes of us."""
        if self._keeper is None:
            locks.write(self._fd, self.record)
            self._keeper = locks.keeper(self._client, self.record, self._fd)

    def release(self) -> None:
        """Never raises: what cannot be given back is said in one line, and the keeper goes on trying."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if self._keeper is not None:
                self._client.release(self.record.place, self.record.identity)
            if self.record.token:
                self._client.cancel(self.record.token)
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            self._dismiss(b"released\n")
        except (LabError, Refused) as error:
            print(f"hil: labgrid place {self.record.place} is not given back yet: {error}; "
                  f"`hil labgrid release-from {self.record.identity}` does it", file=sys.stderr)  # fmt: skip
        finally:
            self._dismiss(b"")
            os.close(fd)

    def _dismiss(self, word: bytes) -> None:
        """Ends the keeper; without a word it sets to work."""
        keeper, self._keeper = self._keeper, None
        if keeper is None or keeper.stdin is None:
            return
        with contextlib.suppress(OSError):
            keeper.stdin.write(word)
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        if word:
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(2.0)


class PlaceLease(leases.Lease):
    """A board's kernel lock with its place above it."""

    def __init__(self, below: leases.Lease, held: Hold) -> None:
        super().__init__(below.board, -1, below._path)
        self._below = below
        self.held = held

    def release(self) -> None:
        try:
            self.held.release()
        finally:
            self._below.release()


# -- the controller --


def claim(lease: leases.Lease, entry: BoardEntry, reason: str, wait: float | None = None) -> leases.Lease:
    """A lease that holds the place too; `lease` itself when the board is not labgrid's. `wait` in s, as for leases.

    BoardBusy (exit 11) naming who has it, LabError (exit 10) when labgrid, coordinator, place or exporter is not there;
    `lease` is released then.
    """
    if not entry.labgrid or _lender_has(entry.id):
        return lease
    try:
        return PlaceLease(lease, hold(entry, reason, wait))
    except BaseException:
        lease.release()
        raise


def _lender_has(board: str) -> bool:
    """Whether who lent us the board's lock (`hil lock ID -- hil run …`) holds its place as well."""
    name, _, pid = os.environ.get(leases.LENT, "").partition("=")
    record = locks.record_of(board) if name == board else None
    return record is not None and str(record.pid) == pid


@contextlib.contextmanager
def held(entry: BoardEntry, reason: str, wait: float | None = None) -> Iterator[BoardEntry]:
    """The board for the length of a with-block, as it can be reached now."""
    taken = hold(entry, reason, wait)
    try:
        yield reached(entry)
    finally:
        taken.release()


def hold(entry: BoardEntry, reason: str, wait: float | None = None) -> Hold:
    """Reserves where tags say so, locks, acquires, finds console and probe. All of it is undone if one step fails."""
    spec = spec_of(entry)
    client = Client(coordinator(spec.coordinator))
    deadline = time.monotonic() + (wait or 0.0)
    place, token = _choose(client, spec, wait or 0.0)
    mine: Hold | None = None
    try:
        fd, leftover = locks.lock(place, deadline)
        record = Record(
            board=entry.id, place=place, address=client.address, identity=client.identity, pid=os.getpid(),
            since=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), reason=reason[:200], token=token,
        )  # fmt: skip
        mine = Hold(client, record, fd)
        mine.take(leftover, deadline)
        mine.locate(entry)
        return mine
    except BaseException:
        if mine is not None:
            mine.release()
        elif token:
            client.cancel(token)
        raise


def spec_of(entry: BoardEntry) -> Labgrid:
    return entry.labgrid if isinstance(entry.labgrid, Labgrid) else Labgrid(place=entry.labgrid)


def _choose(client: Client, spec: Labgrid, wait: float) -> tuple[str, str]:
    """The place's name, and the token of our reservation where we made one."""
    if spec.place == "+":
        token = os.environ.get("LG_TOKEN", "")
        if not token:
            raise UsageError('labgrid place "+" needs LG_TOKEN', 'eval "$(labgrid-client reserve --wait --shell …)"')
        try:
            return client.show(f"+{token}").name, ""
        except Refused as error:
            raise LabError("lab.board_busy", f"LG_TOKEN: {error}", "reserve again; it dies after 60 s") from None
    if spec.place:
        return spec.place, ""
    fit = [p for p in client.places() if spec.tags.items() <= {**p.tags, "name": p.name}.items()]
    words = " ".join(f"{key}={value}" for key, value in sorted(spec.tags.items()))
    if not fit:
        raise LabError("lab.probe_missing", f"labgrid at {client.address} has no place with the tags {words}",
                       "labgrid-client -p PLACE set-tags, or correct lab.toml")  # fmt: skip
    try:
        token = client.reserve(spec.tags, wait)
    except Refused as error:
        who = ", ".join(f"{p.name} by {p.acquired or 'a reservation'}" for p in fit)
        raise BoardBusy(f"labgrid: {error}: {who}", WAIT) from None
    try:
        return client.show(f"+{token}").name, token
    except Refused as error:
        client.cancel(token)
        raise LabError("lab.board_busy", f"labgrid: reservation {token}: {error}", "run again") from None
    except BaseException:
        client.cancel(token)
        raise


def _not_acquired(client: Client, place: str, said: str) -> BoardBusy:
    """Why `acquire` was refused: somebody was quicker, or (raised) it cannot be had at all."""
    if "already acquired" in said or "was not reserved" in said:
        now = _show(client, place)
        who = now.acquired or (f"reservation {now.reservation}" if now.reservation else "somebody else")
        return BoardBusy(f"labgrid place {place} is held by {who}", WAIT)
    look = f"`labgrid-client -p {place} show`"
    what = f"labgrid place {place} cannot be acquired: {said}"
    if "no matching remote resource" in said or "Failed to acquire resources" in said:
        raise LabError("lab.serial_missing", what, f"start labgrid-exporter on the board's host; {look}")
    raise LabError("lab.board_busy", what, look)


def _show(client: Client, place: str) -> Place:
    try:
        return client.show(place)
    except Refused:
        there = ", ".join(p.name for p in client.places()[:8]) or "none"
        raise LabError(
            "lab.probe_missing", f"labgrid at {client.address} has no place {place}",
            f"correct lab.toml, or labgrid-client -p {place} create; there are: {there}",
        ) from None  # fmt: skip


# -- a worker --


_newest: dict[str, Record] = {}  # by board: where it was found after its port had changed


def reached(entry: BoardEntry) -> BoardEntry:
    """The board with `serial`, `runner_prefix` and `probe_path` filled in as they are now, for whoever drives it next.
    What lab.toml says itself goes before what labgrid says. LabError within REACH seconds when it cannot be reached."""
    if not entry.labgrid:
        return entry
    record = locks.record_of(entry.id)
    if record is None:
        raise LabError("lab.board_busy", f"{entry.id}: no run of this host holds its labgrid place", "hil labgrid show")
    known = _newest.get(entry.id)
    if known is not None and (known.pid, known.since) == (record.pid, record.since):
        record = known
    if not entry.serial and answer(record.serial):
        record = _newest[entry.id] = _located(Client(record.address, record.identity), entry, record)
    return msgspec.structs.replace(
        entry, labgrid="", serial=entry.serial or record.serial, probe_path=entry.probe_path or record.probe_path,
        runner_prefix=entry.runner_prefix or prefix(record.host),
    )  # fmt: skip


def prefix(host: str) -> tuple[str, ...]:
    """Words before a flasher's command, so that it runs where the probe is; none on this host."""
    return () if not host or _is_here(host) else (*SSH, host)


def _is_here(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host in ("localhost", socket.gethostname(), socket.getfqdn(), os.environ.get("LG_HOSTNAME"))


def _located(client: Client, entry: BoardEntry, record: Record) -> Record:
    """With console, host and probe. Takes the place again when the coordinator forgot us."""
    deadline = time.monotonic() + REACH
    while True:
        try:
            found, why = _look(entry, record, _still_ours(client, entry, record))
        except Refused as error:
            found, why = record, f"it cannot be acquired again: {error}"
        except NoCoordinator as error:
            found, why = record, error.what
        if not why:
            return found
        if time.monotonic() > deadline:
            raise LabError(
                "lab.serial_missing", f"{entry.id}: labgrid place {record.place}: {why} (waited {REACH:g} s)",
                f"look after labgrid-exporter on the board's host; `labgrid-client -p {record.place} show`",
            )  # fmt: skip
        time.sleep(LOOK)  # the client tells of changes only to those who ask


def _still_ours(client: Client, entry: BoardEntry, record: Record) -> Place:
    """As the coordinator sees it. LabError when somebody else got it after it was forgotten that we have it."""
    name = record.place
    now = _show(client, name)
    if not now.acquired and not record.by_hand:
        client.acquire(name)
        now = _show(client, name)
    if now.acquired != record.identity:
        what = f"{entry.id}: labgrid place {name} is not ours any more: {now.acquired or 'nobody'} has it"
        raise LabError("lab.board_busy", what, "run again when it is free; `labgrid-client who`")
    return now


def _look(entry: BoardEntry, record: Record, now: Place) -> tuple[Record, str]:
    """Where things are by the coordinator's word, tried; or why they cannot be used yet."""
    hosts = [str(r.params.get("host") or "") for r in now.resources]
    probes = [str(r.params.get("path") or "") for r in now.resources if r.cls == DEBUGGER]
    found = msgspec.structs.replace(
        record, host=next((h for h in hosts if _HOST.fullmatch(h)), ""),
        probe_path=next((p for p in probes if _USB_PATH.fullmatch(p)), ""),
    )  # fmt: skip
    if entry.serial:
        return found, ""
    wanted = spec_of(entry).console
    ports = [r for r in now.resources if r.cls == SERIAL and wanted in ("", r.name)]
    if len(ports) > 1:
        names = ", ".join(r.name for r in ports)
        raise LabError("lab.probe_ambiguous", f"labgrid place {now.name} has several serial ports: {names}",
                       "name one: labgrid = { place = …, console = … }")  # fmt: skip
    if not ports:
        if now.gone:
            return found, f"exporter {', '.join(now.gone)} is not connected"
        return found, f"it has no serial port{f' called {wanted}' if wanted else ''}"
    port = ports[0]
    number, host = port.params.get("port"), str(port.params.get("host") or "")
    extra = port.params.get("extra")
    if isinstance(extra, dict) and extra.get("proxy_required"):
        raise LabError("lab.serial_missing", f"exporter {port.exporter} is isolated: its consoles need an SSH forward",
                       "start it without --isolated, or forward the port and write `serial` in lab.toml")  # fmt: skip
    if not port.avail or not isinstance(number, int) or not _HOST.fullmatch(host):
        return found, f"exporter {port.exporter} gives no port for its console"
    shown = f"[{host}]" if ":" in host else host
    # ser2net does not acknowledge flow control for ports without modem lines, and pyserial would wait for that.
    raw = port.params.get("protocol") == "raw"
    url = f"socket://{shown}:{number}" if raw else f"rfc2217://{shown}:{number}?ign_set_control"
    return msgspec.structs.replace(found, serial=url), answer(url)


def answer(url: str) -> str:
    """"" when ser2net answers at a console's URL, else why it cannot be used."""
    match = re.fullmatch(r"(rfc2217|socket)://\[?([^\]?]*?)\]?:(\d{1,5})(\?.*)?", url)
    if match is None:
        return f"`{url}` is no console"
    host, port = match[2], int(match[3])
    try:
        with socket.create_connection((host, port), PROBE) as link:
            if match[1] == "socket":
                return ""
            link.settimeout(PROBE)
            said = link.recv(200)
    except (OSError, OverflowError, UnicodeError) as error:
        return f"console at {host}:{port}: {error}"
    if said.startswith(b"\xff"):  # telnet's negotiation: the port is open behind it
        return ""
    return f"console at {host}:{port}: {escape(said.strip())[:120] or 'closed at once'}"
