#!/bin/sh
# Ten million requests from names, with keys, grants and products that somebody has made up.
# Shows what the gateway keeps of them: its memory has to stay within a bound.
#
#   invented.sh [--requests N] [--most MIB]
#
# Half of the requests begin a checkout, the others go on with one that was never begun. At most ten
# minutes; fails when resident memory has grown by more than MIB (256), or when the gateway is gone.
# wrk is installed if it may be; FLOODGATE and LOADTEST name programs that are built already.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=invented
options="--most --requests"
. "$scripts/stage.sh"
. "$scripts/install.sh"

read_arguments "$@"
requests=${requests:-10000000}
most=${most:-256}
open_stage
install_missing wrk
command -v wrk >/dev/null || fail "wrk is not installed"
"$LOADTEST" origin --workers 5 --service-time 11ms --stock hot=10000000 >"$work/origin" 2>&1 &
pids=$!
origin=$(wait_for "$work/origin" 's/^origin listens on \([^;]*\);.*/\1/p')
start_gateway

# A figure of the gateway's process in KiB: VmRSS, VmHWM.
memory() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$gateway/status"; }
mib() { echo "$(($1 / 1024)) MiB"; }

sent=0
round=0
before=$(memory VmRSS)
row() { printf '%12s%12s%12s\n' "$@"; }
row requests resident peak
row 0 "$(mib "$before")" "$(mib "$(memory VmHWM)")"
while [ "$sent" -lt "$requests" ] && [ "$round" -lt 60 ]; do
    round=$((round + 1))
    # The number of the round keeps its names apart from those of the others.
    wrk -t1 -c512 -d10s -s "$scripts/peers/invented.lua" "http://$target" -- "$round" >"$work/wrk" &
    others=$pids
    pids="$others $!"
    wait "$!" || fail "wrk ended early: $(cat "$work/wrk")"
    pids=$others
    did=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$work/wrk")
    [ "${did:-0}" -gt 0 ] || fail "nothing was answered: $(tail -n 5 "$work/log")"
    sent=$((sent + did))
    row "$sent" "$(mib "$(memory VmRSS)")" "$(mib "$(memory VmHWM)")"
done
grown=$((($(memory VmRSS) - before) / 1024))
echo "grown by $grown MiB, $most allowed"
[ "$sent" -ge "$requests" ] || fail "only $sent of $requests requests in ten minutes"
[ "$grown" -le "$most" ]
