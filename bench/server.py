"""What the comparisons share: a server process that listens before it is used and is gone afterwards, and one run of the
load generator against it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request


NEAR_NS = 260  # cache line round trip between the two cores: below it they are near


class Server:
    """A server process on the given CPUs; ends with the `with` block."""

    def __init__(self, command, cpus, port):
        self.command, self.cpus, self.port = command, cpus, port

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=self.errors,
                                        preexec_fn=lambda: os.sched_setaffinity(0, self.cpus))
        for _ in range(200):
            if self.process.poll() is not None or is_listening(self.port):
                break
            time.sleep(0.02)
        if self.process.poll() is not None or not is_listening(self.port):
            self.errors.seek(0)
            text = self.errors.read().decode(errors="replace")
            self.__exit__()
            sys.exit(f"{' '.join(self.command)} does not listen on {self.port}\n{text}")
        return self.process.pid

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.errors.close()


def is_listening(port):
    wanted = f":{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(line.split()[1].endswith(wanted) and line.split()[3] == "0A" for line in list(table)[1:])


def busy_seconds(cpus):
    """Time that these CPUs were not idle since boot."""
    busy = 0
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] in cpus:
                busy += sum(int(word) for word in words[1:9]) - int(words[4]) - int(words[5])
    return busy / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(arguments, halves=1):
    """Until others leave both cores alone for so many half seconds, or the patience (`wait`) ends."""
    cpus = {f"cpu{arguments.server_cpu}", f"cpu{arguments.client_cpu}"}
    end = time.monotonic() + arguments.wait
    quiet = 0
    while quiet < halves and time.monotonic() < end:
        before = busy_seconds(cpus)
        time.sleep(0.5)
        quiet = quiet + 1 if busy_seconds(cpus) - before < 0.5 * arguments.foreign else 0


def bench_run(command):
    """What `holdfast-bench ... --json` says, and at which distance the cores were: near, far, or mixed when it changed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    result = json.loads(done.stdout)
    before, after = result.get("core_distance_before_ns", 0), result.get("core_distance_after_ns", 0)
    result["level"] = "near" if max(before, after) < NEAR_NS else "far" if min(before, after) >= NEAR_NS else "mixed"
    return result


def is_clean(result, arguments):
    """Nobody else used the cores, and their distance stayed."""
    return result["level"] != "mixed" and result.get("foreign_share", 0) <= arguments.foreign


def metrics_of(port):
    """Every sample of the metrics page by its name with labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}
