"""POST /publish: one endpoint, one item or many, all or nothing; the number of subscribers at the stamp."""

import base64
import json

from harness.rows import row
from harness.wire import BINARY, Wrong, text
from system.admin import reply, start


@row(
    "issue 2.7",
    "an item has `channel` and `text` or `base64`; 200 with the number of subscribers",
    cases={
        "text": ({"text": "h\u00e9llo"}, 1, "h\u00e9llo".encode()),
        "base64": ({"base64": "AP+A"}, BINARY, b"\x00\xff\x80"),
        "empty": ({"text": ""}, 1, b""),
        "empty-base64": ({"base64": ""}, BINARY, b""),
    },
)
def one(t, content, opcode, payload):
    gateway = start(t)
    peers = [t.open("/chat/p") for _ in range(4)]
    answer = reply(gateway, "POST", "/publish", {"channel": "chat.p", **content})
    if answer != {"items": [{"channel": "chat.p", "subscribers": 4}]}:
        raise Wrong(f"{answer}")
    for peer in peers:
        peer.expect(opcode, payload)


@row("issue 2.7", "`/publish` and `/publish/` are one endpoint")
def with_slash(t):
    gateway = start(t)
    peer = t.open("/chat/p")
    reply(gateway, "POST", "/publish/", {"channel": "chat.p", "text": "slash"})
    peer.expect_text("slash")


@row(
    "issue 2.7",
    '{"items": [...]}: all of them, in order, each with its own number',
    cases=[1, 3, 200],
)
def many(t, count):
    gateway = start(t)
    a, b = t.open("/chat/a"), t.open("/chat/b")
    items = [
        {"channel": "chat.a" if i % 2 == 0 else "chat.b", "text": str(i)} for i in range(count)
    ]
    answer = reply(gateway, "POST", "/publish", {"items": items})
    if answer != {"items": [{"channel": item["channel"], "subscribers": 1} for item in items]}:
        raise Wrong(f"{str(answer)[:300]}")
    for i in range(count):
        (a if i % 2 == 0 else b).expect_text(str(i))


@row("issue 2.7", "no subscriber: 200 and the number 0")
def nobody(t):
    gateway = start(t)
    answer = reply(gateway, "POST", "/publish", {"channel": "chat.nobody", "text": "x"})
    if answer != {"items": [{"channel": "chat.nobody", "subscribers": 0}]}:
        raise Wrong(f"{answer}")


BAD = {
    "no-channel": {"text": "x"},
    "no-content": {"channel": "chat.p"},
    "both": {"channel": "chat.p", "text": "x", "base64": "eA=="},
    "empty-channel": {"channel": "", "text": "x"},
    "space": {"channel": "chat p", "text": "x"},
    "star": {"channel": "chat.*", "text": "x"},
    "slash": {"channel": "chat/p", "text": "x"},
    "gt": {"channel": "chat.>", "text": "x"},
    "not-ascii": {"channel": "caf\u00e9", "text": "x"},
    "too-long": {"channel": "c" * 256, "text": "x"},
    "number": {"channel": 7, "text": "x"},
    "text-number": {"channel": "chat.p", "text": 7},
    "text-null": {"channel": "chat.p", "text": None},
    "bad-base64": {"channel": "chat.p", "base64": "!!!"},
    "cut-base64": {"channel": "chat.p", "base64": "eA"},
    "items-object": {"items": {}},
    "items-word": {"items": "x"},
    "item-word": {"items": ["x"]},
    "nothing": {},
}


@row("DESIGN 5, Bad input", "a bad item is 4xx with a reason; nothing is published", cases=BAD)
def bad(t, item):
    gateway = start(t)
    peer = t.open("/chat/p")
    answer = reply(gateway, "POST", "/publish", item, wanted=(400, 413, 422))
    if not isinstance(answer, dict) or not json.dumps(answer):
        raise Wrong(f"{answer}")
    peer.send(text("nothing before me"))
    peer.expect_text("nothing before me")


@row("issue 2.7", "one bad item refuses all", cases={"first": 0, "middle": 5, "last": 9})
def all_or_nothing(t, place):
    gateway = start(t)
    peer = t.open("/chat/p")
    items = [{"channel": "chat.p", "text": str(i)} for i in range(10)]
    items[place] = {"channel": "not a channel", "text": "x"}
    reply(gateway, "POST", "/publish", {"items": items}, wanted=400)
    peer.send(text("nothing before me"))
    peer.expect_text("nothing before me")


@row(
    "DESIGN 1",
    "a channel name is 1 to 255 bytes of A-Z a-z 0-9 _ - @ ~ . %",
    cases={"one": "c", "255": "c" * 255, "marks": "A-z_0@~.%2F"},
)
def names(t, name):
    gateway = start(t)
    answer = reply(gateway, "POST", "/publish", {"channel": name, "text": "x"})
    if answer["items"][0]["channel"] != name:
        raise Wrong(f"{answer}")


@row("issue 2.7", "a large message: 1 MiB of text, and of bytes", cases=["text", "base64"])
def large(t, kind):
    gateway = start(t)
    peer = t.open("/chat/p")
    payload = b"l" * (1 << 20)
    content = payload.decode() if kind == "text" else base64.b64encode(payload).decode()
    reply(gateway, "POST", "/publish", {"channel": "chat.p", kind: content})
    peer.expect(1 if kind == "text" else BINARY, payload)


@row(
    "issue 2.7",
    "what is published is valid text: escapes, surrogate pairs, zero",
    cases={
        "pair": ('"\\ud83c\\udf88"', "\U0001f388"),
        "escapes": ('"\\"\\\\\\/\\b\\n"', '"\\/\b\n'),
        "zero": ('"a\\u0000b"', "a\0b"),
    },
)
def escapes(t, literal, payload):
    gateway = start(t)
    peer = t.open("/chat/p")
    body = b'{"channel":"chat.p","text":' + literal.encode() + b"}"
    reply(gateway, "POST", "/publish", body, headers={"Content-Type": "application/json"})
    peer.expect_text(payload)


@row(
    "RFC 6455 5.6",
    "a lone surrogate is no text: refused, never sent to clients",
    cases=['"\\ud800"', '"\\udc00"', '"\\ud800x"'],
)
def lone_surrogate(t, literal):
    gateway = start(t)
    peer = t.open("/chat/p")
    body = b'{"channel":"chat.p","text":' + literal.encode() + b"}"
    reply(
        gateway, "POST", "/publish", body, wanted=400, headers={"Content-Type": "application/json"}
    )
    peer.send(text("nothing before me"))
    peer.expect_text("nothing before me")


@row(
    "DESIGN 5, Delivery",
    "publishes by POST on the route, by admin and by clients have one order for everyone",
)
def one_order(t):
    from harness.wire import request

    gateway = start(t)
    readers = [t.open("/chat/p") for _ in range(4)]
    plain = t.peer()
    for number in range(30):
        if number % 3 == 0:
            reply(gateway, "POST", "/publish", {"channel": "chat.p", "text": f"admin {number}"})
        elif number % 3 == 1:
            readers[0].send(text(f"client {number}"))
        else:
            body = f"post {number}"
            plain.send(
                request("/chat/p", "POST", fields=[("Content-Length", str(len(body)))], body=body)
            )
            if plain.response().status not in (200, 202, 204):
                raise Wrong("POST")
    seen = [[peer.message()[1] for _ in range(30)] for peer in readers]
    if any(one != seen[0] for one in seen) or len(set(seen[0])) != 30:
        raise Wrong("the orders differ")
