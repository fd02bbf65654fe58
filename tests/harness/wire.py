"""A client on a raw socket that trusts nothing: HTTP/1.1 heads, RFC 6455 frames, FIN and RST.

Shared by tests/conform and tests/system. Every frame and response that a peer of these tests reads is held against
the rules that a server has to keep (unmasked, shortest length, no reserved bits, well-formed fields), whatever the
test was about.
"""

import base64
import hashlib
import os
import re
import socket
import struct
import time

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NAMES = {
    CONT: "continuation",
    TEXT: "text",
    BINARY: "binary",
    CLOSE: "close",
    PING: "ping",
    PONG: "pong",
}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 5.0  # seconds until "nothing came" is an answer; the machine may be busy, so it is never a short one
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Wrong(AssertionError):
    """What a test found: the peer did not do what the sentence says."""


def show(data, most=64):
    """Bytes for a person: text where it is text, else hexadecimal; the middle of a long one left out."""
    data = bytes(data)
    head = data if len(data) <= most else data[:most]
    printable = all(32 <= b < 127 or b in (9, 10, 13) for b in head)
    text = repr(head)[1:] if printable else head.hex(" ")
    return text if head is data or len(head) == len(data) else f"{text}... ({len(data)} bytes)"


def frame(opcode, payload=b"", fin=True, rsv=0, key=None, masked=True, length=None, form=None):
    """One client frame. `length` lies about the length; `form` (7, 16, 64) forces how the length is written."""
    payload = payload.encode() if isinstance(payload, str) else bytes(payload)
    size = len(payload) if length is None else length
    form = form or (7 if size <= 125 else 16 if size <= 0xFFFF else 64)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if form == 7:
        head += bytes([bit | size])
    elif form == 16:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + payload
    key = os.urandom(4) if key is None else key
    return head + key + mask(payload, key)


def mask(payload, key):
    """RFC 6455 5.3: octet i of the result is octet i of the payload XOR octet i mod 4 of the key."""
    size = len(payload)
    if size == 0 or key == b"\0\0\0\0":
        return payload
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def text(payload, **how):
    return frame(TEXT, payload, **how)


def binary(payload, **how):
    return frame(BINARY, payload, **how)


def ping(payload=b"", **how):
    return frame(PING, payload, **how)


def close(code=None, reason=b"", **how):
    reason = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason, **how)


def accept_of(key):
    key = key.encode() if isinstance(key, str) else key
    return base64.b64encode(hashlib.sha1(key.strip(b" \t") + GUID).digest())


def new_key():
    return base64.b64encode(os.urandom(16))


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode("latin-1")


def request(
    path="/echo", method="GET", version="HTTP/1.1", host="localhost", fields=(), body=b"", line=None
):
    """A request head and body, written as told, right or wrong. host=None leaves the Host field out."""
    first = _bytes(line) if line is not None else b" ".join(map(_bytes, (method, path, version)))
    lines = [first] + ([b"Host: " + _bytes(host)] if host is not None else [])
    for name, value in fields:
        lines.append(_bytes(name) + b": " + _bytes(value))
    return b"\r\n".join(lines) + b"\r\n\r\n" + _bytes(body)


def upgrade(path="/echo", drop=(), swap=None, add=(), raw=(), body=b"", **how):
    """An opening handshake. `drop` and `swap` act on the five usual fields, `add` appends, `raw` adds whole lines."""
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", new_key()),
        ("Sec-WebSocket-Version", "13"),
    ]
    swap = {name.lower(): value for name, value in (swap or {}).items()}
    dropped = {name.lower() for name in drop}
    fields = [(n, swap.get(n.lower(), v)) for n, v in fields if n.lower() not in dropped]
    head = request(path, fields=list(fields) + list(add), **how)
    for extra in raw:
        head = head[:-2] + _bytes(extra) + b"\r\n\r\n"
    return head + _bytes(body)


class Frame:
    def __init__(self, fin, opcode, payload):
        self.fin, self.opcode, self.payload = fin, opcode, payload

    @property
    def code(self):
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    @property
    def reason(self):
        return self.payload[2:]

    def __str__(self):
        kind = NAMES.get(self.opcode, f"opcode {self.opcode:#x}")
        if self.opcode == CLOSE:
            return (
                f"Close {self.code} {show(self.reason)}" if self.payload else "Close without a code"
            )
        return f"{'' if self.fin else 'unfinished '}{kind} {show(self.payload)}"


