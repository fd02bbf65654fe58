"""Who is let in: JSON Web Tokens by keys, algorithms, places and claims; what an expired one ends; what the log holds."""

import base64
import json
import signal
import time

from harness import tokens
from harness.rows import row
from harness.service import Service, honest
from harness.tokens import jwks, part, token
from harness.wait import eventually
from harness.wire import Wrong, request, text, upgrade
from system.admin import connections
from system.checks import check
from system.tunnels import either

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
log: {level: debug}
auth:
  users: {jwt: {algorithms: [ALGORITHM], jwks_file: keys.json, audience: web, leeway: 0s, from: [FROM]}}
routes:
  - {path: /open, echo: {}}
  - {path: /echo, echo: {}, auth: users, origins: ["https://app.test"], subprotocols: [chat]}
  - {path: "/chat/{room}", auth: users, origins: ["https://app.test"], subprotocols: [chat],
     channels: {subscribe: ["chat.{room}.{claim.sub}"], publish: "chat.{room}.{claim.sub}"}}
  - {path: /me, channels: {subscribe: ["user.{claim.sub}"]}, auth: users, origins: ["https://app.test"],
     subprotocols: [chat]}
"""
ISSUE = "issue 5.4"


def start(t, algorithm="HS256", places="header"):
    configuration = CONFIGURATION.replace("ALGORITHM", algorithm).replace("FROM", places)
    return t.start(configuration, files={"keys.json": jwks(algorithm)})


def bearer(given):
    return ("Authorization", f"Bearer {given}")


def refused(t, status, *fields, path="/echo", head=None):
    """The answer to a handshake that is not let in; its body says nothing that depends on the token."""
    peer = t.peer()
    peer.send(head or upgrade(path, add=fields))
    answer = peer.response()
    if answer.status != status:
        raise Wrong(f"{answer.status} instead of {status}: {answer}")
    if status == 401 and answer.get("www-authenticate") != "Bearer":
        raise Wrong(f"401 without a bare challenge: {answer}")
    if answer.body not in (b"authentication needed\n", b"authentication failed\n", b"not permitted\n"):
        raise Wrong(f"the body tells {answer.body}")
    return answer


def reasons(gateway):
    return [line for line in gateway.log().splitlines() if "auth_refused" in line]


def says(gateway, reason):
    eventually(lambda: any(reason in line for line in reasons(gateway)), f"a line that says {reason}")


@row(ISSUE, "a token by each algorithm is let in, and its neighbour by one bit is not")
def algorithms(t):
    names = ["HS256", "HS384", "HS512", "RS256", "ES256", "ES384", "EdDSA"]
    configuration = CONFIGURATION.replace("ALGORITHM", ", ".join(names)).replace("FROM", "header")
    gateway = t.start(configuration, files={"keys.json": jwks(*names)})
    for name in names:
        good = token(algorithm=name)
        peer = t.open("/echo", add=[bearer(good)])
        peer.send(text(name))
        peer.expect_text(name)
        head, claims, made = good.split(".")
        bad = bytearray(base64.urlsafe_b64decode(made + "=="))
        bad[len(bad) // 2] ^= 1
        refused(t, 401, bearer(f"{head}.{claims}.{tokens.b64(bytes(bad))}"))
    says(gateway, "its signature is wrong")


LIES = {
    "none": (f"{part({'alg': 'none'})}.{part({'exp': 9e9})}.", "algorithm is unknown"),
    "no-dots": ("abc", "three parts"),
    "too-long": ("a." * 2000 + "b", "three parts"),
    "basic": (None, "not Bearer"),
    "other-audience": (lambda: token({"aud": "mobile"}), "another audience"),
    "no-audience": (lambda: token({"aud": None}), "no audience"),
    "expired": (lambda: token({"exp": int(time.time()) - 1}), "expired"),
    "no-expiry": (lambda: token({"exp": None}), "no expiry"),
    "not-yet": (lambda: token({"nbf": int(time.time()) + 100}), "not valid yet"),
    "other-algorithm": (lambda: token(algorithm="HS512"), "no key is known"),
    "critical": (lambda: token(header={"crit": ["exp"]}), "critical extension"),
}


@row(ISSUE, "each kind of wrong token is a 401 whose reason only the log has, and is counted")
def wrong(t):
    gateway = start(t)
    for given, reason in LIES.values():
        given = given() if callable(given) else given
        refused(t, 401, bearer(given) if given else ("Authorization", "Basic YTpi"))
        says(gateway, reason)
    refused(t, 401, bearer(token()), bearer(token()))
    says(gateway, "two Authorization fields")
    eventually(
        lambda: gateway.metric("holdfast_faults_total", fault="token_refused") == len(LIES) + 1,
        "each of them is counted",
    )


@row(ISSUE, "a public key is no secret: HS256 by the text of an ES256 key is refused")
def confusion(t):
    start(t, "ES256")
    key = json.loads(jwks("ES256"))["keys"][0]
    refused(t, 401, bearer(token(secret=base64.urlsafe_b64decode(key["x"] + "=="))))


PLACES = {  # an `auth` of its own each: where it looks, and how a client gives the token there
    "head": ("header", lambda a: ([bearer(a)], "")),
    "case": ("header", lambda a: ([("authorization", f"bEARER  {a}")], "")),
    "cook": ('"cookie:token"', lambda a: ([("Cookie", f"x=1; token={a}; y=2")], "")),
    "quer": ('"query:token"', lambda a: ([], f"?a=1&token={a}")),
    "esca": ('"query:token"', lambda a: ([], f"?tok%65n={a.replace('.', '%2E')}")),
    "subp": ("subprotocol", lambda a: ([("Sec-WebSocket-Protocol", f"bearer.{a}, chat")], "")),
}


@row(ISSUE, "the token is taken from the place that the configuration names, and from no other")
def places(t):
    auths = routes = ""
    for name, (where, _) in PLACES.items():
        jwt = f"{{algorithms: [HS256], jwks_file: keys.json, audience: web, from: [{where}]}}"
        auths += f"  {name}: {{jwt: {jwt}}}\n"
        routes += f"  - {{path: /{name}, echo: {{}}, auth: {name}, origins: [null], subprotocols: [chat]}}\n"
    configuration = CONFIGURATION[: CONFIGURATION.index("auth:")] + "auth:\n" + auths + "routes:\n" + routes
    t.start(configuration, files={"keys.json": jwks("HS256")})
    given = token()
    for name, (where, how) in PLACES.items():
        fields, query = how(given)
        protocol = "chat" if where == "subprotocol" else None
        peer = t.open(f"/{name}{query}", protocol=protocol, add=fields)
        peer.send(text("in"))
        peer.expect_text("in")
        for elsewhere, other in PLACES.values():
            fields, query = other(given)
            if elsewhere != where:
                refused(t, 401, head=upgrade(f"/{name}{query}", add=fields))


@row(ISSUE, "the first place that has a token decides: a good one elsewhere does not help")
def first_place(t):
    start(t, places='"cookie:token", header')
    refused(t, 401, ("Cookie", "token=a.b.c"), bearer(token()))
    refused(t, 401, ("Authorization", "Bearer a.b.c"), bearer(token()))


@row(ISSUE, "claims make channel names; no value of one reaches another's")
def claims(t):
    start(t)
    names = {"ada": "ada", "a.b": "a%2Eb", "a%2Eb": "a%252Eb", "*": "%2A", "é": "%C3%A9", 42: "42"}
    peers = {sub: t.open("/me", add=[bearer(token({"sub": sub}))]) for sub in names}
    for sub, name in names.items():
        body = {"items": [{"channel": f"user.{name}", "text": f"to {sub}"}]}
        status, _, answer = t.gateway.ask("POST", "/publish", body)
        if status != 200 or json.loads(answer)["items"][0]["subscribers"] != 1:
            raise Wrong(f"{sub}: {status} {answer}")
        peers[sub].expect_text(f"to {sub}")
    for sub in (None, "", ["a"], {"a": 1}, 1.5, True, "x" * 129, "é" * 22):
        refused(t, 403, bearer(token({"sub": sub})), path="/me")
    t.open("/me", add=[bearer(token({"sub": "x" * 128}))])


@row(ISSUE, "POST needs the token as the handshake does, and publishes to the claim's channel")
def post(t):
    start(t)
    listener = t.open("/chat/red", add=[bearer(token())])
    t.peer().send(request("/chat/red", "POST", fields=[("Content-Length", "2")], body="hi"))
    peer = t.peer()
    peer.send(request("/chat/red", "POST", fields=[("Content-Length", "2")], body="hi"))
    if peer.response().status != 401:
        raise Wrong("a POST without a token is let in")
    peer = t.peer()
    peer.send(request("/chat/red", "POST", fields=[("Content-Length", "2"), bearer(token())], body="hi"))
    answer = peer.response()
    if answer.status != 200:
        raise Wrong(f"{answer}")
    listener.expect_text("hi")
    peer = t.peer()
    fields = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "POST")]
    peer.send(request("/chat/red", "OPTIONS", fields=fields))
    if peer.response().status != 204:
        raise Wrong("a preflight needs a token, which it can never have")
    peer = t.peer()
    peer.send(
        request("/chat/red", "POST", fields=[("Origin", "https://app.test"), ("Content-Length", "0")])
    )
    answer = peer.response()
    if answer.get("access-control-allow-origin") != "https://app.test":
        raise Wrong(f"the page may not read why it was refused: {answer}")


@row(ISSUE, "an open connection ends with 1008 when its token expires, and not before", slow=True)
def expiry(t):
    gateway = start(t)
    short = t.open("/echo", add=[bearer(token(lasts=3))])
    long = t.open("/echo", add=[bearer(token(lasts=10**10))])
    begun = time.monotonic()
    short.send(text("alive"))
    short.expect_text("alive")
    short.expect_close(1008)
    short.close()
    if not 1 < time.monotonic() - begun < 5:
        raise Wrong(f"after {time.monotonic() - begun:.1f} s")
    long.send(text("alive"))
    long.expect_text("alive")
    eventually(
        lambda: gateway.metric("holdfast_faults_total", fault="token_expired") == 1, "it is counted"
    )


@row(ISSUE, "tokens are found nowhere but in the head: not in the log, the trace, the metrics or the lists")
def silence(t):
    gateway = start(t, places='header, "cookie:token", "query:token", subprotocol')
    good, bad = token(), token(algorithm="HS512")
    t.open("/echo", add=[bearer(good)])
    t.open(f"/echo?token={good}")
    t.open("/echo", add=[("Cookie", f"token={good}")])
    t.open("/echo", protocol="chat", add=[("Sec-WebSocket-Protocol", f"chat, bearer.{good}")])
    refused(t, 401, bearer(bad))
    refused(t, 401, head=upgrade(f"/echo?token={bad}"))
    refused(t, 401, ("Cookie", f"token={bad}"))
    says(gateway, "no key is known")
    told = gateway.log() + str(connections(gateway))
    for path in ("/metrics", "/trace", "/channels", "/connections"):
        told += str(gateway.ask("GET", path)[2])
    for secret in (*good.split("."), *bad.split(".")[1:]):
        if secret in told:
            raise Wrong(f"{secret} was told")


@row(ISSUE, "a reload reads the key file again; who is in stays")
def reload(t):
    gateway = start(t)
    old = t.open("/echo", add=[bearer(token())])
    (gateway.folder / "keys.json").write_text(jwks("HS384"))
    gateway.write(CONFIGURATION.replace("ALGORITHM", "HS384").replace("FROM", "header"))
    gateway.signal(signal.SIGHUP)

    def status(given):
        peer = t.peer()
        peer.send(upgrade("/echo", add=[bearer(given)]))
        return peer.response().status

    eventually(lambda: status(token(algorithm="HS384")) == 101, "a token by the new key is let in")
    if status(token()) != 401:
        raise Wrong("a token by the former key is still let in")
    old.send(text("still here"))
    old.expect_text("still here")
    if "`auth` applies to new requests" not in gateway.log():
        raise Wrong("the change is not said")


AUTH = """\
listeners: [{address: "127.0.0.1:8080"}]
auth: {users: {jwt: {algorithms: [ALGORITHM], jwks_file: keys.json}}}
routes: [{path: /e, echo: {}, auth: users}]
"""
SETS = {
    "not-json": ("{", "not JSON"),
    "no-set": ("{}", 'not a key set: an object with an array "keys"'),
    "no-key": ('{"keys":[]}', "no key in it is for one of the configured algorithms"),
    "other": (jwks("HS384"), "no key in it is for one of the configured algorithms"),
    "short": (
        '{"keys":[{"kty":"oct","alg":"HS256","k":"YQ"}]}',
        "key 1 (HS256) has a secret shorter than its hash",
    ),
}


@row(ISSUE, "a key file that cannot be used is an error of the configuration with its place")
def key_files(t):
    for content, problem in SETS.values():
        found = check(AUTH.replace("ALGORITHM", "HS256"), files={"keys.json": content})
        if found != [(2, 54, f"`jwt.jwks_file`: {problem}; correct the file")]:
            raise Wrong(f"{found}")


# --- what services are sent of it

PASSED = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
auth:
  users: {jwt: {algorithms: [HS256], jwks_file: keys.json, audience: web, pass: {X-User: sub, X-Roles: roles}}}
upstreams:
  web: {servers: ["WEB"]}
routes:
  - {path: "/ws", tunnel: {upstream: web}, auth: users}
  - {path: "/*", proxy: {upstream: web}, auth: users}
"""


