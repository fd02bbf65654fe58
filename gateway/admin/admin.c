// Routing and trust of the admin API, the table of pending requests, and answers.
#include "gateway/admin/admin.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "gateway/admin/internal.h"
#include "gateway/route/route.h"

struct admin *admin_open(const struct admin_options *options) {
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin != NULL) {
        admin->options = *options;
    }
    return admin;
}

static void request_free(struct admin *admin, struct admin_request *request) {
    text_drop(&request->out);
    for (uint32_t i = 0; i < request->item_count; i++) {
        free(request->items[i].channel);
    }
    free(request->items);
    free(request->metrics);
    (void)admin; // the table is its owner; nothing else changes
    *request = (struct admin_request){.is_active = false};
}

void admin_close(struct admin **admin) {
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        request_free(*admin, &(*admin)->requests[i]);
    }
    free(*admin);
    *admin = NULL;
}

void admin_config_set(struct admin *admin, const struct config *config) {
    admin->options.config = config;
}

void admin_expiries_set(struct admin *admin, const struct admin_expiry *expiries, uint32_t count) {
    check(count <= LISTENERS_MAX);
    admin->expiry_count = count;
    for (uint32_t i = 0; i < count; i++) {
        admin->expiries[i] = expiries[i];
    }
}

void admin_state_set(struct admin *admin, bool is_ready, bool is_draining) {
    admin->is_ready = is_ready;
    admin->is_draining = is_draining;
}

// --- answers

static void reply_send(struct admin *admin, uint32_t conn, uint16_t status, const char *type,
                       struct span body, const char *allow) {
    struct http_reply reply = {.status = status, .content_type = span_text(type), .body = body};
    http_reply_add(&reply, "Cache-Control", span_text("no-store"));
    if (allow != NULL) {
        http_reply_add(&reply, "Allow", span_text(allow));
    }
    if (status == 401) {
        http_reply_add(&reply, "WWW-Authenticate", span_text("Bearer"));
    }
    conn_reply(&admin->options.clients->conns, conn, &reply);
}

static void error_send(struct admin *admin, uint32_t conn, uint16_t status, const char *text,
                       const char *allow) {
    struct text out = {.data = NULL};
    text_print(&out, "{\"error\":");
    text_json(&out, span_text(text));
    text_print(&out, "}\n");
    reply_send(admin, conn, status, "application/json", text_span(&out), allow);
    text_drop(&out);
}

// The connection that asked may have failed, or waited for too long, while the workers answered.
static bool may_answer(const struct admin *admin, const struct admin_request *request) {
    const struct conn *conn = conn_at(&admin->options.clients->conns, request->conn);
    return !request->is_gone && (conn->state == CONN_VERDICT || conn->state == CONN_REPLY);
}

void admin_answer(struct admin *admin, struct admin_request *request, uint16_t status,
                  const char *type, struct span body) {
    if (may_answer(admin, request)) {
        reply_send(admin, request->conn, status, type, body, NULL);
    }
    request_free(admin, request);
}

void admin_answer_out(struct admin *admin, struct admin_request *request, uint16_t status,
                      const char *type) {
    if (request->out.is_failed) {
        admin_error(admin, request, 500, "the answer is too large");
        return;
    }
    admin_answer(admin, request, status, type, text_span(&request->out));
}

void admin_error(struct admin *admin, struct admin_request *request, uint16_t status,
                 const char *text) {
    if (may_answer(admin, request)) {
        error_send(admin, request->conn, status, text, NULL);
    }
    request_free(admin, request);
}

// --- calls

uint32_t admin_slot(const struct admin *admin, const struct admin_request *request) {
    return (uint32_t)(request - admin->requests);
}

// serial, item, slot: never below 2^32, so that the process' own tokens are others.
uint64_t admin_token(const struct admin *admin, const struct admin_request *request,
                     uint32_t item) {
    return (uint64_t)request->serial << 32 | item << 16 | admin_slot(admin, request);
}

void admin_call(struct admin *admin, struct admin_request *request, uint32_t worker,
                struct mail mail, struct span body) {
    mail.kind = MAIL_CALL;
    mail.words[0] = admin_token(admin, request, 0);
    mail.words[2] = body.length;
    if (bus_send(admin->options.bus, worker, &mail, span_empty(), body)) {
        request->waiting++;
    }
}

// --- trust (DESIGN.md section 5)