class Response:
    def __init__(self, status, phrase, fields):
        self.status, self.phrase, self.fields, self.body = status, phrase, fields, b""

    def all(self, name):
        return [v for n, v in self.fields if n == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def tokens(self, name):
        return [
            t.strip(" \t").lower() for v in self.all(name) for t in v.split(",") if t.strip(" \t")
        ]

    @property
    def closes(self):
        return "close" in self.tokens("connection")

    def __str__(self):
        return f"{self.status} {self.phrase} {self.fields} {show(self.body)}"


class Peer:
    """One TCP connection to the server under test. It keeps a short transcript for the report of a failure."""

    def __init__(self, address, patience=PATIENCE, source=None, receive_buffer=None):
        self.patience = patience
        self.sock = socket.socket(socket.AF_INET)
        self.sock.settimeout(patience)
        if receive_buffer:  # before the connection is made, or its window is larger already
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        self.ended = False
        self.story = []

    # -- bytes ----------------------------------------------------------------------------------------------------

    def _note(self, sign, data):
        if len(self.story) < 40:
            self.story.append(f"{sign} {show(data)}")

    def send(self, *pieces):
        """Sends; a peer that has gone is not an error here, what it said is still to be read."""
        data = b"".join(pieces)
        self._note(">", data)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def send_apart(self, pieces, pause=0.001):
        """Each piece in a segment of its own, as far as a sender can do something about it."""
        for piece in pieces:
            self.send(piece)
            time.sleep(pause)
        return self

    def _fill(self, patience=None):
        self.sock.settimeout(self.patience if patience is None else patience)
        try:
            piece = self.sock.recv(262144)
        except (TimeoutError, BlockingIOError):
            raise Wrong(
                f"nothing came for {self.patience if patience is None else patience:g} s"
            ) from None
        except ConnectionResetError:
            raise Wrong("the connection was reset (RST) where a FIN is due") from None
        if not piece:
            self.ended = True
            self._note("<", b"FIN")
            raise Wrong("the connection was closed (FIN) while more was expected")
        self._note("<", piece)
        self.data += piece

    def take(self, size):
        while len(self.data) < size:
            self._fill()
        piece = bytes(self.data[:size])
        del self.data[:size]
        return piece

    def take_until(self, mark, most=1 << 20):
        while mark not in self.data:
            if len(self.data) > most:
                raise Wrong(f"no {show(mark)} within {most} bytes")
            self._fill()
        return self.take(self.data.index(mark) + len(mark))

    def rest(self, patience=None):
        """Everything until the FIN."""
        until = time.monotonic() + (self.patience if patience is None else patience)
        while not self.ended:
            try:
                self._fill(max(0.01, until - time.monotonic()))
            except Wrong:
                if not self.ended:
                    raise
        piece = bytes(self.data)
        self.data.clear()
        return piece

    def expect_end(self, patience=None):
        """A FIN and nothing before it."""
        try:
            left = self.rest(patience)
        except Wrong as wrong:
            raise Wrong(f"expected the server's FIN: {wrong}; unread: {show(self.data)}") from None
        if left:
            raise Wrong(f"expected the server's FIN alone, got {show(left)} before it")

    def expect_silence(self, seconds):
        try:
            self._fill(seconds)
        except Wrong as wrong:
            if self.ended or "reset" in str(wrong):
                raise
            return
        raise Wrong(f"expected nothing, got {show(self.data)}")

    def shut(self):
        """Our FIN, without closing."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def response(self, head_only=False, interim=False):
        """The next response, its syntax checked. Interim (1xx) ones other than 101 are an error unless asked for."""
        head = self.take_until(b"\r\n\r\n")
        lines = head[:-4].split(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) ([\t\x20-\x7e]*)", lines[0])
        if not match:
            raise Wrong(f"not a status line: {show(lines[0])}")
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if (
                not colon
                or not TOKEN.fullmatch(name)
                or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value)
            ):
                raise Wrong(f"not a field line: {show(line)}")
            fields.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
        answer = Response(int(match[1]), match[2].decode(), fields)
        if 100 <= answer.status < 200 or answer.status == 204:
            if answer.all("content-length") or answer.all("transfer-encoding"):
                raise Wrong(f"body framing in a {answer.status}: {fields}")
            if answer.status not in (101, 204) and not interim:
                raise Wrong(f"unexpected interim response {answer.status}")
            return answer
        if not head_only and answer.status != 304:
            answer.body = self._body(answer)
        return answer

    def _body(self, answer):
        codings, lengths = answer.tokens("transfer-encoding"), answer.all("content-length")
        if codings and lengths:
            raise Wrong("Content-Length and Transfer-Encoding in one response")
        if codings:
            return self._chunks()
        if not lengths:
            return self.rest()
        if len(lengths) != 1 or not lengths[0].isdigit():
            raise Wrong(f"bad Content-Length {lengths}")
        return self.take(int(lengths[0]))

    def _chunks(self):
        body = b""
        while True:
            size = int(self.take_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.take_until(b"\r\n") != b"\r\n":
                    pass
                return body
            body += self.take(size)
            if self.take(2) != b"\r\n":
                raise Wrong("chunk without its CRLF")

    # -- WebSocket ------------------------------------------------------------------------------------------------

    def opened(self, key=None, protocol=None):
        """Reads the 101 and holds it against RFC 6455 4.2.2."""
        answer = self.response()
        if answer.status != 101:
            raise Wrong(f"expected 101, got {answer}")
        if [v.lower() for v in answer.all("upgrade")] != ["websocket"]:
            raise Wrong(f"Upgrade in the 101: {answer.all('upgrade')}")
        if "upgrade" not in answer.tokens("connection"):
            raise Wrong(f"Connection in the 101: {answer.all('connection')}")
        accepts = answer.all("sec-websocket-accept")
        if len(accepts) != 1 or (key is not None and accepts[0].encode() != accept_of(key)):
            raise Wrong(f"Sec-WebSocket-Accept: {accepts}")
        if answer.get("sec-websocket-protocol") != protocol:
            raise Wrong(
                f"subprotocol: expected {protocol}, got {answer.all('sec-websocket-protocol')}"
            )
        if answer.all("sec-websocket-extensions"):
            raise Wrong(f"an extension nobody asked for: {answer.all('sec-websocket-extensions')}")
        return answer

    def frame(self):
        """The next frame, held against the rules for servers of RFC 6455 5.1, 5.2 and 5.5."""
        first, second = self.take(2)
        fin, rsv, opcode, size = bool(first & 0x80), first >> 4 & 7, first & 15, second & 127
        if second & 0x80:
            raise Wrong("the server masked a frame (5.1)")
        if rsv:
            raise Wrong(f"reserved bits {rsv:03b} in a frame from the server (5.2)")
        if opcode not in NAMES:
            raise Wrong(f"reserved opcode {opcode:#x} from the server (5.2)")
        if opcode >= 8 and (size > 125 or not fin):
            raise Wrong("a long or fragmented control frame from the server (5.5)")
        if size == 126:
            size = struct.unpack("!H", self.take(2))[0]
            if size < 126:
                raise Wrong(f"length {size} written in 16 bits (5.2)")
        elif size == 127:
            size = struct.unpack("!Q", self.take(8))[0]
            if size < 65536:
                raise Wrong(f"length {size} written in 64 bits (5.2)")
        return Frame(fin, opcode, self.take(size))

    def message(self):
        """The next whole data message: (opcode, payload). A control frame on the way is an error."""
        first = self.frame()
        if first.opcode not in (TEXT, BINARY):
            raise Wrong(f"expected a message, got {first}")
        payload, last = first.payload, first
        while not last.fin:
            last = self.frame()
            if last.opcode != CONT:
                raise Wrong(f"expected a continuation, got {last}")
            payload += last.payload
        return first.opcode, payload

    def expect(self, opcode, payload):
        payload = payload.encode() if isinstance(payload, str) else bytes(payload)
        if opcode in (TEXT, BINARY):
            got = Frame(True, *self.message())
        else:
            got = self.frame()
        if got.opcode != opcode or got.payload != payload:
            raise Wrong(f"expected {Frame(True, opcode, payload)}, got {got}")

    def expect_text(self, payload):
        self.expect(TEXT, payload)

    def expect_pong(self, payload=b""):
        self.expect(PONG, payload)

    def expect_close(self, code=None, reason=None):
        got = self.frame()
        if got.opcode != CLOSE or got.code != code or len(got.payload) == 1:
            wanted = f"Close {code}" if code is not None else "Close without a code"
            raise Wrong(f"expected {wanted}, got {got}")
        got.reason.decode("utf-8")  # 5.5.1: the reason is UTF-8
        if reason is not None and got.reason != reason:
            raise Wrong(f"expected reason {show(reason)}, got {show(got.reason)}")
        return got

    def leave(self, code=1000):
        """The closing handshake from our side: our Close, the server's echo, the server's FIN first (7.1.1)."""
        self.send(close(code))
        self.expect_close(code)
        self.expect_end()
