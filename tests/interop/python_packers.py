#!/usr/bin/python3
"""The few words that rows of compression need, said by python3-aiohttp, python3-tornado or python3-wsproto, each with its
own offer of permessage-deflate: python_packers.py LIBRARY PATIENCE_MS."""

import asyncio
import sys
import urllib.parse

from python_words import Wrong, compare, payload, serve

BYTES_MAX = 16 << 20


class Aiohttp:
    async def open(self, url):
        import aiohttp

        self.kinds = {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}
        self.session = aiohttp.ClientSession()
        self.socket = await self.session.ws_connect(url, compress=15, max_msg_size=BYTES_MAX)
        return "permessage-deflate" if self.socket.compress else ""

    async def send(self, data):
        await (self.socket.send_str if isinstance(data, str) else self.socket.send_bytes)(data)

    async def take(self):
        message = await self.socket.receive()
        if message.type not in self.kinds:
            raise Wrong(f"{message.type} {message.data} {self.socket.exception()}")
        return message.data

    async def close(self):
        await self.socket.close()
        await self.session.close()
        return self.socket.close_code


class Tornado:
    async def open(self, url):
        import tornado.websocket

        self.ended = asyncio.get_running_loop().create_future()
        self.socket = await tornado.websocket.websocket_connect(
            url, compression_options={}, max_message_size=BYTES_MAX
        )
        return self.socket.headers.get("Sec-WebSocket-Extensions", "")

    async def send(self, data):
        await self.socket.write_message(data, binary=isinstance(data, bytes))

    async def take(self):
        data = await self.socket.read_message()
        if data is None:
            raise Wrong(f"closed with {self.socket.close_code} {self.socket.close_reason}")
        return data

    async def close(self):
        self.socket.close(1000, "")
        if await self.socket.read_message() is not None:
            raise Wrong("a message too many")
        return self.socket.close_code


class Wsproto:
    """A protocol without a socket: this one is asyncio's."""

    async def open(self, url):
        import wsproto

        self.events = wsproto.events
        parts = urllib.parse.urlsplit(url)
        self.reader, self.writer = await asyncio.open_connection(parts.hostname, parts.port)
        self.protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.queue = []
        offers = [wsproto.extensions.PerMessageDeflate()]
        self.give(wsproto.events.Request(host=parts.netloc, target=parts.path, extensions=offers))
        event = await self.next()
        if not isinstance(event, wsproto.events.AcceptConnection):
            raise Wrong(f"not opened: {event}")
        return ", ".join(one.name for one in event.extensions)

    def give(self, event):
        self.writer.write(self.protocol.send(event))

    async def next(self):
        while not self.queue:
            data = await self.reader.read(65536)
            self.protocol.receive_data(data or None)
            self.queue.extend(self.protocol.events())
        return self.queue.pop(0)

    async def send(self, data):
        self.give(self.events.Message(data=data))
        await self.writer.drain()

    async def take(self):
        pieces = []
        while True:
            event = await self.next()
            if isinstance(event, self.events.Ping):
                self.give(event.response())
            elif isinstance(event, self.events.Message):
                pieces.append(event.data)
                if event.message_finished:
                    return pieces[0][:0].join(pieces)
            else:
                raise Wrong(f"{event}")

    async def close(self):
        self.give(self.events.CloseConnection(code=1000))
        event = await self.next()
        self.writer.close()
        return event.code if isinstance(event, self.events.CloseConnection) else 1006


class Client:
    def __init__(self, library, patience):
        self.library = {"aiohttp": Aiohttp, "tornado": Tornado, "wsproto": Wsproto}[library]
        self.patience = patience
        self.connections = {}

    async def wait(self, what, name):
        try:
            return await asyncio.wait_for(what, self.patience)
        except asyncio.TimeoutError:
            raise Wrong(f"{name}: nothing in {self.patience} s") from None

    async def open(self, url):
        connection, number = self.library(), len(self.connections) + 1
        self.connections[number] = connection
        return {"number": number, "extensions": await self.wait(connection.open(url), "open")}

    async def send(self, number, kind, size, seed):
        await self.connections[number].send(payload(kind, size, seed))

    async def expect(self, number, kind, size, seed):
        data = await self.wait(self.connections[number].take(), "message")
        compare(data, kind, size, seed)

    async def close(self, number, *_):
        return {"code": await self.wait(self.connections[number].close(), "close")}


asyncio.run(serve(Client(sys.argv[1], float(sys.argv[2]) / 1000)))
