"""The library's own record layer (`record_layer: library`): what tls.py shows of the compact one."""

import signal

from harness.rows import row
from harness.wait import eventually
from harness.wire import Wrong
from system.tls import (
    CONFIGURATION,
    NARROW,
    SUITES_13,
    TLS,
    VERSIONS,
    all_hear_in_order,
    closes_who_stops_reading,
    context,
    echoes,
    ends_well,
    files,
    opened,
    refuses_a_second_handshake,
    takes_new_keys,
)
from system.tls_records import CASES, refuses_record

LIBRARY = CONFIGURATION.replace("key: key.pem}", "key: key.pem, record_layer: library}")


def start(t, configuration=LIBRARY):
    return t.start(configuration, files=files())


@row(TLS, "library: messages of every size, both Closes, close_notify; then nothing is held",
     cases=VERSIONS)
def messages(t, version):
    gateway = start(t)
    peer = opened(t, how=context(version))
    echoes(peer)
    held = gateway.metric("holdfast_memory_bytes", owner="tls_library")
    if held < 50_000:
        raise Wrong(f"the library holds {held}")
    ends_well(peer)
    eventually(lambda: gateway.metric("holdfast_connections") == 0, "gone")


@row(TLS, "library: new keys from the client, and asked of us")
def new_keys(t):
    start(t)
    takes_new_keys(t, SUITES_13[0])


@row(TLS, "library: a second handshake is refused")
def renegotiation(t):
    start(t)
    refuses_a_second_handshake(t, "alert unexpected message")


@row(TLS, "library: a record that is not the next one of this client ends the connection with an alert", cases=CASES)
def bad_records(t, name, version):
    start(t)
    refuses_record(t, name, version)


@row(TLS, "library: every subscriber in order; a reader that stops is closed, and all is given back")
def fan_out(t):
    start(t, LIBRARY + NARROW)
    all_hear_in_order(t)
    closes_who_stops_reading(t)


@row(TLS, "a reload does not change the record layer, and says that it needs a restart")
def reload(t):
    gateway = start(t)
    old = opened(t)
    gateway.write(CONFIGURATION)
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "reloaded" in gateway.log(), "the reload")
    if "record_layer" not in gateway.log():
        raise Wrong(gateway.log()[-500:])
    echoes(old, [5])
    echoes(opened(t), [5])
    if gateway.metric("holdfast_memory_bytes", owner="tls_library") < 50_000:
        raise Wrong("the library's objects were not kept")
