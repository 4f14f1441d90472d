"""What labgrid forgets and loses while a board is held: a coordinator that restarts, an exporter that is gone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.device.console import Console
from harness.errors import BoardBusy, LabError, UsageError
from harness.lab import labgrid, labgrid_lock, lease
from harness.lab.inventory import BoardEntry, Labgrid, load
from harness.lab.labgrid_client import Refused, parse_place
from tests.labgrid.rig import HOST, USER, Echo, Rig

ME = f"{HOST}/{USER}"
B1 = BoardEntry(id="b1", target="native", labgrid="p1")


def answers(board: BoardEntry, log: Path) -> bool:
    with Console(board.serial, log) as console:
        console.send(b"you there?\n")
        return "echo: you there?" in console.wait_for(lambda line: "echo" in line.text, 5.0, "the echo").text


def test_a_coordinator_that_restarts_forgets_us_and_the_kernel_lock_does_not(own: Rig, tmp_path: Path) -> None:
    Echo(own.port("p1"))
    exporter = own.start_exporter()
    held = labgrid.claim(lease.acquire("b1", "night"), B1, "night")
    first = labgrid.reached(B1)
    own.coordinator.kill()
    exporter.ended()  # as labgrid's do, with their ser2net; systemd starts them again
    own.coordinator.start()
    exporter.start()
    assert own.holders() == {}
    with pytest.raises(BoardBusy, match="b1 is held by"):  # by the kernel, whatever the coordinator says
        lease.acquire("b1", "second")
    with pytest.raises(BoardBusy, match="p1 is held by the run for board b1"):
        labgrid.hold(BoardEntry(id="other", target="native", labgrid="p1"), "second")
    again = labgrid.reached(B1)
    assert own.holders() == {"p1": ME} and again.serial != first.serial
    assert answers(again, tmp_path / "uart.log")
    assert labgrid.reached(B1).serial == again.serial
    held.release()
    assert own.holders() == {}


def test_a_place_somebody_else_got_meanwhile_is_theirs(own: Rig) -> None:
    Echo(own.port("p1"))
    exporter = own.start_exporter()
    held = labgrid.claim(lease.acquire("b1", "night"), B1, "night")
    own.coordinator.kill()
    exporter.ended()
    own.coordinator.start()
    exporter.start()
    own.client("-p", "p1", "acquire", user="bob", host="far")
    with pytest.raises(LabError, match="labgrid place p1 is not ours any more: far/bob has it") as error:
        labgrid.reached(B1)
    assert error.value.cause == "lab.board_busy" and not isinstance(error.value, BoardBusy)
    held.release()
    assert own.holders() == {"p1": "far/bob"}


def test_an_exporter_that_is_gone_is_one_line_in_bounded_time(
    own: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is used again when it is back: test_runs.py, where a whole run waits for it."""
    Echo(own.port("p1"))
    exporter = own.start_exporter()
    with labgrid.held(B1, "night"):
        exporter.kill()
        monkeypatch.setattr(labgrid, "REACH", 2.0)
        begun = time.monotonic()
        with pytest.raises(LabError, match="b1: labgrid place p1: exporter exp1 is not connected") as error:
            labgrid.reached(B1)
        assert time.monotonic() - begun < 20 and error.value.cause == "lab.serial_missing"


def test_a_coordinator_that_is_away_at_the_end_is_said_and_freed_later(
    own: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    Echo(own.port("p1"))
    own.start_exporter()
    held = labgrid.claim(lease.acquire("b1", "night"), B1, "night")
    assert isinstance(held, labgrid.PlaceLease)
    keeper = held.held._keeper
    own.coordinator.stop()
    held.release()
    said = capsys.readouterr().err
    assert "labgrid place p1 is not given back yet" in said and "release-from host1/ci-77" in said
    with lease.lease("b1", "next"):
        pass
    own.coordinator.start()
    assert keeper is not None and keeper.wait(30.0) == 0
    assert not Path(lease.folder(), f"{labgrid_lock.lock_name('p1')}.lock").read_text()


def test_ports_that_do_not_answer_as_ser2net_does() -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rfc2217://127.0.0.1:{server.getsockname()[1]}?ign_set_control"

        def serve(said: bytes) -> threading.Thread:
            def once() -> None:
                link, _ = server.accept()
                with link:
                    link.sendall(said)

            thread = threading.Thread(target=once)
            thread.start()
            return thread

        for said, wanted in (
            (b"\xff\xfb\x03", ""),
            (b"Device open failure: \x1b[2J No such file\r\n", r"Device open failure: \x1b[2J No such file"),
            (b"", "closed at once"),
        ):
            thread = serve(said)
            why = labgrid.answer(url)
            thread.join(5)
            assert why.endswith(wanted) and (not wanted) == (not why)
    assert "refused" in labgrid.answer(url)
    assert "no console" in labgrid.answer("rfc2217://nothing")


def test_where_the_flasher_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LG_HOSTNAME", "desk")
    for here in ("", "localhost", "127.0.0.1", "::1", "desk"):
        assert labgrid.prefix(here) == ()
    assert labgrid.prefix("labhost-3") == ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "labhost-3")


