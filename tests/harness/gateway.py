"""Starts the real binary with a configuration of its own on free ports, waits until it serves, and always ends it."""

import ctypes
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBC = ctypes.CDLL(None)


def binary_path():
    return os.path.abspath(os.environ.get("HOLDFAST", str(ROOT / "build" / "holdfast")))


def free_port():
    """Below the ports of outgoing connections, one of which could be taken before the gateway listens, and at random:
    rows that run side by side do not choose the same."""
    for _ in range(1000):
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


def _die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a killed test run leaves nothing behind


class Gateway:
    """One running process. `{port}` and `{admin}` in the configuration become free ports."""

    def __init__(
        self,
        configuration,
        name="main",
        environment=None,
        folder=None,
        files=None,
        prefix=(),
        log_to=None,
        enters=None,
    ):
        """`prefix`: a command in front, e.g. prlimit; `log_to`: another file for its output; `enters`: a cgroup."""
        self.name = name
        self.prefix, self.log_to, self.enters = list(prefix), log_to, enters
        self.own_folder = None if folder else tempfile.TemporaryDirectory(prefix="holdfast-test-")
        self.folder = pathlib.Path(folder or self.own_folder.name)
        self.port, self.admin = free_port(), free_port()
        self.address = ("127.0.0.1", self.port)
        self.file = self.folder / f"{name}.yaml"
        self.log_file = self.folder / f"{name}.log"
        self.process = None
        self.expected_status = 0
        self.environment = {**os.environ, **(environment or {})}
        sanitizer = f"log_path={self.folder / (name + '.sanitizer')}:exitcode=99"
        self.environment.setdefault("ASAN_OPTIONS", sanitizer)
        self.environment.setdefault("UBSAN_OPTIONS", f"print_stacktrace=1:{sanitizer}")
        for other, content in (files or {}).items():
            is_text = isinstance(content, str)
            (self.folder / other).write_bytes(content.encode() if is_text else content)
        self.write(configuration)

    def write(self, configuration):
        text = configuration.replace("{port}", str(self.port)).replace("{admin}", str(self.admin))
        self.file.write_text(text)

    def start(self, patience=20.0):
        with open(self.log_to or self.log_file, "ab", buffering=0) as log:
            self.process = subprocess.Popen(
                [*self.prefix, binary_path(), "run", "-c", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                preexec_fn=_die_with_parent,
                cwd=self.folder,
            )
        if self.enters:
            pathlib.Path(self.enters, "cgroup.procs").write_text(str(self.process.pid))
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise SystemExit(
                    f"{self.name}: ended with {self.process.returncode} at start:\n{self.log()}"
                )
            try:
                if self.ask("GET", "/ready")[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        self.kill()
        raise SystemExit(f"{self.name}: not ready after {patience} s:\n{self.log()}")

    def ask(self, method, path, body=None, headers=None, patience=10):
        """One request to the admin listener: (status, fields, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=patience)
        try:
            given = dict(headers or {})
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
                given.setdefault("Content-Type", "application/json")
            connection.request(method, path, body=body, headers=given)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except http.client.HTTPException as wrong:
            raise OSError(str(wrong)) from wrong
        finally:
            connection.close()

    def metrics(self):
        """Every sample of /metrics: `name{labels}` -> value."""
        samples = {}
        for line in self.ask("GET", "/metrics")[2].decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def metric(self, name, **labels):
        """The sum over all samples of this name that carry these labels."""
        total = 0.0
        for sample, value in self.metrics().items():
            if sample.split("{")[0] == name and all(
                f'{k}="{v}"' in sample for k, v in labels.items()
            ):
                total += value
        return total

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=20.0):
        return self.process.wait(patience)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    def stop(self, patience=10.0):
        """SIGTERM twice (drain, hurry), then the exit status; a process that does not go is killed and named."""
        if self.process is None:
            return 0
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(0.2)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def reports(self):
        """What sanitizers wrote."""
        return "".join(
            p.read_text(errors="replace") for p in self.folder.glob(f"{self.name}.sanitizer*")
        )

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        if self.own_folder:
            self.own_folder.cleanup()


class Elsewhere:
    """A server that somebody else started, for `--url`."""

    def __init__(self, url):
        host, _, port = url.split("//")[-1].split("/")[0].partition(":")
        self.address = (host, int(port or 80))
        self.name = "elsewhere"
