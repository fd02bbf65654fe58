"""RFC 6455 section 5.4: fragmentation, and control frames in the middle of it."""

import os

from conform.verbs import survives, violates
from harness.rows import row
from harness.wire import BINARY, CONT, PING, TEXT, binary, close, frame, ping, text

OPTIONS = {"portable": True}

CONCAT = "A fragmented message is equivalent to a single larger message whose payload is the concatenation of the fragments."


def fragments(opcode, pieces, **how):
    """The frames of one message, a list with one element for each piece."""
    last = len(pieces) - 1
    return [
        frame(opcode if i == 0 else CONT, piece, fin=i == last, **how)
        for i, piece in enumerate(pieces)
    ]


@row(
    "RFC 6455 5.4",
    CONCAT,
    cases={
        f"{kind}-{count}": (opcode, count)
        for kind, opcode in (("text", TEXT), ("binary", BINARY))
        for count in (2, 3, 10, 50)
    },
)
def concatenated(t, opcode, count):
    pieces = [f"<{i}>".encode() for i in range(count)]
    peer = t.open()
    peer.send(b"".join(fragments(opcode, pieces)))
    peer.expect(opcode, b"".join(pieces))
    survives(peer)


EMPTY = {
    "first": [b"", b"abc"],
    "last": [b"abc", b""],
    "middle": [b"ab", b"", b"c"],
    "all": [b"", b"", b""],
    "both-ends": [b"", b"abc", b""],
    "two": [b"", b""],
}


@row("RFC 6455 5.4", "A sender MAY create fragments of any size (0 is a size)", cases=EMPTY)
def empty_fragments(t, pieces):
    for opcode in (TEXT, BINARY):
        peer = t.open()
        peer.send(b"".join(fragments(opcode, pieces)))
        peer.expect(opcode, b"".join(pieces))
        survives(peer)


@row(
    "RFC 6455 5.4",
    "A sender MAY create fragments of any size for non-control messages",
    cases=[1, 2, 3, 5, 125, 126, 1000, 65535, 65536],
)
def fragment_size(t, size):
    pieces = [os.urandom(size) for _ in range(4)]
    peer = t.open()
    peer.send(b"".join(fragments(BINARY, pieces)))
    peer.expect(BINARY, b"".join(pieces))


@row("RFC 6455 5.4", CONCAT + " (every fragment in a segment of its own)")
def fragments_apart(t):
    peer = t.open()
    peer.send_apart(fragments(TEXT, [b"one ", b"two ", b"three"]), pause=0.02)
    peer.expect_text("one two three")


@row("RFC 6455 5.4", CONCAT + " (one byte at a time)")
def fragments_by_byte(t):
    data = b"".join(fragments(TEXT, [b"ab", b"", b"cd"]))
    peer = t.open()
    peer.send_apart([data[i : i + 1] for i in range(len(data))], pause=0.0005)
    peer.expect_text("abcd")


@row(
    "RFC 6455 5.4",
    "Clients and servers MUST support receiving both fragmented and unfragmented messages (in turn)",
)
def in_turn(t):
    peer = t.open()
    peer.send(
        text("whole"),
        *fragments(TEXT, [b"in ", b"two"]),
        binary(b"whole"),
        *fragments(BINARY, [b"in ", b"two"]),
    )
    peer.expect_text("whole")
    peer.expect_text("in two")
    peer.expect(BINARY, b"whole")
    peer.expect(BINARY, b"in two")


MIDDLE = "Control frames MAY be injected in the middle; an endpoint MUST be capable of handling them there."


@row(
    "RFC 6455 5.4",
    MIDDLE,
    cases={"empty": b"", "text": b"hello", "125": b"p" * 125, "binary": b"\xff\x00\x80"},
)
def ping_between(t, body):
    peer = t.open()
    peer.send(text("begin ", fin=False), ping(body))
    peer.expect_pong(body)  # before the message is finished
    peer.send(frame(CONT, b"end"))
    peer.expect_text("begin end")


@row("RFC 6455 5.4", MIDDLE + " (in every gap)", cases=[2, 5, 20])
def ping_in_every_gap(t, count):
    peer = t.open()
    pieces = [f"{i} ".encode() for i in range(count)]
    for number, piece in enumerate(fragments(TEXT, pieces)):
        peer.send(piece)
        if number < count - 1:
            peer.send(ping(str(number)))
            peer.expect_pong(str(number).encode())
    peer.expect_text(b"".join(pieces))


@row("RFC 6455 5.4", MIDDLE + " (a pong nobody asked for)")
def pong_between(t):
    peer = t.open()
    peer.send(text("begin ", fin=False), frame(0xA, b"unasked"), frame(CONT, b"end"))
    peer.expect_text("begin end")


@row("RFC 6455 5.4", MIDDLE + " (all in one segment)")
def controls_between_in_one_segment(t):
    peer = t.open()
    peer.send(
        ping(b"1"),
        text("a", fin=False),
        ping(b"2"),
        frame(CONT, b"b", fin=False),
        ping(b"3"),
        frame(CONT, b"c"),
        ping(b"4"),
    )
    pongs, words = [], []
    while len(words) < 1 or pongs[-1:] != [b"4"]:
        got = peer.frame()
        (pongs if got.opcode == 0xA else words).append(got.payload)
    assert words == [b"abc"], words
    # 5.5.3: a pong for only the most recent ping is allowed; order is not at will
    assert pongs == sorted(set(pongs)), pongs


