// GET /connections and /channels, and one connection: show, send to it, close it.
#include <jansson.h>

#include <stdlib.h>

#include "core/conn/conn.h"
#include "gateway/admin/internal.h"
#include "gateway/auth/json_memory.h"
#include "gateway/route/channel_name.h"
#include "gateway/route/route.h"
#include "gateway/worker/trace_line.h"

static void line_print(struct text *out, const struct call_connection *line) {
    char address[ADDRESS_TEXT_BYTES];
    address_format(&line->address, true, address);
    text_print(
        out, "{\"id\":\"%u-%u-%u\",\"state\":\"%s\",\"address\":\"%s\",\"route\":", line->worker,
        line->index, line->generation, conn_state_name((enum conn_state)line->state), address);
    text_json(out, span_make(line->route, line->route_bytes));
    text_print(out,
               ",\"age_ms\":%llu,\"silent_ms\":%llu,\"round_trip_us\":%u,\"queued_bytes\":%u,"
               "\"subscriptions\":%u,",
               (unsigned long long)line->age_ms, (unsigned long long)line->silent_ms,
               line->round_trip_us, line->queued_bytes, line->subscriptions);
    text_print(out, "\"envelope\":%s,", line->is_envelope ? "true" : "false");
    text_print(out, "\"bytes\":{\"tables\":%u,\"input\":%u,\"queue\":%u,\"subscriptions\":%u}}",
               line->table_bytes, line->input_bytes, line->queue_memory_bytes,
               line->subscription_bytes);
}

// --- filters

static bool limit_parameter(struct admin *admin, uint32_t *limit) {
    char text[8];
    uint32_t length = 0;
    struct span raw;
    *limit = ADMIN_PAGE_DEFAULT;
    if (!route_query_find(admin->options.clients->conns.request.query, "limit", &raw)) {
        return true;
    }
    if (!admin_parameter(admin, "limit", text, sizeof text - 1, &length) || length == 0) {
        return false;
    }
    *limit = 0;
    for (uint32_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *limit = *limit * 10 + (uint32_t)(text[i] - '0');
    }
    return *limit >= 1 && *limit <= ADMIN_PAGE_MAX;
}

static bool state_parameter(struct admin *admin, struct call_query *query) {
    char text[16];
    uint32_t length = 0;
    struct span raw;
    if (!route_query_find(admin->options.clients->conns.request.query, "state", &raw)) {
        return true;
    }
    if (!admin_parameter(admin, "state", text, sizeof text, &length)) {
        return false;
    }
    for (uint8_t i = CONN_HEAD; i < CONN_STATE_COUNT; i++) {
        if (span_is(span_make(text, length), conn_state_name((enum conn_state)i))) {
            query->state = (uint8_t)(i + 1);
            return true;
        }
    }
    return false;
}

// One filter that is copied: its value into `target`. False: malformed.
static bool text_parameter(struct admin *admin, const char *name, uint8_t *target,
                           uint8_t *length_out) {
    struct span raw;
    uint32_t length = 0;
    if (!route_query_find(admin->options.clients->conns.request.query, name, &raw)) {
        return true;
    }
    if (!admin_parameter(admin, name, (char *)target, 255, &length) || length == 0) {
        return false;
    }
    *length_out = (uint8_t)length;
    return true;
}

// NULL: fine.
static const char *filters_read(struct admin *admin, struct call_query *query) {
    char text[64];
    uint32_t length = 0;
    struct span raw;
    if (!state_parameter(admin, query)) {
        return "state is one of head, verdict, body, reply, open, closing, discard, flush, ended";
    }
    if (!text_parameter(admin, "channel", query->channel, &query->channel_bytes) ||
        (query->channel_bytes > 0 &&
         !channel_name_is_valid(span_make(query->channel, query->channel_bytes)))) {
        return "channel is a channel name";
    }
    if (!text_parameter(admin, "route", query->route, &query->route_bytes)) {
        return "route is a route's path as the configuration writes it";
    }
    if (route_query_find(admin->options.clients->conns.request.query, "user", &raw)) {
        return "no route authenticates in this version: there are no users";
    }
    if (route_query_find(admin->options.clients->conns.request.query, "address", &raw)) {
        query->has_address = 1;
        if (!admin_parameter(admin, "address", text, sizeof text, &length) ||
            !address_parse_ip(span_make(text, length), &query->address)) {
            return "address is an IPv4 or IPv6 address";
        }
    }
    return NULL;
}

// --- lists

static void page_ask(struct admin *admin, struct admin_request *request) {
    uint32_t left = request->count_max - request->count;
    request->query.count_max = left < CALL_PAGE_MAX ? left : CALL_PAGE_MAX;
    admin_call(admin, request, request->worker, (struct mail){.words = {0, CALL_CONNECTIONS}},
               span_make(&request->query, sizeof request->query));
}

