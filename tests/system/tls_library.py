"""The library's own record layer (`record_layer: library`): what tls.py shows of the compact one."""

import signal

from harness.rows import row
from harness.wire import Wrong, binary, close, text
from system.admin import eventually
from system.tls import ASK, CONFIGURATION, SClient, TLS, VERSIONS, context, echoes, files, opened
from system.tls_records import BAD_RECORDS, Wire

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
    peer.send(close(1000))
    peer.expect_close(1000)
    peer.expect_end()
    eventually(lambda: gateway.metric("holdfast_connections") == 0, "gone")


@row(TLS, "library: new keys from the client, and asked of us")
def new_keys(t):
    start(t)
    with SClient(t.gateway, "-tls1_3") as client:
        client.sees("Cipher is")
        for number, letter in enumerate(["k\n", "K\n", None]):
            client.types(ASK)
            client.sees("HTTP/1.1 404", number + 1)
            if letter:
                client.types(letter)
                client.sees("KEYUPDATE", number + 1)


@row(TLS, "library: a second handshake is refused")
def renegotiation(t):
    start(t)
    with SClient(t.gateway, "-tls1_2") as client:
        client.sees("Cipher is")
        client.types(ASK)
        client.sees("HTTP/1.1 404")
        client.types("R\n")
        client.sees("alert unexpected message")
    eventually(
        lambda: t.gateway.metric("holdfast_faults_total", fault="tls_record_unexpected") == 1,
        "counted",
    )


@row(TLS, "library: a record that is not the next one of this client ends the connection",
     cases=BAD_RECORDS)
def bad_records(t, how):
    start(t)
    wire = Wire(t)
    one, two = wire.sealed(ASK.encode()), wire.sealed(ASK.encode())
    wire.peer.sock.sendall(how(one, two))
    faults = ("tls_record_forged", "tls_record_length", "tls_record_unexpected")

    def total():
        return sum(t.gateway.metric("holdfast_faults_total", fault=fault) for fault in faults)

    eventually(lambda: total() == 1, "the fault is counted")
    eventually(lambda: t.gateway.metric("holdfast_connections") == 0, "gone")


@row(TLS, "library: every subscriber in order; a reader that stops is closed, and all is given back")
def fan_out(t):
    gateway = start(t, LIBRARY + "backpressure: {queue: 64KiB, kernel: 32KiB}\n")
    readers = [opened(t, "/c/x") for _ in range(10)]
    writer = opened(t, "/c/x")
    for i in range(50):
        writer.send(text(f"{i} " + "x" * (i * 97)))
    for reader in readers + [writer]:
        for i in range(50):
            reader.expect_text(f"{i} " + "x" * (i * 97))
    slow = opened(t, "/c/y")
    other = opened(t, "/c/y")
    for _ in range(200):
        other.send(binary(b"x" * 16000))
        other.expect(2, b"x" * 16000)
    eventually(lambda: gateway.metric("holdfast_faults_total", fault="slow_reader") == 1, "closed")
    for peer in readers + [writer, slow, other]:
        peer.close()
    eventually(lambda: gateway.metric("holdfast_connections") == 0, "gone")


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
