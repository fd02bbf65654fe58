"""RFC 6455 section 10.4 and the contracts of DESIGN.md section 5: every limit at n - 1, n and n + 1."""

from conform.verbs import answered, refused, survives, violates
from harness.rows import row
from harness.wire import (
    BINARY,
    CONT,
    TEXT,
    Wrong,
    binary,
    close,
    frame,
    ping,
    request,
    text,
    upgrade,
)

PROTECT = "Implementations that have limitations regarding the frame size or total message size MUST protect themselves"


@row(
    "RFC 6455 10.4",
    PROTECT + " (limits.message: n - 1 and n pass)",
    cases={
        f"{kind}-{size}": (opcode, size)
        for kind, opcode in (("text", TEXT), ("binary", BINARY))
        for size in (999, 1000)
    },
)
def message_within(t, opcode, size):
    peer = t.open("/small")
    peer.send(frame(opcode, b"m" * size))
    peer.expect(opcode, b"m" * size)
    peer.send(text("still here"))
    peer.expect_text("still here")


@row(
    "RFC 6455 10.4",
    PROTECT + " (limits.message: n + 1 is 1009)",
    cases={
        f"{kind}-{size}": (opcode, size)
        for kind, opcode in (("text", TEXT), ("binary", BINARY))
        for size in (1001, 2000, 65536, 300000)
    },
)
def message_beyond(t, opcode, size):
    violates(t, frame(opcode, b"m" * size), 1009, path="/small")


@row(
    "RFC 6455 10.4",
    PROTECT + " (the default of 1 MiB)",
    cases={"n-1": (1048575, True), "n": (1048576, True), "n+1": (1048577, False)},
)
def message_default(t, size, passes):
    peer = t.open()
    if passes:
        peer.send(binary(b"m" * size, key=b"\0\0\0\0"))
        peer.expect(BINARY, b"m" * size)
        survives(peer)
    else:
        peer.send(binary(b"", length=size)[:14])
        peer.expect_close(1009)
        peer.shut()
        peer.expect_end()


FROM_HEADER = "a frame whose announced length breaks a limit is refused from its header, before memory is taken"


@row(
    "DESIGN 5; RFC 6455 10.4",
    FROM_HEADER,
    cases=[1001, 65535, 65536, 1 << 20, 1 << 30, 1 << 32, 1 << 60, (1 << 63) - 1],
)
def refused_from_header(t, size):
    peer = t.open("/small")
    peer.send(binary(b"", length=size))  # head and key, no payload
    peer.expect_close(1009)
    peer.send(b"")
    peer.shut()
    peer.expect_end()


@row(
    "DESIGN 5; RFC 6455 10.4",
    FROM_HEADER + " (a large text frame that is also not UTF-8 is too big, not malformed)",
)
def too_big_before_utf8(t):
    peer = t.open("/small")
    peer.send(text(b"\xff" * 2000))
    peer.expect_close(1009)
    peer.send(close(1009))
    peer.expect_end()


SUM = "SHOULD impose a limit on frame sizes and the total message size after reassembly from multiple frames"


@row(
    "RFC 6455 10.4",
    SUM + " (n - 1, n pass)",
    cases={
        "2-of-999": [500, 499],
        "2-of-1000": [500, 500],
        "10-of-1000": [100] * 10,
        "last-empty": [1000, 0],
        "first-empty": [0, 1000],
    },
)
def fragments_within(t, sizes):
    peer = t.open("/small")
    last = len(sizes) - 1
    for i, size in enumerate(sizes):
        peer.send(frame(TEXT if i == 0 else CONT, b"f" * size, fin=i == last))
    peer.expect_text(b"f" * sum(sizes))
    survives(peer)


@row(
    "RFC 6455 10.4",
    SUM + " (n + 1 is 1009)",
    cases={
        "2-of-1001": [500, 501],
        "1000-and-1": [1000, 1],
        "many": [100] * 10 + [1],
        "first-too-large": [1001],
    },
)
def fragments_beyond(t, sizes):
    bad = b"".join(
        frame(TEXT if i == 0 else CONT, b"f" * size, fin=False) for i, size in enumerate(sizes)
    )
    violates(t, bad, 1009, path="/small")


