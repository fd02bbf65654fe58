"""Routes with `proxy`, in front of services that end too early; answers.py and smuggling.py have what can be read in two
ways."""

from harness.rows import row
from harness.service import Service, honest
from harness.wire import Wrong, request
from system.services import ask, expect, start

NO_ANSWER = {
    "nothing": b"",
    "half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "endless-head": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70000,
}


@row("issue 5, hostile", "a service that ends before its answer has a head is 502, and only for who asked it", cases=NO_ANSWER.keys())
def no_answer(t, name):
    def serve(wire, service):
        wire.request()
        wire.send(NO_ANSWER[name])

    with Service(serve) as service, Service(honest) as other:
        start(t, service, other=other.url, options="")
        peer = t.peer()
        peer.send(request("/"))
        answer = expect(peer.response(), 502)
        if answer.get("x"):
            raise Wrong(f"{answer}")
        expect(ask(t, "/other/x", peer=peer), 200)


CUT = {
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
}


@row("issue 5, hostile", "an answer that ends too early is cut, and its end is not made up", cases=CUT.keys())
def cut(t, name):
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


@row("issue 5, h2c", "an upgrade to something else is an ordinary request, without its fields")
def h2c(t):
    with Service(honest) as service:
        start(t, service, options="")
        ask(t, fields=("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
        names = [name.lower() for name, _ in service.requests[0].fields]
        if "upgrade" in names or "http2-settings" in names or "connection" in names:
            raise Wrong(f"{names}")
