#!/bin/sh
# One sale at 1, 2, 5, 10, 20 and 50 times its load, through the gateway and straight to the origin.
# Shows what is left of the goodput when more is offered: a flat line is right, a falling one collapse.
#
#   sweep.sh [--factors 1,2,5] [--report FOLDER] [--target HOST:PORT [--foreign-target]]
#
# About five minutes; draws sweep.html and sweep.svg. Without --target a gateway is started on the
# loopback and ended again; with it, the origin listens where scenarios/sweep.toml says.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=sweep
options="--factors --foreign-target --report --target"
. "$scripts/stage.sh"

read_arguments "$@"
open_stage
scenario=$root/loadtest/scenarios/sweep.toml
factors=${factors:-1,2,5,10,20,50}
if [ -n "$target" ]; then
    judge sweep "$scenario" --factors "$factors" --report "$report" --target "$target" \
        ${foreign:+-- "$foreign"}
    exit
fi
start_gateway
judge sweep "$scenario" --factors "$factors" --report "$report" \
    --target "floodgate=$target,admin=$admin" --target "no-gateway=$origin" -- --origin "$origin"
