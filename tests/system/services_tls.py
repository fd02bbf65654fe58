"""Services by https: whose certificate is believed, what passes, and how each end is told."""

import contextlib
import functools
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from harness.gateway import binary_path
from harness.rows import row
from harness.service import Service, honest, mirror
from harness.wire import Wrong, binary, request
from system.admin import eventually
from system.services import ask, expect

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
limits: {message: 4MiB}
upstreams:
  web: {servers: ["https://HOST:PORT"], connect: 1s, response: 4s, failures: 100, MORE}
routes:
  - {path: /ws, tunnel: {upstream: web}}
  - {path: "/*", proxy: {upstream: web}, upgrade: false}
"""
SOURCE = "issue 5.1"
VERSIONS = {"tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
GENERATING = threading.Lock()  # rows run side by side


def openssl(*command):
    subprocess.run(["openssl", *command], check=True, capture_output=True)


@functools.cache
def made(authority, names, days):
    """(authority, chain, key) as PEM: a certificate for these names by that authority."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        ca, ca_key = made_authority(authority)
        (root / "ca").write_text(ca)
        (root / "ca.key").write_text(ca_key)
        openssl("req", "-nodes", *EC, "-subj", "/CN=service", "-addext", f"subjectAltName={names}",
                "-keyout", root / "key", "-out", root / "csr")
        openssl("x509", "-req", "-in", root / "csr", "-CA", root / "ca", "-CAkey", root / "ca.key", "-days", days,
                "-copy_extensions", "copy", "-out", root / "chain")
        return ca, (root / "chain").read_text(), (root / "key").read_text()


@functools.cache
def made_authority(name):
    with tempfile.TemporaryDirectory() as folder:
        openssl("req", "-x509", "-nodes", *EC, "-subj", f"/CN={name}", "-days", "30", "-addext",
                "basicConstraints=critical,CA:TRUE", "-keyout", f"{folder}/key", "-out", f"{folder}/ca")
        return tuple(pathlib.Path(folder, part).read_text() for part in ("ca", "key"))


@functools.cache
def made_chain(authority):
    """As made(), with an authority between, which the chain brings along."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        ca, ca_key = made_authority(authority)
        (root / "ca").write_text(ca)
        (root / "ca.key").write_text(ca_key)
        (root / "between.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign")
        (root / "leaf.ext").write_text("subjectAltName=DNS:localhost")
        for name, signer in (("between", "ca"), ("leaf", "between")):
            openssl("req", "-nodes", *EC, "-subj", f"/CN={name}", "-keyout", root / f"{name}.key", "-out", root / "csr")
            openssl("x509", "-req", "-in", root / "csr", "-CA", root / signer, "-CAkey", root / f"{signer}.key",
                    "-days", "30", "-extfile", root / f"{name}.ext", "-out", root / name)
        chain = (root / "leaf").read_text() + (root / "between").read_text()
        return ca, chain, (root / "leaf.key").read_text()


def certificate_by_chain(authority):
    with GENERATING:
        return made_chain(authority)


def certificate(authority="ours", names="DNS:localhost,IP:127.0.0.1", days="30"):
    with GENERATING:
        return made(authority, names, days)


class SecureService(Service):
    """The same behind TLS; `ends`: whether it says so before it closes."""

    def __init__(self, serve, pem=None, version=None, clients=None, ends=True, **how):
        _, chain, key = pem or certificate()
        self.ends, self.hosts, self.refused, self.shown = ends, [], [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "chain").write_text(chain)
            pathlib.Path(folder, "key").write_text(key)
            self.context.load_cert_chain(f"{folder}/chain", f"{folder}/key")
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        if clients:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(cadata=clients)
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.sni_callback = lambda sock, name, context: self.hosts.append(name)
        super().__init__(serve, **how)

    def _run(self, wire):
        try:
            wire.sock = self.context.wrap_socket(wire.sock, server_side=True)
            self.shown.append(wire.sock.getpeercert())
        except OSError as error:
            self.refused.append(str(error))
            wire.sock.close()
            return
        try:
            self.serve(wire, self)
            if self.ends:
                with contextlib.suppress(OSError):
                    wire.sock.settimeout(0.2)
                    wire.sock.unwrap()  # close_notify; the gateway may have nothing to say to it
        except (EOFError, OSError):
            pass
        finally:
            wire.sock.close()


def start(t, service, host="localhost", more="ca: ca.pem", files=None, connect="5s"):
    text = BASE.replace("1s", connect).replace("HOST", host).replace("PORT", str(service.port))
    text = text.replace("MORE", more)
    return t.start(text, files={"ca.pem": certificate()[0], **(files or {})})


def refused(t, word, status=502):
    expect(ask(t), status)
    eventually(lambda: word in t.gateway.log(), f"`{word}` in the log")
    if t.gateway.metrics()["holdfast_upstream_tls_failures_total"] < 1 and status == 502:
        raise Wrong("it is not counted")


# --- services that behave


@row(SOURCE, "requests, bodies of every size and kept connections over TLS, with the server's name", cases=VERSIONS)
def kept(t, version):
    def echo(wire, service):
        while True:
            asked = wire.request()
            service.requests.append(asked)
            wire.answer(asked.body)

    with SecureService(echo, version=version) as service:
        start(t, service)
        peer = t.peer()
        for size in (0, 1, 16383, 16384, 16385, 70000, 1_000_000):
            body = bytes(range(256)) * (size // 256 + 1)
            fields = (f"Content-Length: {size}",)
            answer = expect(ask(t, method="POST", fields=fields, body=body[:size], peer=peer), 200)
            if answer.body != body[:size]:
                raise Wrong(f"{len(answer.body)} bytes came back of {size}")
        if service.connections != 1 or service.hosts != ["localhost"]:
            raise Wrong(f"{service.connections} connections to {service.hosts}")
        if t.gateway.metrics()["holdfast_upstream_tls_handshakes_total"] != 1:
            raise Wrong("not one handshake")


@row(SOURCE, "a server by address: the certificate is for it, and no name is sent", tier="all")
def by_address(t):
    with SecureService(honest) as service:
        start(t, service, "127.0.0.1")
        expect(ask(t), 200)
        if service.hosts != [None]:
            raise Wrong(f"sent {service.hosts}")


@row(SOURCE, "a tunnel over TLS, both ways and large", cases=VERSIONS)
def tunnel(t, version):
    with SecureService(mirror, version=version) as service:
        start(t, service)
        peer = t.open("/ws")
        for size in (0, 1, 125, 126, 16384, 65536, 1_000_000):
            payload = bytes(range(256)) * (size // 256 + 1)
            peer.send(binary(payload[:size]))
            peer.expect(2, payload[:size])


@row(SOURCE, "many clients at once, each with its own answer", tier="all")
def crowd(t):
    with SecureService(honest) as service:
        start(t, service, more="ca: ca.pem, idle: 9s", connect="9s")
        peers = [t.peer() for _ in range(30)]
        for turn in range(5):
            for number, peer in enumerate(peers):
                peer.send(request(f"/{turn}/{number}"))
            for number, peer in enumerate(peers):
                if not peer.response().body.startswith(f"GET /{turn}/{number} ".encode()):
                    raise Wrong("another one's answer")


@row(SOURCE, "a service that wants a certificate gets ours, and only where one is configured", cases=VERSIONS, tier="all")
def own_certificate(t, version):
    ca, chain, key = certificate()
    with SecureService(honest, version=version, clients=ca) as service:
        files = {"own.pem": chain, "own.key": key}
        gateway = start(t, service, more="ca: ca.pem, certificate: own.pem, key: own.key", files=files)
        expect(ask(t), 200)
        if not service.shown[0]:
            raise Wrong("no certificate was shown")
        gateway.write(gateway.file.read_text().replace(", certificate: own.pem, key: own.key", "").replace("4s", "3s"))
        gateway.ask("POST", "/reload", headers={"Content-Type": "application/json"}, body="{}")
        eventually(lambda: "result=reloaded" in gateway.log(), "the reload")
        expect(ask(t), 502)


@row(SOURCE, "an authority between, which the chain brings along; what is learned of it goes with the configuration",
     cases=VERSIONS)
def chain(t, version):
    with SecureService(honest, pem=certificate_by_chain("ours"), version=version) as service:
        gateway = start(t, service)
        expect(ask(t), 200)
        gateway.write(gateway.file.read_text().replace("response: 4s", "response: 3s"))
        gateway.ask("POST", "/reload", headers={"Content-Type": "application/json"}, body="{}")
        eventually(lambda: "result=reloaded" in gateway.log(), "the reload")
        expect(ask(t), 200)  # and the end of the process is looked at, too


# --- certificates that are not to be trusted


@row(SOURCE, "a certificate for another name is refused", cases={"name": "DNS:other.test", "address": "IP:127.0.0.9"})
def wrong_name(t, names):
    with SecureService(honest, pem=certificate(names=names)) as service:
        start(t, service, "localhost" if "DNS" in names else "127.0.0.1")
        refused(t, "another name")
        if service.requests:
            raise Wrong("the service was asked")


@row(SOURCE, "a certificate by nobody known is refused")
def unknown_authority(t):
    with SecureService(honest, pem=certificate("theirs")) as service:
        start(t, service)
        refused(t, "nobody that is trusted here has signed its certificate")
        if service.requests:
            raise Wrong("the service was asked")


@row(SOURCE, "the system's authorities are what is trusted when nothing is said", tier="all")
def system_authorities(t):
    with SecureService(honest) as service:
        start(t, service, more="idle: 10s")
        refused(t, "nobody that is trusted here has signed its certificate")


@row(SOURCE, "a certificate that has expired is refused")
def expired(t):
    with SecureService(honest, pem=certificate(days="-1")) as service:
        start(t, service)
        refused(t, "its certificate has expired")


# --- services that do not do TLS, or not to the end


@row(SOURCE, "a service that speaks HTTP in the clear: 502", tier="all")
def plain(t):
    with Service(lambda wire, service: wire.answer("hello")) as service:
        start(t, service)
        refused(t, "upstream_tls")


@row(SOURCE, "a service that says nothing in the handshake: 504 when `connect` is over", slow=True, tier="all")
def silent(t):
    with Service(lambda wire, service: time.sleep(5)) as service:
        start(t, service, connect="1s")
        began = time.monotonic()
        refused(t, "upstream_connect_timeout", 504)
        if not 0.9 < time.monotonic() - began < 4.5:  # three tries
            raise Wrong(f"after {time.monotonic() - began:.1f} s")


@row(SOURCE, "a service that ends in the handshake, or sends junk: 502",
     cases={"end": b"", "junk": b"\x16\x03\x03\xff\xff" + bytes(600), "alert": b"\x15\x03\x03\x00\x02\x02\x28"}, tier="all")
def broken(t, data):
    def break_off(wire, service):
        wire.sock.recv(4096)
        wire.sock.sendall(data)

    with Service(break_off) as service:
        start(t, service)
        refused(t, "upstream_tls")


@row(SOURCE, "an answer without a length is whole only when TLS says that it ends", cases={"said": True, "cut": False})
def truncated(t, ends):
    def until_end(wire, service):
        wire.request()
        wire.send("HTTP/1.1 200 OK\r\n\r\nhalf")

    with SecureService(until_end, ends=ends) as service:
        start(t, service)
        peer = t.peer()
        peer.send(request("/", fields=[("Connection", "close")]))
        peer.sock.settimeout(5)
        got = b""
        with contextlib.suppress(OSError):
            while piece := peer.sock.recv(4096):
                got += piece
        if b"half" not in got or got.endswith(b"0\r\n\r\n") != ends:
            raise Wrong(f"{got}")


@row(SOURCE, "bytes that were changed on the way: the answer is cut, nothing false passes")
def forged(t):
    class Forger(Service):
        """Between the gateway and the service: changes a byte of what comes back, behind the handshake."""

        def __init__(self, behind):
            super().__init__(self.forge)
            self.behind = behind

        def forge(self, wire, service):
            inner = socket.create_connection(("127.0.0.1", self.behind.port))
            threading.Thread(target=self.pass_on, args=(wire.sock, inner), daemon=True).start()
            with contextlib.suppress(OSError):
                while data := bytearray(inner.recv(65536)):
                    if self.behind.requests:
                        data[6] ^= 1  # of the first record
                    wire.sock.sendall(data)

        @staticmethod
        def pass_on(source, target):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)

    def at_once(wire, service):
        service.requests.append(wire.request())
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # one record

    with SecureService(at_once) as behind, Forger(behind) as service:
        start(t, service)
        refused(t, "upstream_tls")


# --- what `check` says


@row("DESIGN 5, bad input", "a file of authorities that holds none, a key of another certificate: file, line and remedy",
     cases={"ca": ("ca: junk.pem", "the authorities are not readable as PEM"),
            "key": ("ca: ca.pem, certificate: own.pem, key: other.key", "the key is not the certificate's")})
def checked(t, more, word):
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        root = pathlib.Path(folder)
        (root / "junk.pem").write_text("junk")
        (root / "ca.pem").write_text(certificate()[0])
        (root / "own.pem").write_text(certificate()[1])
        openssl("genrsa", "-out", root / "other.key", "2048")
        text = BASE.replace("{port}", "1").replace("{admin}", "2").replace("HOST", "a.test").replace("PORT", "443")
        (root / "main.yaml").write_text(text.replace("MORE", more))
        done = subprocess.run([binary_path(), "check", "-c", root / "main.yaml"], capture_output=True, text=True)
        if done.returncode != 1 or word not in done.stdout + done.stderr or "main.yaml:7:" not in done.stdout + done.stderr:
            raise Wrong(f"{done}")
