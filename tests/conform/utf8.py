"""RFC 6455 sections 5.6 and 8.1: text is UTF-8, the first bad byte fails, no character is cut at the end."""

from conform.verbs import survives, violates
from harness.rows import row
from harness.wire import BINARY, CONT, TEXT, binary, close, frame, ping, text

OPTIONS = {"portable": True}

VALID = "the whole message MUST contain valid UTF-8 (it does, and is echoed unchanged)"
GOOD = {
    "ascii-first": "\0",
    "ascii-last": "\x7f",
    "two-first": "\u0080",
    "two-last": "\u07ff",
    "three-first": "\u0800",
    "before-surrogates": "\ud7ff",
    "after-surrogates": "\ue000",
    "three-last": "\uffff",
    "nonchar-fffe": "\ufffe",
    "nonchar-fdd0": "\ufdd0",
    "replacement": "\ufffd",
    "four-first": "\U00010000",
    "four-last": "\U0010ffff",
    "plane-end": "\U0001ffff",
    "bom": "\ufeffabc",
    "kosme": "κόσμε",
    "emoji": "👩‍👩‍👧‍👦",
    "nul-inside": "a\0b",
    "all-lengths": "aé€𐍈" * 20,
    "e0-a0": "\u0800\u0fff",
    "ed-9f": "\ud7ff\ud000",
    "f0-90": "\U00010000\U0003ffff",
    "f4-8f": "\U0010ffff\U00100000",
}


@row("RFC 6455 5.6", VALID, cases=GOOD)
def valid(t, string):
    peer = t.open()
    peer.send(text(string))
    peer.expect_text(string)
    survives(peer)


INVALID = "When a byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST Fail the WebSocket Connection (1007)."
BAD = {
    "lone-80": "80",
    "lone-bf": "bf",
    "two-lone": "8080",
    "c0": "c0",
    "c0-80": "c080",
    "c1-bf": "c1bf",
    "overlong-slash-2": "c0af",
    "overlong-slash-3": "e080af",
    "overlong-slash-4": "f08080af",
    "overlong-max-2": "c1bf",
    "overlong-max-3": "e09fbf",
    "overlong-max-4": "f08fbfbf",
    "nul-2": "c080",
    "nul-3": "e08080",
    "nul-4": "f0808080",
    "surrogate-first": "eda080",
    "surrogate-last-high": "edafbf",
    "surrogate-first-low": "edb080",
    "surrogate-last": "edbfbf",
    "surrogate-pair": "eda080edb080",
    "above-max": "f4908080",
    "f5": "f5808080",
    "f7": "f7bfbfbf",
    "five-bytes": "f888808080",
    "six-bytes": "fc8480808080",
    "fe": "fe",
    "ff": "ff",
    "fe-fe-ff-ff": "fefeffff",
    "two-then-ascii": "c320",
    "three-then-ascii": "e28220",
    "four-then-ascii": "f0908d20",
    "two-then-two": "c3c3a9",
    "three-cut-by-lead": "e282c3a9",
    "latin1": "63616ee9",
    "ed-a0-only": "eda0",
    "kosme-surrogate": "cebae1bdb9cf83cebcceb5eda080656469746564",
}


@row("RFC 6455 8.1", INVALID, cases=BAD)
def invalid(t, data):
    violates(t, text(bytes.fromhex(data)), 1007)


@row(
    "RFC 6455 8.1",
    INVALID + " (in the middle of good text)",
    cases={
        name: BAD[name]
        for name in (
            "lone-80",
            "c0-80",
            "overlong-slash-3",
            "surrogate-first",
            "above-max",
            "ff",
            "two-then-ascii",
        )
    },
)
def invalid_inside(t, data):
    violates(t, text(b"good text before " + bytes.fromhex(data) + b" and good text after"), 1007)


CUT = {
    "2-of-2": "c3",
    "1-of-3": "e2",
    "2-of-3": "e282",
    "1-of-4": "f0",
    "2-of-4": "f090",
    "3-of-4": "f0908d",
}


@row(
    "RFC 6455 5.6", "the whole message MUST contain valid UTF-8: a character cut at FIN", cases=CUT
)
def cut_at_fin(t, data):
    violates(t, text(b"cut: " + bytes.fromhex(data)), 1007)


