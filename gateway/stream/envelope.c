// The JSON envelope that a client asks for with ?envelope=json: messages with channel and id, and
// subscribe, unsubscribe and publish by the client.
#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "core/ws/reader.h"
#include "gateway/auth/json_memory.h"
#include "gateway/route/channel_name.h"
#include "gateway/stream/internal.h"

#include <jansson.h>

// --- out

// Bytes of a JSON string's inside; text is valid UTF-8 already.
static uint32_t escaped_bytes(struct span text) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        bytes += byte == '"' || byte == '\\' ? 2 : (byte < 0x20 ? 6 : 1);
    }
    return bytes;
}

static uint8_t *escaped_write(uint8_t *at, struct span text) {
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"' || byte == '\\') {
            *at++ = '\\';
            *at++ = byte;
        } else if (byte < 0x20) {
            memcpy(at, "\\u00", 4);
            at[4] = (uint8_t)digits[byte >> 4];
            at[5] = (uint8_t)digits[byte & 15];
            at += 6;
        } else {
            *at++ = byte;
        }
    }
    return at;
}

static uint8_t *text_write(uint8_t *at, const char *text) {
    size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

static uint8_t *span_write(uint8_t *at, struct span span) {
    memcpy(at, span.data, span.length);
    return at + span.length;
}

// Sixteen hexadecimal digits: fixed width, so that the size is known before.
static uint8_t *hex_write(uint8_t *at, uint64_t value) {
    for (uint32_t i = 0; i < 16; i++) {
        at[i] = (uint8_t) "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    }
    return at + 16;
}

uint32_t envelope_encode(struct arena *arena, const struct mail *mail, struct span name,
                         struct span body) {
    static const char id[] = "{\"id\":\"";
    static const char channel[] = "\",\"channel\":\"";
    static const char data[] = "\",\"data\":\"";
    static const char base64[] = "\",\"base64\":\"";
    static const char end[] = "\"}";
    bool is_text = mail->opcode == WS_TEXT;
    uint64_t content = is_text ? escaped_bytes(body) : base64_encoded_bytes(body.length);
    uint64_t total = sizeof id - 1 + 33 + sizeof channel - 1 + name.length +
                     (is_text ? sizeof data - 1 : sizeof base64 - 1) + content + sizeof end - 1;
    if (total > UINT32_MAX) {
        return 0;
    }
    uint8_t *at;
    uint32_t payload = payload_reserve(arena, WS_TEXT, (uint32_t)total, &at);
    if (payload == 0) {
        return 0;
    }
    uint8_t *first = at;
    at = hex_write(text_write(at, id), mail->words[1]);
    *at++ = '-';
    at = hex_write(at, mail->words[3]);
    at = span_write(text_write(at, channel), name);
    if (is_text) {
        at = escaped_write(text_write(at, data), body);
    } else {
        at = text_write(at, base64);
        at += base64_encode(body, (struct span_mut){.data = at, .length = (uint32_t)content});
    }
    at = text_write(at, end);
    check(at == first + total);
    return payload;
}

void envelope_answer(struct stream *stream, uint32_t index, const struct envelope_answer *answer) {
    uint8_t text[2 * CHANNEL_NAME_BYTES_MAX + 128];
    uint8_t *at = text_write(text, "{\"");
    bool is_error = answer->error != NULL && strcmp(answer->key, "error") == 0;
    at = text_write(at, answer->key);
    at = text_write(at, "\":\"");
    if (is_error) {
        at = text_write(at, answer->error);
        if (answer->channel.length > 0 && channel_name_is_valid(answer->channel)) {
            at = span_write(text_write(at, "\",\"channel\":\""), answer->channel);
        }
    } else {
        at = span_write(at, answer->channel);
    }
    *at++ = '"';
    if (answer->has_count) {
        at = text_write(at, ",\"subscribers\":");
        char digits[21];
        uint32_t count = 0;
        uint64_t value = answer->count;
        do {
            digits[count++] = (char)('0' + value % 10);
            value /= 10;
        } while (value != 0);
        while (count > 0) {
            *at++ = (uint8_t)digits[--count];
        }
    }
    *at++ = '}';
    uint32_t payload =
        payload_frame(stream->arena, WS_TEXT, span_make(text, (uint32_t)(at - text)));
    if (payload == 0) {
        conn_close(stream->conns, index,
                   &(struct conn_close_options){.fault = FAULT_out_of_memory});
        return;
    }
    conn_send(stream->conns, index, payload, 0);
    payload_drop(stream->arena, payload);
}

// --- in

// What is said at once waits while earlier asks are on their way, or it would overtake their
// answers. False: nothing was said or done, the ask is to be made again.
static bool answer_now(struct stream *stream, uint32_t index,
                       const struct envelope_answer *answer) {
    if (session_find(stream, index)->owed > 0) {
        return false;
    }
    envelope_answer(stream, index, answer);
    return true;
}

static bool error_answer(struct stream *stream, uint32_t index, const char *error,
                         struct span channel) {
    return answer_now(
        stream, index,
        &(struct envelope_answer){.key = "error", .error = error, .channel = channel});
}

static struct span string_span(const json_t *string) {
    return span_make(json_string_value(string), (uint32_t)json_string_length(string));
}

// NULL: a valid name that the route's `allow` covers; else what is wrong with it.
static const char *name_error(struct stream *stream, uint32_t index, struct span name) {
    if (!channel_name_is_valid(name)) {
        return "invalid channel name";
    }
    return session_allows(session_find(stream, index), name) ? NULL : "channel not allowed";
}

static bool is_subscribed(const struct stream *stream, uint32_t index, struct span name) {
    uint32_t channel = hub_channel_find(stream->hub, name);
    uint32_t at = conn_at(stream->conns, index)->subscriptions;
    while (channel != 0 && at != 0) { // bounded by limits.channels
        const struct hub_subscription *subscription = pool_at(stream->hub->subscriptions, at);
        if (subscription->channel == channel) {
            return true;
        }
        at = subscription->owner_next;
    }
    return false;
}

static bool on_subscribe(struct stream *stream, uint32_t index, struct span name) {
    const char *error = name_error(stream, index, name);
    if (error != NULL) {
        return error_answer(stream, index, error, name);
    }
    const struct conn *conn = conn_at(stream->conns, index);
    uint32_t limit = stream_route(stream, index)->limits.channels;
    if (!is_subscribed(stream, index, name) &&
        hub_subscription_count(stream->hub, conn->subscriptions) >= limit) {
        return error_answer(stream, index, "too many channels", name);
    }
    bool is_already = false;
    if (stream_join(stream, index, name, &is_already)) {
        session_find(stream, index)->owed++; // answered when its home has answered
        return true;
    }
    struct envelope_answer answer = {.key = "subscribed", .channel = name};
    return is_already ? answer_now(stream, index, &answer)
                      : error_answer(stream, index, "out of memory", name);
}

static bool on_unsubscribe(struct stream *stream, uint32_t index, struct span name) {
    const char *error = name_error(stream, index, name);
    if (error != NULL) {
        return error_answer(stream, index, error, name);
    }
    // A subscription whose home has not answered may still be refused by it: not before that.
    if (session_find(stream, index)->owed > 0) {
        return false;
    }
    struct conn *conn = conn_at(stream->conns, index);
    enum hub_leave_result result = hub_leave(stream->hub, name, &conn->subscriptions);
    if (result == HUB_ABSENT) {
        return error_answer(stream, index, "not subscribed", name);
    }
    bus_leave(stream->bus, name, result == HUB_LEFT_LAST);
    return answer_now(stream, index,
                      &(struct envelope_answer){.key = "unsubscribed", .channel = name});
}

// The channel that plain messages go to may be published to, and whatever `allow` covers.
static const char *publish_error(struct stream *stream, uint32_t index, struct span name) {
    struct stream_session *session = session_find(stream, index);
    bool is_own = session->publish_bytes > 0 && span_equal(name, session_publish(session));
    return is_own ? NULL : name_error(stream, index, name);
}

static bool publish_body(struct stream *stream, uint32_t index, struct span name, struct span body,
                         uint8_t opcode) {
    const struct conn_settings *settings =
        &stream->settings[conn_at(stream->conns, index)->settings];
    if (opcode == WS_TEXT ? settings->refuses_text : settings->refuses_binary) {
        return error_answer(stream, index, "kind of message not accepted", name);
    }
    bool is_sent = stream_publish(stream, index, name, body, opcode, true);
    stream_pace(stream, index, name);
    if (!is_sent) {
        return error_answer(stream, index, "overloaded", name);
    }
    session_find(stream, index)->owed++;
    return true;
}

static bool publish_base64(struct stream *stream, uint32_t index, struct span name,
                           struct span text) {
    uint32_t room = text.length / 4 * 3 + 4;
    uint32_t block = arena_take(stream->arena, room);
    if (block == 0) {
        return error_answer(stream, index, "out of memory", name);
    }
    uint8_t *bytes = arena_at(stream->arena, block);
    int64_t length = base64_decode(text, (struct span_mut){.data = bytes, .length = room});
    bool is_done = length < 0 ? error_answer(stream, index, "malformed base64", name)
                              : publish_body(stream, index, name,
                                             span_make(bytes, (uint32_t)length), WS_BINARY);
    arena_give(stream->arena, block);
    return is_done;
}

static bool on_publish(struct stream *stream, uint32_t index, struct span name,
                       const json_t *object) {
    const json_t *data = json_object_get(object, "data");
    const json_t *base64 = json_object_get(object, "base64");
    bool is_text = json_is_string(data) && base64 == NULL;
    bool is_binary = json_is_string(base64) && data == NULL;
    const char *error = publish_error(stream, index, name);
    if (error != NULL) {
        return error_answer(stream, index, error, name);
    }
    if (is_text) {
        return publish_body(stream, index, name, string_span(data), WS_TEXT);
    }
    if (is_binary) {
        return publish_base64(stream, index, name, string_span(base64));
    }
    return error_answer(stream, index, "publish needs data or base64, a string", name);
}

// False: not now (answer_now).
static bool ask(struct stream *stream, uint32_t index, struct span text) {
    struct json_document document;
    json_document_open(&document, text, JSON_ALLOW_NUL);
    const json_t *object = document.root;
    static const char *const verbs[] = {"subscribe", "unsubscribe", "publish"};
    uint32_t found = 0;
    uint32_t verb = 0;
    for (uint32_t i = 0; i < 3 && json_is_object(object); i++) {
        if (json_is_string(json_object_get(object, verbs[i]))) {
            found++;
            verb = i;
        }
    }
    bool is_done = true;
    if (document.is_short) {
        is_done = error_answer(stream, index, "out of memory", span_empty());
    } else if (found != 1) { // a client that asked for the envelope and does not speak it
        conn_close(stream->conns, index,
                   &(struct conn_close_options){.fault = FAULT_envelope_malformed});
    } else {
        struct span name = string_span(json_object_get(object, verbs[verb]));
        is_done = verb == 0   ? on_subscribe(stream, index, name)
                  : verb == 1 ? on_unsubscribe(stream, index, name)
                              : on_publish(stream, index, name, object);
    }
    json_document_close(&document);
    return is_done;
}

static void hold(struct stream *stream, uint32_t index, enum stream_hold why) {
    session_find(stream, index)->holds |= (uint8_t)why;
    conn_pause(stream->conns, index);
}

// Keeps the ask, taking the block if it lies in one. Nothing more is read until it was made.
static void ask_keep(struct stream *stream, uint32_t index, const struct conn_event *event) {
    struct stream_session *session = session_find(stream, index);
    check(session->ask_block == 0);
    uint32_t block = event->block;
    if (block == 0) {
        block = arena_take(stream->arena, WS_MESSAGE_HEADROOM + event->payload.length);
        if (block == 0) {
            conn_close(stream->conns, index,
                       &(struct conn_close_options){.fault = FAULT_out_of_memory});
            return;
        }
        memcpy(arena_at(stream->arena, block) + WS_MESSAGE_HEADROOM, event->payload.data,
               event->payload.length);
    }
    session->ask_block = block;
    session->ask_bytes = event->payload.length;
    hold(stream, index, STREAM_HOLD_ASKS);
}

void envelope_on_message(struct stream *stream, uint32_t index, const struct conn_event *event) {
    if (event->opcode != WS_TEXT) {
        conn_close(stream->conns, index, &(struct conn_close_options){.fault = FAULT_message_kind});
    } else if (!ask(stream, index, event->payload)) {
        ask_keep(stream, index, event);
        return;
    } else if (session_find(stream, index)->owed >= ENVELOPE_OWED_MAX) {
        hold(stream, index, STREAM_HOLD_ASKS);
    }
    if (stream_is_behind(stream, index, 2)) {
        hold(stream, index, STREAM_HOLD_QUEUE);
    }
    if (event->block != 0) {
        arena_give(stream->arena, event->block);
    }
}

void envelope_answered(struct stream *stream, uint32_t index) {
    struct stream_session *session = session_find(stream, index);
    check(session != NULL && session->owed > 0);
    session->owed--;
    if (session->owed == 0 && session->ask_block != 0) {
        uint32_t block = session->ask_block;
        session->ask_block = 0;
        bool is_done = ask(
            stream, index,
            span_make(arena_at(stream->arena, block) + WS_MESSAGE_HEADROOM, session->ask_bytes));
        check(is_done); // nothing is owed, so whatever it is was said
        arena_give(stream->arena, block);
    }
    if (session->ask_block == 0 && session->owed <= ENVELOPE_OWED_MAX / 2) {
        session->holds &= (uint8_t)~STREAM_HOLD_ASKS;
    }
    if (stream_is_behind(stream, index, 2)) {
        hold(stream, index, STREAM_HOLD_QUEUE);
    } else {
        stream_read_on(stream, index);
    }
}
