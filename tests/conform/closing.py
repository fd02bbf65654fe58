"""RFC 6455 section 5.5.1 and section 7: the Close frame, its codes, its reason, and who closes TCP."""

import time

from conform.verbs import violates
from harness.rows import row
from harness.wire import BINARY, CLOSE, CONT, TEXT, Wrong, binary, close, frame, ping, text

OPTIONS = {"portable": True}

RESPOND = "If an endpoint receives a Close frame and did not previously send one, it MUST send a Close frame in response."


def ends(peer, code):
    """Our Close is out: the server's Close with this code, then its FIN first."""
    peer.expect_close(code)
    peer.expect_end()


ALLOWED = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
ALLOWED += [3000, 3001, 3500, 3998, 3999, 4000, 4001, 4500, 4998, 4999]


@row(
    "RFC 6455 5.5.1", RESPOND + " (it typically echoes the status code it received)", cases=ALLOWED
)
def code_echoed(t, code):
    peer = t.open()
    peer.send(close(code))
    ends(peer, code)


REFUSED = [
    0,
    1,
    2,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    1017,
    1100,
    1999,
    2000,
    2001,
    2500,
    2999,
    5000,
    5001,
    9999,
    32768,
    65535,
]


@row(
    "RFC 6455 7.4",
    "codes that MUST NOT be set in a Close frame, or that nothing defines, are a protocol error (1002)",
    cases=REFUSED,
)
def code_refused(t, code):
    violates(t, close(code), 1002)


@row(
    "RFC 6455 7.4",
    "a reserved code is refused with a reason behind it, too",
    cases=[1004, 1005, 1006, 1015],
)
def code_refused_with_reason(t, code):
    violates(t, close(code, "reason"), 1002)


@row("RFC 6455 5.5.1", RESPOND + " (empty body: no status code was present, none is echoed)")
def empty_close(t):
    peer = t.open()
    peer.send(close())
    ends(peer, None)


@row(
    "RFC 6455 5.5.1",
    "If there is a body, the first two bytes MUST be a 2-byte unsigned integer",
    cases=[b"\x00", b"\x03", b"\xe8", b"\xff"],
)
def one_byte_body(t, body):
    violates(t, frame(CLOSE, body), 1002)


@row(
    "RFC 6455 5.5.1",
    "Following the code the body MAY contain UTF-8-encoded data",
    cases=[0, 1, 2, 61, 122, 123],
)
def reason_length(t, size):
    peer = t.open()
    peer.send(close(1000, b"r" * size))
    ends(peer, 1000)


@row(
    "RFC 6455 5.5",
    "All control frames MUST have a payload length of 125 bytes or less (a reason of 124)",
)
def reason_too_long(t):
    violates(t, close(1000, b"r" * 124), 1002)


GOOD = {
    "two": "é",
    "three": "€",
    "four": "𐍈",
    "nul": "a\0b",
    "last": "\U0010ffff",
    "mixed": "κόσμε 🎈",
}


@row("RFC 6455 5.5.1", "the reason is UTF-8-encoded data", cases=GOOD)
def reason_utf8(t, reason):
    peer = t.open()
    peer.send(close(1000, reason))
    ends(peer, 1000)


BAD = {
    "lone-continuation": b"\x80",
    "truncated-2": b"ok\xc3",
    "truncated-3": b"\xe2\x82",
    "truncated-4": b"\xf0\x90\x8d",
    "overlong": b"\xc0\xaf",
    "surrogate": b"\xed\xa0\x80",
    "above": b"\xf4\x90\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "middle": b"good\xffgood",
    "last-of-123": b"r" * 122 + b"\xc3",
}


@row(
    "RFC 6455 8.1",
    "an endpoint that finds that a byte stream is not valid UTF-8 MUST Fail the Connection (a reason; 1007)",
    cases=BAD,
)
def reason_not_utf8(t, reason):
    violates(t, close(1000, reason), 1007)


@row("RFC 6455 7.1.1", "The server closes TCP first: SHOULD initiate a TCP Close immediately")
def server_closes_first(t):
    peer = t.open()
    started = time.monotonic()
    peer.send(close(1000))
    ends(peer, 1000)
    if time.monotonic() - started > 0.7:
        raise Wrong(
            f"the FIN came {time.monotonic() - started:.2f} s after the Close frames, not immediately"
        )


@row(
    "RFC 6455 7.1.1",
    "SHOULD use a method that cleanly closes the TCP connection ... discarding any trailing bytes",
    cases=[1, 100, 4096, 60000],
)
def clean_close_with_trailing_bytes(t, size):
    peer = t.open()
    peer.send(close(1000), b"\xff" * size)
    ends(peer, 1000)


@row(
    "RFC 6455 5.5.1",
    "MUST NOT process data after a Close: messages behind it get no answer",
    cases={"text": TEXT, "binary": BINARY},
)
def nothing_after_close(t, opcode):
    peer = t.open()
    peer.send(close(1000), frame(opcode, b"late"))
    ends(peer, 1000)


@row("RFC 6455 5.5.1", "a second Close frame is not answered")
def close_twice(t):
    peer = t.open()
    peer.send(close(1000), close(1001))
    ends(peer, 1000)


@row("RFC 6455 5.5.1", RESPOND + " (what came before it is answered first)", cases=[1, 5, 100])
def close_after_messages(t, count):
    peer = t.open()
    peer.send(b"".join(text(f"message {i}") for i in range(count)), close(1000))
    for i in range(count):
        peer.expect_text(f"message {i}")
    ends(peer, 1000)


