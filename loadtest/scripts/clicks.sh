#!/bin/sh
# A thousand customers press every button five times, and the origin takes each request for a new one.
# Shows that what is passed on once is ordered and charged once (half a minute).
#
#   clicks.sh [--report FOLDER] [--target HOST:PORT [--foreign-target]]
#
# Without --target a gateway is started on the loopback and ended again; with it, the origin listens
# where scenarios/clicks.toml says, and the target has to forward to it.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=clicks
options="--foreign-target --report --target"
. "$scripts/stage.sh"

read_arguments "$@"
open_stage
run_scenario "$root/loadtest/scenarios/clicks.toml"
