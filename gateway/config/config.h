// The configuration: YAML text to frozen plain structs. Every value is resolved (defaults filled
// in, units converted, global values merged into the routes), so that nobody behind it parses,
// defaults or checks again. Not for reading files or the environment: both are handed in, so
// parsing is a function of its input. Used by the control thread at start and at reload; the result
// never changes and may be read by every thread until config_close. All memory hangs on the one
// object.
#pragma once
#include "core/base/address.h"
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

// Where a value was written; both count from 1, columns in characters. Line 0: not written, a
// default.
struct config_place {
    uint32_t line;
    uint32_t column;
};

// `host:port`, `[v6]:port` or `unix:/path`. Hosts are numeric: nothing is resolved here.
struct config_address {
    struct span text;       // as written
    struct span path;       // unix only: without `unix:`, 1 to 107 bytes, no zero byte inside
    struct address address; // ADDRESS_IP with its port, or ADDRESS_UNIX
};

enum config_tls_version { CONFIG_TLS_12, CONFIG_TLS_13 };
enum config_tls_layer { CONFIG_TLS_COMPACT, CONFIG_TLS_LIBRARY };

// The files' contents, not yet judged.
struct config_certificate {
    struct span certificate; // PEM: the leaf first
    struct span key;         // PEM
    struct span ocsp;        // DER: what a responder said of it; empty: nothing
    struct span key_path;    // as written
    struct config_place place;
};

struct config_tls {
    struct config_certificate first;       // for hosts that no other one is for
    const struct config_certificate *more; // chosen by the client's server name
    uint32_t more_count;
    struct span client_ca;   // PEM: clients need a certificate of theirs; empty: they need none
    bool client_is_optional; // those without a certificate are let in as well
    struct config_place place;
    uint8_t version_min;  // enum config_tls_version
    uint8_t record_layer; // enum config_tls_layer
    bool is_present;      // false: the listener is plain
};

// Who may say by a PROXY header whose connection it is; from others none is accepted.
struct config_proxy {
    const struct address_range *trusted;
    uint32_t trusted_count; // 0: the listener has none
};

struct config_listener {
    struct config_address address;
    struct config_tls tls;
    struct config_proxy proxy;
    struct config_place place;
};

struct config_admin {
    struct config_address address;
    struct span token; // contents of token_file without surrounding white space; empty: none needed
    struct span token_path; // as written; empty: no file
    struct config_place place;
    bool is_present; // false: no admin listener
};

// Limits of a route, global ones merged in. connections and per_address are the route's own; the
// global ones (struct config_admission) hold beside them.
struct config_limits {
    uint64_t message_bytes;
    uint64_t idle_ms;             // 0: off
    uint64_t age_ms;              // 0: off
    uint32_t connections;         // 0: no bound of the route's own
    uint32_t per_address;         // 0: no bound of the route's own
    uint64_t bytes_per_second;    // of a connection's messages; 0: off
    uint32_t messages_per_second; // of a connection; 0: off
    uint32_t fragments;
    uint32_t channels;
};

// What is limited for the whole process, before a route is known.
struct config_admission {
    uint64_t header_bytes;
    uint64_t handshake_ms;
    uint32_t connections;
    uint32_t per_address; // 0: off
    uint32_t handshakes_per_second;
    uint32_t handshakes_per_address; // and second; 0: off
};

struct config_keepalive {
    uint64_t ping_ms; // 0: off
    uint64_t pong_ms;
};

enum config_policy {
    CONFIG_POLICY_CLOSE,
    CONFIG_POLICY_DROP_OLDEST,
    CONFIG_POLICY_DROP_NEWEST,
    CONFIG_POLICY_CONFLATE,
};

struct config_backpressure {
    uint64_t queue_bytes;
    uint64_t stall_ms;
    uint8_t policy; // enum config_policy
};

enum config_takeover { CONFIG_TAKEOVER_OFF, CONFIG_TAKEOVER_SERVER };