@row("RFC 6455 10.4", SUM + " (from the header of the fragment that would exceed it)")
def fragments_refused_from_header(t):
    peer = t.open("/small")
    peer.send(binary(b"f" * 600, fin=False), frame(CONT, b"", length=401))
    peer.expect_close(1009)
    peer.shut()
    peer.expect_end()


@row(
    "RFC 6455 10.4",
    "a sum of lengths that overflows 64 bits is too big, not small",
    cases={"2^63-1": (1 << 63) - 1, "2^63-500": (1 << 63) - 500},
)
def sum_does_not_overflow(t, size):
    peer = t.open("/small")
    peer.send(binary(b"f" * 600, fin=False), frame(CONT, b"", length=size))
    peer.expect_close(1009)
    peer.shut()
    peer.expect_end()


@row("RFC 6455 10.4", "the sum begins anew with each message")
def sum_begins_anew(t):
    peer = t.open("/small")
    for _ in range(5):
        peer.send(text("a" * 600, fin=False), frame(CONT, b"b" * 400))
        peer.expect_text("a" * 600 + "b" * 400)
    survives(peer)


@row("RFC 6455 10.4", "control frames between fragments do not count")
def controls_do_not_count(t):
    peer = t.open("/small")
    peer.send(text("a" * 900, fin=False), ping(b"p" * 125))
    peer.expect_pong(b"p" * 125)
    peer.send(ping(b"p" * 125), frame(CONT, b"b" * 100))
    peer.expect_pong(b"p" * 125)
    peer.expect_text("a" * 900 + "b" * 100)


LONG_STREAM = "(a malicious endpoint can send) a long stream of small frames that are a part of a fragmented message"


@row("RFC 6455 10.4", LONG_STREAM + ": limits.fragments at n - 1 and n", cases=[1, 2, 3, 4])
def fragment_count_within(t, count):
    peer = t.open("/few")
    for i in range(count):
        peer.send(frame(TEXT if i == 0 else CONT, str(i), fin=i == count - 1))
    peer.expect_text("".join(str(i) for i in range(count)))
    survives(peer)


@row(
    "RFC 6455 10.4",
    LONG_STREAM + ": limits.fragments at n + 1 (1009)",
    cases={"filled": b"f", "empty": b""},
)
def fragment_count_beyond(t, body):
    violates(
        t,
        b"".join(frame(TEXT if i == 0 else CONT, body, fin=i == 4) for i in range(5)),
        1009,
        path="/few",
    )


@row("RFC 6455 10.4", LONG_STREAM + ": endless empty fragments are an attack, not a message")
def fragments_without_end(t):
    peer = t.open()
    peer.send(text("", fin=False))
    one = frame(CONT, b"", fin=False, key=b"\0\0\0\0")
    for _ in range(100):
        peer.send(one * 1000)
    got = peer.frame()
    if got.code != 1009:
        raise Wrong(f"expected Close 1009, got {got}")


@row("RFC 6455 10.4", "the fragments of the message before do not count")
def fragment_count_begins_anew(t):
    peer = t.open("/few")
    for _ in range(4):
        peer.send(
            text("a", fin=False),
            frame(CONT, b"b", fin=False),
            frame(CONT, b"c", fin=False),
            frame(CONT, b"d"),
        )
        peer.expect_text("abcd")


# -- kinds ----------------------------------------------------------------------------------------------------------

KIND = "1003 indicates that an endpoint is terminating because it has received a type of data it cannot accept"


@row(
    "RFC 6455 7.4.1",
    KIND,
    cases={"binary-on-text": ("/text", BINARY), "text-on-binary": ("/binary", TEXT)},
)
def wrong_kind(t, path, opcode):
    good = TEXT if opcode == BINARY else BINARY
    peer = t.open(path)
    peer.send(frame(good, b"right"), frame(opcode, b"wrong"), frame(good, b"after"))
    peer.expect(good, b"right")
    peer.expect_close(1003)
    peer.send(close(1003))
    peer.expect_end()


