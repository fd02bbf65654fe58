"""RFC 7692: permessage-deflate, which the gateway does without context takeover, both ways."""

import random
import struct
import zlib

from harness.rows import row
from harness.wire import BINARY, CLOSE, CONT, PING, TEXT, Wrong, frame, show, text, upgrade

TAIL = b"\0\0\xff\xff"
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def offered(t, offer, path="/deflate"):
    """Opens with that offer; the peer and what the 101 says about extensions (None: nothing)."""
    peer = t.peer()
    fields = [] if offer is None else [("Sec-WebSocket-Extensions", offer)]
    peer.send(upgrade(path, add=fields))
    head = peer.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    if not head[0].startswith("HTTP/1.1 101 "):
        raise Wrong(f"not opened: {head[0]}")
    said = [line.split(":", 1)[1].strip() for line in head if line.lower().startswith("sec-websocket-extensions:")]
    if len(said) > 1:
        raise Wrong(f"several fields: {said}")
    return peer, said[0] if said else None


def agreed(t, path="/deflate"):
    peer, said = offered(t, "permessage-deflate; client_max_window_bits", path)
    if said != AGREED:
        raise Wrong(f"agreed to {said}")
    return peer


def taken(peer):
    """The next frame: first byte and payload."""
    first, second = peer.take(2)
    size = second & 0x7F
    if size >= 126:
        size = struct.unpack("!H" if size == 126 else "!Q", peer.take(2 if size == 126 else 8))[0]
    return first, peer.take(size)


def inflated(payload, inflater=None):
    inflater = inflater or zlib.decompressobj(-15)
    whole = inflater.decompress(payload + TAIL)
    if inflater.eof:
        raise Wrong("a block with BFINAL set was sent")
    return whole


def packed(data, level=6):
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
    whole = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return whole[:-4]


def echoes(peer, payload, plain, opcode=TEXT, fin=True):
    """What was sent as the first and only frame comes back as `plain`, compressed or not."""
    peer.send(frame(opcode, payload, rsv=4))
    first, back = taken(peer)
    if first not in (0x80 | opcode, 0xC0 | opcode):
        raise Wrong(f"a frame that begins with {first:#x}")
    back = inflated(back) if first & 0x40 else back
    if back != plain:
        raise Wrong(f"{show(back)} came back, not {show(plain)}")
    return bool(first & 0x40)


def fails(peer, code):
    first, payload = taken(peer)
    if first != 0x80 | CLOSE or struct.unpack("!H", payload[:2])[0] != code:
        raise Wrong(f"{first:#x} {show(payload)} where Close {code} is due")
    peer.rest()


# -- negotiation (7.1) ------------------------------------------------------------------------------------------------

OFFERS = {
    "bare": ("permessage-deflate", ""),
    "server-takeover": ("permessage-deflate; server_no_context_takeover", ""),
    "client-takeover": ("permessage-deflate; client_no_context_takeover", ""),
    "client-bits": ("permessage-deflate; client_max_window_bits", ""),
    "client-bits-value": ("permessage-deflate; client_max_window_bits=9", ""),
    "server-bits-8": ("permessage-deflate; server_max_window_bits=8", "; server_max_window_bits=8"),
    "server-bits-15": ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15"),
    "quoted": ('permessage-deflate; server_max_window_bits="10"', "; server_max_window_bits=10"),
    "escaped": ('permessage-deflate; server_max_window_bits="\\1\\0"', "; server_max_window_bits=10"),
    "second": ("permessage-deflate; nonsense, permessage-deflate", ""),
    "behind-others": ("mux; a=1, permessage-deflate", ""),
    "first-of-two": (
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "; server_max_window_bits=10",
    ),
}


@row("RFC 7692 7.1", "the server accepts an offer by a response with the agreed parameters", cases=OFFERS)
def accepted(t, offer, more):
    peer, said = offered(t, offer)
    if said != AGREED + more:
        raise Wrong(f"the answer is {said}, not {AGREED + more}")
    echoes(peer, packed(b"Hello" * 100), b"Hello" * 100)


DECLINED = [
    "permessage-deflate; unknown",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; client_no_context_takeover=true",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=08",
    "permessage-deflate; server_max_window_bits=+10",
    "permessage-deflate; server_max_window_bits=10.0",
    "permessage-deflate; server_max_window_bits=0x0a",
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=010",
    "permessage-deflate; client_max_window_bits; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate2",
]


