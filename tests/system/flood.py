"""A client that floods as fast as it can, in a process of its own: flood.py HOST PORT KIND PATH. Ends with its parent."""

import ctypes
import pathlib
import signal
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True

from harness.wire import ping, text, upgrade  # noqa: E402

FRAMES = {
    "echo": lambda: text("f" * 20, key=b"\0\0\0\0"),
    "ping": lambda: ping(b"flood", key=b"\0\0\0\0"),
    "publish": lambda: text("f" * 20, key=b"\0\0\0\0"),
    "envelope": lambda: text('{"publish":"room.flood","data":"f"}', key=b"\0\0\0\0"),
}


def swallow(sock):
    while sock.recv(1 << 20):
        pass


def main(host, port, kind, path):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    sock = socket.create_connection((host, int(port)))
    sock.sendall(upgrade(path))
    if not sock.recv(4096).startswith(b"HTTP/1.1 101 "):
        sys.exit("not let in")
    threading.Thread(target=swallow, args=(sock,), daemon=True).start()
    chunk = FRAMES[kind]() * 2000
    print("begun", flush=True)
    while True:
        sock.sendall(chunk)


if __name__ == "__main__":
    main(*sys.argv[1:])
