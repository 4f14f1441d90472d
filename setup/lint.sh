#!/bin/sh
# Static checks: ruff, mypy, clang-format, cppcheck over all C, clang-tidy over all C that a host compiles: host programs,
# the firmware's unit tests, the stand-ins of the boards. Nothing is compiled for it.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/ruff check .
.venv/bin/mypy
git ls-files '*.c' '*.h' | xargs -r clang-format --dry-run --Werror
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -j "$(nproc)" \
    --suppress=missingIncludeSystem -I firmware_shims -I firmware_shims/include -I firmware_shims/client \
    -I firmware_shims/stacks $(git ls-files 'harness/*.c' 'firmware_shims/*.c')
if ! command -v clang-tidy >/dev/null; then
    echo "lint: clang-tidy is not installed; apt-get install clang-tidy" >&2
    exit 4
fi

databases=build/host
[ -e build/host/compile_commands.json ] || cmake -S . -B build/host -G Ninja >/dev/null
# A firmware is configured for its compile commands, and the one header that its build makes.
firmware() {
    name=$1
    shift
    cmake -S firmware_shims -B "build/lint/$name" -G Ninja "$@" >/dev/null
    databases="$databases build/lint/$name"
}
firmware units -DHIL_TESTS=ON
for stack in wolfssl mbedtls_w5500 spwf04 netx; do
    firmware $stack -DHIL_BOARD=native -DHIL_STACK=$stack
    cmake --build build/lint/$stack --target hil_build_id >/dev/null
done
firmware netx_ppp -DHIL_BOARD=native_ppp -DHIL_STACK=netx # lwIP under the model, and
firmware ppp -DHIL_BOARD=native_ppp -DHIL_STACK=mbedtls   # lwIP by itself
.venv/bin/python setup/compile_db.py build/lint/compile_commands.json $databases >build/lint/files
status=0
xargs -n 4 -P "$(nproc)" clang-tidy --quiet -p build/lint <build/lint/files 2>build/lint/log || status=$?
grep -Ev '^[0-9]+ warnings? generated\.$' build/lint/log >&2 || : # those are of the libraries' headers
exit $status
