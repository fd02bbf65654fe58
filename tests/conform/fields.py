"""RFC 9112 sections 2.2 and 5, RFC 9110 section 5: field lines, line ends, and what is not HTTP."""

from conform.verbs import answered, handshake, opened, refused
from harness.rows import row
from harness.wire import Wrong, request, upgrade

# -- fields ---------------------------------------------------------------------------------------------------------

NO_SPACE = "No whitespace is allowed between the field name and colon ... MUST reject with 400"


@row(
    "RFC 9112 5.1",
    NO_SPACE,
    cases={
        "space": "X-Field : v",
        "tab": "X-Field\t: v",
        "host": "Host : localhost",
        "two": "X-Field  : v",
    },
)
def space_before_colon(t, line):
    refused(t, upgrade(raw=[line]), 400)


@row(
    "RFC 9112 5.2",
    "A server that receives an obs-fold MUST either reject the message with 400 or replace it (it is refused)",
    cases={
        "space": "X-Field: a\r\n b",
        "tab": "X-Field: a\r\n\tb",
        "empty": "X-Field: a\r\n ",
        "hides-a-field": "X-Field: a\r\n Upgrade: h2c",
    },
)
def obs_fold(t, line):
    refused(t, upgrade(raw=[line]), 400)


@row(
    "RFC 9112 2.2",
    "whitespace between the start-line and the first header field: MUST either reject the message as invalid or ...",
    cases={"space": " Host: localhost", "tab": "\tHost: localhost"},
)
def space_before_first_field(t, line):
    data = handshake(host=None).replace(
        b"HTTP/1.1\r\n", b"HTTP/1.1\r\n" + line.encode() + b"\r\n", 1
    )
    refused(t, data, 400)


@row(
    "RFC 9112 5",
    'field-line = field-name ":" OWS field-value OWS',
    cases={
        "no-colon": "X-Field",
        "no-name": ": value",
        "only-colon": ":",
        "word": "garbage here",
        "space-in-name": "X Field: v",
    },
)
def field_line_malformed(t, line):
    refused(t, upgrade(raw=[line]), 400)


@row(
    "RFC 9110 5.1",
    "field-name = token",
    cases={f"{c!r}": c for c in '()<>@,;\\"/[]?={}'}
    | {"nul": "\0", "high": "\xe9", "delete": "\x7f", "escape": "\x1b"},
)
def field_name_not_a_token(t, char):
    refused(t, upgrade(raw=[f"X{char}Field: v"]), 400)


@row(
    "RFC 9110 5.5",
    "Field values containing CR, LF, or NUL characters are invalid and dangerous: reject or replace (refused)",
    cases={"nul": "a\0b", "cr": "a\rb", "cr-end": "a\r"},
)
def field_value_dangerous(t, value):
    refused(t, upgrade(raw=["X-Field: " + value]), 400)


@row(
    "RFC 9110 5.5",
    "field-vchar: other control characters are invalid",
    cases={f"{c:#04x}": chr(c) for c in (1, 7, 8, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F)},
)
def field_value_control(t, char):
    refused(t, upgrade(raw=[f"X-Field: a{char}b"]), 400)


@row(
    "RFC 9112 2.2",
    "a bare LF as a line's end is a second way to read a message: refused",
    cases={"after-field": "X-Field: a\nX-Other: b", "smuggled": "X-Field: a\nUpgrade: h2c"},
)
def bare_lf_in_fields(t, line):
    refused(t, upgrade(raw=[line]), 400)


@row("RFC 9112 2.2", "a bare LF as the request line's end: refused")
def bare_lf_after_request_line(t):
    refused(t, handshake().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n", 1), 400)


@row("RFC 9112 2.2", "a head whose lines all end in a bare LF: refused")
def bare_lf_everywhere(t):
    refused(t, handshake().replace(b"\r\n", b"\n"), 400)


@row(
    "RFC 9112 2.2",
    "A recipient of a bare CR MUST consider that element invalid",
    cases={"line-end": b"HTTP/1.1\r", "before": b"HTTP/1.1\r\r\n"},
)
def bare_cr(t, end):
    refused(t, handshake().replace(b"HTTP/1.1\r\n", end, 1), 400)


OWS = {
    "none": "X-Field:v",
    "spaces": "X-Field:   v",
    "tab": "X-Field:\tv",
    "behind": "X-Field: v \t ",
    "only-space": "X-Field: \t ",
    "empty": "X-Field:",
    "tab-inside": "X-Field: a\tb",
}


@row(
    "RFC 9110 5.5",
    "field-value is preceded and followed by optional whitespace; field-content may hold tabs inside",
    cases=OWS,
)
def field_whitespace(t, line):
    opened(t, upgrade(raw=[line]))


@row(
    "RFC 9110 5.6.1.2",
    "A recipient MUST parse and ignore a reasonable number of empty list elements",
)
def empty_list_elements(t):
    opened(t, upgrade(swap={"Connection": ",,, ,Upgrade,, ,", "Upgrade": ",,websocket,,"}))


@row(
    "RFC 9112 2.2",
    "bytes that are no HTTP at all: 400 (or nothing), and the end",
    cases={
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        "zeros": bytes(64),
        "binary": bytes(range(128, 192)) + b"\r\n\r\n",
        "frames": b"\x81\x85abcdhello\r\n\r\n",
    },
)
def not_http(t, data):
    refused(t, data, 400)


@row("RFC 9113 3.4", "an HTTP/2 preface on an HTTP/1.1 port is refused, its frames are not read")
def http2_preface(t):
    refused(t, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), (505, 400))


@row(
    "RFC 9112 9.6",
    "a head that is cut by the peer's FIN is no request",
    cases={"half-line": b"GET /ec", "half-head": b"GET /echo HTTP/1.1\r\nHost: loc"},
)
def cut_head(t, data):
    peer = t.peer()
    peer.send(data)
    peer.shut()
    left = peer.rest()
    if left and not left.startswith(b"HTTP/1.1 4"):
        raise Wrong(f"{left[:60]!r}")


@row("RFC 9112 9.3", "a peer that connects and leaves without a word is let go")
def connect_and_leave(t):
    peer = t.peer()
    peer.shut()
    if peer.rest():
        raise Wrong("something was said to a peer that said nothing")


@row(
    "RFC 9110 7.8",
    "a request that does not ask for an upgrade gets 426 on a route that speaks only WebSocket",
    cases=["/echo", "/chat/room", "/protocols", "/deep/x"],
)
def upgrade_required(t, path):
    refused(t, request(path), 426)


@row("RFC 9110 15.5.22", "426: The server MUST send an Upgrade header field in a 426 response")
def upgrade_required_fields(t):
    answer = refused(t, request("/echo"), 426)
    if answer.all("upgrade") != ["websocket"]:
        raise Wrong(f"{answer}")


@row("RFC 9112 3.2.4", "asterisk-form is for OPTIONS as a whole", cases=["OPTIONS"])
def asterisk(t, method):
    refused(t, request("*", method), (200, 204, 404, 405))


@row("RFC 9112 9.3.2", "pipelined requests are answered in order")
def pipelined(t):
    peer = t.peer()
    peer.send(request("/nowhere"), request("/echo"), request("/"), request("/nowhere"))
    for status in (404, 426, 200, 404):
        answered(peer, status, after=False)


@row("RFC 9112 9.3", "a pipelined upgrade behind an ordinary request, and a frame behind it")
def pipelined_upgrade(t):
    from harness.wire import text

    peer = t.peer()
    peer.send(request("/nowhere"), upgrade(body=text("hi")))
    answered(peer, 404, after=False)
    peer.opened()
    peer.expect_text("hi")
