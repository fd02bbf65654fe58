"""DESIGN.md section 1: ?envelope=json. Messages with id and channel; subscribe, unsubscribe, publish, each answered."""

import base64
import json

from conform.verbs import refused
from harness.rows import row
from harness.wire import BINARY, CONT, TEXT, Wrong, binary, close, frame, ping, text, upgrade

ENVELOPE = "DESIGN 1, envelope"


def enter(t, user, query="envelope=json"):
    return t.open(f"/rooms/{user}?{query}")


def say(peer, **words):
    peer.send(text(json.dumps(words)))


def hear(peer):
    opcode, payload = peer.message()
    if opcode != TEXT:
        raise Wrong(f"an envelope in a binary message: {payload[:60]!r}")
    return json.loads(payload.decode("utf-8"))


def answered(peer, **wanted):
    """The next envelope has these members, with these values (None: whatever value)."""
    got = hear(peer)
    for name, value in wanted.items():
        if name not in got or (value is not None and got[name] != value):
            raise Wrong(f"expected {wanted}, got {got}")
    return got


def message(peer, channel, **content):
    got = answered(peer, channel=channel, id=None, **content)
    if set(got) != {"id", "channel"} | set(content):
        raise Wrong(f"{got}")
    return got


def both(peer, first, second):
    """Two envelopes in any order, each told by a member's name; returned in the order asked for."""
    got = [hear(peer), hear(peer)]
    for one, two in (got, reversed(got)):
        if first in one and second in two:
            return one, two
    raise Wrong(f"expected {first} and {second}, got {got}")


@row(ENVELOPE, 'messages come as {"id", "channel", "data"}')
def data(t):
    peer, plain = enter(t, f"{t.room}e-data"), t.open(f"/rooms/{t.room}e-data")
    plain.send(text("h\u00e9llo"))
    message(peer, f"user.{t.room}e-data", data="h\u00e9llo")
    plain.expect_text("h\u00e9llo")  # without ?envelope=json the bytes are the application's own


@row(
    ENVELOPE,
    "`base64` for binary",
    cases={"some": b"\x00\xff\x80", "empty": b"", "long": bytes(range(256)) * 40},
)
def binary_data(t, payload):
    name = f"{t.room}bin"
    peer, plain = enter(t, name), t.open(f"/rooms/{name}")
    plain.send(binary(payload))
    message(peer, f"user.{name}", base64=base64.b64encode(payload).decode())
    plain.expect(BINARY, payload)


ESCAPED = {
    "quote": '"',
    "backslash": "\\",
    "newline": "a\nb",
    "zero": "a\0b",
    "controls": "\x01\x1f\x7f",
    "unicode": "\u2028\U0001f388",
    "json": '{"a":[1,"x"]}',
    "empty": "",
}


@row(ENVELOPE, "`data` is a string: every character survives", cases=ESCAPED)
def escaped(t, string):
    name = f"{t.room}esc"
    peer, plain = enter(t, name), t.open(f"/rooms/{name}")
    plain.send(text(string))
    message(peer, f"user.{name}", data=string)


@row(ENVELOPE, "ids of one channel are all different and rise")
def ids(t):
    peer, plain = enter(t, f"{t.room}e-ids"), t.open(f"/rooms/{t.room}e-ids")
    plain.send(b"".join(text(str(i)) for i in range(20)))
    seen = [message(peer, f"user.{t.room}e-ids", data=str(i))["id"] for i in range(20)]
    if len(set(seen)) != 20 or seen != sorted(seen):
        raise Wrong(f"{seen}")


@row(
    ENVELOPE,
    "subscribe within `allow` is answered, and delivers",
    cases=["room.e1", "exact", "room.a.b-c_d@~%20"],
)
def subscribe(t, channel):
    peer, other = enter(t, f"{t.room}e-sub"), enter(t, f"{t.room}e-sub-other")
    say(peer, subscribe=channel)
    answered(peer, subscribed=channel)
    say(other, publish=channel, data="to " + channel)
    answered(other, published=channel)
    message(peer, channel, data="to " + channel)


@row(ENVELOPE, "subscribing twice is answered twice, and delivers once")
def subscribe_twice(t):
    peer = enter(t, f"{t.room}e-twice")
    for _ in range(2):
        say(peer, subscribe=f"room.{t.room}e-twice")
        answered(peer, subscribed=f"room.{t.room}e-twice")
    say(peer, publish=f"room.{t.room}e-twice", data="once")
    both(peer, "published", "data")
    peer.send(ping(b"end"))
    peer.expect_pong(b"end")


