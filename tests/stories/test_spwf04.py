"""The table of docs/stories.md for 004: each defect ends 1 with the story's cause first; without it the same scenarios
pass. The story's own peer, `openssl s_server -tls1_2 -www`; the model as a program; the driver for a Cortex-M4."""

from __future__ import annotations

import binascii
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.firmware import built
from harness.paths import ROOT
from harness.target import find, load
from tests.engine.bench import ready
from tests.firmware.fw import Broker, Device, Pki, Run, device, mosquitto
from tests.stories.story import passes, reproduced, tables_agree

pytestmark = [pytest.mark.skipif(not ready(), reason="host programs are not built"), pytest.mark.xdist_group("stories")]

TARGET = "f401-spwf04-sim"
LINES: dict[str, tuple[tuple[str, ...], str]] = {
    "identifier_as_text": (("T12-02", "T12-01"), "at_module.identifier_not_binary"),
    "pem_without_identifier": (("T12-02", "T12-01"), "at_module.identifier_not_binary"),
    "clock_not_set": (("T12-02", "T12-01"), "at_module.clock_unset"),
    "crl_wanted": (("T12-02", "T12-01"), "server_certificate.crl_missing"),
    "ca_name": (("T12-02", "T12-01"), "server_certificate.name_mismatch"),
    "wrong_port": (("T12-02", "T12-01"), "at_module.socket_refused"),
}
"""Defect → the scenarios that fail, and the cause each names first."""

COMMON = (
    "name_unchecked", "no_client_cert", "wrong_ca", "key_mismatch", "no_backoff", "hang", "hardfault", "lockup",
    "uart_flood",
)  # fmt: skip
"""Those of every target; tests/engine/test_defects.py."""

ROWS = ("AT-01", "AT-02", "AT-03", "AT-07", "AT-08", "AT-12", "AT-60", "AT-61", "AT-62")
FOR_THE_BOARD = ("at/line.c", "at/certificate.c", "at/driver.c", "at/socket.c")


def test_the_tables_agree() -> None:
    tables_agree(TARGET, "004", LINES, COMMON)


@pytest.mark.parametrize("defect", LINES)
def test_the_story_is_reproduced_and_explained(defect: str, tmp_path: Path) -> None:
    reproduced(TARGET, LINES, defect, tmp_path)


def test_switched_off_all_of_them_pass(tmp_path: Path) -> None:
    """With the rows of the catalogue, in which the defect is the stimulus."""
    passes(TARGET, LINES, tmp_path, ROWS)


# --- the story's own peer ---


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ours. HIL_SPWF04_IMAGE names another one, made with -DHIL_SANITIZE=ON for example."""
    if given := os.environ.get("HIL_SPWF04_IMAGE"):
        return Path(given)
    return built(find(TARGET, load()), keep=tmp_path_factory.mktemp(TARGET)).path


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    p = Pki(tmp_path_factory.mktemp("pki"))
    p.ca("ca", "rsa", "Example Certificate Authority")
    p.leaf("srv", "rsa", "ca")
    return p


class Server:
    """`openssl s_server -tls1_2 -www`, and what it said."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def said(self, pattern: str, within: float = 5.0) -> bool:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if re.search(pattern, self.log.read_text(errors="replace")):
                return True
            select.select([], [], [], 0.02)
        return False


