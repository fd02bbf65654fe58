"""RFC 9112 section 3.2 and RFC 9110 section 7: Host, and which route answers for it."""

from conform.verbs import handshake, opened, refused
from harness.rows import row
from harness.wire import request

# -- Host -----------------------------------------------------------------------------------------------------------

HOST_400 = "A server MUST respond with a 400 to any HTTP/1.1 request message that lacks a Host header field"


@row("RFC 9112 3.2", HOST_400)
def host_missing(t):
    refused(t, handshake(host=None), 400)


@row("RFC 9112 3.2", HOST_400 + " (an ordinary request)")
def host_missing_plain(t):
    refused(t, request("/", host=None), 400)


@row(
    "RFC 9112 3.2",
    "... and to any request message that contains more than one Host header field line",
    cases={"same": "localhost", "other": "evil.test", "empty": ""},
)
def host_doubled(t, second):
    refused(t, handshake(fields=[("Host", second)]), 400)


@row("RFC 9112 3.2", "... more than one Host header field line (names differ in case)")
def host_doubled_case(t):
    refused(t, handshake(fields=[("HOST", "localhost")]), 400)


BAD_HOSTS = [
    "two words",
    "user@host",
    "host/path",
    "host?query",
    "host#part",
    "host:port",
    "host:80:80",
    "host:99999999",
    "host:65536",
    "host:-1",
    "host:+80",
    "host:8 0",
    "a,b",
    "localhost, localhost",
    "[::1",
    "::1",
    "[::1]x",
    "[::1]:x",
    "[gggg::1]",
    "[]",
    "http://localhost",
    "a\\b",
    'a"b',
    "<a>",
    "a|b",
    "a^b",
    "a`b",
    "{a}",
    "a%",
    "a%2",
    "a%zz",
    "caf\xe9.test",
    "host:",
    ":80",
]


@row(
    "RFC 9112 3.2",
    "... or a Host header field with an invalid field value",
    cases=[h for h in BAD_HOSTS if h != "host:"],
)
def host_malformed(t, host):
    refused(t, handshake(host=host), 400)


@row(
    "RFC 9110 4.2.1",
    "a sender MUST NOT generate an http URI with an empty host identifier; a recipient MUST reject it as invalid",
)
def host_empty(t):
    refused(t, handshake(host=""), 400)


GOOD_HOSTS = [
    "localhost",
    "localhost:8080",
    "LOCALHOST",
    "example.com",
    "example.com.",
    "sub.example.com:443",
    "127.0.0.1",
    "127.0.0.1:65535",
    "[::1]",
    "[::1]:8080",
    "[2001:db8::ff00:42:8329]",
    "xn--bcher-kva.example",
    "under_score.test",
    "a-b.test",
    "1.2.3.4.5",
    "host:0",
    "host:",
    "h%41st",
    "a!$&'()*+;=b",
]


@row(
    "RFC 9110 7.2",
    'Host = uri-host [ ":" port ] (every form that RFC 3986 allows)',
    cases=GOOD_HOSTS,
)
def host_good(t, host):
    opened(t, handshake(host=host))


@row(
    "RFC 9110 5.5",
    "whitespace around the Host's value is not part of it",
    cases={"spaces": "  localhost  ", "tab": "\tlocalhost\t"},
)
def host_trimmed(t, host):
    opened(t, handshake(host=host))


@row(
    "RFC 9110 7.2",
    "the host decides who answers: routes of a.test and b.test",
    cases={
        "a": ("a.test", "a"),
        "b": ("b.test", "b"),
        "case": ("B.Test", "b"),
        "port": ("a.test:8080", "a"),
    },
)
def host_matched(t, host, protocol):
    opened(
        t,
        handshake(path="/hosts", host=host, fields=[("Sec-WebSocket-Protocol", "a, b")]),
        protocol=protocol,
    )


@row(
    "RFC 9110 7.4",
    "a host that no route serves: 404",
    cases=["c.test", "a.test.evil", "xa.test", "test", "a.test."],
)
def host_not_matched(t, host):
    refused(t, handshake(path="/only", host=host), 404)


@row(
    "RFC 9112 3.2.2",
    "an origin server MUST ignore the received Host header field and use the host of the request-target",
    cases={
        "a": ("http://a.test/hosts", "b.test", "a"),
        "b": ("http://b.test:80/hosts", "a.test", "b"),
    },
)
def absolute_wins_over_host(t, target, host, protocol):
    opened(
        t,
        handshake(path=target, host=host, fields=[("Sec-WebSocket-Protocol", "a, b")]),
        protocol=protocol,
    )


@row("RFC 9112 3.2", "a Host is due with an absolute-form target, too")
def absolute_without_host(t):
    refused(t, handshake(path="http://localhost/echo", host=None), 400)
