"""What is measured, one job after the other. Every function returns one round's figures."""

import json
import re
import socket
import time

import process
from gateways import CAPACITY, L1_SHARE

REFUSE_CONNECTIONS = (64, 512, 4000)
PROXY_CONNECTIONS = (64, 512)
REFUSE_RATE = 20_000
PROXY_RATE = 5_000
IDLE_CONNECTIONS = 4000
OVERLOADS = (1, 5, 20)
PATIENCE = "1s"
FEW_REFUSALS = 10_000
MANY_REFUSALS = 10_000_000


class Unfit(RuntimeError):
    """The gateway does not do what it was configured for; its figures would mean nothing."""


def refuse(gateway, tools, seconds):
    """CPU time per refusal (closed loop), and latency of refusals at a fixed rate (open loop)."""
    _expect(gateway, "/closed", 503)
    figures = {"cpu_us": {}, "per_second": {}, "closed_p50_ms": {}, "closed_p99_ms": {}}
    for connections in REFUSE_CONNECTIONS:
        run = _wrk(gateway, tools, "/closed", connections, seconds, refused=True)
        for key, value in run.items():
            figures[key][str(connections)] = value
    load = _load(gateway, tools, seconds, REFUSE_RATE, [("GET /closed", 1)], 64)
    figures["open"] = load["classes"]["GET /closed"]["refusal_us"]
    figures["pass"] = load["pass"]
    figures["peak_kib"] = gateway.peak_kib()
    return figures


def limits(gateway, tools, seconds):
    """CPU time per refusal by the second of two limits per client address (closed loop)."""
    _request(gateway.port, "/limited")
    figures = {"cpu_us": {}, "per_second": {}, "closed_p50_ms": {}, "closed_p99_ms": {}}
    for connections in REFUSE_CONNECTIONS:
        run = _wrk(gateway, tools, "/limited", connections, seconds, refused=True)
        for key, value in run.items():
            figures[key][str(connections)] = value
    return figures


def proxy(gateway, tools, seconds):
    """CPU time per proxied request (closed loop), and latency at a fixed rate (open loop)."""
    _expect(gateway, "/goods", 200)
    figures = {"cpu_us": {}, "per_second": {}, "closed_p50_ms": {}, "closed_p99_ms": {}}
    for connections in PROXY_CONNECTIONS:
        run = _wrk(gateway, tools, "/goods", connections, seconds, refused=False)
        for key, value in run.items():
            figures[key][str(connections)] = value
    load = _load(gateway, tools, seconds, PROXY_RATE, [("GET /goods", 1)], 64)
    figures["open"] = load["classes"]["GET /goods"]["success_us"]
    figures["pass"] = load["pass"]
    figures["peak_kib"] = gateway.peak_kib()
    return figures


def idle(gateway, _tools, seconds):
    """Resident memory per idle connection: refused once, then also admitted once."""
    settle = max(1.0, min(seconds, 2.0))
    _request(gateway.port, "/closed")
    time.sleep(settle)
    before = gateway.resident_kib()
    figures = {"rest_kib": before}
    connections = [socket.create_connection(("127.0.0.1", gateway.port), timeout=5)
                   for _ in range(IDLE_CONNECTIONS)]
    try:
        for name, path in (("refused_kib", "/closed"), ("admitted_kib", "/goods")):
            if gateway.name == "floor" and path == "/goods":
                continue
            _ask_all(connections, path)
            time.sleep(settle)
            figures[name] = (gateway.resident_kib() - before) / IDLE_CONNECTIONS
    finally:
        for connection in connections:
            connection.close()
    return figures


def overload(gateway, tools, seconds):
    """What becomes of l1 while a flood of l2 grows; l1 itself never exceeds its share."""
    figures = {}
    for factor in OVERLOADS:
        mix = [("POST /orders", round(L1_SHARE * 100)),
               ("GET /coupons", round((factor - L1_SHARE) * 100))]
        before = gateway.cpu_seconds()
        load = _load(gateway, tools, seconds, factor * CAPACITY, mix, 6144, warm_up=1,
                     more=["--poisson", "--timeout", PATIENCE])
        cpu = gateway.cpu_seconds() - before
        l1, l2 = (load["classes"][name] for name, _ in mix)
        figures[str(factor)] = {
            "cpu_us": 1e6 * cpu / (factor * CAPACITY * (load["seconds"] + 1)),
            "l1_offered": l1["counts"]["offered"] / load["seconds"],
            "l1_goodput": l1["counts"]["success"] / load["seconds"],
            "l1_us": l1["success_us"],
            "l2_goodput": l2["counts"]["success"] / load["seconds"],
            "refusal_us": l2["refusal_us"],
            "pass": load["pass"],
        }
        # Whatever still waits somewhere ends before the next load begins.
        time.sleep(1)
    figures["peak_kib"] = gateway.peak_kib()
    return figures


