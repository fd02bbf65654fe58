"""As systemd sees it: the words that it is told, the unit, and the gateway behind the unit's own filter."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness.gateway import ROOT, binary_path
from harness.rows import row
from harness.wire import Wrong, text

UNIT = ROOT / "tools" / "systemd" / "holdfast.service"
SANDBOX = ROOT / "tests" / "harness" / "sandbox.py"
BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
routes:
  - {path: /echo, echo: {}}
"""
SOURCE = "sd_notify(3)"


class Notified:
    """The socket that systemd would listen on. `name`: a path, or @ and an abstract name."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name[0] == "@" else name)
        self.socket.settimeout(0.05)

    def words(self, seconds, last=None):
        """What comes within so many seconds, or until `last` has come."""
        found, until = [], time.monotonic() + seconds
        while time.monotonic() < until and not (last and found and found[-1].startswith(last)):
            try:
                found.append(self.socket.recv(4096).decode())
            except socket.timeout:
                pass
        return found


def start(t, folder, name, environment=None, **how):
    notified = Notified(name)
    given = {"NOTIFY_SOCKET": name, **(environment or {})}
    return notified, t.start(BASE, folder=folder, environment=given, **how)


@row(SOURCE, "READY=1 when it serves, STOPPING=1 when it drains", cases=["path", "abstract"])
def ready_and_stopping(t, kind):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        name = f"{folder}/notify" if kind == "path" else f"@holdfast-test-{os.getpid()}"
        notified, gateway = start(t, folder, name)
        if notified.words(3, "READY=1") != ["READY=1"]:
            raise Wrong("no READY=1 as the first word")
        t.open("/echo")
        gateway.signal(signal.SIGTERM)
        words = [word for word in notified.words(3, "STOPPING=1") if word != "WATCHDOG=1"]
        if words != ["STOPPING=1"]:
            raise Wrong(f"{words}")
        gateway.wait()


@row(SOURCE, "WATCHDOG=1 three times within WATCHDOG_USEC")
def watchdog(t):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        notified, _ = start(t, folder, f"{folder}/notify", {"WATCHDOG_USEC": "900000"})
        notified.words(3, "READY=1")
        count = notified.words(1.8).count("WATCHDOG=1")
        if not 4 <= count <= 7:
            raise Wrong(f"{count} words in 1.8 s; 6 are due")


@row(
    SOURCE,
    "RELOADING=1 with the monotonic time, then READY=1: also when the file is refused",
    cases={"good": BASE.replace("/echo", "/other"), "broken": BASE + "colour: red\n"},
)
def reloading(t, configuration):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        notified, gateway = start(t, folder, f"{folder}/notify")
        notified.words(3, "READY=1")
        gateway.write(configuration)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        gateway.signal(signal.SIGHUP)
        words = [word for word in notified.words(5, "READY=1") if word != "WATCHDOG=1"]
        match = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", words[0]) if words else None
        if len(words) != 2 or not match or not before <= int(match[1]) <= before + 5000000:
            raise Wrong(f"{words}")


@row("systemd.exec(5)", "it works behind the unit's system call filter, as nobody")
def sandboxed(t):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        pathlib.Path(folder).chmod(0o755)
        prefix = [sys.executable, str(SANDBOX), str(UNIT)]
        gateway = t.start(BASE, folder=folder, prefix=prefix)
        status = pathlib.Path(f"/proc/{gateway.process.pid}/status").read_text()
        if "Seccomp:\t2" not in status or (os.getuid() == 0 and "Uid:\t65534" not in status):
            raise Wrong(status)
        peer = t.open("/echo")
        peer.send(text("inside"))
        peer.expect_text("inside")
        gateway.write(BASE.replace("/echo", "/other"))
        gateway.signal(signal.SIGHUP)
        until = time.monotonic() + 5
        while "reloaded" not in gateway.log() and time.monotonic() < until:
            time.sleep(0.05)
        peer.send(text("still"))
        peer.expect_text("still")
        gateway.signal(signal.SIGTERM)
        if gateway.wait() != 0:
            raise Wrong(gateway.log())


@row("systemd.service(5)", "the unit is understood in full, and its exposure stays below 2.0")
def unit(t):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        file = pathlib.Path(folder, "holdfast.service")
        file.write_text(UNIT.read_text().replace("/usr/bin/holdfast", binary_path()))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True
        )
        said = [line for line in (done.stdout + done.stderr).splitlines() if "holdfast" in line]
        if said or done.returncode != 0:
            raise Wrong(f"{done}")
        done = subprocess.run(
            [
                "systemd-analyze",
                "security",
                "--offline=true",
                "--threshold=20",
                "--no-pager",
                str(file),
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise Wrong(done.stdout[-300:] + done.stderr)
