"""Slow readers: each policy does exactly what it says, everyone else gets everything, and the books balance."""

import json
import time

from harness.rows import row
from harness.wire import CLOSE, PING, Wrong, close, frame, ping, text

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
backpressure: {kernel: 16KiB}
keepalive: {ping: 60s, pong: 20s}
drain: 1s
routes:
  - {path: /echo, echo: {}, backpressure: {queue: 1KiB}}
  - {path: /wide, channels: {subscribe: ["a", "b"]}, backpressure: {queue: 16KiB, policy: conflate}}
  - {path: /close, channels: {subscribe: ["busy"]}, backpressure: {queue: 16KiB, policy: close}}
  - {path: /drop_oldest, channels: {subscribe: ["busy"]}, backpressure: {queue: 16KiB, policy: drop_oldest}}
  - {path: /drop_newest, channels: {subscribe: ["busy"]}, backpressure: {queue: 16KiB, policy: drop_newest}}
  - {path: /conflate, channels: {subscribe: ["busy"]}, backpressure: {queue: 16KiB, policy: conflate}}
  - {path: /stall, channels: {subscribe: ["busy"]}, backpressure: {queue: 16KiB, policy: drop_newest, stall: 500ms}}
  - {path: /fast, channels: {subscribe: ["busy", "a", "b"]}, backpressure: {queue: 8MiB}}
"""

COUNT = 1500
FILL = "x" * 1000


def publish(gateway, first, count, channel="busy"):
    for begin in range(first, first + count, 10):
        items = [
            {"channel": channel, "text": f"{i:06}{FILL}"}
            for i in range(begin, min(begin + 10, first + count))
        ]
        status, _, body = gateway.ask("POST", "/publish", {"items": items})
        if status != 200:
            raise Wrong(f"publish: {status} {body[:200]}")


def number_of(got):
    return int(got.payload[:6])


def numbers_until(peer, last, patience=10):
    """Numbers received up to `last`, or up to a Close (its code is the second result)."""
    numbers = []
    end = time.monotonic() + patience
    while time.monotonic() < end:
        got = peer.frame()
        if got.opcode == CLOSE:
            return numbers, got.code
        numbers.append(number_of(got))
        if numbers[-1] == last:
            return numbers, None
    raise Wrong(f"{last} never came; the last was {numbers[-1:]}")


def setting(t, path):
    """A slow reader on `path`, fast ones beside it; COUNT messages published while the slow one does not read."""
    gateway = t.start(BASE)
    slow = t.open(path, receive_buffer=4096)
    fast = [t.open("/fast") for _ in range(3)]
    publish(gateway, 0, COUNT)
    for peer in fast:
        numbers, code = numbers_until(peer, COUNT - 1)
        if numbers != list(range(COUNT)) or code is not None:
            raise Wrong(f"a reader that keeps up got {len(numbers)} of {COUNT}, code {code}")
    return gateway, slow


def rising(numbers):
    if any(b <= a for a, b in zip(numbers, numbers[1:])):
        raise Wrong(f"out of order or doubled: {numbers}")


def prefix_of(numbers):
    """How many messages stand before the first hole."""
    for index, number in enumerate(numbers):
        if number != index:
            return index
    return len(numbers)


def balanced(gateway, received, policy):
    """delivered + dropped = published, for the one slow connection."""
    dropped = gateway.metric(f"holdfast_dropped_{policy}_total")
    if received + dropped != COUNT:
        raise Wrong(f"{received} received and {dropped:.0f} dropped are not {COUNT} published")


POLICY = "DESIGN 5, Backpressure"


@row(POLICY, "close: 1013 behind what was already on its way; nothing is missing before it")
def policy_close(t):
    gateway, slow = setting(t, "/close")
    numbers, code = numbers_until(slow, COUNT)
    if code != 1013 or numbers != list(range(len(numbers))) or len(numbers) >= COUNT:
        raise Wrong(
            f"code {code} after {len(numbers)} messages, the first hole at {prefix_of(numbers)}"
        )
    slow.send(close(1013))
    slow.expect_end()


@row(POLICY, "drop_oldest: the newest are kept, in order")
def policy_drop_oldest(t):
    gateway, slow = setting(t, "/drop_oldest")
    numbers, code = numbers_until(slow, COUNT - 1)
    rising(numbers)
    tail = len(numbers) - prefix_of(numbers)
    if code is not None or tail == 0 or numbers[-tail:] != list(range(COUNT - tail, COUNT)):
        raise Wrong(f"code {code}, {len(numbers)} received, {tail} behind the hole: {numbers[-3:]}")
    if tail * 1006 > 16384 + 1100 or tail < 10:
        raise Wrong(f"{tail} messages were kept in a queue of 16 KiB")
    balanced(gateway, len(numbers), "oldest")
    after(gateway, slow)


@row(
    POLICY,
    "drop_newest: what waits is kept, in order, and what comes later is let in when there is room",
)
def policy_drop_newest(t):
    gateway, slow = setting(t, "/drop_newest")
    time.sleep(0.3)  # the last fan-out is over: what is not queued by now was dropped
    numbers = drain_now(slow)
    rising(numbers)
    if numbers[0] != 0 or prefix_of(numbers) < 10 or len(numbers) > 100:
        raise Wrong(
            f"{len(numbers)} received, the first hole at {prefix_of(numbers)}: {numbers[:3]}"
        )
    balanced(gateway, len(numbers), "newest")
    after(gateway, slow)


@row(POLICY, "conflate: only the newest waiting message of each channel is kept")
def policy_conflate(t):
    gateway, slow = setting(t, "/conflate")
    numbers, code = numbers_until(slow, COUNT - 1)
    rising(numbers)
    # What waits when its successor comes is replaced, once the socket has refused.
    if code is not None or len(numbers) > 100 or numbers[-1] - numbers[-2] < 500:
        raise Wrong(f"code {code}, {len(numbers)} received, at last {numbers[-4:]}")
    balanced(gateway, len(numbers), "conflated")
    after(gateway, slow)


@row(POLICY, "conflate: each channel keeps its own newest message")
def conflate_by_channel(t):
    gateway = t.start(BASE)
    slow = t.open("/wide", receive_buffer=4096)
    publish(gateway, 0, 800, "a")
    publish(gateway, 1000, 10, "b")
    publish(gateway, 2000, 10, "a")
    seen = []
    while not ({1009, 2009} <= set(seen)):
        seen.append(number_of(slow.frame()))
    waiting = [n for n in seen if n >= 1000]
    if sorted(waiting) != [1009, 2009]:
        raise Wrong(f"of what waited came {waiting}, not the newest of each channel alone")


@row(POLICY, "control frames are never dropped: a ping is answered behind a full queue")
def control_is_kept(t):
    gateway, slow = setting(t, "/drop_newest")
    slow.send(ping(b"kept"))
    seen = 0
    while True:
        got = slow.frame()
        if got.opcode == 0xA:
            break
        seen += 1
        if seen > COUNT:
            raise Wrong("no pong")
    if got.payload != b"kept":
        raise Wrong(f"{got}")


@row(
    POLICY,
    "a connection that waits for nothing may take one message of any permitted size, whatever its queue",
)
def one_large_message(t):
    t.start(BASE)
    peer = t.open("/echo")
    for _ in range(3):
        peer.send(text("m" * 900000))
        peer.expect_text("m" * 900000)


@row(POLICY, "stall: a send that makes no progress within the deadline ends the connection")
def stall(t):
    gateway, slow = setting(t, "/stall")
    began = time.monotonic()
    until = began + 12
    while gateway.metric("holdfast_faults_total", fault="send_stalled") < 1:
        if time.monotonic() > until:
            raise Wrong("the stalled connection is still there after 12 s")
        time.sleep(0.1)


@row(POLICY, "a slow reader costs nobody else anything: pings are answered while its queue is full")
def others_are_served(t):
    gateway, slow = setting(t, "/drop_oldest")
    other = t.open("/echo")
    for number in range(50):
        began = time.monotonic()
        other.send(ping(str(number)))
        other.expect_pong(str(number).encode())
        if time.monotonic() - began > 1:
            raise Wrong("a pong took more than a second")


BURST = 128  # messages of 8 KiB: four times the queue
LOAD = "y" * 8192
BURST_CONFIG = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
backpressure: {queue: 256KiB, kernel: 4MiB, policy: POLICY}
routes:
  - {path: /burst, channels: {subscribe: ["c0", "c1", "c2", "c3"]}}
"""


