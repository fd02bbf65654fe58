"""GET /metrics: text that Prometheus takes, names that begin with holdfast_, and numbers that are true."""

import re
import shutil
import subprocess

from harness.rows import row
from harness.wait import eventually
from harness.wire import Wrong, binary, close, frame, request, text
from system.admin import start

SAMPLE = re.compile(
    r'(holdfast_[a-z0-9_]+)(\{([a-z_][a-z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)'
)


def parse(body):
    """{name{labels}: value} and {name: type}; every line is held against the text format 0.0.4."""
    kinds, helped, samples, order = {}, set(), {}, []
    for line in body.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if name in kinds or kind not in ("counter", "gauge", "histogram", "summary"):
                raise Wrong(f"doubled or unknown TYPE: {line}")
            kinds[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            if not match:
                raise Wrong(f"not a sample: {line!r}")
            if match[1] + (match[2] or "") in samples:
                raise Wrong(f"doubled sample: {line}")
            samples[match[1] + (match[2] or "")] = float(match[4])
            order.append(match[1])
    for name in order:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if name not in kinds and kinds.get(base) != "histogram":
            raise Wrong(f"no TYPE for {name}")
        if (name if name in kinds else base) not in helped:
            raise Wrong(f"no HELP for {name}")
    for name, kind in kinds.items():
        if kind == "counter" and not name.endswith("_total"):
            raise Wrong(f"the counter {name} does not end in _total")
    return samples, kinds


def histograms(samples, kinds):
    for name in (n for n, kind in kinds.items() if kind == "histogram"):
        buckets = {}
        for sample, value in samples.items():
            if sample.startswith(name + "_bucket{"):
                bound = re.search(r'le="([^"]+)"', sample)[1]
                others = re.sub(r',?le="[^"]+",?', "", sample)
                buckets.setdefault(others, []).append((float(bound), value))
        for others, rows in buckets.items():
            rows.sort()
            counts = [value for _, value in rows]
            if counts != sorted(counts) or rows[-1][0] != float("inf"):
                raise Wrong(f"{name}: buckets are not cumulative up to +Inf: {rows[-3:]}")


@row(
    "issue 2.7",
    "every line is well-formed, typed and helped; names begin with holdfast_; buckets are cumulative",
)
def form(t):
    gateway = start(t)
    peers = [t.open("/echo"), t.open("/chat/x")]
    peers[0].send(text("x"))
    peers[0].expect_text("x")
    status, fields, body = gateway.ask("GET", "/metrics")
    if status != 200 or not (fields.get("Content-Type") or "").startswith("text/plain"):
        raise Wrong(f"{status} {fields}")
    samples, kinds = parse(body.decode())
    histograms(samples, kinds)
    if len(samples) < 40:
        raise Wrong(f"only {len(samples)} samples")


@row("issue 2.7", "promtool check metrics accepts it (where promtool is installed)")
def promtool(t):
    if shutil.which("promtool") is None:
        return
    gateway = start(t)
    t.open("/echo")
    body = gateway.ask("GET", "/metrics")[2]
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=body, capture_output=True, timeout=30
    )
    if done.returncode != 0:
        raise Wrong((done.stdout + done.stderr).decode()[:2000])


WANTED = [
    "connections",
    "handshakes",
    "refus",
    "messages_in",
    "messages_out",
    "bytes_in",
    "bytes_out",
    "close",
    "fault",
    "queue",
    "dropped",
    "round_trip",
    "turn",
    "memory",
    "ring",
]


@row("issue 2.7", "it speaks of everything that was asked for", cases=WANTED)
def covers(t, word):
    gateway = start(t)
    samples = gateway.metrics()
    if not any(word in name for name in samples):
        raise Wrong(f"nothing about {word} among {sorted({n.split('{')[0] for n in samples})}")


@row(
    "issue 2.7",
    "each ring's troubles have a counter of their own, and waiting now is another name than waited ever",
    cases={
        "ring_submission_full_total": ("ring_submission_full_total", "counter"),
        "ring_completion_overflows_total": ("ring_completion_overflows_total", "counter"),
        "ring_enters_total": ("ring_enters_total", "counter"),
        "zero_copy_sends_total": ("zero_copy_sends_total", "counter"),
        "zero_copy_copied_total": ("zero_copy_copied_total", "counter"),
        "zero_copy_refused_total": ("zero_copy_refused_total", "counter"),
        "receive_waiting": ("receive_waiting", "gauge"),
        "receive_starved_total": ("receive_starved_total", "counter"),
        "addresses_refused_total": ("addresses_refused_total", "counter"),
    },
)
def ring_troubles(t, name, kind):
    gateway = start(t)
    t.open("/echo")
    samples, kinds = parse(gateway.ask("GET", "/metrics")[2].decode())
    if kinds.get(f"holdfast_{name}") != kind or f"holdfast_{name}" not in samples:
        raise Wrong(f"{name}: {kinds.get(f'holdfast_{name}')}")
    if "holdfast_receive_starved" in samples:
        raise Wrong("a gauge and a counter of nearly one name")


@row("issue 2.7", "the counters are true: handshakes, refusals, messages and bytes both ways")
def truth(t):
    gateway = start(t)
    peers = [t.open("/echo") for _ in range(5)]
    for peer in peers:
        for size in (0, 10, 1000):
            peer.send(binary(b"m" * size))
            peer.expect(2, b"m" * size)
    plain = t.peer()
    for _ in range(3):
        plain.send(request("/nowhere"))
        plain.response()
    wanted = {
        "handshakes": 5,
        "messages_in": 15,
        "messages_out": 15,
        "message_bytes_in": 5050,
        "refusals": 3,
        "requests": 8,
    }
    for name, value in wanted.items():
        eventually(
            lambda: gateway.metric(f"holdfast_{name}_total") == value,
            f"holdfast_{name}_total is {value}, not {gateway.metric(f'holdfast_{name}_total')}",
        )


@row("issue 2.7", "closes are counted by code and by fault")
def closes(t):
    gateway = start(t)
    a, b, c = t.open("/echo"), t.open("/echo"), t.open("/echo")
    a.leave(4000)
    b.send(frame(3, b"x"))
    b.expect_close(1002)
    b.send(close(1002))
    b.expect_end()
    c.close()
    eventually(
        lambda: gateway.metric("holdfast_closes_total", code="1002") == 1, "one close by 1002"
    )
    eventually(
        lambda: gateway.metric("holdfast_faults_total", fault="opcode_reserved") == 1,
        "one reserved opcode",
    )
    eventually(
        lambda: gateway.metric("holdfast_closes_total", code="1006") == 1,
        "one that vanished is counted as 1006",
    )
    eventually(lambda: gateway.metric("holdfast_connections") == 0, "nobody is left")
