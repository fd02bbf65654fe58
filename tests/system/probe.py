"""`holdfast probe`: what it says of our own gateway, and of everything that may stand on the way instead."""

import base64
import hashlib
import re
import socket
import subprocess
import time

from harness.gateway import binary_path, free_port
from harness.rows import row
from harness.service import Service
from harness.wire import Wrong
from system import tls

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
drain: 1s
routes:
  - {path: /echo, echo: {}, subprotocols: [chat.v2], origins: ["https://app.example.com"]}
"""
SOURCE = "holdfast(1), probe"


def probe(url, *arguments, status):
    done = subprocess.run(
        [binary_path(), "probe", url, *arguments], capture_output=True, text=True, timeout=30
    )
    if done.returncode != status:
        raise Wrong(f"exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def said(text, *patterns):
    for pattern in patterns:
        if not re.search(pattern, text, re.M):
            raise Wrong(f"no {pattern!r} in:\n{text}")


def standing(talk):
    """What may stand there instead: `talk(connection, head)` behind the head of a request."""
    return Service(lambda wire, service: talk(wire.sock, wire.head()))


def accept(connection, head, key=None):
    """The right 101."""
    key = key or re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1]
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def pongs(connection, count):
    """Answers so many of the probe's pings, each a frame of 8 masked bytes."""
    for _ in range(count):
        frame = connection.recv(14, socket.MSG_WAITALL)
        payload = bytes(b ^ frame[2 + i % 4] for i, b in enumerate(frame[6:]))
        connection.sendall(b"\x8a\x08" + payload)


@row(SOURCE, "our own gateway: 101, what was agreed on, three pongs")
def ours(t):
    gateway = t.start(BASE)
    url = f"ws://127.0.0.1:{gateway.port}/echo"
    arguments = ["--origin", "https://app.example.com", "--subprotocol", "chat.v1, chat.v2"]
    text = probe(url, *arguments, status=0)
    said(text, "^  answer       101 ", "^  accept       right$", "^  subprotocol  chat.v2$")
    said(text, r"^  ping         [\d.]+ ms, [\d.]+ ms, [\d.]+ ms$")
    text = probe(url, "--origin", "https://evil.example.com", status=1)
    said(text, "^  answer       403 ", "^  verdict      refused")
    said(probe(url + "/nowhere", status=1), "^  answer       404 ", "^  verdict      no such path")


@row(SOURCE, "--idle: silences that double are survived up to --max; a server's own pings are said")
def idle_survived(t):
    gateway = t.start(BASE + "keepalive: {ping: 1s, pong: 500ms}\n")
    url = f"ws://127.0.0.1:{gateway.port}/echo"
    text = probe(url, "--idle", "--max", "3s", "--origin", "https://app.example.com", status=0)
    said(text, r"^  idle         3.0 s survived \(the server pinged")


def plain(answer):
    return lambda connection, head: connection.sendall(answer)


def wrong_accept(connection, head):
    accept(connection, head, b"AAAAAAAAAAAAAAAAAAAAAA==")


def no_upgrade(connection, head):
    del head
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n")


def masked(connection, head):
    accept(connection, head)
    connection.sendall(b"\x81\x81abcdx")
    time.sleep(1)


