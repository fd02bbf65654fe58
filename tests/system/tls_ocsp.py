"""OCSP stapling: the answer in a file, judged when it is read, and shown to clients that ask."""

import pathlib
import signal
import subprocess
import tempfile
import time

from harness.rows import row
from harness.wait import eventually, once
from harness.wire import Wrong
from system.tls import CONFIGURATION, SClient, TLS

STAPLED = CONFIGURATION.replace("key: key.pem}", "key: key.pem, ocsp_file: answer.der}")
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def answer(folder, name, flag="V", lasts=("-ndays", "1")):
    """What the authority's responder says of `name`.pem, as DER."""
    serial = subprocess.run(["openssl", "x509", "-in", f"{name}.pem", "-noout", "-serial"], cwd=folder,
                            check=True, capture_output=True, text=True).stdout.strip().split("=")[1]
    revoked = "260101000000Z" if flag == "R" else ""
    line = f"{flag}\t301231235959Z\t{revoked}\t{serial}\tunknown\t/CN={name}\n"
    (folder / "index").write_text(line)
    openssl(folder, "ocsp", "-issuer", "ca.pem", "-cert", f"{name}.pem", "-no_nonce", "-reqout", "ask")
    openssl(folder, "ocsp", "-index", "index", "-rsigner", "ca.pem", "-rkey", "ca.key", "-CA", "ca.pem",
            "-reqin", "ask", "-respout", "said", *lasts)
    return (folder / "said").read_bytes()


@once
def authority():
    """Certificates and answers of an authority of our own, made once."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        openssl(folder, "req", "-x509", *EC, "-days", "30", "-subj", "/CN=ca.test", "-keyout", "ca.key",
                "-out", "ca.pem", "-addext", "basicConstraints=critical,CA:TRUE")
        (folder / "ext").write_text("subjectAltName=DNS:gateway.test\nbasicConstraints=CA:FALSE\n")
        for leaf in ("leaf", "other"):
            openssl(folder, "req", *EC, "-subj", "/CN=gateway.test", "-keyout", f"{leaf}.key", "-out", "csr")
            openssl(folder, "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
                    "-CAcreateserial", "-extfile", "ext", "-out", f"{leaf}.pem")
        good = answer(folder, "leaf")
        return {
            "chain.pem": (folder / "leaf.pem").read_text() + (folder / "ca.pem").read_text(),
            "key.pem": (folder / "leaf.key").read_text(),
            "to answer again": {name: (folder / name).read_bytes() for name in ("ca.pem", "ca.key", "leaf.pem")},
            "good": good,
            "another certificate": answer(folder, "other"),
            "does not say": answer(folder, "leaf", "R"),
            "not signed": good[:-1] + bytes([good[-1] ^ 1]),
            "is no answer": b"nonsense",
        }


def brief():
    """An answer that is good for a minute from now on."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part, content in authority()["to answer again"].items():
            (folder / part).write_bytes(content)
        return answer(folder, "leaf", lasts=("-nmin", "1"))


def start(t, kept):
    """`kept`: the name of an answer of the authority's, or an answer."""
    made = authority()
    given = kept if isinstance(kept, bytes) else made[kept]
    return t.start(STAPLED, files={"chain.pem": made["chain.pem"], "key.pem": made["key.pem"], "answer.der": given})


def says(t, words, version="-tls1_3"):
    with SClient(t.gateway, version, "-servername", "gateway.test", "-status") as client:
        client.sees("Cipher is")
        client.sees(words)


@row(TLS, "a good answer is stapled for who asks, in both versions", cases=["-tls1_2", "-tls1_3"])
def stapled(t, version):
    start(t, "good")
    says(t, "Cert Status: good", version)
    with SClient(t.gateway, version) as client:
        client.sees("Cipher is")


@row(TLS, "an answer that clients should not see is not shown, and the log says why",
     cases=["another certificate", "does not say", "not signed", "is no answer"])
def kept_back(t, why):
    gateway = start(t, why)
    says(t, "OCSP response: no response sent")
    if "ocsp_file" not in gateway.log() or why not in gateway.log():
        raise Wrong(gateway.log()[-500:])


@row(TLS, "a reload reads the answer anew")
def reload(t):
    gateway = start(t, "is no answer")
    says(t, "no response sent")
    (gateway.folder / "answer.der").write_bytes(authority()["good"])
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "reloaded" in gateway.log(), "the reload")
    says(t, "Cert Status: good")


@row(TLS, "an answer that grows stale is shown no longer, and a reload says so", tier="all", slow=True)
def stale(t):
    gateway = start(t, brief())
    says(t, "Cert Status: good")
    time.sleep(62)
    says(t, "OCSP response: no response sent")
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "is stale" in gateway.log(), "the reason")