@row(
    "RFC 6455 7.4.1",
    KIND + " (fragmented)",
    cases={"binary-on-text": ("/text", BINARY), "text-on-binary": ("/binary", TEXT)},
)
def wrong_kind_fragmented(t, path, opcode):
    peer = t.open(path)
    peer.send(frame(opcode, b"wr", fin=False), frame(CONT, b"ong"))
    peer.expect_close(1003)
    peer.send(close(1003))
    peer.expect_end()


@row("RFC 6455 7.4.1", KIND + " (any: both are accepted)")
def any_kind(t):
    peer = t.open("/any")
    peer.send(text("t"), binary(b"b"))
    peer.expect_text("t")
    peer.expect(BINARY, b"b")


# -- heads ----------------------------------------------------------------------------------------------------------


def head_of(size, path="/echo"):
    """A handshake whose head has exactly this many bytes."""
    base = len(upgrade(path, add=[("X-Fill", "")]))
    return upgrade(path, add=[("X-Fill", "f" * (size - base))])


@row(
    "RFC 6585 5",
    "431: the header fields are too large as a whole (limits.header 8 KiB: n - 1 and n pass)",
    cases=[8191, 8192],
)
def header_within(t, size):
    data = head_of(size)
    if len(data) != size:
        raise Wrong(f"the row is wrong: {len(data)}")
    peer = t.peer()
    peer.send(data)
    peer.opened()
    survives(peer)


@row(
    "RFC 6585 5",
    "431: the header fields are too large as a whole (n + 1)",
    cases=[8193, 9000, 20000],
)
def header_beyond(t, size):
    refused(t, head_of(size), 431)


@row(
    "RFC 6585 5",
    "431 while the head is still arriving: nobody waits for its end",
    cases={"one-field": b"X-Fill: " + b"f" * 9000, "many-fields": b"X-Fill: f\r\n" * 900},
)
def header_beyond_unfinished(t, more):
    peer = t.peer()
    peer.send(request("/echo")[:-2], more)
    answer = answered(peer, 431, after=False)
    if not answer.closes:
        raise Wrong("the connection stays open")
    peer.shut()
    peer.expect_end()


@row("RFC 6585 5", "431: too many header fields", cases=[150, 300])
def too_many_fields(t, count):
    refused(t, upgrade(add=[(f"X-{i}", "") for i in range(count)]), 431)


@row(
    "RFC 9112 3",
    "It is RECOMMENDED that all HTTP senders and recipients support, at a minimum, request-line lengths of 8000 octets",
)
def request_line_of_8000(t):
    path = "/echo?" + "q" * (8000 - len("GET /echo? HTTP/1.1"))
    peer = t.peer()
    peer.send(upgrade(path))
    peer.opened()
    survives(peer)


@row(
    "RFC 9112 3",
    "a request-target longer than any URI it wishes to parse: MUST respond with 414",
    cases=[8300, 9000, 30000],
)
def target_too_long(t, size):
    refused(t, upgrade("/echo?" + "q" * size), (414, 431))


@row("RFC 9112 3", "414 while the request line is still arriving")
def target_too_long_unfinished(t):
    peer = t.peer()
    peer.send(b"GET /" + b"a" * 9000)
    answered(peer, (414, 431), after=False)
    peer.shut()
    peer.expect_end()


@row(
    "RFC 9112 3",
    "a method longer than any that it implements SHOULD be answered by 501",
    cases=[20, 1000],
)
def method_too_long(t, size):
    refused(t, upgrade(method="M" * size), (501, 400, 405))


@row("RFC 6455 4.2.1", "100 header fields are no attack")
def many_fields(t):
    peer = t.peer()
    peer.send(upgrade(add=[(f"X-{i}", "v") for i in range(90)]))
    peer.opened()
    survives(peer)
