"""RFC 6455 sections 1.9, 4.2.2, 9.1 and 10.2: subprotocols, extensions, Origin."""

from conform.verbs import refused, survives
from harness.rows import row
from harness.wire import Wrong, request, upgrade

# -- subprotocols: the route prefers chat.v2, chat.v1, mqtt ---------------------------------------------------------

CHOICE = "selecting one of the values from the Sec-WebSocket-Protocol field that the server is willing to use"
CHOICES = {
    "one": ("chat.v1", "chat.v1"),
    "other": ("mqtt", "mqtt"),
    "server-prefers": ("mqtt, chat.v1, chat.v2", "chat.v2"),
    "client-order-is-not-ours": ("chat.v1, chat.v2", "chat.v2"),
    "unknown-first": ("unknown, chat.v1", "chat.v1"),
    "unknown-last": ("chat.v1, unknown", "chat.v1"),
    "no-space": ("mqtt,chat.v1", "chat.v1"),
    "tabs": ("mqtt\t,\tchat.v1", "chat.v1"),
    "empty-elements": (", mqtt, ,", "mqtt"),
    "many": (", ".join(f"p{i}" for i in range(60)) + ", mqtt", "mqtt"),
    "prefix-of-ours": ("chat, chat.v1", "chat.v1"),
    "ours-as-prefix": ("chat.v22, mqtt", "mqtt"),
}


@row("RFC 6455 4.2.2", CHOICE + " (by the server's preference)", cases=CHOICES)
def subprotocol(t, offered, chosen):
    peer = t.open("/protocols", protocol=chosen, add=[("Sec-WebSocket-Protocol", offered)])
    survives(peer)


NONE = (
    "if the server does not agree ... it MUST NOT send back a Sec-WebSocket-Protocol header field"
)


@row(
    "RFC 6455 4.2.2",
    NONE,
    cases={
        "unknown": "unknown",
        "case": "CHAT.V2",
        "prefix": "chat",
        "longer": "chat.v2x",
        "parameter-like": "chat.v2.1",
    },
)
def subprotocol_none(t, offered):
    peer = t.open("/protocols", protocol=None, add=[("Sec-WebSocket-Protocol", offered)])
    survives(peer)


@row("RFC 6455 4.2.2", NONE + " (the client offered none)")
def subprotocol_not_offered(t):
    t.open("/protocols", protocol=None)


@row("RFC 6455 4.2.2", NONE + " (a route without subprotocols)")
def subprotocol_route_without(t):
    t.open("/echo", protocol=None, add=[("Sec-WebSocket-Protocol", "chat.v2")])


@row(
    "RFC 6455 11.3.4",
    "The Sec-WebSocket-Protocol header field MAY appear multiple times in an HTTP request",
    cases={
        "in-order": ("mqtt", "chat.v1", "chat.v1"),
        "reversed": ("chat.v1", "mqtt", "chat.v1"),
        "second-known": ("unknown", "mqtt", "mqtt"),
    },
)
def subprotocol_lines(t, first, second, chosen):
    t.open(
        "/protocols",
        protocol=chosen,
        add=[("Sec-WebSocket-Protocol", first), ("Sec-WebSocket-Protocol", second)],
    )


@row(
    "RFC 6455 11.3.4",
    "The Sec-WebSocket-Protocol header field MUST NOT appear more than once in an HTTP response",
)
def subprotocol_once_in_response(t):
    peer = t.peer()
    peer.send(upgrade("/protocols", add=[("Sec-WebSocket-Protocol", "chat.v1, mqtt")]))
    answer = peer.response()
    if answer.all("sec-websocket-protocol") != ["chat.v1"]:
        raise Wrong(f"{answer}")


@row(
    "RFC 6455 4.1",
    "The elements ... MUST all be unique strings",
    cases={"one-line": (("a, b, a",)), "two-lines": ("chat.v1", "chat.v1")},
)
def subprotocol_doubled(t, *lines):
    refused(t, upgrade("/protocols", add=[("Sec-WebSocket-Protocol", line) for line in lines]), 400)


