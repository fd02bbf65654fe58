"""RFC 6455 sections 4.2.1, 4.3 and 11.3: Sec-WebSocket-Key and -Version, other fields, and bytes behind the head."""

import base64
import os

from conform.verbs import answered, opened, refused, survives
from harness.rows import row
from harness.wire import Wrong, accept_of, close, new_key, ping, request, text, upgrade

MUST_STOP = "the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code"


# -- Sec-WebSocket-Key ----------------------------------------------------------------------------------------------

KEY = "5. A Sec-WebSocket-Key header field with a base64-encoded value that, when decoded, is 16 bytes in length"
BAD_KEYS = {
    "empty": "",
    "short-15": base64.b64encode(b"x" * 15).decode(),
    "long-17": base64.b64encode(b"x" * 17).decode(),
    "long-18": base64.b64encode(b"x" * 18).decode(),
    "24-bytes": "A" * 32,
    "one-byte": "AA==",
    "not-base64": "!" * 22 + "==",
    "no-padding": "A" * 22,
    "one-pad": "A" * 22 + "=",
    "three-pads": "A" * 21 + "===",
    "pad-inside": "A" * 10 + "==" + "A" * 12,
    "url-alphabet": "-_" * 11 + "==",
    "space-inside": "A" * 11 + " " + "A" * 10 + "==",
    "24-chars-no-pad": "A" * 24,
    "tab-inside": "A" * 11 + "\t" + "A" * 10 + "==",
    "trailing-text": "A" * 22 + "==x",
    "quoted": '"' + "A" * 22 + '=="',
    "list": "A" * 22 + "==, " + "B" * 22 + "==",
    "high-bytes": "\xe9" * 22 + "==",
    "16-raw": "x" * 16,
    "very-long": "A" * 1000,
}


@row("RFC 6455 4.2.1", KEY, cases=BAD_KEYS)
def key_bad(t, key):
    refused(t, upgrade(swap={"Sec-WebSocket-Key": key}), 400)


@row("RFC 6455 4.2.1", KEY + " (missing)")
def key_missing(t):
    refused(t, upgrade(drop=["Sec-WebSocket-Key"]), 400)


@row(
    "RFC 6455 11.3.1",
    "The Sec-WebSocket-Key header field MUST NOT appear more than once in an HTTP request",
    cases={"same": True, "other": False},
)
def key_doubled(t, same):
    key = new_key()
    refused(
        t,
        upgrade(
            swap={"Sec-WebSocket-Key": key}, add=[("Sec-WebSocket-Key", key if same else new_key())]
        ),
        400,
    )


@row(
    "RFC 9110 5.5",
    "leading and trailing whitespace is not part of a field value (the key's hash is made without)",
    cases={"spaces": "  {}  ", "tabs": "\t{}\t", "none": "{}"},
)
def key_trimmed(t, form):
    key = new_key().decode()
    data = upgrade(drop=["Sec-WebSocket-Key"], raw=["Sec-WebSocket-Key:" + form.format(key)])
    opened(t, data, key=key)


# -- Sec-WebSocket-Version ------------------------------------------------------------------------------------------

VERSION = "If this version does not match ... MUST abort ... and send an appropriate error code and a Sec-WebSocket-Version field"


@row(
    "RFC 6455 4.2.2",
    VERSION,
    cases=["0", "1", "4", "7", "8", "9", "10", "11", "12", "14", "25", "99", "255"],
)
def version_other(t, version):
    refused(t, upgrade(swap={"Sec-WebSocket-Version": version}), 426)


@row(
    "RFC 6455 4.3",
    "version = DIGIT | (NZDIGIT DIGIT) ..., limited to 0-255, no leading zeros",
    cases=[
        "013",
        "13.0",
        "+13",
        "-13",
        "0x0d",
        "thirteen",
        "",
        "256",
        "1300",
        "13, 8",
        "8, 13",
        "13;",
        "1 3",
        '"13"',
        "13,",
    ],
)
def version_syntax_6455(t, version):
    answer = refused(t, upgrade(swap={"Sec-WebSocket-Version": version}), (426, 400))
    if answer.status == 400 and answer.all("sec-websocket-version") not in ([], ["13"]):
        raise Wrong(f"{answer}")


@row("RFC 6455 4.2.1", "6. A Sec-WebSocket-Version header field, with a value of 13 (missing)")
def version_missing_6455(t):
    refused(t, upgrade(drop=["Sec-WebSocket-Version"]), (426, 400))


@row(
    "RFC 6455 11.3.5",
    "The Sec-WebSocket-Version header field MUST NOT appear more than once in an HTTP request",
    cases=["13", "8"],
)
def version_doubled(t, second):
    refused(t, upgrade(add=[("Sec-WebSocket-Version", second)]), (426, 400))


# -- the rest of the head -------------------------------------------------------------------------------------------


@row("RFC 6455 4.2.1", "the order of the header fields is not important")
def field_order(t):
    key = new_key().decode()
    lines = [
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Host", "localhost"),
    ]
    opened(t, request("/echo", host=None, fields=lines), key=key)


