"""SIGHUP, `holdfast reload` and POST /reload: a good file drops nobody, a broken one changes nothing."""

import json
import signal
import subprocess
import time

from harness.gateway import binary_path
from harness.rows import row
from harness.wait import eventually
from harness.wire import Wrong, request, text

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
routes:
  - {path: /echo, echo: {}}
"""
MORE = BASE + "  - {path: /more, echo: {}, limits: {message: 10B}}\n"
BROKEN = BASE + "  - {path: /broken, eccho: {}}\n"

RELOAD = "issue 2.6"


def reload_by_signal(gateway, configuration):
    gateway.write(configuration)
    gateway.signal(signal.SIGHUP)


def serves(t, path, patience=5):
    """Whether a WebSocket opens there within the patience."""
    from harness.wire import upgrade

    until = time.monotonic() + patience
    while True:
        peer = t.peer()
        peer.send(upgrade(path))
        status = peer.response().status
        if status == 101 or time.monotonic() > until:
            return status == 101
        time.sleep(0.05)


@row(RELOAD, "SIGHUP applies what can change without dropping anyone")
def good(t):
    gateway = t.start(BASE)
    old = t.open("/echo")
    if serves(t, "/more", 0):
        raise Wrong("/more was there before")
    reload_by_signal(gateway, MORE)
    if not serves(t, "/more"):
        raise Wrong("the new route is not served")
    old.send(text("still here"))
    old.expect_text("still here")


@row(
    RELOAD,
    "a new limit holds for new connections, and those that were there keep theirs or get it, but stay",
)
def limits(t):
    gateway = t.start(MORE)
    old = t.open("/more")
    old.send(text("ten bytes!"))
    old.expect_text("ten bytes!")
    reload_by_signal(gateway, MORE.replace("10B", "20B"))
    until = time.monotonic() + 5
    while True:
        new = t.open("/more")
        new.send(text("fifteen bytes.."))
        got = new.frame()
        if got.opcode == 1 or time.monotonic() > until:
            break
        time.sleep(0.05)
    if got.opcode != 1:
        raise Wrong(f"after the reload: {got}")
    old.send(text("short"))
    old.expect_text("short")


@row(RELOAD, "a route that is gone answers 404; its connections stay")
def route_removed(t):
    gateway = t.start(MORE)
    old = t.open("/more")
    reload_by_signal(gateway, BASE)
    until = time.monotonic() + 5
    while serves(t, "/more", 0):
        if time.monotonic() > until:
            raise Wrong("/more is still served")
        time.sleep(0.05)
    old.send(text("alive"))
    old.expect_text("alive")


@row(RELOAD, "a broken file: the old configuration is kept, the error is logged, nobody is dropped")
def broken(t):
    gateway = t.start(BASE)
    old = t.open("/echo")
    reload_by_signal(gateway, BROKEN)
    until = time.monotonic() + 5
    while "eccho" not in gateway.log():
        if time.monotonic() > until:
            raise Wrong("no word of the error in the log")
        time.sleep(0.05)
    old.send(text("alive"))
    old.expect_text("alive")
    if not serves(t, "/echo", 0):
        raise Wrong("new clients are refused")


@row(
    RELOAD,
    "POST /reload: 200, or 400 with the list of errors",
    cases={"good": (MORE, 200), "broken": (BROKEN, 400)},
)
def by_admin(t, configuration, wanted):
    gateway = t.start(BASE)
    old = t.open("/echo")
    gateway.write(configuration)
    status, _, body = gateway.ask("POST", "/reload", {})
    if status != wanted or (wanted == 400 and b"eccho" not in body):
        raise Wrong(f"{status} {body}")
    old.send(text("alive"))
    old.expect_text("alive")
    if serves(t, "/more", 0) != (wanted == 200):
        raise Wrong("the routes are not those expected")


@row(
    RELOAD,
    "`holdfast reload` ends with 0, or with 1 and the errors",
    cases={"good": (MORE, 0), "broken": (BROKEN, 1)},
)
def by_command(t, configuration, wanted):
    gateway = t.start(BASE)
    gateway.write(configuration)
    done = subprocess.run(
        [binary_path(), "reload", "-c", str(gateway.file)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    said = done.stdout + done.stderr
    if done.returncode != wanted or (wanted and "eccho" not in said):
        raise Wrong(f"status {done.returncode}: {said}")


@row(RELOAD, "what cannot change without a restart is said, and the rest goes on as it was")
def cannot_change(t):
    gateway = t.start(BASE)
    old = t.open("/echo")
    gateway.write(BASE.replace("workers: 2", "workers: 1"))
    status, _, body = gateway.ask("POST", "/reload", {})
    said = json.loads(body).get("needs_restart", [])
    if status != 200 or len(said) != 1 or "`workers`" not in said[0]:
        raise Wrong(f"{status} {body}")
    eventually(lambda: "needs_restart=true" in gateway.log(), "the same in the log")
    old.send(text("alive"))
    old.expect_text("alive")


@row(RELOAD, "many reloads under traffic drop nobody and leak no route")
def many(t):
    gateway = t.start(BASE)
    peers = [t.open("/echo") for _ in range(10)]
    for number in range(30):
        gateway.write(MORE if number % 2 == 0 else BASE)
        status, _, body = gateway.ask("POST", "/reload", {})
        if status != 200:
            raise Wrong(f"reload {number}: {status} {body}")
        for peer in peers:
            peer.send(text(str(number)))
        for peer in peers:
            peer.expect_text(str(number))
    plain = t.peer()
    plain.send(request("/nowhere"))
    if plain.response().status != 404:
        raise Wrong("no 404")


@row(
    RELOAD,
    "`holdfast reload -c` with a broken file: it says that the file does not tell where to ask, and what does",
)
def by_verb_with_a_broken_file(t):
    gateway = t.start(BASE)
    old = t.open("/echo")
    gateway.write(BROKEN)

    def reload(*options):
        return subprocess.run(
            [binary_path(), "reload", *options], capture_output=True, text=True, timeout=20
        )

    done = reload("-c", str(gateway.file))
    lines = done.stderr.splitlines()
    if done.returncode != 1 or len(lines) < 2 or not any("eccho" in line for line in lines[:-1]):
        raise Wrong(f"{done.returncode}: {done.stderr}")
    if "--admin ADDRESS" not in lines[-1] or "--token-file FILE" not in lines[-1]:
        raise Wrong(f"no way out in {lines[-1]}")
    done = reload("--admin", f"127.0.0.1:{gateway.admin}")  # the way out: asked, and refused there
    if done.returncode != 1 or "eccho" not in done.stderr:
        raise Wrong(f"{done.returncode}: {done.stderr}")
    gateway.write(MORE)
    done = reload("--admin", f"127.0.0.1:{gateway.admin}")
    if done.returncode != 0 or not serves(t, "/more"):
        raise Wrong(f"{done.returncode}: {done.stderr}")
    old.send(text("still here"))
    old.expect_text("still here")
