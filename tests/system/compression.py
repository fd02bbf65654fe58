"""permessage-deflate on a gateway of its own: what a bomb costs, and how often a broadcast is compressed."""

import json
import os
import random
import time
import zlib

from harness.crowd import Crowd
from harness.rows import row
from harness.wire import CLOSE, TEXT, Wrong, frame, text, upgrade

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
drain: 1s
routes:
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
  - {path: "/others/{room}", channels: {publish: "chat.{room}"}}
  - {path: "/own/{room}", channels: {subscribe: ["chat.{room}"]}, compression: {takeover: server}}
  - {path: /off, echo: {}, compression: false}
"""
OFFER = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
TAIL = b"\0\0\xff\xff"


def packed(data):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def opened(t, path, offers=True):
    peer = t.peer()
    peer.send(upgrade(path, add=[OFFER] if offers else []))
    head = peer.take_until(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise Wrong(f"not opened: {head}")
    return peer, b"permessage-deflate" in head


def taken(peer):
    first, second = peer.take(2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(peer.take(2), "big")
    return first, peer.take(size)


def resident(gateway):
    with open(f"/proc/{gateway.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


@row("RFC 7692 8", "a hundred bombs cost one bounded buffer, and 1009")
def bombs(t):
    gateway = t.start(CONFIGURATION)
    bomb = packed(b"\0" * (64 << 20))
    peers = [opened(t, "/echo")[0] for _ in range(100)]
    before = resident(gateway)
    for peer in peers:
        peer.send(frame(TEXT, bomb, rsv=4))
    for peer in peers:
        first, payload = taken(peer)
        if first != 0x80 | CLOSE or payload[:2] != b"\x03\xf1":
            raise Wrong(f"{first:#x} {payload[:20]} where Close 1009 is due")
    grown = resident(gateway) - before
    if grown > 16 << 20:
        raise Wrong(f"{grown >> 20} MiB for bombs of 64 MiB under a limit of 1 MiB")
    for peer in peers:
        peer.send(frame(CLOSE, b"\x03\xf1"))
    end = time.monotonic() + 5  # counted when the connection ends
    while gateway.metric("holdfast_faults_total", fault="message_too_big") != 100:
        if time.monotonic() > end:
            raise Wrong("not counted as message_too_big")
        time.sleep(0.02)


@row("DESIGN 3", "one encoding and one compressed variant serve every subscriber of a worker")
def broadcast(t):
    gateway = t.start(CONFIGURATION)
    peers = [opened(t, "/chat/a", offers=number % 2 == 0) for number in range(40)]
    data = b'{"seats": [1, 2, 3]}, ' * 180
    for count in (1, 2, 3):
        peers[count][0].send(text(data))
        for peer, has_compression in peers:
            first, back = taken(peer)
            if has_compression != bool(first & 0x40):
                raise Wrong(f"{first:#x} to one that {'agreed' if has_compression else 'did not'}")
            if (zlib.decompress(back + TAIL + b"\3\0", -15) if has_compression else back) != data:
                raise Wrong("altered")
        if gateway.metric("holdfast_messages_packed_total") != count:
            raise Wrong(f"{gateway.metric('holdfast_messages_packed_total')} compressions for {count} messages")


@row("README, compression", "a route with `compression: false` agrees to none")
def off(t):
    t.start(CONFIGURATION)
    if opened(t, "/off")[1] or not opened(t, "/echo")[1]:
        raise Wrong("`compression: false` does not decide")


def prices(number):
    """About 4 KiB of JSON, other figures each time."""
    chance = random.Random(number)
    names = ["bid", "ask", "last", "open", "high", "low"]
    row_of = lambda i: {"id": i, **{name: chance.randrange(100000) / 100 for name in names}}
    return json.dumps([row_of(i) for i in range(48)])[:4096].encode()


def seconds_of(gateway):
    """The CPU time of the process so far."""
    with open(f"/proc/{gateway.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


MESSAGES = 20


def told(gateway, crowd, members, sender, first):
    """Publishes MESSAGES, each when everybody has the one before; what the gateway spent on it."""
    began = seconds_of(gateway)
    for number in range(first, first + MESSAGES):
        sender.send(text(prices(number)))
        crowd.until(lambda: all(one.messages for one in members), 60, f"message {number}")
        heard = {one.messages.pop() for one in members}
        if len(heard) != 1 or any(one.messages for one in members):
            raise Wrong(f"{len(heard)} forms of one message")
        form = heard.pop()
        if (form if form == prices(number) else inflated(form)) != prices(number):
            raise Wrong(f"message {number} was altered")
    return seconds_of(gateway) - began


def inflated(data):
    return zlib.decompress(data + TAIL + b"\3\0", -15)


OWN = 744  # TAKEOVER_BYTES_MAX / TAKEOVER_SLOT_BYTES


@row("README, compression", "windows of their own are bounded: who comes later is compressed without")
def budget(t):
    gateway = t.start(CONFIGURATION)
    before = resident(gateway)
    with Crowd(gateway.address) as crowd:
        members = crowd.join(OWN + 50, "/own/prices", add=[OFFER])
        sender = opened(t, "/others/prices", offers=False)[0]
        counted = [gateway.metric(f"holdfast_takeovers_{one}_total") for one in ("opened", "declined")]
        if counted != [OWN, 50]:
            raise Wrong(f"opened and declined: {counted}")
        inflaters = [zlib.decompressobj(-15) for _ in range(OWN)]
        for number in (1, 1, 2):
            sender.send(text(prices(number)))
            crowd.until(lambda: all(one.messages for one in members), 60, "a message")
            for at, one in enumerate(members):
                data = one.messages.pop() + TAIL
                whole = inflaters[at].decompress(data) if at < OWN else zlib.decompress(data + b"\3\0", -15)
                if whole != prices(number):
                    raise Wrong(f"message {number} to {at} was altered")
        grown = resident(gateway) - before
        if grown > 48 << 20:
            raise Wrong(f"{grown >> 20} MiB for {OWN} windows of 44 KiB")
        for one in members[:10]:
            crowd.selector.unregister(one.sock)
            one.sock.close()
            one.end = "fin"
        time.sleep(0.3)
        if not opened(t, "/own/prices")[1] or gateway.metric("holdfast_takeovers_opened_total") != OWN + 1:
            raise Wrong("what was given back is not given again")


# Compressing 4 KiB takes 20 us: for each subscriber that would be ten times what sending it takes, and 4 s in all.
@row(
    "DESIGN 3",
    "what compressing a broadcast of 4 KiB costs does not depend on how many get it",
    cases={"1000": 1000},
    alone=True,
)
@row(
    "DESIGN 3",
    "what compressing a broadcast of 4 KiB costs does not depend on how many get it",
    cases={"10000": 10000},
    alone=True,
    tier="all",
)
def crowd_of(t, size):
    gateway = t.start(CONFIGURATION)
    spent = {}
    for kind, add in (("plain", []), ("compressed", [OFFER])):
        with Crowd(gateway.address) as crowd:
            members = crowd.join(size, "/chat/prices", add=add)
            sender = opened(t, "/others/prices", offers=False)[0]
            before = gateway.metric("holdfast_messages_packed_total")
            spent[kind] = told(gateway, crowd, members, sender, 0)
            packed = gateway.metric("holdfast_messages_packed_total") - before
            if packed != (MESSAGES if kind == "compressed" else 0):
                raise Wrong(f"{packed} compressions for {MESSAGES} messages, {kind}")
            sender.close()
    each = {kind: 1e6 * one / MESSAGES / size for kind, one in spent.items()}
    print(f"{size} subscribers: {each['plain']:.2f} us a delivery plain, {each['compressed']:.2f} compressed")
    if spent["compressed"] > 1.5 * spent["plain"] + 0.2:
        raise Wrong(f"{spent['compressed']:.2f} s compressed and {spent['plain']:.2f} s plain")
