// Rules and sessions, joins and leaves, and what the bus brings.
#include "gateway/stream/stream.h"

#include <stdio.h>

#include "core/base/check.h"
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "gateway/route/channel_name.h"
#include "gateway/stream/internal.h"

// --- rules: which route a connection was routed by

static struct conn_settings settings_make(const struct config_route *route) {
    // A tunnel drops nothing: who does not read pauses the other side (gateway/proxy/tunnel.c).
    bool is_tunnel = config_verb_passes_on(route->verb);
    struct outbox_bounds bounds = {.queue_bytes_max = UINT32_MAX, .policy = OUTBOX_CLOSE};
    if (!is_tunnel) {
        bounds =
            (struct outbox_bounds){.queue_bytes_max = (uint32_t)route->backpressure.queue_bytes,
                                   .policy = (enum outbox_policy)route->backpressure.policy};
    }
    return (struct conn_settings){
        .ping_ms = (uint32_t)route->keepalive.ping_ms,
        .pong_ms = (uint32_t)route->keepalive.pong_ms,
        .idle_ms = (uint32_t)route->limits.idle_ms,
        .age_ms = (uint32_t)route->limits.age_ms,
        .stall_ms = (uint32_t)route->backpressure.stall_ms,
        .reader = {.message_bytes_max = (uint32_t)route->limits.message_bytes,
                   .fragments_max = route->limits.fragments,
                   .head = {.expects_mask = true}},
        .bounds = bounds,
        .tells_close = is_tunnel,
        .has_expiry = route->auth != NULL,
        .refuses_text = route->messages == CONFIG_MESSAGES_BINARY,
        .refuses_binary = route->messages == CONFIG_MESSAGES_TEXT,
        .deflate_level = is_tunnel ? 0 : (uint8_t)route->compression.level,
        .deflate_takeover = route->compression.takeover == CONFIG_TAKEOVER_SERVER,
        .deflate_threshold = (uint32_t)route->compression.threshold_bytes,
    };
}

static void rule_free(struct stream *stream, uint32_t settings) {
    stream->rules[settings] = (struct stream_rule){.route = NULL};
}

// An older site is let go once none of its rules is left.
static void site_sweep(struct stream *stream, struct site *site) {
    for (uint32_t i = 1; i < SETTINGS_MAX; i++) {
        if (stream->rules[i].site == site) {
            return;
        }
    }
    atomic_fetch_sub_explicit(&site->worker_holds, 1, memory_order_release);
}

static void site_retire(struct stream *stream, struct site *site) {
    for (uint32_t i = 1; i < SETTINGS_MAX; i++) {
        if (stream->rules[i].site == site && stream->rules[i].connections == 0) {
            rule_free(stream, i);
        }
    }
    site_sweep(stream, site);
}

// A fan-out carries no more than a quarter of the smallest queue, so that a burst reaches all
// subscribers in step instead of filling one's queue.
static void burst_bound(struct stream *stream) {
    uint64_t bytes = FANOUT_BYTES_MAX;
    for (uint32_t i = 1; i < SETTINGS_MAX; i++) {
        const struct config_route *route = stream->rules[i].route;
        if (route != NULL && route->verb == CONFIG_VERB_CHANNELS) {
            uint64_t quarter = route->backpressure.queue_bytes / 4;
            bytes = quarter < bytes ? quarter : bytes;
        }
    }
    stream->hub->burst_bytes_max = (uint32_t)bytes;
}

bool stream_site_fits(const struct stream *stream, const struct site *site) {
    uint32_t free_count = 0;
    for (uint32_t i = 1; i < SETTINGS_MAX; i++) {
        free_count += stream->rules[i].route == NULL;
    }
    return free_count >= site->config->route_count;
}

