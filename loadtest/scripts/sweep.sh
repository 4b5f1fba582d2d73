#!/bin/sh
# A sale at 1, 2, 5, 10, 20 and 50 times its load, once with customers only and once beside bots, through
# Floodgate, without a gateway, and through nginx, Envoy and HAProxy as far as they are there.
# Shows how many checkouts are completed when more is offered: a flat line is right, a falling one collapse.
#
#   sweep.sh [--factors 1,2,5] [--scenarios sweep,sweep-bots] [--report FOLDER]
#            [--targets grant,stage,off,none,nginx,nginx-entry,envoy,envoy-entry,haproxy]
#            [--target HOST:PORT [--foreign-target]]
#
# About forty minutes; draws sweep.html and sweep.svg. Each target is started for each run anew, alone, on a
# core of its own if there are two. With --target nothing is started, and the origin listens where the
# scenario says. FLOODGATE, LOADTEST and ENVOY name programs that are there already; NO_INSTALL=1 installs
# nothing.
#
# grant, stage, off: Floodgate as its configuration says (scenarios/gateway/sale.toml), with less, and without
# any memory of what was begun. The variants called entry are set by hand to what the sale can finish.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
name=sweep
options="--factors --foreign-target --report --scenarios --target --targets"
. "$scripts/stage.sh"
. "$scripts/install.sh"

read_arguments "$@"
open_stage
factors=${factors:-1,2,5,10,20,50}
files=
for scenario in $(echo "${scenarios:-sweep,sweep-bots}" | tr , ' '); do
    files="$files $root/loadtest/scenarios/$scenario.toml"
done
if [ -n "$target" ]; then
    # shellcheck disable=SC2086 # one word per scenario
    judge sweep $files --factors "$factors" --report "$report" --target "$target" \
        ${foreign:+-- "$foreign"}
    exit
fi

targets=${targets:-grant,stage,off,none,nginx,nginx-entry,envoy,envoy-entry,haproxy}
case $targets in
    *nginx* | *haproxy*) install_missing nginx haproxy ;;
esac
envoy=
case $targets in
    *envoy*) find_envoy "$built/peers/envoy" ;;
esac
[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 20000 ] \
    || echo "warning: at fifty times the load 20000 open files are needed (ulimit -n)" >&2
find_origin
# Workers of nginx run as another user.
chmod 755 "$work"

# The command that becomes a gateway, as a word of the shell each.
serve() {
    echo "python3 -B '$scripts/peers/serve.py' $1 --origin $origin --work '$work/peers'" \
        "--config '$root/loadtest/scenarios/gateway/sale.toml' --floodgate '$FLOODGATE' --envoy '$envoy'"
}

set -- --factors "$factors" --report "$report"
for one in $(echo "$targets" | tr , ' '); do
    case $one in
        none) set -- "$@" --target "no gateway=$origin" ;;
        grant) set -- "$@" --target "Floodgate=exec:$(serve floodgate-grant)" ;;
        stage) set -- "$@" --target "Floodgate, by step=exec:$(serve floodgate-stage)" ;;
        off) set -- "$@" --target "Floodgate, off=exec:$(serve floodgate-off)" ;;
        nginx) called="nginx limit_req" ;;
        nginx-entry) called="nginx limit_req, entry" ;;
        envoy) called="Envoy adaptive" ;;
        envoy-entry) called="Envoy priorities" ;;
        haproxy) called="HAProxy priorities" ;;
        *) fail "$one is no target; see --help" ;;
    esac
    case $one in
        nginx* | envoy* | haproxy)
            if python3 -B "$scripts/peers/serve.py" "$one" --envoy "$envoy" --check; then
                set -- "$@" --target "$called=exec:$(serve "$one")"
            fi
            ;;
    esac
done
# The gateway has the first core, the load the other one.
if [ "$(nproc)" -gt 1 ] && command -v taskset >/dev/null; then taskset -p -c 1 $$ >/dev/null; fi
# shellcheck disable=SC2086 # one word per scenario
judge sweep $files "$@" -- --origin "$origin"
