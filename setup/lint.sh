#!/bin/sh
# Static checks that take longer than `make test` should: clang-tidy where it is installed, and cppcheck.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/ruff check .
.venv/bin/mypy
git ls-files '*.c' '*.h' | xargs -r clang-format --dry-run --Werror
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    --suppress=missingIncludeSystem -I firmware_shims/include $(git ls-files 'harness/*.c')
if command -v clang-tidy >/dev/null; then
    [ -e build/host/compile_commands.json ] || cmake -S . -B build/host -G Ninja >/dev/null
    clang-tidy --quiet -p build/host $(git ls-files 'harness/*.c' | grep -v /fuzz/)
else
    echo "lint: clang-tidy is not installed; apt-get install clang-tidy" >&2
    exit 4
fi