void stream_site_set(struct stream *stream, struct site *site) {
    check(stream_site_fits(stream, site));
    uint32_t at = 1;
    for (uint32_t route = 0; route < site->config->route_count; route++) {
        while (stream->rules[at].route != NULL) {
            at++;
        }
        stream->rules[at] = (struct stream_rule){
            .route = &site->config->routes[route], .site = site, .route_index = route};
        stream->settings[at] = settings_make(&site->config->routes[route]);
        stream->settings_of_route[route] = (uint16_t)at;
    }
    stream->settings[0] =
        (struct conn_settings){.stall_ms = (uint32_t)site->config->backpressure.stall_ms};
    stream->conns->head_bytes_max = (uint32_t)site->config->admission.header_bytes;
    stream->conns->handshake_ms = (uint32_t)site->config->admission.handshake_ms;
    struct site *older = stream->site;
    stream->site = site;
    if (older != NULL) {
        site_retire(stream, older);
    }
    burst_bound(stream);
}

static void table_full_note(struct stream *stream, enum admission_verdict verdict) {
    if (verdict != ADMISSION_TABLE_FULL) {
        return;
    }
    counter_add(stream->conns->counters, COUNTER_addresses_refused, 1);
    if (!stream->is_table_full_told) {
        stream->is_table_full_told = true;
        log_event(stream->log, LOG_LEVEL_WARN, "address_table_full",
                  log_number("open", admission_open_count(stream->admission)),
                  log_text("text", "no room to count one more client address: such connections "
                                   "are refused with 503; raise limits.connections"));
    }
}

bool rule_enter(struct stream *stream, uint32_t index, uint16_t settings,
                const struct fault **fault) {
    struct stream_rule *rule = &stream->rules[settings];
    const struct config_limits *limits = &rule->route->limits;
    if (!admission_route_enter(&rule->site->route_open[rule->route_index], limits->connections)) {
        *fault = fault_get(FAULT_route_limit);
        return false;
    }
    bool is_exempt = (stream->notes[index] & STREAM_NOTE_EXEMPT) != 0;
    uint64_t salt = rule->route_index + 1;
    if (!is_exempt && limits->per_address != 0) {
        enum admission_verdict verdict = admission_address_enter(
            stream->admission, &stream->addresses[index], salt, limits->per_address);
        if (verdict != ADMISSION_GRANTED) {
            admission_route_leave(&rule->site->route_open[rule->route_index]);
            table_full_note(stream, verdict);
            *fault = fault_get(verdict == ADMISSION_TABLE_FULL ? FAULT_connection_limit
                                                               : FAULT_address_limit);
            return false;
        }
        stream->notes[index] |= STREAM_NOTE_ROUTE_ADDRESS;
    }
    rule->connections++;
    stream->notes[index] |= STREAM_NOTE_ROUTED;
    stream_rate_open(stream, index, rule->route);
    return true;
}

void rule_leave(struct stream *stream, uint32_t index) {
    if ((stream->notes[index] & STREAM_NOTE_ROUTED) == 0) {
        return;
    }
    struct stream_session *session = session_find(stream, index);
    uint16_t settings = conn_at(stream->conns, index)->settings;
    settings = settings != 0 || session == NULL ? settings : session->settings;
    struct stream_rule *rule = &stream->rules[settings];
    check(rule->route != NULL && rule->connections > 0);
    if ((stream->notes[index] & STREAM_NOTE_ROUTE_ADDRESS) != 0) {
        admission_address_leave(stream->admission, &stream->addresses[index],
                                rule->route_index + 1);
    }
    stream->notes[index] &= (uint8_t) ~(STREAM_NOTE_ROUTED | STREAM_NOTE_ROUTE_ADDRESS);
    admission_route_leave(&rule->site->route_open[rule->route_index]);
    rule->connections--;
    if (rule->connections == 0 && rule->site != stream->site) {
        struct site *site = rule->site;
        rule_free(stream, settings);
        site_sweep(stream, site);
    }
}

const struct config_route *stream_route(const struct stream *stream, uint32_t index) {
    uint16_t settings = conn_at(stream->conns, index)->settings;
    return settings == 0 ? NULL : stream->rules[settings].route;
}

// --- sessions

struct stream_session *session_find(const struct stream *stream, uint32_t index) {
    uint32_t block = stream->sessions[index];
    return block == 0 ? NULL : (struct stream_session *)(void *)arena_at(stream->arena, block);
}

