"""A small HTTP service for rows: a thread that answers connections with a function, good or evil."""

import socket
import threading
import time

from harness.wait import eventually
from harness.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, Wrong, accept_of, frame, mask


class Request:
    def __init__(self, head, body):
        self.head, self.body = head, body
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.method, self.target = lines[0].split(" ")[:2]
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name):
        found = self.all(name)
        return found[0] if found else None


class Wire:
    """One connection of the gateway's to the service."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""
        self.heard = None  # a bytearray: every byte is noted
        self.keys = []  # masks, as they came

    def _fill(self):
        piece = self.sock.recv(1 << 20)
        if not piece:
            raise EOFError
        if self.heard is not None:
            self.heard += piece
        self.buffer += piece

    def until(self, mark):
        while mark not in self.buffer:
            self._fill()
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def take(self, size):
        pieces, missing = [self.buffer], size - len(self.buffer)
        while missing > 0:
            self.buffer = b""
            self._fill()
            pieces.append(self.buffer)
            missing -= len(self.buffer)
        whole = b"".join(pieces)
        found, self.buffer = whole[:size], whole[size:]
        return found

    def head(self):
        return self.until(b"\r\n\r\n")

    def request(self):
        request = Request(self.head(), b"")
        if request.get("transfer-encoding") == "chunked":
            while size := int(self.until(b"\r\n"), 16):
                request.body += self.take(size)
                self.take(2)
            self.until(b"\r\n")
        else:
            request.body = self.take(int(request.get("content-length") or 0))
        return request

    def send(self, *pieces):
        for piece in pieces:
            self.sock.sendall(piece if isinstance(piece, bytes) else piece.encode("latin-1"))

    def switch(self, protocol=None, fields=(), early=b""):
        """Reads a handshake and answers it with a 101, and bytes behind it in the same segment."""
        request = self.request()
        accept = accept_of(request.get("sec-websocket-key")).decode()
        head = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
            *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
            *fields,
        ]
        self.sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + early)
        return request

    def frame(self):
        """The gateway's next frame, held against the rules for clients of RFC 6455 5.1 to 5.5."""
        first, second = self.take(2)
        size = second & 127
        if not second & 0x80 or first & 0x70 or not first & 0x80:
            raise Wrong(f"a frame of the gateway's begins with {first:#x} {second:#x}")
        if size > 125:
            size = int.from_bytes(self.take(2 if size == 126 else 8), "big")
        key = self.take(4)
        self.keys.append(key)
        return Frame(True, first & 15, mask(self.take(size), key))

    def answer(self, body="", status="200 OK", fields=()):
        body = body if isinstance(body, bytes) else body.encode("latin-1")
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        self.send("\r\n".join(head) + "\r\n\r\n", body)


class Service:
    """`serve(wire, service)` is called for every connection, in a thread of its own. `address` may be a path: a Unix socket."""

    def __init__(self, serve, receive_buffer=None, backlog=128, address="127.0.0.1", port=0):
        self.serve = serve
        is_path = address.startswith("/")
        family = socket.AF_UNIX if is_path else socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind(address if is_path else (address, port))
        self.listener.listen(backlog)
        self.port = None if is_path else self.listener.getsockname()[1]
        self.url = f"unix:{address}" if is_path else f"http://{address}:{self.port}"
        self.requests = []  # whatever serve notes
        self.frames = []
        self.connections = 0
        self.wires = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            wire = Wire(sock)
            self.wires.append(wire)
            threading.Thread(target=self._run, args=(wire,), daemon=True).start()

    def _run(self, wire):
        try:
            self.serve(wire, self)
        except (EOFError, OSError):
            pass
        finally:
            wire.sock.close()

    def wait_for(self, count):
        eventually(lambda: len(self.requests) >= count, f"{count} requests at the service")

    def close(self):
        self.listener.close()
        for wire in self.wires:
            try:
                wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def mirror(wire, service, protocol=None):
    """A WebSocket server that sends every message back, answers pings, and ends after the Close."""
    service.requests.append(wire.switch(protocol))
    while True:
        got = wire.frame()
        service.frames.append(got)
        if got.opcode == CLOSE:
            wire.send(frame(CLOSE, got.payload, masked=False))
            return
        if got.opcode in (TEXT, BINARY):
            wire.send(frame(got.opcode, got.payload, masked=False))
        elif got.opcode == PING:
            wire.send(frame(PONG, got.payload, masked=False))


def named(name, pause=0):
    """A service that answers every request with its name."""

    def serve(wire, service):
        while True:
            service.requests.append(wire.request())
            time.sleep(pause)
            wire.answer(name)

    return serve


def honest(wire, service):
    """Answers every request with what it got: line, fields and the size of the body."""
    while True:
        request = wire.request()
        service.requests.append(request)
        text = request.head.decode("latin-1") + f"\r\nbody {len(request.body)}"
        if request.method == "HEAD":
            wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n")
        else:
            wire.answer(text)


class Recorder(Service):
    """Answers every request with its line, and keeps every byte that it got, also those of no request."""

    def __init__(self, serve=None, **how):
        super().__init__(serve or honest, **how)

    def _run(self, wire):
        wire.heard = bytearray()
        super()._run(wire)

    def heard(self):
        return [wire.heard for wire in self.wires if wire.heard is not None]
