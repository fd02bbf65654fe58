"""Many clients in one thread: opened in batches, read by one epoll, each with its own record of what it was told."""

import resource
import selectors
import socket
import struct
import time

from harness.wire import CLOSE, PING, PONG, Wrong, close, frame, upgrade


def raise_file_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Member:
    """`messages` holds the payloads in their order; `code` the server's Close; `end` how TCP ended: fin or reset."""

    __slots__ = ("sock", "data", "messages", "code", "end", "is_open", "name")

    def __init__(self, sock, name):
        self.sock, self.name = sock, name
        self.data = bytearray()
        self.messages = []
        self.code = None
        self.end = None
        self.is_open = False


class Crowd:
    def __init__(self, address):
        raise_file_limit()
        self.address = address
        self.members = []
        self.selector = selectors.EpollSelector()

    def join(self, count, path, source=None, add=()):
        """Opens `count` connections to `path` (a text, or a function of the number), with fields that `add` adds to
        the handshake, and waits for every 101. A compressed message is kept as it came."""
        joined = []
        for begin in range(0, count, 100):
            batch = []
            for number in range(begin, min(begin + 100, count)):
                sock = socket.create_connection(self.address, timeout=10, source_address=source)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(upgrade(path(number) if callable(path) else path, add=add))
                sock.setblocking(False)
                member = Member(sock, number)
                self.selector.register(sock, selectors.EVENT_READ, member)
                batch.append(member)
            self.members += batch
            joined += batch
            self.until(lambda: all(m.is_open or m.end for m in batch), 20, "101 for everyone")
        for member in joined:
            if not member.is_open:
                raise Wrong(f"client {member.name} was not let in: {bytes(member.data[:60])!r}")
        return joined

    def turn(self, patience=0.05):
        for key, _ in self.selector.select(patience):
            self._read(key.data)

    def until(self, done, patience, what):
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                raise Wrong(f"still waiting for {what} after {patience} s")
            self.turn()

    def _read(self, member):
        try:
            piece = member.sock.recv(65536)
        except BlockingIOError:
            return
        except (ConnectionResetError, BrokenPipeError):
            self._over(member, "reset")
            return
        if not piece:
            self._over(member, "fin")
            return
        member.data += piece
        if not member.is_open:
            self._head(member)
        if member.is_open:
            self._frames(member)

    def _over(self, member, how):
        member.end = how
        self.selector.unregister(member.sock)
        member.sock.close()

    def _head(self, member):
        at = member.data.find(b"\r\n\r\n")
        if at >= 0 and member.data.startswith(b"HTTP/1.1 101 "):
            del member.data[: at + 4]
            member.is_open = True

    def _frames(self, member):
        data, at = member.data, 0
        while len(data) - at >= 2:
            first, size, start = data[at], data[at + 1], at + 2
            if size == 126:
                if len(data) - at < 4:
                    break
                size, start = struct.unpack_from("!H", data, start)[0], start + 2
            elif size == 127:
                if len(data) - at < 10:
                    break
                size, start = struct.unpack_from("!Q", data, start)[0], start + 8
            if len(data) - start < size:
                break
            self._frame(member, first & 15, bytes(data[start : start + size]))
            at = start + size
        del data[:at]

    def _frame(self, member, opcode, payload):
        if opcode == CLOSE:
            member.code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            self.send(member, close(member.code if payload else None))
        elif opcode == PING:
            self.send(member, frame(PONG, payload))
        elif opcode != PONG:
            member.messages.append(payload)

    def send(self, member, data):
        """A small frame; the socket's buffer has room for it, or the member has gone."""
        try:
            member.sock.send(data)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError, OSError):
            pass

    def disband(self):
        for member in self.members:
            if member.end is None:
                member.sock.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disband()