@row(
    ENVELOPE,
    "the answers of a channel come in the order of the requests, also when all came at once; the last one holds",
)
def answers_in_order(t):
    peer, other = enter(t, f"{t.room}e-order"), enter(t, f"{t.room}e-count")
    channels = [f"room.{t.room}e-order-{i}" for i in range(3)]
    asked, heard = [], []
    for channel in channels:
        answered_by(other, {"subscribe": channel}, subscribed=channel)
    for _ in range(20):
        for channel in channels:
            asked += [("subscribe", channel), ("unsubscribe", channel), ("unsubscribe", channel)]
    peer.send(b"".join(text(json.dumps({verb: channel})) for verb, channel in asked))
    for _ in asked:
        heard.append(hear(peer))
    for channel in channels:
        mine = [one for one in heard if channel in one.values()]
        three = [{"subscribed": channel}, {"unsubscribed": channel}]
        three.append({"error": "not subscribed", "channel": channel})
        if mine != three * 20:
            raise Wrong(f"{channel}: {mine[:6]}")
        say(other, publish=channel, data="x")
        got = both(other, "published", "id")
        if got[0]["subscribers"] != 1:
            raise Wrong(f"the home counts {got[0]['subscribers']} subscribers of one")


def answered_by(peer, ask, **wanted):
    say(peer, **ask)
    answered(peer, **wanted)


@row(ENVELOPE, "unsubscribe is answered, and nothing comes behind it")
def unsubscribe(t):
    peer, other = enter(t, f"{t.room}e-unsub"), enter(t, f"{t.room}e-unsub-other")
    say(peer, subscribe=f"room.{t.room}e-unsub")
    answered(peer, subscribed=f"room.{t.room}e-unsub")
    say(peer, unsubscribe=f"room.{t.room}e-unsub")
    answered(peer, unsubscribed=f"room.{t.room}e-unsub")
    say(other, publish=f"room.{t.room}e-unsub", data="late")
    answered(other, published=f"room.{t.room}e-unsub", subscribers=0)
    peer.send(ping(b"end"))
    peer.expect_pong(b"end")


@row(
    ENVELOPE, "publish within `allow` is answered, with the number of subscribers", cases=[0, 1, 3]
)
def publish(t, count):
    channel = f"room.{t.room}e-pub-{count}"
    listeners = [enter(t, f"{t.room}e-pub-{count}-{i}") for i in range(count)]
    for peer in listeners:
        say(peer, subscribe=channel)
        answered(peer, subscribed=channel)
    speaker = enter(t, f"{t.room}e-pub-{count}-speaker")
    say(speaker, publish=channel, data="h\u00e9llo")
    answered(speaker, published=channel, subscribers=count)
    for peer in listeners:
        message(peer, channel, data="h\u00e9llo")


@row(ENVELOPE, "publish of binary: base64 in, bytes out")
def publish_binary(t):
    peer, plain = enter(t, f"{t.room}e-pubbin"), t.open(f"/rooms/{t.room}e-pubbin")
    say(peer, publish=f"user.{t.room}e-pubbin", base64="AP+A")
    both(peer, "published", "base64")
    plain.expect(BINARY, b"\x00\xff\x80")


@row(ENVELOPE, "the channel that plain messages go to may be published to")
def publish_own(t):
    peer, plain = enter(t, f"{t.room}e-own"), t.open(f"/rooms/{t.room}e-own")
    say(peer, publish=f"user.{t.room}e-own", data="own")
    got = both(peer, "published", "data")
    if got[1]["data"] != "own" or got[0]["subscribers"] != 2:
        raise Wrong(f"{got}")
    plain.expect_text("own")


OUTSIDE = [
    "user.other",
    "room.",
    "room",
    "rooms.x",
    "exact.not",
    "exac",
    "chat.secret",
    "ROOM.x",
    "xroom.y",
]


@row(
    ENVELOPE,
    "outside the route's `allow` everything is an error; a final * stands for one or more bytes",
    cases=OUTSIDE,
)
def outside(t, channel):
    peer = enter(t, f"{t.room}e-out")
    say(peer, subscribe=channel)
    answered(peer, error=None)
    say(peer, publish=channel, data="x")
    answered(peer, error=None)
    say(peer, unsubscribe=channel)
    answered(peer, error=None)
    peer.send(ping(b"end"))
    peer.expect_pong(b"end")


NAMES = {
    "empty": "",
    "space": "room.a b",
    "slash": "room.a/b",
    "star": "room.*",
    "gt": "room.>",
    "not-ascii": "room.caf\u00e9",
    "zero": "room.\0",
    "256": "room." + "x" * 251,
    "quote": 'room."',
}


@row(
    ENVELOPE,
    "a channel name is 1 to 255 bytes of A-Z a-z 0-9 _ - @ ~ . %: others are an error",
    cases=NAMES,
)
def bad_names(t, channel):
    peer = enter(t, f"{t.room}e-names")
    for word in ("subscribe", "publish", "unsubscribe"):
        say(peer, **{word: channel, "data": "x"})
        answered(peer, error=None)


@row(ENVELOPE, "a name of 255 bytes is one")
def longest_name(t):
    channel = "room." + "x" * 250
    peer = enter(t, f"{t.room}e-long")
    say(peer, subscribe=channel)
    answered(peer, subscribed=channel)


