"""permessage-deflate on a gateway of its own: what a bomb costs, and how often a broadcast is compressed."""

import time
import zlib

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
