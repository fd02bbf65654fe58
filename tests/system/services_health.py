"""Health checks of services: a server that is ill gets no requests, and does again when it is well."""

from harness.rows import row
from harness.service import Service
from harness.wire import Wrong
from system.admin import eventually
from system.services import ask, expect
from system.services_tls import SecureService, certificate

BASE = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
upstreams:
  web: {servers: [SERVERS], connect: 2s, failures: 100, MORE
        health: {path: /healthz, interval: 500ms, timeout: 490ms, healthy: 2, unhealthy: 3}}
routes:
  - {path: "/*", proxy: {upstream: web}, upgrade: false}
"""
SOURCE = "issue 5.1"


def patient(wire, service):
    """Answers checks as `service.status` says, and everything else well."""
    while True:
        asked = wire.request()
        if asked.target == "/healthz":
            service.checks += 1
            wire.answer("", status=service.status)
        else:
            service.requests.append(asked)
            wire.answer(service.url)


def made(kind=Service, **how):
    service = kind(patient, **how)
    service.status, service.checks = "200 OK", 0
    return service


def start(t, *services, more="", files=None):
    servers = ", ".join(f'"{service.url}"' for service in services)
    return t.start(BASE.replace("SERVERS", servers).replace("MORE", more), files=files)


def metric(t, name):
    return t.gateway.metrics()[f'holdfast_upstream_{name}{{upstream="web"}}']


def down(t, count):
    """On both workers."""
    eventually(lambda: metric(t, "servers_down") == 2 * count, f"{count} servers are down")


@row(SOURCE, "a server whose checks fail gets no requests, and does again; the log has a line for each change")
def leaves_and_returns(t):
    with made() as ill, made() as well:
        gateway = start(t, ill, well)
        eventually(lambda: ill.checks > 2 and well.checks > 2, "both are checked")
        ill.status = "503 Service Unavailable"
        down(t, 1)
        ill.requests.clear()
        for _ in range(10):
            expect(ask(t), 200)
        if ill.requests or metric(t, "checks_failed_total") < 6:
            raise Wrong(f"{len(ill.requests)} requests went to a server that is down")
        ill.status = "204 No Content"
        down(t, 0)
        for _ in range(20):
            expect(ask(t), 200)
        if not ill.requests:
            raise Wrong("it gets no requests")
        log = gateway.log()
        if log.count("server_down") != 2 or log.count("server_up") != 2 or "check=" not in log:
            raise Wrong(log)


@row(SOURCE, "with every server down requests are answered 503; a request that runs is not disturbed", tier="all")
def all_down(t):
    with made() as service:
        start(t, service)
        service.status = "500 x"
        down(t, 1)
        expect(ask(t), 503)
        service.status = "200 OK"
        down(t, 0)
        expect(ask(t), 200)


@row(SOURCE, "a service that is gone, or does not answer its checks in time, is down", cases=["gone", "slow"], tier="all")
def no_answer(t, kind):
    def slow(wire, service):
        wire.request()
        service.checks += 1
        wire.head()  # never comes

    service = made() if kind == "gone" else made(lambda _, **how: Service(slow, **how))
    with service:
        start(t, service)
        if kind == "gone":
            eventually(lambda: service.checks > 0, "it is checked")
            service.close()
        down(t, 1)
        expect(ask(t), 503)


@row(SOURCE, "checks by https go over TLS, and a certificate that is refused is a bad answer",
     cases={"good": "ours", "bad": "theirs"}, tier="all")
def secure(t, authority):
    with made(SecureService, pem=certificate(authority)) as service:
        service.url = service.url.replace("http", "https")
        files = {"ca.pem": certificate()[0]}
        start(t, service, more="ca: ca.pem,", files=files)
        if authority == "theirs":
            eventually(lambda: metric(t, "checks_failed_total") > 2, "checks fail")
        else:
            eventually(lambda: service.checks > 2, "it is checked")
            eventually(lambda: ask(t).status == 200, "requests pass")