@row(
    ENVELOPE,
    "publish needs data or base64, a string",
    cases={
        "neither": {},
        "both": {"data": "x", "base64": "eA=="},
        "number": {"data": 7},
        "null": {"data": None},
        "object": {"data": {}},
        "bad-base64": {"base64": "!!"},
        "cut-base64": {"base64": "eA"},
    },
)
def bad_content(t, content):
    peer = enter(t, f"{t.room}e-content")
    say(peer, publish=f"room.{t.room}e-content", **content)
    answered(peer, error=None)


MALFORMED = {
    "text": "hello",
    "number": "7",
    "array": "[]",
    "no-verb": "{}",
    "unknown": '{"shout":"x"}',
    "two-verbs": '{"subscribe":"room.a","unsubscribe":"room.b"}',
    "verb-number": '{"subscribe":7}',
    "cut": '{"subscribe":"room.a"',
    "trailing": '{"subscribe":"room.a"}x',
    "doubled": '{"subscribe":"room.a","subscribe":"room.b"}',
    "deep": "[" * 3000,
    "empty": "",
}


@row(ENVELOPE, "what is no envelope at all ends the connection (1007)", cases=MALFORMED)
def malformed(t, string):
    peer = enter(t, f"{t.room}e-mal")
    peer.send(text(string))
    peer.expect_close(1007)
    peer.send(close(1007))
    peer.expect_end()


@row(ENVELOPE, "a binary message from an envelope client is of the wrong kind (1003)")
def binary_from_client(t):
    peer = enter(t, f"{t.room}e-kind")
    peer.send(binary(b'{"subscribe":"room.a"}'))
    peer.expect_close(1003)


@row("RFC 6455 5.4", "an envelope may come in fragments")
def in_fragments(t):
    peer = enter(t, f"{t.room}e-frag")
    peer.send(text('{"subscr', fin=False), ping(b"p"), frame(CONT, f'ibe":"room.{t.room}e-frag"}}'))
    peer.expect_pong(b"p")
    answered(peer, subscribed=f"room.{t.room}e-frag")


@row(ENVELOPE, "many requests in one segment are answered in order")
def in_order(t):
    peer = enter(t, f"{t.room}e-order")
    peer.send(
        b"".join(
            text(json.dumps({"publish": f"room.{t.room}e-order", "data": str(i)}))
            for i in range(50)
        )
    )
    for _ in range(50):
        answered(peer, published=f"room.{t.room}e-order", subscribers=0)


@row(
    ENVELOPE,
    "a lone surrogate in an envelope's string is no text: an error or the end, never on the wire",
    cases=["\\ud800", "\\udfff", "a\\ud83cb"],
)
def lone_surrogate(t, escape):
    user = f"{t.room}surr"
    listener, peer = t.open(f"/rooms/{user}"), enter(t, user)
    peer.send(text('{"publish":"user.' + user + '","data":"' + escape + '"}'))
    got = peer.frame()
    if got.opcode == TEXT and b"error" not in got.payload:
        raise Wrong(f"{got}")
    listener.send(text("clean"))
    listener.expect_text("clean")


@row(
    ENVELOPE,
    "only ?envelope=json asks for it",
    cases=["", "envelope=xml", "envelope", "xenvelope=json", "a=1&envelopes=json"],
)
def not_asked_for(t, query):
    peer = t.open(f"/rooms/{t.room}plain?{query}")
    peer.send(text("plain"))
    peer.expect_text("plain")


@row(
    ENVELOPE,
    "among other parameters",
    cases=["a=1&envelope=json", "envelope=json&b=2", "envelope=%6ason"],
)
def among_others(t, query):
    peer = enter(t, f"{t.room}e-query-{len(query)}", query)
    say(peer, subscribe=f"room.{t.room}e-query")
    answered(peer, subscribed=f"room.{t.room}e-query")


@row(ENVELOPE, "limits.channels: subscriptions of one connection at n (4) and n + 1")
def channel_limit(t):
    peer = enter(t, f"{t.room}e-limit")  # one is the route's own
    for number in range(3):
        say(peer, subscribe=f"room.{t.room}e-limit-{number}")
        answered(peer, subscribed=f"room.{t.room}e-limit-{number}")
    say(peer, subscribe=f"room.{t.room}e-limit-3")
    answered(peer, error=None)
    say(peer, unsubscribe=f"room.{t.room}e-limit-0")
    answered(peer, unsubscribed=f"room.{t.room}e-limit-0")
    say(peer, subscribe=f"room.{t.room}e-limit-3")
    answered(peer, subscribed=f"room.{t.room}e-limit-3")


@row(ENVELOPE, "an envelope on a route without `allow`: plain subscription, nothing more")
def without_allow(t):
    peer, plain = t.open(f"/chat/{t.room}e-noallow?envelope=json"), t.open(
        f"/chat/{t.room}e-noallow"
    )
    plain.send(text("x"))
    message(peer, f"chat.{t.room}e-noallow", data="x")
    say(peer, subscribe="room.a")
    answered(peer, error=None)
    refused(t, upgrade("/chat/..?envelope=json"), 400)
