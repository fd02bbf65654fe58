"""Routes with `tunnel`, and `proxy` routes with upgrades, in front of WebSocket servers that behave."""

import socket
import time

from harness.rows import row
from harness.service import Service, honest, mirror
from harness.wait import eventually
from harness.wire import BINARY, CLOSE, CONT, TEXT, Wrong, binary, close, frame, request, text, upgrade

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
limits: {message: 1MiB}
upstreams:
  ws: {servers: ["SERVICE"], connect: 2s, response: 4s, failures: 100}
  other: {servers: ["OTHER"]}
routes:
  - {path: /some, tunnel: {upstream: ws}, subprotocols: [b, c]}
  - {path: /mine, tunnel: {upstream: ws}, origins: ["https://app.example.com"], limits: {message: 1KiB}}
  - {path: /quick, tunnel: {upstream: ws}, keepalive: {ping: 300ms, pong: 200ms}}
  - {path: /text, tunnel: {upstream: ws}, messages: text}
  - {path: /ws, tunnel: {upstream: ws}, keepalive: {ping: 60s}, backpressure: {queue: 64KiB}}
  - {path: /echo, echo: {}}
  - {path: "/plain/*", proxy: {upstream: ws}, upgrade: false}
  - {path: "/other/*", proxy: {upstream: other}, upgrade: false}
  - {path: /dead, tunnel: {upstream: other}}
  - {path: "/any/*", proxy: {upstream: ws}}
