"""Waiting for what comes by itself, and making once what is expensive."""

import functools
import inspect
import threading
import time

from harness.wire import Wrong


def eventually(condition, what, patience=5.0):
    """What the condition gives as soon as that is true; Wrong when it never is."""
    until = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Wrong(f"never: {what}")
        time.sleep(0.02)


def once(function):
    """The same function, called once in a run for each set of its arguments, also by rows that run side by side."""
    lock, made, signature = threading.Lock(), {}, inspect.signature(function)

    @functools.wraps(function)
    def asked(*arguments, **named):
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        with lock:
            key = tuple(bound.arguments.values())
            if key not in made:
                made[key] = function(*arguments, **named)
            return made[key]

    return asked