@row(ISSUE, "claims of a token are passed to services, by requests and tunnels; a client's own of these names never are")
def passed(t):
    with Service(either) as web:
        t.start(PASSED.replace("WEB", web.url), files={"keys.json": jwks("HS256")})
        claims = {"sub": "ada", "aud": "web", "exp": time.time() + 60, "roles": ["admin", "dev"]}
        fields = [("X-User", "root"), ("x_roles", "root")]
        peer = t.peer()
        peer.send(request("/x", fields=[bearer(token(claims)), *fields]))
        peer.response()
        t.open("/ws", add=[bearer(token(claims)), *fields])
        eventually(lambda: len(web.requests) == 2, "both at the service")
        for got in web.requests:
            said = [(name.lower(), value) for name, value in got.fields if name.lower().replace("_", "-") in ("x-user", "x-roles")]
            if sorted(said) != [("x-roles", "admin,dev"), ("x-user", "ada")]:
                raise Wrong(f"the service was sent {got.head}")


@row(ISSUE, "a claim that would break out of its header lets nobody in, and nothing reaches the service")
def breaks_out(t):
    with Service(honest) as web:
        t.start(PASSED.replace("WEB", web.url), files={"keys.json": jwks("HS256")})
        peer = t.peer()
        claims = {"sub": "ada\r\nX-Roles: admin", "aud": "web", "exp": time.time() + 60}
        peer.send(request("/x", fields=[bearer(token(claims))]))
        answer = peer.response()
        if answer.status != 403 or web.requests:
            raise Wrong(f"{answer} {web.requests}")