void session_drop(struct stream *stream, uint32_t index) {
    struct stream_session *session = session_find(stream, index);
    if (session != NULL) {
        if (session->question != 0) {
            forwards_cancel(stream->forwards, session->question);
        }
        if (session->ask_block != 0) {
            arena_give(stream->arena, session->ask_block);
        }
        arena_give(stream->arena, stream->sessions[index]);
        stream->sessions[index] = 0;
    }
}

struct span session_publish(struct stream_session *session) {
    return span_make(session_names(session), session->publish_bytes);
}

bool session_allows(struct stream_session *session, struct span name) {
    const uint8_t *at = session_names(session) + session->publish_bytes;
    for (uint32_t i = 0; i < session->allow_count; i++) {
        if (channel_name_matches(span_make(at + 1, at[0]), name)) {
            return true;
        }
        at += 1 + at[0];
    }
    return false;
}

// --- joining and leaving

bool stream_join(struct stream *stream, uint32_t index, struct span name, bool *is_already) {
    struct conn *conn = conn_at(stream->conns, index);
    enum hub_form form = conn_has(conn, CONN_ENVELOPE) ? HUB_ENVELOPE : HUB_RAW;
    enum hub_join_result result = hub_join(stream->hub, name, index, form, &conn->subscriptions);
    *is_already = result == HUB_ALREADY;
    if (result == HUB_ALREADY || result == HUB_REFUSED) {
        return false;
    }
    if (!bus_join(stream->bus, name, result == HUB_JOINED_FIRST, stream_token(stream, index))) {
        hub_leave(stream->hub, name, &conn->subscriptions); // its home never heard of it
        return false;
    }
    return true;
}

void stream_join_undo(struct stream *stream, uint32_t index, struct span name) {
    struct conn *conn = conn_at(stream->conns, index);
    enum hub_leave_result result = hub_leave(stream->hub, name, &conn->subscriptions);
    if (result != HUB_ABSENT) {
        bus_leave_refused(stream->bus, name, result == HUB_LEFT_LAST);
    }
}

void stream_leave_all(struct stream *stream, uint32_t index) {
    struct conn *conn = conn_at(stream->conns, index);
    uint8_t name[NAME_ROOM];
    bool was_last;
    // Bounded by limits.channels.
    for (;;) {
        uint32_t length = hub_leave_next(stream->hub, &conn->subscriptions, name, &was_last);
        if (length == 0) {
            return;
        }
        bus_leave(stream->bus, span_make(name, length), was_last);
    }
}

// --- a connection's life

bool stream_is_trusted(const struct stream *stream, const struct address *address) {
    const struct config *config = stream->site->config;
    return address_in_ranges(address, config->trusted, config->trusted_count);
}

bool stream_is_doomed(const struct stream *stream, uint32_t index) {
    return (stream->notes[index] & STREAM_NOTE_DOOM) != 0;
}

bool stream_on_open(struct stream *stream, uint32_t index) {
    const struct address *address = &stream->addresses[index];
    bool is_exempt = stream_is_trusted(stream, address);
    stream->sessions[index] = 0;
    stream->notes[index] = is_exempt ? STREAM_NOTE_EXEMPT : 0;
    switch (admission_enter(stream->admission, address, is_exempt)) {
    case ADMISSION_GRANTED:
        stream->notes[index] |= STREAM_NOTE_COUNTED;
        return true;
    case ADMISSION_TABLE_FULL:
        table_full_note(stream, ADMISSION_TABLE_FULL);
        stream->notes[index] |= STREAM_DOOM_CONNECTIONS;
        break;
    case ADMISSION_FULL:
        stream->notes[index] |= STREAM_DOOM_CONNECTIONS;
        break;
    case ADMISSION_ADDRESS_FULL:
        stream->notes[index] |= STREAM_DOOM_ADDRESS;
        break;
    }
    bool is_full = (stream->notes[index] & STREAM_NOTE_DOOM) == STREAM_DOOM_CONNECTIONS;
    char text[ADDRESS_TEXT_BYTES];
    address_format(address, false, text);
    log_event(stream->log, LOG_LEVEL_WARN, is_full ? "connection_limit" : "address_limit",
              log_text("address", text),
              log_number("open", admission_open_count(stream->admission)));
    // It is told why, with 503 or 429, as long as those who wait to be told are few.
    if (stream->doomed_count >= STREAM_DOOMED_MAX) {
        return false;
    }
    stream->doomed_count++;
    stream->notes[index] |= STREAM_NOTE_DOOM_COUNTED;
    return true;
}

