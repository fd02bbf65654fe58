"""Rows: one checked sentence each, found by import, run by threads, reported at the end."""

import concurrent.futures
import fnmatch
import itertools
import sys
import time
import traceback

from harness.gateway import Gateway
from harness.wire import Peer, Wrong, upgrade

ROWS = []


class Row:
    def __init__(self, name, source, sentence, function, arguments, options):
        self.name, self.source, self.sentence = name, source, sentence
        self.function, self.arguments = function, arguments
        self.on = options.get("on", "main")  # which of the suite's gateways
        self.slow = options.get("slow", False)  # waits for a deadline: started first
        self.tier = options.get("tier", "ci")
        self.alone = options.get("alone", False)  # must not share the gateway with other rows
        self.portable = options.get("portable", False)  # needs nothing but an echo at /echo


def row(source, sentence, cases=None, **options):
    """Declares a function as a row, or as one row per case. A case is name -> argument (a tuple is spread)."""

    def declare(function):
        module = function.__module__.rsplit(".", 1)[-1]
        base = f"{module}.{function.__name__}"
        defaults = getattr(sys.modules[function.__module__], "OPTIONS", {})
        merged = {**defaults, **options}
        if cases is None:
            ROWS.append(Row(base, source, sentence, function, (), merged))
            return function
        table = cases.items() if isinstance(cases, dict) else [(str(c), c) for c in cases]
        for label, argument in table:
            spread = argument if isinstance(argument, tuple) else (argument,)
            ROWS.append(Row(f"{base}[{label}]", source, sentence, function, spread, merged))
        return function

    return declare


class Context:
    """What a row gets: the gateway it talks to, and every peer it opened and gateway it started, ended with it."""

    numbers = itertools.count(1)

    def __init__(self, gateway):
        self.gateway = gateway
        self.room = f"r{next(self.numbers)}"  # no other row's: rows run side by side on one gateway
        self.peers = []
        self.started = []

    def start(self, configuration, **how):
        """A gateway of the row's own, which becomes the one it talks to."""
        self.gateway = Gateway(configuration, **how)
        self.started.append(self.gateway)
        return self.gateway.start()

    def peer(self, address=None, **how):
        peer = Peer(address or self.gateway.address, **how)
        self.peers.append(peer)
        return peer

    def open(
        self, path="/echo", protocol=None, address=None, source=None, receive_buffer=None, **how
    ):
        peer = self.peer(address, source=source, receive_buffer=receive_buffer)
        peer.send(upgrade(path, **how))
        peer.opened(protocol=protocol)
        return peer

    def done(self):
        """Ends everything; what a gateway should not have done, as text (it ends with 0 unless told otherwise)."""
        for peer in self.peers:
            peer.close()
        troubles = ""
        for gateway in self.started:
            status = gateway.stop()
            if status != gateway.expected_status:
                troubles += f"\n{gateway.name} ended with {status}\n{gateway.log()[-1500:]}"
            troubles += gateway.reports()[:4000]
            if gateway.own_folder:
                gateway.own_folder.cleanup()
        return troubles


def tail(gateway):
    return "".join(f"\n        | {line}" for line in gateway.log().splitlines()[-12:])


def run_row(one, gateway):
    """None, or what went wrong, as text."""
    context = Context(gateway)
    started = time.monotonic()
    problem = None
    try:
        one.function(context, *one.arguments)
    except (Wrong, SystemExit) as wrong:
        problem = str(wrong)
    except Exception:  # a row's own bug, or a refused connection: told whole
        problem = traceback.format_exc(limit=-3)
    logs = "" if problem is None else "".join(tail(gateway) for gateway in context.started)
    troubles = context.done()
    if troubles or problem:
        problem = (problem or "") + logs + troubles
    one.seconds = time.monotonic() - started
    if problem is None:
        return None
    story = "\n".join(
        f"        {line}"
        for peer in context.peers[:3]
        for line in peer.story[:6] + peer.story[6:][-6:]
    )
    return f"    {problem}\n{story}"


def choose(pattern=None, tier="all", portable=False):
    chosen = []
    for one in ROWS:
        if tier == "ci" and one.tier != "ci":
            continue
        if portable and not one.portable:
            continue
        if pattern and pattern not in one.name and not fnmatch.fnmatch(one.name, pattern):
            continue
        chosen.append(one)
    names = [one.name for one in ROWS]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise SystemExit(f"two rows of one name: {sorted(doubled)}")
    return chosen


def run_rows(rows, gateways, jobs=24, first_only=False, out=sys.stdout):
    """Runs the rows; prints failures as they come. Returns the list of failed rows."""
    failed = []
    passed = 0

    def tell(one, problem):
        nonlocal passed
        if problem is None:
            passed += 1
            return
        failed.append(one)
        print(
            f"FAILED {one.name}\n    {one.source}: {one.sentence}\n{problem}", file=out, flush=True
        )

    together = sorted((one for one in rows if not one.alone), key=lambda one: not one.slow)
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    pending = {pool.submit(run_row, one, gateways.get(one.on)): one for one in together}
    for future in concurrent.futures.as_completed(pending):
        if future.cancelled():
            continue
        tell(pending[future], future.result())
        if failed and first_only:
            for other in pending:
                other.cancel()
            break
    pool.shutdown(cancel_futures=True)
    for one in rows:
        if one.alone and not (failed and first_only):
            tell(one, run_row(one, gateways.get(one.on)))
    return passed, failed