static bool is_same_secret(struct span a, struct span b) {
    uint8_t difference = a.length != b.length;
    for (uint32_t i = 0; i < a.length;
         i++) { // every byte is looked at: the time says nothing about where they differ
        difference |= (uint8_t)(a.data[i] ^ (b.length == 0 ? 0 : b.data[i % b.length]));
    }
    return difference == 0;
}

static bool has_token(const struct admin *admin, const struct http_request *http) {
    const struct http_field *field = http_field_find(http, "authorization", NULL);
    static const char scheme[] = "Bearer ";
    uint32_t scheme_bytes = sizeof scheme - 1;
    if (field == NULL || field->value.length <= scheme_bytes ||
        !span_is_nocase(span_first(field->value, scheme_bytes), scheme)) {
        return false;
    }
    return is_same_secret(span_from(field->value, scheme_bytes),
                          admin->options.config->admin.token);
}

static bool is_loopback_host(struct span host) {
    int64_t colon = -1;
    bool is_bracketed = host.length > 0 && host.data[0] == '[';
    for (uint32_t i = 0; i < host.length; i++) {
        colon = host.data[i] == ':' && !(is_bracketed && span_find(span_from(host, i), ']') >= 0)
                    ? (int64_t)i
                    : colon;
    }
    struct span name = colon < 0 ? host : span_first(host, (uint32_t)colon);
    if (span_is_nocase(name, "localhost")) {
        return true;
    }
    if (is_bracketed && name.length > 2) {
        name = span_first(span_from(name, 1), name.length - 2);
    }
    struct address address;
    return address_parse_ip(name, &address) && address_is_loopback(&address);
}

// NULL: trusted. Without a token any web page can reach an operator's loopback: what only a page
// would send is refused.
static const char *distrust(const struct admin *admin, uint16_t *status) {
    const struct http_request *http = &admin->options.clients->conns.request;
    if (admin->options.config->admin.token.length > 0) {
        *status = 401;
        return has_token(admin, http) ? NULL : "a token is needed: Authorization: Bearer TOKEN";
    }
    *status = 403;
    if (http_field_find(http, "origin", NULL) != NULL) {
        return "requests with an Origin need a token (admin.token_file)";
    }
    bool is_unix = admin->options.config->admin.address.path.length > 0;
    if (!is_unix && !is_loopback_host(http->host)) {
        return "the Host must be a loopback address without a token (admin.token_file)";
    }
    bool has_body = http->is_chunked || http->content_length > 0;
    if (has_body) {
        const struct http_field *type = http_field_find(http, "content-type", NULL);
        struct span value = type == NULL ? span_empty() : type->value;
        int64_t semicolon = span_find(value, ';');
        value = semicolon < 0 ? value : span_first(value, (uint32_t)semicolon);
        *status = 415;
        if (!span_is_nocase(value, "application/json")) {
            return "the body must be application/json";
        }
    }
    return NULL;
}

// --- routing

struct endpoint_row {
    const char *path; // exact, or with a final '/' and is_prefix
    const char *method;
    uint8_t endpoint;
    bool is_prefix; // an id follows
    bool has_body;
};

static const struct endpoint_row endpoint_rows[] = {
    {"/metrics", "GET", ADMIN_METRICS, false, false},
    {"/publish", "POST", ADMIN_PUBLISH, false, true},
    {"/publish/", "POST", ADMIN_PUBLISH, false, true},
    {"/channels", "GET", ADMIN_CHANNELS, false, false},
    {"/connections", "GET", ADMIN_CONNECTIONS, false, false},
    {"/connections", "DELETE", ADMIN_CLOSE_MATCHING, false, false},
    {"/connections/", "GET", ADMIN_CONNECTION_SHOW, true, false},
    {"/connections/", "POST", ADMIN_CONNECTION_SEND, true, true},
    {"/connections/", "DELETE", ADMIN_CONNECTION_CLOSE, true, false},
    {"/drain", "POST", ADMIN_DRAIN, false, true},
    {"/reload", "POST", ADMIN_RELOAD, false, false},
    {"/trace", "GET", ADMIN_TRACE, false, false},
};

static bool row_matches(const struct endpoint_row *row, struct span path) {
    uint32_t length = (uint32_t)strlen(row->path);
    return row->is_prefix ? path.length > length && span_is(span_first(path, length), row->path)
                          : span_is(path, row->path);
}

