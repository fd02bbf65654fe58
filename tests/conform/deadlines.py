"""Rows that wait for a deadline, on a gateway whose deadlines are short."""

import time

from conform.verbs import answered
from harness.rows import row
from harness.wire import CLOSE, PING, PONG, TEXT, Wrong, close, frame, request, text

OPTIONS = {"on": "hurried", "slow": True}


def within(started, least, most):
    took = time.monotonic() - started
    if not least <= took <= most:
        raise Wrong(f"after {took:.2f} s, not between {least} and {most} s")


@row(
    "RFC 9110 15.5.9",
    "408: the server did not receive a complete request within the time that it was prepared to wait",
    cases={
        "silence": b"",
        "half-line": b"GET /ec",
        "half-head": b"GET /echo HTTP/1.1\r\nHost: localhost\r\n",
    },
)
def handshake_timeout(t, begun):
    peer = t.peer()
    started = time.monotonic()
    peer.send(begun)
    if begun:
        answer = answered(peer, 408, after=False)
        if not answer.closes:
            raise Wrong("408 SHOULD come with Connection: close")
        peer.expect_end()
    else:
        left = peer.rest()  # a peer that never said a word may be left without one
        if left and not left.startswith(b"HTTP/1.1 408 "):
            raise Wrong(f"{left[:60]!r}")
    within(started, 0.3, 3)


@row(
    "RFC 9110 15.5.9",
    "the deadline is the head's, not the byte's: a byte now and then does not extend it",
)
def slow_loris(t):
    peer = t.peer()
    started = time.monotonic()
    data = request("/echo")
    for i in range(len(data) - 1):
        peer.send(data[i : i + 1])
        time.sleep(0.05)
        if time.monotonic() - started > 0.8:
            break
    answered(peer, 408, after=False)
    within(started, 0.3, 3)


@row("RFC 9110 15.5.9", "a body that does not come is not waited for without end")
def body_timeout(t):
    peer = t.peer()
    peer.send(request("/chat/slow", "POST", fields=[("Content-Length", "10")], body="half"))
    answered(peer, 408, after=False)
    peer.expect_end()


@row("DESIGN 1", "an open WebSocket has no handshake deadline")
def open_is_not_timed_out(t):
    peer = t.open("/echo")
    time.sleep(1)
    peer.send(text("still"))
    peer.expect_text("still")


@row("DESIGN 1", "limits.idle: 1001 when no message has passed for so long")
def idle(t):
    peer = t.open("/idle")
    started = time.monotonic()
    peer.expect_close(1001)
    within(started, 0.4, 3)
    peer.send(close(1001))
    peer.expect_end()


@row("DESIGN 1", "limits.idle: messages keep the connection open")
def idle_is_reset(t):
    peer = t.open("/idle")
    for i in range(8):
        time.sleep(0.15)
        peer.send(text(str(i)))
        peer.expect_text(str(i))
    peer.expect_close(1001)


@row("DESIGN 1", "limits.age: 1001 when the connection is older, busy or not")
def age(t):
    peer = t.open("/age")
    started = time.monotonic()
    while time.monotonic() - started < 5:
        peer.send(text("busy"))
        got = peer.frame()
        if got.opcode == CLOSE:
            if got.code != 1001:
                raise Wrong(f"{got}")
            within(started, 0.3, 4)
            return
        time.sleep(0.02)
    raise Wrong("still open after 5 s")


@row("RFC 6455 5.5.2", "keepalive: the server pings; a peer that answers stays")
def keepalive_answered(t):
    peer = t.open("/ping")
    seen = 0
    started = time.monotonic()
    while seen < 3:
        got = peer.frame()
        if got.opcode != PING:
            raise Wrong(f"expected a ping, got {got}")
        peer.send(frame(PONG, got.payload))
        seen += 1
    within(started, 0.3, 4)
    peer.send(text("still here"))
    while (got := peer.frame()).opcode == PING:
        peer.send(frame(PONG, got.payload))
    if got.payload != b"still here":
        raise Wrong(f"{got}")


@row("RFC 6455 5.5.2", "keepalive: a peer that does not answer is closed within ping + pong (1011)")
def keepalive_unanswered(t):
    peer = t.open("/ping")
    started = time.monotonic()
    got = peer.frame()
    if got.opcode != PING:
        raise Wrong(f"expected a ping, got {got}")
    peer.expect_close(1011)
    within(started, 0.3, 3)


@row(
    "RFC 6455 5.5.2",
    "keepalive: a ping behind a large message is awaited from when it went out: who reads slowly is no dead peer",
)
def keepalive_behind_a_large_message(t):
    peer = t.open("/patient", receive_buffer=4096)
    size = 900_000
    peer.send(text("m" * size))
    started = time.monotonic()
    while len(peer.data) < size:  # twice as long as ping + pong
        peer.data += peer.sock.recv(min(4096, size - len(peer.data)))
        time.sleep(0.04)
    within(started, 6, 60)
    got = peer.frame()
    if got.opcode != TEXT or len(got.payload) != size:
        raise Wrong(f"{got}")
    while (got := peer.frame()).opcode == PING:
        peer.send(frame(PONG, got.payload), text("still here"))
    if got.payload != b"still here":
        raise Wrong(f"{got}")


@row(
    "RFC 6455 5.5.2",
    "keepalive: an answer that does not match the ping is not one it waited for, but traffic is life",
)
def keepalive_unsolicited(t):
    peer = t.open("/ping")
    for _ in range(3):
        got = peer.frame()
        if got.opcode != PING:
            raise Wrong(f"expected a ping, got {got}")
        peer.send(frame(PONG, b"unasked"), frame(PONG, got.payload))
    peer.send(text("alive"))
    while (got := peer.frame()).opcode == PING:
        pass
    if got.payload != b"alive":
        raise Wrong(f"{got}")


@row("RFC 6455 7.1.1", "a peer that answers our Close, but never closes, sees our FIN all the same")
def close_answered_without_fin(t):
    peer = t.open("/idle")
    peer.expect_close(1001)
    peer.send(close(1001))
    peer.expect_end()


@row("RFC 6455 7.1.1", "a peer that does not answer our Close is cut at a deadline")
def close_unanswered(t):
    peer = t.open("/idle")
    peer.expect_close(1001)
    started = time.monotonic()
    peer.expect_end(patience=12)
    within(started, 0, 8)


@row("RFC 6455 5.5.1", "after sending a Close the server answers no further messages")
def nothing_after_our_close(t):
    peer = t.open("/idle")
    peer.expect_close(1001)
    peer.send(text("late"), frame(PING, b"late"), close(1001))
    peer.expect_end()
