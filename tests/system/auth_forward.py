"""Forward authentication: a service says who a client is, before anything else of its request happens."""

import signal
import time

from harness.rows import row
from harness.service import Service, honest
from harness.wait import eventually
from harness.wire import Wrong, request, text, upgrade
from system.checks import check
from system.services import expect
from system.services_tls import SecureService, certificate
from system.tunnels import either

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
log: {level: debug}
auth:
  sessions: {forward: {url: "AUTH/check?app=1", timeout: 500ms, CACHE, claims: {sub: X-User}, pass: [X-User, X-Org]}}
upstreams:
  web: {servers: ["WEB"]}
routes:
  - {path: /open, echo: {}}
  - {path: /echo, echo: {}, auth: sessions, origins: ["https://app.test"]}
  - {path: /me, channels: {subscribe: ["user.{claim.sub}"], publish: "user.{claim.sub}"}, auth: sessions,
     origins: ["https://app.test"]}
  - {path: "/web/*", proxy: {upstream: web}, auth: sessions, origins: ["https://app.test"]}
"""
ISSUE = "issue 5.4"


def doorman(wire, service):
    """Says who a client is by its cookie `who`; what it does about some of them is in their names."""
    while True:
        got = wire.request()
        service.requests.append(got)
        who = (got.get("cookie") or "").partition("who=")[2]
        if who == "slow":
            wire.take(1)  # until its end
        elif who == "gone":
            return
        elif who == "garbage":
            wire.send("garbage\r\n\r\n")
        elif who == "long":
            wire.answer("x" * 200000, fields=["X-User: long"])
        elif who == "twice":
            wire.answer(fields=["X-User: a", "X-User: b"])
        elif who == "large":
            wire.answer(fields=[f"X-User: {'a' * 4097}"])
        elif who.isdigit():
            wire.answer("no", status=f"{who} Some", fields=["Location: /login", "X-User: nobody"])
        elif who:
            wire.answer("in", fields=[f"X-User: {who}", "X-Org: acme", "Set-Cookie: no=1"])
        else:
            wire.answer("", status="401 Unauthorized")


def start(t, auth, web="http://127.0.0.1:1", cache="cache: off"):
    url = auth if isinstance(auth, str) else auth.url
    web = web if isinstance(web, str) else web.url
    return t.start(BASE.replace("AUTH", url).replace("WEB", web).replace("CACHE", cache))


def cookie(who):
    return ("Cookie", f"a=b; who={who}")


def ask(t, who, path="/web/x", peer=None, add=(), **how):
    peer = peer or t.peer()
    peer.send(request(path, fields=[cookie(who), *add], **how))
    return peer.response()


@row(ISSUE, "who the service lets in comes in, and the service is told whose request it is, and no more")
def lets_in(t):
    with Service(doorman) as auth:
        start(t, auth)
        peer = t.open("/me?x=1", add=[cookie("alice"), ("X-Secret", "s"), ("Authorization", "Basic x")])
        peer.send(text("hello"))
        peer.expect_text("hello")
        got = auth.requests[0]
        names = sorted(name.lower() for name, _ in got.fields)
        wanted = "authorization cookie host x-forwarded-for x-forwarded-host x-forwarded-method x-forwarded-proto"
        if got.line != "GET /check?app=1 HTTP/1.1" or names != [*wanted.split(), "x-forwarded-uri"]:
            raise Wrong(f"the service was sent {got.head}")
        if got.get("x-forwarded-uri") != "/me?x=1" or got.get("x-forwarded-for") != "127.0.0.1":
            raise Wrong(f"the service was sent {got.head}")
        other = t.open("/me", add=[cookie("bob")])  # another's channel
        other.send(text("mine"))
        other.expect_text("mine")
        peer.leave()
        other.leave()


REFUSALS = {
    "401": 401,
    "403": 403,
    "302": 503,
    "404": 503,
    "500": 503,
    "slow": 503,
    "gone": 503,
    "garbage": 503,
    "twice": 503,
    "large": 503,
}


@row(ISSUE, "401 and 403 are passed on as such, and whatever is no answer is 503", cases=REFUSALS.items())
def refuses(t, who, status):
    with Service(doorman) as auth, Service(honest) as web:
        gateway = start(t, auth, web)
        for path in ("/echo", "/web/x"):
            peer = t.peer()
            head = upgrade(path, add=[cookie(who)]) if path == "/echo" else request(path, fields=[cookie(who)])
            peer.send(head)
            answer = peer.response()
            if answer.status != status or b"no" == answer.body or answer.get("location"):
                raise Wrong(f"{path}: {answer} {answer.body}")
        if web.requests:
            raise Wrong("its service was asked all the same")
        eventually(lambda: gateway.log().count("auth_refused") == 2, "two lines in the log")
        if f"who={who}" in gateway.log():
            raise Wrong("the log holds the cookie")
        t.open("/open").leave()


@row(ISSUE, "a service that is not there: 503")
def absent(t):
    start(t, "http://127.0.0.1:1")
    if ask(t, "alice").status != 503:
        raise Wrong("let in")


@row(ISSUE, "what the service says of a client its services are sent, and nobody else can say it")
def passed(t):
    with Service(doorman) as auth, Service(either) as web:
        start(t, auth, web)
        lies = [("X-User", "root"), ("x_user", "root"), ("X-ORG", "evil")]
        answer = ask(t, "alice", method="POST", body=b"hello", add=[*lies, ("Content-Length", "5")])
        if answer.status != 200 or not answer.body.endswith(b"body 5"):
            raise Wrong(f"{answer} {answer.body}")
        t.open("/web/ws", add=[cookie("alice"), *lies]).leave()
        eventually(lambda: len(web.requests) == 2, "two requests")
        for got in web.requests:
            if got.all("x-user") != ["alice"] or got.all("x-org") != ["acme"] or got.all("x_user"):
                raise Wrong(f"the service was sent {got.head}")


@row(ISSUE, "an answer is remembered for its time, for whoever sends just the same, and the oldest make room")
def remembered(t):
    with Service(doorman) as auth, Service(honest) as web:
        gateway = start(t, auth, web, "cache: 1s, entries: 2")

        def asked(who, wanted, **how):
            before = len(auth.requests)
            if ask(t, who, **how).status != (401 if who == "401" else 200):
                raise Wrong(who)
            if len(auth.requests) - before != wanted:
                raise Wrong(f"{who} made {len(auth.requests) - before} questions, not {wanted}")

        began = time.monotonic()
        asked("a", 1)
        asked("a", 0)
        asked("b", 1)
        asked("a", 0)
        asked("c", 1)  # a goes
        asked("b", 0)
        asked("a", 1)
        asked("a", 1, path="/web/y")
        asked("401", 1)  # who is not let in is asked for anew
        asked("401", 1)
        asked("a", 0, path="/web/y")
        if time.monotonic() - began < 0.9:
            time.sleep(1.1)
            asked("a", 1, path="/web/y")
        if gateway.metric("holdfast_auth_remembered_total") < 4:
            raise Wrong("metrics")


@row(ISSUE, "who waits too long is told so, and who goes away takes its question with it")
def vanishes(t):
    ended = []

    def serve(wire, service):
        service.requests.append(wire.request())
        try:
            wire.take(1)
        except EOFError:
            ended.append(True)

    with Service(serve) as auth:
        text_of = BASE.replace("log:", "limits: {handshake: 500ms}\nlog:").replace("timeout: 500ms", "timeout: 20s").replace("AUTH", auth.url)
        t.start(text_of.replace("WEB", "http://127.0.0.1:1").replace("CACHE", "cache: off"))
        peer = t.peer()
        peer.send(upgrade("/echo", add=[cookie("a")]))
        if (answer := peer.response()).status != 503:
            raise Wrong(f"{answer}")
        peer.close()
        eventually(lambda: ended, "its end")


@row(ISSUE, "a request that waits while the configuration changes is judged by the new one")
def reloaded(t):
    held = []

    def serve(wire, service):
        service.requests.append(wire.request())
        held.append(wire)
        wire.take(1)

    with Service(serve) as first, Service(doorman) as second, Service(honest) as web:
        gateway = start(t, first, web, "headers: [Cookie]")
        peer = t.peer()
        peer.send(request("/web/x", fields=[cookie("alice")]))
        eventually(lambda: held, "a question")
        gateway.write(BASE.replace("AUTH", second.url).replace("WEB", web.url).replace("CACHE", "cache: off"))
        gateway.signal(signal.SIGHUP)
        eventually(lambda: "reloaded" in gateway.log(), "a reload")
        held[0].send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User: old\r\n\r\n")
        answer = peer.response()
        if answer.status != 200 or web.requests[0].all("x-user") != ["alice"]:
            raise Wrong(f"{answer} {web.requests}")


@row("DESIGN 5, bad input", "what does not fit together is an error with its place")
def checked(t):
    for part, wanted in {
        '{forward: {url: "ftp://a/b"}}': "is no URL of a service",
        '{forward: {url: "http://a:1/b", claims: {sub: Connection}}}': "no header that may be named here",
        '{forward: {url: "http://a:1/b", cache: 2h}}': "forward.cache",
        "{forward: {cache: 1s}}": "url",
    }.items():
        text_of = "listeners: [{address: 127.0.0.1:1}]\nauth: {a: " + part + "}\nroutes: [{path: /, echo: {}}]\n"
        found = check(text_of)
        if found[0][0] != 2 or wanted not in found[0][2]:
            raise Wrong(f"{part}: {found}")


# --- by https


def start_secure(t, auth, ca):
    base = BASE.replace("pass: [X-User, X-Org]", "pass: [X-User, X-Org], ca: ca.pem")
    base = base.replace("AUTH", f"https://localhost:{auth.port}").replace("WEB", "http://127.0.0.1:1")
    return t.start(base.replace("CACHE", "cache: off"), files={"ca.pem": ca})


@row(ISSUE, "a service that is asked by https lets in, and its name is said")
def lets_in_by_https(t):
    with SecureService(doorman) as auth:
        start_secure(t, auth, certificate()[0])
        peer = t.open("/me", add=[cookie("alice")])
        peer.send(text("hello"))
        peer.expect_text("hello")
        expect(ask(t, "", path="/web/x"), 401)
        if auth.hosts[0] != "localhost" or auth.requests[0].line != "GET /check?app=1 HTTP/1.1":
            raise Wrong(f"it was asked as {auth.hosts}: {auth.requests[0].head}")


@row(ISSUE, "a service whose certificate somebody else has signed is not told who asks, and nobody comes in")
def stranger_by_https(t):
    with SecureService(doorman, pem=certificate("strangers")) as auth:
        start_secure(t, auth, certificate()[0])
        expect(ask(t, "alice"), 503)
        eventually(lambda: "auth:sessions" in t.gateway.log(), "the service in the log")
        if auth.requests:
            raise Wrong(f"it was sent {auth.requests[0].head}")
