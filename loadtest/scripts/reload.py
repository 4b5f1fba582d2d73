"""What reload.sh does not say in shell: the configurations, the changes, the measuring, the verdict."""

import http.client
import json
import os
import re
import sys
import time

CHANGES = 200
SECONDS = 20.0
# Every so many-th change is one of the file, the others are by the API.
BY_FILE = 5
COUPONS_BURST = 60
# The limits of the configurations explain these, and no others.
EXPLAINED = {"rate", "watermark", "buffer_full", "queue_timeout", "deadline"}
# Beyond this a run is not within the noise of the other on a machine that also makes the load.
P99_RATIO = 1.5
# Kept for the history, and what an allocator keeps.
MEMORY_KIB = 8 * 1024


def rate(number):
    """Coupons per second that configuration `number` admits."""
    return 500 + 50 * (number % 5)


def text(number, origin):
    """Configuration `number`; no two neighbours mean the same. Orders fit into each of them."""
    return f"""# change {number}
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 1
max_connections = 5000
max_connections_per_client = 0
log = "warn"

[upstreams.origin]
servers = ["{origin}"]
max_in_flight = {12 + number % 7}
buffer = {256 + 64 * (number % 3)}
max_upgraded = {1 + number}

[[tiers]]
name = "l1"
max_wait = "500ms"
deadline = "2s"

[[tiers]]
name = "l2"
max_wait = "100ms"
deadline = "2s"
weight = {1 + number % 4}
watermarks = {{ high = {0.70 + 0.01 * (number % 6):.2f}, low = 0.55 }}

[[tiers]]
name = "l3"
weight = {4 - number % 4}

[[routes]]
name = "orders"
methods = ["POST"]
path = "/orders/{{*rest}}"
tier = "l1"

[[routes]]
name = "coupons"
path = "/coupons/{{*rest}}"
tier = "l2"
rate = "{rate(number)}/s"
burst = {COUPONS_BURST}
"""


