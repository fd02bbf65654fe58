"""What a machine does to the real binary: few descriptors, small rings, little memory, a stopped process, dead peers,
storms of clients and signals, a full disk, no io_uring. Each: what must happen, and that the others were not hurt."""

import contextlib
import ctypes
import os
import pathlib
import random
import resource
import selectors
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from harness.crowd import Crowd, raise_file_limit
from harness.gateway import binary_path, free_port
from harness.rows import row
from harness.wire import Wrong, text, upgrade

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NETWORK = 0x40000000  # CLONE_NEWNET

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: WORKERS
limits: LIMITS
keepalive: KEEPALIVE
ENGINE
drain: 1s
routes:
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
"""


def configuration(
    workers=2, limits="{connections: 50000}", keepalive="{ping: 60s, pong: 20s}", engine=""
):
    return (
        BASE.replace("WORKERS", str(workers))
        .replace("LIMITS", limits)
        .replace("KEEPALIVE", keepalive)
        .replace("ENGINE", engine)
    )


class Watch:
    """An honest client in a thread of its own, which is answered all the time; `slowest` in seconds."""

    def __init__(self, t, pause=0.02):
        self.peer = t.open("/echo")
        self.pause, self.slowest, self.count, self.wrong = pause, 0.0, 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.over.wait(self.pause):
                began = time.monotonic()
                self.peer.send(text(f"still {self.count}"))
                self.peer.expect_text(f"still {self.count}")
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.count += 1
        except (Wrong, OSError) as wrong:
            self.wrong = wrong

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def judge(self, most):
        if self.wrong is not None or self.count == 0:
            raise Wrong(f"an honest client was hurt after {self.count} messages: {self.wrong}")
        if self.slowest > most:
            raise Wrong(f"an honest client had to wait for {self.slowest:.2f} s")


def until(done, patience, what):
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            raise Wrong(f"still waiting for {what} after {patience} s")
        time.sleep(0.02)


class Callers:
    """Connections that are begun all at once, without waiting for any of them."""

    def __init__(self, address, count, first=None):
        raise_file_limit()
        self.selector = selectors.EpollSelector()
        self.opened, self.refused, self.failed = [], [], []
        self.pending = count
        for number in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            self.selector.register(sock, selectors.EVENT_WRITE, bytearray())
        self.first = upgrade("/echo") if first is None else first

    def turn(self, patience=0.05):
        for key, events in self.selector.select(patience):
            sock = key.fileobj
            try:
                if events & selectors.EVENT_WRITE:
                    sock.send(self.first)
                    self.selector.modify(sock, selectors.EVENT_READ, key.data)
                    continue
                piece = sock.recv(4096)
            except OSError:
                self._over(sock, self.failed)
                continue
            key.data.extend(piece)
            if b"\r\n\r\n" in key.data:
                is_open = key.data.startswith(b"HTTP/1.1 101 ")
                self._over(sock, self.opened if is_open else self.refused, keep=is_open)
            elif not piece:
                self._over(sock, self.failed)

    def _over(self, sock, where, keep=False):
        self.pending -= 1
        self.selector.unregister(sock)
        where.append(sock)
        if not keep:
            sock.close()

    def run(self, patience, enough=lambda: False):
        end = time.monotonic() + patience
        while self.pending and time.monotonic() < end and not enough():
            self.turn()

    def leave(self, count):
        for _ in range(count):
            self.opened.pop().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        for sock in self.opened:
            sock.close()
        self.selector.close()

    def __str__(self):
        return (
            f"{len(self.opened)} open, {self.pending} waiting, {len(self.refused)} refused, "
            f"{len(self.failed)} cut"
        )


# --- descriptors and rings


@row(
    "facts/faults 7",
    "few descriptors: those that fit are served, the others wait and are not cut, and come in when some leave",
    cases={"256": (256, 500), "1024": (1024, 1800)},
    alone=True,
)
def descriptors(t, limit, clients):
    gateway = t.start(configuration(), prefix=["prlimit", f"--nofile={limit}:{limit}"])
    watch = Watch(t)
    with watch, Callers(gateway.address, clients) as callers:
        callers.run(6, lambda: len(callers.opened) == clients)
        if callers.failed or len(callers.opened) < limit // 4:
            raise Wrong(f"{callers}")
        if gateway.ask("GET", "/ready")[0] != 200:
            raise Wrong("the admin listener is not served")
        end = time.monotonic() + 20
        while callers.pending and time.monotonic() < end:
            callers.leave(min(50, len(callers.opened)))
            callers.run(0.3)
        if callers.pending or callers.failed:
            raise Wrong(f"those that waited are not served: {callers}")
    watch.judge(2.0)


@row(
    "facts/faults 5, 6",
    "the smallest rings and buffers under bursts of 300 clients: nothing is lost, nothing stands still",
    alone=True,
)
def small_rings(t):
    engine = "engine: {slots: 128, submissions: 16, completions: 16, buffers: 16}"
    gateway = t.start(configuration(engine=engine))
    watch = Watch(t)
    payload = "x" * 1500
    with watch, Crowd(gateway.address) as crowd:
        members = crowd.join(300, "/echo")
        for turn in range(5):
            for member in members:
                member.sock.setblocking(True)
                member.sock.sendall(b"".join(text(f"{turn}.{i}.{payload}") for i in range(4)))
                member.sock.setblocking(False)
        crowd.until(lambda: all(len(m.messages) == 20 for m in members), 20, "every echo")
        wanted = [f"{turn}.{i}.{payload}".encode() for turn in range(5) for i in range(4)]
        if any(m.messages != wanted or m.end for m in members):
            raise Wrong("echoes are missing or out of order")
    watch.judge(5.0)


@contextlib.contextmanager
def memory_group(limit):
    group = pathlib.Path(f"/sys/fs/cgroup/memory/holdfast-test-{os.getpid()}")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        yield group
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), 10, "the end of the process")
        group.rmdir()


@row(
    "facts/faults 8",
    "a memory limit of the machine: slow readers meet their policy before it, the process lives, others are served",
    alone=True,
)
def memory(t):
    plain = configuration()
    small = "backpressure: {queue: 4MiB, worker_queue: 16MiB, kernel: 64KiB, stall: 30s}\ndrain: 1s"
    with memory_group(160 << 20) as group, contextlib.ExitStack() as after:
        gateway = t.start(plain.replace("drain: 1s", small), enters=group)
        after.callback(gateway.stop)
        watch = Watch(t)
        slow = [t.open("/chat/a", receive_buffer=4096) for _ in range(40)]
        with watch:
            for number in range(300):
                body = {"channel": "chat.a", "text": f"{number}." + "y" * 200000}
                status = gateway.ask("POST", "/publish", body=body)[0]
                if status not in (200, 503):
                    raise Wrong(f"publish answered {status}")
            dropped = gateway.metric("holdfast_dropped_closed_total")
        watch.judge(5.0)
        held = int((group / "memory.max_usage_in_bytes").read_text())
        failures = int((group / "memory.failcnt").read_text())
        if not gateway.running() or dropped < 1 or len(slow) != 40:
            raise Wrong(f"{dropped:.0f} dropped, {held >> 20} MiB held, limit met {failures} times")


# --- time and peers


@contextlib.contextmanager
def own_network():
    """This thread, and what it starts, in a network of its own with nothing but a loopback."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if LIBC.unshare(NEW_NETWORK) != 0:
        raise Wrong(f"unshare: {os.strerror(ctypes.get_errno())}")
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        LIBC.setns(before, NEW_NETWORK)
        os.close(before)


