"""The log: one line per event, as text or JSON; what peers send cannot forge a line or fill a disk."""

import json
import re
import signal
import time

from harness.rows import row
from harness.wait import eventually
from harness.wire import Wrong, frame, request

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
log: {level: LEVEL, format: FORMAT}
drain: 1s
routes:
  - {path: /echo, echo: {}}
"""


def start(t, level="info", form="text"):
    return t.start(BASE.replace("LEVEL", level).replace("FORMAT", form))


@row("issue 2.8", "format: json: every line is one JSON object with time, level and event")
def as_json(t):
    gateway = start(t, "debug", "json")
    peer = t.open("/echo")
    peer.send(frame(3, b"violation"))
    peer.expect_close(1002)
    peer.close()
    eventually(lambda: "opcode_reserved" in gateway.log(), "the cause of the close in the log")
    lines = gateway.log().splitlines()
    for line in lines:
        item = json.loads(line)
        if not {"level", "event"} <= set(item) or not any(k in item for k in ("time", "ts", "at")):
            raise Wrong(f"{line}")


@row("issue 2.8", "format: text: one line per event, with a time and a level")
def as_text(t):
    gateway = start(t)
    t.open("/echo")
    for line in gateway.log().splitlines():
        if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", line) or not re.search(
            r"\b(debug|info|warn|error)\b", line
        ):
            raise Wrong(f"{line}")


@row(
    "issue 2.8",
    "every closed connection's cause at debug, and none of it at info",
    cases={"debug": True, "info": False},
)
def causes(t, wanted):
    gateway = start(t, "debug" if wanted else "info")
    peer = t.open("/echo")
    peer.send(frame(3, b"violation"))
    peer.expect_close(1002)
    peer.close()
    other = t.open("/echo")
    other.leave(1000)
    if wanted:
        eventually(
            lambda: "opcode_reserved" in gateway.log() and "closed_by_peer" in gateway.log(),
            "both causes",
        )
    else:
        time.sleep(0.3)
        if "closed_by_peer" in gateway.log():
            raise Wrong("an ordinary close at info")


@row("issue 2.8", "an id in the log is the id of the admin API: worker-index-generation")
def ids(t):
    gateway = start(t, "debug")
    peer = t.open("/echo")
    identity = json.loads(gateway.ask("GET", "/connections")[2])["connections"][0]["id"]
    peer.leave(1000)
    eventually(lambda: identity in gateway.log(), f"{identity} in the log")


@row("issue 2.8", "what a peer sends cannot forge a line", cases={"text": "text", "json": "json"})
def no_forgery(t, form):
    gateway = start(t, "debug", form)
    for path in ("/nothing%0aforged%20line", "/nothing?x=%0d%0aforged"):
        peer = t.peer()
        peer.send(request(path))
        peer.response()
    peer = t.open("/echo")
    peer.send(frame(8, b"\x0f\xa0forged\nforged line"))
    peer.expect_close(4000)
    time.sleep(0.3)
    for line in gateway.log().splitlines():
        if line.startswith("forged"):
            raise Wrong(f"{line}")


@row(
    "issue 2.8",
    "rate-limited: a storm of refusals does not fill the disk, and what was left out is counted",
)
def storm(t):
    gateway = start(t, "debug")
    peer = t.peer()
    for _ in range(40):
        peer.send(request("/nowhere") * 50)
        for _ in range(50):
            peer.response()
    for _ in range(300):
        other = t.peer()
        other.send(b"garbage\r\n\r\n")
        other.response()
        other.close()
    time.sleep(1.2)
    size = len(gateway.log())
    if size > 400_000:
        raise Wrong(f"{size} bytes of log")


@row("issue 2.8", "the last lines are there, and each of them once")
def last_lines(t):
    for _ in range(5):  # which turn the last write falls into is a matter of luck
        gateway = start(t)
        gateway.stop()
        events = [line.split()[3] for line in gateway.log().splitlines()]
        for event in ("draining", "stopping", "stopped"):
            if events.count(event) != 1:
                raise Wrong(f"{event} stands {events.count(event)} times in {events}")


@row("issue 2.8", "an unknown level or format is an error of the configuration")
def unknown_level(t):
    for level, form in (("loud", "text"), ("info", "xml")):
        try:
            start(t, level, form)
        except SystemExit:
            t.started.pop()
            continue
        raise Wrong(f"{level} {form} was accepted")


SHARED = """\
listeners:
  - address: ADDRESS
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
routes:
  - {path: /echo, echo: {}}
"""


@row(
    "DESIGN 1",
    "an address that another process serves already is named at start, once; one of its own workers is not",
    cases={"same": "127.0.0.1", "wildcard": "0.0.0.0"},
)
def address_shared(t, host):
    def warnings(gateway):
        return [line for line in gateway.log().splitlines() if "address_shared" in line]

    first = t.start(SHARED.replace("  - address: ADDRESS\n", ""))
    if warnings(first):
        raise Wrong(f"{warnings(first)}")
    address = f"{host}:{first.port}"
    second = t.start(SHARED.replace("ADDRESS", address), name="second")
    found = warnings(second)
    if len(found) != 1 or f"address={address}" not in found[0] or " warn " not in found[0]:
        raise Wrong(f"{found or second.log()}")
    second.signal(signal.SIGHUP)
    until = time.monotonic() + 5
    while "reloaded" not in second.log():
        if time.monotonic() > until:
            raise Wrong("it did not reload")
        time.sleep(0.02)
    if len(warnings(second)) != 1:
        raise Wrong("a reload warns of what it does not open")
