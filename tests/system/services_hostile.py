"""Routes with `proxy`, between services and clients that are hostile."""

import time

from harness.rows import row
from harness.service import Service, honest
from harness.wire import Wrong, request
from system.services import ask, expect, start


# --- services that are hostile

GARBAGE = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "html": b"<html>hello</html>\r\n\r\n",
    "both-framings": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "negative": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare-cr": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "space": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    "status": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "unasked-101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no-content": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "endless-head": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70000,
    "many-fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "interims": b"HTTP/1.1 103 x\r\n\r\n" * 100,
    "nothing": b"",
    "half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@row("issue 5, hostile", "an answer that is malformed is 502, and nothing of it reaches the client", cases=GARBAGE.keys())
def hostile(t, name):
    def serve(wire, service):
        wire.request()
        wire.send(GARBAGE[name])

    with Service(serve) as service, Service(honest) as other:
        start(t, service, other=other.url, options="")
        peer = t.peer()
        peer.send(request("/"))
        answer = peer.response(interim=True)
        while answer.status == 103:
            answer = peer.response(interim=True)
        expect(answer, 502)
        if b"hello" in answer.body or answer.get("x") or answer.get("set-cookie"):
            raise Wrong(f"{answer} {answer.body}")
        expect(ask(t, "/other/x", peer=peer), 200)


CUT = {
    "chunk-size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "chunk-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    "chunk-cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunk-large": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nfffffffffffffffff\r\n",
    "length-cut": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
}


@row("issue 5, hostile", "an answer that breaks behind its head is cut, and its end is not made up", cases=CUT.keys())
def broken(t, name):
    def serve(wire, service):
        wire.request()
        wire.send(CUT[name])

    with Service(serve) as service:
        start(t, service, options="")
        peer = t.peer()
        peer.send(request("/"))
        rest = peer.rest()
        if b"hello" not in rest or rest.endswith(b"0\r\n\r\n"):
            raise Wrong(f"{rest}")


@row("issue 5, hostile", "what a service sends behind its answer is nobody's")
def unasked(t):
    def serve(wire, service):
        service.requests.append(wire.request())
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!")
        time.sleep(0.2)

    with Service(serve) as service:
        start(t, service, options="")
        peer = t.peer()
        for _ in range(5):
            answer = expect(ask(t, peer=peer), 200, "ok")
            if b"EVIL" in answer.body:
                raise Wrong("one client got what was sent for another")


# --- hostile clients

SMUGGLING = {
    "both-framings": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length-list": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "space": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
    "folded": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "bare-lf": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare-cr": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "nul": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "two-hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "fragment": b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
    "dots": b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    "upgrade-body": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nhello",
    "connect": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
}


@row("issue 5, smuggling", "what could be read in two ways reaches no service", cases=SMUGGLING.keys())
def smuggled(t, name):
    with Service(honest) as service:
        start(t, service, options="")
        peer = t.peer()
        peer.send(SMUGGLING[name])
        if peer.response().status < 400:
            raise Wrong("it was taken")
        time.sleep(0.1)
        if service.requests or service.connections:
            raise Wrong(f"it reached the service: {service.requests}")


@row("issue 5, smuggling", "bad chunks behind a good head end the request", cases=["size", "end", "extension"])
def bad_chunks(t, name):
    bad = {"size": b"zz\r\n", "end": b"3\r\nabcX", "extension": b"3;\x01\r\n"}[name]
    with Service(honest) as service:
        start(t, service, options="")
        peer = t.peer()
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + bad)
        expect(peer.response(), 400)
        time.sleep(0.1)
        if service.requests:
            raise Wrong("the service took it for a whole request")


@row("issue 5, h2c", "an upgrade to something else is an ordinary request, without its fields")
def h2c(t):
    with Service(honest) as service:
        start(t, service, options="")
        ask(t, fields=("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
        names = [name.lower() for name, _ in service.requests[0].fields]
        if "upgrade" in names or "http2-settings" in names or "connection" in names:
            raise Wrong(f"{names}")
