#!/bin/sh
# Floodgate beside nginx, HAProxy and Envoy, and above the floor: cost, memory, behaviour in overload.
# Installs what is missing if it may, runs interleaved rounds on two pinned cores, prints Markdown.
#
#   compare.sh [--quick] [--only refuse,limits,proxy,idle,overload,workers,flood] [--peers nginx,haproxy,envoy,floodgate]
#              [--rounds N] [--seconds N]
#
# Loopback only. Default: 5 rounds of 3 s, about 25 minutes; --quick: two.
# FLOODGATE, LOADTEST and ENVOY name programs that are there already; NO_INSTALL=1 installs nothing.
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$scripts/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
out=$target/compare

for argument in "$@"; do
    case $argument in
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    esac
done

# Mistakes are told before anything is installed or built.
python3 -B "$scripts/peers/compare.py" --check --out "$out" --floodgate "" --loadtest "" "$@" || exit 2

. "$scripts/install.sh"
install_missing nginx haproxy wrk
find_envoy "$target/peers/envoy"

if [ -z "${FLOODGATE:-}" ] || [ -z "${LOADTEST:-}" ]; then
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" \
        -p floodgate-gateway -p floodgate-loadtest
fi

exec python3 -B "$scripts/peers/compare.py" --out "$out" --envoy "$envoy" \
    --floodgate "${FLOODGATE:-$target/release/floodgate}" \
    --loadtest "${LOADTEST:-$target/release/floodgate-loadtest}" \
    --command "loadtest/scripts/compare.sh${*:+ $*}" "$@"
