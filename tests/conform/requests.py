"""RFC 9112 sections 2.3 and 3: the request line, its target, and the paths of DESIGN.md section 1."""

import time

from conform.verbs import answered, handshake, opened, refused
from harness.rows import row
from harness.wire import Wrong, request, upgrade

# -- request line ---------------------------------------------------------------------------------------------------

LINE = "request-line = method SP request-target SP HTTP-version; 400 to an invalid one, no attempt to autocorrect"
BAD_LINES = {
    "two-spaces": "GET  /echo HTTP/1.1",
    "two-spaces-behind": "GET /echo  HTTP/1.1",
    "leading-space": " GET /echo HTTP/1.1",
    "trailing-space": "GET /echo HTTP/1.1 ",
    "tab": "GET\t/echo\tHTTP/1.1",
    "space-in-target": "GET /ec ho HTTP/1.1",
    "no-target": "GET HTTP/1.1",
    "only-method": "GET",
    "no-method": "/echo HTTP/1.1",
    "vertical-tab": "GET\x0b/echo\x0bHTTP/1.1",
    "form-feed": "GET /echo\x0cHTTP/1.1",
    "bare-cr": "GET /echo\rHTTP/1.1",
    "nul": "GET /ec\0ho HTTP/1.1",
    "method-colon": "GE:T /echo HTTP/1.1",
    "method-paren": "GET( /echo HTTP/1.1",
    "method-high": "G\xcbT /echo HTTP/1.1",
    "fragment": "GET /echo#part HTTP/1.1",
    "no-slash": "GET echo HTTP/1.1",
    "asterisk-get": "GET * HTTP/1.1",
    "authority-get": "GET localhost:80 HTTP/1.1",
    "other-scheme": "GET ftp://localhost/echo HTTP/1.1",
    "high-byte": "GET /caf\xe9 HTTP/1.1",
    "delete-byte": "GET /e\x7f HTTP/1.1",
    "control-byte": "GET /e\x01 HTTP/1.1",
    "quote": 'GET /"echo" HTTP/1.1',
    "less": "GET /<echo> HTTP/1.1",
    "backslash": "GET /\\echo HTTP/1.1",
    "caret": "GET /^ HTTP/1.1",
    "backtick": "GET /` HTTP/1.1",
    "brace": "GET /{echo} HTTP/1.1",
    "pipe": "GET /a|b HTTP/1.1",
    "query-space": "GET /echo?a b HTTP/1.1",
    "query-control": "GET /echo?\x02 HTTP/1.1",
    "no-host-in-absolute": "GET http:///echo HTTP/1.1",
    "userinfo": "GET http://user@localhost/echo HTTP/1.1",
    "empty-line": "",
    "absolute-bad-port": "GET http://localhost:x/echo HTTP/1.1",
}


@row("RFC 9112 3", LINE, cases={n: v for n, v in BAD_LINES.items() if n != "empty-line"})
def line_malformed(t, line):
    refused(t, handshake(line=line), 400)


@row(
    "RFC 9112 2.2",
    "a server SHOULD ignore at least one empty line (CRLF) received prior to the request-line",
)
def empty_line_first(t):
    opened(t, b"\r\n" + handshake())


ESCAPES = ["/ec%", "/ec%4", "/ec%zz", "/ec%4g", "/%", "/echo?%", "/echo?%4x"]


@row("RFC 3986 2.1", 'pct-encoded = "%" HEXDIG HEXDIG', cases=[e for e in ESCAPES if "?" not in e])
def escape_malformed(t, path):
    refused(t, upgrade(path), 400)


