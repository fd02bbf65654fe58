#include "gateway/config/config_diff.h"

#include "gateway/config/origin_split.h"
#include "gateway/config/value.h"

static bool listeners_equal(const struct config *a, const struct config *b) {
    bool is_equal = a->listener_count == b->listener_count;
    for (uint32_t i = 0; is_equal && i < a->listener_count; i++) {
        is_equal = value_address_is_equal(&a->listeners[i].address, &b->listeners[i].address);
    }
    return is_equal;
}

static bool certificate_equal(const struct config_certificate *a,
                              const struct config_certificate *b) {
    return span_equal(a->certificate, b->certificate) && span_equal(a->key, b->key) &&
           span_equal(a->ocsp, b->ocsp);
}

static bool certificates_equal(const struct config_tls *a, const struct config_tls *b) {
    bool is_equal = a->more_count == b->more_count && certificate_equal(&a->first, &b->first) &&
                    span_equal(a->client_ca, b->client_ca) &&
                    a->client_is_optional == b->client_is_optional;
    for (uint32_t i = 0; is_equal && i < a->more_count; i++) {
        is_equal = certificate_equal(&a->more[i], &b->more[i]);
    }
    return is_equal;
}

static bool tls_equal(const struct config *a, const struct config *b) {
    bool is_equal = true;
    for (uint32_t i = 0; is_equal && i < a->listener_count && i < b->listener_count; i++) {
        const struct config_tls *x = &a->listeners[i].tls;
        const struct config_tls *y = &b->listeners[i].tls;
        bool are_both = x->is_present && y->is_present;
        is_equal = !are_both || (x->version_min == y->version_min && certificates_equal(x, y));
    }
    return is_equal;
}

// Memory and ports were opened for what is plain and what is not, and for one record layer.
static bool tls_presence_equal(const struct config *a, const struct config *b) {
    bool is_equal = true;
    for (uint32_t i = 0; is_equal && i < a->listener_count && i < b->listener_count; i++) {
        const struct config_tls *x = &a->listeners[i].tls;
        const struct config_tls *y = &b->listeners[i].tls;
        is_equal = x->is_present == y->is_present &&
                   (!x->is_present || x->record_layer == y->record_layer);
    }
    return is_equal;
}

static bool admin_equal(const struct config *a, const struct config *b) {
    return a->admin.is_present == b->admin.is_present &&
           (!a->admin.is_present || value_address_is_equal(&a->admin.address, &b->admin.address));
}

static bool token_equal(const struct config *a, const struct config *b) {
    return span_equal(a->admin.token, b->admin.token);
}

static bool workers_equal(const struct config *a, const struct config *b) {
    return a->workers == b->workers;
}

static bool admission_equal(const struct config *a, const struct config *b) {
    const struct config_admission *x = &a->admission;
    const struct config_admission *y = &b->admission;
    return x->per_address == y->per_address && x->header_bytes == y->header_bytes &&
           x->handshake_ms == y->handshake_ms &&
           x->handshakes_per_second == y->handshakes_per_second &&
           x->handshakes_per_address == y->handshakes_per_address;
}

static bool connections_equal(const struct config *a, const struct config *b) {
    return a->admission.connections == b->admission.connections;
}

static bool worker_queue_equal(const struct config *a, const struct config *b) {
    return a->worker_queue_bytes == b->worker_queue_bytes;
}

static bool kernel_equal(const struct config *a, const struct config *b) {
    return a->kernel_bytes == b->kernel_bytes;
}

static bool engine_equal(const struct config *a, const struct config *b) {
    const struct config_engine *x = &a->engine;
    const struct config_engine *y = &b->engine;
    return x->slots == y->slots && x->submissions == y->submissions &&
           x->completions == y->completions && x->buffers == y->buffers &&
           x->zero_copy == y->zero_copy;
}

