#!/usr/bin/python3
"""The words of client.mjs, said by python3-websockets."""

import asyncio
import sys

import websockets
from python_words import Wrong, compare, payload, serve


class Client:
    def __init__(self, patience):
        self.patience = patience
        self.connections = {}
        self.count = 0
        self.held = []

    async def wait(self, what, name):
        try:
            return await asyncio.wait_for(what, self.patience)
        except asyncio.TimeoutError:
            raise Wrong(f"{name}: nothing in {self.patience} s") from None

    def make(self, url, protocols=None):
        return websockets.connect(
            url, subprotocols=protocols, max_size=None, max_queue=None, ping_interval=None
        )

    async def take(self, connection):
        try:
            return await self.wait(connection.recv(), "message")
        except websockets.ConnectionClosed:
            code, reason = connection.close_code, connection.close_reason
            raise Wrong(f"closed with {code} {reason}") from None

    async def open(self, url, protocols=None):
        try:
            connection = await self.wait(self.make(url, protocols), "open")
        except (websockets.InvalidHandshake, OSError) as wrong:
            raise Wrong(f"not opened: {wrong}") from None
        self.count += 1
        self.connections[self.count] = connection
        extensions = ", ".join(one.name for one in connection.extensions)
        return {
            "number": self.count,
            "protocol": connection.subprotocol or "",
            "extensions": extensions,
        }

    async def send(self, number, kind, size, seed):
        await self.connections[number].send(payload(kind, size, seed))

    async def fragments(self, number, kind, size, seed, count):
        """One message in `count` pieces, with a ping after each but the last."""
        connection = self.connections[number]
        whole = payload(kind, size, seed)
        step = max(1, len(whole) // count)
        pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
        pongs = []

        async def give():
            for piece in pieces:
                yield piece
                pongs.append(await connection.ping())

        await connection.send(give())
        await self.wait(asyncio.gather(*pongs), "pong")

    async def say(self, number, words):
        await self.connections[number].send(words)

    async def expect(self, number, kind, size, seed):
        compare(await self.take(self.connections[number]), kind, size, seed)

    async def hear(self, number):
        data = await self.take(self.connections[number])
        return data if isinstance(data, str) else f"binary {len(data)}"

    async def ping(self, number, words):
        await self.wait(await self.connections[number].ping(words), "pong")
        return words  # the library matches a pong to its ping by the payload

    def end(self, connection):
        return {
            "code": connection.close_code,
            "reason": connection.close_reason,
            "clean": connection.close_code != 1006,
        }

    async def close(self, number, code=None, reason=""):
        connection = self.connections[number]
        await self.wait(connection.close(code or 1000, reason or ""), "close")
        return self.end(connection)

    async def closed(self, number):
        connection = self.connections[number]
        await self.wait(connection.wait_closed(), "close")
        return self.end(connection)

    async def crowd(self, url, size):
        crowd = await self.wait(
            asyncio.gather(*(self.make(url) for _ in range(size))), "a crowd's open"
        )
        for index, one in enumerate(crowd):
            await one.send(str(index))
        orders = [[await self.take(one) for _ in range(size)] for one in crowd]
        if any(order != orders[0] for order in orders):
            raise Wrong("a connection heard another order than the first")
        await self.wait(asyncio.gather(*(one.close() for one in crowd)), "a crowd's close")
        return [int(one) for one in orders[0]]

    async def hold(self, url, size):
        self.held = await self.wait(asyncio.gather(*(self.make(url) for _ in range(size))), "open")

    async def heldEnds(self):
        await self.wait(asyncio.gather(*(one.wait_closed() for one in self.held)), "the end of all")
        return [self.end(one) for one in self.held]


asyncio.run(serve(Client(float(sys.argv[1]) / 1000)))