@row("RFC 6455 5.5.1", RESPOND + " (a large echo right before it is not lost)")
def close_after_large_message(t):
    peer = t.open()
    payload = bytes(range(256)) * 2048
    peer.send(binary(payload), close(1000))
    peer.expect(BINARY, payload)
    ends(peer, 1000)


@row(
    "RFC 6455 5.5.1",
    RESPOND + " (a reader that is slow to fetch a large echo still gets all of it, and the Close)",
)
def close_after_large_message_slow(t):
    peer = t.open()
    payload = bytes(range(256)) * 4000
    peer.send(binary(payload), close(1000))
    time.sleep(0.3)
    peer.expect(BINARY, payload)
    ends(peer, 1000)


@row(
    "RFC 6455 5.5.1",
    RESPOND + " (in the middle of a fragmented message)",
    cases={"text": TEXT, "binary": BINARY},
)
def close_inside_message(t, opcode):
    peer = t.open()
    peer.send(frame(opcode, b"begin", fin=False), close(1001))
    ends(peer, 1001)


@row("RFC 6455 5.5.1", "Close frames sent from client to server must be masked")
def unmasked_close(t):
    violates(t, close(1000, masked=False), 1002)


@row("RFC 6455 5.5.1", RESPOND + " (however it arrives)", cases=[1, 2, 3, 5])
def close_in_pieces(t, piece):
    peer = t.open()
    data = close(3333, "piecemeal")
    peer.send_apart([data[i : i + piece] for i in range(0, len(data), piece)], pause=0.002)
    ends(peer, 3333)


@row("RFC 6455 5.5.1", RESPOND + " (as the very first frame)")
def close_first(t):
    peer = t.open()
    peer.send(close(1000))
    ends(peer, 1000)


FAILED = "MUST NOT continue to attempt to process data (including a responding Close frame) after being instructed to Fail"


@row(
    "RFC 6455 7.1.7",
    "SHOULD send a Close frame with an appropriate status code before proceeding to Close the Connection",
)
def close_frame_before_fin(t):
    violates(t, frame(3, b"x"), 1002)


@row(
    "RFC 6455 7.1.7",
    FAILED + " (a peer that says nothing more is left within about a second)",
    slow=True,
)
def failed_without_answer(t):
    peer = t.open()
    started = time.monotonic()
    peer.send(frame(3, b"x"))
    peer.expect_close(1002)
    peer.expect_end()
    if time.monotonic() - started > 2.5:
        raise Wrong(f"the FIN came only after {time.monotonic() - started:.1f} s")


@row("RFC 6455 7.1.7", FAILED + " (a peer that closes its side is left at once)")
def failed_and_half_closed(t):
    peer = t.open()
    peer.send(frame(3, b"x"))
    peer.expect_close(1002)
    peer.shut()
    started = time.monotonic()
    peer.expect_end()
    if time.monotonic() - started > 0.7:
        raise Wrong(f"the FIN came only after {time.monotonic() - started:.1f} s")


@row("RFC 6455 7.1.7", FAILED + " (its later Close is not answered by a second one)")
def failed_close_not_answered(t):
    peer = t.open()
    peer.send(frame(3, b"x"), close(1000))
    peer.expect_close(1002)
    peer.expect_end()


@row(
    "RFC 6455 7.1.7",
    FAILED + " (a flood behind the violation gets no RST)",
    cases=[1000, 20000, 100000],
)
def failed_then_flooded(t, size):
    peer = t.open()
    peer.send(frame(3, b"x") + binary(b"f" * size))
    peer.expect_close(1002)
    peer.send(close(1002))
    peer.expect_end()


@row("RFC 6455 7.1.7", "a second violation is not answered by a second Close")
def two_violations(t):
    peer = t.open()
    peer.send(frame(3, b"x"), frame(4, b"y"), frame(TEXT, b"\xff"), close(1000))
    peer.expect_close(1002)
    peer.expect_end()


@row(
    "RFC 6455 7.1.7",
    "the code tells the violation, not what the peer said in its Close (1002 for a bad code)",
)
def bad_code_is_not_echoed(t):
    violates(t, close(1005, "echo me"), 1002)


@row(
    "RFC 6455 7.1.5",
    "a peer that goes away without a Close (FIN) is let go: our FIN follows",
    cases={"idle": b"", "in-frame": b"\x81\x85abc", "in-message": text("a", fin=False)},
)
def fin_without_close(t, begun):
    peer = t.open()
    peer.send(begun)
    peer.shut()
    left = peer.rest()
    # a server may still say a Close; it may say nothing else
    if left and left[0] != 0x88:
        raise Wrong(f"after our FIN came {left[:40]!r}")


@row("RFC 6455 7.1.5", "what was whole before the peer's FIN is answered")
def fin_behind_message(t):
    peer = t.open()
    peer.send(text("last words"))
    peer.shut()
    peer.expect_text("last words")


@row("RFC 6455 7.1.5", "a Close behind which the peer sends its FIN at once is answered")
def fin_behind_close(t):
    peer = t.open()
    peer.send(text("x"), close(1000))
    peer.shut()
    peer.expect_text("x")
    ends(peer, 1000)


@row("RFC 6455 5.4", "a Close between fragments ends the connection; the message is not delivered")
def unfinished_message_not_delivered(t):
    peer = t.open()
    peer.send(
        text("never ", fin=False), frame(CONT, b"finished", fin=False), ping(b"p"), close(1000)
    )
    peer.expect_pong(b"p")
    ends(peer, 1000)