static bool ranges_equal(const struct address_range *a, const struct address_range *b,
                         uint32_t count) {
    bool is_equal = true;
    for (uint32_t i = 0; is_equal && i < count; i++) {
        is_equal =
            a[i].prefix_bits == b[i].prefix_bits && memcmp(a[i].ip, b[i].ip, sizeof(a[i].ip)) == 0;
    }
    return is_equal;
}

static bool trusted_equal(const struct config *a, const struct config *b) {
    return a->trusted_count == b->trusted_count &&
           ranges_equal(a->trusted, b->trusted, a->trusted_count);
}

static bool proxies_equal(const struct config *a, const struct config *b) {
    bool is_equal = true;
    for (uint32_t i = 0; is_equal && i < a->listener_count && i < b->listener_count; i++) {
        const struct config_proxy *x = &a->listeners[i].proxy;
        const struct config_proxy *y = &b->listeners[i].proxy;
        is_equal = x->trusted_count == y->trusted_count &&
                   ranges_equal(x->trusted, y->trusted, x->trusted_count);
    }
    return is_equal;
}

static bool templates_equal(struct config_templates a, struct config_templates b) {
    bool is_equal = a.count == b.count;
    for (uint32_t i = 0; is_equal && i < a.count; i++) {
        is_equal = span_equal(a.items[i].text, b.items[i].text);
    }
    return is_equal;
}

static bool origins_equal(const struct config_route *a, const struct config_route *b) {
    bool is_equal = a->has_origins == b->has_origins && a->origins.count == b->origins.count &&
                    a->origins_required == b->origins_required;
    for (uint32_t i = 0; is_equal && i < a->origins.count; i++) {
        is_equal = config_origin_is_equal(&a->origins.items[i], &b->origins.items[i]);
    }
    return is_equal;
}

static bool subprotocols_equal(struct config_spans a, struct config_spans b) {
    bool is_equal = a.count == b.count;
    for (uint32_t i = 0; is_equal && i < a.count; i++) {
        is_equal = span_equal(a.items[i], b.items[i]);
    }
    return is_equal;
}

// Its service is one of the upstreams.
static bool forward_equal(const struct config_forward *a, const struct config_forward *b) {
    bool is_equal = span_equal(a->target, b->target) && a->cache_ms == b->cache_ms &&
                    a->entries == b->entries && a->sent_count == b->sent_count &&
                    a->field_count == b->field_count;
    for (uint32_t i = 0; is_equal && i < a->sent_count; i++) {
        is_equal = span_equal_nocase(a->sent[i], b->sent[i]);
    }
    for (uint32_t i = 0; is_equal && i < a->field_count; i++) {
        is_equal = span_equal_nocase(a->fields[i].header, b->fields[i].header) &&
                   span_equal(a->fields[i].claim, b->fields[i].claim) &&
                   a->fields[i].passes == b->fields[i].passes;
    }
    return is_equal;
}

static bool auth_equal(const struct config_auth *a, const struct config_auth *b) {
    bool is_equal = span_equal(a->name, b->name) && span_equal(a->jwks, b->jwks) &&
                    span_equal(a->audience, b->audience) && span_equal(a->issuer, b->issuer) &&
                    a->algorithms == b->algorithms && a->leeway_s == b->leeway_s &&
                    a->source_count == b->source_count && a->pass_count == b->pass_count;
    is_equal = is_equal && a->kind == b->kind && forward_equal(&a->forward, &b->forward);
    for (uint32_t i = 0; is_equal && i < a->source_count; i++) {
        is_equal = a->sources[i].place == b->sources[i].place &&
                   span_equal(a->sources[i].name, b->sources[i].name);
    }
    for (uint32_t i = 0; is_equal && i < a->pass_count; i++) {
        is_equal = span_equal_nocase(a->passes[i].header, b->passes[i].header) &&
                   span_equal(a->passes[i].claim, b->passes[i].claim);
    }
    return is_equal;
}

static bool auths_equal(const struct config *a, const struct config *b) {
    bool is_equal = a->auth_count == b->auth_count;
    for (uint32_t i = 0; is_equal && i < a->auth_count; i++) {
        is_equal = auth_equal(&a->auths[i], &b->auths[i]);
    }
    return is_equal;
}

