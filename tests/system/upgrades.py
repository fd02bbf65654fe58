"""Upgrades as a way to a service past the gateway: by what clients ask, by what they send too early, and by services that
answer something other than the 101 that was asked for.

What is to be smuggled asks for /hidden, which no route serves and the service would answer: it notes every byte it gets."""

import time

from harness.rows import row
from harness.service import Recorder, mirror
from harness.wire import TEXT, Wrong, accept_of, close, frame, new_key, request, text, upgrade

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
upstreams:
  ws: {servers: ["SERVER"], response: 2s, failures: 1000}
routes:
  - {path: "/tunnel/*", tunnel: {upstream: ws}}
  - {path: "/proxy/*", proxy: {upstream: ws}}
  - {path: "/plain/*", proxy: {upstream: ws}, upgrade: false}
"""
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
EVIL = frame(TEXT, b"EVIL!", masked=False)
ROUTES = ["tunnel", "proxy", "plain"]


def listening(wire, service):
    """A WebSocket server where it is asked for one, and an ordinary service else."""
    while True:
        wire.peek = getattr(wire, "peek", b"") or wire.sock.recv(1 << 16, 2)  # MSG_PEEK
        if b"upgrade: websocket" in wire.peek.lower():
            mirror(wire, service)
            return
        wire.peek = b""
        asked = wire.request()
        service.requests.append(asked)
        wire.answer(f"asked {asked.target}")


# How each is refused on a route that tunnels; None: it is an ordinary request there, and on a `tunnel` route 426 or 400.
VERSION, KEY = "Sec-WebSocket-Version", "Sec-WebSocket-Key"
ASKED = {
    "length": (dict(add=[("Content-Length", "5")], body=b"hello"), 400),
    "length-of-a-request": (dict(add=[("Content-Length", str(len(HIDDEN)))]), 400),
    "chunked": (dict(add=[("Transfer-Encoding", "chunked")], body=b"0\r\n\r\n"), 400),
    "length-and-chunked": (dict(add=[("Transfer-Encoding", "chunked"), ("Content-Length", "5")], body=b"0\r\n\r\n"), 400),
    "lengths": (dict(add=[("Content-Length", "0"), ("Content-Length", "5")], body=b"hello"), 400),
    "version-1777": (dict(swap={VERSION: "1777"}), 426),  # the service would refuse it, a naive proxy would not see that
    "version-8": (dict(swap={VERSION: "8"}), 426),
    "version-list": (dict(swap={VERSION: "13, 8"}), 426),
    "version-twice": (dict(add=[(VERSION, "13")]), 426),
    "version-missing": (dict(drop=[VERSION]), 426),
    "version-signed": (dict(swap={VERSION: "+13"}), 426),
    "key-missing": (dict(drop=[KEY]), 400),
    "key-twice": (dict(add=[(KEY, "AAAAAAAAAAAAAAAAAAAAAA==")]), 400),
    "key-short": (dict(swap={KEY: "AAAA"}), 400),
    "key-letters": (dict(swap={KEY: "!" * 24}), 400),
    "method-post": (dict(method="POST"), 405),
    "method-head": (dict(method="HEAD"), 405),
    "http-1.0": (dict(version="HTTP/1.0"), 426),
    "protocol-bad": (dict(add=[("Sec-WebSocket-Protocol", "a b")]), 400),
    "extension-bad": (dict(add=[("Sec-WebSocket-Extensions", "a;=b")]), 400),
    "two-hosts": (dict(add=[("Host", "b")]), 400),
    "folded": (dict(raw=["X: a\r\n b"]), 400),
    "bare-cr": (dict(raw=["X: a\rUpgrade: h2c"]), 400),
    "bare-lf": (dict(raw=["X: a\nUpgrade: h2c"]), 400),
    "h2c": (dict(swap={"Upgrade": "h2c"}), None),
    "h2c-settings": (
        dict(
            swap={"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"},
            add=[("HTTP2-Settings", "AAMAAABkAAQAAP__")],
        ),
        None,
    ),
    "h2c-without-connection": (dict(swap={"Upgrade": "h2c", "Connection": "HTTP2-Settings"}), None),
    "tls": (dict(swap={"Upgrade": "TLS/1.2"}), None),
    "unknown": (dict(swap={"Upgrade": "foo"}), None),
    "connection-missing": (dict(drop=["Connection"]), None),
    "connection-other": (dict(swap={"Connection": "keep-alive"}), None),
}


def drain(peer):
    """All that comes until the end, or until nothing more does: refusals that leave no doubt keep the connection."""
    try:
        return peer.rest(patience=0.5)
    except Wrong:
        found = bytes(peer.data)
        peer.data.clear()
        return found


def judge(service, what):
    for heard in service.heard():
        if b"/hidden" in heard:
            raise Wrong(f"{what}: the service got {bytes(heard[:300])}")


def asks(t, route):
    with Recorder(listening) as service:
        service.frames = []
        t.start(CONFIGURATION.replace("SERVER", service.url))
        waiting = []
        for name, (how, status) in ASKED.items():
            peer = t.peer()
            peer.send(upgrade(f"/{route}/{name}", **how) + HIDDEN)
            waiting.append((name, status, peer))
        time.sleep(0.3)
        fine = set()
        for name, status, peer in waiting:
            answer = peer.response(head_only="head" in name)
            behind = drain(peer)
            if answer.status == 101 or b"asked /hidden" in behind:
                raise Wrong(f"{name} ({route}): {answer}, {behind[:200]}")
            if answer.status == 200 and (status is None or route == "plain") and route != "tunnel":
                fine.add(f"/{route}/{name}")
            elif answer.status < 400 or (status is not None and route != "plain" and answer.status != status):
                raise Wrong(f"{name} ({route}): {answer} instead of {status}")
        judge(service, route)
        heard = {one.target for one in service.requests}
        if heard != fine:
            raise Wrong(f"the service was asked for {sorted(heard ^ fine)}, which was answered otherwise")
        hop = {"upgrade", "connection", "http2-settings"}
        for one in service.requests:
            if hop & {field.lower() for field, _ in one.fields}:
                raise Wrong(f"{one.target}: fields of one hop went on: {one.fields}")



SENTENCE = "an upgrade that is not one reaches no service, and what stands behind it neither"


@row("RFC 6455 4.2.1", SENTENCE, cases=["tunnel"])
def asked(t, route):
    asks(t, route)


@row("RFC 6455 4.2.1", SENTENCE, cases=["proxy", "plain"], tier="all")
def asked_elsewhere(t, route):
    asks(t, route)


def answer_of(name, accept):
    """What the service says to a handshake; frames that no client may see stand behind."""
    line = "HTTP/1.1 101 Switching Protocols\r\n"
    good = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    table = {
        "ok": "HTTP/1.1 200 OK\r\n" + good + "\r\n",
        "ok-with-length": "HTTP/1.1 200 OK\r\n" + good + "Content-Length: 7\r\n\r\n",
        "accepted": "HTTP/1.1 202 Accepted\r\n" + good + "Content-Length: 0\r\n\r\n",
        "reset-content": "HTTP/1.1 205 Reset Content\r\n" + good + "\r\n",
        "processing": "HTTP/1.1 102 Processing\r\n" + good + "\r\n",
        "other-version": "HTTP/1.0 101 Switching Protocols\r\n" + good + "\r\n",
        "no-accept": line + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "other-accept": line + good.replace(accept, accept_of(new_key()).decode()) + "\r\n",
        "longer-accept": line + good.replace(accept, accept + "A") + "\r\n",
        "two-accepts": line + good + f"Sec-WebSocket-Accept: {accept}\r\n\r\n",
        "no-upgrade": line + good.replace("Upgrade: websocket\r\n", "", 1) + "\r\n",
        "upgrade-h2c": line + good.replace("websocket", "h2c", 1) + "\r\n",
        "upgrade-list": line + good.replace("websocket", "websocket, h2c", 1) + "\r\n",
        "no-connection": line + good.replace("Connection: Upgrade\r\n", "") + "\r\n",
        "connection-close": line + good.replace("Connection: Upgrade", "Connection: close") + "\r\n",
        "subprotocol": line + good + "Sec-WebSocket-Protocol: evil\r\n\r\n",
        "subprotocols": line + good + "Sec-WebSocket-Protocol: a, b\r\n\r\n",
        "two-subprotocols": line + good + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n\r\n",
        "extension": line + good + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        "length": line + good + "Content-Length: 7\r\n\r\n",
        "chunked": line + good + "Transfer-Encoding: chunked\r\n\r\n",
        "folded": line + good + "X: a\r\n b\r\n\r\n",
        "bare-lf": line + good + "X: a\nSet-Cookie: EVIL!\r\n\r\n",
        "bare-cr": line + good + "X: a\rSet-Cookie: EVIL!\r\n\r\n",
        "nul": line + good + "X: \x00\r\n\r\n",
    }
    return table if name is None else table[name].encode("latin-1") + EVIL


ANSWERS = answer_of(None, "x" * 28).keys()


@row("RFC 6455 4.1", "only an exact 101 opens a tunnel: nothing else passes, in either direction", cases=["tunnel", "proxy"])
def answered(t, route):
    def serve(wire, service):
        got = wire.request()
        service.requests.append(got)
        wire.send(answer_of(got.target.rpartition("/")[2], accept_of(got.get("sec-websocket-key")).decode()))
        wire.until(b"\x00never\x00")

    with Recorder(serve) as service:
        t.start(CONFIGURATION.replace("SERVER", service.url))
        waiting = []
        for name in ANSWERS:
            peer = t.peer()
            # A request and a frame, too early: a service that does not switch could take the one for its own.
            peer.send(upgrade(f"/{route}/{name}", add=[("Sec-WebSocket-Protocol", "a, b")]) + HIDDEN + text("EARLY"))
            waiting.append((name, peer))
        for name, peer in waiting:
            seen = drain(peer)
            if name == "processing":  # an interim answer, which passes, and then bytes that are none
                seen = seen.partition(b"\r\n\r\n")[2]
            if b"EVIL" in seen or not seen.startswith(b"HTTP/1.1 502 "):
                raise Wrong(f"{name} ({route}): the client saw {seen[:200]}")
        judge(service, route)
        for heard in service.heard():
            if b"EARLY" in heard or heard.count(b"\r\n\r\n") != 1 or not heard.endswith(b"\r\n\r\n"):
                raise Wrong(f"{route}: the service got {bytes(heard[-200:])}")


FRAMES = {
    "masked": (frame(TEXT, b"EVIL!"), 1002),
    "reserved-bit": (frame(TEXT, b"EVIL!", rsv=4, masked=False), 1002),
    "reserved-opcode": (frame(3, b"EVIL!", masked=False), 1002),
    "control-opcode": (frame(11, b"EVIL!", masked=False), 1002),
    "control-long": (frame(9, b"EVIL!" * 30, masked=False), 1002),
    "control-cut": (frame(9, b"EVIL!", fin=False, masked=False), 1002),
    "length-long-form": (frame(TEXT, b"EVIL!", form=64, masked=False), 1002),
    "length-top-bit": (b"\x81\x7f\x80\0\0\0\0\0\0\x05EVIL!", 1002),
    "length-huge": (b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xffEVIL!", 1009),
    "not-utf-8": (frame(TEXT, b"EVIL!\xff", masked=False), 1007),
    "continuation": (frame(0, b"EVIL!", masked=False), 1002),
    "two-beginnings": (frame(TEXT, b"EVIL!", fin=False, masked=False) * 2, 1002),
    "empty-fragments": (frame(TEXT, b"", fin=False, masked=False) + frame(0, b"", fin=False, masked=False) * 100000, 1009),
    "close-code": (close(1005, masked=False), 1002),
    "close-short": (b"\x88\x01\x03", 1002),
    "close-not-utf-8": (close(1000, b"\xff", masked=False), 1007),
}


@row("RFC 6455 5", "a service that breaks the protocol: the client gets 1011, the service the fault's code", cases=FRAMES)
def broken(t, bad, code):
    def serve(wire, service):
        service.requests.append(wire.switch(early=frame(TEXT, b"fine", masked=False)))
        wire.send(bad)
        service.frames.append(wire.frame())

    with Recorder(serve) as service:
        service.frames = []
        t.start(CONFIGURATION.replace("SERVER", service.url))
        peer = t.open("/tunnel/x")
        peer.expect_text("fine")
        got = peer.expect_close(1011)
        if b"EVIL" in got.payload:
            raise Wrong(f"{got}")
        peer.send(close(1011))
        peer.expect_end()
        end = time.monotonic() + 5
        while not service.frames and time.monotonic() < end:
            time.sleep(0.01)
        if not service.frames or service.frames[0].code != code:
            raise Wrong(f"the service got {service.frames}, not Close {code}")


@row("RFC 6455 4.1", "a service that would switch, and one that is asked plainly: both are heard", cases=ROUTES)
def control(t, route):
    with Recorder(listening) as service:
        service.frames = []
        t.start(CONFIGURATION.replace("SERVER", service.url))
        if route != "plain":
            peer = t.open(f"/{route}/x")
            peer.send(text("hello"))
            peer.expect_text("hello")
            peer.leave()
        if route != "tunnel":
            peer = t.peer()
            peer.send(request(f"/{route}/x"))
            if peer.response().body != f"asked /{route}/x".encode():
                raise Wrong("a plain request")
        if not service.heard():
            raise Wrong("the service heard nothing")
