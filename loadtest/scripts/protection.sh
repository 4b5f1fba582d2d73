#!/bin/sh
# The protection rules, one scenario each: a hot article, a flood of the lowest tier, a flood of another tenant. Shows that who is not
# meant by a rule does not notice: of `hot-key` and `neighbour` the latency with the flood must be within 10 % of that without (three minutes).
#
#   protection.sh [--report FOLDER] [--scenarios NAME,…]
#
# Gateways are started on the loopback, on a core of their own if there are two, and ended again.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=protection
options="--report --scenarios"
. "$scripts/stage.sh"

read_arguments "$@"
open_stage
scenarios=${scenarios:-hot-key,neighbour,t6-mixed-catalogue,t7-tier-shed,t10-tenant-noise}
has=grants,latch,once,tenants
if [ "$(nproc)" -ge 2 ] && command -v taskset >/dev/null; then
    on_gateway="taskset -c 0"
    on_load="taskset -c 1"
fi
folder=$report
failed=
for scenario in $(echo "$scenarios" | tr ',' ' '); do
    case $scenario in
        hot-key | neighbour) config=$scenario ;;
        t10-*) config=tenants ;;
        *) config=sale ;;
    esac
    [ -f "$root/loadtest/scenarios/$scenario.toml" ] || fail "there is no scenario $scenario"
    report=$folder/$scenario
    run_scenario "$root/loadtest/scenarios/$scenario.toml" || failed="$failed $scenario"
    end_gateway
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
echo "all held: $scenarios"
