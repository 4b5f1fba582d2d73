#!/bin/sh
# The same program built in other ways, side by side: allocator, link-time optimisation, processor level.
# Prints medians of the CPU time per refused and per proxied request over interleaved rounds.
#
#   variants.sh [ROUNDS]     default 5; about ten minutes to build and two a round; needs what compare.sh needs
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-5}
case $rounds in '' | *[!0-9]* | 0) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
out=${CARGO_TARGET_DIR:-target}/variants
mkdir -p "$out"

build() {
    name=$1; shift
    [ -x "$out/$name" ] && return
    "$@" cargo build --quiet --release -p floodgate-gateway --bin floodgate ${features:-} --target-dir "$out/$name.build"
    cp "$out/$name.build/release/floodgate" "$out/$name"
}
cargo build --quiet --release -p floodgate-loadtest --target-dir "$out/as-shipped.build"
build as-shipped env
features=--no-default-features build system-allocator env
build no-lto env CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
build x86-64-v3 env RUSTFLAGS='-C target-cpu=x86-64-v3'

for round in $(seq "$rounds"); do
    for name in as-shipped system-allocator no-lto x86-64-v3; do
        FLOODGATE=$out/$name LOADTEST=$out/as-shipped.build/release/floodgate-loadtest CARGO_TARGET_DIR=$out/$name.$round \
            loadtest/scripts/compare.sh --only refuse,proxy --peers floodgate --rounds 1 --seconds 1 >/dev/null 2>&1
    done
done
python3 - "$out" "$rounds" <<'PYEND'
import json, statistics, sys
out, rounds = sys.argv[1], int(sys.argv[2])
columns = [("refuse", 64), ("refuse", 512), ("refuse", 4000), ("proxy", 64), ("proxy", 512)]
print("| built | " + " | ".join(f"{job} {count}" for job, count in columns) + " |")
print("|---|" + "---:|" * len(columns))
base = None
for name in ("as-shipped", "system-allocator", "no-lto", "x86-64-v3"):
    runs = [json.load(open(f"{out}/{name}.{n}/compare/compare.json"))["rounds"] for n in range(1, rounds + 1)]
    row = [statistics.median(run[job]["floodgate"][0]["cpu_us"][str(count)] for run in runs) for job, count in columns]
    base = base or row
    print(f"| {name} | " + " | ".join(f"{value:.1f} ({value / first:.2f}x)" for value, first in zip(row, base)) + " |")
PYEND
