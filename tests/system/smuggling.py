"""What clients send so that two readers would read it in two ways: nothing of it may reach a service.

Every case comes whole, in three segments, and behind a request that is fine; behind it stands a second request, which
must not exist for anybody. A service notes every byte that it gets; the cases that are fine show that it would notice."""

import time

from harness.rows import row
from harness.service import Recorder
from harness.wire import Wrong

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
limits: {header: 8KiB}
upstreams:
  web: {servers: ["SERVER"]}
routes:
  - {path: "/*", proxy: {upstream: web}, upgrade: false}
"""
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


def post(*lines, body=b"", method=b"POST", target=b"/NAME"):
    """A head with these field lines, and what stands behind it."""
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: a", *lines]) + b"\r\n\r\n" + body


def get(*lines, target=b"/NAME"):
    return post(*lines, method=b"GET", target=target)


def line(text):
    """Another request line."""
    return text + b"\r\nHost: a\r\n\r\n"


def chunks(text):
    return post(CHUNKED, body=text)


# A case is the bytes, and the status that refuses them; 200 where they are fine.
LENGTHS = {
    "fine": (post(b"Content-Length: 5", body=b"hello"), 200),
    "fine-zero": (post(b"Content-Length: 0"), 200),
    "fine-leading-zeros": (post(b"Content-Length: 005", body=b"hello"), 200),
    "with-chunked": (post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"), 400),
    "behind-chunked": (post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"), 400),
    "zero-with-chunked": (post(b"Content-Length: 0", CHUNKED, body=b"0\r\n\r\n"), 400),
    "twice-different": (post(b"Content-Length: 5", b"Content-Length: 0", body=b"hello"), 400),
    "twice-equal": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    "list": (post(b"Content-Length: 5, 5", body=b"hello"), 400),
    "empty": (post(b"Content-Length:", body=b"hello"), 400),  # CVE-2023-40225
    "blank": (post(b"Content-Length:  \t", body=b"hello"), 400),
    "plus": (post(b"Content-Length: +5", body=b"hello"), 400),
    "minus": (post(b"Content-Length: -5", body=b"hello"), 400),
    "minus-zero": (post(b"Content-Length: -0"), 400),
    "hex": (post(b"Content-Length: 0x5", body=b"hello"), 400),
    "spaced": (post(b"Content-Length: 5 5", body=b"hello"), 400),
    "fraction": (post(b"Content-Length: 5.0", body=b"hello"), 400),
    "semicolon": (post(b"Content-Length: 5;a", body=b"hello"), 400),
    "quoted": (post(b'Content-Length: "5"', body=b"hello"), 400),
    "underscore-digits": (post(b"Content-Length: 1_0", body=b"hellohello"), 400),
    "foreign-digit": (post(b"Content-Length: \xd9\xa5", body=b"hello"), 400),
    "wraps-64": (post(b"Content-Length: 18446744073709551621", body=b"hello"), 400),
    "wraps-32-twice": (post(b"Content-Length: 99999999999999999999999", body=b"hello"), 400),
    "vertical-tab": (post(b"Content-Length:\x0b5", body=b"hello"), 400),
    "cut-by-nul": (post(b"Content-Length: 5\x00", body=b"hello"), 400),
    "name-cut-by-nul": (post(b"Content-Length\x00: 5", body=b"hello"), 400),
    "upgrade-with-body": (
        get(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            b"Content-Length: 5",
        )
        + b"hello",
        400,
    ),
    "long-name": (post(b"Content-Length" + b"0" * 256 + b":", b"Content-Length: +5", body=b"hello"), 400),
}
CODINGS = {
    "fine": (chunks(b"5\r\nhello\r\n0\r\n\r\n"), 200),
    "fine-case": (post(b"TRANSFER-encoding:cHuNkEd", body=b"0\r\n\r\n"), 200),
    "unknown": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501),
    "longer": (post(b"Transfer-Encoding: chunkedx", body=b"0\r\n\r\n"), 501),
    "identity": (post(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"0\r\n\r\n"), 400),
    "identity-behind": (post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), 400),
    "gzip-before": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "chunked-twice": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 400),
    "two-fields": (post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    "two-fields-differ": (post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), 400),
    "empty": (post(b"Transfer-Encoding:", b"Content-Length: 5", body=b"hello"), 400),
    "comma": (post(b"Transfer-Encoding: ,chunked", body=b"0\r\n\r\n"), 400),
    "quoted": (post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), 400),
    "parameter": (post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"), 400),
    "vertical-tab": (post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"), 400),
    "form-feed": (post(b"Transfer-Encoding: chunked\x0c", body=b"0\r\n\r\n"), 400),
    "nul": (post(b"Transfer-Encoding: chunked\x00", body=b"0\r\n\r\n"), 400),
    "space-before-colon": (post(b"Transfer-Encoding : chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), 400),
    "tab-before-colon": (post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"), 400),
    "folded": (post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), 400),
    "folded-list": (post(b"Transfer-Encoding: chunked,\r\n\tidentity", body=b"0\r\n\r\n"), 400),
    "behind-bare-cr": (post(b"X: a\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "behind-bare-lf": (post(b"X: a\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "foreign-letter": (post(b"Transfer-Encoding: chun\xe2\x84\xaaed", body=b"0\r\n\r\n"), 400),
    "underscore": (post(b"Transfer_Encoding: chunked", body=b""), 200),  # another field: no body here and none there
}
FIELDS = {
    "fine": (get(b"X: a", b"Y:", b"Z:\tb\t"), 200),
    "empty-name": (get(b": a"), 400),  # CVE-2023-25725
    "only-colon": (get(b":"), 400),
    "no-colon": (get(b"X"), 400),
    "space-in-name": (get(b"X Y: a"), 400),
    "bracket-in-name": (get(b"X[: a"), 400),
    "letter-in-name": (get(b"X\xe9: a"), 400),
    "space-first": (post(b" X: a"), 400),
    "first-line-folded": (b"GET /NAME HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400),
    "folded": (get(b"X: a\r\n b"), 400),
    "folded-empty": (get(b"X: a\r\n \r\n"), 400),
    "bare-cr": (get(b"X: a\rY: b"), 400),
    "bare-lf": (get(b"X: a\nY: b"), 400),
    "cr-cr-lf": (get(b"X: a\r"), 400),
    "ends-with-lf": (b"GET /NAME HTTP/1.1\r\nHost: a\n\n", 400),
    "all-lf": (b"GET /NAME HTTP/1.1\nHost: a\n\n", 400),
    "nul": (get(b"X: a\x00b"), 400),
    "backspace": (get(b"X: a\x08b"), 400),
    "delete": (get(b"X: a\x7fb"), 400),
    "too-many": (get(*[b"X: a"] * 400), 431),
    "too-long": (get(b"X: " + b"a" * 9000), 431),
}
LINES = {
    "fine": (line(b"GET /NAME?a=%0d%0aX:%20b HTTP/1.1"), 200),
    "fine-absolute": (line(b"GET http://a/NAME HTTP/1.1"), 200),
    "two-spaces": (line(b"GET  /NAME HTTP/1.1"), 400),
    "space-behind": (line(b"GET /NAME HTTP/1.1 "), 400),
    "space-before": (line(b" GET /NAME HTTP/1.1"), 400),
    "tab": (line(b"GET\t/NAME\tHTTP/1.1"), 400),
    "form-feed": (line(b"GET /NAME\x0cHTTP/1.1"), 400),
    "space-in-target": (line(b"GET /NAME x HTTP/1.1"), 400),
    "no-version": (line(b"GET /NAME"), 400),
    "version-0.9": (line(b"GET /NAME HTTP/0.9"), 505),
    "fine-minor-version": (line(b"GET /NAME HTTP/1.2"), 200),  # RFC 9110 2.5: read as 1.1, passed on as 1.1
    "version-1.10": (line(b"GET /NAME HTTP/1.10"), 400),
    "version-2": (line(b"GET /NAME HTTP/2.0"), 505),
    "version-01.1": (line(b"GET /NAME HTTP/01.1"), 400),
    "version-small": (line(b"GET /NAME http/1.1"), 400),
    "preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 505),
    "method-colon": (line(b"G:T /NAME HTTP/1.1"), 400),
    "method-nul": (line(b"G\x00T /NAME HTTP/1.1"), 400),
    "connect": (line(b"CONNECT a:443 HTTP/1.1"), 501),
    "fragment": (line(b"GET /NAME#/public HTTP/1.1"), 400),  # CVE-2023-45539
    "letter": (line(b"GET /NAME\xe9 HTTP/1.1"), 400),
    "other-scheme": (line(b"GET file:///NAME HTTP/1.1"), 400),
    "user-in-target": (line(b"GET http://b@a/NAME HTTP/1.1"), 400),
    "fine-other-host": (line(b"GET http://b/NAME HTTP/1.1"), 200),  # RFC 9112 3.2.2: the target's counts
    "empty-host": (line(b"GET http:///NAME HTTP/1.1"), 400),
    "relative": (line(b"GET NAME HTTP/1.1"), 400),
    "too-long": (line(b"GET /NAME" + b"a" * 9000 + b" HTTP/1.1"), 414),
}
# What these ask for is refused, yet where they end is beyond doubt: the connection is kept.
PATHS = {
    "backslash": (line(b"GET /public\\..\\NAME HTTP/1.1"), 400),
    "quote": (line(b'GET /NAME" HTTP/1.1'), 400),
    "dots": (line(b"GET /public/../NAME HTTP/1.1"), 400),
    "dots-escaped": (line(b"GET /public/%2e%2e/NAME HTTP/1.1"), 400),
    "dots-half-escaped": (line(b"GET /public/.%2E/NAME HTTP/1.1"), 400),
    "slash-escaped": (line(b"GET /public%2FNAME HTTP/1.1"), 400),
    "two-slashes": (line(b"GET //NAME HTTP/1.1"), 400),
    "half-escape": (line(b"GET /NAME%2 HTTP/1.1"), 400),
    "bad-escape": (line(b"GET /NAME%zz HTTP/1.1"), 400),
}
HOSTS = {
    "none": (b"GET /NAME HTTP/1.1\r\n\r\n", 400),
    "two": (b"GET /NAME HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "list": (b"GET /NAME HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "space": (b"GET /NAME HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "path": (b"GET /NAME HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "user": (b"GET /NAME HTTP/1.1\r\nHost: b@a\r\n\r\n", 400),
    "port": (b"GET /NAME HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
    "port-letters": (b"GET /NAME HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400),
    "bracket": (b"GET /NAME HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "quote": (b'GET /NAME HTTP/1.1\r\nHost: a";b="\r\n\r\n', 400),
    "space-before-colon": (b"GET /NAME HTTP/1.1\r\nHost : a\r\n\r\n", 400),
}
CHUNKS = {
    "fine": (chunks(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"), 200),
    "fine-quoted": (chunks(b'5;a="b;c"\r\nhello\r\n00\r\n\r\n'), 200),
    "empty-size": (chunks(b"\r\nhello\r\n0\r\n\r\n"), 400),
    "hex-prefix": (chunks(b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    "minus": (chunks(b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "plus": (chunks(b"+5\r\nhello\r\n0\r\n\r\n"), 400),
    "underscore": (chunks(b"0_5\r\nhello\r\n0\r\n\r\n"), 400),
    "space-before": (chunks(b" 5\r\nhello\r\n0\r\n\r\n"), 400),
    "space-behind": (chunks(b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    "wraps-64": (chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    "more-behind": (chunks(b"5\r\nhelloX\r\n0\r\n\r\n"), 400),
    "less": (chunks(b"6\r\nhello\r\n0\r\n\r\n"), 400),
    "lf-behind-size": (chunks(b"5\nhello\r\n0\r\n\r\n"), 400),
    "lf-behind-data": (chunks(b"5\r\nhello\n0\r\n\r\n"), 400),
    "cr-behind-data": (chunks(b"5\r\nhello\r0\r\n\r\n"), 400),
    "two-bytes-behind-data": (chunks(b"5\r\nhelloXX0\r\n\r\n"), 400),
    "lf-in-extension": (chunks(b"5;a\nhello\r\n0\r\n\r\n"), 400),
    "cr-in-extension": (chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), 400),
    "lf-in-quoted": (chunks(b'5;a="\n"\r\nhello\r\n0\r\n\r\n'), 400),
    "nul-in-extension": (chunks(b"5;a\x00\r\nhello\r\n0\r\n\r\n"), 400),
    "extension-without-name": (chunks(b"5;=b\r\nhello\r\n0\r\n\r\n"), 400),
    "long-extension": (chunks(b"5;a=" + b"b" * 20000 + b"\r\nhello\r\n0\r\n\r\n"), 400),
    "last-with-lf": (chunks(b"5\r\nhello\r\n0\n\n"), 400),
    "last-not-ended": (chunks(b"5\r\nhello\r\n0\r\nX"), 400),  # what stands behind would be its trailer
    "trailer-without-name": (chunks(b"0\r\n: a\r\n\r\n"), 400),
    "trailer-space": (chunks(b"0\r\nX : a\r\n\r\n"), 400),
    "trailer-folded": (chunks(b"0\r\nX: a\r\n b\r\n\r\n"), 400),
    "trailer-bare-lf": (chunks(b"0\r\nX: a\nY: b\r\n\r\n"), 400),
    "trailer-nul": (chunks(b"0\r\nX: \x00\r\n\r\n"), 400),
    "trailers-too-long": (chunks(b"0\r\n" + b"X: aaaaaaaa\r\n" * 4000 + b"\r\n"), 400),
}
FAMILIES = {
    "lengths": LENGTHS,
    "codings": CODINGS,
    "fields": FIELDS,
    "lines": LINES,
    "paths": PATHS,
    "hosts": HOSTS,
    "chunks": CHUNKS,
}


def deliver(peer, how, data):
    """Sends it; what comes before the answer to it is read."""
    if how == "whole":
        peer.send(data)
    elif how == "apart":
        third = max(1, len(data) // 3)
        peer.send_apart([data[:third], data[third : 2 * third], data[2 * third :]])
    else:
        peer.send(b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n" + data)
        if peer.response().status != 200:
            raise Wrong("what stood before it was refused")


def refused(peer, status, what, is_kept):
    """Exactly one answer, and then the end, or the answer to what stands behind."""
    try:
        answer = peer.response()
        behind = answered(peer, 1, what) if is_kept else peer.rest()
    except Wrong as wrong:
        raise Wrong(f"{what}: {wrong}") from None
    if answer.status != status:
        raise Wrong(f"{what}: {answer} instead of {status}")
    if behind:
        raise Wrong(f"{what}: behind the refusal came {behind[:100]}")


def answered(peer, count, what):
    for number in range(count):
        answer = peer.response()
        if answer.status != 200:
            raise Wrong(f"{what}: answer {number} of {count} is {answer}")


def judge(service, how, family):
    """What the service heard: the cases that are fine, what stood behind them, and nothing else."""
    fine = {name for name, (_, status) in FAMILIES[family].items() if status == 200}
    targets = [request.target.partition("?")[0] for request in service.requests]
    for name in fine:
        if targets.count(f"/{name}-{how}") != 1:
            raise Wrong(f"the service was to hear of {name} ({how}) once: {targets}")
    strange = {target for target in targets if target not in {"/smuggled", "/before"}} - {
        f"/{name}-{how}" for name in fine
    }
    count = len(FAMILIES[family]) if family == "paths" else len(fine)
    if strange or targets.count("/smuggled") != count:
        raise Wrong(f"{how}: {targets.count('/smuggled')} of {count} stood behind what ended; and {strange}")
    for heard in service.heard():
        for name in set(FAMILIES[family]) - fine:
            if f"/{name}-{how} ".encode() in heard and not is_head_of_chunks(family, heard, f"/{name}-{how} "):
                raise Wrong(f"{name} ({how}): the service got {bytes(heard[:200])}")


def is_head_of_chunks(family, heard, target):
    """A good head may pass before its bad chunks are known: then nothing may follow that ends the body."""
    if family != "chunks":
        return False
    rest = bytes(heard).partition(target.encode())[2].partition(b"\r\n\r\n")[2]
    data = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return False
        data, rest = data + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return b"hello\r".startswith(data)


def refusals(t, family, how):
    with Recorder() as service:
        t.start(CONFIGURATION.replace("SERVER", service.url))
        waiting = []  # a refused connection ends a second after its refusal: all are sent first
        for name, (data, status) in FAMILIES[family].items():
            what, peer = f"{name} ({how})", t.peer()
            try:
                deliver(peer, how, data.replace(b"NAME", f"{name}-{how}".encode()) + SMUGGLED)
                if status == 200:
                    answered(peer, 2, what)
                else:
                    waiting.append((peer, status, what))
            except Wrong as wrong:
                raise Wrong(f"{what}: {wrong}") from None
        for peer, status, what in waiting:
            refused(peer, status, what, family == "paths")
        time.sleep(0.1)  # for what would still be under way
        judge(service, how, family)


SENTENCE = "what could be read in two ways is refused, and nothing of it or behind it reaches the service"


@row("RFC 9112 11.2", SENTENCE, cases=FAMILIES.keys())
def whole(t, family):
    refusals(t, family, "whole")


@row(
    "RFC 9112 11.2",
    SENTENCE,
    cases={f"{family}-{how}": (family, how) for family in FAMILIES for how in ("apart", "behind")},
    tier="all",
)
def otherwise(t, family, how):
    refusals(t, family, how)
