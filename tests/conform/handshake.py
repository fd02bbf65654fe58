"""RFC 6455 sections 4.1 to 4.3 and 11.3: what an opening handshake must hold, and what answers it."""

import base64

from conform.verbs import opened, refused, survives
from harness.rows import row
from harness.wire import Wrong, new_key, upgrade

MUST_STOP = "the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code"


# -- the server's answer, 4.2.2 -------------------------------------------------------------------------------------


@row("RFC 6455 4.2.2", "dGhlIHNhbXBsZSBub25jZQ== gives s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
def accept_of_the_example(t):
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    answer = opened(t, upgrade(swap={"Sec-WebSocket-Key": key}))
    if answer.get("sec-websocket-accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=":
        raise Wrong(f"accept {answer.get('sec-websocket-accept')}")


NONCES = {
    "zero": bytes(16),
    "ones": b"\xff" * 16,
    "count": bytes(range(16)),
    "plus-slash": b"\xfb\xff\xbf" * 5 + b"\xfb",
}


@row("RFC 6455 4.2.2", "Accept is the base64 of the SHA-1 of key and GUID", cases=NONCES)
def accept(t, nonce):
    key = base64.b64encode(nonce).decode()
    opened(t, upgrade(swap={"Sec-WebSocket-Key": key}), key=key)


@row("RFC 6455 4.2.2", "Accept of keys chosen at random (32 of them)")
def accept_random(t):
    for _ in range(32):
        key = new_key().decode()
        peer = t.peer()
        peer.send(upgrade(swap={"Sec-WebSocket-Key": key}))
        peer.opened(key=key)
        peer.close()


@row(
    "RFC 6455 4.1",
    "the example of a key, AQIDBAUGBwgJCgsMDQ4PEC==, is 16 bytes long although its last bits are not zero",
)
def key_of_the_example(t):
    key = "AQIDBAUGBwgJCgsMDQ4PEC=="
    opened(t, upgrade(swap={"Sec-WebSocket-Key": key}), key=key)


@row("RFC 6455 4.2.2", "A Status-Line with a 101 response code: HTTP/1.1 101 Switching Protocols")
def status_line(t):
    peer = t.peer()
    peer.send(upgrade())
    line = peer.take_until(b"\r\n")
    if line != b"HTTP/1.1 101 Switching Protocols\r\n":
        raise Wrong(f"status line {line}")


@row(
    "RFC 6455 4.2.2",
    'An Upgrade header field with value "websocket" and a Connection header field with value "Upgrade"',
)
def fields_of_the_101(t):
    answer = opened(t, upgrade())
    if answer.all("upgrade") != ["websocket"] or [v.lower() for v in answer.all("connection")] != [
        "upgrade"
    ]:
        raise Wrong(f"{answer}")


@row(
    "RFC 9110 8.6",
    "A server MUST NOT send a Content-Length or Transfer-Encoding in any response with status 1xx",
)
def no_framing_in_the_101(t):
    answer = opened(t, upgrade())
    if (
        answer.all("content-length")
        or answer.all("transfer-encoding")
        or answer.all("content-type")
    ):
        raise Wrong(f"{answer}")


@row("RFC 6455 4.2.2", "nothing follows the 101 until somebody has something to say")
def silence_after_the_101(t):
    peer = t.open()
    peer.expect_silence(0.1)
    survives(peer)


# -- method, version, target ----------------------------------------------------------------------------------------


@row(
    "RFC 6455 4.2.1",
    "1. An HTTP/1.1 or higher GET request",
    cases=["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"],
)
def method(t, name):
    refused(t, upgrade(method=name), (405, 400), head_only=name == "HEAD")


@row(
    "RFC 9110 15.5.6",
    "405: the origin server MUST generate an Allow header field (an upgrade by another method: GET)",
    cases=["POST", "PUT", "DELETE", "PATCH"],
)
def method_allow(t, name):
    answer = refused(t, upgrade(method=name), 405)
    if "get" not in answer.tokens("allow"):
        raise Wrong(f"Allow: {answer.all('allow')}")


@row(
    "RFC 9110 9.1",
    "an unrecognized method: SHOULD respond with 501; method is case-sensitive",
    cases=["get", "Get", "BREW", "CONNECT", "TRACE", "GETX", "G"],
)
def method_unknown(t, name):
    refused(t, upgrade(method=name), (501, 405))


@row(
    "RFC 6455 4.2.1",
    "1. HTTP/1.1 or higher; RFC 9110 7.8: MUST ignore an Upgrade in an HTTP/1.0 request",
    cases={"bare": (), "keep-alive": (("Connection", "keep-alive"),)},
)
def version_1_0(t, *more):
    refused(t, upgrade(version="HTTP/1.0", add=more), (426, 505, 400))


@row(
    "RFC 9110 15.6.6",
    "505 indicates that the server does not support the major version of HTTP used",
    cases=["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"],
)
def version_major(t, version):
    refused(t, upgrade(version=version), 505)


@row(
    "RFC 9110 2.5",
    "a higher minor version SHOULD be processed as the highest that the recipient knows",
    cases=["HTTP/1.2", "HTTP/1.9"],
)
def version_minor(t, version):
    opened(t, upgrade(version=version))


@row(
    "RFC 9112 2.3",
    'HTTP-version = HTTP-name "/" DIGIT "." DIGIT, case-sensitive',
    cases=[
        "http/1.1",
        "Http/1.1",
        "HTTP/1",
        "HTTP/11",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/1.1.1",
        "HTTP/01.1",
        "HTTP/1.01",
        "HTTP/1.1x",
        "HTTP 1.1",
        "HTTPS/1.1",
        "ICY/1.1",
        "1.1",
        "HTTP/1,1",
        "HTTP/x.y",
        "HTTP/-1.1",
    ],
)
def version_syntax(t, version):
    refused(t, upgrade(version=version), (400, 505))


@row(
    "RFC 9112 3",
    "request-line = method SP request-target SP HTTP-version (none: HTTP/0.9 is not spoken)",
)
def version_missing(t):
    refused(t, upgrade(line="GET /echo"), 400)


@row(
    "RFC 6455 4.2.2",
    "If the requested service is not available, the server MUST send an appropriate error code (such as 404)",
    cases=["/nothing", "/echo/more", "/ECHO", "/ech", "/echoo", "/chat", "/chat/", "/chat/a/b"],
)
def resource_unknown(t, path):
    refused(t, upgrade(path), 404)


@row(
    "RFC 6455 4.2.1",
    "1. a Request-URI ... or an absolute HTTP/HTTPS URI containing the /resource name/",
    cases=[
        "http://localhost/echo",
        "https://localhost/echo",
        "HTTP://localhost/echo",
        "http://localhost:80/echo?x=1",
    ],
)
def absolute_target(t, target):
    opened(t, upgrade(target))


# -- Upgrade and Connection -----------------------------------------------------------------------------------------


@row(
    "RFC 6455 4.2.1",
    '3. An Upgrade header field containing the value "websocket", ASCII case-insensitive',
    cases=["websocket", "WebSocket", "WEBSOCKET", "wEbSoCkEt"],
)
def upgrade_case(t, value):
    opened(t, upgrade(swap={"Upgrade": value}))


LISTED = [
    "h2c, websocket",
    "websocket, h2c",
    "foo/2, websocket,bar",
    ", websocket",
    "websocket ,",
    "foo,\twebsocket\t,bar",
    "HTTP/2.0, SHTTP/1.3, websocket",
]


@row("RFC 9110 7.8", "Upgrade = #protocol: a list of which the server takes one", cases=LISTED)
def upgrade_list(t, value):
    opened(t, upgrade(swap={"Upgrade": value}))


@row(
    "RFC 9110 5.3",
    "a list may be split over several field lines of one name",
    cases={"last": ("h2c", "websocket"), "first": ("websocket", "h2c")},
)
def upgrade_lines(t, first, second):
    opened(t, upgrade(swap={"Upgrade": first}, add=[("Upgrade", second)]))


NOT_WEBSOCKET = [
    "h2c",
    "TLS/1.0",
    "web socket",
    "websockets",
    "websocketx",
    "xwebsocket",
    "web-socket",
    '"websocket"',
    "websocket;q=1",
    "websocket/13",
    "websocket h2c",
    "",
]


@row("RFC 6455 4.2.1", '3. Upgrade without "websocket": no handshake', cases=NOT_WEBSOCKET)
def upgrade_other(t, value):
    refused(t, upgrade(swap={"Upgrade": value}), (400, 426))


@row("RFC 6455 4.2.1", "3. An Upgrade header field is missing: no handshake")
def upgrade_missing(t):
    refused(t, upgrade(drop=["Upgrade"]), (400, 426))


@row(
    "RFC 9110 7.8",
    "A server MUST NOT switch to a protocol that was not indicated (h2c alone is an ordinary request: 426)",
)
def upgrade_h2c(t):
    head = upgrade(
        swap={"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"},
        add=[("HTTP2-Settings", "AAMAAABkAAQAAP__")],
    )
    refused(t, head, 426)


CONNECTIONS = [
    "Upgrade",
    "upgrade",
    "UPGRADE",
    "uPgRaDe",
    "keep-alive, Upgrade",
    "Upgrade, keep-alive",
    "keep-alive,upgrade",
    "Upgrade,keep-alive,foo",
    "keep-alive, upgrade ,close",
    ", ,Upgrade",
    "Upgrade,",
    "foo,\tUpgrade",
    "keep-alive,Upgrade\t",
]


@row(
    "RFC 6455 4.2.1",
    '4. A Connection header field that includes the token "Upgrade", ASCII case-insensitive',
    cases=CONNECTIONS,
)
def connection_list(t, value):
    opened(t, upgrade(swap={"Connection": value}))


@row(
    "RFC 9110 5.3",
    "Connection in several field lines is one list",
    cases={"last": ("keep-alive", "Upgrade"), "first": ("Upgrade", "keep-alive")},
)
def connection_lines(t, first, second):
    opened(t, upgrade(swap={"Connection": first}, add=[("Connection", second)]))


@row(
    "RFC 6455 4.2.1",
    '4. Connection without the token "Upgrade"',
    cases=[
        "keep-alive",
        "close",
        "Upgradex",
        "xUpgrade",
        "not-upgrade",
        "Up grade",
        "keep-alive Upgrade",
        "Upgrade;x",
        '"Upgrade"',
        "Upgrade/1",
        "websocket",
        "",
    ],
)
def connection_other(t, value):
    refused(t, upgrade(swap={"Connection": value}), (400, 426))


@row("RFC 6455 4.2.1", "4. A Connection header field is missing")
def connection_missing(t):
    refused(t, upgrade(drop=["Connection"]), (400, 426))