SHOWN = """Place 'p1':
  tags: board=h563, slot=3
  comment: on the shelf
  matches:
    exp1/g1/NetworkSerialPort
  acquired: host1/ci-77
  acquired resources:
    exp1/g1/NetworkSerialPort/RawSerialPort
  created: 2026-01-01 00:00:00
  reservation: ABC
Orphaned resource 'probe' (exp2/g1/NetworkUSBDebugger/probe)
Acquired resource 'RawSerialPort' (exp1/g1/NetworkSerialPort/RawSerialPort):
  {'acquired': 'p1',
   'avail': True,
   'cls': 'NetworkSerialPort',
   'params': {'extra': {'proxy_required': %s}, 'host': '%s', 'port': %s, 'speed': 115200}}
"""


def test_what_show_says() -> None:
    place = parse_place(SHOWN % ("False", "labhost", "7001"))
    assert (place.name, place.acquired, place.reservation, place.gone) == ("p1", "host1/ci-77", "ABC", ("exp2",))
    assert place.tags == {"board": "h563", "slot": "3"}
    assert [(r.name, r.exporter, r.cls, r.avail) for r in place.resources] == [
        ("RawSerialPort", "exp1", "NetworkSerialPort", True)
    ]
    for text in ("", "nothing\n", "Placebo\n"):
        with pytest.raises(Refused):
            parse_place(text)
    for hostile in ("__import__('os').system('true')", "(" * 5000, "9" * 5000):
        assert parse_place(SHOWN % ("False", "labhost", hostile)).resources == ()


@pytest.mark.parametrize(
    ("isolated", "host", "port", "wanted"),
    [
        ("False", "labhost", "None", "gives no port"),
        ("False", "-oProxyCommand=x", "7001", "gives no port"),
        ("False", "lab host", "7001", "gives no port"),
    ],
)
def test_no_port_yet_and_hosts_that_are_none(isolated: str, host: str, port: str, wanted: str) -> None:
    from harness.lab.labgrid_lock import Record

    record = Record(board="b1", place="p1", address="", identity=ME, pid=1, since="", reason="")
    found, why = labgrid._look(B1, record, parse_place(SHOWN % (isolated, host, port)))
    assert wanted in why and found.host in ("", "labhost")


def test_several_ports_and_isolated_exporters_are_told() -> None:
    from harness.lab.labgrid_lock import Record

    record = Record(board="b1", place="p1", address="", identity=ME, pid=1, since="", reason="")
    with pytest.raises(LabError, match="exporter exp1 is isolated"):
        labgrid._look(B1, record, parse_place(SHOWN % ("True", "labhost", "7001")))
    text = SHOWN % ("False", "127.0.0.1", "1")
    second = text[text.index("Acquired resource") :].replace("'RawSerialPort'", "'uplink'")
    with pytest.raises(LabError, match="several serial ports: RawSerialPort, uplink"):
        labgrid._look(B1, record, parse_place(text + second))
    named = BoardEntry(id="b1", target="native", labgrid=Labgrid(place="p1", console="uplink"))
    found, why = labgrid._look(named, record, parse_place(text + second))
    assert found.serial == "rfc2217://127.0.0.1:1?ign_set_control" and "refused" in why


@pytest.mark.parametrize(
    ("labgrid_key", "words"),
    [
        ("{}", "needs either `place` or `tags`"),
        ('{ place = "p1", tags = { board = "h563" } }', "needs either `place` or `tags`"),
        ('{ tags = { BOARD = "h563" } }', "not tags of labgrid"),
        ('{ tags = { board = "h563 x" } }', "not tags of labgrid"),
        ('{ plaice = "p1" }', "did you mean `place`"),
        ('{ tags = "board=h563" }', "Expected `object`"),
        ('"p1"', "p1 is that of board `first` too"),
        ('{ place = "p1" }', "p1 is that of board `first` too"),
    ],
)
def test_lab_toml_says_what_is_wrong(tmp_path: Path, labgrid_key: str, words: str) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(
        '[[board]]\nid = "first"\ntarget = "native"\nlabgrid = "p1"\n'
        f'[[board]]\nid = "second"\ntarget = "native"\nlabgrid = {labgrid_key}\n'
    )
    with pytest.raises(UsageError) as error:
        load(path)
    assert "board `second`" in str(error.value) and words in str(error.value)


def test_lab_toml_names_places_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(
        '[[board]]\nid = "a"\ntarget = "native"\nlabgrid = { tags = { board = "h563" } }\n'
        '[[board]]\nid = "b"\ntarget = "native"\nlabgrid = { tags = { board = "h563" } }\n'
    )
    assert [labgrid.spec_of(entry).tags for entry in load(path).values()] == [{"board": "h563"}] * 2