void admin_connections_begin(struct admin *admin, struct admin_request *request) {
    const char *problem = filters_read(admin, &request->query);
    struct span raw;
    char after[40];
    uint32_t length = 0;
    if (problem == NULL && !limit_parameter(admin, &request->count_max)) {
        problem = "limit is a number from 1 to 10000";
    }
    if (problem == NULL &&
        route_query_find(admin->options.clients->conns.request.query, "after", &raw)) {
        struct admin_id id;
        if (!admin_parameter(admin, "after", after, sizeof after, &length) ||
            !admin_id_parse(span_make(after, length), &id) ||
            id.worker >= admin->options.worker_count) {
            problem = "after is the id of the last connection of the page before";
        } else {
            request->worker = id.worker;
            request->query.after_index = id.index;
        }
    }
    if (problem != NULL) {
        admin_error(admin, request, 400, problem);
        return;
    }
    text_print(&request->out, "{\"connections\":[");
    page_ask(admin, request);
}

void admin_connections_answer(struct admin *admin, struct admin_request *request,
                              const struct bus_event *event) {
    uint32_t count = event->body.length / (uint32_t)sizeof(struct call_connection);
    struct call_connection line = {0};
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&line, event->body.data + i * sizeof line, sizeof line);
        text_print(&request->out, "%s\n", request->count > 0 ? "," : "");
        line_print(&request->out, &line);
        request->count++;
    }
    bool is_page_full = count > 0 && count == request->query.count_max;
    request->query.after_index = line.index;
    if (!is_page_full) {
        request->worker++;
        request->query.after_index = 0;
    }
    if (request->count < request->count_max && request->worker < admin->options.worker_count) {
        page_ask(admin, request);
        return;
    }
    text_print(&request->out, "\n]");
    if (request->count == request->count_max && count > 0) {
        text_print(&request->out, ",\"next\":\"%u-%u-%u\"", line.worker, line.index,
                   line.generation);
    }
    text_print(&request->out, "}\n");
    admin_answer_out(admin, request, 200, "application/json");
}

void admin_close_matching_begin(struct admin *admin, struct admin_request *request) {
    const char *problem = filters_read(admin, &request->query);
    bool has_filter = request->query.channel_bytes > 0 || request->query.route_bytes > 0;
    if (problem == NULL && !has_filter) {
        problem =
            "one of user, channel and route must say which connections (to close all: POST /drain)";
    }
    if (problem != NULL) {
        admin_error(admin, request, 400, problem);
        return;
    }
    for (uint32_t i = 0; i < admin->options.worker_count; i++) {
        admin_call(admin, request, i, (struct mail){.words = {0, CALL_CLOSE_ALL, 0, 0, 0, 1000}},
                   span_make(&request->query, sizeof request->query));
    }
}

// A cursor is worker << 48 | the worker's own.
static void channels_ask(struct admin *admin, struct admin_request *request) {
    uint32_t left = request->count_max - request->count;
    struct mail mail = {.words = {0, CALL_CHANNELS, 0, request->cursor, left}};
    admin_call(admin, request, request->worker, mail, span_empty());
}

void admin_channels_begin(struct admin *admin, struct admin_request *request) {
    char text[24];
    uint32_t length = 0;
    struct span raw;
    if (!limit_parameter(admin, &request->count_max)) {
        admin_error(admin, request, 400, "limit is a number from 1 to 10000");
        return;
    }
    if (route_query_find(admin->options.clients->conns.request.query, "cursor", &raw)) {
        bool is_fine =
            admin_parameter(admin, "cursor", text, sizeof text - 1, &length) && length > 0;
        uint64_t cursor = 0;
        for (uint32_t i = 0; i < length; i++) {
            is_fine = is_fine && text[i] >= '0' && text[i] <= '9';
            cursor = cursor * 10 + (uint64_t)(text[i] - '0');
        }
        request->worker = (uint32_t)(cursor >> 48);
        request->cursor = cursor & ((UINT64_C(1) << 48) - 1);
        if (!is_fine || request->worker >= admin->options.worker_count) {
            admin_error(admin, request, 400, "cursor is the `next` of the page before");
            return;
        }
    }
    text_print(&request->out, "{\"channels\":[");
    channels_ask(admin, request);
}