// The row of this path and method; NULL with `allow` filled when only the method is wrong.
static const struct endpoint_row *row_find(const struct http_request *http, char *allow,
                                           size_t room) {
    allow[0] = 0;
    for (uint32_t i = 0; i < sizeof endpoint_rows / sizeof endpoint_rows[0]; i++) {
        const struct endpoint_row *row = &endpoint_rows[i];
        if (!row_matches(row, http->path)) {
            continue;
        }
        if (span_is(http->method_text, row->method)) {
            return row;
        }
        size_t used = strlen(allow);
        (void)snprintf(allow + used, room - used, "%s%s", used > 0 ? ", " : "",
                       row->method); // room for all methods
    }
    return NULL;
}

static struct admin_request *request_open(struct admin *admin, uint32_t conn) {
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        struct admin_request *request = &admin->requests[i];
        if (!request->is_active) {
            admin->serial = admin->serial == UINT32_MAX ? 1 : admin->serial + 1;
            *request = (struct admin_request){
                .is_active = true,
                .conn = conn,
                .generation = conn_at(&admin->options.clients->conns, conn)->generation,
                .serial = admin->serial,
                .due_ms = admin->now_ms + ADMIN_CALL_WAIT_MS};
            return request;
        }
    }
    return NULL;
}

static struct admin_request *request_of(struct admin *admin, uint32_t conn) {
    uint32_t generation = conn_at(&admin->options.clients->conns, conn)->generation;
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        struct admin_request *request = &admin->requests[i];
        if (request->is_active && request->conn == conn && request->generation == generation) {
            return request;
        }
    }
    return NULL;
}

// Health is for everybody: a load balancer has no token.
static bool health(struct admin *admin, uint32_t conn, const struct http_request *http) {
    bool is_live = span_is(http->path, "/live");
    if (!is_live && !span_is(http->path, "/ready")) {
        return false;
    }
    if (http->method != HTTP_GET && http->method != HTTP_HEAD) {
        error_send(admin, conn, 405, "method not allowed", "GET, HEAD");
    } else if (is_live || admin->is_ready) {
        reply_send(admin, conn, 200, "text/plain", span_text("ok\n"), NULL);
    } else {
        reply_send(admin, conn, 503, "text/plain",
                   span_text(admin->is_draining ? "draining\n" : "starting\n"), NULL);
    }
    return true;
}

static void on_request(struct admin *admin, uint32_t conn, const struct conn_event *event) {
    struct conns *conns = &admin->options.clients->conns;
    const struct http_request *http = &conns->request;
    if (event->is_upgrade) {
        error_send(admin, conn, 400, "the admin API speaks no WebSocket", NULL);
        return;
    }
    if (health(admin, conn, http)) {
        return;
    }
    uint16_t status = 0;
    const char *problem = distrust(admin, &status);
    if (problem != NULL) {
        error_send(admin, conn, status, problem, NULL);
        return;
    }
    char allow[64];
    const struct endpoint_row *row = row_find(http, allow, sizeof allow);
    if (row == NULL) {
        bool is_known = allow[0] != 0;
        error_send(admin, conn, is_known ? 405 : 404,
                   is_known ? "method not allowed" : "no such endpoint", is_known ? allow : NULL);
        return;
    }
    struct admin_request *request = request_open(admin, conn);
    if (request == NULL) {
        error_send(admin, conn, 503, "too many requests are waiting", NULL);
        return;
    }
    request->endpoint = row->endpoint;
    struct span id =
        row->is_prefix ? span_from(http->path, (uint32_t)strlen(row->path)) : span_empty();
    if (row->is_prefix && !admin_id_parse(id, &request->id)) {
        admin_error(admin, request, 404, "no such connection: an id is worker-index-generation");
        return;
    }
    if (row->has_body) {
        conn_collect(conns, conn, ADMIN_BODY_BYTES_MAX);
    } else {
        admin_begin(admin, request);
    }
}

bool admin_on_open(struct admin *admin, uint32_t index) {
    (void)admin; // everybody may connect: each request is judged
    (void)index;
    return true;
}

void admin_on_ask(struct admin *admin, uint32_t index, const struct conn_event *event) {
    if (event->kind == CONN_EVENT_REQUEST) {
        on_request(admin, index, event);
    } else if (event->kind == CONN_EVENT_BODY) {
        struct admin_request *request = request_of(admin, index);
        check(request != NULL);
        request->due_ms = admin->now_ms + ADMIN_CALL_WAIT_MS;
        admin_on_body(admin, request, event->payload);
        if (event->block != 0) {
            arena_give(admin->options.arena, event->block);
        }
    }
}