@contextlib.contextmanager
def s_server(pki: Pki, folder: Path) -> Iterator[Server]:
    """As the story started it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "s_server.log"
    command = [
        "openssl", "s_server", "-cert", "srv.pem", "-key", "srv.key", "-tls1_2", "-www",
        "-accept", f"127.0.0.1:{port}",
    ]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=pki.folder, stdin=subprocess.PIPE, stdout=out, stderr=out, text=True)
        server = Server(process, port, log)
        try:
            assert server.said("ACCEPT"), log.read_text()
            yield server
        finally:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


def story(firmware: Path, pki: Pki, port: int, defect: str) -> tuple[Run, str]:
    with device(firmware) as dut:
        dut.put("ca", pki.read("ca.pem"))
        for key, value in {"host": "broker.test", "address": "127.0.0.1", "port": port, "tls.max": "1.2",
                           "epoch": int(time.time()), "timeout": 1500, "script": "connect"}.items():  # fmt: skip
            dut.set(key, value)
        if defect:
            dut.set("defect", defect)
        run = dut.run()
        return run, b"\n".join(dut.foreign).decode("ascii")


def test_the_identifier_as_text_against_s_server(firmware: Path, pki: Pki, tmp_path: Path) -> None:
    """Line by line what the story shows on both sides."""
    with s_server(pki, tmp_path) as server:
        run, console = story(firmware, pki, server.port, "identifier_as_text")
        assert server.said("alert bad certificate.*SSL alert number 42"), server.log.read_text()
    upload = rf"AT\+S\.TLSCERT=Ca,{len(pki.read('ca.pem'))}"
    for line in (
        r">>UART TX buffer: AT\+S\.TLSCERT=content,2\nAT\+S\.TLSCERT=content,2\nAT-S\.Clean\nAT-S\.OK\n<<OK",
        rf">>UART TX buffer: {upload}\n{upload}\nAT-S\.No SubjectKeyId\nAT-S\.OK\n<<OK",
        r">>UART TX buffer: AT\+S\.TLSCERT=Auth,40\nAT\+S\.TLSCERT=Auth,40\nAT-S\.OK\n<<OK",
        r"AT-S\.List\nAT-S\.CA:1\nAT-S\.Cert:0\nAT-S\.Key:0\nAT-S\.Id:1\nAT-S\.OK\n<<OK",
        r"AT\+S\.SOCKON=[^\n]+,s\nAT-S\.Certificate Error:3\nAT-S\.ERROR:74:Failed to open socket\nERROR!",
    ):
        assert re.search(line, console), (line, console)
    assert "Loading" not in console
    assert [e["rc"] for e in run.all("api") if e["name"] == "AT-S.Certificate_Error"] == ["3"]
    assert run.one("done")["rc"] == "74"


def test_the_fix_against_s_server(firmware: Path, pki: Pki, tmp_path: Path) -> None:
    """20 raw bytes: TLS stands. (An HTTP server has no CONNACK, so the script does not end well.)"""
    with s_server(pki, tmp_path) as server:
        run, console = story(firmware, pki, server.port, "")
        assert not server.said("alert", within=0.2), server.log.read_text()
    assert run.one("tls", state="ok")["version"] == "1.2"
    assert "TLSCERT=Auth,20\n" in console
    assert "AT-S.Loading:1:1\nAT-S.On:127.0.0.1:0\nAT-S.OK\n" in console
    assert run.one("done")["stage"] == "mqtt"


def test_nothing_listens(firmware: Path, pki: Pki, tmp_path: Path) -> None:
    """Error 74, and neither Loading nor a certificate error: TCP."""
    with s_server(pki, tmp_path) as server:
        port = server.port
    run, console = story(firmware, pki, port, "")
    assert "AT-S.ERROR:74:Failed to open socket" in console
    assert "Loading" not in console and "Certificate Error" not in console
    assert run.one("tcp")["state"] == "failed" and run.one("done")["stage"] == "tcp"


# --- the model as a program, as a person at a terminal uses it ---


class Terminal:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def ask(self, line: bytes, data: bytes = b"", until: bytes = b"AT-S.OK\r\n") -> bytes:
        os.write(self.fd, line + b"\r" + data)
        return self.hear(until)

    def hear(self, until: bytes) -> bytes:
        heard = b""
        deadline = time.monotonic() + 10
        while until not in heard:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], heard
            heard += os.read(self.fd, 65536)
        return heard


def test_a_page_through_the_module(firmware: Path, pki: Pki, tmp_path: Path) -> None:
    """DER: the module finds the identifier itself. Then the page that `-www` serves, byte by byte over SOCKR."""
    convert = ["openssl", "x509", "-in", "ca.pem", "-outform", "DER"]
    der = subprocess.run(convert, cwd=pki.folder, check=True, timeout=30, capture_output=True).stdout
    module = ROOT / "build" / "fw" / TARGET / "at-module"
    with (
        s_server(pki, tmp_path) as server,
        subprocess.Popen([module], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None and process.stdin is not None
        fd = os.open(process.stdout.readline().decode().strip(), os.O_RDWR | os.O_NOCTTY)
        try:
            terminal = Terminal(fd)
            terminal.hear(b"WiFi Up")
            terminal.ask(b"AT+S.TIME=%d" % int(time.time()))
            assert b"No SubjectKeyId" not in terminal.ask(b"AT+S.TLSCERT=ca,%d" % len(der), der)
            assert b"AT-S.Id:1" in terminal.ask(b"AT+S.TLSCERT=content,1")
            assert b"Loading:1:1" in terminal.ask(b"AT+S.SOCKON=127.0.0.1,%d,broker.test,s" % server.port)
            request = b"GET / HTTP/1.0\r\n\r\n"
            terminal.ask(b"AT+S.SOCKW=0,%d" % len(request), request)
            terminal.hear(b"Socket Closed")
            page = terminal.ask(b"AT+S.SOCKR=0,8192", until=b"\nAT-S.OK\r\n")
            assert b"HTTP/1.0 200 ok" in page and b"TLSv1.2" in page
        finally:
            os.close(fd)
            process.stdin.close()
            assert process.wait(5) == 0


# --- what is left ---


def test_the_module_ends_with_its_host(firmware: Path) -> None:
    """Whatever happens to the firmware: SIGKILL is the hardest."""
    with device(firmware) as dut:
        dut.set("script", "connect")
        dut.set("address", "127.0.0.1")
        dut.set("port", 9)
        dut.set("tls.min", "none")
        dut.run()
        pid = dut.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(children) == 1, children
        child = os.pidfd_open(int(children[0]))
        try:
            dut.process.send_signal(signal.SIGKILL)
            assert select.select([child], [], [], 5)[0], "the model is still there"
        finally:
            os.close(child)


@pytest.mark.parametrize("source", FOR_THE_BOARD)
def test_it_compiles_for_the_board(source: str, tmp_path: Path) -> None:
    shims = ROOT / "firmware_shims"
    includes = [f"-I{shims / folder}" for folder in ("include", "client", "stacks")]
    command = [
        "arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-Os", "-std=c11", "-Wall", "-Wextra", "-Wconversion",
        "-Werror", *includes, "-c", str(shims / source), "-o", str(tmp_path / "out.o"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    needed = subprocess.run(
        ["arm-none-eabi-nm", "-u", str(tmp_path / "out.o")], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert not re.search(r"\b(malloc|calloc|realloc|free)\b", needed), "no heap in the driver"


# --- the socket over the UART, and what is uploaded: AT-04, AT-11, AT-14 and AT-15 of the catalogue ---


@pytest.fixture(scope="module")
def broker(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with mosquitto(tmp_path_factory.mktemp("broker"), pki, "srv", only12=True) as one:
        yield one


@contextlib.contextmanager
def connected(firmware: Path, pki: Pki, broker: Broker, **settings: object) -> Iterator[Device]:
    with device(firmware) as dut:
        dut.put("ca", pki.read("ca.pem"))
        given = {"host": "broker.test", "address": "127.0.0.1", "port": broker.port, "tls.max": "1.2",
                 "epoch": int(time.time()), "timeout": 4000}  # fmt: skip
        for key, value in (given | settings).items():
            dut.set(key, value)
        yield dut


def test_the_payload_is_opaque_both_ways(firmware: Path, pki: Pki, broker: Broker) -> None:
    """AT-11: what would be a line end, an escape or an answer elsewhere is payload here."""
    payload = bytes(range(1, 256, 2)) + bytes(range(2, 40, 2)) + b"\r\nAT-S.OK\r\n+++\r\n+WIND:58:Socket Closed:0\r\n"
    escaped = "".join(chr(b) if 0x20 < b < 0x7F and b != 0x25 else f"%{b:02x}" for b in payload)
    listener = [
        "mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "--cafile", str(pki.path("ca.pem")), "--insecure",
        "-q", "1", "-t", "hil/bytes", "-i", "listener", "-c",
    ]  # fmt: skip
    subprocess.run([*listener, "-E"], check=True, timeout=20)  # subscribed; the broker keeps what comes
    with connected(firmware, pki, broker, **{"mqtt.topic": "hil/bytes", "mqtt.filter": "hil/bytes"}) as dut:
        assert dut.line(f"SET mqtt.payload {escaped}").name == "ok"
        dut.set("script", "connect;sub1;pub1;recv:4000;disconnect")
        run = dut.run()
    heard = subprocess.run([*listener, "-C", "1", "-N", "-W", "10"], check=True, timeout=20, capture_output=True).stdout
    assert heard == payload
    assert run.ok, run.brief()
    message = run.one("mqtt", state="msg")
    assert message["len"] == str(len(payload)) and int(message["crc32"], 16) == binascii.crc32(payload)


def test_the_module_resets_in_mid_session(firmware: Path, pki: Pki, broker: Broker) -> None:
    """AT-14: it comes back without clock and certificates; the driver gives it both and goes on."""
    script = {"script": "connect;idle:1500;pub1;disconnect", "reconnect": 3, "mqtt.topic": "hil/reset"}
    with connected(firmware, pki, broker, **script) as dut:
        after = len(dut.events)
        assert dut.line("RUN").name == "ok"
        deadline = time.monotonic() + 10
        while not any(e.name == "mqtt" and e["state"] == "connack" for e in dut.events[after:]):
            assert time.monotonic() < deadline
            with contextlib.suppress(AssertionError):
                dut.wait("nothing", 0.05, len(dut.events))
        pid = dut.process.pid
        (module,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(module), signal.SIGKILL)
        dut.wait("done", 30, after)
        run = Run(dut.events[after:])
        console = b"\n".join(dut.foreign)
    assert run.ok, run.brief()
    assert len(run.all("mqtt", state="connack")) == 2
    assert console.count(b"<<OK") > 10 and console.count(b"UART TX buffer: AT+S.TLSCERT=Auth,20") == 2


def test_sockets_are_given_back(firmware: Path, pki: Pki, broker: Broker) -> None:
    """AT-15: the 51st connection works as the first did, and nothing is uploaded twice."""
    with connected(firmware, pki, broker, script="connect;drop;repeat:51") as dut:
        run = dut.run()
        console = b"\n".join(dut.foreign)
    assert run.ok, run.brief()[-2000:]
    assert len(run.all("mqtt", state="connack")) == 51
    assert console.count(b"UART TX buffer: AT+S.TLSCERT=content,2") == 1


@pytest.mark.parametrize("form", ["pem", "crlf", "der", "two", "cut pem", "cut der", "garbage"])
def test_forms_of_a_ca(form: str, firmware: Path, pki: Pki, broker: Broker) -> None:
    """AT-04: legal forms connect; of others the module says so, and nothing goes to the broker."""
    pem = pki.read("ca.pem")
    convert = ["openssl", "x509", "-in", "ca.pem", "-outform", "DER"]
    der = subprocess.run(convert, cwd=pki.folder, check=True, timeout=30, capture_output=True).stdout
    forms = {
        "pem": pem, "crlf": pem.replace(b"\n", b"\r\n"), "der": der, "two": pki.read("srv.pem") + pem,
        "cut pem": pem[:-120], "cut der": der[:-1], "garbage": b"no certificate",
    }  # fmt: skip
    with connected(firmware, pki, broker, script="connect;disconnect") as dut:
        dut.put("ca", forms[form])
        run = dut.run()
        console = b"\n".join(dut.foreign)
    if form in ("pem", "crlf", "der", "two"):
        assert run.ok, run.brief()
        assert (b"No SubjectKeyId" in console) == (form != "der")
    else:
        assert run.one("done")["rc"] == "111" and not run.all("tcp"), run.brief()
        assert b"AT-S.ERROR:111:" in console and b"SOCKON" not in console
        assert run.one("done").ms - run.events[0].ms < 5000
