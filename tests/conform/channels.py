"""DESIGN.md section 1: the channels verb over WebSocket and POST. Delivery, order, isolation, refusals."""

import threading

from conform.verbs import answered, refused, survives
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

DONE = (200, 202, 204)


def post(path, body, kind=None, **how):
    body = body.encode() if isinstance(body, str) else body
    fields = [("Content-Length", str(len(body)))] + ([("Content-Type", kind)] if kind else [])
    return request(path, "POST", fields=fields, body=body, **how)


@row(
    "DESIGN 5, Delivery",
    "a message reaches every subscriber of the channel, the sender too (echo_self)",
    cases=[1, 2, 10],
)
def fan_out(t, count):
    peers = [t.open(f"/chat/{t.room}fan-{count}") for _ in range(count)]
    for number, peer in enumerate(peers):
        peer.send(text(f"from {number}"))
        for other in peers:
            other.expect_text(f"from {number}")


@row(
    "DESIGN 1",
    "messages are the application's own bytes, and keep their kind",
    cases={
        "text": (TEXT, b"t\xc3\xa9xt"),
        "binary": (BINARY, b"\x00\xff\x80"),
        "empty-text": (TEXT, b""),
        "empty-binary": (BINARY, b""),
    },
)
def kind_is_kept(t, opcode, payload):
    room = f"/chat/{t.room}kind-{opcode}-{len(payload)}"
    a, b = t.open(room), t.open(room)
    a.send(frame(opcode, payload))
    a.expect(opcode, payload)
    b.expect(opcode, payload)


