#!/bin/sh
# Instructions per request, counted by callgrind in the whole process but the kernel: the same on every run within
# a few in a thousand, where a clock is not. Each is the difference between a run of 2,000 requests and one of 12,000
# over 8 kept connections, so that the start of the process does not count.
# Needs valgrind. FLOODGATE and LOADTEST name programs that are built already.
set -eu
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-target}"
cargo build --quiet --release -p floodgate-gateway --example ask
if [ -z "${FLOODGATE:-}" ] || [ -z "${LOADTEST:-}" ]; then
    cargo build --quiet --release -p floodgate-gateway -p floodgate-loadtest
fi
floodgate="${FLOODGATE:-$target/release/floodgate}"
loadtest="${LOADTEST:-$target/release/floodgate-loadtest}"

work=$(mktemp -d)
gateway=
"$loadtest" origin --listen 127.0.0.1:0 >"$work/origin" 2>&1 &
origin=$!
trap 'kill $origin $gateway 2>/dev/null || true; rm -rf "$work"' EXIT

# Waits until file $1 has an address behind $2, and prints it.
address() {
    for _ in $(seq 200); do
        found=$(sed -n "s/.*$2\([0-9.]*:[0-9][0-9]*\).*/\1/p" "$1" | head -n 1)
        if [ -n "$found" ]; then echo "$found"; return; fi
        sleep 0.1
    done
    cat "$1" >&2
    exit 1
}

upstream=$(address "$work/origin" 'listens on ')
cat >"$work/floodgate.toml" <<EOF
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 1

[upstreams.origin]
servers = ["$upstream"]

[[tiers]]
name = "l1"
deadline = "60s"

[[routes]]
path = "/closed/{*rest}"
tier = "l1"
rate = "0/s"

# The second request of the only client is over the second limit.
[[routes]]
name = "limited"
path = "/limited"
tier = "l1"
limits = [
  { name = "often", key = "client_ip", rate = "1000000/s", burst = 1000000 },
  { name = "seldom", key = "client_ip", rate = "1/h", burst = 1 },
]

# Whoever comes first has the only grant.
[[journeys]]
name = "sale"
identity = "header:x-user-id"
steps = ["enter", "pay"]
max_grants = 1

[[routes]]
name = "enter"
path = "/enter"
tier = "l1"

[[routes]]
name = "pay"
path = "/pay"
tier = "l1"

[[routes]]
path = "/{*rest}"
tier = "l1"
EOF

count() {
    : >"$work/log"
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$floodgate" run --config "$work/floodgate.toml" >"$work/log" 2>&1 &
    gateway=$!
    listen=$(address "$work/log" '"listen":"')
    "$target/release/examples/ask" "$listen" "$1" 8 "$2" "x-user-id: $3"
    kill "$gateway"
    wait "$gateway" || true
    sed -n 's/.*Collected : *//p' "$work/log"
}

# job NAME PATH CUSTOMER: {} in a customer's name is the number of the request.
job() {
    once=$(count "$2" 2000 "$3")
    often=$(count "$2" 12000 "$3")
    printf '%-10s %6d\n' "$1" $(((often - once) / 10000))
}

job refused /closed/goods a{}
job limited /limited a{}     # over the second of two limits per address
job newcomer /enter a{}      # refused at the entry of a journey, and told a time of its own
job early /enter always      # the same customer again and again
job stranger /pay a{}        # a later step without a grant
job proxied /goods a{}

