"""One client that floods costs the others on its worker a bounded wait."""

import pathlib
import subprocess
import sys
import time

from harness.rows import row
from harness.wire import Wrong, text

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
drain: 1s
routes:
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
  - {path: "/quiet/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}", echo_self: false}}
  - {path: "/me/{name}", channels: {subscribe: ["user.{name}"], allow: ["room.*"]}}
"""

HONEST = 50
ROUNDS = 6
# Of the slow half of the round trips with the flood to those without it. The machine is shared and has few cores:
# the flood itself takes one. A server that serves the flood first takes seconds, thousands of times as long.
RATIO = 60
LEAST = 0.0005  # seconds: below this the run without flood says more about the machine than about the server


def trips(peers):
    """Seconds of each round trip, one after the other."""
    taken = []
    for turn in range(ROUNDS):
        for number, peer in enumerate(peers):
            said = f"{turn}-{number}"
            began = time.monotonic()
            peer.send(text(said))
            peer.expect_text(said)
            taken.append(time.monotonic() - began)
    return sorted(taken)


@row(
    "DESIGN 3, the turn",
    "fifty honest clients go on while one floods their worker",
    cases={
        "echo": ("echo", "/echo", "holdfast_messages_in_total", 2000),
        "ping": ("ping", "/echo", "holdfast_pings_received_total", 2000),
        "publish": ("publish", "/quiet/flood", "holdfast_published_total", 2000),
        "envelope": ("envelope", "/me/flood?envelope=json", "holdfast_published_total", 2000),
        # It gets back what it says, and is cut when it does not read that: then there is no more flood.
        "chat": ("publish", "/chat/flood", "holdfast_published_total", 0),
    },
    alone=True,
)
def flood(t, kind, path, counter, least):
    gateway = t.start(BASE)
    peers = [t.open("/echo" if i % 2 else f"/chat/{i}") for i in range(HONEST)]
    calm = trips(peers)
    program = pathlib.Path(__file__).with_name("flood.py")
    flooder = subprocess.Popen(
        [sys.executable, str(program), "127.0.0.1", str(gateway.port), kind, path],
        stdout=subprocess.PIPE,
    )
    try:
        flooder.stdout.readline()
        time.sleep(0.3)
        before, began = gateway.metric(counter), time.monotonic()
        busy = trips(peers)
        rate = (gateway.metric(counter) - before) / (time.monotonic() - began)
        if least and flooder.poll() is not None:
            raise Wrong("the flood was cut: it only was to wait")
    finally:
        flooder.kill()
        flooder.wait()
    if rate < least:
        raise Wrong(f"{rate:.0f} a second is no flood")
    for name, share in (("median", 0.5), ("95th of a hundred", 0.95)):
        at = int(len(calm) * share)
        ratio = busy[at] / max(calm[at], LEAST)
        if ratio > RATIO:
            raise Wrong(
                f"{name}: {busy[at] * 1000:.1f} ms with the flood of {rate:.0f}/s, "
                f"{calm[at] * 1000:.1f} ms without: {ratio:.0f} times"
            )
    if "--times" in sys.argv:
        print(
            f"{path}: {rate:.0f}/s, median {calm[len(calm) // 2] * 1000:.2f} -> {busy[len(busy) // 2] * 1000:.2f} ms, "
            f"most {calm[-1] * 1000:.2f} -> {busy[-1] * 1000:.2f} ms"
        )
