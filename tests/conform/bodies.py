"""RFC 9112 sections 6 and 7, RFC 9110 sections 8 to 10: bodies, Expect, methods. A body is never read as frames."""

from conform.verbs import answered, refused, survives
from harness.rows import row
from harness.wire import Wrong, close, request, text, upgrade

DONE = (200, 202, 204)


def post(path, body=b"", fields=(), length=True, **how):
    body = body.encode() if isinstance(body, str) else body
    fields = list(fields) + ([("Content-Length", str(len(body)))] if length else [])
    return request(path, "POST", fields=fields, body=body, **how)


def chunked(path, chunks, end=b"0\r\n\r\n", coding="chunked", fields=()):
    body = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + end
    return request(path, "POST", fields=[("Transfer-Encoding", coding), *fields], body=body)


def arrives(t, data, published):
    """The request publishes exactly this, and the connection goes on with the next request."""
    listener = t.open(f"/post/{t.room}")
    refused(t, data, DONE)
    listener.expect_text(published)
    survives(listener)


# -- bodies on an upgrade -------------------------------------------------------------------------------------------

SMUGGLE = "the body of an upgrade request is never read as frames (the request is refused)"


@row(
    "RFC 9112 6",
    SMUGGLE,
    cases={
        "content-length": ("Content-Length", "5"),
        "length-1": ("Content-Length", "1"),
        "huge": ("Content-Length", "99999999999"),
        "chunked": ("Transfer-Encoding", "chunked"),
        "gzip-chunked": ("Transfer-Encoding", "gzip, chunked"),
    },
)
def upgrade_with_body(t, name, value):
    refused(t, upgrade(add=[(name, value)]), (400, 413, 501))


@row("RFC 9112 6", SMUGGLE + " (frames in the announced body)")
def upgrade_with_frames_as_body(t):
    frames = text("smuggled") + close(1000)
    peer = t.peer()
    peer.send(upgrade(add=[("Content-Length", str(len(frames)))], body=frames))
    answered(peer, (400, 413), after=False)
    left = peer.rest()
    if b"smuggled" in left or left[:1] in (b"\x81", b"\x88"):
        raise Wrong(f"the body was read as frames: {left[:40]!r}")


@row(
    "RFC 9112 6",
    "Content-Length: 0 announces no body: the upgrade goes on",
    cases=["0", "00", " 0 "],
)
def upgrade_with_empty_body(t, value):
    peer = t.open(add=[("Content-Length", value)])
    survives(peer)


# -- Content-Length -------------------------------------------------------------------------------------------------

BAD_LENGTHS = {
    "word": "abc",
    "empty": "",
    "plus": "+4",
    "minus": "-4",
    "hex": "0x4",
    "space": "4 4",
    "fraction": "4.0",
    "comma-other": "4, 5",
    "comma-trailing": "4,",
    "overflow": "18446744073709551617",
    "overflow-20": "99999999999999999999",
    "huge": "9" * 100,
    "semicolon": "4;",
    "quoted": '"4"',
    "letter-behind": "4a",
    "exponent": "4e0",
    "underscore": "1_0",
}


@row(
    "RFC 9112 6.3",
    "an invalid Content-Length: the server MUST respond with 400 and then close the connection",
    cases=BAD_LENGTHS,
)
def content_length_malformed(t, value):
    answer = refused(
        t,
        request("/post/cl", "POST", fields=[("Content-Length", value)], body="data"),
        (400, 413) if value.isdigit() else 400,
    )
    if not answer.closes:
        raise Wrong("the connection stays open behind a body of unknown length")


@row(
    "RFC 9112 6.3",
    "an invalid Content-Length on an upgrade",
    cases=["abc", "-0", "+0", "0, 5", "0x0", ""],
)
def content_length_malformed_upgrade(t, value):
    refused(t, upgrade(add=[("Content-Length", value)]), 400)


@row(
    "RFC 9110 8.6",
    "Content-Length fields with different values: MUST be rejected",
    cases={"two-lines": ("4", "5"), "zero-and-four": ("0", "4"), "four-and-zero": ("4", "0")},
)
def content_length_conflict(t, first, second):
    refused(
        t,
        request(
            "/post/cl",
            "POST",
            fields=[("Content-Length", first), ("Content-Length", second)],
            body="data",
        ),
        400,
    )


@row(
    "RFC 9112 6.1",
    "Transfer-Encoding and Content-Length in one message ought to be handled as an error (refused)",
    cases={
        "te-first": (("Transfer-Encoding", "chunked"), ("Content-Length", "4")),
        "cl-first": (("Content-Length", "4"), ("Transfer-Encoding", "chunked")),
    },
)
def length_and_encoding(t, first, second):
    answer = refused(t, request("/post/te", "POST", fields=[first, second], body="0\r\n\r\n"), 400)
    if not answer.closes:
        raise Wrong("the server MUST close the connection after responding")