// permessage-deflate.
struct config_compression {
    uint64_t threshold_bytes; // shorter messages go plain
    uint32_t level;           // 1 to 9; 0: never agreed to
    uint8_t takeover;         // enum config_takeover
};

struct config_engine {
    uint32_t slots; // direct descriptors per ring; 0: auto
    uint32_t submissions;
    uint32_t completions;
    uint32_t buffers;
    bool zero_copy;
};

struct config_log {
    uint8_t level; // enum log_level
    bool is_json;
};

// The kinds of request that a route tells apart, as bits.
enum config_kind {
    CONFIG_KIND_UPGRADE = 1, // a GET that asks for WebSocket
    CONFIG_KIND_GET = 2,     // any other GET
    CONFIG_KIND_HEAD = 4,
    CONFIG_KIND_POST = 8,
    CONFIG_KIND_OPTIONS = 16,
    CONFIG_KIND_OTHER = 32,
};

enum config_verb {
    CONFIG_VERB_PAGE,
    CONFIG_VERB_ECHO,
    CONFIG_VERB_CHANNELS,
    CONFIG_VERB_PROXY,
    CONFIG_VERB_TUNNEL,
    CONFIG_VERB_COUNT,
};

// Bits of enum config_kind that a verb answers. A plain GET of `channels` is not among them until
// event streams and long-polls exist.
uint8_t config_verb_kinds(enum config_verb verb);
const char *config_verb_name(enum config_verb verb);
static inline bool config_verb_passes_on(uint8_t verb) { // what comes goes to a service
    return verb == CONFIG_VERB_PROXY || verb == CONFIG_VERB_TUNNEL;
}

enum config_messages {
    CONFIG_MESSAGES_ANY,
    CONFIG_MESSAGES_TEXT,
    CONFIG_MESSAGES_BINARY,
};

enum config_segment_kind {
    CONFIG_SEGMENT_LITERAL, // text: unreserved bytes decoded, other escapes in upper case
    CONFIG_SEGMENT_CAPTURE, // text: the placeholder's name
};

struct config_segment {
    struct span text;
    uint8_t kind; // enum config_segment_kind
};

// `/` is one empty literal, `/a/` is `a` and an empty literal, `/*` is none and has_rest.
struct config_path {
    struct span text; // as written
    const struct config_segment *segments;
    uint8_t segment_count;
    uint8_t capture_count; // captures are numbered in path order
    bool has_rest;         // a final `/*`: one or more further segments, also empty ones
};

enum config_part_kind {
    CONFIG_PART_LITERAL, // text: valid channel name bytes
    CONFIG_PART_CAPTURE, // text: the name; capture: its number in the path
    CONFIG_PART_CLAIM,   // text: the claim's name without `claim.`
    CONFIG_PART_SUBJECT, // of the client's certificate, and
    CONFIG_PART_FINGERPRINT,
};

struct config_part {
    struct span text;
    uint8_t kind; // enum config_part_kind
    uint8_t capture;
    uint8_t claim; // its number in the route's `claims`
};

// A channel name with placeholders: `chat.{room}`. In `allow` also with a final `*`.
struct config_template {
    struct span text; // as written
    const struct config_part *parts;
    uint8_t part_count;
    bool has_star; // a final `*`, which is not among the parts: one or more bytes
};

struct config_templates {
    const struct config_template *items;
    uint32_t count;
};

struct config_spans {
    const struct span *items;
    uint32_t count;
};

// scheme://host[:port] of a page that may connect.
struct config_origin {
    struct span scheme; // as written; compares without case
    struct span host;   // same; IPv6 in brackets
    uint16_t port;      // the scheme's default filled in; 0: the scheme has none
    bool is_null;       // the word `null`: sandboxed and local pages
};

struct config_origins {
    const struct config_origin *items;
    uint32_t count;
};

