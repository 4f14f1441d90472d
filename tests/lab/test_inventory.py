"""lab.toml: what is read, and that nothing wrong is read past."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import EXIT_USAGE, UsageError
from harness.lab import inventory
from tests.engine.bench import hil

GOOD = """
[lab]
quarantine_after = 5

[[board]]
id = "h563-1"
target = "h563"
serial = "/dev/serial/by-id/usb-STMicroelectronics_STLINK-V3_0028001-if02"
baud = 921600
uplink = "usb:FT1234:1"
probe_id = "0028001"
probe_path = "1-2.3"
runner = "pyocd"
runner_params = ["-O", "reset_type=hw"]
runner_prefix = ["ssh", "labhost"]
flash_timeout = 60
power = { kind = "uhubctl", hub = "1-2", port = 3, off_s = 1.5 }
capture = "eth1"
broker_address = "192.168.7.1"
device_address = "192.168.7.10"
fixtures = ["ethernet", "shelf-2"]
notes = "left of the window"

[[board]]
id = "f429-1"
target = "f429-w5500"
serial = "rfc2217://labhost:7001"
probe_id = "A"
power = { kind = "command", cycle = "relay 3" }

[[board]]
id = "f429-2"
target = "f429-w5500"
serial = "socket://[::1]:7002"
probe_id = "B"
power = { kind = "http", on = "http://10.0.0.5/1/on", off = "http://10.0.0.5/1/off", method = "POST" }

[[board]]
id = "emulated-1"
target = "qemu-m4"
virtual = true

