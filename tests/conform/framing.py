"""RFC 6455 section 5.1 to 5.3: the frame, its bits, its length, its mask."""

import os

from conform.verbs import survives, violates
from harness.rows import row
from harness.wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Wrong,
    binary,
    close,
    frame,
    ping,
    text,
)

OPTIONS = {"portable": True}

UNMASKED = "The server MUST close the connection upon receiving a frame that is not masked."
KINDS = {"text": TEXT, "binary": BINARY, "close": CLOSE, "ping": PING, "pong": PONG}


def _body(opcode):
    return b"\x03\xe8bye" if opcode == CLOSE else b"hello"


@row("RFC 6455 5.1", UNMASKED + " (1002)", cases=KINDS)
def unmasked(t, opcode):
    violates(t, frame(opcode, _body(opcode), masked=False), 1002)


@row("RFC 6455 5.1", UNMASKED + " (without payload)", cases=KINDS)
def unmasked_empty(t, opcode):
    violates(t, frame(opcode, b"", masked=False), 1002)


@row("RFC 6455 5.1", UNMASKED + " (a continuation, in the middle of a message)")
def unmasked_continuation(t):
    violates(t, text("a", fin=False) + frame(CONT, b"b", masked=False), 1002)


@row("RFC 6455 5.1", UNMASKED + " (with an extended length)", cases={"16": 300, "64": 70000})
def unmasked_long(t, size):
    violates(t, frame(BINARY, b"x" * size, masked=False), 1002)


@row("RFC 6455 5.1", "A server MUST NOT mask any frames that it sends to the client.", cases=KINDS)
def never_masks(t, opcode):
    peer = t.open()
    peer.send(frame(opcode, _body(opcode)))
    if opcode != PONG:
        peer.frame()  # holds the mask bit against the rule
    if opcode not in (CLOSE, PONG):
        survives(peer)


RSV = "RSV1, RSV2, RSV3 MUST be 0 unless an extension is negotiated ... the receiving endpoint MUST Fail the Connection."
RSV_CASES = {
    f"{name}-rsv{bits:03b}": (opcode, bits)
    for name, opcode in KINDS.items()
    for bits in (0b100, 0b010, 0b001)
}


@row("RFC 6455 5.2", RSV, cases=RSV_CASES)
def reserved_bit(t, opcode, bits):
    violates(t, frame(opcode, _body(opcode), rsv=bits), 1002)


@row("RFC 6455 5.2", RSV, cases={f"rsv{bits:03b}": bits for bits in (0b011, 0b101, 0b110, 0b111)})
def reserved_bits_together(t, bits):
    violates(t, text("hello", rsv=bits), 1002)


@row(
    "RFC 6455 5.2",
    RSV + " (on a continuation)",
    cases={f"rsv{bits:03b}": bits for bits in (0b100, 0b010, 0b001)},
)
def reserved_bit_continuation(t, bits):
    violates(t, text("a", fin=False) + frame(CONT, b"b", rsv=bits), 1002)


@row("RFC 6455 5.2", RSV + " (on the first of several fragments)", cases=[0b100, 0b010, 0b001])
def reserved_bit_first_fragment(t, bits):
    violates(t, text("a", fin=False, rsv=bits) + frame(CONT, b"b"), 1002)


UNKNOWN = (
    "If an unknown opcode is received, the receiving endpoint MUST Fail the WebSocket Connection."
)
RESERVED = {f"{n:#x}": n for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)}


@row("RFC 6455 5.2", UNKNOWN, cases=RESERVED)
def reserved_opcode(t, opcode):
    violates(t, frame(opcode, b"hello"), 1002)


@row("RFC 6455 5.2", UNKNOWN + " (empty, not final)", cases=RESERVED)
def reserved_opcode_empty(t, opcode):
    violates(t, frame(opcode, b"", fin=False), 1002)


@row(
    "RFC 6455 5.2",
    UNKNOWN + " (between the fragments of a message)",
    cases={"0x3": 3, "0x7": 7, "0xb": 11, "0xf": 15},
)
def reserved_opcode_between(t, opcode):
    violates(t, text("a", fin=False) + frame(opcode, b"hello") + frame(CONT, b"b"), 1002)


# -- length ---------------------------------------------------------------------------------------------------------

SHORTEST = "in all cases, the minimal number of bytes MUST be used to encode the length"
NOT_SHORTEST = {f"{n}-in-16": (n, 16) for n in (0, 1, 124, 125)} | {
    f"{n}-in-64": (n, 64) for n in (0, 1, 125, 126, 65534, 65535)
}


@row("RFC 6455 5.2", SHORTEST, cases=NOT_SHORTEST)
def length_not_shortest(t, size, form):
    violates(t, binary(b"x" * size, form=form), 1002)