@row(
    "RFC 6455 5.5",
    "Control frames can be interjected in the middle of a fragmented message (a Close ends it unfinished)",
)
def close_between(t):
    peer = t.open()
    peer.send(text("begin ", fin=False), close(1000, "enough"))
    peer.expect_close(1000)
    peer.expect_end()


NOT_FRAGMENTED = "Control frames themselves MUST NOT be fragmented."
CONTROLS = {"close": 8, "ping": 9, "pong": 10}


@row("RFC 6455 5.4", NOT_FRAGMENTED, cases=CONTROLS)
def fragmented_control(t, opcode):
    violates(t, frame(opcode, b"\x03\xe8", fin=False), 1002)


@row("RFC 6455 5.4", NOT_FRAGMENTED + " (empty)", cases=CONTROLS)
def fragmented_control_empty(t, opcode):
    violates(t, frame(opcode, b"", fin=False), 1002)


@row("RFC 6455 5.4", NOT_FRAGMENTED + " (with a continuation behind it)")
def fragmented_ping_continued(t):
    violates(t, frame(PING, b"he", fin=False) + frame(CONT, b"llo"), 1002)


@row("RFC 6455 5.4", NOT_FRAGMENTED + " (between the fragments of a message)", cases=CONTROLS)
def fragmented_control_between(t, opcode):
    violates(
        t, text("a", fin=False) + frame(opcode, b"\x03\xe8", fin=False) + frame(CONT, b"b"), 1002
    )


STRAY = "A fragmented message consists of a first frame with an opcode other than 0, followed by frames with opcode 0"


@row(
    "RFC 6455 5.4", STRAY + ": a continuation of nothing", cases={"final": True, "not-final": False}
)
def stray_continuation(t, fin):
    violates(t, frame(CONT, b"hello", fin=fin), 1002)


@row(
    "RFC 6455 5.4",
    STRAY + ": an empty continuation of nothing",
    cases={"final": True, "not-final": False},
)
def stray_continuation_empty(t, fin):
    violates(t, frame(CONT, b"", fin=fin), 1002)


@row("RFC 6455 5.4", STRAY + ": a continuation as the very first frame")
def stray_continuation_first(t):
    violates(t, frame(CONT, b"hello"), 1002, before=False)


@row("RFC 6455 5.4", STRAY + ": a continuation after the final one")
def continuation_after_final(t):
    peer = t.open()
    peer.send(*fragments(TEXT, [b"a", b"b"]), frame(CONT, b"c"), text("after"))
    peer.expect_text("ab")
    peer.expect_close(1002)
    peer.send(close(1002))
    peer.expect_end()


@row("RFC 6455 5.4", STRAY + ": a ping does not begin a message")
def continuation_after_ping(t):
    peer = t.open()
    peer.send(ping(b"x"), frame(CONT, b"c"), text("after"))
    peer.expect_pong(b"x")
    peer.expect_close(1002)
    peer.send(close(1002))
    peer.expect_end()


INTERLEAVED = (
    "The fragments of one message MUST NOT be interleaved between the fragments of another message."
)


@row(
    "RFC 6455 5.4",
    INTERLEAVED,
    cases={
        f"{a}-in-{b}-{'whole' if fin else 'first'}": (x, y, fin)
        for b, y in (("text", TEXT), ("binary", BINARY))
        for a, x in (("text", TEXT), ("binary", BINARY))
        for fin in (True, False)
    },
)
def interleaved(t, inner, outer, fin):
    violates(
        t, frame(outer, b"a", fin=False) + frame(inner, b"b", fin=fin) + frame(CONT, b"c"), 1002
    )


@row("RFC 6455 5.4", INTERLEAVED + " (after a control frame, too)")
def interleaved_after_ping(t):
    peer = t.open()
    peer.send(text("a", fin=False), ping(b"x"), text("b"))
    peer.expect_pong(b"x")
    peer.expect_close(1002)
    peer.send(close(1002))
    peer.expect_end()


@row(
    "RFC 6455 5.4",
    "all fragments of a message are of the same type, as set by the first fragment's opcode",
    cases={"text": TEXT, "binary": BINARY},
)
def type_from_first(t, opcode):
    peer = t.open()
    other = BINARY if opcode == TEXT else TEXT
    peer.send(*fragments(opcode, [b"one ", b"kind"]), frame(other, b"other kind"))
    peer.expect(opcode, b"one kind")
    peer.expect(other, b"other kind")


@row(
    "RFC 6455 6.2",
    "Subsequent data frames MUST be interpreted as belonging to a new WebSocket message",
)
def new_message_after_final(t):
    peer = t.open()
    peer.send(
        *fragments(TEXT, [b"first ", b"message"]),
        *fragments(BINARY, [b"second ", b"message"]),
        text("third"),
    )
    peer.expect_text("first message")
    peer.expect(BINARY, b"second message")
    peer.expect_text("third")


@row(
    "RFC 6455 5.4",
    "Message fragments MUST be delivered to the recipient in the order sent by the sender",
)
def order_of_fragments(t):
    pieces = [bytes([65 + i % 26]) * (i * 37 % 300) for i in range(40)]
    peer = t.open()
    peer.send_apart(fragments(TEXT, pieces), pause=0)
    peer.expect_text(b"".join(pieces))
