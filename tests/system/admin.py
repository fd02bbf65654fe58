"""The admin API: what it tells of channels and connections, what it does to them, and whom it trusts."""

import json

from harness.rows import row
from harness.wait import eventually
from harness.wire import Wrong, close, text

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"TOKEN}
workers: 2
drain: 1s
routes:
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
"""

JSON = {"Content-Type": "application/json"}


def start(t, token=None):
    if token is None:
        return t.start(BASE.replace("TOKEN", ""))
    return t.start(
        BASE.replace("TOKEN", ", token_file: admin.token"), files={"admin.token": token + "\n"}
    )


def reply(gateway, method, path, body=None, wanted=200, headers=None):
    status, fields, answer = gateway.ask(method, path, body, headers)
    if status not in (wanted if isinstance(wanted, tuple) else (wanted,)):
        raise Wrong(f"{method} {path}: {status} {answer[:300]}")
    if answer and "json" in (fields.get("Content-Type") or ""):
        return json.loads(answer)
    return answer


def connections(gateway, query=""):
    return reply(gateway, "GET", "/connections" + query)["connections"]


# -- what it tells --------------------------------------------------------------------------------------------------


@row("issue 2.7", "GET /live and /ready: 200 while it serves")
def live_and_ready(t):
    gateway = start(t)
    reply(gateway, "GET", "/live")
    reply(gateway, "GET", "/ready")


@row("issue 2.7", "GET /channels: every channel and its subscribers, over all workers")
def channels(t):
    gateway = start(t)
    peers = [t.open("/chat/a") for _ in range(5)] + [t.open("/chat/b")]
    found = {
        item["channel"]: item["subscribers"]
        for item in reply(gateway, "GET", "/channels")["channels"]
    }
    if found != {"chat.a": 5, "chat.b": 1}:
        raise Wrong(f"{found}")
    for peer in peers[:5]:
        peer.leave()
    eventually(
        lambda: [i["channel"] for i in reply(gateway, "GET", "/channels")["channels"]]
        == ["chat.b"],
        "chat.a is gone",
    )


@row(
    "issue 2.7",
    "GET /connections: route, address, age, state of each; the id is worker-index-generation",
)
def connection_list(t):
    gateway = start(t)
    peers = [t.open("/echo"), t.open("/chat/x")]
    items = connections(gateway)
    if len(items) != len(peers):
        raise Wrong(f"{items}")
    for item in items:
        if len(item["id"].split("-")) != 3 or not all(
            part.isdigit() for part in item["id"].split("-")
        ):
            raise Wrong(f"id {item['id']}")
        if "127.0.0.1" not in item["address"]:
            raise Wrong(f"{item}")
    if sorted(item["route"] for item in items) != ["/chat/{room}", "/echo"]:
        raise Wrong(f"{items}")


@row(
    "issue 2.7",
    "GET /connections with filters",
    cases={"route": "?route=/echo", "channel": "?channel=chat.x"},
)
def connection_filters(t, query):
    gateway = start(t)
    peers = [
        t.open("/echo"),
        t.open("/echo"),
        t.open("/chat/x"),
        t.open("/chat/x"),
        t.open("/chat/y"),
    ]
    if len(connections(gateway, query)) != 2 or len(connections(gateway)) != len(peers):
        raise Wrong(f"{connections(gateway, query)}")


@row(
    "issue 2.7",
    "GET /connections pages: each connection once, whatever the page's size",
    cases=[1, 3, 7, 100],
)
def connection_pages(t, size):
    gateway = start(t)
    peers = [t.open("/echo") for _ in range(10)]
    seen, query = [], f"?limit={size}"
    for _ in range(20):
        page = reply(gateway, "GET", "/connections" + query)
        seen += [item["id"] for item in page["connections"]]
        following = page.get("next")
        if not following:
            break
        query = f"?limit={size}&after={following}"
    if len(seen) != len(peers) or len(set(seen)) != len(peers):
        raise Wrong(f"{len(seen)} items, {len(set(seen))} different")


@row(
    "issue 2.7",
    "GET /connections/{id}: what it costs in bytes by component, queue, round trip, route, address, age",
)
def connection_details(t):
    gateway = start(t)
    t.open("/chat/x")
    identity = connections(gateway)[0]["id"]
    item = reply(gateway, "GET", f"/connections/{identity}")
    if item["id"] != identity or item["route"] != "/chat/{room}" or "bytes" not in item:
        raise Wrong(f"{item}")


@row(
    "issue 2.7",
    "an id that is not there is 404, one that is none is 400 or 404",
    cases={
        "unknown": ("0-999-1", (404,)),
        "stale": ("0-1-99999", (404,)),
        "word": ("nonsense", (400, 404)),
        "far": ("99-1-1", (404,)),
        "huge": ("0-99999999999-1", (400, 404)),
    },
)
def connection_unknown(t, identity, statuses):
    gateway = start(t)
    t.open("/echo")
    for method in ("GET", "DELETE"):
        reply(gateway, method, f"/connections/{identity}", wanted=statuses)


# -- what it does ---------------------------------------------------------------------------------------------------


@row(
    "issue 2.7",
    "POST /connections/{id} sends to it",
    cases={
        "text": ({"text": "h\u00e9llo"}, 1, "h\u00e9llo".encode()),
        "base64": ({"base64": "AP+A"}, 2, b"\x00\xff\x80"),
    },
)
def send_to_one(t, body, opcode, payload):
    gateway = start(t)
    peer, other = t.open("/echo"), t.open("/chat/x")
    identity = connections(gateway, "?route=/echo")[0]["id"]
    reply(gateway, "POST", f"/connections/{identity}", body)
    peer.expect(opcode, payload)
    other.send(text("mine"))
    other.expect_text("mine")


@row(
    "issue 2.7",
    "DELETE /connections/{id}?code=&reason= closes it so",
    cases={
        "default": ("", 1000, b""),
        "code": ("?code=4001", 4001, b""),
        "reason": ("?code=4002&reason=bye%20now", 4002, b"bye now"),
    },
)
def close_one(t, query, code, reason):
    gateway = start(t)
    peer, other = t.open("/echo"), t.open("/chat/x")
    identity = connections(gateway, "?route=/echo")[0]["id"]
    reply(gateway, "DELETE", f"/connections/{identity}{query}")
    got = peer.expect_close(code)
    if reason and got.reason != reason:
        raise Wrong(f"reason {got.reason}")
    peer.send(close(code))
    peer.expect_end()
    other.send(text("mine"))
    other.expect_text("mine")
    eventually(lambda: len(connections(gateway)) == 1, "the connection is gone from the list")


@row(
    "issue 2.7",
    "a code that may not be sent is refused, and nobody is closed",
    cases=["1005", "1006", "1015", "999", "2000", "5000", "x", "-1", "65536000"],
)
def close_with_bad_code(t, code):
    gateway = start(t)
    peer = t.open("/echo")
    identity = connections(gateway)[0]["id"]
    answer = reply(gateway, "DELETE", f"/connections/{identity}?code={code}", wanted=400)
    if "error" not in json.dumps(answer):
        raise Wrong(f"no reason: {answer}")
    peer.send(text("alive"))
    peer.expect_text("alive")


@row(
    "issue 2.7",
    'DELETE /connections?channel= or ?route= closes all of them: {"closed": n}',
    cases={"channel": "?channel=chat.x", "route": "?route=/chat/{room}"},
)
def close_many(t, query):
    gateway = start(t)
    peers = [t.open("/chat/x") for _ in range(6)]
    other = t.open("/echo")
    answer = reply(
        gateway, "DELETE", "/connections" + query.replace("{", "%7B").replace("}", "%7D")
    )
    if answer != {"closed": 6}:
        raise Wrong(f"{answer}")
    for peer in peers:
        peer.expect_close(1000)
    other.send(text("alive"))
    other.expect_text("alive")


@row("issue 2.7", "DELETE /connections without a filter closes nobody")
def close_without_filter(t):
    gateway = start(t)
    peer = t.open("/echo")
    reply(gateway, "DELETE", "/connections", wanted=400)
    peer.send(text("alive"))
    peer.expect_text("alive")


@row(
    "issue 2.7",
    "methods and paths that are not there: 405 with Allow, 404",
    cases={
        "path": ("GET", "/nothing", 404),
        "root": ("GET", "/nothing/more", 404),
        "post-live": ("POST", "/live", 405),
        "get-publish": ("GET", "/publish", 405),
        "put": ("PUT", "/connections", 405),
    },
)
def not_there(t, method, path, status):
    gateway = start(t)
    got, fields, body = gateway.ask(method, path, headers=JSON if method != "GET" else None)
    if got != status or (status == 405 and not fields.get("Allow")):
        raise Wrong(f"{got} {fields} {body}")


@row(
    "DESIGN 5, Bad input",
    "from the admin API: 4xx with a JSON reason, and it goes on serving",
    cases={
        "not-json": b"{",
        "array": b"[]",
        "empty": b"",
        "number": b"7",
        "deep": b"[" * 5000,
        "not-utf8": b'{"channel":"a","text":"\xff"}',
    },
)
def bad_bodies(t, body):
    gateway = start(t)
    for path in ("/publish", "/drain"):
        status, fields, answer = gateway.ask("POST", path, body, JSON)
        if path == "/drain" and status == 200 and body in (b"",):
            return
        if not 400 <= status < 500 or "json" not in (fields.get("Content-Type") or ""):
            raise Wrong(f"{path}: {status} {answer[:200]}")
        json.loads(answer)
    reply(gateway, "GET", "/live")


# -- trust ----------------------------------------------------------------------------------------------------------


@row(
    "DESIGN 5, Trust",
    "without a token: requests with an Origin header are refused",
    cases={"foreign": "https://evil.test", "null": "null", "own": "http://127.0.0.1"},
)
def origin_refused(t, origin):
    gateway = start(t)
    listener = t.open("/chat/x")
    item = {"channel": "chat.x", "text": "evil"}
    reply(gateway, "POST", "/publish", item, wanted=403, headers={"Origin": origin})
    reply(gateway, "GET", "/connections", wanted=403, headers={"Origin": origin})
    listener.send(text("mine"))
    listener.expect_text("mine")


@row(
    "DESIGN 5, Trust",
    "without a token: a Host that is not loopback is refused (DNS rebinding)",
    cases=["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "10.0.0.1", "[2001:db8::1]"],
)
def host_refused(t, host):
    gateway = start(t)
    reply(
        gateway,
        "GET",
        "/connections",
        wanted=(403, 421),
        headers={"Host": f"{host}:{gateway.admin}"},
    )


@row(
    "DESIGN 5, Trust",
    "without a token: loopback Hosts are served",
    cases=["127.0.0.1", "localhost", "[::1]", "127.1.2.3"],
)
def host_accepted(t, host):
    gateway = start(t)
    reply(gateway, "GET", "/connections", headers={"Host": f"{host}:{gateway.admin}"})


@row(
    "DESIGN 5, Trust",
    "without a token: bodies that are not application/json are refused",
    cases=[
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        None,
    ],
)
def content_type_refused(t, kind):
    gateway = start(t)
    listener = t.open("/chat/x")
    body = b'{"channel":"chat.x","text":"evil"}'
    reply(
        gateway,
        "POST",
        "/publish",
        body,
        wanted=(415, 403),
        headers={"Content-Type": kind} if kind else {"X": "y"},
    )
    listener.send(text("mine"))
    listener.expect_text("mine")


@row(
    "DESIGN 5, Trust",
    "application/json in any spelling is taken",
    cases=["application/json", "application/json; charset=utf-8", "Application/JSON"],
)
def content_type_accepted(t, kind):
    gateway = start(t)
    reply(
        gateway,
        "POST",
        "/publish",
        b'{"channel":"chat.x","text":"good"}',
        headers={"Content-Type": kind},
    )


@row(
    "DESIGN 5, Trust",
    "with a token: nothing without it, 401",
    cases={
        "none": None,
        "wrong": "Bearer wrong",
        "prefix": "Bearer secret-toke",
        "longer": "Bearer secret-token1",
        "basic": "Basic c2VjcmV0LXRva2Vu",
        "bare": "secret-token",
        "empty": "Bearer ",
    },
)
def token_wrong(t, value):
    gateway = start(t, "secret-token")
    headers = {"Authorization": value} if value is not None else {}
    for method, path in (("GET", "/connections"), ("GET", "/metrics"), ("POST", "/publish")):
        body = {"channel": "chat.x", "text": "x"} if method == "POST" else None
        reply(gateway, method, path, body, wanted=401, headers=dict(headers))


@row("DESIGN 5, Trust", "with a token: it opens; /live and /ready answer in any case")
def token_right(t):
    gateway = start(t, "secret-token")
    reply(gateway, "GET", "/connections", headers={"Authorization": "Bearer secret-token"})
    reply(
        gateway,
        "POST",
        "/publish",
        {"channel": "chat.x", "text": "x"},
        headers={"Authorization": "bearer secret-token"},
    )


@row("DESIGN 5, Trust", "the token never stands in the log")
def token_not_logged(t):
    gateway = start(t, "very-secret-token")
    reply(
        gateway,
        "GET",
        "/connections",
        wanted=401,
        headers={"Authorization": "Bearer other-secret-token"},
    )
    reply(gateway, "GET", "/connections", headers={"Authorization": "Bearer very-secret-token"})
    if "secret-token" in gateway.log():
        raise Wrong("it does")