void admin_channels_answer(struct admin *admin, struct admin_request *request,
                           const struct bus_event *event) {
    struct span body = event->body;
    while (body.length >= 5) {
        uint32_t subscribers;
        memcpy(&subscribers, body.data, 4);
        uint32_t name_bytes = body.data[4];
        text_print(&request->out, "%s\n{\"channel\":", request->count > 0 ? "," : "");
        text_json(&request->out, span_make(body.data + 5, name_bytes));
        text_print(&request->out, ",\"subscribers\":%u}", subscribers);
        request->count++;
        body = span_from(body, 5 + name_bytes);
    }
    request->cursor = event->mail.words[4];
    request->worker += request->cursor == 0;
    if (request->count < request->count_max && request->worker < admin->options.worker_count) {
        channels_ask(admin, request);
        return;
    }
    text_print(&request->out, "\n]");
    if (request->worker < admin->options.worker_count) {
        text_print(&request->out, ",\"next\":\"%llu\"",
                   (unsigned long long)((uint64_t)request->worker << 48 | request->cursor));
    }
    text_print(&request->out, "}\n");
    admin_answer_out(admin, request, 200, "application/json");
}

// --- one connection

void admin_connection_begin(struct admin *admin, struct admin_request *request) {
    if (request->id.worker >= admin->options.worker_count) {
        admin_error(admin, request, 404, "no such connection");
        return;
    }
    struct mail mail = {
        .words = {0, CALL_CONNECTION, 0, request->id.index, request->id.generation}};
    admin_call(admin, request, request->id.worker, mail, span_empty());
}

void admin_send_body(struct admin *admin, struct admin_request *request, struct span body) {
    struct json_document document;
    json_document_open(&document, body, JSON_ALLOW_NUL);
    uint32_t length = 0;
    uint8_t opcode = 0;
    const char *problem = "the body must be {\"text\":...} or {\"base64\":...}";
    uint8_t *bytes = json_is_object(document.root)
                         ? admin_content(document.root, &length, &opcode, &problem)
                         : NULL;
    bool is_short = document.is_short;
    json_document_close(&document);
    if (is_short) {
        admin_error(admin, request, 503, "out of memory");
        return;
    }
    if (bytes == NULL) {
        admin_error(admin, request, 400, problem);
        return;
    }
    if (request->id.worker >= admin->options.worker_count) {
        admin_error(admin, request, 404, "no such connection");
    } else {
        struct mail mail = {
            .words = {0, CALL_SEND, 0, request->id.index, request->id.generation, opcode}};
        admin_call(admin, request, request->id.worker, mail, span_make(bytes, length));
    }
    free(bytes);
}

static void trace_answer(struct admin *admin, struct admin_request *request,
                         const struct bus_event *event) {
    uint32_t count = event->body.length / (uint32_t)sizeof(struct trace_record);
    for (uint32_t i = 0; i < count; i++) {
        struct trace_record record;
        memcpy(&record, event->body.data + i * sizeof record, sizeof record);
        char line[TRACE_LINE_BYTES];
        uint32_t length = trace_line(&record, line, sizeof line);
        text_print(&request->out, "%u %.*s\n", event->source, (int)length, line);
    }
    if (request->waiting == 0) {
        admin_answer_out(admin, request, 200, "text/plain");
    }
}

static void close_answer(struct admin *admin, struct admin_request *request,
                         const struct bus_event *event) {
    request->closed += event->mail.words[4];
    if (request->waiting > 0) {
        return;
    }
    if (request->endpoint == ADMIN_CONNECTION_CLOSE && request->closed == 0) {
        admin_error(admin, request, 404, "no such connection");
        return;
    }
    text_print(&request->out, "{\"closed\":%llu}\n", (unsigned long long)request->closed);
    admin_answer_out(admin, request, 200, "application/json");
}

void admin_connection_answer(struct admin *admin, struct admin_request *request,
                             const struct bus_event *event) {
    static const char *const results[] = {"queued", "dropped"};
    switch (request->endpoint) {
    case ADMIN_TRACE:
        trace_answer(admin, request, event);
        return;
    case ADMIN_CLOSE_MATCHING:
    case ADMIN_CONNECTION_CLOSE:
        close_answer(admin, request, event);
        return;
    case ADMIN_CONNECTION_SEND:
        if (event->mail.words[4] >= CALL_SEND_GONE) {
            admin_error(admin, request, 404, "no such connection, or it is not open");
            return;
        }
        text_print(&request->out, "{\"result\":\"%s\"}\n", results[event->mail.words[4]]);
        admin_answer_out(admin, request, 200, "application/json");
        return;
    default:
        break;
    }
    if (event->body.length != sizeof(struct call_connection)) {
        admin_error(admin, request, 404, "no such connection");
        return;
    }
    struct call_connection line;
    memcpy(&line, event->body.data, sizeof line);
    line_print(&request->out, &line);
    text_print(&request->out, "\n");
    admin_answer_out(admin, request, 200, "application/json");
}
