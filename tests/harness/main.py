"""The command line that tests/conform/run and tests/system/run share."""

import argparse
import importlib
import sys
import time

from harness import rows
from harness.gateway import Elsewhere


def parse(argv, description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("tier", nargs="?", default="ci", choices=["ci", "all"])
    parser.add_argument(
        "-k", dest="pattern", help="only rows whose name contains this, or matches it as a pattern"
    )
    parser.add_argument(
        "--list", action="store_true", help="print every row with its source and sentence"
    )
    parser.add_argument(
        "--url",
        help="a server that runs already (only rows that need nothing but an echo at /echo)",
    )
    parser.add_argument("--jobs", type=int, default=24, help="rows at a time")
    parser.add_argument("--first", action="store_true", help="stop at the first failure")
    parser.add_argument("--times", action="store_true", help="print the ten slowest rows")
    return parser


def run(options, package, modules, start):
    """start(names) gives {name: gateway} for the gateways that the chosen rows need; each has stop() and reports()."""
    for module in modules:
        importlib.import_module(f"{package}.{module}")
    chosen = rows.choose(options.pattern, options.tier, portable=bool(options.url))
    if options.list:
        for one in chosen:
            print(f"{one.name}\n    {one.source}: {one.sentence}")
        print(f"{len(chosen)} rows")
        return 0
    if not chosen:
        print("no row of that name", file=sys.stderr)
        return 2
    started = time.monotonic()
    gateways = (
        {"main": Elsewhere(options.url)} if options.url else start({one.on for one in chosen})
    )
    troubles = []
    try:
        passed, failed = rows.run_rows(chosen, gateways, options.jobs, options.first)
    finally:
        for gateway in gateways.values():
            troubles += ended(gateway)
    for trouble in troubles:
        print(f"FAILED {trouble}")
    if options.times:
        for one in sorted(chosen, key=lambda one: -getattr(one, "seconds", 0))[:10]:
            print(f"{getattr(one, 'seconds', 0):7.2f} s  {one.name}")
    print(f"{time.monotonic() - started:.1f} s")
    print(f"{passed} passed, {len(failed) + len(troubles)} failed")
    return 1 if failed or troubles else 0


def ended(gateway):
    """Stops a gateway; what it should not have done, as a list of texts."""
    if isinstance(gateway, Elsewhere):
        return []
    troubles = []
    if not gateway.running():
        troubles.append(
            f"gateway {gateway.name} died in the middle: status {gateway.process.poll()}{rows.tail(gateway)}"
        )
    status = gateway.stop()
    if not troubles and status != 0:
        troubles.append(f"gateway {gateway.name} ended with status {status}{rows.tail(gateway)}")
    if gateway.reports():
        troubles.append(f"gateway {gateway.name}, sanitizers:\n{gateway.reports()[:8000]}")
    if gateway.own_folder:
        gateway.own_folder.cleanup()
    return troubles
