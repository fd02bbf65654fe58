"""SIGTERM: every client sees 1012, and before it every message that was queued for it; nobody new is let in."""

import signal
import threading
import time

from harness.crowd import Crowd
from harness.rows import row
from harness.wire import Wrong, request, text, upgrade

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {connections: 20000, handshake: 20s}
keepalive: {ping: 60s, pong: 20s}
drain: DRAIN
routes:
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
"""

DRAIN = "DESIGN 5, Drain"


def start(t, drain="2s", **how):
    return t.start(CONFIGURATION.replace("DRAIN", drain), **how)


class Publisher(threading.Thread):
    """Publishes 0, 1, 2 ... to one channel until it is told to stop or the gateway no longer takes it."""

    def __init__(self, gateway, channel, pause):
        super().__init__(daemon=True)
        self.gateway, self.channel, self.pause = gateway, channel, pause
        self.taken = 0  # so many were answered with 200
        self.stopping = False

    def run(self):
        while not self.stopping:
            item = {"channel": self.channel, "text": str(self.taken)}
            try:
                if self.gateway.ask("POST", "/publish", item)[0] != 200:
                    return
            except OSError:
                return
            self.taken += 1
            time.sleep(self.pause)


def under_traffic(t, count, drain, pause):
    gateway = start(t, drain)
    with Crowd(gateway.address) as crowd:
        crowd.join(count, "/chat/drain")
        publisher = Publisher(gateway, "chat.drain", pause)
        publisher.start()
        crowd.until(lambda: publisher.taken >= 20, 60, "20 published messages")
        gateway.signal(signal.SIGTERM)
        taken_before = publisher.taken
        crowd.until(lambda: all(m.end for m in crowd.members), 90, "the end of every connection")
        publisher.stopping = True
        gateway.wait(30)
        publisher.join()
        for member in crowd.members:
            if member.code != 1012 or member.end != "fin":
                raise Wrong(f"client {member.name}: code {member.code}, TCP ended by {member.end}")
            numbers = [int(m) for m in member.messages]
            if numbers != list(range(len(numbers))):
                raise Wrong(f"client {member.name} has a hole: {numbers[:5]}...{numbers[-5:]}")
            if len(numbers) < taken_before:
                raise Wrong(
                    f"client {member.name} got {len(numbers)} of {taken_before} queued before SIGTERM"
                )


@row(
    DRAIN,
    "1,000 connections under traffic: 1012 for everyone, and every message queued before it",
    slow=True,
)
def thousand(t):
    under_traffic(t, 1000, "2s", 0.02)


@row(
    DRAIN,
    "10,000 connections under traffic: 1012 for everyone, and every message queued before it",
    tier="all",
    alone=True,
)
def ten_thousand(t):
    under_traffic(t, 10000, "5s", 0.2)


@row(DRAIN, "echoes of what was sent before SIGTERM are not lost")
def echoes(t):
    gateway = start(t, "1s")
    with Crowd(gateway.address) as crowd:
        members = crowd.join(100, "/echo")
        for number in range(20):
            for member in members:
                crowd.send(member, text(str(number)))
        crowd.until(lambda: all(len(m.messages) == 20 for m in members), 20, "all echoes")
        for member in members:
            crowd.send(member, text("last"))
        gateway.signal(signal.SIGTERM)
        crowd.until(lambda: all(m.end for m in members), 30, "the end of every connection")
        for member in members:
            if member.code != 1012 or member.end != "fin" or member.messages[20:] != [b"last"]:
                raise Wrong(f"{member.code} {member.end} {member.messages[20:]}")


@row(DRAIN, "connections are closed spread over `drain`, not all at once")
def spread(t):
    gateway = start(t, "2s")
    with Crowd(gateway.address) as crowd:
        crowd.join(200, "/echo")
        gateway.signal(signal.SIGTERM)
        began = time.monotonic()
        times = []
        while len(times) < 200 and time.monotonic() - began < 20:
            crowd.turn()
            ended = sum(1 for m in crowd.members if m.end)
            times += [time.monotonic() - began] * (ended - len(times))
        early, late = sum(1 for at in times if at < 1), sum(1 for at in times if at >= 1)
        if len(times) != 200 or early < 40 or late < 40 or times[-1] > 4:
            raise Wrong(
                f"{early} ended in the first second, {late} later, the last after {times[-1]:.1f} s"
            )


@row(DRAIN, "readiness goes false; the admin listener answers while it drains")
def readiness(t):
    gateway = start(t, "3s")
    peer = t.open("/echo")
    if gateway.ask("GET", "/ready")[0] != 200 or gateway.ask("GET", "/live")[0] != 200:
        raise Wrong("not ready although it serves")
    gateway.signal(signal.SIGTERM)
    until = time.monotonic() + 2
    while gateway.ask("GET", "/ready")[0] == 200:
        if time.monotonic() > until:
            raise Wrong("/ready still says 200")
        time.sleep(0.01)
    if gateway.ask("GET", "/ready")[0] != 503 or gateway.ask("GET", "/live")[0] != 200:
        raise Wrong("/ready is to say 503, /live 200")
    peer.expect_close(1012)


@row(DRAIN, "accept stops: nobody new is served, in whatever way that is said")
def nobody_new(t):
    gateway = start(t, "3s")
    peer = t.open("/echo")
    gateway.signal(signal.SIGTERM)
    until = time.monotonic() + 2
    while gateway.ask("GET", "/ready")[0] == 200 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    began = time.monotonic()
    try:
        late = t.peer()
        late.send(upgrade())
        answer = late.response()
    except (OSError, Wrong):
        answer = None  # refused or reset
    if (answer and answer.status != 503) or time.monotonic() - began > 1:
        raise Wrong(f"a new client got {answer} after {time.monotonic() - began:.1f} s")
    peer.expect_close(1012)


@row(DRAIN, "a kept-alive HTTP connection is closed, too, and the process ends with 0")
def idle_http(t):
    gateway = start(t, "1s")
    peer = t.peer()
    peer.send(request("/nowhere"))
    peer.response()
    gateway.signal(signal.SIGTERM)
    peer.expect_end(10)
    if gateway.wait(10) != 0:
        raise Wrong(f"exit status {gateway.process.returncode}")


@row(DRAIN, "without connections the process ends at once")
def nobody_there(t):
    gateway = start(t, "30s")
    began = time.monotonic()
    gateway.signal(signal.SIGTERM)
    if gateway.wait(10) != 0 or time.monotonic() - began > 3:
        raise Wrong(f"status {gateway.process.returncode} after {time.monotonic() - began:.1f} s")


@row(DRAIN, "a second SIGTERM hurries: 1012 for everyone now")
def hurry(t):
    gateway = start(t, "60s")
    with Crowd(gateway.address) as crowd:
        crowd.join(200, "/echo")
        gateway.signal(signal.SIGTERM)
        time.sleep(0.3)
        gateway.signal(signal.SIGTERM)
        began = time.monotonic()
        crowd.until(lambda: all(m.end for m in crowd.members), 15, "the end of every connection")
        if time.monotonic() - began > 8 or any(
            m.code != 1012 or m.end != "fin" for m in crowd.members
        ):
            raise Wrong(
                f"after {time.monotonic() - began:.1f} s: {set((m.code, m.end) for m in crowd.members)}"
            )
    if gateway.wait(10) != 0:
        raise Wrong(f"exit status {gateway.process.returncode}")


@row(DRAIN, "a peer that does not answer the Close does not keep the process")
def silent_peer(t):
    gateway = start(t, "1s")
    peer = t.open("/echo")
    gateway.signal(signal.SIGTERM)
    peer.expect_close(1012)
    if gateway.wait(15) != 0:
        raise Wrong(f"exit status {gateway.process.returncode}")


@row(DRAIN, "SIGINT drains as SIGTERM does")
def interrupt(t):
    gateway = start(t, "1s")
    peer = t.open("/echo")
    gateway.signal(signal.SIGINT)
    peer.expect_close(1012)
    if gateway.wait(15) != 0:
        raise Wrong(f"exit status {gateway.process.returncode}")


@row(
    "issue 2.7",
    'POST /drain {"over": ...} closes everyone with 1012 over that time; the process stays',
)
def by_admin(t):
    gateway = start(t, "30s")
    with Crowd(gateway.address) as crowd:
        crowd.join(100, "/echo")
        status, _, body = gateway.ask("POST", "/drain", {"over": "1s"})
        if status != 200:
            raise Wrong(f"{status} {body}")
        crowd.until(lambda: all(m.end for m in crowd.members), 15, "the end of every connection")
        if any(m.code != 1012 or m.end != "fin" for m in crowd.members):
            raise Wrong(f"{set((m.code, m.end) for m in crowd.members)}")
