"""What a scanner that we did not write finds: testssl.sh, by hellos of its own. (sslscan asks for TLS 1.2 with every suite
there is: more than the 150 that wolfSSL reads, so that it takes the version for missing.)"""

import json
import pathlib
import subprocess

from harness.rows import row
from harness.wire import Wrong
from system.tls import TLS, start

DEPS = pathlib.Path(__file__).resolve().parents[2] / "tools/deps"
FINDINGS = {
    "SSLv2": "not offered",
    "SSLv3": "not offered",
    "TLS1": "not offered",
    "TLS1_1": "not offered",
    "TLS1_2": "offered",
    "TLS1_3": "offered with final",
    "ALPN": "http/1.1",
    "cipherlist_NULL": "not offered",
    "cipherlist_aNULL": "not offered",
    "cipherlist_EXPORT": "not offered",
    "cipherlist_LOW": "not offered",
    "cipherlist_3DES_IDEA": "not offered",
    "cipherlist_AVERAGE": "not offered",  # CBC
    "cipherlist_STRONG": "offered",  # AEAD
    "secure_renego": "supported",  # says that it knows RFC 5746
    "secure_client_renego": "not vulnerable",  # and begins none for a client
}


@row(
    TLS,
    "testssl.sh: old versions, CBC and what is weaker are not offered, and no client renegotiates",
    cases=["ec", "rsa"],
    tier="all",
    slow=True,
)
def scanned(t, kind):
    subprocess.run([DEPS, "scanner"], check=True)
    gateway = start(t, kind=kind)
    path = gateway.folder / "findings.json"
    subprocess.run(
        ["testssl", "--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "-p", "-s", "-R"]
        + ["--jsonfile", path, f"127.0.0.1:{gateway.port}"],
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
    found = {one["id"]: one["finding"] for one in json.loads(path.read_text())}
    wrong = {name: found.get(name) for name, what in FINDINGS.items() if found.get(name) != what}
    if wrong:
        raise Wrong(f"found {wrong}")
