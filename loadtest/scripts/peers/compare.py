"""Runs the comparison: rounds of all jobs, the gateways one after the other within each.

Called by compare.sh, which finds and installs the programs.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

import gateways
import jobs
import process
import tables

JOBS = {"refuse": jobs.refuse, "limits": jobs.limits, "proxy": jobs.proxy, "idle": jobs.idle, "overload": jobs.overload,
        "workers": jobs.workers, "flood": jobs.flood}
# What is run unless it is said; the flood takes two minutes each time.
USUAL = "refuse,limits,proxy,idle,overload,workers"
MAX_ROUNDS = 20
MAX_SECONDS = 30
# The overload job opens this many on both sides of a gateway.
FILES = 16_384


def main():
    args = _arguments()
    if args.check:
        return
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("error: this needs two cores, one for the gateway and one for the load")
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, lambda number, _: sys.exit(128 + number))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < FILES:
        sys.exit(f"error: {most} open files are too few; allow {FILES} (ulimit -n)")
    tools = gateways.Tools(args.floodgate, args.loadtest, args.envoy)
    meta = _meta(args, tools)
    rounds = {}
    try:
        with tempfile.TemporaryDirectory(prefix="floodgate-compare-") as work:
            # Workers of nginx run as another user.
            os.chmod(work, 0o755)
            for number in range(args.rounds):
                for job in args.only:
                    _round(number, job, args, tools, work, rounds, meta)
    finally:
        process.stop_all()
    text = tables.render(tables.Results(rounds), meta)
    print(text)
    os.makedirs(args.out, exist_ok=True)
    for name, content in (("compare.md", text),
                          ("compare.json", json.dumps({"meta": meta, "rounds": rounds}, indent=1))):
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as out:
            out.write(content)
    print(f"written: {args.out}/compare.md and compare.json", file=sys.stderr)


def _round(number, job, args, tools, work, rounds, meta):
    """One job with every gateway; who comes first changes from round to round."""
    names = [name for name in gateways.ORDER
             if name in gateways.JOBS[job] and name.partition("-")[0] in args.peers]
    turn = number % len(names) if names else 0
    for name in names[turn:] + names[:turn]:
        print(f"round {number + 1}/{args.rounds}: {job}: {name}", file=sys.stderr)
        try:
            figures = _measure(job, name, args.seconds, tools, work)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            problem = f"{name}, {job}: {error}"
            print(f"  {problem}", file=sys.stderr)
            if problem not in meta["problems"]:
                meta["problems"].append(problem)
            continue
        rounds.setdefault(job, {}).setdefault(name, []).append(figures)


def _measure(job, name, seconds, tools, work):
    """A fresh origin and a fresh gateway for every job of every round."""
    if job == "overload":
        settings = gateways.ADAPTIVE if name == "envoy-adaptive" else gateways.OVERLOAD
        arguments = gateways.overloaded_origin()
    else:
        settings, arguments = gateways.OPEN, []
    port, origin = gateways.start_origin(tools, work, arguments)
    try:
        gateway = gateways.Gateway(name, tools, f"{work}/{name}", port, settings)
        try:
            return JOBS[job](gateway, tools, seconds)
        finally:
            gateway.stop()
    finally:
        origin.stop()


def _arguments():
    # The usage is that of compare.sh, which passes on what it does not know.
    parser = argparse.ArgumentParser(prog="compare.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s; to see that it works")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--seconds", type=int, help="per measurement; default 3")
    parser.add_argument("--only", default=USUAL, help="some of " + ",".join(JOBS))
    parser.add_argument("--peers", default="floor,none,nginx,haproxy,envoy,floodgate",
                        help="some of floor,none,nginx,haproxy,envoy,floodgate")
    parser.add_argument("--check", action="store_true", help="only look at the arguments")
    parser.add_argument("--out", required=True, help="directory of compare.md and compare.json")
    parser.add_argument("--floodgate", required=True, help="the gateway's program")
    parser.add_argument("--loadtest", required=True, help="the load test's program")
    parser.add_argument("--envoy", default="", help="Envoy's program")
    parser.add_argument("--command", default="compare.sh", help="as it was typed")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.seconds = args.seconds or (1 if args.quick else 3)
    if not 1 <= args.rounds <= MAX_ROUNDS or not 1 <= args.seconds <= MAX_SECONDS:
        parser.error(f"use 1 to {MAX_ROUNDS} rounds of 1 to {MAX_SECONDS} s")
    args.only, args.peers = args.only.split(","), args.peers.split(",")
    known = {name.partition("-")[0] for name in gateways.ORDER}
    for given, all_of in ((args.only, set(JOBS)), (args.peers, known)):
        if not set(given) <= all_of:
            parser.error(f"{','.join(sorted(set(given) - all_of))}: use {','.join(sorted(all_of))}")
    return args


def _meta(args, tools):
    missing = [name for name in tools.missing() if name in args.peers]
    args.peers = [name for name in args.peers if name not in missing]
    if not tools.wrk and set(args.only) - {"idle", "overload"}:
        sys.exit("error: wrk is missing; install it or use --only idle,overload")
    model = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
             if line.startswith("model name")]
    commit = subprocess.run(["git", "-C", gateways.HERE, "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {
        "command": args.command,
        "commit": commit or "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model[0] if model else "?",
        "kernel": os.uname().release,
        "load_average": os.getloadavg()[0],
        "missing": missing,
        "problems": [],
        "rounds": args.rounds,
        "seconds": args.seconds,
        "started_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "versions": tools.versions(),
    }


if __name__ == "__main__":
    main()
