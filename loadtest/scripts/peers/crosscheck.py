"""Measures one target after the other with wrk and with the generator. Called by crosscheck.sh."""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

import process

# What is compared with wrk must come this near.
TOLERANCE = 0.05
# Share of a core from which its user counts as at its limit.
FULL = 0.9
# Seconds of a run in which nothing is asked: a process starts, and ends.
START = 0.3
# Of what wrk reached; the last is more than the target can take.
SHARES = (0.5, 0.8, 1.2)
WARM_UP = 1
PATH = "/goods"
# The last has a capacity of its own, far below what either load can make: 8 workers of 1 ms.
TARGETS = (
    ("floor", ["floor"]),
    ("origin", ["origin"]),
    ("origin, 8 workers of 1 ms", ["origin", "--workers", "8", "--service-time", "1ms"]),
)
COLUMNS = ("target", "load", "offered/s", "answered/s", "of offered", "of wrk", "p50 ms", "p99 ms",
           "CPU µs per request: load", "target", "at its limit")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loadtest", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("error: this needs two cores, one for the target and one for the load")
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, lambda number, _: sys.exit(128 + number))
    faults = []
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---:|" * (len(COLUMNS) - 3) + "---|", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="floodgate-crosscheck-") as work:
            for name, argv in TARGETS:
                faults += _target(name, argv, args, work)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        process.stop_all()
    print()
    for fault in faults:
        print(fault)
    if not faults:
        print("what is offered is answered, and as much as with wrk, each within 5 %")
    # Being at its limit is a finding about the generator; being off with time to spare is a fault.
    sys.exit(1 if any(fault.startswith("FAIL") for fault in faults) else 0)


def _target(name, argv, args, work):
    """The rows of one target, printed as they come; what is to be said about them."""
    port = process.free_port()
    listen = ["--listen", f"127.0.0.1:{port}"]
    target = process.Process([args.loadtest, *argv, *listen], process.GATEWAY_CORE,
                             os.path.join(work, "target.log"))
    try:
        target.wait_for_port(port)
        wrk = _wrk(target, port, args)
        _print(name, "wrk", wrk, wrk)
        faults = []
        for share in SHARES:
            rate = round(share * wrk["answered"])
            ours = _ours(target, port, rate, args)
            load = f"generator, {share:.0%} of wrk"
            _print(name, load, ours, wrk)
            faults += _judge(f"{name}, {load}", ours, min(rate, wrk["answered"]))
        return faults
    finally:
        target.stop()


def _judge(what, run, wanted):
    missing = 1 - run["answered"] / wanted
    if abs(missing) <= TOLERANCE:
        return []
    limit = ", ".join(run["full"]) or "nobody"
    # Who cannot ask faster has not measured the target, nor who has to share a core.
    excused = missing < 0 or any(name != "target" for name in run["full"])
    kind = "note" if excused else "FAIL"
    return [f"{kind}: {what}: {run['answered']:,.0f} answered a second instead of {wanted:,.0f} "
            f"({-missing:+.1%}); at its limit: {limit}"]


def _wrk(target, port, args):
    argv = ["wrk", "-t1", f"-c{args.connections}", f"-d{args.seconds}s", "--timeout", "10s",
            "--latency", f"http://127.0.0.1:{port}{PATH}"]
    text, effort = _measured(target, argv, args)
    count = re.search(r"(\d+) requests in ", text)
    quantiles = {at: re.search(rf"{at}%\s+([\d.]+)(us|ms|s)", text) for at in (50, 99)}
    if not count or not all(quantiles.values()):
        raise RuntimeError(f"wrk found nothing: {text.strip()[-200:]}")
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    p50, p99 = (float(it[1]) * scale[it[2]] for it in quantiles.values())
    requests = int(count[1])
    return _run(None, requests / args.seconds, p50, p99, requests, effort)


def _ours(target, port, rate, args):
    argv = [args.loadtest, "load", "--target", f"127.0.0.1:{port}", "--json", "--path", PATH,
            "--rate", str(rate), "--seconds", str(args.seconds), "--warm-up", str(WARM_UP),
            "--connections", str(args.connections)]
    text, effort = _measured(target, argv, args)
    try:
        found = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise RuntimeError(f"the generator failed: {text.strip()[-200:]}") from error
    figures = found["classes"][PATH]
    latency = figures["success_us"] or figures["refusal_us"]
    if not latency:
        raise RuntimeError(f"nothing was answered: {figures}")
    # By second, since what still waits at the end is answered after it.
    answered = [second["answered"] for second in found["per_second"]]
    answered = sum(answered) / len(answered)
    requests = answered * (args.seconds + WARM_UP)
    return _run(rate, answered, latency["p50"] / 1e3, latency["p99"] / 1e3, requests, effort)


def _measured(target, argv, args):
    """Output of a load, and the CPU seconds of it and of its target."""
    before, own, idle = target.cpu_seconds(), _children(), _idle()
    began = time.monotonic()
    text = process.run(argv, process.LOAD_CORE, args.seconds + WARM_UP + 30)
    wall = time.monotonic() - began
    used = {"load": _children() - own, "target": target.cpu_seconds() - before}
    rest = {name: now - then for (name, then), now in zip(idle.items(), _idle().values())}
    return text, Effort(used, rest, wall)


class Effort:
    """CPU seconds that load and target used, and the seconds for which their cores were idle."""

    def __init__(self, used, idle, wall):
        self.used = used
        self._idle = idle
        self._wall = max(wall - START, START)

    def limits(self):
        """Who had no time to spare: the two themselves, or others on their cores."""
        spare = START + (1 - FULL) * self._wall
        full = [name for name in self.used if self._idle[name] < spare]
        return [name if self.used[name] >= FULL * self._wall else f"others on the core of the {name}"
                for name in full]


def _idle():
    """Seconds for which each core did nothing so far, from proc_stat(5)."""
    with open("/proc/stat", encoding="utf-8") as file:
        cores = {line.split()[0]: line.split()[1:] for line in file if line.startswith("cpu")}
    tick = os.sysconf("SC_CLK_TCK")
    # Idle, and waiting for a disk.
    seconds = {name: (int(core[3]) + int(core[4])) / tick for name, core in cores.items()}
    return {"load": seconds[f"cpu{process.LOAD_CORE}"],
            "target": seconds[f"cpu{process.GATEWAY_CORE}"]}


def _children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run(rate, answered, p50, p99, requests, effort):
    costs = {f"{name}_us": 1e6 * used / requests for name, used in effort.used.items()}
    return {"rate": rate, "answered": answered, "p50": p50, "p99": p99, "full": effort.limits(),
            **costs}


def _print(name, load, run, wrk):
    rate = run["rate"]
    cells = (
        name, load,
        f"{rate:,}" if rate else "closed loop",
        f"{run['answered']:,.0f}",
        f"{run['answered'] / rate:.1%}" if rate else "–",
        f"{run['answered'] / wrk['answered']:.1%}",
        f"{run['p50']:.2f}", f"{run['p99']:.2f}",
        f"{run['load_us']:.1f}", f"{run['target_us']:.1f}",
        ", ".join(run["full"]) or "–",
    )
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
