"""Routes with `proxy`, in front of services that behave, that are slow or gone, and that are hostile."""

import signal
import socket
import tempfile
import threading
import time

from harness.gateway import free_port
from harness.rows import row
from harness.service import Service, honest, named
from harness.wait import eventually
from harness.wire import Wrong, request

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
TRUSTED
upstreams:
  web: {servers: [SERVERS], OPTIONS}
  other: {servers: ["OTHER"]}
routes:
  - {path: "/other/*", proxy: {upstream: other}, upgrade: false}
  - {path: "/*", proxy: {upstream: web}, upgrade: false}
"""
QUICK = "connect: 2s, response: 4s, idle: 500ms, failures: 3, retry: 500ms"


def start(t, *services, options=QUICK, trusted="", other="http://127.0.0.1:1"):
    servers = ", ".join(f'"{service if isinstance(service, str) else service.url}"' for service in services)
    text = BASE.replace("SERVERS", servers).replace("OPTIONS", options)
    t.start(text.replace("TRUSTED", trusted).replace("OTHER", other))


def ask(t, path="/", method="GET", fields=(), body=b"", peer=None, **how):
    peer = peer or t.peer()
    pairs = [tuple(field.split(": ", 1)) for field in fields]
    peer.send(request(path, method, fields=pairs, body=body))
    return peer.response(head_only=method == "HEAD", **how)


def expect(answer, status, word=None):
    if answer.status != status or (word and word.encode() not in answer.body):
        raise Wrong(f"{status} {word or ''} was expected: {answer} {answer.body[:200]}")
    return answer


# --- services that behave


@row("DESIGN 1, proxy", "a request reaches the service and its answer the client, many on one connection each way")
def kept(t):
    with Service(honest) as service:
        start(t, service)
        peer = t.peer()
        for number in range(50):
            answer = expect(ask(t, f"/{number}?a=b", peer=peer), 200)
            if not answer.body.startswith(f"GET /{number}?a=b HTTP/1.1\r\n".encode()):
                raise Wrong(f"the service saw {answer.body[:80]}")
        if service.connections != 1:
            raise Wrong(f"{service.connections} connections for one client's requests in turn")


@row(
    "issue 5, fields",
    "fields of one hop stay there, and who the client is says the gateway",
)
def fields(t):
    with Service(honest) as service:
        start(t, service)
        ask(
            t,
            fields=(
                "Connection: close, X-Secret, X-Forwarded-For",
                "X-Secret: 1",
                "Keep-Alive: 5",
                "TE: trailers",
                "Proxy-Authorization: Basic x",
                "X-Forwarded-For: 6.6.6.6",
                "X_Forwarded_For: 6.6.6.6",
                "X-Forwarded-Proto: https",
                "X-Real-IP: 6.6.6.6",
                "Forwarded: for=6.6.6.6",
                "Grip-Sig: x",
                "Meta-User: root",
                "Connection-Id: 7",
                "Accept: text/plain",
            ),
        )
        got = service.requests[0]
        names = sorted(name.lower() for name, _ in got.fields)
        wanted = "accept forwarded host traceparent x-forwarded-for x-forwarded-host x-forwarded-proto x-request-id"
        if names != wanted.split():
            raise Wrong(f"the service saw {names}")
        if got.all("x-forwarded-for") != ["127.0.0.1"] or got.all("x-forwarded-proto") != ["http"]:
            raise Wrong(f"the service saw {got.fields}")
        if len(got.get("x-request-id")) != 32 or len(got.get("traceparent")) != 55:
            raise Wrong(f"ids {got.fields}")


@row("DESIGN 5, trust", "a trusted proxy in front is believed, and we stand behind it in the list")
def trusted(t):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Service(honest) as service:
        start(t, service, trusted="trusted: [127.0.0.0/8]")
        ask(
            t,
            fields=(
                "X-Forwarded-For: 203.0.113.7",
                "X-Forwarded-Proto: https",
                "Forwarded: for=203.0.113.7",
                "X-Request-Id: abc",
                f"traceparent: {trace}",
            ),
        )
        got = service.requests[0]
        found = [got.all(name) for name in ("x-forwarded-for", "x-forwarded-proto", "x-request-id", "traceparent")]
        if found != [["203.0.113.7, 127.0.0.1"], ["https"], ["abc"], [trace]]:
            raise Wrong(f"the service saw {found}")
        if not got.get("forwarded").startswith("for=203.0.113.7, for=127.0.0.1;"):
            raise Wrong(f"the service saw {got.get('forwarded')}")


def counting(wire, service):
    """Answers with chunks, without a length, or with a length, as the path says."""
    while True:
        asked = wire.request()
        service.requests.append(asked)
        if asked.target == "/chunks":
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n")
            for number in range(1, 200):
                wire.send(f"{number:x};ext=1\r\n", b"c" * number, "\r\n")
            wire.send("0\r\nX: y\r\n\r\n")
        elif asked.target == "/end":
            wire.send("HTTP/1.1 200 OK\r\n\r\n", b"e" * 100000)
            return
        elif asked.target == "/none":
            wire.send("HTTP/1.1 204 No Content\r\n\r\n")
        elif asked.target == "/early":
            wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            wire.answer("late")
        else:
            wire.answer(b"l" * 3_000_000)


@row(
    "RFC 9112 6.3",
    "bodies with a length, in chunks and until the end arrive whole",
    cases={"length": ("/", 3_000_000), "chunks": ("/chunks", 19900), "end": ("/end", 100000), "none": ("/none", 0)},
)
def bodies(t, path, size):
    with Service(counting) as service:
        start(t, service)
        peer = t.peer()
        for _ in range(3):
            answer = ask(t, path, peer=peer)
            if len(answer.body) != size or (size == 0) != (answer.status == 204):
                raise Wrong(f"{len(answer.body)} bytes instead of {size}: {answer}")
        head = expect(ask(t, "/other", method="GET", peer=peer), 200)
        if len(head.body) != 3_000_000:
            raise Wrong("the connection is out of step")


@row("RFC 9110 15.2", "an interim answer passes before the final one")
def interim(t):
    with Service(counting) as service:
        start(t, service)
        peer = t.peer()
        peer.send(request("/early"))
        early = peer.response(interim=True)
        if early.status != 103 or early.get("link") != "</a>":
            raise Wrong(f"{early}")
        expect(peer.response(), 200, "late")


@row("issue 5, bodies", "a large request body passes, with a length and in chunks, while nobody collects it")
def uploads(t):
    with Service(honest) as service:
        start(t, service, options="")
        piece = b"u" * 16384
        peer = t.peer()
        peer.send(f"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {len(piece) * 200}\r\n\r\n".encode())
        for _ in range(200):
            peer.send(piece)
        expect(peer.response(), 200, f"body {len(piece) * 200}")
        peer.send(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            peer.send(b"4000;x=y\r\n" + piece + b"\r\n")
        peer.send(b"0\r\nA: b\r\n\r\n")
        expect(peer.response(), 200, f"body {len(piece) * 100}")


@row("RFC 9110 10.1.1", "a client that waits for 100 (Continue) gets the service's own")
def expectation(t):
    def serve(wire, service):
        head = wire.head()
        service.requests.append(head)
        time.sleep(0.1)
        wire.send("HTTP/1.1 100 Continue\r\n\r\n")
        wire.take(5)
        wire.answer("done")

    with Service(serve) as service:
        start(t, service)
        peer = t.peer()
        peer.send(request("/", "POST", fields=[("Expect", "100-continue"), ("Content-Length", "5")]))
        if peer.response(interim=True).status != 100:
            raise Wrong("no 100 (Continue)")
        peer.send(b"hello")
        expect(peer.response(), 200, "done")
        if b"Expect: 100-continue" not in service.requests[0]:
            raise Wrong("the service was not asked")


@row("RFC 9110 9.3", "methods that we do not know pass, HEAD has no body, TRACE is refused")
def methods(t):
    with Service(honest) as service:
        start(t, service)
        peer = t.peer()
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
            if not expect(ask(t, method=method, peer=peer), 200).body.startswith(method.encode()):
                raise Wrong(method)
        expect(ask(t, method="HEAD", peer=peer), 200)
        expect(ask(t, peer=peer), 200)
        expect(ask(t, method="TRACE"), 501)


@row("DESIGN 1, balance", "least_pending: the server with the fewest requests is asked; hash: the same for the same")
def balance(t):
    with Service(named("a", 0.05)) as a, Service(named("b", 0.05)) as b:
        start(t, a, b)
        peers = [t.peer() for _ in range(20)]
        for peer in peers:
            peer.send(request("/"))
        found = [peer.response().body for peer in peers]
        if found.count(b"a") != 10 or found.count(b"b") != 10:
            raise Wrong(f"{found}")
        start(t, a, b, options="balance: hash:cookie:user")
        chosen = {}
        for number in range(60):
            user = f"user{number % 20}"
            answer = ask(t, fields=(f"Cookie: x=1; user={user}",))
            if chosen.setdefault(user, answer.body) != answer.body:
                raise Wrong(f"{user} was sent to both servers")
        if len(set(chosen.values())) != 2:
            raise Wrong("all users went to one server")


@row("issue 5, unix", "a service may listen at a Unix socket")
def unix(t):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder, Service(honest, address=f"{folder}/service") as service:
        start(t, service)
        expect(ask(t), 200, "GET / HTTP/1.1")


# --- services that are slow or gone


@row("issue 5, dead", "a service that is not there: 502, then 503 without being asked, and it is found again")
def dead(t):
    port = free_port()
    start(t, f"http://127.0.0.1:{port}")
    for _ in range(3):
        expect(ask(t), 502)
    answer = expect(ask(t), 503, "no server")
    if not (answer.get("retry-after") or "").isdigit():
        raise Wrong(f"no Retry-After: {answer}")
    with Service(honest, port=port):
        time.sleep(0.6)  # retry
        expect(ask(t), 200)
        expect(ask(t), 200)


@row("issue 5, retries", "a request that could not be connected goes to another server, and no other does")
def retries(t):
    with Service(honest) as service:
        start(t, f"http://127.0.0.1:{free_port()}", service, options=QUICK)
        for number in range(10):
            expect(ask(t, f"/{number}", "POST", ["Content-Length: 1"], b"x"), 200, "body 1")
        if len(service.requests) != 10:
            raise Wrong(f"{len(service.requests)} requests arrived")

    def cuts(wire, service):
        service.requests.append(wire.request())

    with Service(cuts) as a, Service(cuts) as b:
        start(t, a, b)
        expect(ask(t, "/", "POST", ["Content-Length: 1"], b"x"), 502)
        if len(a.requests) + len(b.requests) != 1:
            raise Wrong("a request that a service has seen was asked again")


@row("RFC 9112 9.3.1", "a kept connection that the service closes costs no request", cases={"GET": "GET", "POST": "POST"})
def stale(t, method):
    def once(wire, service):
        service.requests.append(wire.request())
        wire.answer("ok")
        time.sleep(0.02)

    # A POST is not asked again: the end must have arrived before it, also on a busy machine.
    count, pause = (10, 0.05) if method == "GET" else (4, 0.5)
    with Service(once) as service:
        start(t, service)
        for _ in range(count):
            expect(ask(t, method=method), 200, "ok")
            time.sleep(pause)


@row("issue 5, slow", "a service that does not answer: 504 at the deadline; other routes do not notice")
def slow(t):
    def silent(wire, service):
        service.requests.append(wire.request())
        time.sleep(8)

    with Service(silent) as service, Service(honest) as other:
        start(t, service, other=other.url, options="response: 4s")
        peers = [t.peer() for _ in range(30)]
        for peer in peers:
            peer.send(request("/"))
        service.wait_for(30)
        begin = time.monotonic()
        for _ in range(20):
            expect(ask(t, "/other/x"), 200)
        if time.monotonic() - begin > 3:
            raise Wrong("another upstream's requests waited")
        for peer in peers:
            answer = peer.response()
            if answer.status != 504:
                raise Wrong(f"{answer}")


@row("issue 5, queue", "more requests than connections wait, and more than the queue are refused with 503")
def queue(t):
    released = threading.Event()

    def busy(wire, service):
        while True:
            service.requests.append(wire.request())
            released.wait(8)
            wire.answer("ok")

    with Service(busy) as service:
        start(t, service, options="connections: 2, queue: 3, connect: 5s")
        peers = [t.peer() for _ in range(8)]
        for peer in peers:
            peer.send(request("/"))
        service.wait_for(2)
        time.sleep(0.3)  # for those that wait, and those that are refused
        released.set()
        found = sorted(peer.response().status for peer in peers)
        if found != [200] * 5 + [503] * 3 or service.connections != 2:
            raise Wrong(f"{found} by {service.connections} connections")


@row("issue 5, slow", "a service that stops in its answer is cut off, and so is the client's answer")
def stalled(t):
    def stops(wire, service):
        wire.request()
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        time.sleep(5)

    with Service(stops) as service:
        start(t, service)
        peer = t.peer()
        peer.send(request("/"))
        rest = peer.rest()
        if not rest.endswith(b"\r\n\r\n12345"):
            raise Wrong(f"{rest}")


@row("DESIGN 5, backpressure", "a client that does not read its answer stops its service, and nobody else's")
def backpressure(t):
    sent = []

    def pours(wire, service):
        wire.request()
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        for _ in range(200):
            wire.send(b"p" * 1_000_000)
            sent.append(1)

    with Service(pours) as service, Service(honest) as other:
        start(t, service, options="", other=other.url)
        peer = t.peer(receive_buffer=16384)
        peer.send(request("/"))
        time.sleep(1)
        before = len(sent)
        if before > 40:
            raise Wrong(f"{before} MB were taken from the service for a client that does not read")
        expect(ask(t, "/other/x"), 200)
        size = len(peer.take_until(b"\r\n\r\n"))
        while size < 100_000_000:
            size += len(peer.take(1_000_000))
        if len(sent) <= before:
            raise Wrong("the service is not read again")


@row("issue 5, clients", "a client that goes away takes its request with it", cases=["body", "answer"])
def gone(t, when):
    sent, ended = [], []

    def serve(wire, service):
        service.requests.append(wire.head())
        try:
            if when == "answer":
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
                for _ in range(200):
                    wire.send(b"x" * 1_000_000)
                    sent.append(1)
            while wire.sock.recv(65536):
                pass
        finally:
            ended.append(1)

    with Service(serve) as service:
        start(t, service, options="")
        peer = t.peer()
        if when == "body":
            peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        else:
            peer.send(request("/"))
        service.wait_for(1)
        time.sleep(0.1)
        if ended:
            raise Wrong("the service was left before its client was gone")
        peer.close()
        eventually(lambda: ended, "the end at the service")
        if len(sent) > 100:
            raise Wrong(f"{len(sent)} MB were taken from the service for nobody")


@row("DESIGN 3, reload", "a reload changes upstreams for new requests, under load without a failure")
def reloaded(t):
    with Service(named("old")) as old, Service(named("new")) as new:
        start(t, old, options="")
        expect(ask(t), 200, "old")
        text = BASE.replace("SERVERS", f'"{new.url}"').replace("OPTIONS", "").replace("TRUSTED", "")
        t.gateway.write(text.replace("OTHER", "http://127.0.0.1:1"))
        peer = t.peer()
        t.gateway.signal(signal.SIGHUP)
        end = time.monotonic() + 5
        while expect(ask(t, peer=peer), 200).body != b"new":
            if time.monotonic() > end:
                raise Wrong("the new upstream is not asked")