@row("DESIGN 1", "a large message reaches subscribers whole", cases=[126, 65536, 300000, 1048576])
def large(t, size):
    room = f"/chat/{t.room}large-{size}"
    a, b = t.open(room), t.open(room)
    payload = bytes(i % 251 for i in range(251)) * (size // 251 + 1)
    a.send(binary(payload[:size]))
    b.expect(BINARY, payload[:size])
    a.expect(BINARY, payload[:size])


@row("RFC 6455 5.4", "a fragmented message is published as one message")
def fragmented(t):
    a, b = t.open(f"/chat/{t.room}fragmented"), t.open(f"/chat/{t.room}fragmented")
    a.send(text("in ", fin=False), ping(b"p"), frame(CONT, b"pieces"))
    b.expect_text("in pieces")
    got = [a.frame(), a.frame()]
    if sorted(f.opcode for f in got) != [TEXT, 10]:
        raise Wrong(f"{got[0]}, {got[1]}")


@row("DESIGN 1", "echo_self: false: the sender does not get its own message, everyone else does")
def no_echo(t):
    a, b = t.open(f"/quiet/{t.room}r"), t.open(f"/quiet/{t.room}r")
    a.send(text("mine"))
    b.expect_text("mine")
    b.send(text("yours"))
    a.expect_text("yours")  # had its own come, it would stand before


@row("DESIGN 1", "channels are apart: a message of one room is not seen in another")
def rooms_are_apart(t):
    a, b = t.open(f"/chat/{t.room}room-a"), t.open(f"/chat/{t.room}room-b")
    a.send(text("a"))
    a.expect_text("a")
    b.send(text("b"))
    b.expect_text("b")


def own(t, path):
    """The same path below a name of this row's own."""
    route, value = path.rsplit("/", 1)
    return f"{route}/{t.room}{value}"


APART = {
    "case": ("/chat/Case", "/chat/case"),
    "dot": ("/chat/a.b", "/chat/a"),
    "dots-encoded": ("/chat/a.b", "/chat/a%252Eb"),
    "colon": ("/chat/a:b", "/chat/a"),
    "prefix": ("/chat/pre", "/chat/prefix"),
    "star": ("/chat/*", "/chat/x"),
    "gt": ("/chat/%3E", "/chat/x"),
    "percent": ("/chat/%25", "/chat/%2525"),
    "space": ("/chat/a%20b", "/chat/a%2520b"),
    "other-route": ("/chat/same", "/quiet/same"),
}


@row(
    "DESIGN 1",
    "every byte outside A-Z a-z 0-9 _ - @ ~ is percent-encoded, so no value reaches another template's channel or a wildcard",
    cases=APART,
)
def values_are_apart(t, one, other):
    one, other = own(t, one), own(t, other)
    a, b = t.open(one), t.open(other)
    a.send(text("a"))
    a.expect_text("a")
    b.send(text("b"))
    b.expect_text("b") if "quiet" not in other else b.send(ping(b"p")) and b.expect_pong(b"p")


SAME = {
    "decoded": ("/chat/same%2Dname", "/chat/same-name"),
    "lower-hex": ("/chat/caf%c3%a9", "/chat/caf%C3%A9"),
    "tilde": ("/chat/%7Ex", "/chat/~x"),
    "colon": ("/chat/a%3Ab", "/chat/a:b"),
}


@row(
    "DESIGN 1",
    "what a placeholder takes from a path is percent-decoded: two spellings, one channel",
    cases=SAME,
)
def values_are_the_same(t, one, other):
    one, other = own(t, one), own(t, other)
    a, b = t.open(one), t.open(other)
    a.send(text("same"))
    b.expect_text("same")
    a.expect_text("same")


@row("DESIGN 1", "a placeholder's value is 128 bytes at most (n - 1, n pass)", cases=[127, 128])
def value_length(t, size):
    peer = t.open(f"/chat/{t.room}" + "v" * (size - len(t.room)))
    peer.send(text("x"))
    peer.expect_text("x")


@row("DESIGN 1", "a placeholder's value is 128 bytes at most (n + 1 is refused)", cases=[129, 1000])
def value_too_long(t, size):
    refused(t, upgrade(f"/chat/{t.room}" + "v" * (size - len(t.room))), (404, 400, 414))


@row(
    "DESIGN 5, Delivery",
    "one order for everyone: many publishers, every subscriber sees the same sequence",
)
def one_order(t):
    publishers = [t.open(f"/chat/{t.room}order") for _ in range(4)]
    readers = [t.open(f"/chat/{t.room}order") for _ in range(4)]

    def publish(number):
        for i in range(50):
            publishers[number].send(text(f"{number}:{i}"))

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = [[peer.message()[1] for _ in range(200)] for peer in readers + publishers]
    if any(one != seen[0] for one in seen):
        raise Wrong("two subscribers saw different orders")
    for number in range(4):
        mine = [m for m in seen[0] if m.startswith(b"%d:" % number)]
        if mine != [b"%d:%d" % (number, i) for i in range(50)]:
            raise Wrong(f"publisher {number}'s messages are out of its order: {mine[:5]}")


@row("DESIGN 1", "a route without `publish`: a client's message is a policy violation (1008)")
def not_publishable(t):
    peer = t.open(f"/listen/{t.room}np")
    peer.send(text("hello"))
    peer.expect_close(1008)
    peer.send(close(1008))
    peer.expect_end()


@row("DESIGN 1", "a route without `publish` still receives")
def listener_receives(t):
    listener, speaker = t.open(f"/listen/{t.room}lr"), t.open(f"/chat/{t.room}lr")
    speaker.send(text("hear"))
    listener.expect_text("hear")


@row("DESIGN 1", "`messages: text` holds on channels routes: binary is 1003, and not published")
def kind_of_route(t):
    a, b = t.open(f"/texts/{t.room}k"), t.open(f"/texts/{t.room}k")
    a.send(binary(b"no"))
    a.expect_close(1003)
    b.send(text("yes"))
    b.expect_text("yes")


@row(
    "RFC 6455 5.6",
    "text that is not UTF-8 is not published",
    cases={"whole": text(b"\xff"), "fragments": text(b"\xe2", fin=False) + frame(CONT, b"\x82")},
)
def invalid_is_not_published(t, bad):
    a, b = t.open(f"/chat/{t.room}bad-{len(bad)}"), t.open(f"/chat/{t.room}bad-{len(bad)}")
    a.send(bad)
    a.expect_close(1007)
    b.send(text("after"))
    b.expect_text("after")


@row("DESIGN 5, Bad input", "the connection ends, everyone else is unaffected")
def others_are_unaffected(t):
    a, b, c = (t.open(f"/chat/{t.room}unaffected") for _ in range(3))
    a.send(frame(3, b"violation"))
    a.expect_close(1002)
    a.close()
    b.send(text("fine"))
    b.expect_text("fine")
    c.expect_text("fine")


@row("DESIGN 5", "a subscriber that left is no longer sent to; the rest goes on")
def leaving(t):
    a, b = t.open(f"/chat/{t.room}leaving"), t.open(f"/chat/{t.room}leaving")
    b.leave()
    a.send(text("alone"))
    a.expect_text("alone")


@row("DESIGN 5", "a publish right before the publisher's Close is not lost")
def publish_then_close(t):
    a, b = t.open(f"/chat/{t.room}last-words"), t.open(f"/chat/{t.room}last-words")
    a.send(text("last words"), close(1000))
    b.expect_text("last words")


@row("DESIGN 5", "a publish right behind the GET is not lost")
def publish_behind_the_get(t):
    b = t.open(f"/chat/{t.room}early")
    a = t.peer()
    a.send(upgrade(f"/chat/{t.room}early", body=text("early")))
    a.opened()
    b.expect_text("early")
    a.expect_text("early")


# -- POST -----------------------------------------------------------------------------------------------------------


@row(
    "DESIGN 1",
    "POST publishes its body",
    cases={"plain": "text/plain", "json": "application/json", "none": None},
)
def post_publishes(t, kind):
    room = f"/chat/{t.room}post-{str(kind).split('/')[-1]}"
    listener = t.open(room)
    refused(t, post(room, '{"a": 1}', kind), DONE)
    listener.expect_text('{"a": 1}')


@row("DESIGN 1", "POST of bytes that are no text is published as a binary message")
def post_binary(t):
    listener = t.open(f"/chat/{t.room}post-binary")
    refused(
        t, post(f"/chat/{t.room}post-binary", b"\x00\xff\x80", "application/octet-stream"), DONE
    )
    listener.expect(BINARY, b"\x00\xff\x80")


@row("DESIGN 1", "POST on a route without `publish` is refused", cases=["/listen/p"])
def post_not_publishable(t, path):
    refused(t, post(path, "x"), (403, 405))


@row(
    "DESIGN 1",
    "POST on a route that is no channels route",
    cases={"echo": ("/echo", (426, 405)), "nowhere": ("/nowhere", (404,))},
)
def post_elsewhere(t, path, statuses):
    refused(t, post(path, "x"), statuses)


@row("DESIGN 1", "POSTs on one connection are published in order")
def post_order(t):
    listener = t.open(f"/chat/{t.room}post-order")
    peer = t.peer()
    peer.send(b"".join(post(f"/chat/{t.room}post-order", f"{i}") for i in range(20)))
    for i in range(20):
        answered(peer, DONE, after=False)
    for i in range(20):
        listener.expect_text(f"{i}")


@row("DESIGN 1", "an empty POST publishes an empty message, or is refused; it hangs nobody")
def post_empty(t):
    refused(t, post(f"/chat/{t.room}post-empty", ""), (*DONE, 400))


@row(
    "DESIGN 1; issue 2",
    "a plain GET on a channels route answers 426 (until event streams exist)",
    cases={
        "plain": (),
        "sse": (("Accept", "text/event-stream"),),
        "wait": (("Prefer", "wait=10"),),
    },
)
def get_on_channels(t, *fields):
    refused(t, request(f"/chat/{t.room}get", fields=fields), 426)


@row("DESIGN 1", "a POST's body obeys `messages: text` and UTF-8")
def post_wrong_kind(t):
    listener = t.open(f"/texts/{t.room}post")
    refused(
        t, post(f"/texts/{t.room}post", b"\xff\xfe", "application/octet-stream"), (400, 415, 422)
    )
    refused(t, post(f"/texts/{t.room}post", "fine", "text/plain"), DONE)
    listener.expect_text("fine")
    survives(listener)
