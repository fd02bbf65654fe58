"""Limits that hold for the whole process: connections and per_address at n - 1, n and n + 1, handshake rate."""

import time

from harness.rows import row
from harness.wire import Peer, Wrong, close, request, text, upgrade

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: WORKERS
limits: LIMITS
drain: 1s
EXTRA
routes:
  - {path: /echo, echo: {}}
  - {path: /capped, echo: {}, limits: {connections: 3}}
  - {path: /mine, echo: {}, limits: {per_address: 2}}
  - {path: "/many/{name}", channels: {subscribe: ["many.{name}"], allow: ["room.*"]}, limits: {channels: 3}}
"""


def start(t, limits, workers=2, extra=""):
    return t.start(
        BASE.replace("WORKERS", str(workers)).replace("LIMITS", limits).replace("EXTRA", extra)
    )


def attempt(t, path="/echo", source=None):
    """An open peer, or None when the gateway refused it; the refusal keeps its rules."""
    peer = t.peer(source=source)
    peer.send(upgrade(path))
    answer = peer.response()
    if answer.status == 101:
        return peer
    if answer.status not in (503, 429):
        raise Wrong(f"{answer}")
    if not (answer.get("retry-after") or "").isdigit():
        raise Wrong(f"{answer.status} without Retry-After: {answer}")
    peer.close()
    return None


def holds(t, limit, path="/echo", sources=(None,)):
    """n - 1 and n are let in, n + 1 is not, and is again when one has left."""
    peers = []
    for number in range(limit):
        peer = attempt(t, path, sources[number % len(sources)])
        if peer is None:
            raise Wrong(f"connection {number + 1} of {limit} was refused")
        peers.append(peer)
    for _ in range(5):
        if attempt(t, path, sources[0]) is not None:
            raise Wrong(f"connection {limit + 1} was let in")
    for peer in peers:
        peer.send(text("alive"))
        peer.expect_text("alive")
    peers[0].leave()
    until = time.monotonic() + 3
    while (again := attempt(t, path, sources[0])) is None:
        if time.monotonic() > until:
            raise Wrong("a place that became free is not given again")
        time.sleep(0.02)
    if attempt(t, path, sources[0]) is not None:
        raise Wrong("one too many after a place was given again")
    again.send(text("in"))
    again.expect_text("in")


@row(
    "DESIGN 3, admission",
    "limits.connections holds exactly for the whole process",
    cases={"1-worker": (1, 8), "2-workers": (2, 8), "one": (2, 1)},
)
def connections(t, workers, limit):
    start(t, f"{{connections: {limit}}}", workers)
    holds(t, limit)


@row(
    "DESIGN 3, admission",
    "limits.per_address holds exactly for the whole process",
    cases={"1-worker": (1, 5), "2-workers": (2, 5)},
)
def per_address(t, workers, limit):
    start(t, f"{{connections: 100, per_address: {limit}}}", workers)
    holds(t, limit)
    other = attempt(t, source="127.0.0.2")
    if other is None:
        raise Wrong("another address was refused")


@row("DESIGN 1", "per_address is never applied to trusted ranges")
def per_address_trusted(t):
    start(t, "{connections: 100, per_address: 2}", extra="trusted: [127.0.0.2/32]")
    holds(t, 2)
    for number in range(6):
        if attempt(t, source="127.0.0.2") is None:
            raise Wrong(f"connection {number + 1} from the trusted address was refused")


@row("DESIGN 1", "per_address counts each address apart")
def addresses_apart(t):
    start(t, "{connections: 100, per_address: 2}")
    for last in range(1, 6):
        source = f"127.0.0.{last}"
        if attempt(t, source=source) is None or attempt(t, source=source) is None:
            raise Wrong(f"{source} was refused")
        if attempt(t, source=source) is not None:
            raise Wrong(f"{source} got three")


@row("DESIGN 1", "a route's own limits.connections")
def route_connections(t):
    start(t, "{connections: 100}")
    holds(t, 3, "/capped")
    if attempt(t, "/echo") is None:
        raise Wrong("another route was refused")


@row("DESIGN 1", "a route's own limits.per_address")
def route_per_address(t):
    start(t, "{connections: 100}")
    holds(t, 2, "/mine")
    if attempt(t, "/mine", source="127.0.0.3") is None or attempt(t, "/echo") is None:
        raise Wrong("another address or route was refused")


@row(
    "DESIGN 3, admission",
    "a connection that never says a word is counted, and its place is given back",
)
def silent_connections_count(t):
    gateway = start(t, "{connections: 3, handshake: 3s}")
    silent = [t.peer() for _ in range(3)]
    time.sleep(0.2)
    late = Peer(gateway.address)
    t.peers.append(late)
    late.send(upgrade())
    try:
        answer = late.response()
        if answer.status == 101:
            raise Wrong("the fourth connection was let in")
    except Wrong as refused:
        if "let in" in str(refused):
            raise
    for peer in silent:
        peer.rest()
    until = time.monotonic() + 8
    while attempt(t) is None:
        if time.monotonic() > until:
            raise Wrong("the places of silent connections are not given back")
        time.sleep(0.05)


@row(
    "DESIGN 1",
    "limits.handshakes_per_second: beyond it 503 with Retry-After, and the tokens come back",
)
def handshake_rate(t):
    start(t, "{connections: 5000, handshakes_per_second: 50}", workers=1)
    began = time.monotonic()
    let_in = refused = 0
    while refused == 0 and let_in < 2000:
        peer = attempt(t)
        if peer is None:
            refused += 1
        else:
            let_in += 1
            peer.close()
    took = time.monotonic() - began
    if refused == 0 or let_in > 50 * (took + 1) + 64 + 10:
        raise Wrong(f"{let_in} let in within {took:.1f} s, {refused} refused")
    until = time.monotonic() + 5
    while attempt(t) is None:
        if time.monotonic() > until:
            raise Wrong("the rate never recovers")
        time.sleep(0.1)


@row(
    "DESIGN 1",
    "limits.channels: subscriptions of one connection (n + 1 is refused, the connection stays)",
)
def channels(t):
    start(t, "{connections: 100}")
    peer = t.open("/many/me?envelope=json")
    answers = []
    for number in range(3):
        peer.send(text(f'{{"subscribe": "room.{number}"}}'))
        answers.append(peer.message()[1])
    if b"error" in answers[0] or b"error" in answers[1] or b"error" not in answers[2]:
        raise Wrong(f"{answers}")
    peer.send(text('{"unsubscribe": "room.0"}'))
    peer.message()
    peer.send(text('{"subscribe": "room.9"}'))
    answer = peer.message()[1]
    if b"error" in answer:
        raise Wrong(f"after an unsubscribe: {answer}")


@row(
    "DESIGN 5, Refusal",
    "a refusal for want of room is HTTP, and what was sent behind the GET is not read as frames",
)
def refused_with_frames_behind(t):
    start(t, "{connections: 1}")
    first = attempt(t)
    peer = t.peer()
    peer.send(upgrade(body=text("frame") + close(1000)))
    answer = peer.response()
    if answer.status != 503:
        raise Wrong(f"{answer}")
    left = peer.rest()
    if b"frame" in left:
        raise Wrong(f"{left[:60]!r}")
    first.send(text("alive"))
    first.expect_text("alive")


@row("DESIGN 1", "ordinary requests are connections, too, and give their place back")
def http_connections(t):
    start(t, "{connections: 2}")
    for _ in range(20):
        peer = t.peer()
        peer.send(request("/nowhere", fields=[("Connection", "close")]))
        if peer.response().status != 404:
            raise Wrong("refused")
        peer.expect_end()
        peer.close()
        time.sleep(0.01)