BAD_NAMES = [
    "a b",
    "a/b",
    "a@b",
    "a;b",
    "a:b",
    "(a)",
    '"a"',
    "a=b",
    "a?b",
    "[a]",
    "{a}",
    "<a>",
    "a\\b",
    "caf\xe9",
]


@row(
    "RFC 6455 4.1",
    "The elements MUST be non-empty strings U+0021 to U+007E not including separator characters",
    cases=BAD_NAMES,
)
def subprotocol_not_a_token(t, value):
    refused(t, upgrade("/protocols", add=[("Sec-WebSocket-Protocol", "chat.v1, " + value)]), 400)


# -- extensions -----------------------------------------------------------------------------------------------------

UNASKED = "A server MUST NOT respond with any extension not requested by the client"
OFFERS = {
    "unknown": "x-unknown",
    "unknown-parameters": 'x-unknown; a=1; b; c="d"',
    "deflate": "permessage-deflate",
    "deflate-bits": "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
    "several": "foo, bar; baz=2",
    "rfc-9.1-a": "deflate-stream",
    "rfc-9.1-b": "mux; max-channels=4; flow-control, deflate-stream",
    "rfc-9.1-c": "private-extension",
    "no-spaces": "foo;a=1,bar",
    "spaces-around": "foo ; a = 1 , bar",
    "empty-elements": ", foo, ,bar,",
}


@row(
    "RFC 6455 9",
    UNASKED + "; what it does not know it leaves out (compression is off here)",
    cases=OFFERS,
)
def extension_left_out(t, value):
    peer = t.open(
        add=[("Sec-WebSocket-Extensions", value)]
    )  # Peer.opened refuses any extension in the 101
    survives(peer)


@row("RFC 6455 9.1", "this header field MAY be split or combined across multiple lines")
def extension_lines(t):
    peer = t.open(
        add=[("Sec-WebSocket-Extensions", "foo"), ("Sec-WebSocket-Extensions", "bar; baz=2")]
    )
    survives(peer)


MALFORMED = [
    "foo bar",
    "foo; =bar",
    "foo;;a",
    "foo; a=",
    "foo; a=b c",
    'foo; a="b',
    'foo; a="b c"',
    "=foo",
    "foo/bar",
    "foo@",
    ";",
    "foo; a=b=c",
    "foo; a==b",
    "(foo)",
    '"foo"',
]


@row(
    "RFC 6455 9.1",
    "If a value does not conform to the ABNF, the recipient MUST immediately Fail the Connection",
    cases=MALFORMED,
)
def extension_malformed(t, value):
    refused(t, upgrade(add=[("Sec-WebSocket-Extensions", value)]), 400)


# -- Origin: https://app.example.com, http://localhost:3000, http://[::1]:8000 ---------------------------------------

SHOULD_403 = "If the origin indicated is unacceptable to the server, then it SHOULD respond with 403 Forbidden."
ALLOWED = ["https://app.example.com", "http://localhost:3000", "http://[::1]:8000"]


@row(
    "RFC 6455 10.2",
    "Servers ... SHOULD verify the Origin field is an origin they expect (it is)",
    cases=ALLOWED,
)
def origin_allowed(t, origin):
    survives(t.open("/origins", add=[("Origin", origin)]))


@row(
    "RFC 6455 4.2.2",
    "/origin/ ... is serialized to ASCII and converted to lowercase",
    cases=["HTTPS://APP.EXAMPLE.COM", "https://App.Example.Com"],
)
def origin_case(t, origin):
    survives(t.open("/origins", add=[("Origin", origin)]))


FOREIGN = [
    "https://evil.test",
    "http://app.example.com",
    "https://app.example.com.evil.test",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "https://example.com",
    "https://sub.app.example.com",
    "http://localhost",
    "http://localhost:30000",
    "http://localhost:300",
    "https://localhost:3000",
    "null",
    "https://app.example.co",
    "https://app.example.comm",
    "wss://app.example.com",
    "https://app.example.com@evil.test",
    "file://",
    "https://app-example.com",
    "http://[::1]",
    "http://[::2]:8000",
    "https://xn--app.example.com",
]


@row("RFC 6455 10.2", SHOULD_403, cases=FOREIGN)
def origin_foreign(t, origin):
    refused(t, upgrade("/origins", add=[("Origin", origin)]), 403)