struct config_channels {
    struct config_templates subscribe;
    struct config_templates allow;
    struct config_template publish; // part_count 0: clients may not publish by plain messages
    bool echo_self;
};

// How one of an upstream's servers is chosen.
enum config_balance {
    CONFIG_BALANCE_LEAST_PENDING, // the one with the fewest exchanges
    CONFIG_BALANCE_ADDRESS,       // by the client's address
    CONFIG_BALANCE_PATH,
    CONFIG_BALANCE_COOKIE, // by the value of the cookie `balance_name`
    CONFIG_BALANCE_HEADER, // by the value of that field
};

// `http://host:port`, `https://host:port` or `unix:/path`.
struct config_server {
    struct config_address address; // ADDRESS_NONE with its port: to be looked up by `host`
    struct span host;              // a name; empty: the address is known
    struct span authority;         // host[:port] as written; `localhost` for a Unix socket
    struct config_place place;
    bool is_secure; // https
};

// How servers are asked by https. Files' contents, not yet judged.
struct config_upstream_tls {
    struct span ca;          // PEM: who must have signed a server's certificate
    struct span certificate; // PEM, shown to servers that ask; empty: none
    struct span key;         // PEM
    struct span key_path;    // as written; empty: no file
    struct config_place place;
    bool is_present;   // a server is asked so
    bool is_system_ca; // `ca` is the system's, and nothing else is said
};

// How its servers are checked; each is asked for by GET.
struct config_health {
    struct span path;
    uint64_t interval_ms; // 0: they are not
    uint64_t timeout_ms;  // at most the interval
    uint32_t healthy;     // good answers in a row, until a server is asked again
    uint32_t unhealthy;   // bad ones, until it is not
};

struct config_upstream {
    struct span name;
    struct config_health health;
    struct config_upstream_tls tls;
    const struct config_server *servers;
    struct span balance_name; // of the cookie or header
    uint64_t connect_ms;
    uint64_t response_ms;
    uint64_t idle_ms;    // between two pieces of an answer; 0: off
    uint64_t retry_ms;   // until a server that failed is asked again
    uint64_t resolve_ms; // between two look-ups of its servers' names
    uint32_t server_count;
    uint32_t connections; // to one server, of each worker, upgrades not counted
    uint32_t queue;       // requests that wait for one, of each worker
    uint32_t failures;    // in a row, until a server is not asked any more
    uint8_t balance;      // enum config_balance
};

// Where a token is looked for.
enum config_token_place {
    CONFIG_TOKEN_HEADER,      // Authorization: Bearer TOKEN
    CONFIG_TOKEN_COOKIE,      // the cookie of that name
    CONFIG_TOKEN_QUERY,       // the query's parameter of that name
    CONFIG_TOKEN_SUBPROTOCOL, // `bearer.TOKEN` among the subprotocols that a client offers
};

struct config_token_source {
    struct span name; // of the cookie or parameter
    uint8_t place;    // enum config_token_place
};

// A header of an asked service's answer.
struct config_forward_field {
    struct span header;
    struct span claim; // that it becomes; empty: none
    bool passes;       // services are sent it
};

// A service that is asked who a client is.
struct config_forward {
    struct span target;      // path and query of its URL
    const struct span *sent; // names of the headers of a request that it is sent
    const struct config_forward_field *fields;
    uint64_t cache_ms; // 0: it is asked each time
    uint32_t entries;  // remembered at most, of each worker
    uint16_t upstream; // index in config->upstreams
    uint8_t sent_count, field_count;
};

// A claim of a token that services are sent.
struct config_pass {
    struct span header;
    struct span claim;
};

enum config_auth_kind { CONFIG_AUTH_JWT, CONFIG_AUTH_FORWARD };