@row("RFC 6455 5.6", "a character cut at the FIN of the last fragment", cases=CUT)
def cut_at_fin_of_fragment(t, data):
    violates(t, text(b"cut: ", fin=False) + frame(CONT, bytes.fromhex(data)), 1007)


@row(
    "RFC 6455 5.6",
    "a character cut at FIN, where the last fragment is empty",
    cases={"2-of-2": "c3", "3-of-4": "f0908d"},
)
def cut_before_empty_fragment(t, data):
    violates(t, text(bytes.fromhex(data), fin=False) + frame(CONT, b""), 1007)


@row(
    "RFC 6455 5.6",
    "a particular text frame might include a partial UTF-8 sequence (cut between fragments)",
    cases={
        f"{name}-{cut}": (char, cut)
        for name, char in (("2", "é"), ("3", "€"), ("4", "𐍈"))
        for cut in range(1, len(char.encode()))
    },
)
def cut_between_fragments(t, char, cut):
    data = char.encode()
    peer = t.open()
    peer.send(text(b"<" + data[:cut], fin=False), frame(CONT, data[cut:] + b">"))
    peer.expect_text(f"<{char}>")
    survives(peer)


@row(
    "RFC 6455 5.6", "partial sequences: a byte in every fragment, pings and empty fragments between"
)
def byte_in_every_fragment(t):
    data = "aé€𐍈z".encode()
    peer = t.open()
    peer.send(text(data[:1], fin=False))
    for i in range(1, len(data)):
        peer.send(
            frame(CONT, data[i : i + 1], fin=False), frame(CONT, b"", fin=False), ping(b"\xff")
        )
        peer.expect_pong(b"\xff")
    peer.send(frame(CONT, b""))
    peer.expect_text(data)


@row(
    "RFC 6455 5.6",
    "partial sequences: cut between segments inside one frame",
    cases={f"cut-{cut}": cut for cut in range(1, 10)},
)
def cut_between_segments(t, cut):
    data = "é€𐍈".encode()
    whole = text(data)
    peer = t.open()
    peer.send_apart(
        [whole[: 6 + cut], whole[6 + cut :]] if cut < len(data) else [whole], pause=0.01
    )
    peer.expect_text(data)


EARLY = "fail-fast: the first bad byte fails the connection, not the end of the message"


@row(
    "RFC 6455 8.1",
    EARLY + " (in the first of several fragments)",
    cases={
        "ff": "ff",
        "c0": "c0",
        "surrogate": "eda0",
        "overlong-3": "e080",
        "overlong-4": "f080",
        "above": "f490",
    },
)
def early_in_fragment(t, data):
    peer = t.open()
    peer.send(text(b"good " + bytes.fromhex(data), fin=False))
    peer.expect_close(1007)
    peer.send(close(1007))
    peer.expect_end()


@row(
    "RFC 6455 8.1",
    EARLY + " (the frame's payload is still arriving)",
    cases={
        "ff": "ff",
        "c0": "c0",
        "surrogate": "eda0",
        "overlong-4": "f080",
        "above": "f490",
        "cut-by-ascii": "e28241",
    },
)
def early_in_frame(t, data):
    bad = b"good " + bytes.fromhex(data)
    peer = t.open()
    peer.send(text(bad + b"." * 200)[: 8 + len(bad)])
    peer.expect_close(1007)
    peer.shut()
    peer.expect_end()


@row("RFC 6455 8.1", EARLY + " (a large frame of which little has come)")
def early_in_large_frame(t):
    peer = t.open()
    peer.send(text(b"." * 5000 + b"\xff" + b"." * 200000)[:6000])
    peer.expect_close(1007)
    peer.shut()
    peer.expect_end()


@row(
    "RFC 6455 8.1",
    EARLY + " (a continuation that cannot follow what the fragment before left open)",
    cases={
        "ascii": ("e282", "41"),
        "lead": ("c3", "c3"),
        "surrogate": ("ed", "a0"),
        "overlong-3": ("e0", "80"),
        "overlong-4": ("f0", "8f"),
        "above": ("f4", "90"),
    },
)
def early_in_continuation(t, first, second):
    peer = t.open()
    peer.send(text(bytes.fromhex(first), fin=False), frame(CONT, bytes.fromhex(second), fin=False))
    peer.expect_close(1007)
    peer.send(close(1007))
    peer.expect_end()