@row(
    SOURCE,
    "what came instead of a WebSocket, in words",
    cases={
        "page": (
            plain(b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"),
            "a page answered",
        ),
        "server": (
            plain(b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"),
            "Server: nginx$",
        ),
        "redirect": (
            plain(b"HTTP/1.1 301 Moved\r\nLocation: https://x.test/\r\n\r\n"),
            "Location: https://x.test/$",
        ),
        "bad-gateway": (plain(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), "did not reach the service"),
        "stripped": (plain(b"HTTP/1.1 426 Upgrade Required\r\n\r\n"), "saw no Upgrade"),
        "tls": (plain(b"\x15\x03\x01\x00\x02\x02\x50"), "TLS is spoken there"),
        "garbage": (plain(b"SSH-2.0-OpenSSH\r\n"), "no HTTP"),
        "closed": (lambda connection, head: None, "the connection was closed instead"),
        "silent": (lambda connection, head: time.sleep(3), "none in time"),
        "wrong-accept": (wrong_accept, "wrong: something on the way"),
        "no-upgrade": (no_upgrade, "^  upgrade      missing"),
        "masked": (masked, "not WebSocket"),
    },
)
def instead(t, talk, pattern):
    with standing(talk) as service:
        said(probe(f"ws://127.0.0.1:{service.port}/x", "--timeout", "1s", status=1), pattern)


def cut(connection, head):
    accept(connection, head)
    pongs(connection, 3)
    time.sleep(1.2)


def close_frame(connection, head):
    accept(connection, head)
    pongs(connection, 3)
    time.sleep(0.5)
    connection.sendall(b"\x88\x02\x03\xe9")
    time.sleep(1)


def forgets(connection, head):
    accept(connection, head)
    pongs(connection, 3)
    time.sleep(6)


@row(
    SOURCE,
    "--idle says when and how a quiet connection was ended",
    cases={
        "fin": (cut, r"after 1\.[2-4] s the connection was closed \(FIN\)"),
        "close": (close_frame, r"closed by the server with 1001 after 0\.[5-7] s"),
        "silence": (forgets, r"after 2\.0 s the path was gone: no answer"),
    },
)
def idle_cut(t, talk, pattern):
    with standing(talk) as service:
        text = probe(f"ws://127.0.0.1:{service.port}/x", "--idle", "--max", "2s", "--timeout", "1s", status=1)
        said(text, pattern)


@row(SOURCE, "0: help; 2: wrong usage; 1: nobody listens", cases=["help", "usage", "field", "refused"])
def usage(t, case):
    url = f"ws://127.0.0.1:{free_port()}/"
    if case == "refused":
        said(probe(url, status=1), "no connection .*refused")
    elif case == "field":
        probe(url, "--header", "A: b\r\nC: d", status=2)
    elif case == "help":
        said(probe(url, "--help", status=0), "^usage: holdfast probe")
    else:
        probe("http://127.0.0.1/", status=2)


SECURE = BASE.replace(
    "  - address: 127.0.0.1:{port}\n",
    '  - {address: "127.0.0.1:{port}", tls: {certificate: chain.pem, key: key.pem}}\n',
).replace("1s\n", "1s\nkeepalive: {ping: 400ms, pong: 200ms}\n", 1)


@row(SOURCE, "wss: verified, the certificate that no browser would take is named, and --insecure looks behind it")
def secure(t):
    name = "localhost"
    files = tls.files(name=name)
    gateway = t.start(SECURE, files=files)
    chain = str(gateway.folder / "chain.pem")
    other = gateway.folder / "other.pem"
    other.write_text(tls.certificate(name="gateway.test")[0])
    url = f"wss://{name}:{gateway.port}/echo"
    text = probe(url, "--ca", chain, status=0)
    said(text, r"^  TLS          TLSv1.3, \S+, certificate verified in [\d.]+ ms$", "^  answer       101 ")
    said(text, r"^  ping         [\d.]+ ms, [\d.]+ ms, [\d.]+ ms$")
    text = probe(url, "--ca", chain, "--idle", "--max", "1s", status=0)
    said(text, r"^  idle         1.0 s survived \(the server pinged")
    text = probe(url, "--ca", str(other), status=1)
    said(text, "^  no TLS       .*: (nobody|its certificate is signed by itself)", "--insecure")
    text = probe(f"wss://127.0.0.1:{gateway.port}/echo", "--ca", chain, status=1)
    said(text, "^  no TLS       .*: its certificate is for another name$")
    text = probe(f"wss://127.0.0.1:{gateway.port}/echo", "--insecure", status=0)
    said(text, "certificate not looked at", "^  answer       101 ")
    text = probe(url, "--ca", "/nonexistent", status=1)
    said(text, "authorities that are trusted here cannot be read")
    text = probe(url.replace("wss", "ws"), status=1)
    said(text, "^  answer       400 ")
    plain_gateway = t.start(BASE)
    text = probe(f"wss://{name}:{plain_gateway.port}/echo", "--insecure", status=1)
    said(text, "^  no TLS       ")
