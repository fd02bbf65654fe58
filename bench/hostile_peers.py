#!/usr/bin/env python3
"""For bench/hostile_services: a service of one kind, hostile or not, and its clients, or a client of another route.

hostile_peers.py KIND SERVICE_PORT GATEWAY_PORT SECONDS RATE: the clients ask by the clock, a plain request at /bad/ and a
WebSocket at /tunnel in turn, and count what came of each; at the end both counts are printed as JSON.
hostile_peers.py requests GATEWAY_PORT SECONDS RATE: requests at /good/ by the clock, on one connection; prints their p99 in
microseconds, each from when it was due."""

import asyncio
import base64
import collections
import hashlib
import json
import os
import random
import socket
import sys
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 8.0  # seconds; longer than any deadline of the gateway's
FLAP = 0.3      # seconds up, and down


# --- services


async def head_of(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head[:-4].split(b"\r\n")[1:])
    return {name.lower(): value for name, value in fields.items()}


def accepted(fields):
    accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + GUID).digest())
    return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + \
        accept + b"\r\n\r\n"


async def frame_of(reader):
    """Opcode and payload; frames here are small."""
    first, second = await reader.readexactly(2)
    key = await reader.readexactly(4) if second & 0x80 else b"\0\0\0\0"
    payload = await reader.readexactly(second & 0x7F)
    return first & 15, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


async def honest(reader, writer):
    while True:
        fields = await head_of(reader)
        if b"upgrade" not in fields:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            continue
        writer.write(accepted(fields))
        while True:
            opcode, payload = await frame_of(reader)
            writer.write(bytes([0x80 | opcode, len(payload)]) + payload)
            if opcode == 8:
                return


async def slow(reader, writer):
    await head_of(reader)
    await asyncio.sleep(3)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def garbage(reader, writer):
    await head_of(reader)
    writer.write(random.randbytes(3000))
    await reader.read()  # until the gateway has had enough


async def not_upgrading(reader, writer):
    """200 to everything, and to an upgrade also a WebSocket's frames."""
    while True:
        fields = await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if b"upgrade" in fields:
            writer.write(b"\x81\x05EVIL!" * 100)


async def half(reader, writer):
    """Closes in the middle: of an answer's body, of a WebSocket's frame."""
    fields = await head_of(reader)
    if b"upgrade" in fields:
        writer.write(accepted(fields))
        await frame_of(reader)
        writer.write(b"\x82\x7e\x10\x00" + bytes(2000))
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"x" * 5000)


async def deaf(reader, writer):
    """Takes connections, and reads nothing."""
    writer.transport.pause_reading()
    await asyncio.sleep(60)


SERVICES = {"honest": honest, "slow": slow, "garbage": garbage, "200-to-upgrade": not_upgrading, "half-way": half,
            "deaf": deaf, "flapping": honest}


class Host:
    """The service's listener, which may go up and down. `dead` never has one."""

    def __init__(self, kind, port):
        self.serve, self.port, self.writers, self.server = SERVICES.get(kind), port, set(), None

    async def up(self):
        if self.serve is not None:
            self.server = await asyncio.start_server(self.run, "127.0.0.1", self.port, backlog=1024)

    async def run(self, reader, writer):
        self.writers.add(writer)
        try:
            await self.serve(reader, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def down(self):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def flap(self):
        while True:
            await asyncio.sleep(FLAP)
            self.down()
            await asyncio.sleep(FLAP)
            await self.up()


# --- clients


async def plain(port):
    """What came of a request: its status, `cut` in the body, `lost` before a status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"POST /bad/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n" + bytes(2000))
        answer = await reader.read(-1)
    except OSError:
        return "lost"
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return "lost"
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), None)
    return head.split()[1].decode() if length in (None, len(body)) else "cut"


async def tunnel(port):
    """What came of a WebSocket: the refusal's status, `echo` when a message came back, else the Close's code."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16))
    try:
        writer.write(b"GET /tunnel HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        status = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if status != "101":
            return status
        writer.write(b"\x82\x84\0\0\0\0ping")
        opcode, payload = await frame_of(reader)
        if opcode != 8:
            writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
            return "echo" if payload == b"ping" else "strange"
        writer.write(b"\x88\x82\0\0\0\0" + payload[:2])
        return f"Close {int.from_bytes(payload[:2], 'big')}"
    except (OSError, asyncio.IncompleteReadError):
        return "lost"
    finally:
        writer.close()


async def ask(what, port, counts):
    try:
        counts[await asyncio.wait_for(what(port), PATIENCE)] += 1
    except asyncio.TimeoutError:
        counts["nothing"] += 1
    except OSError:
        counts["refused"] += 1


async def main(kind, service_port, gateway_port, seconds, rate):
    host = Host(kind, service_port)
    await host.up()
    flapping = asyncio.create_task(host.flap()) if kind == "flapping" else None
    print("up", flush=True)
    counts = {plain: collections.Counter(), tunnel: collections.Counter()}
    loop = asyncio.get_running_loop()
    begin, tasks = loop.time(), []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0, begin + number / rate - loop.time()))
        what = plain if number % 2 == 0 else tunnel
        tasks.append(asyncio.create_task(ask(what, gateway_port, counts[what])))
    await asyncio.gather(*tasks)
    if flapping is not None:
        flapping.cancel()
    print(json.dumps({what.__name__: found for what, found in counts.items()}), flush=True)
    os._exit(0)  # some services would sleep on


def requests(port, seconds, rate):
    waits, buffer = [], b""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = time.monotonic()
        for number in range(int(seconds * rate)):
            due = begin + number / rate
            time.sleep(max(0, due - time.monotonic()))
            sock.sendall(b"GET /good/x HTTP/1.1\r\nHost: a\r\n\r\n")
            while not buffer.endswith(b"good"):
                piece = sock.recv(4096)
                if not piece:
                    sys.exit("the connection was ended")
                buffer += piece
            if not buffer.startswith(b"HTTP/1.1 200 "):
                sys.exit(f"{buffer}")
            buffer = b""
            waits.append(time.monotonic() - due)
    print(1e6 * sorted(waits)[int(0.99 * len(waits))])


if __name__ == "__main__":
    if sys.argv[1] == "requests":
        requests(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
        sys.exit()
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
