#!/bin/sh
# Every libFuzzer target for SECONDS, three at once for each processor. New inputs go to build/fuzz/found/<name>,
# crashes to build/fuzz/crash/<name>. Prints executions and CPU time of each; exit 1 when one crashed.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
echo "fuzz: building"
[ -e build/fuzz/build.ninja ] ||
    CC=clang cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DHIL_FUZZ=ON >/dev/null
ninja -C build/fuzz --quiet
[ -e build/fuzz/firmware/build.ninja ] ||
    CC=clang cmake -S firmware_shims -B build/fuzz/firmware -G Ninja -DHIL_TESTS=ON -DHIL_FUZZ=ON >/dev/null
ninja -C build/fuzz/firmware --quiet

run_one() {
    binary=$1
    name=$(basename "$binary" | sed 's/^fuzz[-_]//')
    corpus=$(find harness firmware_shims -type d -path "*/fuzz/corpus/$name" | head -n 1)
    mkdir -p "build/fuzz/found/$name" "build/fuzz/crash/$name"
    log=build/fuzz/$name.log
    if "$binary" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/crash/$name/" "build/fuzz/found/$name" ${corpus:+"$corpus"} >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        printf '  %-12s %10s executions in %ss\n' "$name" "$runs" "$seconds"
    else
        tail -n 30 "$log"
        printf '  %-12s CRASHED: build/fuzz/crash/%s, log %s\n' "$name" "$name" "$log"
        return 1
    fi
}

status=0
pids=""
targets=$(ls build/fuzz/bin/fuzz[-_]* build/fuzz/firmware/tests/fuzz_* 2>/dev/null | wc -l)
at_once=$((3 * $(nproc)))
echo "fuzz: $targets targets, $at_once at once, ${seconds} s each, $(((targets + at_once - 1) / at_once * seconds)) s in all"
for binary in build/fuzz/bin/fuzz[-_]* build/fuzz/firmware/tests/fuzz_*; do
    [ -x "$binary" ] || continue
    run_one "$binary" &
    pids="$pids $!"
    if [ "$(echo "$pids" | wc -w)" -ge "$at_once" ]; then
        for pid in $pids; do wait "$pid" || status=1; done
        pids=""
    fi
done
for pid in $pids; do wait "$pid" || status=1; done
cat build/fuzz/*.log | sed -n 's/^stat::number_of_executed_units: *//p' |
    awk '{ n += $1 } END { printf "  %-12s %10d executions", "total", n }'
# The second line that `times` prints is of the children: user and system time. In a pipe it would be another shell's.
times >build/fuzz/times
awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, part, "m"); s += part[1] * 60 + part[2] }
    printf " in %.3f CPU hours\n", s / 3600 }' build/fuzz/times
exit $status
