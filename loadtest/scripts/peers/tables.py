"""Medians and ratios of the rounds, as Markdown."""

from statistics import median

from gateways import CAPACITY, L1_SHARE, LIMIT, ORDER, SERVICE_MS
from jobs import (FEW_REFUSALS, IDLE_CONNECTIONS, MANY_REFUSALS, OVERLOADS, PATIENCE,
                  PROXY_CONNECTIONS, PROXY_RATE, REFUSE_CONNECTIONS, REFUSE_RATE)

NAMES = {
    "envoy": "Envoy",
    "envoy-adaptive": "Envoy, adaptive concurrency",
    "floodgate": "**Floodgate**",
    "floodgate-beside": "**Floodgate**, one worker on the generator's core",
    "floodgate-two": "**Floodgate**, two workers, one on either core",
    "floor": "the floor (bare epoll, canned bytes)",
    "floor-beside": "the floor, one thread on the generator's core",
    "floor-two": "the floor, two threads, one on either core",
    "haproxy": "HAProxy",
    "none": "no gateway",
    "nginx": "nginx",
}
PERCENTILES = ("p50", "p90", "p99", "p999", "max")
# Below this, a difference between two medians is taken for noise.
NOISE = 1.05
DASH = "–"


class Results:
    """All rounds: job -> gateway -> list of figures."""

    def __init__(self, rounds):
        self._rounds = rounds

    def gateways(self, job):
        measured = self._rounds.get(job, {})
        return [name for name in ORDER if measured.get(name)]

    def median(self, job, gateway, *path):
        """The median over the rounds of one figure; None where no round has it."""
        found = [_dig(figures, path) for figures in self._rounds.get(job, {}).get(gateway, [])]
        found = [value for value in found if value is not None]
        return median(found) if found else None

    def fit(self, job, gateway, *path):
        """Whether the generator kept up in every round."""
        rounds = self._rounds.get(job, {}).get(gateway, [])
        return all(_dig(figures, (*path, "pass")) is not False for figures in rounds)


def render(results, meta):
    """All tables of one comparison."""
    parts = [_head(meta)]
    for job, section in (("refuse", _refuse), ("limits", _limits), ("proxy", _proxy), ("idle", _idle),
                         ("overload", _overload), ("workers", _workers), ("flood", _flood)):
        if results.gateways(job):
            parts.append(section(results))
    parts.append(_behind(results))
    return "\n\n".join(parts) + "\n"


def _head(meta):
    lines = [
        f"`{meta['command']}`: medians over {meta['rounds']} interleaved round(s) of "
        f"{meta['seconds']} s per figure; {meta['started_at']}, commit {meta['commit']}.",
        f"{meta['cpu']}, {meta['cores']} cores, Linux {meta['kernel']}. The gateway has core 0 with "
        "one worker, the generator and the origin share core 1. No access logs, no TLS, HTTP/1.1, "
        "keep-alive.",
        ", ".join(f"{name} {said}" for name, said in sorted(meta["versions"].items())) + ".",
    ]
    lines += [f"Left out, not installed: {name}." for name in meta["missing"]]
    lines += [f"Left out: {problem}." for problem in meta["problems"]]
    if meta["load_average"] > 0.3:
        lines.append(f"**The machine was not quiet** (load average {meta['load_average']:.1f} "
                     "before the start): do not quote these figures.")
    return "\n".join(lines)


def _refuse(results):
    rows = []
    for name in results.gateways("refuse"):
        p50, p99 = (results.median("refuse", name, key, str(REFUSE_CONNECTIONS[-1]))
                    for key in ("closed_p50_ms", "closed_p99_ms"))
        rows.append([*_cpu_row(results, "refuse", name, REFUSE_CONNECTIONS, "floor"),
                     _number(p99 / p50 if p50 and p99 else None, 2)])
    heads = ["", *(f"{count} connections" for count in REFUSE_CONNECTIONS), "refused/s at 64",
             "p99 at 4000, ms", "p99 / p50 at 4000"]
    return "\n\n".join([
        "### Refusing: CPU time per request",
        "µs of CPU, and the multiple of the floor; closed loop with wrk, so rate and p99 are not "
        "those of independent customers.",
        _table(heads, rows),
        f"Latency of refusals at {REFUSE_RATE:,}/s on 64 connections, µs, open loop from the "
        "intended start:",
        _percentiles(results, "refuse"),
    ])