"""


def start(t, service, other="http://127.0.0.1:1", response="4s"):
    t.start(BASE.replace("SERVICE", service.url).replace("OTHER", other).replace("response: 4s", f"response: {response}"))


def server(opcode, payload=b"", **how):
    return frame(opcode, payload, masked=False, **how)


def code(value, reason=b""):
    return value.to_bytes(2, "big") + reason


# --- services that behave


@row("DESIGN 1, tunnel", "messages of every size pass both ways, each under a mask of its own")
def sizes(t):
    with Service(mirror) as service:
        start(t, service)
        peer = t.open("/ws")
        for size in (0, 1, 125, 126, 2000, 2048, 4096, 65535, 65536, 300000, 1 << 20):
            payload = bytes(i * 7 % 251 for i in range(size))
            peer.send(binary(payload))
            peer.expect(BINARY, payload)
        peer.send(text("grüße"))
        peer.expect_text("grüße")
        peer.leave()
        keys = service.wires[0].keys
        if len(set(keys)) != len(keys) or b"\0\0\0\0" in keys:
            raise Wrong(f"masks {keys}")


@row("issue 5, tunnel", "many messages in one segment arrive in order, also those cut into fragments")
def bursts(t):
    with Service(mirror) as service:
        start(t, service)
        peer = t.open("/ws")
        numbers = [f"{i}".encode() for i in range(3000)]
        peer.send(b"".join(text(n) for n in numbers))
        peer.send(text("fr", fin=False), frame(CONT, b"a", fin=False), frame(CONT, b"g"))
        for number in numbers:
            peer.expect_text(number)
        peer.expect_text("frag")
        peer.leave()


@row("RFC 6455 4.1", "the handshake to the service is the gateway's own")
def handshake(t):
    with Service(mirror) as service:
        start(t, service)
        head = upgrade(
            "/ws?a=b",
            add=[
                ("Sec-WebSocket-Extensions", "permessage-deflate"),
                ("Origin", "https://a.example"),
                ("Cookie", "s=1"),
                ("Content-Length", "0"),
                ("X-Forwarded-For", "6.6.6.6"),
            ],
        )
        peer = t.peer()
        peer.send(head)
        key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        peer.opened(key)
        service.wait_for(1)
        got = service.requests[0]
        if got.line != "GET /ws?a=b HTTP/1.1" or got.get("content-length") is not None:
            raise Wrong(f"{got.head}")
        wanted = {
            "connection": ["Upgrade"],
            "upgrade": ["websocket"],
            "sec-websocket-version": ["13"],
            "sec-websocket-extensions": [],
            "sec-websocket-protocol": [],
            "origin": ["https://a.example"],
            "cookie": ["s=1"],
            "x-forwarded-for": ["127.0.0.1"],
        }
        for name, values in wanted.items():
            if got.all(name) != values:
                raise Wrong(f"{name}: {got.all(name)}")
        if len(got.all("sec-websocket-key")) != 1 or got.get("sec-websocket-key") == key.decode():
            raise Wrong("the client's key went on")
        peer.leave()


@row(
    "issue 5, tunnel",
    "what the service chooses of what was offered is the client's; a route's list filters the offer",
    cases={"any": ("/ws", "a, b"), "listed": ("/some", "b"), "none": ("/some", None)},
)
def subprotocol(t, path, offered):
    chosen = "b" if offered else None

    def serve(wire, service):
        mirror(wire, service, chosen)

    with Service(serve) as service:
        start(t, service)
        offer = "a, b" if offered else "x"
        peer = t.open(path, protocol=chosen, add=[("Sec-WebSocket-Protocol", offer)])
        service.wait_for(1)
        if service.requests[0].get("sec-websocket-protocol") != offered:
            raise Wrong(f"offered {service.requests[0].get('sec-websocket-protocol')}")
        peer.leave()


def either(wire, service):
    """A service that answers plain requests, and mirrors the messages of upgraded ones."""
    if b"pgrade: websocket" in wire.sock.recv(1 << 16, socket.MSG_PEEK):
        mirror(wire, service)
    else:
        honest(wire, service)


@row("DESIGN 5, trust", "a trusted proxy is believed at handshakes as at requests, and its client's server is the same")
def trusted(t):
    with Service(either) as a, Service(either) as b:
        top = f'trusted: [127.0.0.0/8]\nupstreams:\n  ws: {{balance: "hash:address", servers: ["{a.url}", "{b.url}"]}}\n'
        t.start(BASE[: BASE.index("limits:")] + top + 'routes:\n  - {path: "/*", proxy: {upstream: ws}}\n')
        asked = {a: 0, b: 0}
        for number in range(1, 13):
            fields = [
                ("X-Forwarded-For", f"203.0.113.{number}"),
                ("X-Forwarded-Proto", "https"),
                ("X-Request-Id", f"id{number}"),
            ]
            plain = t.peer()
            plain.send(request("/", fields=fields))
            plain.response()
            service = a if a.requests else b
            t.open("/", add=fields).leave()
            service.wait_for(2)  # both, or they went to different servers
            for got in service.requests:
                found = [got.all(name) for name in ("x-forwarded-for", "x-forwarded-proto", "x-request-id")]
                if found != [[f"203.0.113.{number}, 127.0.0.1"], ["https"], [f"id{number}"]]:
                    raise Wrong(f"the service saw {found}: {got.line}")
            asked[service] += 1
            service.requests.clear()
        if 0 in asked.values():
            raise Wrong("all clients went to one server")


@row("DESIGN 1, proxy", "an upgrade on a `proxy` route goes to the same upstream, a plain request beside it")
def on_proxy(t):
    with Service(either) as service:
        start(t, service)
        peer = t.open("/any/where")
        peer.send(text("hello"))
        peer.expect_text("hello")
        other = t.peer()
        other.send(request("/any/where"))
        if other.response().status != 200:
            raise Wrong("a plain request")
        other.send(upgrade("/plain/x"))
        answer = other.response()
        if answer.status != 404:
            raise Wrong(f"upgrade: false: {answer}")
        peer.leave()


@row("issue 5, tunnel", "bytes behind the 101 in the same segment are the service's first frames")
def early(t):
    def serve(wire, service):
        wire.switch(early=server(TEXT, b"first") + server(TEXT, b"second")[:4])
        time.sleep(0.1)
        wire.send(server(TEXT, b"second")[4:])
        service.frames.append(wire.frame())

    with Service(serve) as service:
        start(t, service)
        peer = t.open("/ws")
        peer.expect_text("first")
        peer.expect_text("second")
        peer.send(close(1000))
        peer.expect_close(1000)


@row("issue 5, tunnel", "frames that a client sends before the 101 wait for it")
def eager(t):
    def serve(wire, service):
        time.sleep(0.2)
        mirror(wire, service)

    with Service(serve) as service:
        start(t, service)
        peer = t.peer()
        peer.send(upgrade("/ws") + text("one") + text("two"))
        peer.opened()
        peer.expect_text("one")
        peer.expect_text("two")
        peer.leave()


# --- how it ends

CODES = {"1000": 1000, "1001": 1001, "3999": 3999, "4999": 4999, "none": None}


@row("RFC 6455 7.1.5", "the client's close code and reason reach the service", cases=CODES)
def closed_by_client(t, value):
    with Service(mirror) as service:
        start(t, service)
        peer = t.open("/ws")
        peer.send(text("a"))
        peer.expect_text("a")
        peer.send(close(value, b"" if value is None else b"bye"))
        peer.expect_close(value)
        peer.expect_end()
        eventually(lambda: len(service.frames) == 2, "the Close at the service")
        got = service.frames[1]
        if got.opcode != CLOSE or got.payload != (b"" if value is None else code(value, b"bye")):
            raise Wrong(f"the service got {got}")


@row("RFC 6455 7.1.5", "the service's close code and reason reach the client", cases=CODES)
def closed_by_service(t, value):
    payload = b"" if value is None else code(value, b"done")

    def serve(wire, service):
        wire.switch(early=server(TEXT, b"last words") + server(CLOSE, payload))
        service.frames.append(wire.frame())

    with Service(serve) as service:
        start(t, service)
        peer = t.open("/ws")
        peer.expect_text("last words")
        peer.expect_close(value, b"" if value is None else b"done")
        peer.send(close(value))
        peer.expect_end()
        eventually(lambda: service.frames, "an answer to the service's Close")
        if service.frames[0].code != value:
            raise Wrong(f"the service got {service.frames[0]}")
        eventually(lambda: t.gateway.metric("holdfast_upstream_tunnels", upstream="ws") == 0, "no tunnel is left")


@row("issue 5, tunnel", "a client that is gone: the service gets 1001", cases=("vanishes", "breaks"))
def client_lost(t, how):
    with Service(mirror) as service:
        start(t, service)
        peer = t.open("/ws")
        if how == "breaks":
            peer.send(frame(TEXT, b"x", masked=False))
            peer.expect_close(1002)
        peer.close()
        eventually(lambda: service.frames, "a word to the service")
        if service.frames[0].opcode != CLOSE or service.frames[0].code != 1001:
            raise Wrong(f"{service.frames[0]}")


@row("issue 5, tunnel", "drain: clients get 1012, services 1001")
def drained(t):
    with Service(mirror) as service:
        start(t, service)
        peer = t.open("/ws")
        t.gateway.ask("POST", "/drain", body=b'{"over": "10ms"}', headers={"Content-Type": "application/json"})
        peer.expect_close(1012)
        peer.send(close(1012))
        peer.expect_end()
        eventually(lambda: service.frames, "a word to the service")
        if service.frames[0].code != 1001:
            raise Wrong(f"{service.frames[0]}")


# --- limits and the edge


@row("issue 5, tunnel", "Origin, message size and kind are judged at the edge")
def edge(t):
    with Service(mirror) as service:
        start(t, service)
        peer = t.peer()
        peer.send(upgrade("/mine", add=[("Origin", "https://evil.example")]))
        if peer.response().status != 403 or service.connections:
            raise Wrong("a foreign Origin")
        peer = t.open("/mine", add=[("Origin", "https://app.example.com")])
        peer.send(binary(b"x" * 1025))
        peer.expect_close(1009)
        peer = t.open("/text")
        peer.send(binary(b"x"))
        peer.expect_close(1003)
        eventually(lambda: len(service.frames) == 2, "a word to the services")
        if [f.code for f in service.frames] != [1001, 1001]:
            raise Wrong(f"{service.frames}")


@row("DESIGN 5, backpressure", "a client that does not read pauses its own service, and loses nothing")
def slow_client(t):
    size, count = 8192, 2000
    sent = []

    def serve(wire, service):
        if len(service.requests) > 0:
            mirror(wire, service)
            return
        service.requests.append(wire.switch())
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        for i in range(count):
            wire.send(server(BINARY, i.to_bytes(4, "big") * (size // 4)))
            sent.append(i)
        wire.frame()

    with Service(serve) as service:
        start(t, service)
        slow = t.open("/ws", receive_buffer=4096)
        time.sleep(1)
        if len(sent) == count:
            raise Wrong("16 MiB went into a client that reads nothing")
        quick = t.open("/ws")
        for _ in range(20):
            quick.send(text("quick"))
            quick.expect_text("quick")
        for i in range(count):
            slow.expect(BINARY, i.to_bytes(4, "big") * (size // 4))
        slow.send(close(1000))
        slow.expect_close(1000)


@row("DESIGN 5, backpressure", "a service that does not read pauses its own client, and loses nothing")
def slow_service(t):
    size, count = 8192, 5000  # more than the buffers of three sockets

    def serve(wire, service):
        if len(service.requests) > 0:
            mirror(wire, service)
            return
        service.requests.append(wire.switch())
        time.sleep(1.5)
        while True:
            service.frames.append(wire.frame())

    with Service(serve, receive_buffer=4096) as service:
        start(t, service)
        slow = t.open("/ws")
        slow.sock.setblocking(False)
        whole = b"".join(binary(i.to_bytes(4, "big") * (size // 4)) for i in range(count))
        at = 0
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                at += slow.sock.send(whole[at : at + 65536])
            except BlockingIOError:
                time.sleep(0.01)
        if at == len(whole):
            raise Wrong("40 MiB went into a service that reads nothing")
        quick = t.open("/ws")
        for _ in range(20):
            quick.send(text("quick"))
            quick.expect_text("quick")
        slow.sock.setblocking(True)
        slow.sock.sendall(whole[at:])
        eventually(lambda: sum(f.opcode == BINARY for f in service.frames) == count, "every message at the service", 10)
        got = [f.payload[:4] for f in service.frames if f.opcode == BINARY]
        if got != [i.to_bytes(4, "big") for i in range(count)]:
            raise Wrong("out of order")