[[board]]
id = "far"
target = "s5d9"
labgrid = "shelf-s5d9"
"""

ONE = '[[board]]\nid = "x"\ntarget = "h563"\n'
TWO = '[[board]]\nid = "x"\ntarget = "h563"\nprobe_id = "A"\n[[board]]\nid = "y"\ntarget = "h563"\n'
SHELF = '[[board]]\nid = "{id}"\ntarget = "f405-virtual"\nvirtual = "{folder}"\n'

BAD: tuple[tuple[str, str, str], ...] = (
    # what the file holds, the key the message names, a word of the next step
    ("[[board]\nid = 1", "not valid TOML", "correct the file"),
    ("[[boards]]\nid = 'x'", "key `boards`: unknown key", "did you mean `board`"),
    ("board = 3", "key `board`: not a list", "two brackets"),
    ("[board]\nid = 'x'", "key `board`: not a list", "two brackets"),
    ("[lab]\nquarantine = 3", "[lab]: key `quarantine`: unknown key", "quarantine_after"),
    ("[lab]\nquarantine_after = -1", "[lab]: key `quarantine_after`", "0 for never"),
    ("[[board]]\ntarget = 'h563'", "board 1: key `id`: missing", "add id"),
    ("[[board]]\nid = 'x'", "board `x`: key `target`: missing", "add target"),
    (ONE.replace('"x"', '"a b"'), "key `id`: not a name", "letters"),
    (ONE.replace('"x"', '"../x"'), "key `id`: not a name", "letters"),
    (ONE.replace('"x"', '"a\\u001b[2J"'), "key `id`: control characters", "plain text"),
    (ONE.replace("h563", "h536"), "key `target`: no target `h536`", "did you mean `h563`"),
    (ONE + "platform = 'x'", "key `platform`: unknown key", "the keys are: id, target"),
    (ONE + "probeid = 'x'", "key `probeid`: unknown key", "did you mean `probe_id`"),
    (ONE + "baud = '115200'", "key `baud`: Expected `int`", "docs/describe-a-board.md"),
    (ONE + "baud = 3", "key `baud`", "115200"),
    (ONE + "serial = '/dev/ttyACM0'", "key `serial`: /dev/ttyACM0 may be another board", "by-id"),
    (ONE + "uplink = '/dev/ttyUSB1'", "key `uplink`: /dev/ttyUSB1 may be another board", "usb:SERIAL"),
    (ONE + "serial = 'COM3'", "key `serial`: `COM3` is no serial port", "rfc2217"),
    (ONE + "serial = 'telnet://h:1'", "key `serial`: `telnet://h:1` is no serial port", "socket"),
    (ONE + "serial = 'rfc2217://labhost'", "key `serial`", "rfc2217://labhost:7001"),
    (ONE + "serial = 'socket://h:99999'", "key `serial`", "socket://labhost:7001"),
    (ONE + "serial = 'usb:'", "key `serial`", "usb:0669FF3130"),
    (ONE + "probe_path = '/dev/bus/usb/1/2'", "key `probe_path`", "1-2.3"),
    (ONE + "runner = 'opencd'", "key `runner`: no runner `opencd`", "did you mean `openocd`"),
    (ONE + "runner_params = 'x'", "key `runner_params`: Expected `array`", "docs/describe-a-board.md"),
    (ONE + "flash_timeout = 99999", "key `flash_timeout`", "3600"),
    (ONE + "capture = '../eth0'", "key `capture`", "ip link"),
    (ONE + "broker_address = '192.168.7.300'", "key `broker_address`", "192.168.7.10"),
    (ONE + "broker_address = '-x'", "key `broker_address`", "192.168.7.10"),
    (ONE + "device_address = 'board.local'", "key `device_address`", "192.168.7.10"),
    (ONE + "notes = 'a\\nb'\n", "", ""),  # a literal string: backslash and n, no line break
    (ONE + 'notes = "a\\nb"\n', "key `notes`: control characters", "plain text"),
    (ONE + 'power = { kind = "command", cycle = ["relay", "a\\u0007b"] }', "key `power`: control", "plain text"),
    (ONE + f"notes = '{'x' * 600}'", "key `notes`: longer than 500", "short line"),
    (ONE + "virtual = true\nprobe_id = 'A'", "key `probe_id`: a virtual board has none", "remove `probe_id`"),
    (ONE + "power = { kind = 'usb' }", "key `power.kind`", "docs/describe-a-board.md"),
    (ONE + "power = { kind = 'uhubctl', hub = '1-1' }", "key `power.port`", "1 to 32"),
    (ONE + "power = { kind = 'uhubctl', hub = 'x y', port = 1 }", "key `power.hub`", "uhubctl"),
    (ONE + "power = { kind = 'uhubctl', prot = 1 }", "key `power.prot`: unknown key", "did you mean `port`"),
    (ONE + "power = { kind = 'none', on = 'x' }", "key `power.on`: not a key of kind `none`", "remove it"),
    (ONE + "power = { kind = 'command', on = 'x' }", "key `power`: neither `cycle` nor both", "how to switch"),
    (ONE + "power = { kind = 'http', cycle = 'relay/1' }", "key `power.cycle`: not one http://", "http://10.0.0.5"),
    (ONE + "power = { kind = 'http', cycle = 'http://u:p@h/1' }", "key `power.cycle`: not one http://", "http://10"),
    (ONE + "power = { kind = 'command', cycle = 'x', off_s = 1e9 }", "key `power`", "300 seconds"),
    (ONE + ONE, "board `x`: key `id`: given to two boards", "name of its own"),
    (TWO, "board `y`: key `probe_id`: missing, and there are 2 boards", "hil boards --scan"),
    (TWO + "probe_id = 'a'", "board `y`: key `probe_id`: a is that of board `x` too", "probe_path"),
    (TWO.replace('"A"\n', '"A"\nprobe_path = "1-2"\n') + "probe_path = '1-2'", "key `probe_path`: 1-2", "one probe"),
    (
        TWO.replace('"A"\n', '"A"\nserial = "usb:S1"\n') + "probe_id = 'B'\nserial = 'usb:s1'",
        "board `y`: key `serial`: usb:s1 is `serial` of board `x` already",
        "one reader",
    ),
    (TWO + "probe_id = 'A'\nrunner = 'command'", "board `y`: key `probe_id`: A is that of board `x` too", "correct it"),
    (
        TWO.replace('"A"', '"000731004455"') + "probe_id = '731004455'",
        "board `y`: key `probe_id`: 731004455 is that of board `x` too",
        "correct it",
    ),
    (
        SHELF.format(id="v", folder="/run/vb") + SHELF.format(id="w", folder="/run//vb/"),
        "board `w`: key `virtual`: /run/vb is `virtual` of board `v` already",
        "one board",
    ),
    (ONE + '"a\\nb" = 1', "key `a\\nb`: unknown key", "the keys are"),
    (ONE.replace('"x"', f'"{"x" * 5000}"'), "board 1: key `id`: longer than 500", "short line"),
    ("a = " + "[" * 20000, "nested too deeply", "correct the file"),
    ("#" * (5 << 20), "more than 4 MB", "tables"),
    (
        TWO.replace('"A"\n', '"A"\nserial = "/dev/serial/by-id/a"\n')
        + "probe_id = 'B'\nuplink = '/dev/serial/by-id/a'",
        "board `y`: key `uplink`",
        "one reader",
    ),
)


def write(folder: Path, text: str) -> Path:
    path = folder / "lab.toml"
    path.write_text(text)
    return path


def test_every_key_is_read(lab_folder: Path) -> None:
    lab = inventory.load_lab(write(lab_folder, GOOD))
    assert list(lab.boards) == ["h563-1", "f429-1", "f429-2", "emulated-1", "far"]
    one = lab.boards["h563-1"]
    assert (one.target, one.baud, one.probe_id, one.probe_path) == ("h563", 921600, "0028001", "1-2.3")
    assert (one.runner, one.runner_params, one.runner_prefix) == ("pyocd", ("-O", "reset_type=hw"), ("ssh", "labhost"))
    assert (one.power.kind, one.power.hub, one.power.port, one.power.off_s) == ("uhubctl", "1-2", 3, 1.5)
    assert (one.capture, one.broker_address, one.device_address) == ("eth1", "192.168.7.1", "192.168.7.10")
    assert one.fixtures == ("ethernet", "shelf-2") and one.flash_timeout == 60
    assert lab.settings.quarantine_after == 5
    assert [e.id for e in inventory.of_target("f429-w5500", lab.boards)] == ["f429-1", "f429-2"]
    assert lab.boards["emulated-1"].virtual and not lab.boards["emulated-1"].local_probe


@pytest.mark.parametrize(("text", "what", "fix"), BAD, ids=range(len(BAD)))
def test_a_bad_file_is_one_line(lab_folder: Path, text: str, what: str, fix: str) -> None:
    path = write(lab_folder, text)
    if not what:
        assert inventory.load(path)
        return
    with pytest.raises(UsageError) as caught:
        inventory.load(path)
    line = str(caught.value)
    assert what in caught.value.what and fix in caught.value.fix, line
    assert str(path) in line and line.isprintable() and len(line) < 700
    assert caught.value.exit_code == EXIT_USAGE


def test_the_table_has_its_20() -> None:
    assert len({what for _, what, _ in BAD if what}) >= 30


def test_equal_serial_numbers_are_told_apart_by_path(lab_folder: Path) -> None:
    text = TWO.replace('"A"\n', '"A"\nprobe_path = "1-2"\n') + "probe_id = 'A'\nprobe_path = '1-3'"
    assert len(inventory.load(write(lab_folder, text))) == 2


def test_one_board_alone_needs_no_serial_number_nor_do_boards_without_a_probe(lab_folder: Path) -> None:
    assert inventory.load(write(lab_folder, ONE))["x"].local_probe
    others = '[[board]]\nid = "v"\ntarget = "qemu-m4"\nvirtual = true\n'
    others += '[[board]]\nid = "n"\ntarget = "h563"\nrunner = "none"\n'
    assert len(inventory.load(write(lab_folder, ONE + others))) == 3


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "gone.toml"))
    with pytest.raises(UsageError, match="HIL_LAB"):
        inventory.load()
    monkeypatch.setenv("HIL_LAB", "/dev/null")
    assert inventory.load() == {}
    monkeypatch.delenv("HIL_LAB")
    monkeypatch.setattr("harness.paths.ROOT", tmp_path / "repository")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert inventory.load_lab() == inventory.Lab(path=None, boards={})
    (tmp_path / "config" / "hil").mkdir(parents=True)
    (tmp_path / "config" / "hil" / "lab.toml").write_text(ONE)
    assert list(inventory.load()) == ["x"]
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "lab.toml").write_text(ONE.replace('"x"', '"nearer"'))
    assert list(inventory.load()) == ["nearer"]


def test_a_lab_can_be_narrowed(lab_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(lab_folder, GOOD)
    monkeypatch.setenv("HIL_BOARDS", "f429-2,far")
    assert list(inventory.load(path)) == ["f429-2", "far"]
    monkeypatch.setenv("HIL_BOARDS", "f429-3")
    with pytest.raises(UsageError, match="no board `f429-3`"):
        inventory.load(path)


def test_find_names_what_there_is(lab_folder: Path) -> None:
    boards = inventory.load(write(lab_folder, GOOD))
    assert inventory.find("h563", boards).id == "h563-1", "the only board of a target goes by the target's name"
    with pytest.raises(UsageError, match="is 2 boards: f429-1, f429-2"):
        inventory.find("f429-w5500", boards)
    with pytest.raises(UsageError, match=r"did you mean `f429-[12]`"):
        inventory.find("f429-l", boards)
    with pytest.raises(UsageError, match="--scan"):
        inventory.find("h563", {})


def test_the_command_says_the_same_line_and_ends_with_4(lab_folder: Path) -> None:
    path = write(lab_folder, ONE + "probeid = 'x'")
    done = hil("boards", HIL_LAB=str(path))
    assert done.returncode == EXIT_USAGE and done.stderr.count("\n") == 1 and "probe_id" in done.stderr