static bool auth_names_equal(const struct config_auth *a, const struct config_auth *b) {
    return a == NULL || b == NULL ? a == b : span_equal(a->name, b->name);
}

static bool limits_equal(const struct config_route *a, const struct config_route *b) {
    const struct config_limits *x = &a->limits;
    const struct config_limits *y = &b->limits;
    return x->message_bytes == y->message_bytes && x->idle_ms == y->idle_ms &&
           x->age_ms == y->age_ms && x->connections == y->connections &&
           x->per_address == y->per_address && x->fragments == y->fragments &&
           x->channels == y->channels && x->messages_per_second == y->messages_per_second &&
           x->bytes_per_second == y->bytes_per_second &&
           a->keepalive.ping_ms == b->keepalive.ping_ms &&
           a->keepalive.pong_ms == b->keepalive.pong_ms &&
           a->backpressure.queue_bytes == b->backpressure.queue_bytes &&
           a->backpressure.stall_ms == b->backpressure.stall_ms &&
           a->backpressure.policy == b->backpressure.policy &&
           a->compression.level == b->compression.level &&
           a->compression.takeover == b->compression.takeover &&
           a->compression.threshold_bytes == b->compression.threshold_bytes;
}

static bool channels_equal(const struct config_channels *a, const struct config_channels *b) {
    return templates_equal(a->subscribe, b->subscribe) && templates_equal(a->allow, b->allow) &&
           span_equal(a->publish.text, b->publish.text) && a->echo_self == b->echo_self;
}

bool config_route_is_equal(const struct config_route *a, const struct config_route *b) {
    return span_equal(a->path.text, b->path.text) && span_equal(a->host, b->host) &&
           a->verb == b->verb && span_equal(a->page, b->page) && a->messages == b->messages &&
           channels_equal(&a->channels, &b->channels) && origins_equal(a, b) &&
           subprotocols_equal(a->subprotocols, b->subprotocols) && limits_equal(a, b) &&
           a->upstream == b->upstream && auth_names_equal(a->auth, b->auth);
}

static bool servers_equal(const struct config_upstream *a, const struct config_upstream *b) {
    bool is_equal = a->server_count == b->server_count;
    for (uint32_t i = 0; is_equal && i < a->server_count; i++) {
        is_equal = span_equal(a->servers[i].address.text, b->servers[i].address.text) &&
                   a->servers[i].is_secure == b->servers[i].is_secure;
    }
    return is_equal;
}

static bool health_equal(const struct config_health *a, const struct config_health *b) {
    return span_equal(a->path, b->path) && a->interval_ms == b->interval_ms &&
           a->timeout_ms == b->timeout_ms && a->healthy == b->healthy &&
           a->unhealthy == b->unhealthy;
}

static bool upstream_equal(const struct config_upstream *a, const struct config_upstream *b) {
    return span_equal(a->name, b->name) && a->connect_ms == b->connect_ms &&
           a->response_ms == b->response_ms && a->idle_ms == b->idle_ms &&
           a->retry_ms == b->retry_ms && a->resolve_ms == b->resolve_ms &&
           a->connections == b->connections && a->queue == b->queue && a->failures == b->failures &&
           a->balance == b->balance && span_equal(a->balance_name, b->balance_name) &&
           servers_equal(a, b) && health_equal(&a->health, &b->health) &&
           span_equal(a->tls.ca, b->tls.ca) && span_equal(a->tls.certificate, b->tls.certificate) &&
           span_equal(a->tls.key, b->tls.key);
}

static bool upstreams_equal(const struct config *a, const struct config *b) {
    bool is_equal = a->upstream_count == b->upstream_count;
    for (uint32_t i = 0; is_equal && i < a->upstream_count; i++) {
        is_equal = upstream_equal(&a->upstreams[i], &b->upstreams[i]);
    }
    return is_equal;
}

