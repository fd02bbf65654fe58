"""What the Python clients share: payloads as client.mjs makes them, and the conversation with clients.mjs. One JSON call
per line in, one JSON answer per line out."""

import asyncio
import functools
import json
import sys

PERIOD = 65521


def repeat(pattern, size):
    return (pattern * (size // len(pattern) + 1))[:size]


@functools.lru_cache(maxsize=16)
def binary_pattern(seed):
    return bytes((i * 31 + (i >> 8) * 17 + seed) & 255 for i in range(PERIOD))


@functools.lru_cache(maxsize=16)
def text_pattern(seed):
    return "".join(f"{seed}.{i} ß€😀 " for i in range(4096)).encode()


def binary(size, seed):
    return repeat(binary_pattern(seed), size)


@functools.lru_cache(maxsize=16)
def noise_pattern(seed):
    state, made = seed, bytearray()
    for _ in range(PERIOD):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        made.append(state >> 24)
    return bytes(made)


def utf8(size, seed):
    whole = bytearray(repeat(text_pattern(seed), size + 4))
    cut = size
    while cut > 0 and whole[cut] & 0xC0 == 0x80:
        cut -= 1
    whole[cut:] = b"x" * (len(whole) - cut)
    return bytes(whole[:size])


def payload(kind, size, seed):
    if kind == "noise":
        return repeat(noise_pattern(seed), size)
    return utf8(size, seed).decode() if kind == "text" else binary(size, seed)


def compare(data, kind, size, seed):
    got = "text" if isinstance(data, str) else "binary"
    if (got == "text") != (kind == "text") or data != payload(kind, size, seed):
        raise Wrong(f"expected {kind} of {size} bytes, got {got} of {len(data)} units")


class Wrong(Exception):
    pass


async def answer(client, call):
    try:
        result = {"result": await getattr(client, call["word"])(*call["arguments"])}
    except Exception as wrong:  # told to the caller, whatever it is
        result = {"error": f"{type(wrong).__name__}: {wrong}"}
    print(json.dumps({"number": call["number"], **result}), flush=True)


async def serve(client):
    """Answers calls until stdin ends."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(answer(client, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
