#!/bin/sh
# A freeze of three seconds at five times the load, while none, some or all customers come back when
# Retry-After says so. Shows how long it takes until checkouts are back, and whether honouring matters.
#
#   freeze.sh [--honour 0,0.3,0.55,1] [--report FOLDER]
#
# Two and a half minutes, a fresh gateway on the loopback for each share. The verdict is the exit code.
# FLOODGATE and LOADTEST name programs that are built already.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=freeze
options="--honour --report"
. "$scripts/stage.sh"

read_arguments "$@"
open_stage
folder=$report
worst=0
for honour in $(echo "${honour:-0,0.3,0.55,1}" | tr , ' '); do
    report=$folder/honour-$honour
    code=0
    run_scenario "$root/loadtest/scenarios/t3-retry-storm.toml" || code=$?
    [ "$code" -lt 2 ] || exit "$code"
    [ "$code" -eq 0 ] || worst=1
    end_gateway
done
exit "$worst"
