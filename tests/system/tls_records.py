"""TLS records that are not what they should be, by a client whose records pass through our hands."""

import ssl

from harness.rows import row
from harness.wait import eventually
from harness.wire import Wrong, text, upgrade
from system.tls import ASK, TLS, VERSIONS, context, start


class Wire:
    """A TLS client whose records pass through our hands."""

    def __init__(self, t, most=None):
        self.peer = t.peer()
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context(most).wrap_bio(self.inward, self.outward, server_hostname="gateway.test")
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.peer.sock.sendall(self.outward.read())
                self.inward.write(self.peer.sock.recv(65536))
        self.peer.sock.sendall(self.outward.read())

    def sealed(self, data):
        self.tls.write(data)
        return self.outward.read()

    def read(self):
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                received = self.peer.sock.recv(65536)
                if not received:
                    return b""
                self.inward.write(received)


def altered(record, at):
    return record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]


BAD_RECORDS = {
    "tampered": lambda one, two: altered(one, len(one) - 1),
    "type": lambda one, two: altered(one, 0),
    "replayed": lambda one, two: one + one,
    "reordered": lambda one, two: two + one,
    "oversized": lambda one, two: b"\x17\x03\x03\x48\x01" + b"x" * 100,
    "short": lambda one, two: b"\x17\x03\x03\x00\x05hello",
}


def refuses_record(t, name, version):
    """With an alert, counted once."""
    wire = Wire(t, VERSIONS[version])
    one, two = wire.sealed(ASK.encode()), wire.sealed(ASK.encode())
    wire.peer.sock.sendall(BAD_RECORDS[name](one, two))
    try:
        while wire.read():
            pass
        raise Wrong("no alert")
    except ssl.SSLError as error:
        if "ALERT" not in str(error):
            raise Wrong(f"{error}") from None
    faults = ("tls_record_forged", "tls_record_length", "tls_record_unexpected")

    def total():
        return sum(t.gateway.metric("holdfast_faults_total", fault=fault) for fault in faults)

    eventually(lambda: total() == 1, "the fault is counted")
    wire.peer.close()
    eventually(lambda: t.gateway.metric("holdfast_connections") == 0, "gone")


CASES = {f"{name} {version}": (name, version) for name in BAD_RECORDS for version in VERSIONS}


@row(TLS, "a record that is not the next one of this client ends the connection with an alert", cases=CASES)
def bad_records(t, name, version):
    start(t)
    refuses_record(t, name, version)


@row(TLS, "records in pieces of one byte, and many in one segment", cases=VERSIONS)
def pieces(t, version):
    start(t)
    wire = Wire(t, version)
    for byte in wire.sealed(upgrade("/echo")):
        wire.peer.sock.sendall(bytes([byte]))
    if b" 101 " not in wire.read():
        raise Wrong("no upgrade")
    sent = b"".join(wire.sealed(text(str(i))) for i in range(100))
    wire.peer.sock.sendall(sent)
    expected = b"".join(b"\x81" + bytes([len(str(i))]) + str(i).encode() for i in range(100))
    got = b""
    while len(got) < len(expected):
        got += wire.read()
    if got != expected:
        raise Wrong(f"{got[:80]}")


@row(TLS, "the end of TCP without close_notify is an end like any other")
def truncation(t):
    start(t)
    wire = Wire(t)
    wire.peer.sock.sendall(wire.sealed(upgrade("/echo")))
    wire.read()
    wire.peer.shut()
    eventually(lambda: t.gateway.metric("holdfast_faults_total", fault="peer_vanished") == 1,
               "the end is counted")