PATHS = {
    "dot": "/./echo",
    "dot-end": "/echo/.",
    "dotdot": "/x/../echo",
    "dotdot-end": "/echo/..",
    "dotdot-first": "/../echo",
    "only-dot": "/.",
    "only-dotdot": "/..",
    "encoded-dot": "/%2e/echo",
    "encoded-dotdot": "/x/%2e%2e/echo",
    "half-encoded": "/x/.%2E/echo",
    "double-slash": "//echo",
    "double-slash-inside": "/x//echo",
    "double-slash-end": "/echo//",
    "encoded-slash": "/a%2Fecho",
    "encoded-slash-lower": "/a%2fecho",
    "deep-dot": "/deep/a/./b",
    "deep-slash": "/deep//b",
    "deep-encoded": "/deep/a%2Fb",
    "in-placeholder": "/chat/..",
    "in-placeholder-slash": "/chat/a%2Fb",
}


@row(
    "DESIGN 1; RFC 3986 6.2.2.3",
    "`.` and `..` segments, `//` and `%2F` are refused with 400, not repaired",
    cases=PATHS,
)
def path_refused(t, path):
    refused(t, upgrade(path), 400)


EQUAL = {
    "unreserved": "/%65cho",
    "all": "/%65%63%68%6F",
    "lower-hex": "/ech%6f",
    "marks": "/unreserved%2D%2E%5F%7E",
    "query": "/echo?a=1&b=../%2F//x",
    "question": "/echo?",
    "query-question": "/echo?a?b",
    "dots-are-names": "/deep/...",
    "dot-name": "/deep/.hidden",
    "semicolon": "/deep/a;b=c",
    "escaped": "/deep/%20%3F%23",
}


@row(
    "RFC 3986 6.2.2.2",
    "paths are compared after decoding unreserved bytes; the query takes no part",
    cases=EQUAL,
)
def path_equal(t, path):
    opened(t, upgrade(path))


ROUTES = {
    "two": ("/two/x/y", "two"),
    "first-match-wins": ("/two/x/fixed", "fixed"),
    "order-literal": ("/order/first", "first"),
    "order-placeholder": ("/order/second", "any"),
}


@row("DESIGN 1", "first match wins; a placeholder is exactly one non-empty segment", cases=ROUTES)
def path_routed(t, path, protocol):
    opened(
        t,
        upgrade(path, add=[("Sec-WebSocket-Protocol", "two, fixed, first, any")]),
        protocol=protocol,
    )


@row(
    "DESIGN 1",
    "a placeholder is exactly one non-empty segment; a final slash is a segment",
    cases=[
        "/two/x",
        "/two/x/",
        "/two/x/y/z",
        "/two/x/y/",
        "/slash",
        "/echo/",
        "/order",
        "/order/",
        "/deep",
        "/deepx/a",
    ],
)
def path_not_routed(t, path):
    refused(t, upgrade(path), 404)


@row(
    "DESIGN 1",
    "a final /* matches everything below, also /",
    cases=["/deep/", "/deep/a", "/deep/a/b/c/d", "/slash/"],
)
def path_below(t, path):
    opened(t, upgrade(path))


@row(
    "RFC 9112 9.6",
    "a refused head's body is read and thrown away: the client gets the whole answer, and no reset instead",
    cases={
        "no-host": ({"host": None}, 400),
        "two-hosts": ({"fields": [("Host", "other")]}, 400),
        "bad-field": ({"fields": [("Bad Name", "x")]}, 400),
        "two-lengths": ({"fields": [("Content-Length", "9")]}, 400),
        "bad-target": ({"path": "/a b"}, 400),
        "not-there": ({"path": "/nowhere"}, 404),
    },
)
def refused_before_a_large_body(t, wrong, status):
    size = 200 << 10
    fields = [("Content-Length", str(size)), *wrong.get("fields", [])]
    how = {**{"path": "/post/large"}, **wrong, "fields": fields}
    peer = t.peer()
    peer.send(request(method="POST", **how))
    time.sleep(0.2)  # the refusal is on its way; the body is not
    try:
        for _ in range(size // 4096):
            peer.sock.sendall(b"b" * 4096)
            time.sleep(0.001)
    except OSError as error:
        raise Wrong(f"while the client still sent its body: {error}") from None
    answered(peer, status, after=False)
    peer.shut()
    peer.expect_end()