@row("RFC 7692 7", "A server MUST decline an extension negotiation offer if ...", cases=DECLINED)
def declined(t, offer):
    peer, said = offered(t, offer)
    if said is not None:
        raise Wrong(f"agreed to {said}")
    peer.send(text("hello"))
    if taken(peer) != (0x81, b"hello"):
        raise Wrong("no echo")


@row("RFC 7692 5", "compression that is not offered, or is off, is not agreed to")
def unoffered(t):
    for offer, path in ((None, "/deflate"), ("permessage-deflate", "/echo")):
        said = offered(t, offer, path)[1]
        if said is not None:
            raise Wrong(f"agreed to {said}")


# -- payloads (7.2) ---------------------------------------------------------------------------------------------------

EXAMPLES = {
    "one-block": ("f248cdc9c90700", b"Hello"),
    "stored": ("000500faff48656c6c6f00", b"Hello"),
    "bfinal": ("f348cdc9c9070000", b"Hello"),
    "two-blocks": ("f24805000000ffffcac9c90700", b"Hello"),
    "empty": ("00", b""),
}


@row("RFC 7692 7.2.3", "the examples", cases=EXAMPLES)
def example(t, payload, plain):
    peer = agreed(t)
    for _ in range(2):  # nothing of the first is in the way of the second
        echoes(peer, bytes.fromhex(payload), plain)


@row("RFC 7692 6.1", "a message may be compressed as a whole and fragmented afterwards")
def fragmented(t):
    peer = agreed(t)
    data = bytes(random.Random(1).choices(b"abcdef", k=20000))
    whole = packed(data)
    cuts = [whole[i : i + 999] for i in range(0, len(whole), 999)]
    peer.send(frame(BINARY, cuts[0], rsv=4, fin=False), frame(PING, b""))
    for piece in cuts[1:]:
        peer.send(frame(CONT, piece, fin=False))
    peer.send(frame(CONT, b""))
    if taken(peer) != (0x8A, b""):
        raise Wrong("no pong")
    first, back = taken(peer)
    if first != 0xC2 or inflated(back) != data:
        raise Wrong(f"{first:#x} {show(back)}")