@row(
    "RFC 6455 5.2",
    SHORTEST + " (a continuation)",
    cases={"125-in-16": (125, 16), "65535-in-64": (65535, 64)},
)
def length_not_shortest_continuation(t, size, form):
    violates(t, binary(b"x", fin=False) + frame(CONT, b"x" * size, form=form), 1002)


@row("RFC 6455 5.2", SHORTEST + " (a ping)", cases={"5-in-16": 16, "5-in-64": 64})
def length_not_shortest_ping(t, form):
    violates(t, ping(b"hello", form=form), 1002)


TOP_BIT = "If 127, the following 8 bytes ... (the most significant bit MUST be 0)"


@row(
    "RFC 6455 5.2",
    TOP_BIT,
    cases={"min": 1 << 63, "max": (1 << 64) - 1, "small": (1 << 63) + 70000},
)
def length_top_bit(t, size):
    violates(t, binary(b"", length=size), 1002)


@row(
    "RFC 6455 5.2",
    TOP_BIT + " (in a continuation, where lengths are added up)",
    cases={"min": 1 << 63, "max": (1 << 64) - 1},
)
def length_top_bit_continuation(t, size):
    violates(t, binary(b"x", fin=False) + frame(CONT, b"", length=size), 1002)


LENGTHS = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    124,
    125,
    126,
    127,
    128,
    255,
    256,
    257,
]
LENGTHS += [2047, 2048, 2049, 4096, 16383, 16384, 65534, 65535, 65536, 65537, 262144, 1048576]


@row(
    "RFC 6455 5.2",
    "if 0-125, that is the payload length; 126: 16 bits; 127: 64 bits (echoed unchanged)",
    cases=LENGTHS,
)
def length(t, size):
    payload = os.urandom(size)
    peer = t.open()
    peer.send(binary(payload))
    peer.expect(BINARY, payload)
    survives(peer)


@row(
    "RFC 6455 5.2",
    "the minimal number of bytes MUST be used (by the server)",
    cases=[125, 126, 65535, 65536],
)
def answers_shortest(t, size):
    peer = t.open()
    peer.send(text("y" * size))
    peer.expect_text("y" * size)  # Peer.frame refuses a longer form


# -- pieces ---------------------------------------------------------------------------------------------------------

PIECES = "Incoming data MUST be parsed as WebSocket frames (however it arrives)"


@row(
    "RFC 6455 6.2",
    PIECES,
    cases={
        f"{size}-cut-{cut}": (size, cut)
        for size, most in ((4, 6), (200, 8), (65536, 14))
        for cut in range(1, most + 1)
    },
)
def header_in_two_pieces(t, size, cut):
    payload = os.urandom(size)
    data = binary(payload)
    peer = t.open()
    peer.send_apart([data[:cut], data[cut:]], pause=0.01)
    peer.expect(BINARY, payload)
    survives(peer)


@row("RFC 6455 6.2", PIECES + " (one byte at a time)", cases={"text": 5, "16-bit": 130})
def one_byte_at_a_time(t, size):
    peer = t.open()
    data = text("z" * size) + ping(b"p")
    peer.send_apart([data[i : i + 1] for i in range(len(data))], pause=0.0005)
    peer.expect_text("z" * size)
    peer.expect_pong(b"p")


@row("RFC 6455 6.2", PIECES + " (many in one segment, answered in order)", cases=[2, 10, 100, 1000])
def many_in_one_segment(t, count):
    peer = t.open()
    peer.send(b"".join(text(f"message {i}") for i in range(count)))
    for i in range(count):
        peer.expect_text(f"message {i}")


@row("RFC 6455 6.2", PIECES + " (one and a half in one segment)")
def one_and_a_half(t):
    peer = t.open()
    data = text("first") + text("second")
    peer.send(data[:-4])
    peer.expect_text("first")
    peer.send(data[-4:])
    peer.expect_text("second")


# -- mask -----------------------------------------------------------------------------------------------------------

UNMASK = "transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4); a server MUST remove masking"
KEYS = {
    "zero": b"\0\0\0\0",
    "ones": b"\xff\xff\xff\xff",
    "rfc": b"\x37\xfa\x21\x3d",
    "one-byte": b"\x80\0\0\0",
}


@row("RFC 6455 5.3", UNMASK, cases=KEYS)
def mask_key(t, key):
    payload = bytes(range(256)) * 3
    peer = t.open()
    peer.send(binary(payload, key=key))
    peer.expect(BINARY, payload)


