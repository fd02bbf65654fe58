"""Behind load balancers: PROXY headers before TLS and HTTP, X-Forwarded-For and Forwarded, and whose limits count."""

import socket
import struct
import time

from harness.rows import row
from harness.wait import eventually
from harness.wire import Wrong, request, text, upgrade
from system import tls
from system.admin import connections

CONFIGURATION = """\
listeners:
  - {address: "127.0.0.1:{port}", proxy_protocol: {trusted: [127.0.0.1, 127.0.0.2]}LISTENER}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
limits: {handshake: 1s, LIMITS}
TOP
routes:
  - {path: /echo, echo: {}}
"""
ISSUE = "issue 5.5"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def start(t, limits="message: 1MiB", listener="", top="", **how):
    configuration = CONFIGURATION.replace("LIMITS", limits).replace("LISTENER", listener)
    return t.start(configuration.replace("TOP", top), **how)


def v1(address, kind="TCP4", own="192.0.2.1"):
    return f"PROXY {kind} {address} {own} 4711 80\r\n".encode()


def v2(address, family=socket.AF_INET, command=1, extra=b""):
    size = 4 if family == socket.AF_INET else 16
    ips = socket.inet_pton(family, address) + bytes(size)
    body = ips + struct.pack("!HH", 4711, 80) + extra
    kind = 0x11 if family == socket.AF_INET else 0x21
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, kind, len(body)) + body


HEADERS = {
    "v1": (v1("203.0.113.9"), "203.0.113.9:4711"),
    "v1-ipv6": (v1("2001:db8::9", "TCP6", "2001:db8::1"), "[2001:db8::9]:4711"),
    "v1-unknown": (b"PROXY UNKNOWN whatever\r\n", "127.0.0.1:"),
    "v2": (v2("203.0.113.9"), "203.0.113.9:4711"),
    "v2-ipv6": (v2("2001:db8::9", socket.AF_INET6), "[2001:db8::9]:4711"),
    "v2-local": (v2("203.0.113.9", command=0), "127.0.0.1:"),
    "v2-local-empty": (SIGNATURE + b"\x20\x00\x00\x00", "127.0.0.1:"),
    "v2-extensions": (v2("203.0.113.9", extra=b"\x04\x05\x80" + bytes(1408)), "203.0.113.9:4711"),
}


@row(ISSUE, "each form of the header gives the client's address, whole or byte by byte")
def forms(t):
    gateway = start(t)
    for name, (header, address) in HEADERS.items():
        for in_pieces in (False, True):
            peer = t.peer()
            head = header + upgrade("/echo")
            if in_pieces:
                peer.send_apart([head[i : i + 1] for i in range(min(len(head), 60))], pause=0)
                peer.send(head[60:])
            else:
                peer.send(head)
            peer.opened()
            peer.send(text("in"))
            peer.expect_text("in")
            found = [one["address"] for one in connections(gateway)]
            if len(found) != 1 or not found[0].startswith(address):
                raise Wrong(f"{name}: {found}")
            peer.leave()
            eventually(lambda: not connections(gateway), "it is gone")
    if gateway.metrics()["holdfast_proxy_headers_total"] != 2 * len(HEADERS):
        raise Wrong("not every header was counted")


@row(ISSUE, "what is no header, one from an address that is not trusted and one that is never completed are cut unanswered")
def refusals(t):
    gateway = start(t)
    cut = {  # the first one is in the log for certain: a worker writes one such line a second
        "proxy_untrusted": [v1("203.0.113.9") + upgrade("/echo")],
        "proxy_malformed": [upgrade("/echo"), SIGNATURE + b"\x31\x11\x00\x0c", b"PROXY TCP4 x\r\n", b"\x16\x03\x01\x00"],
        "handshake_timeout": [b"PROXY TCP4 203.0."],
    }
    for fault, heads in cut.items():
        for head in heads:
            peer = t.peer(source="127.0.0.3" if fault == "proxy_untrusted" else None)
            try:
                peer.send(head)
            except OSError:
                pass  # it was cut before
            if peer.rest():
                raise Wrong(f"{fault}: it was answered")
        counted = lambda: gateway.metric("holdfast_faults_total", fault=fault) == len(heads)  # noqa: B023,E731
        eventually(counted, f"{fault} is counted")
    eventually(lambda: "proxy_untrusted address=127.0.0.3" in gateway.log(), "the log names who it was")


@row(ISSUE, "the header stands before TLS, and the connection behind it is an ordinary one")
def secured(t):
    gateway = start(t, listener=", tls: {certificate: chain.pem, key: key.pem}", files=tls.files())
    peer = t.peer()
    peer.send(v2("203.0.113.9"))
    peer.sock = tls.context().wrap_socket(peer.sock, server_hostname="gateway.test")
    peer.send(upgrade("/echo"))
    peer.opened()
    peer.send(text("in"))
    peer.expect_text("in")
    if connections(gateway)[0]["address"] != "203.0.113.9:4711":
        raise Wrong(f"{connections(gateway)}")