@row(
    "facts/faults 4",
    "a peer whose packets vanish, without FIN or RST, is closed within ping and pong; its neighbours stay",
    alone=True,
)
def half_open(t):
    with own_network():
        gateway = t.start(configuration(keepalive="{ping: 1s, pong: 800ms}"))
        with Crowd(gateway.address) as crowd:
            crowd.join(10, "/echo")
            lost = [t.open("/echo", source="127.0.0.9") for _ in range(10)]
            subprocess.run(
                ["ip", "route", "add", "blackhole", "127.0.0.9/32", "table", "local"], check=True
            )
            began = time.monotonic()
            while gateway.metric("holdfast_closed_total") < len(lost):
                crowd.turn()
                if time.monotonic() > began + 12:
                    raise Wrong("the lost peers are held")
            if any(m.end for m in crowd.members):
                raise Wrong("a neighbour was closed")


@row(
    "facts/faults 3",
    "heads and frames that drip in: a handshake ends at its deadline, a frame hurts nobody",
    cases={"handshake": ("handshake",), "frames": ("frames",)},
    alone=True,
)
def slowloris(t, where):
    gateway = t.start(configuration(limits="{handshake: 1500ms, connections: 5000}"))
    watch = Watch(t)
    raise_file_limit()
    drips = []
    for _ in range(400):
        sock = socket.create_connection(gateway.address)
        if where == "frames":
            sock.sendall(upgrade("/echo"))
        drips.append(sock)
    data = upgrade("/echo") if where == "handshake" else text("d" * 5000)
    began = time.monotonic()
    with watch:
        for byte in data[:20]:
            for sock in drips:
                with contextlib.suppress(OSError):
                    sock.send(bytes([byte]))
            time.sleep(0.15)
    watch.judge(1.0)
    gone = gateway.metric("holdfast_closed_total")
    for sock in drips:
        sock.close()
    if where == "handshake" and gone < len(drips):
        raise Wrong(f"after {time.monotonic() - began:.1f} s only {gone:.0f} of 400 were ended")
    if where == "frames" and gone != 0:
        raise Wrong(f"{gone:.0f} were ended, who only were slow")


