#!/bin/sh
# labgrid (client, coordinator, exporter) in a venv of its own, .venv-labgrid, because it replaces pyserial; and ser2net,
# which its exporter starts. Only labs of several hosts need it, and the tests in tests/labgrid. A second call does nothing.
#   setup/labgrid.sh [client]   client: without ser2net, for a host that only runs scenarios
# ser2net is not in setup/packages.txt: its package brings a service, which is masked here before it can start.
# Exit 4 when something only the user can do is missing (the one command to run is printed).
set -eu
cd "$(dirname "$0")/.."
stamps=build/.setup
mkdir -p "$stamps"
say() { printf 'setup: %s\n' "$*" >&2; }

client() {
    key=$(cat setup/labgrid-constraints.txt | cksum | tr ' ' '-')
    if [ -e "$stamps/labgrid-$key" ] && [ -x .venv-labgrid/bin/labgrid-client ]; then
        return
    fi
    say "making .venv-labgrid"
    [ -x .venv-labgrid/bin/python ] || python3 -m venv .venv-labgrid
    if ! .venv-labgrid/bin/pip install -q --disable-pip-version-check --only-binary grpcio,protobuf \
        -c setup/labgrid-constraints.txt labgrid >"$stamps/labgrid-pip.log" 2>&1; then
        tail -n 5 "$stamps/labgrid-pip.log" >&2
        say "pip failed (whole log: $stamps/labgrid-pip.log); mend that and run setup/labgrid.sh again"
        exit 4
    fi
    rm -f "$stamps"/labgrid-[0-9]*
    : >"$stamps/labgrid-$key"
}

serial_server() {
    PATH="$PATH:/usr/sbin" command -v ser2net >/dev/null && return
    command='ln -sf /dev/null /etc/systemd/system/ser2net.service && apt-get install -y --no-install-recommends ser2net'
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "ser2net is missing; run this as root, then make again (the first half keeps its service from starting):"
        printf '%s\n' "$command" >&2
        exit 4
    fi
    say "installing ser2net, its service masked"
    # The link masks the unit for systemd, the policy stops init scripts while the package is configured.
    mkdir -p /etc/systemd/system
    [ -e /etc/systemd/system/ser2net.service ] || ln -s /dev/null /etc/systemd/system/ser2net.service
    policy=/usr/sbin/policy-rc.d
    ours=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours=yes
    fi
    log="$stamps/labgrid-apt.log"
    status=0
    export DEBIAN_FRONTEND=noninteractive
    { apt-get install -q -y --no-install-recommends ser2net ||
        { apt-get update -q && apt-get install -q -y --no-install-recommends ser2net; }; } >"$log" 2>&1 || status=$?
    [ -z "$ours" ] || rm -f "$policy"
    if [ "$status" -ne 0 ]; then
        tail -n 5 "$log" >&2
        say "apt-get failed (whole log: $log); mend that and run setup/labgrid.sh again"
        exit 4
    fi
}

client
[ "${1:-}" = client ] || serial_server
