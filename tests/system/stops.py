"""The process stands still, as under SIGSTOP, a suspended machine or a stolen processor, and goes on: clients that did
answer meanwhile are read before they are judged."""

import signal
import time

from harness.crowd import Crowd
from harness.rows import row
from harness.wire import PONG, Wrong, frame, text
from system.faults import configuration


@row(
    "facts/faults 12",
    "stopped for longer than every deadline and continued: what arrived is read first, and nobody is closed",
    alone=True,
)
def stopped(t):
    gateway = t.start(configuration(keepalive="{ping: 800ms, pong: 600ms}", limits="{handshake: 1s}"))
    with Crowd(gateway.address) as crowd:
        members = crowd.join(100, "/echo")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:  # pings are out and answered
            crowd.turn()
        gateway.signal(signal.SIGSTOP)
        for member in members:
            crowd.send(member, text("while you slept"))
        end = time.monotonic() + 4
        while time.monotonic() < end:
            crowd.turn()
        gateway.signal(signal.SIGCONT)
        crowd.until(lambda: all(m.messages for m in members), 5, "what was sent meanwhile")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            crowd.turn()
        if any(m.end or m.code for m in members):
            raise Wrong(f"{sum(1 for m in members if m.end or m.code)} of 100 were closed")


@row(
    "facts/faults 12",
    "stopped for less than a second, with more pongs come meanwhile than one turn reads: nobody is closed for want of one",
    alone=True,
)
def stopped_shortly(t):
    gateway = t.start(
        configuration(workers=1, keepalive="{ping: 3s, pong: 1s}", engine="engine: {buffers: 64}")
    )
    with Crowd(gateway.address) as crowd:
        members = crowd.join(2500, "/echo")
        first = None  # ping seen; nobody reads from here on, so nobody answers
        while first is None or time.monotonic() < first + 0.7:
            if first is None and gateway.metric("holdfast_pings_sent_total") > 0:
                first = time.monotonic()
            time.sleep(0.01)
        gateway.signal(signal.SIGSTOP)
        for member in members:
            crowd.send(member, frame(PONG, b""))
        time.sleep(max(0, first + 1.6 - time.monotonic()))
        gateway.signal(signal.SIGCONT)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            crowd.turn()
        missed = gateway.metric("holdfast_faults_total", fault="pong_timeout")
        if missed or any(m.end or m.code for m in members):
            raise Wrong(f"{missed:.0f} of {len(members)} were closed for a pong that had come")
