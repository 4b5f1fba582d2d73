# shellcheck shell=sh
# What the scripts share: builds the programs, starts a gateway on free ports of the loopback, and ends
# it again whatever happens. To be sourced; wants $scripts, $name, what the report is called by, and
# $options, which of those in read_arguments the script takes.

root=$(cd "$scripts/../.." && pwd)
built=${CARGO_TARGET_DIR:-$root/target}
# Programs that are built already may be named instead.
FLOODGATE=${FLOODGATE:-}
LOADTEST=${LOADTEST:-}
# The gateway's configuration; how both are started, to be pinned to cores of their own; what the gateway has.
config=sale
on_gateway=
on_load=
has=grants,latch,once
# Folder of the report.
report=$built/loadtest/$name
factors=
honour=
most=
requests=
scenarios=
target=
targets=
# --foreign-target, if the user gave it.
foreign=
work=
pids=

fail() {
    echo "error: $*" >&2
    exit 2
}

# Takes the options that $options names; every other one is a mistake.
read_arguments() {
    while [ $# -gt 0 ]; do
        case " -h --help $options " in
            *" $1 "*) ;;
            *) fail "$1 is not understood; see --help" ;;
        esac
        case $1 in
            -h | --help | --foreign-target) ;;
            *) [ $# -ge 2 ] || fail "$1 wants a value" ;;
        esac
        case $1 in
            --factors) factors=$2; shift ;;
            --foreign-target) foreign=--foreign-target ;;
            --honour) honour=$2; shift ;;
            --most) most=$2; shift ;;
            --report) report=$2; shift ;;
            --requests) requests=$2; shift ;;
            --scenarios) scenarios=$2; shift ;;
            --targets) targets=$2; shift ;;
            --target) target=$2; shift ;;
            -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        esac
        shift
    done
    [ -z "$foreign" ] || [ -n "$target" ] || fail "--foreign-target wants --target as well"
}

# Builds what is not named, and from here on ends what was started, whatever happens.
open_stage() {
    if [ -z "$FLOODGATE" ] || [ -z "$LOADTEST" ]; then
        cargo build --quiet --release --manifest-path "$root/Cargo.toml" \
            -p floodgate-gateway -p floodgate-loadtest
    fi
    FLOODGATE=${FLOODGATE:-$built/release/floodgate}
    LOADTEST=${LOADTEST:-$built/release/floodgate-loadtest}
    work=$(mktemp -d)
    trap clear_stage EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# Ends the gateway, so that another one can be started.
end_gateway() {
    kill "$gateway" 2>/dev/null || true
    kill "$gateway" 2>/dev/null || true
    wait "$gateway" 2>/dev/null || true
    target=
}

# Ends what this script started, by process id, and nothing else.
clear_stage() {
    trap - EXIT
    # A sweep has children of its own.
    for pid in $pids; do pkill -P "$pid" 2>/dev/null || true; done
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    # A second signal ends a gateway that drains.
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}

# Sets $origin to an address of the loopback for the origin of a scenario.
find_origin() {
    # One that is started only to learn of a free port.
    "$LOADTEST" origin >"$work/origin" 2>&1 &
    pids=$!
    origin=$(wait_for "$work/origin" 's/^origin listens on \([^;]*\);.*/\1/p')
    kill "$pids" && wait "$pids" || true
    pids=
}

# A gateway in front of $origin. Sets $target, $admin and $gateway (its process).
start_gateway() {
    sed -e 's/^listen .*/listen = "127.0.0.1:0"/' -e 's/^admin .*/admin = "127.0.0.1:0"/' \
        -e "s/^servers .*/servers = [\"$origin\"]/" \
        "$root/loadtest/scenarios/gateway/$config.toml" >"$work/$config.toml"
    $on_gateway "$FLOODGATE" run --config "$work/$config.toml" --print-addresses >"$work/gateway" 2>"$work/log" &
    gateway=$!
    pids="$pids $gateway"
    target=$(wait_for "$work/gateway" 's/^listening \([^ ]*\) admin .*/\1/p')
    admin=$(wait_for "$work/gateway" 's/^listening .* admin \(.*\)/\1/p')
}

# Runs one scenario against $target; without one against a gateway of our own, which is then asked
# for its own view as well. With a target the origin listens where the scenario says.
run_scenario() {
    if [ -n "$target" ]; then
        judge run "$1" --target "$target" $foreign --report "$report"
        return
    fi
    find_origin
    start_gateway
    judge run "$1" --target "$target" --origin "$origin" --admin "$admin" --has "$has" \
        --gateway-pid "$gateway" --name floodgate --report "$report" ${honour:+--honour "$honour"}
}

# Runs the load test with these arguments. In the background, since a shell heeds a signal only
# while it waits.
judge() {
    others=$pids
    $on_load "$LOADTEST" "$@" &
    pids="$others $!"
    code=0
    wait "$!" || code=$?
    pids=$others
    return "$code"
}

# What `sed -n $2` finds in the file $1, within ten seconds.
wait_for() {
    tries=0
    while [ "$tries" -lt 100 ]; do
        found=$(sed -n "$2" "$1" 2>/dev/null | head -n 1)
        if [ -n "$found" ]; then
            echo "$found"
            return 0
        fi
        sleep 0.1
        tries=$((tries + 1))
    done
    cat "$work"/* >&2
    fail "what was started did not come up"
}
