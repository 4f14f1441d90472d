#!/bin/sh
# Code and RAM of the firmware on Cortex-M33; fails above the shim's bound (6 KB of code, 1 KB of RAM).
set -eu
cd "$(dirname "$0")/.."
.venv/bin/hil build --target qemu-m33 >/dev/null
cmake --build build/fw/qemu-m33 --target size

# A stack's shim alone, for its core: measure NAME CPU INCLUDE SOURCE… Sections .bss.netx and the like are what the
# vendor's library demands of every application, and are shown, not counted.
measure() {
    name=$1 cpu=$2 include=$3 out=$(mktemp -d)
    shift 3
    for source in "$@"; do
        arm-none-eabi-gcc -mcpu="$cpu" -mthumb -Os -std=c11 -Wall -Wextra -Wconversion -Werror -ffunction-sections \
            -I "$include" -I firmware_shims/include -I firmware_shims/stacks -I firmware_shims/client \
            -c "firmware_shims/$source" -o "$out/$(basename "$source").o"
    done
    arm-none-eabi-size -A "$out"/*.o | awk -v name="$name" '
        $1 ~ /^\.(text|rodata|data)/ { text += $2 }
        $1 ~ /^\.bss\.[a-z0-9]+$/ && $1 ~ /netx/ { library += $2; next }
        $1 ~ /^\.(data|bss)/ { ram += $2 }
        END {
            printf "%s: %d of 6144 bytes of code, %d of 1024 bytes of RAM", name, text, ram
            printf library ? " (and %d bytes of buffers that its library demands)\n" : "\n", library
            exit text > 6144 || ram > 1024
        }' || { rm -rf "$out"; echo "$name is larger than its bound" >&2; exit 1; }
    rm -rf "$out"
}
measure netx cortex-m33 firmware_shims/stacks/netx_model/include stacks/netx.c stacks/netx_setup.c stacks/netx_pem.c \
    stacks/netx_mqtt.c
measure w5500 cortex-m4 firmware_shims/net net/w5500.c net/w5500_net.c net/w5500_dns.c boards/f429/w5500_spi.c client/paho.c
measure jwt cortex-m4 firmware_shims/include jwt/jwt.c client/jwt_password.c
measure spwf04 cortex-m4 firmware_shims/client at/line.c at/certificate.c at/driver.c at/socket.c
