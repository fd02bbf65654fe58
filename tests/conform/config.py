"""The configuration that the rows speak to, and the processes that serve it."""

from harness.gateway import Gateway

MAIN = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {connections: 5000, message: 1MiB, header: 8KiB, handshake: 20s, channels: 4}
keepalive: {ping: 60s, pong: 20s}
drain: 1s
compression: false
routes:
  - {path: /, page: demo}
  - {path: /deflate, echo: {}, compression: {threshold: 100B}}
  - {path: /deflate-own, echo: {}, compression: {threshold: 10B, takeover: server}}
  - {path: /deflate-small, echo: {}, compression: {}, limits: {message: 1000B}}
  - {path: "/deflate-chat/{room}", channels: {subscribe: ["deflate.{room}"], publish: "deflate.{room}"}, compression: {level: 6}}
  - {path: /echo, echo: {}}
  - {path: /small, echo: {}, limits: {message: 1000B}}
  - {path: /few, echo: {}, limits: {fragments: 4}}
  - {path: /text, echo: {}, messages: text}
  - {path: /binary, echo: {}, messages: binary}
  - {path: /any, echo: {}, messages: any}
  - {path: /protocols, echo: {}, subprotocols: [chat.v2, chat.v1, mqtt]}
  - {path: /origins, echo: {}, origins: ["https://app.example.com", "http://localhost:3000", "http://[::1]:8000"]}
  - {path: /null, echo: {}, origins: ["null"]}
  - {path: /required, echo: {}, origins: ["https://app.example.com"], origins_required: true}
  - {path: /hosts, host: a.test, echo: {}, subprotocols: [a]}
  - {path: /hosts, host: b.test, echo: {}, subprotocols: [b]}
  - {path: /only, host: a.test, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
  - {path: "/quiet/{room}", channels: {subscribe: ["quiet.{room}"], publish: "quiet.{room}", echo_self: false}}
  - {path: "/listen/{room}", channels: {subscribe: ["chat.{room}"]}}
  - {path: "/texts/{room}", channels: {subscribe: ["texts.{room}"], publish: "texts.{room}"}, messages: text}
  - {path: "/rooms/{user}", channels: {subscribe: ["user.{user}"], allow: ["room.*", "exact"], publish: "user.{user}"}}
  - {path: "/guarded/{room}", channels: {subscribe: ["guarded.{room}"], publish: "guarded.{room}"}, origins: ["https://app.example.com"]}
  - {path: "/post/{room}", channels: {subscribe: ["post.{room}"], publish: "post.{room}"}, limits: {message: 1000B}}
  - {path: "/two/{a}/fixed", echo: {}, subprotocols: [fixed]}
  - {path: "/two/{a}/{b}", echo: {}, subprotocols: [two]}
  - {path: "/order/first", echo: {}, subprotocols: [first]}
  - {path: "/order/{any}", echo: {}, subprotocols: [any]}
  - {path: "/slash/", echo: {}}
  - {path: "/deep/*", echo: {}}
  - {path: "/unreserved-._~", echo: {}}
"""

# Short deadlines, for the rows that wait for one.
HURRIED = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {address: "127.0.0.1:{admin}"}
workers: 1
limits: {handshake: 400ms}
backpressure: {kernel: 16KiB}
keepalive: {ping: 60s, pong: 20s}
drain: 1s
routes:
  - {path: /echo, echo: {}}
  - {path: /idle, echo: {}, limits: {idle: 500ms}}
  - {path: /age, echo: {}, limits: {age: 600ms}}
  - {path: /ping, echo: {}, keepalive: {ping: 300ms, pong: 250ms}}
  - {path: /patient, echo: {}, keepalive: {ping: 2100ms, pong: 2s}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
"""

CONFIGURATIONS = {"main": MAIN, "hurried": HURRIED}


def start(names):
    running = {}
    try:
        for name in sorted(names):
            running[name] = Gateway(CONFIGURATIONS[name], name).start()
    except BaseException:
        for gateway in running.values():
            gateway.stop()
        raise
    return running