@row(
    "RFC 6455 5.3",
    UNMASK + " (sizes around words and vectors)",
    cases=[1, 2, 3, 5, 6, 7, 9, 15, 17, 31, 33, 47, 63, 65, 95, 127, 129],
)
def mask_size(t, size):
    payload = os.urandom(size)
    peer = t.open()
    peer.send(binary(payload, key=b"\x01\x20\x43\xf8"))
    peer.expect(BINARY, payload)


@row(
    "RFC 6455 5.3",
    UNMASK + " (the key's offset is kept when the payload comes in pieces)",
    cases=[1, 2, 3, 4, 5, 6, 7, 13, 17, 33],
)
def mask_in_pieces(t, piece):
    payload = os.urandom(120)
    data = binary(payload, key=b"\x01\x20\x43\xf8")
    peer = t.open()
    peer.send_apart(
        [data[:6]] + [data[i : i + piece] for i in range(6, len(data), piece)], pause=0.002
    )
    peer.expect(BINARY, payload)


@row("RFC 6455 5.3", UNMASK + " (a large payload in odd pieces)", cases=[1021, 2047, 4099, 10001])
def mask_large_in_pieces(t, piece):
    payload = os.urandom(60000)
    data = binary(payload, key=b"\xa1\x20\x43\xf8")
    peer = t.open()
    peer.send_apart([data[i : i + piece] for i in range(0, len(data), piece)], pause=0.001)
    peer.expect(BINARY, payload)


@row(
    "RFC 6455 5.3",
    "Clients pick a fresh masking key for each frame: every frame is unmasked by its own",
)
def mask_key_per_frame(t):
    peer = t.open()
    keys = [bytes([i, 255 - i, i * 7 & 255, 1]) for i in range(20)]
    peer.send(b"".join(text(f"number {i:02}", key=k) for i, k in enumerate(keys)))
    for i in range(20):
        peer.expect_text(f"number {i:02}")


@row("RFC 6455 5.3", "every fragment is unmasked by its own key")
def mask_key_per_fragment(t):
    peer = t.open()
    peer.send(
        text("abc", fin=False, key=b"\1\2\3\4"), frame(CONT, b"defgh", fin=False, key=b"\5\6\7\x08")
    )
    peer.send(ping(b"between", key=b"\x55\xaa\x55\xaa"), frame(CONT, b"ij", key=b"\xff\0\xff\0"))
    peer.expect_pong(b"between")
    peer.expect_text("abcdefghij")


# -- examples of section 5.7 ----------------------------------------------------------------------------------------


@row(
    "RFC 6455 5.7",
    'A single-frame masked text message: 81 85 37 fa 21 3d 7f 9f 4d 51 58 (contains "Hello")',
)
def example_masked_text(t):
    peer = t.open()
    peer.send(bytes.fromhex("818537fa213d7f9f4d5158"))
    if peer.take(7) != bytes.fromhex("810548656c6c6f"):
        raise Wrong("the echo is not 81 05 Hello")


@row(
    "RFC 6455 5.7",
    "masked Ping response: 8a 85 37 fa 21 3d 7f 9f 4d 51 58; here as the ping 89, answered by 8a 05 Hello",
)
def example_ping(t):
    peer = t.open()
    peer.send(bytes.fromhex("898537fa213d7f9f4d5158"))
    if peer.take(7) != bytes.fromhex("8a0548656c6c6f"):
        raise Wrong("the pong is not 8a 05 Hello")


@row("RFC 6455 5.7", "256 bytes binary message in a single unmasked frame: 82 7E 0100 [256 bytes]")
def example_256(t):
    peer = t.open()
    peer.send(binary(b"q" * 256))
    if peer.take(260) != bytes.fromhex("827e0100") + b"q" * 256:
        raise Wrong("not 82 7E 0100 and 256 bytes")


@row(
    "RFC 6455 5.7",
    "64KiB binary message in a single unmasked frame: 82 7F 0000000000010000 [65536 bytes]",
)
def example_65536(t):
    peer = t.open()
    peer.send(binary(b"q" * 65536))
    if peer.take(65546) != bytes.fromhex("827f0000000000010000") + b"q" * 65536:
        raise Wrong("not 82 7F 0000000000010000 and 65536 bytes")


@row(
    "RFC 6455 6.1",
    "The opcode of the first frame MUST be set to the appropriate value: text or binary",
    cases={"text": TEXT, "binary": BINARY},
)
def echo_keeps_kind(t, opcode):
    peer = t.open()
    peer.send(frame(opcode, b"same kind"))
    peer.expect(opcode, b"same kind")


@row("RFC 6455 6.1", "The FIN bit of the last frame containing the data MUST be set to 1")
def echo_finishes(t):
    peer = t.open()
    peer.send(text("one"), text("two"))
    for word in ("one", "two"):
        peer.expect_text(word)
    peer.send(close(1000))
    peer.expect_close(1000)