@row(ISSUE, "per_address counts the client of the header, not the balancer")
def counted(t):
    start(t, "per_address: 2")

    def status(address):
        peer = t.peer()
        peer.send(v1(address) + upgrade("/echo"))
        return peer.response().status

    found = [status("203.0.113.9") for _ in range(3)] + [status("203.0.113.10")]
    if found != [101, 101, 429, 101]:
        raise Wrong(f"{found}")


FORWARDED = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
limits: {per_address: 2}
trusted: [127.0.0.1, 10.0.0.0/8]
routes:
  - {path: /echo, echo: {}}
"""


@row(ISSUE, "a trusted peer's X-Forwarded-For or Forwarded is the client, its rightmost untrusted address; others' is nothing")
def forwarded(t):
    gateway = t.start(FORWARDED)

    def address(*fields, source=None, status=101):
        peer = t.peer(source=source)
        peer.send(upgrade("/echo", add=fields))
        answer = peer.response()
        if answer.status != status:
            raise Wrong(f"{fields}: {answer}")
        if status != 101:
            return None
        return max(connections(gateway), key=lambda one: (-one["age_ms"], one["id"]))["address"]

    xff = "X-Forwarded-For"
    rows = [
        ([(xff, "1.1.1.1, 203.0.113.1, 10.1.1.1")], "203.0.113.1:0"),
        ([(xff, "203.0.113.2"), (xff, "10.1.1.1")], "203.0.113.2:0"),
        ([("Forwarded", 'for=1.1.1.1, for="[2001:db8::3]:99";proto=https')], "[2001:db8::3]:0"),
    ]
    for fields, wanted in rows:
        found = address(*fields)
        if found != wanted:
            raise Wrong(f"{fields}: {found}")
        time.sleep(0.01)
    address((xff, "203.0.113.1"))
    address((xff, "203.0.113.1"), status=429)
    address((xff, "203.0.113.2"))
    found = address((xff, "203.0.113.9"), source="127.0.0.5")
    if not found.startswith("127.0.0.5:"):
        raise Wrong(f"an untrusted peer was believed: {found}")


@row(ISSUE, "refused, a proxy's connection carries no other client's request under that name")
def one_client(t):
    t.start(FORWARDED)
    peer = t.peer()
    peer.send(request("/echo"), request("/none"))
    if [peer.response().status, peer.response().status] != [426, 404]:
        raise Wrong("plain requests of a proxy are not answered in a row")
    t.open("/echo", add=[("X-Forwarded-For", "203.0.113.1")])
    t.open("/echo", add=[("X-Forwarded-For", "203.0.113.1")])
    peer = t.peer()
    peer.send(upgrade("/echo", add=[("X-Forwarded-For", "203.0.113.1")]))
    if peer.response().status != 429:
        raise Wrong("one too many")


RATES = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
limits: {handshakes_per_address: 5}
routes:
  - {path: /echo, echo: {}}
  - {path: /slow, echo: {}, limits: {messages_per_second: 5}}
  - {path: /thin, echo: {}, limits: {bytes_per_second: 1000B, message: 1000B}}
"""


@row("issue 5.6", "messages and bytes of a connection at n - 1, n and n + 1 a second; then 1008")
def message_rates(t):
    gateway = t.start(RATES)
    peer = t.open("/slow")
    peer.send(b"".join(text(str(i)) for i in range(5)))
    for i in range(5):
        peer.expect_text(str(i))
    time.sleep(1.1)
    peer.send(b"".join(text(str(i)) for i in range(6)))
    for i in range(5):
        peer.expect_text(str(i))
    peer.expect_close(1008)
    peer.close()
    peer = t.open("/thin", source="127.0.0.2")
    peer.send(text("x" * 999), text("y"))
    peer.expect_text("x" * 999)
    peer.expect_text("y")
    time.sleep(1.1)
    peer.send(text("x" * 1000), text("y"))
    peer.expect_text("x" * 1000)
    peer.expect_close(1008)
    peer.close()
    eventually(lambda: gateway.metric("holdfast_faults_total", fault="message_rate") == 2, "counted")


@row("issue 5.6", "handshakes of one address at n - 1, n and n + 1 at once; others are not held up")
def handshake_rates(t):
    gateway = t.start(RATES)

    def status(source):
        peer = t.peer(source=source)
        peer.send(upgrade("/echo"))
        answer = peer.response()
        if answer.status == 429 and not (answer.get("retry-after") or "").isdigit():
            raise Wrong(f"429 without Retry-After: {answer}")
        return answer.status

    begun = time.monotonic()
    found = [status("127.0.0.7") for _ in range(6)]
    if time.monotonic() - begun < 0.19 and found != [101] * 5 + [429]:
        raise Wrong(f"{found}")
    while time.monotonic() - begun < 10 and status("127.0.0.7") != 429:
        pass
    if status("127.0.0.8") != 101:
        raise Wrong("another address is held up")
    time.sleep(0.3)
    if status("127.0.0.7") != 101:
        raise Wrong("a part of a second later one more is not let in")
    if gateway.metric("holdfast_faults_total", fault="address_rate") < 1:
        raise Wrong("it is not counted")