// Who may come in: by JSON Web Tokens, or as a service says.
struct config_auth {
    struct span name;
    struct config_forward forward;             // CONFIG_AUTH_FORWARD; what follows is of JWT
    struct span jwks;                          // contents of jwks_file, not yet judged
    struct span jwks_path;                     // as written
    struct span audience;                      // empty: tokens with an audience are refused
    struct span issuer;                        // empty: any
    const struct config_token_source *sources; // the first that has a token decides
    const struct config_pass *passes;
    struct config_place place; // of jwks_file or `forward`
    uint32_t algorithms;       // bit per enum signature_kind (core/crypto)
    uint32_t leeway_s;
    uint8_t source_count, pass_count;
    uint8_t kind; // enum config_auth_kind
};

struct config_route {
    struct config_path path;
    struct span host; // lower case, without port; empty: any
    struct span page; // page only
    struct config_channels channels;
    struct config_origins origins;
    struct config_spans subprotocols; // in order of preference
    struct config_limits limits;
    struct config_keepalive keepalive;
    struct config_backpressure backpressure;
    struct config_compression compression;
    const struct config_auth *auth; // NULL: everybody
    struct config_spans claims;     // that its templates use, each once; at most CLAIMS_MAX
    struct config_place place;
    uint16_t upstream;     // proxy and tunnel: index in config->upstreams
    uint8_t verb;          // enum config_verb
    uint8_t messages;      // enum config_messages
    bool has_origins;      // false: every Origin may come in
    bool origins_required; // a request without Origin is refused
    bool tunnels_upgrades; // proxy only: WebSocket handshakes go to the same upstream
};
// Bits of enum config_kind that it answers.
uint8_t config_route_kinds(const struct config_route *route);

struct config {
    const struct config_listener *listeners;
    const struct address_range *trusted;
    const struct config_auth *auths;
    const struct config_route *routes; // in the order of the file
    const struct config_upstream *upstreams;
    uint32_t listener_count;
    uint32_t trusted_count;
    uint32_t auth_count;
    uint32_t route_count;
    uint32_t upstream_count;
    uint32_t workers; // 0: auto, one per core
    struct config_admin admin;
    struct config_admission admission;
    struct config_limits limits;             // of routes that say nothing, for comparison and print
    struct config_keepalive keepalive;       // same
    struct config_backpressure backpressure; // same
    struct config_compression compression;   // same
    uint64_t kernel_bytes;                   // backpressure.kernel: per client
    uint64_t worker_queue_bytes;             // backpressure.worker_queue: per worker
    uint64_t drain_ms;
    struct config_engine engine;
    struct config_log log;
    struct span system_ca; // PEM: the system's authorities; empty: nobody needs them
};

enum {
    CONFIG_ERROR_BYTES = 512, // one line with its terminator; longer ones are cut
};

struct config_errors {
    uint32_t count;
    bool is_cut; // there were more than CONFIG_ERRORS_MAX
    // `file:line:column: problem; remedy`, in the order of the file, terminated.
    char lines[CONFIG_ERRORS_MAX][CONFIG_ERROR_BYTES];
};

struct config_source {
    struct span text;
    const char *file; // for messages only
    void *context;    // handed to both functions
    // Contents of a file that the configuration names; relative paths are relative to the
    // configuration file's folder. 0, or -errno. The bytes are lent until the next call.
    int (*load)(void *context, const char *path, struct span *bytes);
    // An environment variable's value, or NULL. Lent until the next call.
    const char *(*environment)(void *context, const char *name);
};

// Parses, checks and freezes. Returns the configuration, owned by the caller until config_close,
// and errors->count 0; or NULL and at least one error. `errors` is the caller's and is overwritten.
// Keeps nothing of `source`. Calls back load and environment only.
const struct config *config_open(const struct config_source *source, struct config_errors *errors);

// Frees the object and sets the caller's pointer to NULL. NULL is accepted.
void config_close(const struct config **config);

// The built-in demo: WebSocket on 127.0.0.1:8080, admin on 127.0.0.1:9090, /echo, /chat/{room} and
// the page at `/`. It is ordinary configuration text and is parsed like any other.
struct span config_demo_text(void);