@row(
    "RFC 6455 4.1",
    "all header field names in both HTTP requests and HTTP responses are case-insensitive",
    cases={"lower": str.lower, "upper": str.upper, "swapped": str.swapcase},
)
def field_name_case(t, change):
    key = new_key().decode()
    lines = [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    opened(t, request("/echo", host=None, fields=[(change(n), v) for n, v in lines]), key=key)


OTHERS = {
    "cookie": ("Cookie", "a=b; c=d"),
    "authorization": ("Authorization", "Bearer x.y.z"),
    "unknown": ("X-Unknown", "ignored"),
    "user-agent": ("User-Agent", "Mozilla/5.0 (X11; Linux)"),
    "accept": ("Accept", "*/*"),
    "empty": ("X-Empty", ""),
    "obs-text": ("X-Latin", "caf\xe9"),
    "punctuation": ("X-Punctuation", '(),/:;<=>?@[\\]{}"'),
    "odd-name": ("X!#$%&'*+-.^_`|~9", "1"),
    "server-only": ("Sec-WebSocket-Accept", "ignored"),
    "cache": ("Cache-Control", "no-cache"),
    "long": ("X-Long", "v" * 4000),
}


@row(
    "RFC 6455 4.2.1",
    "10. Optionally, other header fields ... Unknown header fields are ignored",
    cases=OTHERS,
)
def other_fields(t, name, value):
    opened(t, upgrade(add=[(name, value)]))


@row("RFC 6455 4.2.1", "a browser's handshake, as Chromium sends it")
def like_a_browser(t):
    head = upgrade(
        swap={"Connection": "Upgrade"},
        add=[
            ("Pragma", "no-cache"),
            ("Cache-Control", "no-cache"),
            ("User-Agent", "Mozilla/5.0"),
            ("Origin", "http://localhost:8080"),
            ("Accept-Encoding", "gzip, deflate, br"),
            ("Accept-Language", "en-US,en;q=0.9"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ],
    )
    opened(t, head)


@row("RFC 6455 4.2.1", "like Firefox: Connection: keep-alive, Upgrade")
def like_firefox(t):
    opened(
        t,
        upgrade(
            swap={"Connection": "keep-alive, Upgrade"},
            add=[("Sec-Fetch-Mode", "websocket"), ("Sec-Fetch-Site", "same-origin")],
        ),
    )


# -- bytes behind the head ------------------------------------------------------------------------------------------

BEHIND = (
    "bytes that arrive behind the GET in the same segment are neither lost nor read before the 101"
)


@row("RFC 6455 4.2.2", BEHIND, cases={"text": text("early"), "two": text("early") + text("late")})
def frames_behind_the_get(t, frames):
    peer = t.peer()
    peer.send(upgrade(body=frames))
    peer.opened()
    peer.expect_text("early")


@row("RFC 6455 4.2.2", BEHIND + " (half a frame)")
def half_a_frame_behind_the_get(t):
    peer = t.peer()
    data = text("early bird")
    peer.send(upgrade(body=data[:7]))
    peer.opened()
    peer.send(data[7:])
    peer.expect_text("early bird")


@row("RFC 6455 4.2.2", BEHIND + " (a ping and a Close)")
def close_behind_the_get(t):
    peer = t.peer()
    peer.send(upgrade(body=ping(b"p") + close(1000)))
    peer.opened()
    peer.expect_pong(b"p")
    peer.expect_close(1000)
    peer.expect_end()


@row("RFC 6455 4.2.2", BEHIND + " (a violation: the 101, then 1002)")
def violation_behind_the_get(t):
    peer = t.peer()
    peer.send(upgrade(body=text("unmasked", masked=False)))
    peer.opened()
    peer.expect_close(1002)
    peer.send(close(1002))
    peer.expect_end()


@row("RFC 6455 4.2.2", BEHIND + " (a large message)")
def large_message_behind_the_get(t):
    peer = t.peer()
    payload = os.urandom(30000).hex()
    peer.send(upgrade(body=text(payload)))
    peer.opened()
    peer.expect_text(payload)


@row(
    "RFC 6455 4.2.2",
    "a refused handshake: bytes behind it are not frames",
    cases={"404": ("/nothing", 404), "400": ("/echo#x", 400)},
)
def frames_behind_a_refusal(t, path, status):
    peer = t.peer()
    peer.send(upgrade(path, body=text("not a frame") + b"\r\n\r\n"))
    answered(peer, status, after=False)
    left = peer.rest()  # whatever the server makes of the bytes, it is HTTP
    if left and not left.startswith(b"HTTP/1.1 4"):
        raise Wrong(f"after the refusal came {left[:60]!r}")


@row("RFC 9112 2.2", "a head is a sequence of octets, however it arrives (one byte at a time)")
def head_by_byte(t):
    peer = t.peer()
    data = upgrade(body=text("tail"))
    peer.send_apart([data[i : i + 1] for i in range(len(data))], pause=0.0003)
    peer.opened()
    peer.expect_text("tail")


@row("RFC 9112 2.2", "a head cut at every eighth byte")
def head_in_two_pieces(t):
    data = upgrade()
    for cut in range(1, len(data), 8):
        peer = t.peer()
        peer.send_apart([data[:cut], data[cut:]], pause=0.003)
        peer.opened()
        peer.close()


@row("RFC 6455 4.2.2", "upgrade of a connection that has carried ordinary requests")
def upgrade_after_requests(t):
    peer = t.peer()
    for _ in range(3):
        peer.send(request("/nowhere"))
        answered(peer, 404, after=False)
    key = new_key()
    peer.send(upgrade(swap={"Sec-WebSocket-Key": key}))
    if peer.opened(key=key).get("sec-websocket-accept") != accept_of(key).decode():
        raise Wrong("accept")
    survives(peer)
