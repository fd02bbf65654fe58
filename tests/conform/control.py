"""RFC 6455 section 5.5.2 and 5.5.3: ping and pong; 5.5: the size of a control frame."""

import time

from conform.verbs import survives, violates
from harness.rows import row
from harness.wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Wrong,
    binary,
    close,
    frame,
    ping,
    text,
)

OPTIONS = {"portable": True}

SAME = "A Pong frame sent in response to a Ping must have identical Application data as found in the Ping."


@row("RFC 6455 5.5.3", SAME, cases=[0, 1, 2, 3, 4, 5, 31, 32, 33, 64, 124, 125])
def pong_has_the_same_data(t, size):
    body = bytes(i * 7 & 255 for i in range(size))
    peer = t.open()
    peer.send(ping(body))
    peer.expect_pong(body)
    survives(peer)


@row("RFC 6455 5.5.3", SAME + " (bytes that are not UTF-8)")
def ping_is_not_text(t):
    peer = t.open()
    peer.send(ping(b"\xff\xfe\x80\xc0"))
    peer.expect_pong(b"\xff\xfe\x80\xc0")


ANSWER = "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response."


@row("RFC 6455 5.5.2", ANSWER + " (as the very first frame)")
def ping_first(t):
    peer = t.open()
    peer.send(ping(b"first"))
    peer.expect_pong(b"first")


@row("RFC 6455 5.5.2", ANSWER + " (each of them, one after the other)")
def ping_many_in_turn(t):
    peer = t.open()
    for number in range(60):
        peer.send(ping(str(number)))
        peer.expect_pong(str(number).encode())
    survives(peer)


@row("RFC 6455 5.5.2", ANSWER + " (in pieces)", cases=[1, 2, 3, 6, 8, 20, 100])
def ping_in_pieces(t, piece):
    data = ping(b"p" * 100)
    peer = t.open()
    peer.send_apart([data[i : i + piece] for i in range(0, len(data), piece)], pause=0.001)
    peer.expect_pong(b"p" * 100)


@row(
    "RFC 6455 5.5.2",
    "It SHOULD respond with Pong frame as soon as is practical (between two messages)",
)
def ping_between_messages(t):
    peer = t.open()
    peer.send(text("one"), ping(b"p"), text("two"))
    peer.expect_text("one")
    got = [peer.frame(), peer.frame()]
    kinds = sorted(f.opcode for f in got)
    if kinds != [TEXT, PONG]:
        raise Wrong(f"expected a pong and an echo, got {got[0]} and {got[1]}")


@row(
    "RFC 6455 5.5.2",
    "respond as soon as is practical: while a large fragmented message is still arriving",
    cases=[10000, 300000],
)
def ping_while_a_message_arrives(t, size):
    peer = t.open()
    half = b"m" * (size // 2)
    peer.send(binary(half, fin=False), ping(b"now"))
    peer.expect_pong(b"now")
    peer.send(frame(CONT, half))
    peer.expect(BINARY, half + half)


FLOOD = (
    "the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame"
)


@row(
    "RFC 6455 5.5.3",
    FLOOD + ": a flood is neither a reason to close nor one to queue without bound",
    cases=[60, 1000, 20000],
)
def ping_flood(t, count):
    peer = t.open()
    peer.send(b"".join(ping(f"{i:06}", key=b"\0\0\0\0") for i in range(count)))
    last = -1
    while last < count - 1:
        got = peer.frame()
        if got.opcode != PONG:
            raise Wrong(f"expected a pong, got {got}")
        if int(got.payload) <= last:
            raise Wrong(f"pong {got.payload} after pong {last:06}")
        last = int(got.payload)
    survives(peer)


@row("RFC 6455 5.5.3", FLOOD + ": the newest is answered when the reader comes back")
def ping_flood_unread(t):
    peer = t.open(receive_buffer=4096)  # little room for pongs
    body = b"." * 119
    for number in range(0, 30000, 1000):
        peer.send(
            b"".join(
                ping(f"{i:06}".encode() + body, key=b"\0\0\0\0")
                for i in range(number, number + 1000)
            )
        )
    last = -1
    while last < 29999:
        got = peer.frame()
        if got.opcode != PONG or int(got.payload[:6]) <= last or got.payload[6:] != body:
            raise Wrong(f"after pong {last} came {got}")
        last = int(got.payload[:6])
    survives(peer)


UNASKED = (
    "A Pong frame MAY be sent unsolicited. A response to an unsolicited Pong frame is not expected."
)


@row(
    "RFC 6455 5.5.3",
    UNASKED,
    cases={"empty": b"", "text": b"beat", "125": b"b" * 125, "not-utf8": b"\xff\x80"},
)
def unsolicited_pong(t, body):
    peer = t.open()
    peer.send(frame(PONG, body))
    survives(peer)  # an answer to the pong would stand before the echo


@row("RFC 6455 5.5.3", UNASKED + " (hundreds)")
def unsolicited_pongs(t):
    peer = t.open()
    peer.send(b"".join(frame(PONG, str(i)) for i in range(500)))
    survives(peer)


SIZE = "All control frames MUST have a payload length of 125 bytes or less."
OVER = {
    f"{name}-{size}": (opcode, size)
    for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE))
    for size in (126, 127, 65536)
}


@row("RFC 6455 5.5", SIZE, cases=OVER)
def control_over_125(t, opcode, size):
    body = b"\x03\xe8" + b"r" * (size - 2) if opcode == CLOSE else b"c" * size
    violates(t, frame(opcode, body), 1002)


@row(
    "RFC 6455 5.5",
    SIZE + " (refused from its header, before its payload)",
    cases={"ping": PING, "pong": PONG, "close": CLOSE},
)
def control_over_125_header(t, opcode):
    peer = t.open()
    peer.send(frame(opcode, b"", length=126)[:4])
    peer.expect_close(1002)
    peer.send(close(1002))
    peer.expect_end()


@row("RFC 6455 5.5", SIZE + " (125 is allowed)", cases={"ping": PING, "pong": PONG, "close": CLOSE})
def control_of_125(t, opcode):
    body = b"\x03\xe8" + b"r" * 123 if opcode == CLOSE else b"c" * 125
    peer = t.open()
    peer.send(frame(opcode, body))
    if opcode == CLOSE:
        peer.expect_close(1000)
        peer.expect_end()
    elif opcode == PING:
        peer.expect_pong(body)
    else:
        survives(peer)


@row("RFC 6455 5.5.2", "MUST send a Pong, unless it already received a Close frame")
def no_pong_after_close(t):
    peer = t.open()
    peer.send(close(1000), ping(b"late"))
    peer.expect_close(1000)
    peer.expect_end()


@row("RFC 6455 5.5.2", ANSWER + " (also before a Close that follows right behind)")
def pong_before_close(t):
    peer = t.open()
    peer.send(ping(b"early"), close(1000))
    peer.expect_pong(b"early")
    peer.expect_close(1000)
    peer.expect_end()


@row("RFC 6455 5.5.2", "as soon as is practical: a ping does not wait for the next message")
def ping_is_not_delayed(t):
    peer = t.open()
    started = time.monotonic()
    for number in range(5):
        peer.send(ping(str(number)))
        peer.expect_pong(str(number).encode())
    if time.monotonic() - started > 2:
        raise Wrong("five pongs took more than 2 s")
