#!/bin/sh
# Code and RAM of the firmware on Cortex-M33; fails above the shim's bound (6 KB of code, 1 KB of RAM).
set -eu
cd "$(dirname "$0")/.."
.venv/bin/hil build --target qemu-m33 >/dev/null
cmake --build build/fw/qemu-m33 --target size
