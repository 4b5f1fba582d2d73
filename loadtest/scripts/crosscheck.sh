#!/bin/sh
# The generator beside wrk on the same targets: what is offered is answered, and as much as wrk gets.
# Shows what a request costs either of them, and who is at its limit where they differ.
#
#   crosscheck.sh [--connections N] [--seconds N]
#
# Loopback only, on two cores: the target on one, the load on the other. Default: 64 connections, runs
# of 4 s, about a minute. Exit code 1 if they differ by more than 5 % although the generator had time to
# spare. LOADTEST names a program that is built already; NO_INSTALL=1 installs nothing.
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$scripts/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
. "$scripts/install.sh"

connections=64
seconds=4
fail() {
    echo "error: $*" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --connections | --seconds)
            [ $# -ge 2 ] || fail "$1 wants a value"
            case $2 in '' | *[!0-9]*) fail "$1 wants a number, not $2" ;; esac
            ;;
    esac
    case $1 in
        --connections) connections=$2; shift ;;
        --seconds) seconds=$2; shift ;;
        *) fail "$1 is not understood; see --help" ;;
    esac
    shift
done
[ "$connections" -ge 1 ] && [ "$connections" -le 4096 ] || fail "use 1 to 4096 connections"
[ "$seconds" -ge 2 ] && [ "$seconds" -le 30 ] || fail "use runs of 2 to 30 s"

install_missing wrk
command -v wrk >/dev/null || fail "wrk is not here; install the package wrk"
if [ -z "${LOADTEST:-}" ]; then
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p floodgate-loadtest
fi
exec python3 -B "$scripts/peers/crosscheck.py" --loadtest "${LOADTEST:-$target/release/floodgate-loadtest}" \
    --connections "$connections" --seconds "$seconds"
