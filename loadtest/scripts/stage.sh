# shellcheck shell=sh
# What the scripts share: builds the programs, starts a gateway on free ports of the loopback, and ends
# it again whatever happens. To be sourced; wants $scripts, $name, what the report is called by, and
# $options, which of --factors, --foreign-target, --report and --target the script takes.

root=$(cd "$scripts/../.." && pwd)
built=${CARGO_TARGET_DIR:-$root/target}
# Programs that are built already may be named instead.
FLOODGATE=${FLOODGATE:-}
LOADTEST=${LOADTEST:-}
# Folder of the report.
report=$built/loadtest/$name
factors=
target=
# --foreign-target, if the user gave it.
foreign=
work=
pids=

fail() {
    echo "error: $*" >&2
    exit 2
}

# Takes --target HOST:PORT, --foreign-target, --report FOLDER, --factors 1,2,5 as far as $options names
# them; else it is a mistake.
read_arguments() {
    while [ $# -gt 0 ]; do
        case " -h --help $options " in
            *" $1 "*) ;;
            *) fail "$1 is not understood; see --help" ;;
        esac
        case $1 in
            --factors | --report | --target) [ $# -ge 2 ] || fail "$1 wants a value" ;;
        esac
        case $1 in
            --factors) factors=$2; shift ;;
            --foreign-target) foreign=--foreign-target ;;
            --report) report=$2; shift ;;
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

# A gateway in front of the origin that the scenario will start. Sets $target, $admin, $gateway (its
# process) and $origin.
start_gateway() {
    # An origin that is started only to learn of a free port.
    "$LOADTEST" origin >"$work/origin" 2>&1 &
    pids=$!
    origin=$(wait_for "$work/origin" 's/^origin listens on \([^;]*\);.*/\1/p')
    kill "$pids" && wait "$pids" || true
    sed -e 's/^listen .*/listen = "127.0.0.1:0"/' -e 's/^admin .*/admin = "127.0.0.1:0"/' \
        -e "s/^servers .*/servers = [\"$origin\"]/" \
        "$root/loadtest/scenarios/gateway/sale.toml" >"$work/sale.toml"
    "$FLOODGATE" run --config "$work/sale.toml" --print-addresses >"$work/gateway" 2>"$work/log" &
    gateway=$!
    pids=$gateway
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
    start_gateway
    judge run "$1" --target "$target" --origin "$origin" --admin "$admin" \
        --gateway-pid "$gateway" --name floodgate --report "$report"
}

# Runs the load test with these arguments. In the background, since a shell heeds a signal only
# while it waits.
judge() {
    others=$pids
    "$LOADTEST" "$@" &
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