# --- storms


@row(
    "facts/faults 1",
    "everybody connects at once: all are let in, and who was there is served meanwhile",
    cases={"3000": (3000, 20)},
    alone=True,
)
def storm(t, count, patience):
    storm_of(t, count, patience)


@row(
    "facts/faults 1",
    "15,000 connect at once: all are let in, and who was there is served meanwhile",
    alone=True,
    tier="all",
    slow=True,
)
def storm_15000(t):
    storm_of(t, 15000, 60)


def storm_of(t, count, patience):
    gateway = t.start(configuration(limits="{connections: 50000, handshakes_per_second: 100000}"))
    watch = Watch(t)
    with watch, Callers(gateway.address, count) as callers:
        callers.run(patience)
        if len(callers.opened) != count:
            raise Wrong(f"{callers}")
    watch.judge(5.0)


@row(
    "facts/faults 16",
    "more connect than the backlog holds while the process is stopped: all are served when it goes on",
    alone=True,
    slow=True,
)
def backlog(t):
    gateway = t.start(
        configuration(workers=1, limits="{connections: 50000, handshakes_per_second: 100000}")
    )
    somaxconn = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    gateway.signal(signal.SIGSTOP)
    with Callers(gateway.address, somaxconn + 1500) as callers:
        callers.run(2)
        gateway.signal(signal.SIGCONT)
        callers.run(40)
        if callers.pending or callers.failed or callers.refused:
            raise Wrong(f"{callers}")


@row(
    "facts/faults 13",
    "a storm of signals under traffic: reloads fold, nobody notices, and one SIGTERM still drains",
    alone=True,
)
def signals(t):
    gateway = t.start(configuration())
    watch = Watch(t)
    chance = random.Random(13)
    harmless = [signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH]
    with watch:
        for _ in range(1000):
            gateway.signal(chance.choice(harmless))
            time.sleep(chance.random() * 0.003)
    watch.judge(2.0)
    gateway.signal(signal.SIGTERM)
    watch.peer.expect_close(1012)
    if gateway.wait() != 0:
        raise Wrong("it did not end with 0")


# --- the disk and the kernel


@row(
    "facts/faults 15",
    "a full disk under the log: lines are lost and counted, and nobody waits for it",
    alone=True,
)
def full_disk(t):
    loud = configuration().replace("drain: 1s", "drain: 1s\nlog: {level: debug}")
    gateway = t.start(loud, log_to="/dev/full")
    watch = Watch(t)
    with watch:
        for _ in range(200):
            t.peer().close()
        until(lambda: gateway.metric("holdfast_log_write_errors_total") > 0, 5, "a counted error")
        until(lambda: watch.count > 20, 5, "some echoes")
    watch.judge(1.0)


def deny_io_uring():
    """A seccomp filter as container runtimes have: io_uring_setup (425 on every architecture) is EPERM."""
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    steps = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (0x20, 0, 0, 0),  # the number of the call
            (0x15, 0, 1, 425),
            (0x06, 0, 0, 0x00050001),  # SECCOMP_RET_ERRNO | EPERM
            (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        )
    )
    buffer = ctypes.create_string_buffer(steps, len(steps))
    program = Program(4, ctypes.cast(buffer, ctypes.c_void_p))
    LIBC.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    LIBC.prctl(22, 2, ctypes.byref(program), 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


@row(
    "facts/faults 27",
    "io_uring denied: one line that says so and the remedy, exit status 1",
    cases={"denied": ("denied",), "no descriptors": ("descriptors",)},
)
def no_ring(t, why):
    def prepare():
        if why == "denied":
            deny_io_uring()
        else:
            resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))

    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        file = pathlib.Path(folder) / "plain.yaml"
        file.write_text(
            configuration()
            .replace("{port}", str(free_port()))
            .replace("{admin}", str(free_port()))
        )
        done = subprocess.run(
            [binary_path(), "run", "-c", str(file)],
            capture_output=True,
            text=True,
            timeout=20,
            preexec_fn=prepare,
        )
    said = done.stdout + done.stderr
    if done.returncode != 1 or len(said.strip().splitlines()) > 3:
        raise Wrong(f"status {done.returncode}: {said!r}")
    if why == "denied" and "io_uring" not in said:
        raise Wrong(f"it does not say what is denied: {said!r}")
