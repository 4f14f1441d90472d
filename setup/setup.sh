#!/bin/sh
# Everything a fresh machine needs, once: packages, .venv, library sources, host programs.
# Each part leaves a stamp named by the hash of what it depends on, so that a second call does nothing.
# Exit 4 when something only the user can do is missing (the one command to run is printed).
set -eu
cd "$(dirname "$0")/.."
stamps=build/.setup
mkdir -p "$stamps"

hash_of() { cat "$@" | cksum | tr ' ' '-'; }
done_with() { [ -e "$stamps/$1-$2" ]; }
mark() { rm -f "$stamps/$1"-*; : >"$stamps/$1-$2"; }
say() { printf 'setup: %s\n' "$*" >&2; }

packages() {
    key=$(hash_of setup/packages.txt)
    done_with packages "$key" && return
    wanted=$(grep -v '^#' setup/packages.txt)
    if ! command -v dpkg-query >/dev/null; then
        say "this is not Debian or a relative of it; install the tools named in setup/packages.txt yourself"
        say "then run: touch $stamps/packages-$key"
        exit 4
    fi
    missing=""
    for package in $wanted; do
        case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || :) in
        installed) ;;
        *) missing="$missing $package" ;;
        esac
    done
    if [ -n "$missing" ]; then
        if [ "$(id -u)" -ne 0 ]; then
            say "packages are missing; run this, then make again:"
            printf 'sudo apt-get install -y --no-install-recommends%s\n' "$missing" >&2
            exit 4
        fi
        say "installing packages:$missing"
        export DEBIAN_FRONTEND=noninteractive
        log="$stamps/apt.log"
        if ! { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
            tail -n 5 "$log" >&2
            say "apt-get failed (whole log: $log); mend that and run make again"
            exit 4
        fi
    fi
    mark packages "$key"
}

venv() {
    key=$(hash_of pyproject.toml setup/constraints.txt)
    done_with venv "$key" && return
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        say "python3 is $(python3 --version 2>&1); 3.11 or newer is needed"
        exit 4
    fi
    say "making .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    if ! .venv/bin/pip install -q --disable-pip-version-check -c setup/constraints.txt -e '.[dev]' \
        >"$stamps/pip.log" 2>&1; then
        tail -n 5 "$stamps/pip.log" >&2
        say "pip failed (whole log: $stamps/pip.log); mend that and run make again"
        exit 4
    fi
    mark venv "$key"
}

sources() {
    key=$(hash_of setup/sources.toml setup/sources.py)
    done_with sources "$key" && return
    say "fetching mbedTLS, wolfSSL and lwIP sources"
    .venv/bin/python setup/sources.py build/src || exit 4
    mark sources "$key"
}

host_programs() {
    [ ! -e build/host/build.ninja ] || ninja -C build/host -n | grep -q 'no work to do' || say "building the host programs"
    if [ ! -e build/host/build.ninja ]; then
        say "building the host programs"
        cmake -S . -B build/host -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >"$stamps/cmake.log" 2>&1 ||
            { tail -n 20 "$stamps/cmake.log" >&2; exit 4; }
    fi
    ninja -C build/host >"$stamps/ninja.log" 2>&1 ||
        { grep -m 5 -E 'error|FAILED' "$stamps/ninja.log" >&2; say "the host programs do not build (whole log: $stamps/ninja.log)"; exit 4; }
}

packages
venv
sources
host_programs
