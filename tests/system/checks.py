"""`holdfast check`, `config`, `version` and wrong usage: what is said, where it points, and the exit status."""

import pathlib
import re
import subprocess
import tempfile

from harness.gateway import binary_path
from harness.rows import row
from harness.wire import Wrong

GOOD = """\
listeners:
  - address: 127.0.0.1:8080
routes:
  - {path: /echo, echo: {}}
"""
LINE = re.compile(r"([^:]+\.yaml):(\d+):(\d+): (.+); (.+)")


def run(*arguments, folder=None, environment=None):
    return subprocess.run(
        [binary_path(), *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=folder,
        env=environment,
    )


def check(configuration, status=1, files=None):
    """The lines that `check` says, each as (line, column, text)."""
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        file = pathlib.Path(folder) / "bad.yaml"
        if isinstance(configuration, bytes):
            file.write_bytes(configuration)
        else:
            file.write_text(configuration)
        for name, content in (files or {}).items():
            (pathlib.Path(folder) / name).write_text(content)
        done = run("check", "-c", "bad.yaml", folder=folder)
    if done.returncode != status:
        raise Wrong(f"exit status {done.returncode}: {done.stdout}{done.stderr}")
    found = []
    for line in (done.stdout + done.stderr).splitlines():
        match = LINE.fullmatch(line)
        if match:
            found.append((int(match[2]), int(match[3]), match[4] + "; " + match[5]))
    if status and not found:
        raise Wrong(
            f"no line of the form file:line:column: problem; remedy in {done.stdout}{done.stderr}"
        )
    return found


@row("issue 2.6", "a good file: exit status 0 and no error")
def good(t):
    if check(GOOD, status=0):
        raise Wrong("an error for a good file")


BAD = {
    "unknown-key": (GOOD + "colour: red\n", 5, 1, "colour"),
    "unknown-in-route": (GOOD.replace("echo: {}", "eccho: {}"), 4, 19, "eccho"),
    "two-verbs": (GOOD.replace("echo: {}", "echo: {}, page: demo"), 4, None, "verb"),
    "no-verb": (GOOD.replace(", echo: {}", ""), 4, None, "does nothing"),
    "bad-size": (GOOD + "limits: {message: 1MB}\n", 5, 19, "1MB"),
    "bare-number": (GOOD + "limits: {message: 1000}\n", 5, 19, "1000"),
    "bad-time": (GOOD + "drain: 30\n", 5, 8, "30"),
    "bad-boolean": (GOOD.replace("echo: {}", "echo: {}, origins_required: yes"), 4, None, "yes"),
    "negative": (GOOD + "limits: {connections: -1}\n", 5, 23, "-1"),
    "too-large": (GOOD + "limits: {message: 1000GiB}\n", 5, 19, "1000GiB"),
    "bad-address": (GOOD.replace("127.0.0.1:8080", "localhost:8080"), 2, 14, "localhost"),
    "bad-port": (GOOD.replace(":8080", ":99999"), 2, 14, "99999"),
    "global-in-route": (
        GOOD.replace("echo: {}", "echo: {}, limits: {header: 4KiB}"),
        4,
        None,
        "header",
    ),
    "doubled-key": (GOOD + "drain: 1s\ndrain: 2s\n", 6, 1, "drain"),
    "anchor": (GOOD + "drain: &a 1s\n", 5, None, "anchor"),
    "alias": (GOOD + "log: &a {level: info}\ntrusted: *a\n", None, None, "a"),
    "tag": (GOOD + "drain: !!str 1s\n", 5, None, "tag"),
    "second-document": (GOOD + "---\nroutes: []\n", None, None, "document"),
    "syntax": ("listeners: [\n", None, None, ""),
    "unquoted-placeholder": (
        "listeners:\n  - address: 127.0.0.1:1\nroutes:\n  - {path: /chat/{room}, echo: {}}\n",
        4,
        None,
        "quote",
    ),
    "unset-variable": (GOOD + "drain: ${HOLDFAST_TEST_NOT_SET}\n", 5, 8, "HOLDFAST_TEST_NOT_SET"),
    "missing-file": (
        GOOD + "admin: {address: 127.0.0.1:9090, token_file: nowhere.token}\n",
        5,
        None,
        "nowhere.token",
    ),
    "admin-without-token": (GOOD + "admin: {address: 0.0.0.0:9090}\n", 5, None, "token"),
    "unknown-placeholder": (
        GOOD + '  - {path: "/c/{room}", channels: {subscribe: ["c.{user}"]}}\n',
        5,
        None,
        "user",
    ),
    "bad-policy": (GOOD + "backpressure: {policy: drop}\n", 5, 24, "drop"),
    "wrong-type": ("listeners: 7\nroutes: []\n", 1, 12, "listeners"),
    "tls": (GOOD.replace("8080", "8080\n    tls: {certificate: a, key: b}"), 3, None, "tls"),
    "compression": (GOOD + "compression: {takeover: client}\n", 5, None, "takeover"),
    "backplane": (GOOD + "backplane: {nats: {servers: []}}\n", 5, None, "backplane"),
    "empty": ("", None, None, ""),
    "not-utf8": (b"listeners: \xff\n", 1, None, ""),
    "deep": ("a: " + "[" * 40 + "]" * 40 + "\n", None, None, ""),
    "origin-with-path": (
        GOOD.replace("echo: {}", 'echo: {}, origins: ["https://a.test/x"]'),
        4,
        None,
        "origin",
    ),
}


@row("issue 2.6", "file:line:column: problem; remedy, at the place where it is wrong", cases=BAD)
def bad(t, configuration, line, column, word):
    found = check(configuration)
    at = [f for f in found if (line is None or f[0] == line) and (column is None or f[1] == column)]
    if not any(word.lower() in f[2].lower() for f in at):
        raise Wrong(f"expected {line}:{column} with '{word}', got {found}")


@row("issue 2.6", "all errors are reported together, in the order of the file")
def all_at_once(t):
    text = GOOD + "colour: red\ndrain: 30\nlimits: {message: 1MB, header: big}\nworkers: many\n"
    found = check(text)
    if [f[0] for f in found] != [5, 6, 7, 7, 8]:
        raise Wrong(f"{found}")


@row("DESIGN 1", "at most 100 errors; more are cut, and that is said")
def at_most_100(t):
    found = check(GOOD + "".join(f"unknown{i}: 1\n" for i in range(300)))
    if not 95 <= len(found) <= 101:
        raise Wrong(f"{len(found)} errors")


@row("issue 2.6", "a file that is not there: exit status 1 and its name")
def no_file(t):
    done = run("check", "-c", "/nonexistent/holdfast.yaml")
    if done.returncode != 1 or "/nonexistent/holdfast.yaml" not in done.stdout + done.stderr:
        raise Wrong(f"{done}")


@row("issue 2.6", "`run` with a broken file does not start: the same lines, exit status 1")
def run_broken(t):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        (pathlib.Path(folder) / "bad.yaml").write_text(GOOD + "colour: red\n")
        done = run("run", "-c", "bad.yaml", folder=folder)
    if done.returncode != 1 or not re.search(r"bad\.yaml:5:1: .*colour", done.stdout + done.stderr):
        raise Wrong(f"{done}")


@row("issue 2.6", "`holdfast config` prints the demo's configuration, which `check` accepts")
def config(t):
    done = run("config")
    if done.returncode != 0 or "routes:" not in done.stdout:
        raise Wrong(f"{done}")
    check(done.stdout, status=0)


@row("DESIGN 1", "`holdfast version` says one line")
def version(t):
    done = run("version")
    if (
        done.returncode != 0
        or len(done.stdout.splitlines()) != 1
        or not re.search(r"\d+\.\d+", done.stdout)
    ):
        raise Wrong(f"{done}")


@row(
    "holdfast(1)",
    "2: wrong usage",
    cases={
        "nothing": [],
        "unknown": ["fly"],
        "missing-file": ["check", "-c"],
        "unknown-option": ["run", "--fast"],
        "publish-short": ["publish", "channel"],
    },
)
def usage(t, arguments):
    done = run(*arguments)
    if done.returncode != 2 or "usage" not in (done.stdout + done.stderr).lower():
        raise Wrong(f"{done}")