def _limits(results):
    rows = [_cpu_row(results, "limits", name, REFUSE_CONNECTIONS, "nginx")
            for name in results.gateways("limits")]
    heads = ["", *(f"{count} connections" for count in REFUSE_CONNECTIONS), "refused/s at 64",
             "p99 at 4000, ms"]
    return "\n\n".join([
        "### Refusing by the second of two limits per client: CPU time per request",
        "µs of CPU, and the multiple of nginx, whose two `limit_req` have the same key; closed loop "
        "with wrk.",
        _table(heads, rows),
    ])


def _proxy(results):
    gateways = [name for name in results.gateways("proxy") if name != "none"]
    rows = [_cpu_row(results, "proxy", name, PROXY_CONNECTIONS, "nginx") for name in gateways]
    heads = ["", *(f"{count} connections" for count in PROXY_CONNECTIONS), "requests/s at 64",
             "p99 at 512, ms"]
    return "\n\n".join([
        "### Proxying: CPU time per request",
        "µs of CPU, and the multiple of nginx; closed loop with wrk. The generator shares its core "
        "with the origin, so requests/s says little about the gateway.",
        _table(heads, rows),
        f"Latency at {PROXY_RATE:,}/s on 64 connections, µs, open loop from the intended start:",
        _percentiles(results, "proxy"),
    ])


def _cpu_row(results, job, name, counts, base):
    row = [NAMES[name]]
    for count in counts:
        mine = results.median(job, name, "cpu_us", str(count))
        row.append(_with_ratio(mine, results.median(job, base, "cpu_us", str(count))))
    row.append(_number(results.median(job, name, "per_second", "64"), 0))
    row.append(_number(results.median(job, name, "closed_p99_ms", str(counts[-1])), 2))
    return row


def _percentiles(results, job):
    rows = []
    for name in results.gateways(job):
        mark = "" if results.fit(job, name) else " (generator behind)"
        values = [results.median(job, name, "open", at) for at in PERCENTILES]
        rows.append([NAMES[name] + mark, *(_number(value, 0) for value in values)])
    return _table(["", "p50", "p90", "p99", "p99.9", "max"], rows)


def _idle(results):
    rows = []
    for name in results.gateways("idle"):
        peaks = [results.median(job, name, "peak_kib") for job in ("refuse", "proxy", "overload")]
        rows.append([
            NAMES[name],
            _number(results.median("idle", name, "refused_kib"), 2),
            _number(results.median("idle", name, "admitted_kib"), 2),
            _number(_mib(results.median("idle", name, "rest_kib")), 1),
            *(_number(_mib(peak), 1) for peak in peaks),
        ])
    return "\n\n".join([
        "### Memory",
        f"KiB of resident memory per idle connection ({IDLE_CONNECTIONS} of them; what the kernel "
        "keeps is not in it), and MiB of the whole process: at rest, and the peak of each job.",
        _table(["", "KiB/connection, refused once", "then admitted once", "MiB at rest",
                "peak refusing", "peak proxying", "peak overload"], rows),
    ])


def _overload(results):
    rows = []
    for factor in OVERLOADS:
        for name in results.gateways("overload"):
            key = str(factor)

            def at(*path, gateway=name, under=key):
                return results.median("overload", gateway, under, *path)

            offered, goodput, other = at("l1_offered"), at("l1_goodput"), at("l2_goodput")
            mark = "" if results.fit("overload", name, key) else " (generator behind)"
            rows.append([
                f"{factor}x", NAMES[name] + mark,
                f"{_number(goodput, 0)} ({_percent(goodput, offered)})",
                _number(_ms(at("l1_us", "p50")), 0), _number(_ms(at("l1_us", "p99")), 0),
                _number(other, 0),
                _percent((goodput or 0) + (other or 0), CAPACITY),
                _number(_ms(at("refusal_us", "p50")), 2), _number(_ms(at("refusal_us", "p99")), 2),
                _number(at("cpu_us"), 1) if name != "none" else DASH,
            ])
    return "\n\n".join([
        "### Overload: a flood of the lower tier",
        f"The origin works on {LIMIT} requests at once, {SERVICE_MS} ms each, the others wait in its line: {CAPACITY} requests/s. "
        f"l1 (orders) offers {L1_SHARE * CAPACITY:.0f}/s throughout, l2 (coupons) fills up to the "
        f"multiple of the capacity. Open loop, Poisson, patience {PATIENCE}: an answer after that is "
        "no success. Latencies in ms from the intended start. nginx is told the share of l2 "
        "beforehand; Envoy reserves places by routing priority, or finds its limit by adaptive "
        "concurrency, which knows no tiers; HAProxy has `maxconn`, a queue and priority classes.",
        _table(["offered", "", "l1 success/s (of its arrivals)", "l1 p50", "l1 p99",
                "l2 success/s", "capacity used", "refusal p50", "refusal p99",
                "CPU µs/request"], rows),
    ])


