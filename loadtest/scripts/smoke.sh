#!/bin/sh
# A sale below the origin's capacity, for some seconds: every customer must be able to buy.
# Shows that gateway, origin and judge work together; fails with what was not as promised.
#
#   smoke.sh [--report FOLDER] [--target HOST:PORT [--foreign-target]]
#
# Without --target a gateway is started on the loopback and ended again; with it, the origin listens
# where scenarios/smoke.toml says, and the target has to forward to it.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=smoke
options="--foreign-target --report --target"
. "$scripts/stage.sh"

read_arguments "$@"
open_stage
run_scenario "$root/loadtest/scenarios/smoke.toml"
