"""Certificates of clients: optional, and what routes and services learn of them."""

import hashlib
import pathlib
import ssl
import tempfile

from harness.rows import row
from harness.service import Service, honest
from harness.wait import eventually, once
from harness.wire import Wrong, request, text, upgrade
from system.tls import TLS, VERSIONS, client_certificate, context, echoes, files, opened, secure

CONFIGURATION = """\
listeners:
  - address: "127.0.0.1:{port}"
    tls: {certificate: chain.pem, key: key.pem, client_ca: ours.pem, client_certificates: optional}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
UPSTREAMS
routes:
  - {path: /echo, echo: {}}
  - {path: /me, channels: {subscribe: ["s.{certificate.subject}"], publish: "f.{certificate.fingerprint}"}}
  - {path: /all, channels: {subscribe: ["f.FINGERPRINT"], publish: "s.CN%3Done"}}
  - PROXY
"""


@once
def clients():
    """Of an authority of ours and of another one: its certificate, and a client's with its key."""
    made = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for authority in ("ours", "other"):
            client_certificate(folder, authority)
            for end in ("pem", "client.pem", "client.key"):
                made[f"{authority}.{end}"] = (folder / f"{authority}.{end}").read_text()
    return made


def fingerprint():
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(clients()["ours.client.pem"])).hexdigest()


def started(t, service=None):
    upstreams = f'upstreams: {{web: {{servers: ["{service.url}"]}}}}' if service else ""
    proxy = '{path: "/*", proxy: {upstream: web}, upgrade: false}' if service else "{path: /x, echo: {}}"
    text_of = CONFIGURATION.replace("UPSTREAMS", upstreams).replace("PROXY", proxy)
    return t.start(text_of.replace("FINGERPRINT", fingerprint()), files={**files(), **clients()})


def with_certificate(gateway, authority="ours", version=None):
    made = context(version)
    made.load_cert_chain(
        gateway.folder / f"{authority}.client.pem", gateway.folder / f"{authority}.client.key"
    )
    return made


@row(TLS, "optional: who shows none is let in without it, who shows a stranger's is not", cases=VERSIONS)
def optional(t, version):
    gateway = started(t)
    echoes(opened(t, how=context(version)), [5])
    echoes(opened(t, how=with_certificate(gateway, version=version)), [5])
    nobody = secure(t, how=context(version))
    nobody.send(upgrade("/me"))
    answer = nobody.response()
    if answer.status != 403 or gateway.metric("holdfast_faults_total", fault="certificate_unusable") != 1:
        raise Wrong(f"{answer} on a route that needs a certificate")
    try:
        stranger = secure(t, how=with_certificate(gateway, "other", version))
        stranger.send(upgrade("/echo"))
        answer = stranger.response()
    except (ssl.SSLError, OSError):
        return
    except Wrong as wrong:
        if "closed" in str(wrong) or "reset" in str(wrong):
            return
        raise
    raise Wrong(f"a stranger was let in: {answer}")


@row(TLS, "subject and fingerprint stand in the names of channels", cases=VERSIONS)
def names(t, version):
    gateway = started(t)
    known = opened(t, "/me", how=with_certificate(gateway, version=version))
    other = opened(t, "/all", how=context(version))
    other.send(text("to the subject"))
    known.expect_text("to the subject")
    known.send(text("from the fingerprint"))
    other.expect_text("from the fingerprint")


@row(TLS, "services are told subject and fingerprint by us alone")
def services(t):
    lies = (("X-Client-Certificate-Subject", "CN=root"), ("X_Client_Certificate_Fingerprint", "00"),
            ("X-Client-Certificate-Other", "lie"))
    with Service(honest) as service:
        gateway = started(t, service)
        for how, shows in ((context(), False), (with_certificate(gateway), True)):
            peer = secure(t, how=how)
            peer.send(request("/a", fields=lies))
            seen = peer.response().body.decode().lower()
            lines = [line for line in seen.split("\r\n") if line.startswith(("x-client", "x_client"))]
            wanted = ["x-client-certificate-subject: cn=one", f"x-client-certificate-fingerprint: {fingerprint()}"]
            if lines != (wanted if shows else []):
                raise Wrong(f"the service saw {lines}")
