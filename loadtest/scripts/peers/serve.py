"""Becomes one of the gateways of a sale, pinned to a core, and says where it listens.

Called by sweep.sh for every run anew. Prints `listening HOST:PORT` and takes the gateway's place.
"""

import argparse
import os
import sys

import gateways
import process

# What the scenarios of the sweep say of their origin: requests at once, calls per second, calls of a checkout.
WORKERS = 5
CAPACITY = 450
CALLS = 5

# A tenth less where rates are limited: an origin that has a line is slower, and needs a while to get rid of it.
RATE = CAPACITY * 9 // 10

SETTINGS = {
    "CALLS_BURST": RATE // 2,
    "CALLS_RATE": RATE,
    "ENTRIES_BURST": RATE // CALLS // 2,
    "ENTRIES_RATE": RATE // CALLS,
    # At once: the origin's line is as long as its workers are many.
    "MOST": 2 * WORKERS,
    "SERVICE_TIME": f"{WORKERS / CAPACITY:.3f}s",
    "WORKERS": WORKERS,
}
COMMENT = "# "
# What is known beforehand of the sale is set by hand in the variants called `entry`: how many checkouts per
# second the origin can finish (nginx), how many of its workers are busy with first steps then (Envoy).
GATEWAYS = {
    "envoy": {"ADAPTIVE": "true", "MAX_ENTRIES": 16384, "MAX_OTHERS": 16384},
    "envoy-entry": {"ADAPTIVE": "false", "MAX_ENTRIES": WORKERS // CALLS, "MAX_OTHERS": 2 * WORKERS},
    "floodgate-grant": {},
    "floodgate-off": {},
    "floodgate-stage": {},
    "haproxy": {},
    "nginx": {"LIMIT_CALLS": "", "LIMIT_ENTRIES": COMMENT},
    "nginx-entry": {"LIMIT_CALLS": COMMENT, "LIMIT_ENTRIES": ""},
}
FILES = {"envoy": "envoy.yaml", "haproxy": "haproxy.cfg", "nginx": "nginx.conf"}


def main():
    args = _arguments()
    kind, _, variant = args.name.partition("-")
    tools = gateways.Tools(args.floodgate, None, args.envoy)
    if not getattr(tools, kind):
        sys.exit(f"left out: {kind} is not installed")
    if args.check:
        return
    if not args.origin or not args.work:
        sys.exit("error: --origin and --work are needed")
    os.makedirs(args.work, exist_ok=True)
    # Workers of nginx run as another user.
    os.chmod(args.work, 0o755)
    if kind == "floodgate":
        argv = _floodgate(tools, variant, args)
    else:
        argv = _peer(tools, kind, args)
    # The load has the other one; a machine with one core has to share it.
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {process.GATEWAY_CORE})
    sys.stdout.flush()
    os.execv(argv[0], argv)


def _floodgate(tools, sticky, args):
    """It says itself where it listens."""
    os.environ.update({
        "FLOODGATE__SERVER__LISTEN": "127.0.0.1:0",
        "FLOODGATE__SERVER__ADMIN": "127.0.0.1:0",
        "FLOODGATE__UPSTREAMS__CHECKOUT__SERVERS": f'["{args.origin}"]',
        "FLOODGATE__JOURNEYS__SALE__STICKY": sticky,
    })
    return [os.path.abspath(tools.floodgate), "run", "--config", args.config, "--print-addresses"]


def _peer(tools, kind, args):
    port = process.free_port()
    host, _, origin_port = args.origin.rpartition(":")
    values = {
        **SETTINGS,
        **GATEWAYS[args.name],
        "LISTEN": f"127.0.0.1:{port}",
        "LISTEN_HOST": "127.0.0.1",
        "LISTEN_PORT": port,
        "ORIGIN": args.origin,
        "ORIGIN_HOST": host,
        "ORIGIN_PORT": origin_port,
        "WORK": args.work,
    }
    print(f"listening 127.0.0.1:{port}")
    config = gateways.fill(f"sale/{FILES[kind]}", args.work, values)
    return gateways.command(kind, tools, args.work, config)


def _arguments():
    parser = argparse.ArgumentParser(prog="serve.py", description=__doc__)
    parser.add_argument("name", choices=sorted(GATEWAYS))
    parser.add_argument("--origin", help="HOST:PORT of the origin")
    parser.add_argument("--work", help="folder for its configuration")
    parser.add_argument("--config", help="configuration of Floodgate")
    parser.add_argument("--floodgate", help="Floodgate's program")
    parser.add_argument("--envoy", help="Envoy's program")
    parser.add_argument("--check", action="store_true", help="only say whether it is installed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
