#!/bin/sh
# 200 changes of the configuration in 20 s under load: limits, rates, weights, buffer, by file and by API.
# Shows whether any request fails, whether every refusal is one that a limit explains, and what a change costs.
#
#   reload.sh
#
# 22 s without changes, 22 s with, on an origin and a gateway on the loopback that are ended again. The
# verdict is the exit code. FLOODGATE and LOADTEST name programs that are built already.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=reload
options=""
. "$scripts/stage.sh"

read_arguments "$@"
open_stage
"$LOADTEST" origin --workers 16 --service-time 5ms >"$work/origin" 2>&1 &
pids="$pids $!"
origin=$(wait_for "$work/origin" 's/^origin listens on \([^;]*\);.*/\1/p')

helper() { python3 "$scripts/reload.py" "$@"; }

helper text 0 "$origin" >"$work/floodgate.toml"
"$FLOODGATE" run --config "$work/floodgate.toml" --print-addresses >"$work/gateway" 2>"$work/log" &
gateway=$!
pids="$pids $gateway"
target=$(wait_for "$work/gateway" 's/^listening \([^ ]*\) .*/\1/p')
admin=$(wait_for "$work/gateway" 's/^listening .* admin \(.*\)/\1/p')

# Orders fit always, coupons are twice what their rate lets in. The verdict is ours, not the load test's.
offer() {
    judge load --target "$target" --rate 1600 --seconds 22 --poisson --timeout 2s --connections 1024 \
        --path 'POST /orders' --weight 1 --path 'GET /coupons' --weight 3 --json >"$work/$1" || true
}

echo "reload: 22 s without changes"
offer calm
helper measure "$admin" "$gateway" >"$work/before"
echo "reload: 22 s with 200 changes"
helper change "$admin" "$origin" "$work/floodgate.toml" >"$work/changes" &
changes=$!
pids="$pids $changes"
offer stirred
wait "$changes" || fail "the changes did not go through: $(tail -n 3 "$work/log")"
helper measure "$admin" "$gateway" >"$work/after"
helper verdict "$work"
