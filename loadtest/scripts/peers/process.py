"""Processes that are started, watched and certainly ended: pinned, in a group of their own."""

import ctypes
import os
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
GATEWAY_CORE = 0
LOAD_CORE = 1
BOTH_CORES = "0,1"

_running = []


def free_port():
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A program on one core. Its figures are sums over its whole process group."""

    def __init__(self, argv, core, log):
        with open(log, "wb") as sink:
            self._popen = subprocess.Popen(
                ["taskset", "-c", str(core), *argv],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._log = log
        _running.append(self)

    def wait_for_port(self, port, seconds=10):
        """Returns when the port answers; raises with the program's own words otherwise."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._popen.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        with open(self._log, encoding="utf-8", errors="replace") as log:
            words = log.read()[-600:].strip()
        self.stop()
        raise RuntimeError(f"did not come up: {words or 'it said nothing'}")

    def stop(self):
        """Asks the group to end, then makes it."""
        group = self._popen.pid
        for kind, patience in ((signal.SIGTERM, 2), (signal.SIGKILL, 2)):
            try:
                # Twice: a gateway that drains takes the second one as an order.
                os.killpg(group, kind)
                os.killpg(group, kind)
            except ProcessLookupError:
                pass
            try:
                self._popen.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if self in _running:
            _running.remove(self)

    def cpu_seconds(self):
        """CPU time so far, from the scheduler's own account (nanoseconds)."""
        total = 0
        for pid in self._pids():
            for task in _listdir(f"/proc/{pid}/task"):
                text = _read(f"/proc/{pid}/task/{task}/schedstat")
                total += int(text.split()[0]) if text else 0
        return total / 1e9

    def resident_kib(self):
        """Resident memory now; pages that processes share count once for each sharer's part."""
        return self._sum("smaps_rollup", "Pss:")

    def peak_kib(self):
        """Most resident memory since the start, summed over the processes of the group."""
        return self._sum("status", "VmHWM:")

    def _sum(self, file, key):
        total = 0
        for pid in self._pids():
            for line in _read(f"/proc/{pid}/{file}").splitlines():
                if line.startswith(key):
                    total += int(line.split()[1])
        return total

    def _pids(self):
        pids = []
        for pid in filter(str.isdigit, _listdir("/proc")):
            # After the name, which may hold blanks: state, parent, group.
            fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            if len(fields) > 2 and int(fields[2]) == self._popen.pid:
                pids.append(pid)
        return pids


def stop_all():
    """Ends whatever still runs; safe to call twice."""
    for process in list(_running):
        process.stop()


def run(argv, core, seconds):
    """Runs a tool to its end and returns what it printed, whatever its exit code."""
    return subprocess.run(
        ["taskset", "-c", str(core), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        preexec_fn=_end_with_parent,
        check=False,
    ).stdout.decode(errors="replace")


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _listdir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []
