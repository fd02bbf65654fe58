"""TLS by clients that we did not write: OpenSSL's, Python's over it, and curl."""

import os
import re
import signal
import ssl
import subprocess
import tempfile
import time

from harness.rows import row
from harness.wait import eventually, once
from harness.wire import Wrong, binary, close, request, text, upgrade
from system.services_tls import certificate_by_chain

CONFIGURATION = """\
listeners:
  - {address: "127.0.0.1:{port}", tls: {certificate: chain.pem, key: key.pem}}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
routes:
  - {path: /echo, echo: {}}
  - {path: "/c/{room}", channels: {subscribe: ["c.{room}"], publish: "c.{room}"}}
"""
TLS = "issue 4"
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
SUITES_12 = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"]
SIZES = [0, 1, 125, 126, 2048, 16384, 16385, 65536, 300_000, 1_000_000]


@once
def certificate(kind="ec", name="gateway.test"):
    """(chain, key) as PEM; the same ones all through a run."""
    how = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}[kind]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-newkey", *how, "-days", "30"]
            + ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
            + ["-keyout", f"{folder}/key", "-out", f"{folder}/chain"],
            check=True,
            capture_output=True,
        )
        return tuple(open(f"{folder}/{part}", encoding="ascii").read() for part in ("chain", "key"))


def files(kind="ec", name="gateway.test"):
    chain, key = certificate(kind, name)
    return {"chain.pem": chain, "key.pem": key}


def start(t, configuration=CONFIGURATION, kind="ec"):
    return t.start(configuration, files=files(kind))


def context(most=None, ciphers=None, kind="ec", name="gateway.test"):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=certificate(kind, name)[0])
    made.set_alpn_protocols(["http/1.1"])
    if most:
        made.maximum_version = most
    if ciphers:
        made.set_ciphers(ciphers)
    return made


def secure(t, how=None, session=None, name="gateway.test"):
    """A peer whose bytes are TLS, its certificate verified."""
    peer = t.peer()
    made = how or context(name=name)
    peer.sock = made.wrap_socket(peer.sock, server_hostname=name, session=session)
    return peer


def opened(t, path="/echo", **how):
    peer = secure(t, **how)
    peer.send(upgrade(path))
    peer.opened()
    return peer


def echoes(peer, sizes=SIZES):
    for size in sizes:
        payload = os.urandom(size)
        peer.send(binary(payload))
        peer.expect(2, payload)


