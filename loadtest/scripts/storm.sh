#!/bin/sh
# A sale with everything at once, half a minute: a step to ten times the capacity, bots, floods.
# Shows who still gets through, how fast the others are refused, and what the gateway spent on it.
#
#   storm.sh [--report FOLDER] [--target HOST:PORT [--foreign-target]]
#
# Without --target a gateway is started on the loopback and ended again; with it, the origin listens
# where scenarios/storm.toml says, and the target has to forward to it.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=storm
options="--foreign-target --report --target"
. "$scripts/stage.sh"

read_arguments "$@"
open_stage
run_scenario "$root/loadtest/scenarios/storm.toml"
