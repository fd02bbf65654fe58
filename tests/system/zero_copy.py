"""engine.zero_copy: large sends leave from registered memory, and nobody else can tell."""

import time

from harness.rows import row
from harness.wait import eventually
from harness.wire import CLOSE, Wrong, binary, close, text
from system.tls import CONFIGURATION, echoes as echoes_all, opened, start

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
backpressure: {kernel: 256KiB}
keepalive: {ping: 60s, pong: 20s}
drain: 1s
engine: {zero_copy: true}
routes:
  - {path: /echo, echo: {}}
  - {path: /talk, channels: {subscribe: ["busy"], publish: busy}}
  - {path: /close, channels: {subscribe: ["busy"]}, backpressure: {queue: 1MiB, policy: close}}
  - {path: /stall, channels: {subscribe: ["busy"]}, backpressure: {queue: 1MiB, policy: drop_newest, stall: 500ms}}
"""
ISSUE = "issue 6"
PIECE = 200_000
# Room for the queues of a ring and for no step of 2 MiB, and no privilege to lock more.
UNPRIVILEGED = ["prlimit", "--memlock=600000:600000", "setpriv", "--bounding-set=-ipc_lock"]


def copies(gateway):
    return gateway.metric("holdfast_zero_copy_sends_total")


def body(number, size=PIECE):
    return f"{number:06}" + "x" * (size - 6)


@row(
    ISSUE,
    "an echo of any size comes back as it was, and large ones are counted",
    cases=[1, 10_000, 16_384, 500_000],
)
def echoes(t, size):
    gateway = t.start(BASE)
    peer = t.open("/echo")
    for number in range(20):
        data = bytes((number + i) % 251 for i in range(size))
        peer.send(binary(data))
        if peer.frame().payload != data:
            raise Wrong(f"other bytes in echo {number}")
    counted = copies(gateway)
    if (size >= 16_384) != (counted > 0):
        raise Wrong(f"{counted:.0f} sends without a copy for {size} B")
    if gateway.metric("holdfast_zero_copy_refused_total"):
        raise Wrong("memory was refused")


@row(ISSUE, "what is sealed for a TLS client leaves the same way")
def sealed(t):
    gateway = start(t, CONFIGURATION + "engine: {zero_copy: true}\n")
    peer = opened(t)
    for _ in range(3):
        echoes_all(peer)
    if copies(gateway) == 0:
        raise Wrong("no send without a copy")


@row(ISSUE, "a large message to many arrives at each of them, in order")
def fan_out(t):
    gateway = t.start(BASE)
    peers = [t.open("/talk") for _ in range(12)]
    for number in range(10):
        peers[0].send(text(body(number)))
        for peer in peers:
            if peer.frame().payload != body(number).encode():
                raise Wrong(f"another message than {number}")
    if copies(gateway) < 10 * len(peers):
        raise Wrong(f"{copies(gateway):.0f} sends without a copy")


@row(
    ISSUE,
    "who takes in nothing is closed by its policy; its slot and its memory come back, and the others get everything",
)
def policy_close(t):
    gateway = t.start(BASE)
    slow = [t.open("/close", receive_buffer=4096) for _ in range(4)]
    fast = [t.open("/talk") for _ in range(3)]
    for number in range(40):
        fast[0].send(text(body(number)))
        for peer in fast:
            if peer.frame().payload != body(number).encode():
                raise Wrong(f"another message than {number}")
    for peer in slow:
        while (got := peer.frame()).opcode != CLOSE:
            pass
        if got.code != 1013:
            raise Wrong(f"closed with {got.code}")
        peer.send(close(1013))
        peer.expect_end()
    eventually(
        lambda: gateway.metric("holdfast_connections", state="open") == len(fast),
        "slots that come back",
    )
    eventually(lambda: gateway.metric("holdfast_queue_bytes") == 0, "memory that comes back")


@row(ISSUE, "a peer that acknowledges nothing more is given up at the deadline of its sends")
def stall(t):
    gateway = t.start(BASE)
    slow = t.open("/stall", receive_buffer=4096)
    fast = t.open("/talk")
    began = time.monotonic()
    for number in range(8):
        fast.send(text(body(number)))
        fast.frame()
    eventually(
        lambda: gateway.metric("holdfast_faults_total", fault="send_stalled") == 1, "the fault"
    )
    eventually(
        lambda: gateway.metric("holdfast_connections", state="open") == 1,
        "the slot that comes back",
    )
    if time.monotonic() - began > 8:
        raise Wrong("late")
    eventually(lambda: gateway.metric("holdfast_queue_bytes") == 0, "memory that comes back")
    slow.close()
    fast.send(text("still here"))
    fast.expect_text("still here")


@row(ISSUE, "without locked memory the same is copied, and counted as refused once a worker")
def no_locked_memory(t):
    gateway = t.start(BASE.replace("workers: 2", "workers: 1"), prefix=UNPRIVILEGED)
    peer = t.open("/echo")
    for number in range(5):
        peer.send(text(body(number)))
        peer.expect_text(body(number))
    if copies(gateway) != 0 or gateway.metric("holdfast_zero_copy_refused_total") != 1:
        raise Wrong(
            f"{copies(gateway):.0f} sends, {gateway.metric('holdfast_zero_copy_refused_total'):.0f} refused"
        )