class SClient:
    """`openssl s_client`. Each line is typed only when what was typed before has had its effect: it takes a letter for
    a command only if it reads it alone."""

    def __init__(self, gateway, *arguments):
        self.said = ""
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.set_blocking(self.process.stdout.fileno(), False)

    def sees(self, words, times=1, patience=15):
        until = time.monotonic() + patience
        while self.said.count(words) < times and time.monotonic() < until:
            piece = self.process.stdout.read()
            if piece == b"":
                break
            self.said += (piece or b"").decode(errors="replace")
            time.sleep(0.01)
        if self.said.count(words) < times:
            raise Wrong(f"{self.said.count(words)} of {times} times {words}: {self.said[-600:]}")

    def types(self, line):
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Wrong(f"it has ended: {self.said[-600:]}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


ASK = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"


def takes_new_keys(t, suite):
    """From the client, and asked of us, twice."""
    with SClient(t.gateway, "-tls1_3", "-ciphersuites", suite) as client:
        client.sees(f"Cipher is {suite}")
        for number, letter in enumerate(["k\n", "K\n", "K\n", None]):
            client.types(ASK)
            client.sees("HTTP/1.1 404", number + 1)
            if letter:
                client.types(letter)
                client.sees("KEYUPDATE", number + 1)


@row(TLS, "the three suites of TLS 1.3, new keys from the client, and asked of us", cases=SUITES_13)
def newest(t, suite):
    start(t)
    takes_new_keys(t, suite)


@row(
    TLS,
    "the suites of TLS 1.2, for both kinds of key: messages of every size",
    cases=[f"ECDHE-{kind}-{suite}" for kind in ("ECDSA", "RSA") for suite in SUITES_12],
)
def older(t, suite):
    kind = "ec" if "ECDSA" in suite else "rsa"
    start(t, kind=kind)
    peer = opened(t, how=context(ssl.TLSVersion.TLSv1_2, suite, kind))
    if peer.sock.cipher()[0] != suite or peer.sock.selected_alpn_protocol() != "http/1.1":
        raise Wrong(f"{peer.sock.cipher()} {peer.sock.selected_alpn_protocol()}")
    echoes(peer)


def ends_well(peer):
    peer.send(close(1000))
    peer.expect_close(1000)
    peer.expect_end()  # a missing close_notify would be an error of Python's ssl


@row(TLS, "messages of every size, then both Closes, close_notify and the end of TCP")
def messages(t):
    start(t)
    peer = opened(t)
    echoes(peer)
    ends_well(peer)


@row(TLS, "what is older than TLS 1.2 is refused", cases=["-tls1", "-tls1_1"])
def old_versions(t, version):
    start(t)
    with SClient(t.gateway, version, "-cipher", "ALL:@SECLEVEL=0") as client:
        client.sees("Cipher is (NONE)")


@row(
    TLS,
    "suites without AEAD or without an ephemeral exchange are refused",
    cases=["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256", "DHE"],
)
def old_suites(t, suite):
    start(t)
    with SClient(t.gateway, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0") as client:
        client.sees("Cipher is (NONE)")


def refuses_a_second_handshake(t, words):
    with SClient(t.gateway, "-tls1_2") as client:
        client.sees("Cipher is")
        client.types(ASK)
        client.sees("HTTP/1.1 404")
        client.types("R\n")
        client.sees(words)
    eventually(
        lambda: t.gateway.metric("holdfast_faults_total", fault="tls_record_unexpected") == 1,
        "counted",
    )


@row(TLS, "there is no second handshake: renegotiation is refused and the connection ends")
def renegotiation(t):
    start(t)
    refuses_a_second_handshake(t, "no renegotiation")


VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@row(TLS, "a ticket resumes on every worker; after a restart it leads to a whole handshake",
     cases=VERSIONS)
def tickets(t, version):
    start(t)
    how = context(version)
    first = opened(t, how=how)
    echoes(first, [5])
    session = first.sock.session
    for _ in range(8):
        again = opened(t, how=how, session=session)
        echoes(again, [5])
        if not again.sock.session_reused:
            raise Wrong("not resumed")
    if t.gateway.metric("holdfast_tls_resumptions_total") != 8:
        raise Wrong("not counted")
    t.gateway.stop()
    t.gateway.start()
    after = opened(t, how=how, session=session)
    echoes(after, [5])
    if after.sock.session_reused:
        raise Wrong("resumed with the ticket of another process")


@row(TLS, "curl verifies the certificate and gets the page")
def curl(t):
    gateway = start(t)
    said = subprocess.run(
        ["curl", "-sS", "--max-time", "10", "--cacert", str(gateway.folder / "chain.pem")]
        + ["--resolve", f"gateway.test:{gateway.port}:127.0.0.1", "-o", "/dev/null"]
        + ["-w", "%{http_code} %{ssl_verify_result}"]
        + [f"https://gateway.test:{gateway.port}/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    if said.stdout != "404 0":
        raise Wrong(said.stdout + said.stderr)


@row(TLS, "a plain request on a TLS port is answered 400 with a hint, in the clear")
def plain_on_tls(t):
    start(t)
    peer = t.peer()
    peer.send(request("/"))
    answer = peer.response()
    if answer.status != 400 or b"https://" not in answer.body:
        raise Wrong(f"{answer}")
    peer.expect_end()


@row(TLS, "TLS on a plain port ends at once, and the log says so")
def tls_on_plain(t):
    gateway = t.start(CONFIGURATION.replace(", tls: {certificate: chain.pem, key: key.pem}", ""))
    try:
        secure(t)
        raise Wrong("a handshake on a plain port")
    except ssl.SSLError:
        pass
    eventually(lambda: "tls_on_plain_port" in gateway.log(), "the line in the log")


@row(TLS, "what is no handshake ends the connection, and nobody else's",
     cases={"junk": b"\x16\x03\x01\x00\x05junk!", "huge": b"\x16\x03\x01\xff\xff" + b"x" * 300,
            "binary": b"\x00\xff" * 50})
def junk(t, data):
    start(t)
    other = opened(t)
    peer = t.peer()
    peer.send(data)
    peer.rest()
    echoes(other, [5, 1000])
    eventually(
        lambda: t.gateway.metric("holdfast_faults_total", fault="tls_handshake") == 1, "counted"
    )


@row(TLS, "who connects and does not shake hands is cut at the handshake deadline")
def deadline(t):
    start(t, CONFIGURATION + "limits: {handshake: 1s}\n")
    silent, half = t.peer(), t.peer()
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    started = time.monotonic()
    silent.rest(5)
    half.rest(5)
    if not 0.8 < time.monotonic() - started < 4:
        raise Wrong(f"cut after {time.monotonic() - started:.1f} s")


@row(TLS, "handshakes that wait for their clients fill all places, and give way to a newer one",
     tier="all")
def crowd(t):
    gateway = start(t, CONFIGURATION.replace("workers: 2", "workers: 1"))
    hello = ssl.MemoryBIO()
    client = context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="gateway.test")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    first = hello.read()
    for _ in range(520):
        t.peer().send(first)

    def count(fault):
        return gateway.metric("holdfast_faults_total", fault=fault)

    eventually(lambda: count("tls_busy") + count("tls_evicted") >= 8, "all are taken", 20)
    time.sleep(1.2)
    before = count("tls_evicted")
    echoes(opened(t), [5])
    if count("tls_evicted") != before + 1:
        raise Wrong("nobody gave way")


def all_hear_in_order(t):
    peers = [opened(t, "/c/x") for _ in range(20)]
    for i in range(50):
        peers[0].send(text(f"{i} " + "x" * (i * 97)))
    for peer in peers:
        for i in range(50):
            peer.expect_text(f"{i} " + "x" * (i * 97))
        peer.close()


@row(TLS, "a published message reaches every subscriber, in order")
def fan_out(t):
    start(t)
    all_hear_in_order(t)


NARROW = "backpressure: {queue: 64KiB, kernel: 32KiB}\n"


def closes_who_stops_reading(t):
    """With NARROW."""
    gateway = t.gateway
    slow = opened(t, "/c/y")
    writer = opened(t, "/c/y")
    for _ in range(200):
        writer.send(binary(b"x" * 16000))
        writer.expect(2, b"x" * 16000)
    # Counted at the end, for which it has 5 s where its own kernel took all that was left.
    slow_readers = lambda: gateway.metric("holdfast_faults_total", fault="slow_reader") == 1  # noqa: E731
    eventually(slow_readers, "closed", 15)
    slow.close()
    writer.leave()
    eventually(lambda: gateway.metric("holdfast_connections") == 0, "gone")


@row(TLS, "a reader that stops meets its policy, and what was sealed for it is given back")
def slow_reader(t):
    start(t, CONFIGURATION + NARROW)
    closes_who_stops_reading(t)


@row(TLS, "a reload takes a new certificate for new connections; who is in stays in")
def reload(t):
    gateway = start(t)
    old = opened(t)
    for part, content in files(name="other.test").items():
        (gateway.folder / part).write_text(content)
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "reloaded" in gateway.log(), "the reload")
    echoes(opened(t, name="other.test"), [5])
    echoes(old, [5, 100_000])


@row(TLS, "a certificate that is none, or another key's, is refused with its place",
     cases={"no certificate": ("chain.pem", "none"), "a key of another kind": ("key.pem", "rsa"),
            "another key": ("key.pem", "ec")})
def reload_broken(t, part, kind):
    gateway = start(t)
    other = "nonsense\n" if kind == "none" else certificate(kind, "other.test")[1]
    (gateway.folder / part).write_text(other)
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "reload_refused" in gateway.log(), "the refusal")
    if not re.search(r"main.yaml:2:\d+: `tls`: the (certificate|key) ", gateway.log()):
        raise Wrong(gateway.log()[-500:])
    echoes(opened(t), [5])


MORE = "certificates: [{certificate: a.pem, key: a.key}, {certificate: b.pem, key: b.key}]"
SEVERAL = CONFIGURATION.replace("key: key.pem}", f"key: key.pem, {MORE}}}")


def several():
    named = files()
    for letter, name in (("a", "a.test"), ("b", "*.b.test")):
        named[f"{letter}.pem"], named[f"{letter}.key"] = certificate("ec", name)
    return named


@row(TLS, "the certificate is the one for the name that the client gives, or the first",
     cases={"a.test": ("a.test", "a.test"), "x.b.test": ("x.b.test", "*.b.test"),
            "x.y.b.test": ("x.y.b.test", "gateway.test"), "c.test": ("c.test", "gateway.test"),
            "none": (None, "gateway.test")})
def server_names(t, asked, shown):
    t.start(SEVERAL, files=several())
    how = context(name=shown)
    how.check_hostname = False
    peer = t.peer()
    peer.sock = how.wrap_socket(peer.sock, server_hostname=asked)
    subject = dict(field[0] for field in peer.sock.getpeercert()["subject"])
    if subject["commonName"] != shown:
        raise Wrong(f"{subject}")
    peer.send(upgrade())
    peer.opened()
    echoes(peer, [5])


@row(TLS, "the metrics say when a listener's certificate ends")
def expiry(t):
    gateway = start(t)
    listener = f"127.0.0.1:{gateway.port}"
    ends = gateway.metric("holdfast_tls_certificate_expiry_seconds", listener=listener)
    if not 28 < (ends - time.time()) / 86400 < 31:
        raise Wrong(f"{ends}")


def client_certificate(folder, authority):
    """Makes an authority (`ca.pem`) and a certificate of a client by it, or by nobody known."""
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-subj", f"/CN={authority}", "-keyout", f"{folder}/{authority}.key"]
        + ["-out", f"{folder}/{authority}.pem", "-addext", "basicConstraints=critical,CA:TRUE"],
        check=True,
        capture_output=True,
    )
    for command in (
        ["req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=one"]
        + ["-keyout", f"{folder}/{authority}.client.key", "-out", f"{folder}/one.csr"],
        ["x509", "-req", "-in", f"{folder}/one.csr", "-CA", f"{folder}/{authority}.pem", "-CAkey"]
        + [f"{folder}/{authority}.key", "-days", "30", "-out", f"{folder}/{authority}.client.pem"],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)


