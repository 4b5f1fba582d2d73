#!/bin/sh
# Instructions per operation, counted by callgrind: exact and the same on every run, where a clock is neither.
# Each is the difference between a run of 100,000 and one of 200,000, so that the start of the process does not count.
# Needs valgrind.
set -eu
cd "$(dirname "$0")/../.."
cargo build --release -p floodgate-limiter --example instructions
program="${CARGO_TARGET_DIR:-target}/release/examples/instructions"

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : *//p'
}

for operation in loop gate floor refuse permit wait peek take look unknown knows replay early return newcomer entry call key keytake; do
    once=$(count "$operation" 100000)
    twice=$(count "$operation" 200000)
    printf '%-8s %5d\n' "$operation" $(((twice - once) / 100000))
done
