"""The servers that bench/compare measures: how each is started, bound to loopback and to one CPU, and which loads it takes.
Configurations stand in bench/peers."""

import contextlib
import os
import re
import shutil
import subprocess

from server import Server

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "peers")
BUN = os.path.join(PEERS, "node_modules/@oven/bun-linux-x64/bin/bun")
HOLDFAST = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {{address: "127.0.0.1:{other}"}}
workers: 1
limits: {{handshakes_per_second: 1000000}}
log: {{level: warn}}
routes:
  - {{path: /echo, echo: {{}}}}
  - {{path: /chat, channels: {{subscribe: [chat], publish: chat}}}}
"""


class Peer:
    """One server under test. `start` yields the pid whose tree is measured; `loads` are names of compare's table."""

    def __init__(self, name, text, loads, command, version, **more):
        self.name, self.text, self.loads, self.command, self.version = name, text, loads, command, version
        self.options = more.get("options", [])       # of holdfast-bench, beyond the load's own
        self.config = more.get("config")             # file in bench/peers, or the text itself
        self.beside = more.get("beside")             # a second process that belongs to it and is not counted
        self.settle = more.get("settle", 0.2)        # seconds from its first listening to when it is ready
        self.needs = more.get("needs")               # a module in bench/peers/node_modules
        self.has_size = more.get("has_size", False)  # a floor: it must be told sizes

    def is_there(self):
        """True: its program is installed, and what that loads."""
        is_file = self.needs is None or os.path.exists(os.path.join(PEERS, "node_modules", self.needs))
        return is_file and shutil.which(self.command[0]) is not None

    def start(self, port, folder, cpu, load):
        """A context that holds the server up."""
        fields = {"port": port, "other": port + 1, "http": port + 2, "service": port + 3, "folder": folder, "cpu": cpu}
        for name in ("run", "log"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        with open(os.path.join(folder, "routes"), "w", encoding="ascii") as file:
            file.write(f"* 127.0.0.1:{fields['service']},over_http\n")
        if self.config is not None:
            text = self.config
            if "\n" not in text:
                with open(os.path.join(PEERS, text), encoding="ascii") as file:
                    text = file.read()
            with open(os.path.join(folder, "config"), "w", encoding="ascii") as file:
                file.write(text.format(**fields))
        stack = contextlib.ExitStack()
        if self.beside is not None:
            stack.enter_context(Server([word.format(**fields) for word in self.beside], {cpu}, fields["service"]))
        command = [word.format(**fields) for word in self.command] + (load.floor if self.has_size else [])
        pid = stack.enter_context(Server(command, {cpu}, port))
        return stack, pid


def output_of(command, pattern):
    """The first match of a pattern in what a command prints, `?` without one."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "?"
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "?"


def package(name):
    return output_of(["dpkg-query", "-W", "-f", "${Version}", name], r"(\S+)")


def module_version(name):
    return output_of(["node", "-p", f"require('{PEERS}/node_modules/{name}/package.json').version"], r"(\S+)")


def peers(build, holdfast):
    """All of them; compare asks for those that are there."""
    everything = {"echo", "fanout", "idle", "handshake", "latency"}
    channel = {"fanout", "idle", "handshake"}
    floors = [Peer(f"floor {engine}", "a program that does nothing but the load's sends and receives", {"echo", "fanout"},
                   [os.path.join(build, "floor_echo"), "--engine", engine, "--address", "127.0.0.1:{port}", "--cpu", "{cpu}"],
                   lambda: "", has_size=True, options=["--floor"]) for engine in ("epoll", "uring")]
    return [
        Peer("holdfast", "one worker", everything, [holdfast, "run", "-c", "{folder}/config"],
             lambda: output_of([holdfast, "version"], r"(\d\S+)"), config=HOLDFAST),
        Peer("bun", "Bun's own server, `publish` to a topic (npm @oven/bun-linux-x64)", everything,
             [BUN, os.path.join(PEERS, "server_bun.mjs"), "{port}"], lambda: output_of([BUN, "--version"], r"(\S+)")),
        Peer("ws", "Node.js with `ws`, a loop over its clients (npm)", everything,
             ["node", os.path.join(PEERS, "server_ws.mjs"), "{port}"],
             lambda: f"{module_version('ws')}, Node.js {output_of(['node', '--version'], r'(v[0-9.]+)')}", needs="ws"),
        Peer("nchan", "nginx with nchan, one worker process, messages not stored (Debian)", channel,
             ["nginx", "-c", "{folder}/config", "-e", "{folder}/nginx.log"],
             lambda: f"{package('libnginx-mod-nchan')}, nginx {package('nginx')}", config="nginx.conf"),
        Peer("nats", "nats-server's WebSocket, its own protocol in the frames (Debian)", channel,
             ["nats-server", "-c", "{folder}/config"], lambda: package("nats-server"), config="nats.conf",
             options=["--nats", "chat"]),
        Peer("pushpin", "condure, zurl, proxy and handler; the service behind it is not counted (Debian)", {"fanout"},
             ["pushpin", "--config", "{folder}/config"], lambda: package("pushpin"), config="pushpin.conf",
             options=["--text", "--concurrency", "8"], settle=2.5,
             beside=["node", os.path.join(PEERS, "server_pushpin.mjs"), "{service}", "{http}"]),
    ] + floors
