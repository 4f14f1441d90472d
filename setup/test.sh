#!/bin/sh
# `make test`: fast checks first, then C under ASan + UBSan, then every firmware is built once, then pytest, whose closing
# line is the last one.
set -eu
cd "$(dirname "$0")/.."
started=$(date +%s)
step() { printf '== %s (%ss)\n' "$*" "$(($(date +%s) - started))"; }

setup/labgrid.sh # for tests/labgrid

step "formatting, types"
.venv/bin/ruff check -q .
.venv/bin/mypy
git ls-files '*.c' '*.h' | xargs -r clang-format --dry-run --Werror

step "C unit tests under ASan + UBSan"
[ -e build/asan/build.ninja ] || cmake -S . -B build/asan -G Ninja -DCMAKE_BUILD_TYPE=Debug -DHIL_SANITIZE=ON >/dev/null
ninja -C build/asan --quiet
ctest --test-dir build/asan --output-on-failure --timeout 120 -Q || {
    ctest --test-dir build/asan --output-on-failure --rerun-failed --timeout 120
    exit 1
}

step "firmware of every target that has one here"
targets=$(.venv/bin/python -c 'from harness import target as t; print(*(n for n, one in t.load().items() if one.build.command))')
for target in $targets; do
    .venv/bin/hil build --target "$target" >/dev/null
done

step "pytest"
exec .venv/bin/pytest -n "${HIL_TEST_WORKERS:-3}" --dist loadgroup --durations=10 tests
