"""Tunnels, in front of WebSocket servers that do not behave."""

import socket
import time

from harness.rows import row
from harness.service import Service, honest
from harness.wait import eventually
from harness.wire import BINARY, CLOSE, CONT, PING, TEXT, Wrong, accept_of, binary, close, frame, request, text, upgrade
from system.tunnels import code, server, start

def accept(wire, request, value=None):
    return value or accept_of(request.get("sec-websocket-key")).decode()


SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ANSWERS = {
    "200": ("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n", 502),
    "200-body": ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 502),
    "204": ("HTTP/1.1 204 No Content\r\n\r\n", 502),
    "401": ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno", 401),
    "302": ("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", 302),
    "503": ("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 503),
    "wrong-accept": (SWITCH + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", 502),
    "no-accept": (SWITCH + "\r\n", 502),
    "two-accepts": (SWITCH + "Sec-WebSocket-Accept: {0}\r\nSec-WebSocket-Accept: {0}\r\n\r\n", 502),
    "no-upgrade": ("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n", 502),
    "no-connection": ("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n", 502),
    "h2c": ("HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n", 502),
    "unasked-protocol": (SWITCH + "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Accept: {}\r\n\r\n", 502),
    "unasked-extension": (
        SWITCH + "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        502,
    ),
    "length": (SWITCH + "Content-Length: 5\r\nSec-WebSocket-Accept: {}\r\n\r\nhello", 502),
    "garbage": ("\x16\x03\x01\x02\x00", 502),
    "nothing": ("", 502),
    "half": (SWITCH, 502),
}


@row("CVE-2024-23326", "only an exact 101 opens a tunnel; other refusals pass", cases=ANSWERS.keys())
def answers(t, name):
    head, status = ANSWERS[name]

    def serve(wire, service):
        got = wire.request()
        service.requests.append(got)
        wire.send(head.format(accept(wire, got)))
        if name not in ("nothing", "half"):
            wire.sock.settimeout(1)
            service.frames.append(wire.sock.recv(100))

    with Service(serve) as service, Service(honest) as other:
        start(t, service, other.url)
        peer = t.peer()
        peer.send(upgrade("/ws") + text("smuggled"))
        answer = peer.response()
        if answer.status != status or (status == 502 and b"hello" in answer.body):
            raise Wrong(f"{answer} {answer.body}")
        if status == 401 and (answer.get("www-authenticate") != "Basic" or answer.body != b"no"):
            raise Wrong(f"{answer} {answer.body}")
        eventually(lambda: name in ("nothing", "half") or service.frames, "the service hears")
        if any(service.frames):
            raise Wrong(f"the service got {service.frames}")
        good = t.peer()
        good.send(request("/other/x"))
        if good.response().status != 200:
            raise Wrong("another route")


FRAMES = {
    "masked": (frame(TEXT, b"x"), 1002),
    "reserved": (server(TEXT, b"x", rsv=4), 1002),
    "opcode": (server(3, b"x"), 1002),
    "continuation": (server(CONT, b"x"), 1002),
    "utf8": (server(TEXT, b"\xff\xfe"), 1007),
    "too-big": (server(BINARY, b"", length=(1 << 20) + 1), 1009),
    "close-code": (server(CLOSE, code(1005)), 1002),
    "long-ping": (server(PING, b"x" * 126), 1002),
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1002),
}


@row("RFC 6455 5", "a service that breaks the protocol: its client gets 1011, it gets the code", cases=FRAMES.keys())
def violations(t, name):
    bad, told = FRAMES[name]

    def serve(wire, service):
        wire.switch(early=server(TEXT, b"fine") + bad)
        service.frames.append(wire.frame())

    with Service(serve) as service:
        start(t, service)
        peer = t.open("/ws")
        peer.expect_text("fine")
        peer.expect_close(1011)
        eventually(lambda: service.frames, "a word to the service")
        if service.frames[0].code != told:
            raise Wrong(f"{service.frames[0]}")


@row("issue 5, tunnel", "a service that goes without a word: 1011", cases=("between", "within", "reset"))
def service_lost(t, how):
    def serve(wire, service):
        wire.switch(early=server(TEXT, b"fine"))
        wire.frame()
        if how == "within":
            wire.send(server(TEXT, b"half")[:3])
        if how == "reset":
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with Service(serve) as service:
        start(t, service)
        peer = t.open("/ws")
        peer.expect_text("fine")
        peer.send(text("go"))
        peer.expect_close(1011)
        peer.send(close(1011))
        peer.expect_end()


@row("issue 5, tunnel", "a silent service is pinged, and given up when it does not answer", cases=("answers", "silent"))
def pinged(t, how):
    def serve(wire, service):
        wire.switch()
        while True:
            got = wire.frame()
            service.frames.append(got)
            if how == "answers" and got.opcode == PING:
                wire.send(server(10, got.payload))

    with Service(serve) as service:
        start(t, service)
        peer = t.open("/quick")
        end = time.monotonic() + 2.2
        got = peer.frame()
        while got.opcode == PING and time.monotonic() < end:
            peer.send(frame(10, got.payload))
            got = peer.frame()
        if how == "silent" and (got.opcode != CLOSE or got.code != 1011):
            raise Wrong(f"{got}")
        if how == "answers" and got.opcode != PING:
            raise Wrong(f"{got}")
        if not any(f.opcode == PING for f in service.frames):
            raise Wrong("no ping")


@row("issue 5, slow", "a service that sends but never reads does not hold its client for ever: 1013", slow=True)
def deaf(t):
    def serve(wire, service):
        wire.switch()
        while True:
            wire.send(server(TEXT, b"tick"))
            time.sleep(0.05)

    with Service(serve, receive_buffer=4096) as service:
        start(t, service, response="500ms")
        peer = t.open("/ws")
        peer.sock.setblocking(False)
        message = binary(b"x" * 65536)
        pushed = 0
        pause = 0
        while pause < 4 and pushed < 1 << 26:  # until nobody takes any more
            try:
                pushed += peer.sock.send(message[pushed % len(message) :])
                pause = 0
            except BlockingIOError:
                pause += 1
                time.sleep(0.05)
        peer.sock.settimeout(5)
        while (got := peer.frame()).opcode == TEXT:
            pass
        if got.opcode != CLOSE or got.code != 1013:
            raise Wrong(f"{got}")


@row("issue 5, tunnel", "a flood of pings from the service is answered in bounded memory, the newest last")
def flood(t):
    def serve(wire, service):
        wire.switch()
        for i in range(20000):
            wire.send(server(PING, i.to_bytes(4, "big")))
        wire.send(server(TEXT, b"done"))
        while not service.frames or service.frames[-1].payload != (19999).to_bytes(4, "big"):
            service.frames.append(wire.frame())
        wire.send(server(TEXT, b"answered"))
        wire.frame()

    with Service(serve) as service:
        start(t, service)
        peer = t.open("/ws")
        peer.expect_text("done")
        peer.expect_text("answered")
        peer.send(close(1000))
        peer.expect_close(1000)


@row("issue 5, tunnel", "a service that is not there: 502, and 504 when it says nothing")
def absent(t):
    def silent(wire, service):
        wire.request()
        time.sleep(8)

    with Service(silent) as service:
        start(t, service)
        peer = t.peer()
        peer.send(upgrade("/ws"))
        if (answer := peer.response()).status != 504:
            raise Wrong(f"{answer}")
        peer = t.peer()
        peer.send(upgrade("/dead"))
        if (answer := peer.response()).status != 502:
            raise Wrong(f"{answer}")