@row(
    "RFC 6455 8.1",
    INVALID + " (at the edges of vectors and words)",
    cases=[
        0,
        1,
        7,
        8,
        14,
        15,
        16,
        17,
        30,
        31,
        32,
        33,
        47,
        48,
        62,
        63,
        64,
        65,
        127,
        128,
        129,
        1023,
        1024,
    ],
)
def invalid_at_offset(t, offset):
    violates(t, text(b"a" * offset + b"\xff" + b"b" * 70), 1007)


@row(
    "RFC 6455 8.1",
    INVALID + " (a surrogate that straddles a vector)",
    cases=[13, 14, 15, 29, 30, 31, 61, 62, 63],
)
def surrogate_at_offset(t, offset):
    violates(t, text(b"a" * offset + b"\xed\xa0\x80" + b"b" * 70), 1007)


@row(
    "RFC 6455 5.6",
    VALID + " (characters that straddle vectors)",
    cases=[13, 14, 15, 16, 29, 30, 31, 32, 61, 62, 63, 64],
)
def valid_at_offset(t, offset):
    string = "a" * offset + "𐍈€é" + "b" * 70
    peer = t.open()
    peer.send(text(string))
    peer.expect_text(string)


@row(
    "RFC 6455 8.1",
    INVALID + " (as the last byte of long text)",
    cases=[1, 15, 16, 31, 32, 63, 64, 65, 4095, 4096, 65536],
)
def invalid_last_byte(t, offset):
    violates(t, text(b"a" * offset + b"\xc3"), 1007)


@row(
    "RFC 6455 5.6",
    VALID + " (large, arriving in pieces that cut characters)",
    cases=[999, 2047, 4001],
)
def valid_large(t, piece):
    string = "κόσμε🎈" * 3000
    data = text(string)
    peer = t.open()
    peer.send_apart([data[i : i + piece] for i in range(0, len(data), piece)], pause=0)
    peer.expect_text(string)


@row(
    "RFC 6455 5.6",
    "Binary: arbitrary data whose interpretation is up to the application (never UTF-8-checked)",
    cases={"ff": "ff", "cut": "e282", "surrogate": "eda080"},
)
def binary_is_not_checked(t, data):
    peer = t.open()
    peer.send(
        binary(bytes.fromhex(data)), binary(bytes.fromhex(data), fin=False), frame(CONT, b"\xff")
    )
    peer.expect(BINARY, bytes.fromhex(data))
    peer.expect(BINARY, bytes.fromhex(data) + b"\xff")


@row("RFC 6455 5.6", "state does not leak: a binary message that ends in a lead byte, then text")
def state_does_not_leak_from_binary(t):
    peer = t.open()
    peer.send(binary(b"\xe2\x82"), text("clean"), text(b"\xc3\xa9"))
    peer.expect(BINARY, b"\xe2\x82")
    peer.expect_text("clean")
    peer.expect_text("é")


@row(
    "RFC 6455 5.6",
    "state does not leak: a ping with half a character between the halves of another",
)
def state_does_not_leak_from_ping(t):
    peer = t.open()
    peer.send(text(b"\xe2", fin=False), ping(b"\xc3"), frame(CONT, b"\x82\xac"))
    peer.expect_pong(b"\xc3")
    peer.expect_text("€")


@row(
    "RFC 6455 5.6",
    "state does not leak: the halves of a character in two messages are two errors, not one character",
)
def two_halves_in_two_messages(t):
    violates(t, text(b"\xc3") + text(b"\xa9"), 1007)


@row(
    "RFC 6455 5.6",
    "a message that begins with a continuation byte is not saved by the message before",
)
def continuation_byte_in_next_message(t):
    peer = t.open()
    peer.send(text("é"), text(b"\xa9"))
    peer.expect_text("é")
    peer.expect_close(1007)
    peer.send(close(1007))
    peer.expect_end()


@row("RFC 6455 5.6", "empty text is valid", cases={"whole": [b""], "fragments": [b"", b""]})
def empty_text(t, pieces):
    peer = t.open()
    last = len(pieces) - 1
    peer.send(
        b"".join(frame(TEXT if i == 0 else CONT, p, fin=i == last) for i, p in enumerate(pieces))
    )
    peer.expect_text("")
