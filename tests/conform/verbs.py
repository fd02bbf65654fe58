"""What many rows say: a violation is failed so, a request is refused so."""

from harness.wire import Wrong, close, new_key, ping, request, text


def violates(t, bad, code, path="/echo", before=True, patience=None):
    """RFC 6455 7.1.7: what was valid before is answered, a Close frame says why, nothing after is processed, then a
    FIN from the server and no RST, although bytes that it never looked at were on their way to it.
    """
    peer = t.open(path)
    peer.send(text("valid before") if before else b"", bad, ping(b"after"), text("after"))
    if before:
        peer.expect_text("valid before")
    peer.expect_close(code)
    peer.send(close(code))
    peer.expect_end(patience)
    return peer


def survives(peer, mark="still here"):
    """The connection is open, and nothing but what was expected has come on it."""
    peer.send(text(mark))
    peer.expect_text(mark)


def refused(t, data, status, **how):
    """Sends a request; the answer has this status (or one of these), and its fields keep the rules of that status."""
    peer = t.peer()
    peer.send(data)
    return answered(peer, status, **how)


def answered(peer, status, head_only=False, after=True):
    wanted = (status,) if isinstance(status, int) else tuple(status)
    answer = peer.response(head_only=head_only)
    if answer.status not in wanted:
        raise Wrong(f"expected {' or '.join(map(str, wanted))}, got {answer}")
    obliged(answer)
    if after:
        consistent(peer, answer)
    return answer


def obliged(answer):
    """Fields that a status brings with it."""
    if answer.status == 405 and not answer.all("allow"):
        raise Wrong("405 without Allow (RFC 9110 15.5.6)")
    if answer.status == 426:
        if "websocket" not in answer.tokens("upgrade") or "upgrade" not in answer.tokens(
            "connection"
        ):
            raise Wrong(f"426 without Upgrade and Connection: upgrade (RFC 9110 15.5.22): {answer}")
        if answer.all("sec-websocket-version") != ["13"]:
            raise Wrong(f"426 without Sec-WebSocket-Version: 13 (RFC 6455 4.2.2): {answer}")
    if answer.status in (429, 503) and not (answer.get("retry-after") or "").isdigit():
        raise Wrong(f"{answer.status} without Retry-After: {answer}")
    if answer.status >= 400 and answer.all("sec-websocket-accept"):
        raise Wrong("Sec-WebSocket-Accept in a refusal")


def consistent(peer, answer):
    """RFC 9112 9.6: what says `close` closes (with a FIN); what does not, serves the next request."""
    if answer.closes:
        peer.expect_end()
        return
    peer.send(request("/nowhere"))
    again = peer.response()
    if again.status != 404:
        raise Wrong(
            f"the connection was to stay usable after the {answer.status}, but the next answer was {again}"
        )


def opened(t, data, key=None, protocol=None):
    """Sends a handshake that is to be accepted: the 101, held against RFC 6455 4.2.2, and an echo."""
    peer = t.peer()
    peer.send(data)
    answer = peer.opened(key=key, protocol=protocol)
    survives(peer)
    return answer


FIELDS = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]


def handshake(line=None, host="localhost", fields=(), path="/echo"):
    """A handshake of which the request line or the Host may be anything."""
    key = ("Sec-WebSocket-Key", new_key())
    return request(path, line=line, host=host, fields=FIELDS + [key] + list(fields))
