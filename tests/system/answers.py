"""What services answer so that a client would read it in two ways: nothing of it may reach a client, this one or the next.

The service keeps its connection open, so it is the gateway that ends it; a case comes whole and in three segments."""

import time

from harness.rows import row
from harness.service import Recorder
from harness.wire import Wrong, request

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
upstreams:
  web: {servers: ["SERVER"], failures: 1000}
routes:
  - {path: "/*", proxy: {upstream: web}, upgrade: false}
"""
EVIL = b"EVIL!"  # five bytes that no client may see
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nEVIL!\r\n0\r\n\r\n"


def head(*lines, status=b"200 OK", body=EVIL):
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines]) + b"\r\n\r\n" + body


def field(text):
    return head(b"Content-Length: 5", text)


def started(text):
    """Another status line."""
    return text + b"\r\nContent-Length: 5\r\n\r\n" + EVIL


FRAMINGS = {
    "length-and-chunked": head(b"Content-Length: 5", CHUNKED, body=CHUNKS),
    "chunked-and-length": head(CHUNKED, b"Content-Length: 5", body=CHUNKS),
    "chunked-and-zero": head(CHUNKED, b"Content-Length: 0", body=CHUNKS),
    "lengths-differ": head(b"Content-Length: 0", b"Content-Length: 5"),
    "lengths-equal": head(b"Content-Length: 5", b"Content-Length: 5"),
    "length-list": head(b"Content-Length: 5, 5"),
    "length-empty": head(b"Content-Length:"),
    "length-plus": head(b"Content-Length: +5"),
    "length-minus": head(b"Content-Length: -5"),
    "length-hex": head(b"Content-Length: 0x5"),
    "length-spaced": head(b"Content-Length: 5 5"),
    "length-wraps": head(b"Content-Length: 18446744073709551621"),
    "length-nul": head(b"Content-Length: 5\x00"),
    "coding-unknown": head(b"Transfer-Encoding: xchunked", body=CHUNKS),
    "coding-before": head(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "coding-behind": head(b"Transfer-Encoding: chunked, identity", body=CHUNKS),
    "coding-twice": head(CHUNKED, CHUNKED, body=CHUNKS),
    "coding-empty": head(b"Transfer-Encoding:", b"Content-Length: 5"),
    "coding-vertical-tab": head(b"Transfer-Encoding:\x0bchunked", body=CHUNKS),
    "coding-space": head(b"Transfer-Encoding : chunked", b"Content-Length: 5", body=CHUNKS),
    "coding-folded": head(b"Transfer-Encoding:\r\n chunked", body=CHUNKS),
    "no-content-length": head(b"Content-Length: 5", status=b"204 No Content"),
    "no-content-chunked": head(CHUNKED, status=b"204 No Content", body=CHUNKS),
    "interim-length": head(b"Content-Length: 5", status=b"103 Early Hints", body=EVIL + field(b"X: EVIL!")),
    "interim-chunked": head(CHUNKED, status=b"100 Continue", body=CHUNKS + field(b"X: EVIL!")),
    "switching": head(b"Upgrade: h2c", b"Connection: Upgrade", status=b"101 Switching Protocols"),
    "switching-websocket": head(b"Upgrade: websocket", b"Connection: Upgrade", status=b"101 Switching Protocols"),
    "interim-flood": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 200 + field(b"X: EVIL!"),
    "continue-flood": b"HTTP/1.1 100 Continue\r\n\r\n" * 20000 + field(b"X: EVIL!"),
}
LINES = {
    "version-2": started(b"HTTP/2.0 200 OK"),
    "version-0.9": started(b"HTTP/0.9 200 OK"),
    "version-small": started(b"http/1.1 200 OK"),
    "other-protocol": started(b"ICY 200 OK"),
    "two-digits": started(b"HTTP/1.1 20 OK"),
    "four-digits": started(b"HTTP/1.1 2000 OK"),
    "zero": started(b"HTTP/1.1 000 OK"),
    "ninety-nine": started(b"HTTP/1.1 099 OK"),
    "six-hundred": started(b"HTTP/1.1 600 OK"),
    "letters": started(b"HTTP/1.1 2x0 OK"),
    "minus": started(b"HTTP/1.1 -20 OK"),
    "two-spaces": started(b"HTTP/1.1  200 OK"),
    "tab": started(b"HTTP/1.1\t200 OK"),
    "space-before": started(b" HTTP/1.1 200 OK"),
    "phrase-cr": started(b"HTTP/1.1 200 OK\rX: EVIL!"),
    "phrase-lf": started(b"HTTP/1.1 200 OK\nX: EVIL!"),
    "phrase-nul": started(b"HTTP/1.1 200 OK\x00"),
    "phrase-escape": started(b"HTTP/1.1 200 \x1b[2J"),
    "no-line": b"X: EVIL!\r\nContent-Length: 5\r\n\r\n" + EVIL,
    "page": b"<html>EVIL!</html>\r\n\r\n",
    "tls-alert": b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
    "http2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n",
}
FIELDS = {
    "folded": field(b"X: a\r\n EVIL!"),
    "folded-empty": field(b"X: a\r\n \r\nY: EVIL!"),
    "space-first": head(b" X: EVIL!", b"Content-Length: 5"),
    "bare-cr": field(b"X: a\rSet-Cookie: EVIL!"),
    "bare-lf": field(b"X: a\nSet-Cookie: EVIL!"),
    "cr-cr-lf": field(b"X: EVIL!\r"),
    "all-lf": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nEVIL!",
    "ends-with-lf": b"HTTP/1.1 200 OK\r\nContent-Length: 5\n\nEVIL!\r\n\r\n",
    "nul": field(b"X: EVIL!\x00"),
    "escape": field(b"X: \x1bEVIL!"),
    "delete": field(b"X: \x7fEVIL!"),
    "empty-name": field(b": EVIL!"),
    "no-colon": field(b"EVIL!"),
    "space-in-name": field(b"Set Cookie: EVIL!"),
    "space-before-colon": field(b"Set-Cookie : EVIL!"),
    "letter-in-name": field(b"X\xe9: EVIL!"),
    "too-many": head(*[b"X: EVIL!"] * 1000, b"Content-Length: 5"),
    "too-long": field(b"X: " + b"EVIL!" * 20000),
}
FAMILIES = {"framings": FRAMINGS, "lines": LINES, "fields": FIELDS}


def evil(cases, is_apart):
    """Answers /NAME with the case of that name, everything else with `honest NAME`; then it waits for the end."""

    def serve(wire, service):
        while True:
            asked = wire.request()
            service.requests.append(asked)
            data = cases.get(asked.target[1:])
            if data is None:
                wire.answer(f"honest {asked.target}")
                continue
            third = max(1, len(data) // 3) if is_apart else len(data)
            for begin in range(0, len(data), third):
                wire.send(data[begin : begin + third])
                time.sleep(0.002 if is_apart else 0)
            wire.until(b"\r\n\r\n")  # EOFError at the end; another request on this connection is a failure
            service.reused.append(asked.target)
            return

    return serve


def honest_again(t, peer, target):
    peer.send(request(target))
    answer = peer.response()
    if answer.status != 200 or answer.body != f"honest {target}".encode():
        raise Wrong(f"the next answer is {answer}")


def refused(peer, name):
    peer.send(request(f"/{name}"))
    answer = peer.response(interim=True)
    for _ in range(16):  # interim answers that were in order pass
        if answer.status not in (100, 103):
            break
        answer = peer.response(interim=True)
    if answer.status != 502 or EVIL in answer.body or EVIL in str(answer.fields).encode():
        raise Wrong(f"{answer} {answer.body[:200]}")


def refusals(t, family, how):
    cases = FAMILIES[family]
    with Recorder(evil(cases, how == "apart")) as service:
        service.reused = []
        t.start(CONFIGURATION.replace("SERVER", service.url))
        peer, other = t.peer(), t.peer()
        for name in cases:
            try:
                refused(peer, name)
                honest_again(t, other, f"/other-than-{name}")
                honest_again(t, peer, f"/behind-{name}")
            except Wrong as wrong:
                raise Wrong(f"{name} ({how}): {wrong}") from None
        if service.reused:
            raise Wrong(f"asked again on a connection that had gone wrong: {service.reused}")
        open_now = sum(1 for wire in service.wires if wire.sock.fileno() >= 0)
        if open_now > 2:
            raise Wrong(f"{open_now} connections to the service are left open")


SENTENCE = "an answer that could be read in two ways is 502; nothing of it is seen, and the next answers are the right ones"


@row("RFC 9112 11.1", SENTENCE, cases=FAMILIES.keys())
def whole(t, family):
    refusals(t, family, "whole")


@row("RFC 9112 11.1", SENTENCE, cases=FAMILIES.keys(), tier="all")
def apart(t, family):
    refusals(t, family, "apart")


BODIES = {
    "size-letters": b"zz\r\nEVIL!\r\n",
    "size-empty": b"\r\nEVIL!\r\n",
    "size-prefix": b"0x5\r\nEVIL!\r\n",
    "size-minus": b"-5\r\nEVIL!\r\n",
    "size-wraps": b"10000000000000005\r\nEVIL!\r\n",
    "size-space": b" 5\r\nEVIL!\r\n",
    "size-lf": b"5\nEVIL!\r\n",
    "data-longer": b"3\r\nabcEVIL!\r\n",
    "data-lf": b"3\r\nabc\n5\r\nEVIL!\r\n",
    "extension-lf": b"3;a\nEVIL!\r\nabc\r\n",
    "extension-cr": b"3;a\rEVIL!\r\nabc\r\n",
    "extension-quoted-lf": b'3;a="\nEVIL!"\r\nabc\r\n',
    "extension-long": b"3;a=" + b"EVIL!" * 5000 + b"\r\nabc\r\n",
    "trailer-folded": b"0\r\nX: a\r\n EVIL!\r\n\r\n",
    "trailer-bare-lf": b"0\r\nX: a\nY: EVIL!\r\n\r\n",
    "trailer-nul": b"0\r\nX: EVIL!\x00\r\n\r\n",
    "trailer-space": b"0\r\nX : EVIL!\r\n\r\n",
    "trailers-endless": b"0\r\n" + b"X: EVIL!\r\n" * 5000,
    "last-lf": b"0\n\nEVIL!",
}


@row(
    "RFC 9112 11.1",
    "a body that breaks in its chunks is cut: its end is not made up, what broke it is not seen",
    cases=["whole", "apart"],
)
def bodies(t, how):
    cases = {name: head(CHUNKED, body=b"2\r\nok\r\n" + bad) for name, bad in BODIES.items()}
    with Recorder(evil(cases, how == "apart")) as service:
        service.reused = []
        t.start(CONFIGURATION.replace("SERVER", service.url))
        other = t.peer()
        for name in cases:
            peer = t.peer()
            peer.send(request(f"/{name}"))
            seen = peer.rest()
            is_refused = seen.startswith(b"HTTP/1.1 502 ")  # nothing had gone out yet
            if EVIL in seen or seen.endswith(b"0\r\n\r\n") or not (is_refused or b"\r\n2\r\nok\r\n" in seen):
                raise Wrong(f"{name} ({how}): the client saw {seen[:300]}")
            honest_again(t, other, f"/other-than-{name}")
        if service.reused:
            raise Wrong(f"asked again on a connection that had gone wrong: {service.reused}")


FINE = {
    "no-phrase": (head(b"Content-Length: 2", status=b"200 ", body=b"ok"), b"ok"),
    "bare-status": (head(b"Content-Length: 2", status=b"200", body=b"ok"), b"ok"),
    "letters-in-value": (head(b"X: \xe9", b"Content-Length: 2", body=b"ok"), b"ok"),
    "chunks": (head(CHUNKED, body=b"1;a=b\r\no\r\n01\r\nk\r\n0\r\nX: y\r\n\r\n"), b"ok"),
    "hop-fields": (
        head(b"Connection: X-Secret", b"X-Secret: 1", b"Keep-Alive: 9", b"Upgrade: h2", b"Content-Length: 2", body=b"ok"),
        b"ok",
    ),
    "interim": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + head(b"Content-Length: 2", body=b"ok"), b"ok"),
    "empty-length": (head(b"Content-Length: 0", body=b""), b""),
    "not-modified": (head(b"Content-Length: 5", status=b"304 Not Modified", body=b""), b""),
}


@row("RFC 9112 4 to 7", "answers that are unusual and in order pass, without the fields of one hop", cases=["whole", "apart"])
def fine(t, how):
    def serve(wire, service):
        while True:
            data = FINE[wire.request().target[1:]][0]
            third = max(1, len(data) // 3) if how == "apart" else len(data)
            for begin in range(0, len(data), third):
                wire.send(data[begin : begin + third])
                time.sleep(0.002)

    with Recorder(serve) as service:
        t.start(CONFIGURATION.replace("SERVER", service.url))
        peer = t.peer()
        for name, (_, body) in FINE.items():
            peer.send(request(f"/{name}"))
            answer = peer.response(interim=True)
            answer = peer.response() if answer.status == 103 else answer
            if answer.status not in (200, 304) or answer.body != body:
                raise Wrong(f"{name} ({how}): {answer}")
            passed = {"x-secret", "keep-alive", "upgrade"} & {field_name for field_name, _ in answer.fields}
            if passed:
                raise Wrong(f"{name}: {passed} reached the client")
        if service.connections != 1:
            raise Wrong(f"{service.connections} connections: one of them was not kept")


@row("RFC 9112 11.1", "what comes on a connection that nobody waits at is nobody's answer", cases=["together", "at-once", "later"])
def unasked(t, when):
    def serve(wire, service):
        while True:
            body = f"honest {wire.request().target}".encode()
            answer = head(b"Content-Length: %d" % len(body), body=body)
            evil = head(b"Content-Length: 5")
            if when == "together":  # in one segment
                wire.send(answer + evil)
            else:
                wire.send(answer)
                time.sleep(0.05 if when == "later" else 0)
                wire.send(evil)
            time.sleep(0.2)

    with Recorder(serve) as service:
        t.start(CONFIGURATION.replace("SERVER", service.url))
        peers = [t.peer() for _ in range(4)]
        for number in range(12):
            honest_again(t, peers[number % 4], f"/{number}")
            time.sleep(0.1)


@row("RFC 9112 11.1", "the body that a service sends to a HEAD is nobody's")
def to_head(t):
    def serve(wire, service):
        while True:
            asked = wire.request()
            if asked.method == "HEAD":
                wire.send(head(b"Content-Length: 5"))
            else:
                wire.answer(f"honest {asked.target}")

    with Recorder(serve) as service:
        t.start(CONFIGURATION.replace("SERVER", service.url))
        peer, other = t.peer(), t.peer()
        for number in range(5):
            peer.send(request(f"/{number}", "HEAD"))
            answer = peer.response(head_only=True)
            if answer.status != 200:
                raise Wrong(f"{answer}")
            honest_again(t, other, f"/other-{number}")
            honest_again(t, peer, f"/behind-{number}")