class Admin:
    """The admin listener, on one connection."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=10)

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {body}")
        return body

    def generation(self):
        return json.loads(self.ask("GET", "/api/status"))["generation"]

    def counters(self):
        """Sums over routes of what the ledger is made of."""
        sums = {}
        for line in self.ask("GET", "/metrics").splitlines():
            sample = re.fullmatch(r'floodgate_(arrivals|admitted|requests)_total\{(.*)\} (\d+)', line)
            if sample:
                outcome = re.search(r'outcome="(\w+)"', sample[2])
                name = outcome[1] if outcome else sample[1]
                sums[name] = sums.get(name, 0) + int(sample[3])
        return sums


def change(address, origin, path):
    """All changes, evenly spread; prints how long each took to be live."""
    admin = Admin(address)
    time.sleep(1.0)
    begin = time.monotonic()
    generation = admin.generation()
    by_file, by_api, rates = [], [], []
    for number in range(1, CHANGES + 1):
        time.sleep(max(0.0, begin + SECONDS * (number - 1) / CHANGES - time.monotonic()))
        new = text(number, origin)
        asked = time.monotonic()
        if number % BY_FILE == 0:
            with open(path + ".swp", "w", encoding="utf-8") as file:
                file.write(new)
            os.rename(path + ".swp", path)
            while admin.generation() == generation:
                if time.monotonic() > asked + 10:
                    raise SystemExit(f"change {number} never became live")
                time.sleep(0.001)
            by_file.append(time.monotonic() - asked)
        else:
            admin.ask("PUT", "/api/config", new)
            by_api.append(time.monotonic() - asked)
        generation += 1
        rates.append((asked - begin, rate(number)))
    result = {
        "seconds": time.monotonic() - begin,
        "live_by_file_max_ms": 1e3 * max(by_file),
        "live_by_api_max_ms": 1e3 * max(by_api),
        "rates": rates,
    }
    print(json.dumps(result))


def measure(address, pid):
    """What the gateway has counted and how much memory it has, once nothing is on its way."""
    admin = Admin(address)
    begin = time.monotonic()
    while json.loads(admin.ask("GET", "/api/status"))["active_requests"] > 0:
        if time.monotonic() > begin + 10:
            raise SystemExit("requests stay active")
        time.sleep(0.01)
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        memory = int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
    print(json.dumps({"counters": admin.counters(), "kib": memory, "generation": admin.generation()}))


def read(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8") as file:
        return json.load(file)


def total(run, count):
    return sum(one["counts"][count] for one in run["classes"].values())


def most_coupons(changes, seconds):
    """What the rates of the configurations let in at most, over the seconds of the run."""
    rates = changes["rates"]
    ends = [at for at, _ in rates[1:]] + [rates[-1][0]]
    during = sum((end - at) * rate for (at, rate), end in zip(rates, ends))
    # Before the first change, after the last, and while one was on its way: by the highest rate.
    rest = seconds - (rates[-1][0] - rates[0][0])
    return COUPONS_BURST + during + (rest + 1.0) * max(rate for _, rate in rates)


def verdict(directory):
    calm, stirred = read(directory, "calm"), read(directory, "stirred")
    before, after = read(directory, "before"), read(directory, "after")
    changes = read(directory, "changes")
    c = after["counters"]
    failed = sum(total(stirred, count) for count in ("failed", "timeout"))
    refused = {}
    for one in stirred["classes"].values():
        for reason, count in one["refused_by_reason"].items():
            refused[reason] = refused.get(reason, 0) + count
    unexplained = {reason: count for reason, count in refused.items() if reason not in EXPLAINED}
    let_in = stirred["classes"]["GET /coupons"]["counts"]["success"]
    most = most_coupons(changes, stirred["seconds"])
    p99 = {run: data["classes"]["POST /orders"]["success_us"]["p99"] / 1e3
           for run, data in (("calm", calm), ("stirred", stirred))}
    ratio = p99["stirred"] / p99["calm"]
    generations = after["generation"] - before["generation"]
    rejected_or_gone = c["rejected"] + c["abandoned"]
    rows = [
        ("generations", f"{generations} in {changes['seconds']:.1f} s", generations == CHANGES),
        ("requests", f"{total(stirred, 'offered')} offered, {total(stirred, 'success')} served", True),
        ("failed", str(failed), failed == 0 and total(stirred, "dropped") == 0),
        ("refused", json.dumps(refused), not unexplained),
        ("coupons let in", f"{let_in}, by their rates at most {most:.0f}", let_in <= most),
        ("ledger",
         f"{c['arrivals']} = {c['admitted']} + {rejected_or_gone}; "
         f"{c['admitted']} = {c['completed']} + {c['failed']}",
         c["arrivals"] == c["admitted"] + rejected_or_gone
         and c["admitted"] == c["completed"] + c["failed"]),
        ("write to live", f"file {changes['live_by_file_max_ms']:.0f} ms, "
         f"API {changes['live_by_api_max_ms']:.0f} ms at most",
         max(changes["live_by_file_max_ms"], changes["live_by_api_max_ms"]) <= 1000),
        ("memory", f"{before['kib']} KiB before, {after['kib']} KiB after",
         after["kib"] <= before["kib"] + MEMORY_KIB),
        ("p99 of orders", f"{p99['stirred']:.1f} ms, without changes {p99['calm']:.1f} ms: "
         f"ratio {ratio:.2f}", ratio <= P99_RATIO),
    ]
    for name, told, good in rows:
        print(f"{'ok  ' if good else 'FAIL'}  {name:15} {told}")
    for name, run in (("without", calm), ("with", stirred)):
        if run["late"]:
            print(f"note  {run['late']} requests {name} changes were sent late: the generator fell behind")
    bad = [name for name, _, good in rows if not good]
    print(f"reload: {'failed: ' + ', '.join(bad) if bad else 'passed'}")
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    _, command, *arguments = sys.argv
    if command == "text":
        print(text(int(arguments[0]), arguments[1]), end="")
    else:
        {"change": change, "measure": measure, "verdict": verdict}[command](*arguments)
