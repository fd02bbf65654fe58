"""Whether the real binary serves on the kernel it runs on: starts, echoes, chats, names its clients, drains."""
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True

from harness import main  # noqa: E402
from harness.rows import row  # noqa: E402
from harness.wire import BINARY, CLOSE, PONG, TEXT, Wrong, binary, ping, text  # noqa: E402

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 2s
routes:
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
"""
PATIENCE = 60.0  # an emulated processor
CLIENTS = 40  # more than the accepts that wait at a time


def start(t, more=""):
    return t.start(CONFIGURATION.replace("routes:", more + "routes:"))


def join(t, path, **how):
    peer = t.open(path, **how)
    peer.patience = PATIENCE
    return peer


def expect(peer, opcode, payload):
    frame = peer.frame()
    if frame.opcode != opcode or frame.payload != payload:
        raise Wrong(f"expected {len(payload)} bytes of opcode {opcode}, got {frame}")


@row("DESIGN 1", "A client's messages come back as they were, short ones, long ones and many at once", alone=True)
def echo(t):
    start(t)
    peer = join(t, "/echo")
    for size in (0, 1, 125, 126, 2048, 65536, 1 << 20):
        payload = bytes(i * 7 & 255 for i in range(256)) * (size // 256) + b"x" * (size % 256)
        peer.send(binary(payload))
        expect(peer, BINARY, payload)
    peer.send(*(text(str(i)) for i in range(500)))
    for i in range(500):
        expect(peer, TEXT, str(i).encode())
    peer.send(ping(b"now"))
    expect(peer, PONG, b"now")


@row("DESIGN 1", "What one publishes reaches all, once and in order; who has left is told of no more", alone=True)
def chat(t):
    start(t)
    peers = [join(t, "/chat/room") for _ in range(CLIENTS)]
    for i in range(20):
        peers[0].send(text(f"message {i}"))
    for peer in peers:
        for i in range(20):
            expect(peer, TEXT, f"message {i}".encode())
    for peer in peers[1::2]:
        peer.close()
    peers[0].send(text("last"))
    for peer in peers[::2]:
        expect(peer, TEXT, b"last")


@row("DESIGN 3", "Each client is known by its own address, whichever way this kernel tells it", alone=True)
def addresses(t):
    gateway = start(t)
    given = [join(t, "/echo", source=f"127.0.0.{i}").sock.getsockname() for i in range(2, 22)]
    listed = gateway.ask("GET", "/connections?limit=1000")[2].decode()
    missing = [f"{host}:{port}" for host, port in given if f"{host}:{port}" not in listed]
    if missing:
        raise Wrong(f"not listed: {missing}; {listed[:600]}")


@row("DESIGN 5, Drain", "SIGTERM: every client gets what was queued and 1012, and the process ends with 0", alone=True)
def drain(t):
    gateway = start(t)
    peers = [join(t, "/chat/room") for _ in range(CLIENTS)]
    peers[0].send(text("before"))
    expect(peers[0], TEXT, b"before")
    gateway.signal(signal.SIGTERM)
    for number, peer in enumerate(peers):
        if number > 0:
            expect(peer, TEXT, b"before")
        frame = peer.frame()
        if frame.opcode != CLOSE or frame.code != 1012:
            raise Wrong(f"expected 1012, got {frame}")
        peer.close()
    if gateway.wait(PATIENCE) != 0:
        raise Wrong(f"ended with {gateway.process.returncode}")


if __name__ == "__main__":
    options = main.parse(sys.argv[1:], __doc__)
    options.set_defaults(jobs=1)
    sys.exit(main.run(options.parse_args(), "kernel", [], lambda names: {}))