def workers(gateway, tools, seconds):
    """CPU time per refusal of one worker, and of two, of which one shares the generator's core."""
    _expect(gateway, "/closed", 503)
    return {"cpu_us": {"64": _wrk(gateway, tools, "/closed", 64, seconds, refused=True)["cpu_us"]}}


def flood(gateway, tools, _seconds):
    """Peak memory after some refusals and after very many; takes two minutes."""
    _expect(gateway, "/closed", 503)
    _load(gateway, tools, 1, FEW_REFUSALS, [("GET /closed", 1)], 64, warm_up=0)
    few = gateway.peak_kib()
    refused = 0
    while refused < MANY_REFUSALS:
        refused += _wrk(gateway, tools, "/closed", 64, 10, refused=True)["per_second"] * 10
    return {"few_kib": few, "many_kib": gateway.peak_kib(), "refused": refused}


def _wrk(gateway, tools, path, connections, seconds, refused):
    """One closed-loop run. The connections are opened within it, the same for every gateway."""
    url = f"http://127.0.0.1:{gateway.port}{path}"
    argv = [tools.wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
            "--latency", url]
    before = gateway.cpu_seconds()
    text = process.run(argv, process.LOAD_CORE, seconds + 30)
    cpu = gateway.cpu_seconds() - before
    count = re.search(r"(\d+) requests in ([\d.]+)(\w+)", text)
    if not count or int(count[1]) == 0:
        raise Unfit(f"wrk found no answers on {path}: {text.strip()[-200:]}")
    requests = int(count[1])
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    refusals = int(other[1]) if other else 0
    if refusals < 0.999 * requests if refused else refusals > 0.001 * requests:
        raise Unfit(f"{refusals} of {requests} requests on {path} were refused")
    return {
        "cpu_us": 1e6 * cpu / requests,
        "per_second": requests / float(seconds),
        "closed_p50_ms": _wrk_percentile(text, 50),
        "closed_p99_ms": _wrk_percentile(text, 99),
    }


def _wrk_percentile(text, percent):
    """In ms, from the distribution that wrk prints."""
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]] if found else None


def _load(gateway, tools, seconds, rate, mix, connections, warm_up=0.2, more=()):
    """One open-loop run; what `floodgate-loadtest load --json` says."""
    argv = [tools.loadtest, "load", "--target", f"127.0.0.1:{gateway.port}", "--json",
            "--rate", str(rate), "--seconds", str(seconds), "--warm-up", str(warm_up),
            "--connections", str(connections), *more]
    for path, weight in mix:
        argv += ["--path", path, "--weight", str(weight)]
    text = process.run(argv, process.LOAD_CORE, seconds + 30)
    try:
        return json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise Unfit(f"the generator failed: {text.strip()[-200:]}") from error


def _expect(gateway, path, status):
    # Twice: a limiter may let the first one through.
    _request(gateway.port, path)
    found = _request(gateway.port, path)
    if found != status:
        raise Unfit(f"{path} was answered with {found}, not {status}")


def _request(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        _send(connection, path)
        return _receive(connection)


def _ask_all(connections, path, batch=64):
    for start in range(0, len(connections), batch):
        some = connections[start:start + batch]
        for connection in some:
            _send(connection, path)
        for connection in some:
            _receive(connection)


def _send(connection, path):
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n".encode())


def _receive(connection):
    """Reads one whole answer, length-delimited or chunked, and returns its status."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    while len(body) < int(length[1]) if length else not body.endswith(b"0\r\n\r\n"):
        body += _some(connection)
    return int(head.split()[1])


def _some(connection):
    data = connection.recv(65536)
    if not data:
        raise Unfit("the connection was closed")
    return data