void stream_on_gone(struct stream *stream, uint32_t index) {
    struct conn *conn = conn_at(stream->conns, index);
    const struct config_route *route = stream_route(stream, index);
    if (log_is_on(stream->log, LOG_LEVEL_DEBUG)) {
        char address[ADDRESS_TEXT_BYTES];
        address_format(&stream->addresses[index], true, address);
        char id[40]; // as in the admin API; three numbers always fit
        (void)snprintf(id, sizeof id, "%u-%u-%u", stream->bus->self, index, conn->generation);
        const struct fault *fault = fault_get((enum fault_id)conn->fault);
        log_event(stream->log, LOG_LEVEL_DEBUG, "closed", log_text("id", id),
                  log_text("address", address),
                  log_span("route", route == NULL ? span_text("-") : route->path.text),
                  log_text("cause", fault->name), log_text("text", fault->text),
                  log_number("age_ms", (uint32_t)stream->conns->now_ms - conn->opened_ms));
    }
    stream_leave_all(stream, index);
    proxy_on_gone(stream->proxy, index);
    rule_leave(stream, index);
    session_drop(stream, index);
    bool is_exempt = (stream->notes[index] & STREAM_NOTE_EXEMPT) != 0;
    if ((stream->notes[index] & STREAM_NOTE_COUNTED) != 0) {
        admission_leave(stream->admission, &stream->addresses[index], is_exempt);
    } else if ((stream->notes[index] & STREAM_NOTE_DOOM_COUNTED) != 0) {
        stream->doomed_count--;
    }
    stream->notes[index] = 0;
}

void stream_on_ask(struct stream *stream, uint32_t index, const struct conn_event *event) {
    switch (event->kind) {
    case CONN_EVENT_REQUEST:
        stream_on_request(stream, index, event);
        return;
    case CONN_EVENT_BODY:
        stream_on_body(stream, index, event);
        return;
    case CONN_EVENT_MESSAGE:
        stream_on_message(stream, index, event);
        return;
    case CONN_EVENT_CLOSE:
        proxy_on_close(stream->proxy, index, event);
        return;
    case CONN_EVENT_PIECE:
        proxy_on_ask(stream->proxy, index, event);
        return;
    case CONN_EVENT_NONE:
        return;
    }
}

// --- publishing, and its pace

void stream_pace(struct stream *stream, uint32_t index, struct span name) {
    uint32_t target = bus_home(stream->bus, name);
    bool must_wait = bus_is_backed_up(stream->bus, target) || hub_is_crowded(stream->hub, name);
    bool is_held = (stream->notes[index] & STREAM_NOTE_HELD_BACK) != 0;
    if (!must_wait || is_held || stream->paused_count == stream->paused_max) {
        return;
    }
    conn_pause(stream->conns, index);
    stream->notes[index] |= STREAM_NOTE_HELD_BACK;
    stream->paused[stream->paused_count++] = (struct stream_paused){
        .index = index, .generation = conn_at(stream->conns, index)->generation, .target = target};
}

void stream_read_on(struct stream *stream, uint32_t index) {
    const struct stream_session *session = session_find(stream, index);
    bool is_held = (stream->notes[index] & STREAM_NOTE_HELD_BACK) != 0;
    if (!is_held && (session == NULL || session->holds == 0)) {
        conn_unpause(stream->conns, index);
    }
}