@row("RFC 7692 6", "of every size, compressed and not, none altered; BFINAL never set", cases=range(0, 10))
def sizes(t, level):
    peer = agreed(t)
    inflater = zlib.decompressobj(-15)  # one for all messages, as a client with context takeover has it
    chance = random.Random(level)
    for size in (0, 1, 99, 100, 125, 126, 1000, 4096, 32768, 65536, 200000):
        data = b"".join(b'{"id":%d,"px":%d},' % (chance.randrange(10**6), i) for i in range(size // 10 + 1))[:size]
        peer.send(frame(BINARY, packed(data, level), rsv=4) if size % 3 else frame(BINARY, data))
        first, back = taken(peer)
        if first != (0xC2 if size >= 100 else 0x82):
            raise Wrong(f"{size} bytes came as {first:#x}")
        if (inflated(back, inflater) if first & 0x40 else back) != data:
            raise Wrong(f"{size} bytes were altered")


@row("RFC 7692 7.1.2.1", "the server MUST NOT use a larger window than was agreed")
def small_window(t):
    peer, _ = offered(t, "permessage-deflate; server_max_window_bits=9")
    half = bytes(random.Random(2).choices(b"abcdefghijklmnop", k=2000))
    for data in (half[:512], half + half):
        peer.send(frame(BINARY, data))
        first, back = taken(peer)
        if (zlib.decompressobj(-9).decompress(back + TAIL) if first & 0x40 else back) != data:
            raise Wrong("not readable with a window of 512 bytes")


@row("RFC 7692 6", "a broadcast reaches who agreed compressed, the others plain")
def broadcast(t):
    path = f"/deflate-chat/{t.room}"
    squeezed, plain = agreed(t, path), offered(t, None, path)[0]
    data = b'{"seats": [1, 2, 3]}, ' * 200
    squeezed.send(frame(TEXT, packed(data), rsv=4))
    first, back = taken(squeezed)
    if first != 0xC1 or inflated(back) != data or len(back) > len(data) // 5:
        raise Wrong(f"{first:#x} {show(back)}")
    if taken(plain) != (0x81, data):
        raise Wrong("the plain one got something else")


# -- a window that the server keeps ------------------------------------------------------------------------------------

OWN = "permessage-deflate; client_no_context_takeover"


@row("RFC 7692 7.1.1.1", "what is sent refers to what was sent before, where the route allows it")
def takeover(t):
    peer, said = offered(t, "permessage-deflate; client_max_window_bits", "/deflate-own")
    if said != OWN:
        raise Wrong(f"agreed to {said}")
    inflater, sizes = zlib.decompressobj(-12), []
    data = bytes(random.Random(1).choices(b"abcdefghijklmnop", k=300))
    for message in (data, data, b"x", bytes(random.Random(2).randbytes(500)), data, data[:9], data):
        peer.send(frame(BINARY, message))
        first, back = taken(peer)
        sizes.append(len(back))
        if (inflated(back, inflater) if first & 0x40 else back) != message:
            raise Wrong(f"message {len(sizes)} was altered")
    # The third and the one before the last are below the threshold; noise goes plain, and the window begins anew.
    if sizes[1] > 12 or sizes[2:4] != [1, 500] or sizes[4] < 100 or sizes[5] != 9 or sizes[6] > 12:
        raise Wrong(f"sizes on the wire: {sizes}")


@row("RFC 7692 7.1.1.1", "a server that is asked not to take over MUST say so and not do it")
def takeover_declined(t):
    for offer, more in (
        ("permessage-deflate; server_no_context_takeover", ""),
        ("permessage-deflate; server_max_window_bits=8", "; server_max_window_bits=8"),
    ):
        peer, said = offered(t, offer, "/deflate-own")
        if said != AGREED + more:
            raise Wrong(f"agreed to {said}")
        for _ in range(2):
            echoes(peer, packed(b"Hello" * 40), b"Hello" * 40)


@row("RFC 7692 7.1.2.1", "a window that the server keeps is no larger than was agreed", cases=range(9, 16))
def takeover_window(t, bits):
    peer, said = offered(t, f"permessage-deflate; server_max_window_bits={bits}", "/deflate-own")
    if said != f"{OWN}; server_max_window_bits={bits}":
        raise Wrong(f"agreed to {said}")
    chance, last, reach = random.Random(bits), b"", 0
    history = bytearray()
    for number in range(40):
        piece = bytes(chance.choices(b"abcdefghijklmnop", k=100 + 7 * number))
        message = piece + last
        peer.send(frame(BINARY, message))
        first, back = taken(peer)
        if first != 0xC2:
            raise Wrong(f"message {number} came as {first:#x}")
        # zlib's own inflater looks back as far as one call wrote, so it gets little room, and what is older itself.
        inflater = zlib.decompressobj(-bits, bytes(history[-(1 << bits) :])) if history else zlib.decompressobj(-bits)
        whole, rest = bytearray(), back + TAIL
        while rest:
            whole += inflater.decompress(rest, 32)
            rest = inflater.unconsumed_tail
        whole += inflater.flush(32)
        if bytes(whole) != message:
            raise Wrong(f"message {number} needs more than a window of 2^{bits}")
        history += message
        last = piece


# -- what fails the connection ----------------------------------------------------------------------------------------

BAD = {
    "rsv1-ping": (frame(PING, b"", rsv=4), 1002),
    "rsv1-close": (frame(CLOSE, b"", rsv=4), 1002),
    "rsv1-continuation": (text("a", fin=False) + frame(CONT, b"b", rsv=4), 1002),
    "rsv1-second-fragment": (frame(TEXT, b"\xf2\x48", fin=False, rsv=4) + frame(CONT, b"", rsv=4), 1002),
    "rsv2": (text("a", rsv=2), 1002),
    "rsv1-and-rsv3": (text("a", rsv=5), 1002),
    "no-deflate": (text(b"\xff\xff\xff", rsv=4), 1007),
    "cut": (frame(TEXT, packed(b"Hello, world, hello")[:-2], rsv=4), 1007),
    "far-back": (frame(TEXT, bytes.fromhex("f200110000"), rsv=4), 1007),
    "utf8": (frame(TEXT, packed(b"Hello \xff"), rsv=4), 1007),
    "utf8-cut": (frame(TEXT, packed("ß".encode()[:1]), rsv=4), 1007),
}


@row("RFC 7692 6.2", "what is no compressed message, or where none may be", cases=BAD)
def bad(t, frames, code):
    peer = agreed(t)
    peer.send(frames)
    fails(peer, code)


LIMITS = {"at": (1000, 0), "above": (1001, 1009), "bomb": (64 << 20, 1009)}


@row("RFC 7692 8", "a limit counts inflated bytes", cases=LIMITS)
def limit(t, size, code):
    peer = agreed(t, "/deflate-small")
    whole = packed(b"a" * size, 9)
    if code == 0:
        echoes(peer, whole, b"a" * size)
    else:
        peer.send(frame(BINARY, whole[:1000] if size > 10000 else whole, rsv=4))
        fails(peer, code)
