"""kill -9 and start again; what a process that died leaves behind does not keep the next one from serving."""

import re
import signal
import subprocess
import time

from harness.gateway import binary_path
from harness.rows import row
from harness.wire import Wrong, text, upgrade

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
routes:
  - {path: /echo, echo: {}}
"""


@row(
    "DESIGN 7, system",
    "kill -9: the next process serves on the same port at once",
    cases=["idle", "connected"],
)
def killed(t, how):
    gateway = t.start(BASE)
    peers = [t.open("/echo") for _ in range(20)] if how == "connected" else []
    gateway.signal(signal.SIGKILL)
    gateway.wait()
    for peer in peers:
        try:
            peer.rest()
        except Wrong as wrong:
            if "reset" not in str(wrong):
                raise
        peer.close()
    began = time.monotonic()
    gateway.start()
    peer = t.open("/echo")
    peer.send(text("again"))
    peer.expect_text("again")
    if time.monotonic() - began > 10:
        raise Wrong("it took more than 10 s")


@row(
    "DESIGN 3, flight recorder",
    "`holdfast trace`, and a process that aborts, say what each worker did last",
    cases=["trace", "abort"],
)
def flight_recorder(t, how):
    gateway = t.start(BASE)
    peer = t.open("/echo")
    if how == "trace":
        command = [binary_path(), "trace", "-c", str(gateway.file)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        wanted = r"^[01] \d+ t=\d+ conn \d+ verdict -> open$"  # its worker, its number there, when
    else:
        gateway.expected_status = -signal.SIGABRT
        gateway.signal(signal.SIGABRT)
        gateway.wait()
        told = gateway.log()
        wanted = r"^flight recorder of worker 0[01]\n(?:.*\n)*\d+ t=\d+ conn \d+ verdict -> open$"
    peer.close()
    if not re.search(wanted, told, re.M):
        raise Wrong(f"not a word of the connection that was opened: {told[-1000:]}")


@row(
    "DESIGN 7, system",
    "a port that is taken is said in one clear line, with a non-zero exit status",
)
def port_taken(t):
    first = t.start(BASE)
    second = BASE.replace("{port}", str(first.port))
    try:
        t.start(second, name="second")
    except SystemExit as ended:
        t.started.pop()
        if str(first.port) not in str(ended) or "ended with" not in str(ended):
            raise Wrong(str(ended)) from None
        return
    # SO_REUSEPORT lets a second process of the same user share the port: both serve
    peer = t.open("/echo", address=first.address)
    peer.send(text("shared"))
    peer.expect_text("shared")


@row(
    "DESIGN 5, Bad input",
    "peers that reset in the middle of everything leave no trace",
    cases={"head": b"GET /ec", "open": upgrade(), "frame": upgrade() + text("x" * 5000)[:2000]},
)
def resets(t, data):
    import socket
    import struct

    gateway = t.start(BASE)
    for _ in range(50):
        peer = t.peer()
        peer.send(data)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    peer = t.open("/echo")
    peer.send(text("fine"))
    peer.expect_text("fine")
    until = time.monotonic() + 5
    while gateway.metric("holdfast_connections") > 1:
        if time.monotonic() > until:
            raise Wrong(
                f"{gateway.metric('holdfast_connections'):.0f} connections are still counted"
            )
        time.sleep(0.05)
