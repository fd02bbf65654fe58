"""JSON Web Tokens and key sets made by OpenSSL and Python's hmac: by nobody who checks them."""

import base64
import hmac
import json
import re
import subprocess
import tempfile
import time

from harness.wait import once

SECRET = bytes(range(7, 71))  # 64 bytes: enough for each of HS256, HS384 and HS512
HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value):
    return b64(json.dumps(value).encode())


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


@once
def private(algorithm):
    """PEM of a key for the algorithm; the same one all through a run."""
    how = {
        "ES256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ES384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        "EdDSA": ["ed25519"],
        "RS256": ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"],
    }[algorithm]
    return openssl("genpkey", "-algorithm", *how)


def jwk(algorithm, kid=None):
    """The public half as a JSON Web Key, or the secret."""
    named = {"alg": algorithm, **({"kid": kid} if kid else {})}
    if algorithm in HASHES:
        return {"kty": "oct", "k": b64(SECRET), **named}
    pem = private(algorithm)
    if algorithm == "RS256":
        modulus = openssl("rsa", "-noout", "-modulus", data=pem).decode().strip().split("=")[1]
        return {"kty": "RSA", "n": b64(bytes.fromhex(modulus)), "e": "AQAB", **named}
    public = openssl("pkey", "-pubout", "-outform", "DER", data=pem)
    if algorithm == "EdDSA":
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public[-32:]), **named}
    size = {"ES256": 32, "ES384": 48}[algorithm]
    x, y = public[-2 * size : -size], public[-size:]
    return {"kty": "EC", "crv": f"P-{8 * size}", "x": b64(x), "y": b64(y), **named}


def jwks(*algorithms):
    return json.dumps({"keys": [jwk(algorithm) for algorithm in algorithms]})


def signature(algorithm, message, secret=SECRET):
    if algorithm in HASHES:
        return hmac.new(secret, message, HASHES[algorithm]).digest()
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as text:
        key.write(private(algorithm))
        key.flush()
        text.write(message)
        text.flush()
        if algorithm == "EdDSA":
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key.name, "-in", text.name)
        made = openssl("dgst", "-sha384" if algorithm == "ES384" else "-sha256", "-sign", key.name, text.name)
    if algorithm == "RS256":
        return made
    size = {"ES256": 32, "ES384": 48}[algorithm]
    lines = openssl("asn1parse", "-inform", "DER", data=made).decode()
    numbers = re.findall(r"INTEGER\s+:([0-9A-F]+)", lines)
    return b"".join(bytes.fromhex(n.rjust(2 * size, "0"))[-size:] for n in numbers)


def token(claims=None, algorithm="HS256", header=None, lasts=300, secret=SECRET):
    """A token for the audience `web` that ends in `lasts` seconds, unless the claims say otherwise; None leaves out."""
    given = {"aud": "web", "exp": int(time.time()) + lasts, "sub": "ada", **(claims or {})}
    given = {name: value for name, value in given.items() if value is not None}
    text = f"{part({'alg': algorithm, 'typ': 'JWT', **(header or {})})}.{part(given)}"
    return f"{text}.{b64(signature(algorithm, text.encode(), secret))}"