@row(TLS, "with client_ca a client needs a certificate of that authority, whatever tickets it has",
     cases=VERSIONS)
def client_certificates(t, version):
    gateway = start(t)
    client_certificate(gateway.folder, "ours")
    client_certificate(gateway.folder, "other")
    plain = context(version)
    ticket = opened(t, how=plain)
    echoes(ticket, [5])
    gateway.write(CONFIGURATION.replace("key: key.pem}", "key: key.pem, client_ca: ours.pem}"))
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "reloaded" in gateway.log(), "the reload")
    with_ours, with_other = context(version), context(version)
    with_ours.load_cert_chain(gateway.folder / "ours.client.pem", gateway.folder / "ours.client.key")
    with_other.load_cert_chain(
        gateway.folder / "other.client.pem", gateway.folder / "other.client.key"
    )
    for how in (with_ours, with_ours):
        peer = opened(t, how=how)
        echoes(peer, [5])
        if peer.sock.session_reused:
            raise Wrong("resumed")
    for how, session in ((with_other, None), (plain, None), (plain, ticket.sock.session)):
        try:
            peer = secure(t, how=how, session=session)
            peer.send(upgrade())
            peer.response()
            raise Wrong("let in")
        except (ssl.SSLError, OSError):
            pass
        except Wrong as wrong:
            if "closed" not in str(wrong) and "reset" not in str(wrong):
                raise
    echoes(ticket, [5])  # who is in stays in


@row(TLS, "a client's chain brings an authority along; what is learned of it goes with the listener", cases=VERSIONS)
def client_chain(t, version):
    ca, chain, key = certificate_by_chain("ours")
    configuration = CONFIGURATION.replace("key: key.pem}", "key: key.pem, client_ca: ca.pem}")
    made = {"ca.pem": ca, "client.pem": chain, "client.key": key}
    gateway = t.start(configuration, files={**files(), **made})
    how = context(version)
    how.load_cert_chain(gateway.folder / "client.pem", gateway.folder / "client.key")
    echoes(opened(t, how=how), [5])  # the end of the process is looked at, too