CODINGS = {
    "gzip": "gzip",
    "gzip-chunked": "gzip, chunked",
    "deflate": "deflate",
    "unknown": "x-unknown, chunked",
    "identity": "identity",
    "trailers": "trailers",
    "chunkedx": "chunkedx",
    "xchunked": "xchunked",
    "quoted": '"chunked"',
    "parameter": "chunked;q=1",
}


@row(
    "RFC 9112 6.1",
    "A server that receives a transfer coding it does not understand SHOULD respond with 501",
    cases=CODINGS,
)
def coding_unknown(t, value):
    answer = refused(
        t,
        request("/post/te", "POST", fields=[("Transfer-Encoding", value)], body="0\r\n\r\n"),
        (501, 400),
    )
    if not answer.closes:
        raise Wrong("the connection stays open behind a body of unknown length")


@row(
    "RFC 9112 6.3",
    "chunked is not the final encoding: the server MUST respond with 400 and then close",
    cases={
        "not-last": "chunked, gzip",
        "twice": "chunked, chunked",
        "empty": "",
        "comma": ",",
        "high": "chunk\xe9d",
    },
)
def coding_malformed(t, value):
    refused(
        t,
        request("/post/te", "POST", fields=[("Transfer-Encoding", value)], body="0\r\n\r\n"),
        (400, 501),
    )