void stream_resume(struct stream *stream) {
    for (uint32_t i = 0; i < STREAM_RESUME_MAX && i < stream->paused_count; i++) {
        if (stream->paused_cursor >= stream->paused_count) {
            stream->paused_cursor = 0;
        }
        struct stream_paused paused = stream->paused[stream->paused_cursor];
        if (bus_is_backed_up(stream->bus, paused.target)) {
            stream->paused_cursor++;
            continue;
        }
        stream->paused[stream->paused_cursor] = stream->paused[--stream->paused_count];
        struct conn *conn = conn_at(stream->conns, paused.index);
        if (conn->state != CONN_FREE && conn->generation == paused.generation) {
            stream->notes[paused.index] &= (uint8_t)~STREAM_NOTE_HELD_BACK;
            stream_read_on(stream, paused.index);
        }
    }
}

bool stream_publish(struct stream *stream, uint32_t index, struct span name, struct span body,
                    uint8_t opcode, bool wants_receipt) {
    const struct config_route *route = stream_route(stream, index);
    bool is_excepted = route != NULL && !route->channels.echo_self;
    struct bus_publication publication = {
        .name = name,
        .body = body,
        .opcode = opcode,
        .except = is_excepted
                      ? (uint64_t)conn_at(stream->conns, index)->generation << 32 | (index + 1)
                      : 0,
        .receipt_token = wants_receipt ? stream_token(stream, index) : 0};
    return bus_publish(stream->bus, &publication);
}

// --- mail

// The publisher that must not get its own message, or 0 when it is gone and its index is another's.
static uint64_t except_now(const struct stream *stream, uint64_t except) {
    uint32_t index = (uint32_t)except - 1;
    bool is_live =
        except != 0 && conn_at(stream->conns, index)->generation == (uint32_t)(except >> 32);
    return is_live ? except : 0;
}

// One copy per form in use, made here from the bytes that the home sent; all subscribers of this
// worker share it.
static void on_deliver(struct stream *stream, struct bus_event *event) {
    uint32_t channel = hub_channel_find(stream->hub, event->name);
    if (channel == 0) {
        return; // the last subscriber left while it was on its way
    }
    const struct hub_channel *hub_channel = hub_channel_at(stream->hub, channel);
    if (!hub_channel->is_confirmed) {
        return; // likewise, and the next one's home has not answered (hub_confirm)
    }
    uint32_t payloads[HUB_FORM_COUNT] = {0};
    bool is_short = false;
    if (hub_channel->form_count[HUB_ENVELOPE] > 0) {
        payloads[HUB_ENVELOPE] =
            envelope_encode(stream->arena, &event->mail, event->name, event->body);
        is_short = payloads[HUB_ENVELOPE] == 0;
    }
    if (hub_channel->form_count[HUB_RAW] > 0) {
        if (event->block != 0) {
            bus_block_take(stream->bus);
            payloads[HUB_RAW] =
                payload_adopt(stream->arena, event->block, event->mail.opcode, event->body.length);
        } else {
            payloads[HUB_RAW] = payload_frame(stream->arena, event->mail.opcode, event->body);
            is_short = is_short || payloads[HUB_RAW] == 0;
        }
    }
    if (is_short ||
        !hub_post(stream->hub, channel, payloads, except_now(stream, event->mail.words[0]))) {
        counter_add(stream->conns->counters, COUNTER_dropped_mailbox, 1);
    }
    for (uint32_t form = 0; form < HUB_FORM_COUNT; form++) {
        if (payloads[form] != 0) {
            payload_drop(stream->arena, payloads[form]);
        }
    }
}

void stream_on_mail(struct stream *stream, struct bus_event *event) {
    if (event->mail.kind == MAIL_DELIVER) {
        on_deliver(stream, event);
        return;
    }
    uint32_t index = (uint32_t)event->mail.words[0];
    uint32_t generation = (uint32_t)(event->mail.words[0] >> 32);
    const struct conn *conn = conn_at(stream->conns, index);
    if (conn->state == CONN_FREE || conn->generation != generation) {
        return; // the connection that asked is gone
    }
    if (event->mail.kind == MAIL_JOINED) {
        if (event->mail.words[1] != 0) {
            hub_confirm(stream->hub, event->name, conn->subscriptions);
        }
        stream_on_joined(stream, index, event);
    } else if (event->mail.kind == MAIL_RECEIPT) {
        stream_on_receipt(stream, index, event);
    }
}