def _workers(results):
    rows = [_cpu_row(results, "workers", name, (64,), name.partition("-")[0])[:2]
            for name in results.gateways("workers")]
    return "\n\n".join([
        "### One worker and two: CPU time per refusal",
        "µs of CPU, and the multiple of one worker on a core of its own. Of two workers one shares its "
        "core with the generator: what that costs one worker alone stands between, and what all of it costs "
        "threads that share nothing and only refuse, above.",
        _table(["", "64 connections"], rows),
    ])


def _flood(results):
    rows = []
    for name in results.gateways("flood"):
        few, many = (results.median("flood", name, key) for key in ("few_kib", "many_kib"))
        rows.append([NAMES[name], _number(few, 0), _with_ratio(many, few)])
    return "\n\n".join([
        "### Peak memory of a flood",
        f"KiB, after {FEW_REFUSALS:,} refusals and after {MANY_REFUSALS:,} more, and its multiple.",
        _table(["", "some", "very many"], rows),
    ])


def _behind(results):
    """Every figure in which a peer is better than Floodgate by more than the noise."""
    lower = [("idle", f"KiB per idle connection, {what}", (key,))
             for key, what in (("refused_kib", "refused once"), ("admitted_kib", "admitted once"))]
    for job, counts in (("refuse", REFUSE_CONNECTIONS), ("proxy", PROXY_CONNECTIONS)):
        lower += [(job, f"{job}: CPU µs at {count} connections", ("cpu_us", str(count)))
                  for count in counts]
        lower += [(job, f"{job}: open-loop latency {at}, µs", ("open", at)) for at in PERCENTILES]
        lower += [(job, f"{job}: peak memory, KiB", ("peak_kib",))]
    higher = []
    for factor in map(str, OVERLOADS):
        higher += [("overload", f"overload {factor}x: l1 success/s", (factor, "l1_goodput")),
                   ("overload", f"overload {factor}x: l2 success/s", (factor, "l2_goodput"))]
        lower += [("overload", f"overload {factor}x: l1 {at}, µs", (factor, "l1_us", at))
                  for at in ("p50", "p99")]
        lower += [("overload", f"overload {factor}x: refusal p99, µs",
                   (factor, "refusal_us", "p99"))]
    lines = []
    for better, figures in ((1, lower), (-1, higher)):
        for job, what, path in figures:
            ours = results.median(job, "floodgate", *path)
            peers = [(results.median(job, name, *path), name)
                     for name in _peers(results, job, path)]
            peers = [(value, name) for value, name in peers if value is not None]
            if ours is None or not peers:
                continue
            best, name = min(peers, key=lambda peer: better * peer[0])
            if (ours > best * NOISE) if better > 0 else (ours * NOISE < best):
                lines.append(f"- {what}: {ours:,.4g} against {best:,.4g} of {NAMES[name]}")
    text = "\n".join(lines) if lines else "Nowhere by more than 5 %."
    return f"### Where Floodgate is behind a peer\n\n{text}"


def _peers(results, job, path):
    """Whom to compare with. In overload only those that serve l1 as well as the best of them: who
    sacrifices it has no trouble being quick or generous elsewhere."""
    names = [name for name in results.gateways(job) if name not in ("floodgate", "floor", "none")]
    if job != "overload" or path[1] == "l1_goodput":
        return names
    goodput = {name: results.median(job, name, path[0], "l1_goodput") or 0 for name in names}
    return [name for name in names if goodput[name] * NOISE >= max(goodput.values())]


def _table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _with_ratio(value, base):
    if value is None:
        return DASH
    return f"{value:.2f}" + (f" ({value / base:.2f}x)" if base else "")


def _number(value, digits):
    return DASH if value is None else f"{value:,.{digits}f}"


def _percent(value, whole):
    return DASH if value is None or not whole else f"{100 * value / whole:.0f} %"


def _mib(kib):
    return None if kib is None else kib / 1024


def _ms(micros):
    return None if micros is None else micros / 1000


def _dig(figures, path):
    for key in path:
        if not isinstance(figures, dict) or key not in figures:
            return None
        figures = figures[key]
    return figures