@row(
    "RFC 6455 10.2",
    SHOULD_403 + " (what is not an origin is not one of ours)",
    cases=[
        "https://app.example.com/",
        "https://app.example.com/path",
        "app.example.com",
        "https://",
        "//app.example.com",
        "*",
        "https://app.example.com https://app.example.com",
        "https://app.example.com, https://evil.test",
        "",
    ],
)
def origin_malformed(t, origin):
    refused(t, upgrade("/origins", add=[("Origin", origin)]), (403, 400))


@row(
    "RFC 6455 10.2",
    SHOULD_403 + " (two Origin fields, one of them ours)",
    cases={
        "ours-first": ("https://app.example.com", "https://evil.test"),
        "ours-last": ("https://evil.test", "https://app.example.com"),
        "same": ("https://app.example.com", "https://app.example.com"),
    },
)
def origin_doubled(t, first, second):
    refused(t, upgrade("/origins", add=[("Origin", first), ("Origin", second)]), (403, 400))


@row(
    "RFC 6455 4.2.1",
    "7. Optionally, an Origin header field: a client that is no browser sends none, and passes",
)
def origin_absent(t):
    survives(t.open("/origins"))


@row("RFC 6455 10.2", "null is allowed only where it is listed")
def origin_null_listed(t):
    survives(t.open("/null", add=[("Origin", "null")]))
    refused(t, upgrade("/null", add=[("Origin", "https://app.example.com")]), 403)


@row("RFC 6455 10.1", "origins_required: a request without Origin is refused")
def origin_required(t):
    refused(t, upgrade("/required"), 403)
    survives(t.open("/required", add=[("Origin", "https://app.example.com")]))


@row(
    "RFC 6455 10.2",
    "a route without `origins` accepts connections from anywhere",
    cases=["https://evil.test", "null"],
)
def origin_unrestricted(t, origin):
    survives(t.open("/echo", add=[("Origin", origin)]))


@row("RFC 6455 10.2", "the same rule holds for POST: a foreign Origin publishes nothing")
def origin_of_a_post(t):
    listener = t.open(f"/guarded/{t.room}")
    refused(
        t,
        request(
            f"/guarded/{t.room}",
            "POST",
            fields=[("Origin", "https://evil.test"), ("Content-Length", "4")],
            body="evil",
        ),
        403,
    )
    answer = refused(
        t,
        request(
            f"/guarded/{t.room}",
            "POST",
            fields=[("Origin", "https://app.example.com"), ("Content-Length", "4")],
            body="good",
        ),
        (200, 202, 204),
    )
    if answer.get("access-control-allow-origin") != "https://app.example.com":
        raise Wrong(f"Access-Control-Allow-Origin: {answer.all('access-control-allow-origin')}")
    listener.expect_text("good")


@row(
    "Fetch 3.2",
    "an allowed Origin, and only it, gets Access-Control-Allow-Origin",
    cases=["https://evil.test", "null"],
)
def origin_without_cors(t, origin):
    answer = refused(
        t,
        request(
            "/guarded/b", "POST", fields=[("Origin", origin), ("Content-Length", "1")], body="x"
        ),
        403,
    )
    if answer.all("access-control-allow-origin"):
        raise Wrong(f"{answer}")


@row("Fetch 4.8", "OPTIONS preflight is answered for a channels route: the Origin, the method")
def preflight(t):
    fields = [
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ]
    answer = refused(t, request("/guarded/c", "OPTIONS", fields=fields), (200, 204))
    if answer.get(
        "access-control-allow-origin"
    ) != "https://app.example.com" or "post" not in answer.tokens("access-control-allow-methods"):
        raise Wrong(f"{answer}")


@row(
    "Fetch 4.8",
    "OPTIONS preflight of a foreign Origin is refused, without Access-Control-Allow-Origin",
)
def preflight_foreign(t):
    fields = [("Origin", "https://evil.test"), ("Access-Control-Request-Method", "POST")]
    answer = refused(t, request("/guarded/c", "OPTIONS", fields=fields), (403, 200, 204))
    if answer.all("access-control-allow-origin"):
        raise Wrong(f"{answer}")
