"""RFC 9110 sections 6.6, 9, 10.1 and 15, RFC 9112 section 9: Expect, methods, and how long a connection lasts."""

from conform.verbs import answered, refused
from harness.rows import row
from harness.wire import Wrong, request

DONE = (200, 202, 204)


# -- Expect ---------------------------------------------------------------------------------------------------------


@row(
    "RFC 9110 10.1.1",
    "100-continue: a server MUST send 100 or a final status code (here 100, then the answer)",
    cases=["100-continue", "100-Continue", "100-CONTINUE"],
)
def expect_continue(t, value):
    listener = t.open(f"/post/{t.room}")
    peer = t.peer()
    peer.send(
        request(f"/post/{t.room}", "POST", fields=[("Expect", value), ("Content-Length", "4")])
    )
    answer = peer.response(interim=True)
    if answer.status != 100:
        raise Wrong(f"expected 100, got {answer}")
    peer.send(b"body")
    answered(peer, DONE)
    listener.expect_text("body")
    peer.close()


@row(
    "RFC 9110 10.1.1",
    "a server that will refuse SHOULD send the final status instead of 100",
    cases={"404": ("/nowhere", 404), "413": ("/post/large", 413)},
)
def expect_continue_refused(t, path, status):
    peer = t.peer()
    peer.send(
        request(path, "POST", fields=[("Expect", "100-continue"), ("Content-Length", "5000")])
    )
    answered(peer, status, after=False)


@row(
    "RFC 9110 15.5.18",
    "417: the expectation could not be met",
    cases=["something", "200-ok", "100-continue, x", "x=100-continue", "100"],
)
def expect_unknown(t, value):
    peer = t.peer()
    peer.send(
        request("/post/expect-x", "POST", fields=[("Expect", value), ("Content-Length", "0")])
    )
    answered(peer, 417, after=False)


@row("RFC 9110 10.1.1", "a request without a body needs no 100: the next thing is the final answer")
def expect_without_body(t):
    peer = t.peer()
    peer.send(request("/nowhere", fields=[("Expect", "100-continue")]))
    answered(peer, 404)


# -- methods --------------------------------------------------------------------------------------------------------


@row(
    "RFC 9110 15.5.6",
    "405 with Allow: what the resource supports (the page)",
    cases=["POST", "PUT", "DELETE", "PATCH"],
)
def page_method(t, method):
    answer = refused(t, request("/", method, fields=[("Content-Length", "0")]), 405)
    if "get" not in answer.tokens("allow"):
        raise Wrong(f"Allow: {answer.all('allow')}")


@row("RFC 9110 15.5.6", "405 with Allow (a channels route)", cases=["PUT", "DELETE", "PATCH"])
def channels_method(t, method):
    answer = refused(t, request("/post/x", method, fields=[("Content-Length", "0")]), 405)
    if "post" not in answer.tokens("allow"):
        raise Wrong(f"Allow: {answer.all('allow')}")


@row("RFC 9110 9.1", "All general-purpose servers MUST support GET and HEAD (the page)")
def page_get(t):
    answer = refused(t, request("/"), 200)
    if not answer.body or "text/html" not in (answer.get("content-type") or ""):
        raise Wrong(f"{answer}")


@row(
    "RFC 9110 9.3.2", "HEAD: the server MUST NOT send content in the response; the fields are GET's"
)
def page_head(t):
    answer = refused(t, request("/", "HEAD"), 200, head_only=True)
    whole = refused(t, request("/"), 200)
    if answer.get("content-length") != whole.get("content-length"):
        raise Wrong(
            f"Content-Length {answer.get('content-length')} of {whole.get('content-length')}"
        )


@row(
    "RFC 9110 9.3.2",
    "HEAD of what is refused has no content either",
    cases={"404": ("/nowhere", (404,)), "426": ("/echo", (426, 405))},
)
def head_refused(t, path, statuses):
    refused(t, request(path, "HEAD"), statuses, head_only=True)


@row(
    "RFC 9110 15.6.2",
    "501 to a method that the server does not know",
    cases=["BREW", "get", "CONNECT", "TRACE", "PROPFIND"],
)
def method_unknown(t, method):
    refused(t, request("/", method), (501, 405))


# -- connection management ------------------------------------------------------------------------------------------


@row(
    "RFC 9112 9.6",
    "A server that receives a close option MUST initiate closure after the final response, and SHOULD say so",
    cases=["close", "Close", "keep-alive, close", "close, TE"],
)
def connection_close(t, value):
    peer = t.peer()
    peer.send(request("/", fields=[("Connection", value)]))
    answer = answered(peer, 200, after=False)
    if not answer.closes:
        raise Wrong("no close option in the response")
    peer.expect_end()


@row(
    "RFC 9112 9.3",
    "HTTP/1.1 connections persist; HTTP/1.0 ones do not unless keep-alive is asked for",
)
def http_1_0(t):
    peer = t.peer()
    peer.send(request("/", version="HTTP/1.0"))
    answered(peer, (200, 505), after=False)
    peer.expect_end()


@row("RFC 9112 9.3", "many requests on one connection")
def persistent(t):
    peer = t.peer()
    for _ in range(50):
        peer.send(request("/nowhere"))
        answered(peer, 404, after=False)


@row(
    "RFC 9110 6.6.1",
    "An origin server with a clock MUST generate a Date header field in all 2xx, 3xx and 4xx responses",
    cases={"200": ("/", 200), "404": ("/nowhere", 404), "426": ("/echo", 426)},
)
def date(t, path, status):
    answer = refused(t, request(path), status)
    if len(answer.all("date")) != 1:
        raise Wrong(f"Date: {answer.all('date')}")
