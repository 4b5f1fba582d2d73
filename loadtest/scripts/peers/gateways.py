"""The gateways that are compared: how each is configured for the same job, and started."""

import os
import re
import shutil

import process

HERE = os.path.dirname(os.path.abspath(__file__))

# What the origin of the overload job can do: LIMIT requests at once of SERVICE_MS each.
LIMIT = 8
SERVICE_MS = 40
CAPACITY = LIMIT * 1000 // SERVICE_MS
L1_SHARE = 0.6

# Nothing in the way: for refusing (of one path), proxying and idle connections.
OPEN = {
    "ADAPTIVE": "false",
    "L1_BURST": 100_000,
    "L1_RATE": 1_000_000,
    "L2_BURST": 100_000,
    "L2_QUEUE": 1024,
    "L2_RATE": 1_000_000,
    "LIMIT": 1024,
    "MAX_DEFAULT": 16_384,
    "MAX_HIGH": 16_384,
    "QUEUE": 1024,
}
# Places for half a second of l1, and l2 only where it does not delay l1 by more than one service
# time. Where there is no queue (Envoy) l1 may fill the places twice, so that the origin queues
# for it; where there are no priorities (nginx) the shares fit the offered l1 beforehand.
OVERLOAD = {
    **OPEN,
    "L1_BURST": CAPACITY // 2,
    "L1_RATE": CAPACITY,
    "L2_BURST": LIMIT,
    "L2_QUEUE": LIMIT,
    "L2_RATE": round(CAPACITY * (1 - L1_SHARE) * 0.9),
    "LIMIT": LIMIT,
    "MAX_DEFAULT": round(LIMIT * (1 - L1_SHARE)),
    "MAX_HIGH": 2 * LIMIT,
    "QUEUE": CAPACITY // 2,
}
ADAPTIVE = {**OVERLOAD, "ADAPTIVE": "true", "MAX_DEFAULT": 16_384, "MAX_HIGH": 16_384}

ORDER = ["floor", "none", "nginx", "haproxy", "envoy", "envoy-adaptive", "floodgate", "floodgate-beside", "floodgate-two",
         "floor-beside", "floor-two"]
JOBS = {
    "refuse": {"floor", "nginx", "haproxy", "envoy", "floodgate"},
    "limits": {"nginx", "floodgate"},
    "proxy": {"none", "nginx", "haproxy", "envoy", "floodgate"},
    "idle": {"floor", "nginx", "haproxy", "envoy", "floodgate"},
    "overload": {"none", "nginx", "haproxy", "envoy", "envoy-adaptive", "floodgate"},
    "workers": {"floor", "floor-beside", "floor-two", "floodgate", "floodgate-beside", "floodgate-two"},
    "flood": {"floodgate"},
}


class Tools:
    """Where the programs are; None for what is not installed."""

    def __init__(self, floodgate, loadtest, envoy):
        self.envoy = envoy if envoy and os.access(envoy, os.X_OK) else None
        self.floodgate = floodgate
        self.haproxy = shutil.which("haproxy", path=_path())
        self.loadtest = loadtest
        self.nginx = shutil.which("nginx", path=_path())
        self.wrk = shutil.which("wrk")

    def missing(self):
        """The peers that have to be left out."""
        return [name for name in ("nginx", "haproxy", "envoy") if not getattr(self, name)]

    def versions(self):
        """What version each program says it is."""
        asked = {
            "envoy": [self.envoy, "--version"],
            "floodgate": [self.floodgate, "--version"],
            "haproxy": [self.haproxy, "-v"],
            "nginx": [self.nginx, "-v"],
            "wrk": [self.wrk, "-v"],
        }
        said = {}
        for name, argv in asked.items():
            if argv[0]:
                number = re.search(r"\d+\.\d+\.\d+", process.run(argv, process.LOAD_CORE, 20))
                said[name] = number[0] if number else "?"
        return said


class Gateway:
    """One running gateway in front of one origin."""

    def __init__(self, name, tools, work, origin_port, settings):
        self.name = name
        self.port = process.free_port()
        self._process = None
        if name == "none":
            # Straight to the origin: what the gateways are to improve on.
            self.port = origin_port
            return
        os.makedirs(work, exist_ok=True)
        values = {
            **settings,
            "WORKERS": 2 if name.endswith("-two") else 1,
            "LISTEN": f"127.0.0.1:{self.port}",
            "LISTEN_HOST": "127.0.0.1",
            "LISTEN_PORT": self.port,
            "ORIGIN": f"127.0.0.1:{origin_port}",
            "ORIGIN_HOST": "127.0.0.1",
            "ORIGIN_PORT": origin_port,
            "WORK": work,
        }
        argv = _command(name, tools, work, values)
        core = {"beside": process.LOAD_CORE, "two": process.BOTH_CORES}.get(
            name.partition("-")[2], process.GATEWAY_CORE)
        self._process = process.Process(argv, core, f"{work}/{name}.log")
        self._process.wait_for_port(self.port)

    def cpu_seconds(self):
        return self._process.cpu_seconds() if self._process else 0.0

    def resident_kib(self):
        return self._process.resident_kib() if self._process else 0

    def peak_kib(self):
        return self._process.peak_kib() if self._process else 0

    def stop(self):
        if self._process:
            self._process.stop()


def start_origin(tools, work, arguments):
    """An origin on the generator's core; its port and its process."""
    port = process.free_port()
    argv = [tools.loadtest, "origin", "--listen", f"127.0.0.1:{port}", *arguments]
    origin = process.Process(argv, process.LOAD_CORE, f"{work}/origin.log")
    origin.wait_for_port(port)
    return port, origin


def overloaded_origin():
    """Arguments of an origin that can do CAPACITY requests per second and not more."""
    return ["--limit", str(LIMIT), "--workers", str(LIMIT), "--service-time", f"{SERVICE_MS}ms"]


def _command(name, tools, work, values):
    kind = name.partition("-")[0]
    if kind == "floor":
        return [tools.loadtest, "floor", "--listen", values["LISTEN"], "--workers", str(values["WORKERS"])]
    file = {
        "envoy": "envoy.yaml",
        "floodgate": "floodgate.toml",
        "haproxy": "haproxy.cfg",
        "nginx": "nginx.conf",
    }[kind]
    return command(kind, tools, work, fill(file, work, values))


def fill(template, work, values):
    """Writes a configuration from its template; its path."""
    config = f"{work}/{os.path.basename(template)}"
    with open(f"{HERE}/{template}.in", encoding="utf-8") as file:
        text = file.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    with open(config, "w", encoding="utf-8") as out:
        out.write(text)
    return config


def command(kind, tools, work, config):
    """How a gateway is run with a configuration."""
    return {
        "envoy": [tools.envoy, "-c", config, "--concurrency", "1", "--disable-hot-restart",
                  "--log-level", "error"],
        "floodgate": [tools.floodgate, "run", "--config", config],
        "haproxy": [tools.haproxy, "-db", "-q", "-f", config],
        "nginx": [tools.nginx, "-p", work, "-c", config],
    }[kind]


def _path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
