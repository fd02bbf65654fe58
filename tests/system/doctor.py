"""`holdfast doctor` on this machine and on recorded ones: what it finds, what it plans, and whether what it predicts is so."""

import json
import pathlib
import re
import subprocess
import tempfile
import time

from harness.gateway import ROOT, binary_path
from harness.rows import row
from harness.wire import Wrong

TREES = ROOT / "tests" / "unit" / "gateway" / "doctor"
CROWD = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {handshakes_per_second: 1000000}
drain: 1s
routes:
  - {path: /echo, echo: {}}
"""


def doctor(*arguments, status=None, prefix=()):
    done = subprocess.run(
        [*prefix, binary_path(), "doctor", *arguments], capture_output=True, text=True, timeout=20
    )
    if status is not None and done.returncode != status:
        raise Wrong(f"exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def checks(*arguments, **options):
    return {
        check["name"]: check
        for check in json.loads(doctor("--json", *arguments, **options))["checks"]
    }


def expand(name, folder):
    for part in (TREES / f"{name}.txt").read_text().split("\n== ")[1:]:
        path, _, text = part.partition("\n")
        file = pathlib.Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")


@row("holdfast(1), doctor", "it finds the limits of this very process")
def finds_limits(t):
    found = checks(prefix=["prlimit", "--nofile=5000:5000"])
    if "5000" not in found["descriptor limit"]["now"]:
        raise Wrong(f"{found['descriptor limit']}")
    release = pathlib.Path("/proc/sys/kernel/osrelease").read_text().strip()
    if found["kernel"]["now"] != release or found["io_uring"]["verdict"] != "PASS":
        raise Wrong(f"{found['kernel']} {found['io_uring']}")


@row("holdfast(1), doctor", "--pid looks at another process' limits")
def other_process(t):
    gateway = t.start(CROWD, prefix=["prlimit", "--nofile=3000:3000"])
    found = checks("--pid", str(gateway.process.pid), "-c", str(gateway.file))
    if "3000" not in found["descriptor limit"]["now"]:
        raise Wrong(f"{found['descriptor limit']}")


@row(
    "holdfast(1), doctor",
    "exit status: 0 nothing failed, 1 something did (--strict: or a warning), 2 wrong usage",
    cases={
        "warnings": (["--root", "debian"], 0),
        "strict": (["--root", "debian", "--strict"], 1),
        "failed": (["--root", "container"], 1),
        "unknown": (["--root", "debian", "--fast"], 2),
        "incomplete": (["--root"], 2),
        "both": (["--json", "--fix-plan"], 2),
        "no-pid": (["--pid", "me"], 2),
        "no-time": (["--watch", "0"], 2),
        "recorded": (["--root", "debian", "--watch", "1"], 2),
        "no-file": (["-c", "/nonexistent/holdfast.yaml"], 1),
    },
)
def statuses(t, arguments, status):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        for name in ("debian", "container"):
            expand(name, pathlib.Path(folder, name))
        given = [
            str(pathlib.Path(folder, a)) if a in ("debian", "container") else a for a in arguments
        ]
        doctor(*given, status=status)


@row(
    "holdfast(1), doctor",
    "certificates: 14 days are enough, less is a warning, none are a failure",
    cases={"90-days": (90, "PASS"), "3-days": (3, "WARN"), "expired": (-1, "FAIL")},
)
def certificates(t, days, verdict):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        chain, key, file = (
            pathlib.Path(folder, name) for name in ("chain.pem", "key.pem", "c.yaml")
        )
        names = ["-subj", "/CN=gateway.test", "-addext", "subjectAltName=DNS:gateway.test"]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for command in (
            ["req", "-x509", *curve, *names, "-keyout", key, "-out", chain],
            # Of the past only this one makes them.
            ["x509", "-in", chain, "-signkey", key, "-days", str(days), "-out", chain],
        ):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        file.write_text(
            "listeners:\n  - {address: '127.0.0.1:8443', tls: {certificate: chain.pem, key: key.pem}}\n"
            "routes:\n  - {path: /echo, echo: {}}\n"
        )
        found = checks("-c", str(file))["certificates"]
        if found["verdict"] != verdict:
            raise Wrong(f"{found}")


@row(
    "holdfast(1), doctor",
    "a token that others may read is a warning, and its command closes the file",
    cases={"closed": (0o600, "PASS"), "open": (0o644, "WARN")},
)
def secrets(t, mode, verdict):
    with tempfile.TemporaryDirectory(prefix="holdfast test-") as folder:
        token, file = pathlib.Path(folder, "admin.token"), pathlib.Path(folder, "c.yaml")
        token.write_text("secret\n")
        token.chmod(mode)
        file.write_text(
            "listeners:\n  - {address: '127.0.0.1:8080'}\n"
            "admin: {address: '127.0.0.1:9090', token_file: admin.token}\n"
            "routes:\n  - {path: /echo, echo: {}}\n"
        )
        found = checks("-c", str(file))["secret files"]
        if found["verdict"] != verdict:
            raise Wrong(f"{found}")
        if verdict == "WARN":
            subprocess.run(["sh", "-c", found["fix"]], check=True)
            found = checks("-c", str(file))["secret files"]
        if found["verdict"] != "PASS" or "fix" in found:
            raise Wrong(f"{found}")


@row("holdfast(1), doctor", "--watch counts troubles of that time alone")
def watch(t):
    before = time.monotonic()
    found = checks("--watch", "1")["troubles"]
    if found["wanted"] != "none in these 1 s" or time.monotonic() - before < 1:
        raise Wrong(f"{found}")


@row("holdfast(1), doctor", "the table is plain text of one line a check, without colour in a pipe")
def table(t):
    text = doctor("--root", "/nonexistent")
    if "\033" in text or not re.search(r"^\d+ passed, \d+ warnings, \d+ failed$", text, re.M):
        raise Wrong(text)
    if "This host holds " not in text or "the first limit is " not in text:
        raise Wrong(text)


@row("holdfast(1), doctor", "--fix-plan is a script, and what it writes makes the checks pass")
def plan(t):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        expand("debian", folder)
        unit = pathlib.Path(folder, "usr/lib/systemd/system/holdfast.service")
        unit.parent.mkdir(parents=True)
        unit.write_text("[Service]\nType=simple\nLimitNOFILE=1024\nTimeoutStopSec=5\n")
        script = doctor("--root", folder, "--fix-plan", status=1)
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
        settings, drop_in = re.findall(r"<<'END'\n(.*?)END\n", script, re.S)
        for name, value in re.findall(r"^([a-z_0-9.]+) = (.+)$", settings, re.M):
            pathlib.Path(folder, "proc/sys", name.replace(".", "/")).write_text(value + "\n")
        for_unit = pathlib.Path(folder, "etc/systemd/system/holdfast.service.d/90-limits.conf")
        for_unit.parent.mkdir(parents=True)
        for_unit.write_text(drop_in)
        left = [
            check
            for name, check in checks("--root", folder, status=0).items()
            if check["verdict"] != "PASS" and ("." in name or name.startswith("unit:"))
        ]
        if left or len(re.findall(" = ", settings)) < 8:
            raise Wrong(f"{left}\n{script}")


@row("issue 6, must show", "its prediction and what `holdfast-bench hold` reaches: within 15 %")
def prediction(t):
    prefix = ["prlimit", "--nofile=128:128"]
    gateway = t.start(CROWD.replace("workers: 2", "workers: 1"), prefix=prefix)
    said = json.loads(doctor("--json", "-c", str(gateway.file), prefix=prefix))["capacity"]
    if said["first_limit"] != "descriptor tables":
        raise Wrong(f"{said}")
    bench = subprocess.Popen(
        [
            str(pathlib.Path(binary_path()).with_name("holdfast-bench")),
            "hold",
            f"ws://127.0.0.1:{gateway.port}/echo",
            *("--connections", str(int(said["connections"] * 1.3)), "--rate", "20000"),
            *("--ping-interval", "0", "--quiet"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        reached, grown, until = 0, time.monotonic(), time.monotonic() + 40
        while time.monotonic() < min(until, grown + 3):
            time.sleep(0.2)
            now = gateway.metric("holdfast_connections", state="open")
            if now > reached:
                reached, grown = now, time.monotonic()
    finally:
        bench.terminate()
        bench.wait()
    if not 0.85 <= said["connections"] / max(reached, 1) <= 1.15:
        raise Wrong(f"predicted {said['connections']}, reached {reached:.0f}")
