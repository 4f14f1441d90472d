"""What the board pages tell people to add to a project of their own: it compiles without our CMake, and asks for
nothing but what the page names, the C library and the vendor's stack."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness.paths import ROOT

SHIMS = ROOT / "firmware_shims"
MBEDTLS = ROOT / "build/src/mbedtls/include"
FOREIGN = re.compile(r"_GLOBAL_OFFSET_TABLE_|(_|__real__)?nx[ed]?_|crypto_method|mbedtls_|tx_|mem\w+|str\w+")
PLAIN = ("hil_board_ms", "hil_board_uart_write", "hil_board_entropy")

CASES = [
    ("h563-netx.md", "## Level *events*", "## Level *command*", ["stacks/netx_model/include"],
     {*PLAIN, "hil_netx_wait_begin", "hil_netx_wait_end", "hil_netx_printing"}),
    ("h563-netx.md", "## Level *events*", "## What the shim takes", ["stacks/netx_model/include"],
     {"hil_netx_ip", "hil_netx_pool", "hil_netx_resolve"}),
    ("f401-spwf04.md", "## The driver on your board", "## The module at", [],
     {"hil_at_uart_reset", "hil_at_uart_write", "hil_at_uart_read"}),
    ("f429-w5500.md", "## Our driver on your board", "## What the stand-in", [MBEDTLS],
     {"hil_w5500_select", "hil_w5500_exchange", "hil_w5500_address"}),
]  # fmt: skip


def client_sources() -> list[str]:
    text = (SHIMS / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = re.findall(r"\$\{HIL_ROOT\}/(\S+\.c)", text[text.index("set(HIL_CLIENT_SOURCES") :].partition(")\n")[0])
    return [name for name in listed if name != "client/main.c"]


def board_functions() -> set[str]:
    text = (SHIMS / "include/hil/board.h").read_text(encoding="utf-8")
    return set(re.findall(r"\b(hil_board_\w+)\(", text))


@pytest.mark.parametrize(("page", "first", "end", "includes", "own"), CASES, ids=["events", "netx", "at", "w5500"])
def test_what_is_to_be_linked(
    page: str, first: str, end: str, includes: list[str | Path], own: set[str], tmp_path: Path
) -> None:
    text = (ROOT / "docs/boards" / page).read_text(encoding="utf-8")
    part = text[text.index(first) : text.index(end, text.index(first) + 1)]
    sources = {name for name in re.findall(r"`((?:at|client|net|stacks)/\w+\.c)`", part)
               if name not in ("client/main.c", "net/w5500_tls.c")}  # fmt: skip
    if "hil_netx_wait_begin" in own:  # level events: the client's MQTT stays out
        allowed = own
        sources.discard("net/netx.c")
    else:
        sources |= set(client_sources())
        allowed = own | board_functions()
        sources.discard("stacks/netx_mqtt.c")
    assert len(sources) >= 6
    flags = [f"-I{SHIMS / name}" for name in (*includes, "include", "client", "net", "stacks", "at")]
    config = "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>"
    for name in sorted(sources):
        words = ["gcc", "-std=c11", "-fno-stack-protector", config, *flags, "-c", SHIMS / name]
        words += ["-o", name.replace("/", "_") + ".o"]
        subprocess.run(words, cwd=tmp_path, check=True, timeout=60)
    subprocess.run(["ld", "-r", "-o", "all", *sorted(p.name for p in tmp_path.glob("*.o"))], cwd=tmp_path, check=True)
    done = subprocess.run(["nm", "-u", "all"], cwd=tmp_path, capture_output=True, text=True, check=True)
    wanted = {line.split()[-1] for line in done.stdout.splitlines() if line.split()[0] != "w"}
    ours = {name for name in wanted if name.startswith("hil_")}
    assert ours <= allowed, "the page does not name it"
    assert own <= ours | {"hil_netx_printing"}, "the page names what nobody asks for"
    assert [name for name in wanted - ours if not FOREIGN.match(name)] == []