static bool routes_equal(const struct config *a, const struct config *b) {
    bool is_equal = a->route_count == b->route_count;
    for (uint32_t i = 0; is_equal && i < a->route_count; i++) {
        is_equal = config_route_is_equal(&a->routes[i], &b->routes[i]);
    }
    return is_equal;
}

static bool drain_equal(const struct config *a, const struct config *b) {
    return a->drain_ms == b->drain_ms;
}

static bool log_level_equal(const struct config *a, const struct config *b) {
    return a->log.level == b->log.level;
}

static bool log_format_equal(const struct config *a, const struct config *b) {
    return a->log.is_json == b->log.is_json;
}

struct part {
    bool (*is_equal)(const struct config *a, const struct config *b);
    const char *sentence;
    bool needs_restart;
};

static const struct part parts[CONFIG_CHANGE_COUNT] = {
    [CONFIG_CHANGE_LISTENERS] = {listeners_equal,
                                 "The addresses of `listeners` need a restart: each worker has "
                                 "opened its own sockets.",
                                 true},
    [CONFIG_CHANGE_TLS] = {tls_equal, "Certificates apply to new connections.", false},
    [CONFIG_CHANGE_TLS_PRESENCE] =
        {tls_presence_equal,
         "Whether a listener has `tls`, and its `record_layer`, need a restart.", true},
    [CONFIG_CHANGE_PROXY] = {proxies_equal, "`proxy_protocol` applies to new connections.", false},
    [CONFIG_CHANGE_ADMIN] = {admin_equal, "`admin.address` needs a restart.", true},
    [CONFIG_CHANGE_TOKEN] = {token_equal, "The admin token is replaced for the next request.",
                             false},
    [CONFIG_CHANGE_WORKERS] = {workers_equal,
                               "`workers` needs a restart: every channel's home depends on it.",
                               true},
    [CONFIG_CHANGE_CONNECTIONS] = {connections_equal,
                                   "`limits.connections` needs a restart: tables were sized by it.",
                                   true},
    [CONFIG_CHANGE_ADMISSION] = {admission_equal,
                                 "The limits before the handshake apply to new connections.",
                                 false},
    [CONFIG_CHANGE_WORKER_QUEUE] = {worker_queue_equal,
                                    "`backpressure.worker_queue` needs a restart: memory was "
                                    "reserved by it.",
                                    true},
    [CONFIG_CHANGE_KERNEL] = {kernel_equal, "`backpressure.kernel` applies to new connections.",
                              false},
    [CONFIG_CHANGE_ENGINE] = {engine_equal, "`engine` needs a restart: the rings are open.", true},
    [CONFIG_CHANGE_TRUSTED] = {trusted_equal, "`trusted` applies to new connections.", false},
    [CONFIG_CHANGE_UPSTREAMS] = {upstreams_equal,
                                 "`upstreams` apply to new requests; what is defined as before "
                                 "keeps its connections.",
                                 false},
    [CONFIG_CHANGE_AUTH] = {auths_equal,
                            "`auth` applies to new requests; open connections stay until their "
                            "token expires.",
                            false},
    [CONFIG_CHANGE_ROUTES] = {routes_equal,
                              "Routes with their limits, keepalive and backpressure apply to new "
                              "requests; open connections keep theirs.",
                              false},
    [CONFIG_CHANGE_DRAIN] = {drain_equal, "`drain` applies to the next drain.", false},
    [CONFIG_CHANGE_LOG_LEVEL] = {log_level_equal, "`log.level` applies at once.", false},
    [CONFIG_CHANGE_LOG_FORMAT] = {log_format_equal, "`log.format` needs a restart.", true},
};

void config_diff(const struct config *old, const struct config *new,
                 struct config_changes *changes) {
    changes->count = 0;
    for (uint8_t i = 0; i < CONFIG_CHANGE_COUNT; i++) {
        if (!parts[i].is_equal(old, new)) {
            changes->items[changes->count++] = (struct config_change){
                .sentence = parts[i].sentence, .part = i, .needs_restart = parts[i].needs_restart};
        }
    }
}
