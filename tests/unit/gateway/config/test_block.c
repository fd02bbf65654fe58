// The configuration of the reference, word for word, with its files present. As long as parts of it
// are not built it expects exactly the lines that refuse them; building one deletes its line here.
#include "core/crypto/signature.h"
#include "tests/unit/gateway/config/harness.h"

// clang-format off: one line of the file is one line here
static const char block[] =
    "listeners:\n"
    "  - address: 0.0.0.0:8080\n"
    "  - address: \"[::]:8443\"\n"
    "    tls: {certificate: fullchain.pem, key: key.pem}\n"
    "    proxy_protocol: {trusted: [10.0.0.0/8]}\n"
    "admin: {address: 127.0.0.1:9090, token_file: /etc/holdfast/admin.token}\n"
    "workers: auto                       # one thread per core\n"
    "limits: {connections: 1000000, per_address: 2000, message: 1MiB, header: 8KiB, handshake: "
    "10s, handshakes_per_second: 20000, channels: 64}\n"
    "keepalive: {ping: 25s, pong: 10s}\n"
    "backpressure: {queue: 256KiB, kernel: 128KiB, worker_queue: 512MiB, stall: 30s, policy: "
    "close}  # or drop_oldest, drop_newest, conflate\n"
    "compression: {level: 1, threshold: 256B}   # permessage-deflate when the client offers it; "
    "`false` turns it off\n"
    "drain: 30s\n"
    "log: {level: info, format: text}    # or json\n"
    "auth:\n"
    "  users:    {jwt: {algorithms: [ES256], jwks_file: keys.json, audience: web, from: [header, "
    "\"cookie:token\", \"query:token\"]}}\n"
    "  sessions: {forward: {url: \"http://auth:8000/check\", cache: 30s}}\n"
    "upstreams:\n"
    "  orders: {servers: [\"http://10.0.0.5:8000\", \"http://10.0.0.6:8000\"], connect: 2s, "
    "response: 10s, balance: least_pending}\n"
    "  graphql: {servers: [\"http://10.0.0.7:4000\"]}\n"
    "  web: {servers: [\"http://10.0.0.8:3000\"]}\n"
    "routes:                             # first match wins; one verb per route\n"
    "  - {path: /,              page: demo}\n"
    "  - {path: /echo,          echo: {}}\n"
    "  - {path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"], publish: "
    "\"chat.{room}\"}, auth: users, origins: [\"https://app.example.com\"]}\n"
    "  - {path: /me,            channels: {subscribe: [\"user.{claim.sub}\"], allow: "
    "[\"room.*\"]}, auth: users, origins: [\"https://app.example.com\"]}\n"
    "  - {path: /orders,        events: {upstream: orders}}     # WebSocket-over-HTTP: a service "
    "needs no WebSocket code\n"
    "  - {path: /graphql,       tunnel: {upstream: graphql}, subprotocols: "
    "[graphql-transport-ws]}\n"
    "  - {path: \"/*\",           proxy: {upstream: web}}         # HTTP; answers may hold the "
    "client open with GRIP\n"
    "backplane: {nats: {servers: [\"nats://10.0.0.9:4222\"]}}     # or redis: {...}; none = this "
    "node only\n";
// clang-format on

#define MISSING                                                                                    \
    "f.yaml:26:28: `events` is not built yet in this version; remove it\n"                         \
    "f.yaml:29:1: `backplane` is not built yet in this version; remove it\n"

Test(config_block, is_refused_for_its_missing_parts_alone) {
    const char *lines = signature_is_built(SIGNATURE_ES256)
                            ? MISSING
                            : "f.yaml:15:33: this holdfast was built without TLS and cannot check "
                              "`ES256`; write HS256, or build with -DHOLDFAST_TLS=ON\n" MISSING;
    world_refuses_span(span_text(block), lines);
}