@row(
    POLICY,
    "a burst of four times the queue in one publish, over one channel or several: readers that keep up get all of it",
    cases={
        f"{policy}-{spread}{form}": (policy, spread, form)
        for policy in ("close", "drop_oldest", "drop_newest")
        for spread in (1, 4)
        for form in ("", "?envelope=json")
    },
)
def burst(t, policy, spread, form):
    gateway = t.start(BURST_CONFIG.replace("POLICY", policy))
    # Their sockets take everything, however late their process is scheduled.
    peers = [t.open("/burst" + form, receive_buffer=4 << 20) for _ in range(20)]
    items = [{"channel": f"c{i % spread}", "text": f"{i:06}{LOAD}"} for i in range(BURST)]
    status, _, body = gateway.ask("POST", "/publish", {"items": items})
    if status != 200:
        raise Wrong(f"publish: {status} {body[:200]}")
    for peer in peers:
        came = {}
        for _ in range(BURST):
            got = peer.frame()
            if got.opcode == CLOSE:
                raise Wrong(f"{got} after {sum(map(len, came.values()))} messages")
            data = json.loads(got.payload)["data"] if form else got.payload
            came.setdefault(int(data[:6]) % spread, []).append(int(data[:6]))
        for channel in range(spread):
            if came[channel] != list(range(channel, BURST, spread)):
                raise Wrong(f"channel {channel}: {came[channel]}")
    for how in ("oldest", "newest", "conflated", "closed"):
        if gateway.metric(f"holdfast_dropped_{how}_total") != 0:
            raise Wrong(f"messages were dropped: {how}")


def drain_now(peer):
    """Everything that is there; the connection stays open."""
    numbers = []
    peer.send(ping(b"end"))
    while True:
        got = peer.frame()
        if got.opcode == 0xA:
            return numbers
        if got.opcode == PING:
            continue
        if got.opcode == CLOSE:
            raise Wrong(f"{got} after {len(numbers)} messages")
        numbers.append(number_of(got))


def after(gateway, slow):
    """A reader that came back gets the next messages whole."""
    drain_now(slow)
    for number in range(9000, 9005):
        publish(gateway, number, 1)
        numbers, code = numbers_until(slow, number)
        if numbers != [number] or code is not None:
            raise Wrong(f"afterwards: {numbers}, code {code}")
    slow.send(frame(8, b"\x03\xe8"))
    slow.expect_close(1000)
