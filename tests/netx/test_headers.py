"""The shim compiles for the board's core with every warning an error: against the vendor's own headers where they are
(HIL_NETX_DIR and HIL_THREADX_DIR name unpacked sources), and always against our declarations of the same functions."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.paths import ROOT

FW = ROOT / "firmware_shims"
SHIM = ("stacks/netx.c", "stacks/netx_setup.c", "stacks/netx_pem.c", "stacks/netx_mqtt.c")
ALL = (*SHIM, "net/netx.c", "stacks/tls_common.c", "examples/netx_product.c")
CORE = ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-Os", "-ffunction-sections")
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror")
TEXT_MAX, RAM_MAX = 6144, 1024  # what the shim itself costs
GCC = "arm-none-eabi-gcc"
VENDOR = (
    "common/inc", "nx_secure/inc", "nx_secure/ports", "crypto_libraries/inc", "addons/mqtt", "ports/cortex_m33/gnu/inc",
)  # fmt: skip
THREADX = ("common/inc", "ports/cortex_m33/gnu/inc")
BUILDS = {
    "1.2": ("-DNX_SECURE_ENABLE_AEAD_CIPHER",),
    "1.2, no AEAD": (),
    "1.3": ("-DNX_SECURE_ENABLE_AEAD_CIPHER", "-DNX_SECURE_TLS_ENABLE_TLS_1_3"),
    "1.3 only": ("-DNX_SECURE_TLS_ENABLE_TLS_1_3", "-DNX_SECURE_TLS_DISABLE_PROTOCOL_VERSION_DOWNGRADE"),
    "no error checking": ("-DNX_SECURE_TLS_ENABLE_TLS_1_3", "-DNX_DISABLE_ERROR_CHECKING"),
}

pytestmark = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"{GCC} is not installed")


def compiled(source: str, out: Path, *flags: str) -> Path:
    target = out / (source.replace("/", "_") + ".o")
    own = ("-I", str(FW / "include"), "-I", str(FW / "stacks"), "-I", str(FW / "client"))
    done = subprocess.run(
        [GCC, *CORE, *STRICT, *flags, *own, "-c", str(FW / source), "-o", str(target)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


def sizes(objects: list[Path]) -> tuple[int, int]:
    """Bytes of code and constants, and of RAM without what NetX itself demands (section .bss.netx)."""
    text = ram = 0
    for path in objects:
        command = ["arm-none-eabi-size", "-A", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        for line in done.stdout.splitlines():
            name, *numbers = line.split() or [""]
            if name.startswith((".text", ".rodata", ".data")):
                text += int(numbers[0])
            if name.startswith((".data", ".bss")) and not name.startswith(".bss.netx"):
                ram += int(numbers[0])
    return text, ram


@pytest.mark.parametrize("source", ALL)
def test_our_declarations(source: str, tmp_path: Path) -> None:
    compiled(source, tmp_path, "-Wconversion", "-I", str(FW / "stacks/netx_model/include"))


def test_size(tmp_path: Path) -> None:
    objects = [compiled(s, tmp_path, "-I", str(FW / "stacks/netx_model/include")) for s in SHIM]
    text, ram = sizes(objects)
    assert 1000 < text <= TEXT_MAX, f"{text} bytes of code"
    assert ram <= RAM_MAX, f"{ram} bytes of RAM"


@pytest.mark.parametrize("build", BUILDS)
def test_vendor_headers(build: str, tmp_path: Path) -> None:
    """Unchanged, against the real thing."""
    netx, threadx = os.environ.get("HIL_NETX_DIR", ""), os.environ.get("HIL_THREADX_DIR", "")
    if not netx or not threadx:
        pytest.skip("HIL_NETX_DIR and HIL_THREADX_DIR name no sources of NetX Duo and ThreadX")
    vendor = [part for sub in VENDOR for part in ("-isystem", str(Path(netx) / sub))]
    vendor += [part for sub in THREADX for part in ("-isystem", str(Path(threadx) / sub))]
    flags = ("-DNX_SECURE_ENABLE", "-DNX_SECURE_ENABLE_ECC_CIPHERSUITE", *BUILDS[build], *vendor)
    for source in ALL:
        compiled(source, tmp_path, *flags)
