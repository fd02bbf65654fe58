"""Services by name: what their names are looked up to, how that changes, and what becomes of connections then."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from harness.rows import row
from harness.service import Service, honest, mirror
from harness.wait import eventually
from harness.wire import Wrong, request, text
from system.services import ask, expect

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
upstreams:
  web: {servers: ["http://NAME:PORT"], connect: 2s, resolve: 100ms}
routes:
  - {path: /ws, tunnel: {upstream: web}}
  - {path: "/*", proxy: {upstream: web}, upgrade: false}
"""
# Stands in front of the C library's: names are what a file says, and everything else cannot be looked up.
RESOLVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
    FILE *file = fopen(getenv("TEST_HOSTS"), "r");
    char line[1024];
    int result = EAI_AGAIN;
    *list = NULL;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *rest = NULL;
        char *name = strtok_r(line, " \n", &rest);
        char *address;
        while (name != NULL && strcmp(name, host) == 0 && (address = strtok_r(NULL, " \n", &rest)) != NULL) {
            struct addrinfo *one = NULL;
            result = real(address, port, hints, &one);
            if (result == 0) {
                one->ai_next = *list;
                *list = one;
            }
        }
    }
    if (file != NULL) fclose(file);
    return result;
}
"""
SOURCE = "issue 5.1"


class Hosts:
    """The names that there are, as the gateway sees them."""

    def __init__(self, folder):
        self.file = pathlib.Path(folder, "hosts")
        library, code = pathlib.Path(folder, "resolver.so"), pathlib.Path(folder, "resolver.c")
        code.write_text(RESOLVER)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, code, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "TEST_HOSTS": str(self.file)}
        self.set("")

    def set(self, lines):
        new = self.file.with_suffix(".new")
        new.write_text(lines + "\n")
        os.replace(new, self.file)  # never half of it


@contextlib.contextmanager
def hosts():
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        yield Hosts(folder)


def start(t, names, port, name="web.test"):
    text = BASE.replace("NAME", name).replace("PORT", str(port))
    return t.start(text, environment=names.environment if names else None)


def metric(t, name):
    return t.gateway.metrics()[f"holdfast_{name}"]


def changed(t, count):
    eventually(lambda: metric(t, "upstream_lookups_changed_total") == count, f"{count} changes")


@row(SOURCE, "localhost, as the machine's own resolver knows it")
def localhost(t):
    with Service(honest) as service:
        start(t, None, service.port, "localhost")
        answer = expect(ask(t), 200)
        if answer.status != 200 or service.connections != 1:
            raise Wrong(f"{answer}")


@row(SOURCE, "a name of several addresses, IPv4 and IPv6, is as many servers")
def several(t):
    with hosts() as names, Service(honest) as one, Service(honest, address="127.0.0.2", port=one.port) as two:
        with Service(honest, address="::1", port=one.port) as three:
            names.set("web.test 127.0.0.1 ::1 127.0.0.2")
            start(t, names, one.port)
            for _ in range(12):
                expect(ask(t), 200)
            asked = [len(service.requests) for service in (one, two, three)]
            if min(asked) < 2:
                raise Wrong(f"asked {asked}")
            if metric(t, 'upstream_servers{upstream="web"}') != 6:  # on each of two workers
                raise Wrong("not three servers")


@row(SOURCE, "a name that moves: new requests go there, idle connections close, a tunnel lives on")
def moves(t):
    def both(wire, service):
        (mirror if service.is_tunnel else honest)(wire, service)

    with hosts() as names, Service(both) as one, Service(honest, address="127.0.0.2", port=one.port) as two:
        names.set("web.test 127.0.0.1")
        start(t, names, one.port)
        one.is_tunnel = False
        expect(ask(t), 200)
        one.is_tunnel = True
        tunnel = t.open("/ws")
        idle = one.wires[0].sock
        names.set("web.test 127.0.0.2")
        changed(t, 2)
        eventually(lambda: idle.fileno() == -1, "the idle connection is closed")
        for _ in range(4):
            expect(ask(t), 200)
        if len(two.requests) != 4:
            raise Wrong(f"{len(two.requests)} requests went to the new address")
        tunnel.send(text("still here"))
        tunnel.expect_text("still here")


@row(SOURCE, "a look-up that fails: the last good answer serves on, one line says so, and a counter moves", tier="all")
def fails(t):
    with hosts() as names, Service(honest) as service:
        names.set("web.test 127.0.0.1")
        gateway = start(t, names, service.port)
        expect(ask(t), 200)
        names.set("")
        eventually(lambda: metric(t, "upstream_lookups_failed_total") >= 5, "look-ups fail")
        expect(ask(t), 200)
        lines = [line for line in gateway.log().splitlines() if "name_unresolved" in line]
        if len(lines) != 1 or "web.test" not in lines[0] or "addresses_kept=1" not in lines[0]:
            raise Wrong(f"{lines}")
        names.set("web.test 127.0.0.1")
        eventually(lambda: gateway.log().count("name_resolved") == 2, "it is said to be well again")
        expect(ask(t), 200)


@row(SOURCE, "a name that nobody knows: the gateway starts, answers 503, and serves once there is an address")
def unknown(t):
    with hosts() as names, Service(honest) as service:
        gateway = start(t, names, service.port)
        expect(ask(t), 503)
        if "name_unresolved" not in gateway.log() or metric(t, 'faults_total{fault="upstream_unresolved"}') < 1:
            raise Wrong(gateway.log())
        names.set("web.test 127.0.0.1")
        changed(t, 1)
        expect(ask(t), 200)


@row(SOURCE, "a reload to another name, and back, without a request that fails", tier="all")
def reloaded(t):
    with hosts() as names, Service(honest) as service:
        names.set("web.test 127.0.0.1\nother.test 127.0.0.1")
        gateway = start(t, names, service.port)
        for count, name in enumerate(("other.test", "web.test", "other.test"), 1):
            gateway.write(BASE.replace("NAME", name).replace("PORT", str(service.port)))
            gateway.signal(signal.SIGHUP)
            until = time.monotonic() + 5
            while gateway.log().count("result=reloaded") < count and time.monotonic() < until:
                expect(ask(t), 200)
            expect(ask(t), 200)