@row(
    "RFC 9112 6.1",
    "A sender MUST NOT apply the chunked transfer coding more than once (in two fields)",
)
def coding_twice(t):
    refused(
        t,
        request(
            "/post/te",
            "POST",
            fields=[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
            body="0\r\n\r\n",
        ),
        (400, 501),
    )


@row(
    "RFC 9112 6.1",
    "an HTTP/1.0 message with Transfer-Encoding is to be treated as if its framing is faulty",
)
def coding_in_1_0(t):
    refused(
        t,
        request(
            "/post/te",
            "POST",
            version="HTTP/1.0",
            fields=[("Transfer-Encoding", "chunked")],
            body="0\r\n\r\n",
        ),
        (400, 501, 505),
    )


# -- bodies that arrive ---------------------------------------------------------------------------------------------


@row(
    "RFC 9112 6.3",
    "a valid Content-Length defines the expected message body length",
    cases=[1, 10, 999, 1000],
)
def length_body(t, size):
    arrives(t, post(f"/post/{t.room}", "b" * size), "b" * size)


@row("RFC 9112 6.3", "a Content-Length body that comes in pieces", cases=[1, 7])
def length_body_in_pieces(t, piece):
    listener = t.open(f"/post/{t.room}")
    data = post(f"/post/{t.room}", "0123456789" * 3)
    peer = t.peer()
    peer.send_apart([data[i : i + piece] for i in range(0, len(data), piece)], pause=0.0005)
    answered(peer, DONE)
    listener.expect_text("0123456789" * 3)


@row(
    "RFC 9110 8.6",
    "a Content-Length list of identical values may be taken as one or refused",
    cases=["4, 4"],
)
def length_repeated(t, value):
    refused(
        t,
        request("/post/repeated", "POST", fields=[("Content-Length", value)], body="same"),
        (*DONE, 400),
    )


@row(
    "RFC 9112 7.1",
    "A recipient MUST be able to parse and decode the chunked transfer coding",
    cases={
        "one": [b"hello"],
        "several": [b"a", b"bc", b"def"],
        "bytes": [b"x"] * 40,
        "sixteen": [b"q" * 16, b"r" * 171],
    },
)
def chunked_body(t, chunks):
    arrives(t, chunked(f"/post/{t.room}", chunks), b"".join(chunks))


@row(
    "RFC 9112 7",
    "transfer coding names are case-insensitive",
    cases=["Chunked", "CHUNKED", " chunked "],
)
def chunked_case(t, coding):
    arrives(t, chunked(f"/post/{t.room}", [b"case"], coding=coding), b"case")


@row(
    "RFC 9112 7.1.1",
    "A recipient MUST ignore unrecognized chunk extensions",
    cases={
        "name": b"5;a\r\nhello\r\n",
        "value": b"5;a=b\r\nhello\r\n",
        "quoted": b'5;a="b;c"\r\nhello\r\n',
        "two": b"5;a=1;b=2\r\nhello\r\n",
    },
)
def chunk_extension(t, chunk):
    arrives(
        t,
        request(
            f"/post/{t.room}",
            "POST",
            fields=[("Transfer-Encoding", "chunked")],
            body=chunk + b"0\r\n\r\n",
        ),
        b"hello",
    )


@row(
    "RFC 9112 7.1",
    "chunk-size = 1*HEXDIG: upper, lower, leading zeros",
    cases={
        "upper": b"A\r\n0123456789\r\n",
        "lower": b"a\r\n0123456789\r\n",
        "zeros": b"000a\r\n0123456789\r\n",
    },
)
def chunk_size_forms(t, chunk):
    arrives(
        t,
        request(
            f"/post/{t.room}",
            "POST",
            fields=[("Transfer-Encoding", "chunked")],
            body=chunk + b"0\r\n\r\n",
        ),
        b"0123456789",
    )


@row(
    "RFC 9112 7.1.2",
    "A recipient MAY discard the trailer section: it changes nothing",
    cases={
        "one": b"X-T: v\r\n",
        "framing": b"Content-Length: 9\r\n",
        "host": b"Host: evil.test\r\n",
    },
)
def trailers(t, fields):
    arrives(t, chunked(f"/post/{t.room}", [b"body"], end=b"0\r\n" + fields + b"\r\n"), b"body")


@row("RFC 9112 7.1", "a chunked body that comes one byte at a time")
def chunked_by_byte(t):
    listener = t.open(f"/post/{t.room}")
    data = chunked(f"/post/{t.room}", [b"one", b"two"])
    peer = t.peer()
    peer.send_apart([data[i : i + 1] for i in range(len(data))], pause=0.0003)
    answered(peer, DONE)
    listener.expect_text("onetwo")


BAD_CHUNKS = {
    "not-hex": b"g\r\nhello\r\n0\r\n\r\n",
    "empty-size": b"\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "hex-prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "space-before": b" 5\r\nhello\r\n0\r\n\r\n",
    "too-short": b"4\r\nhello\r\n0\r\n\r\n",
    "no-crlf": b"5\r\nhelloXX0\r\n\r\n",
    "bare-lf": b"5\nhello\n0\n\n",
    "bare-lf-behind": b"5\r\nhello\n0\r\n\r\n",
    "overflow": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "overflow-many": b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "lf-in-extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "cr-in-extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "nul": b"5\0\r\nhello\r\n0\r\n\r\n",
    "comma": b"5,5\r\nhello\r\n0\r\n\r\n",
    "long-line": b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
}


@row(
    "RFC 9112 7.1",
    "a malformed chunk: 400, and the connection ends (nobody knows where the next request begins)",
    cases=BAD_CHUNKS,
)
def chunk_malformed(t, body):
    peer = t.peer()
    peer.send(request("/post/bad", "POST", fields=[("Transfer-Encoding", "chunked")], body=body))
    answer = answered(peer, (400, 413), after=False)
    if not answer.closes:
        raise Wrong("the connection stays open")
    peer.expect_end()


@row(
    "RFC 9112 6.3",
    "a body that the peer's FIN cuts is incomplete: nothing is published",
    cases={
        "length": lambda path: post(path, "half")[:-2],
        "chunked": lambda path: chunked(path, [b"half"])[:-5],
    },
)
def cut_body(t, cut):
    path = f"/post/{t.room}"
    listener = t.open(path)
    peer = t.peer()
    peer.send(cut(path))
    peer.shut()
    left = peer.rest()
    if left and not left.startswith(b"HTTP/1.1 4"):
        raise Wrong(f"{left[:60]!r}")
    refused(t, post(path, "whole"), DONE)
    listener.expect_text("whole")


@row(
    "RFC 9112 9.3.2",
    "the next pipelined request begins where the body ends",
    cases={"length": post("/post/pipe-a", "12345"), "chunked": chunked("/post/pipe-b", [b"12345"])},
)
def pipelined_behind_body(t, data):
    peer = t.peer()
    peer.send(data, request("/nowhere"), data, request("/echo"))
    for status in (DONE, 404, DONE, 426):
        answered(peer, status, after=False)


@row(
    "RFC 9112 9.3.2",
    "a refused request's body is not read as the next request",
    cases={"404": ("/nowhere", (404,)), "426": ("/echo", (426, 405)), "page": ("/", (405,))},
)
def refused_body_is_not_a_request(t, path, statuses):
    inner = request("/echo")
    peer = t.peer()
    peer.send(
        request(path, "POST", fields=[("Content-Length", str(len(inner)))], body=inner),
        request("/nowhere/again"),
    )
    answer = answered(peer, statuses, after=False)
    if answer.closes:
        peer.expect_end()
    else:
        answered(peer, 404, after=False)


# -- limits of a body -----------------------------------------------------------------------------------------------


@row(
    "RFC 9110 15.5.14",
    "413: content larger than the server is willing to process (limits.message)",
    cases=[1001, 5000, 1 << 20],
)
def body_too_large(t, size):
    peer = t.peer()
    peer.send(post("/post/large", "b" * size))
    answered(peer, 413, after=False)


@row(
    "RFC 9110 15.5.14",
    "413 before the body comes, from the announced length",
    cases=[1001, 1 << 40],
)
def body_too_large_announced(t, size):
    peer = t.peer()
    peer.send(request("/post/large", "POST", fields=[("Content-Length", str(size))]))
    answered(peer, 413, after=False)


@row(
    "RFC 9110 15.5.14",
    "413: the chunks of a body are added up",
    cases={"one": [b"c" * 1001], "many": [b"c" * 100] * 11},
)
def chunks_too_large(t, chunks):
    peer = t.peer()
    peer.send(chunked("/post/large", chunks))
    answered(peer, 413, after=False)