void admin_on_gone(struct admin *admin, uint32_t index) {
    struct admin_request *request = request_of(admin, index);
    if (request == NULL) {
        return;
    }
    if (request->waiting == 0 && request->due_ms != 0) { // its body never came
        request_free(admin, request);
    } else {
        request->is_gone = true; // answers to come find their place, and are thrown away
    }
}

// --- answers of workers

static void on_worker_answer(struct admin *admin, struct admin_request *request,
                             const struct bus_event *event) {
    switch (request->endpoint) {
    case ADMIN_METRICS:
        admin_metrics_answer(admin, request, event);
        return;
    case ADMIN_CHANNELS:
        admin_channels_answer(admin, request, event);
        return;
    case ADMIN_CONNECTIONS:
        admin_connections_answer(admin, request, event);
        return;
    default:
        admin_connection_answer(admin, request, event);
        return;
    }
}

bool admin_on_mail(struct admin *admin, const struct bus_event *event) {
    uint64_t token = event->mail.words[0];
    uint32_t slot = (uint32_t)token & 0xffff;
    uint32_t serial = (uint32_t)(token >> 32);
    if (slot >= ADMIN_PENDING_MAX || serial == 0) {
        return false;
    }
    struct admin_request *request = &admin->requests[slot];
    if (!request->is_active || request->serial != serial || request->waiting == 0) {
        return false; // it was answered with 504 before
    }
    bool has_more = event->mail.kind == MAIL_ANSWER && event->mail.words[3] != 0;
    request->waiting -= !has_more;
    if (event->mail.kind == MAIL_RECEIPT) {
        admin_publish_receipt(admin, request, (uint32_t)(token >> 16) & 0xffff, &event->mail);
    } else {
        on_worker_answer(admin, request, event);
    }
    return true;
}

void admin_turn(struct admin *admin, uint64_t now_ms) {
    admin->now_ms = now_ms;
    for (uint32_t i = 0; i < ADMIN_PENDING_MAX; i++) {
        struct admin_request *request = &admin->requests[i];
        bool is_late = request->is_active && request->waiting > 0 && request->due_ms != 0 &&
                       now_ms > request->due_ms;
        if (is_late) {
            admin_error(admin, request, 504, "a worker did not answer in time");
        }
    }
}

bool admin_wish_next(struct admin *admin, struct admin_wish *wish) {
    if (admin->wish_count == 0) {
        return false;
    }
    *wish = admin->wishes[0];
    admin->wish_count--;
    memmove(admin->wishes, admin->wishes + 1, admin->wish_count * sizeof admin->wishes[0]);
    return true;
}

// The first line, without its newline; `text` goes on behind it.
static struct span line_take(struct span *text) {
    int64_t end = span_find(*text, '\n');
    struct span line = end < 0 ? *text : span_first(*text, (uint32_t)end);
    *text = end < 0 ? span_empty() : span_from(*text, (uint32_t)end + 1);
    return line;
}

static void lines_print(struct text *out, struct span lines) {
    text_print(out, "[");
    for (bool is_first = true; lines.length > 0; is_first = false) {
        text_print(out, "%s", is_first ? "" : ",");
        text_json(out, line_take(&lines));
    }
    text_print(out, "]");
}

void admin_wish_done(struct admin *admin, uint32_t number, bool is_done, struct span result) {
    uint32_t slot = (number - 1) & 0xffff;
    struct admin_request *request = &admin->requests[slot < ADMIN_PENDING_MAX ? slot : 0];
    if (number == 0 || !request->is_active || (request->serial & 0xffff) != number >> 16) {
        return;
    }
    if (is_done) {
        struct span word = line_take(&result);
        text_print(&request->out, "{\"result\":");
        text_json(&request->out, word);
        if (result.length > 0) {
            text_print(&request->out, ",\"needs_restart\":");
            lines_print(&request->out, result);
        }
    } else {
        text_print(&request->out, "{\"errors\":");
        lines_print(&request->out, result);
    }
    text_print(&request->out, "}\n");
    admin_answer_out(admin, request, is_done ? 200 : 400, "application/json");
}
