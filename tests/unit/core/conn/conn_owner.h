// For the tests of core/conn: an owner as gateway/worker is one, small. It answers requests by
// their path, echoes messages, and writes down what it was asked, so that two ways of feeding the
// same bytes can be compared.
//   upgrade         conn_upgrade                /take   the body is collected and sent back
//   /later          no answer by itself         /no     404, keeping the connection
//   /relay          conn_relay, no answer by itself
//   /keep           the body is collected, and not answered
//   anything else   200 with the path
#pragma once
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "tests/unit/core/conn/conn_test.h"

#include <stdarg.h>
#include <stdio.h>

enum { OWNER_LOG_BYTES = 1 << 16, OWNER_BODY_BYTES_MAX = 100 };

struct owner {
    struct conn_test *test;
    uint32_t log_bytes;
    char log[OWNER_LOG_BYTES];
    bool keeps_body; // the next body is not answered
    bool is_silent;  // messages are not echoed
    bool is_deaf;    // nothing is sent for the moment
};

__attribute__((format(printf, 2, 3))) static inline void owner_log(struct owner *owner,
                                                                   const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(owner->log + owner->log_bytes, OWNER_LOG_BYTES - owner->log_bytes,
                           format, arguments);
    va_end(arguments);
    owner->log_bytes += (uint32_t)length;
    cr_assert_lt(owner->log_bytes, OWNER_LOG_BYTES);
}

static inline void owner_on_request(struct owner *owner, const struct conn_event *event) {
    struct conns *conns = &owner->test->conns;
    uint32_t index = owner->test->index;
    struct span path = conns->request.path;
    owner_log(owner, "request %.*s%s\n", (int)path.length, (const char *)path.data,
              event->is_upgrade ? " upgrade" : "");
    if (span_is(path, "/later")) {
        return;
    }
    if (span_is(path, "/relay")) {
        conn_relay(conns, index, 1);
    } else if (event->is_upgrade) {
        conn_upgrade(conns, index, 1, span_empty());
    } else if (span_is(path, "/take") || span_is(path, "/keep")) {
        owner->keeps_body = span_is(path, "/keep");
        conn_collect(conns, index, OWNER_BODY_BYTES_MAX);
    } else if (span_is(path, "/no")) {
        struct http_refusal refusal = {.fault = fault_get(FAULT_not_found)};
        conn_refuse(conns, index, &refusal);
        owner->test->kept_refusals += refusal.keep_alive;
    } else {
        struct http_reply reply = {.status = 200, .body = path};
        conn_reply(conns, index, &reply);
    }
}

static inline void owner_on_body(struct owner *owner, const struct conn_event *event) {
    struct conns *conns = &owner->test->conns;
    owner_log(owner, "body %.*s\n", (int)event->payload.length, (const char *)event->payload.data);
    if (owner->keeps_body) {
        owner->keeps_body = false;
        if (event->block != 0) {
            arena_give(conns->arena, event->block);
        }
        return;
    }
    struct http_reply reply = {.status = 200, .body = event->payload};
    conn_reply(conns, owner->test->index, &reply);
    if (event->block != 0) {
        arena_give(conns->arena, event->block);
    }
}

static inline void owner_on_message(struct owner *owner, const struct conn_event *event) {
    struct conns *conns = &owner->test->conns;
    owner_log(owner, "message %u %u %.*s\n", event->opcode, event->payload.length,
              (int)(event->payload.length < 100 ? event->payload.length : 100),
              (const char *)event->payload.data);
    uint32_t payload = 0;
    if (owner->is_silent) {
        if (event->block != 0) {
            arena_give(conns->arena, event->block);
        }
        return;
    }
    if (event->block != 0) {
        payload = payload_adopt(conns->arena, event->block, event->opcode, event->payload.length);
    } else {
        payload = payload_frame(conns->arena, event->opcode, event->payload);
    }
    if (payload == 0) {
        conn_close(conns, owner->test->index,
                   &(struct conn_close_options){.fault = FAULT_out_of_memory});
        return;
    }
    conn_send(conns, owner->test->index, payload, 0);
    payload_drop(conns->arena, payload);
}

static inline void owner_on_ask(struct owner *owner, const struct conn_event *event) {
    switch (event->kind) {
    case CONN_EVENT_NONE:
        return;
    case CONN_EVENT_REQUEST:
        owner_on_request(owner, event);
        return;
    case CONN_EVENT_BODY:
        owner_on_body(owner, event);
        return;
    case CONN_EVENT_PIECE:
        owner_log(owner, "piece %.*s%s%s\n", (int)event->payload.length,
                  (const char *)event->payload.data, event->is_final ? " final" : "",
                  event->fault == NULL ? "" : event->fault->name);
        return;
    case CONN_EVENT_MESSAGE:
        owner_on_message(owner, event);
        return;
    case CONN_EVENT_CLOSE:
        owner_log(owner, "close %u %.*s\n", event->payload.length,
                  (int)(event->payload.length < 2 ? 0 : event->payload.length - 2),
                  (const char *)event->payload.data + 2);
        return;
    }
}

static inline void owner_feed(struct owner *owner, struct span_mut bytes) {
    struct conns *conns = &owner->test->conns;
    uint32_t index = owner->test->index;
    while (bytes.length > 0 || conn_wants_feed(conns, index)) {
        if (!conn_may_feed(conns, index)) {
            conn_hold(conns, index, bytes);
            return;
        }
        struct conn_event event = conn_feed(conns, index, &bytes);
        owner_on_ask(owner, &event);
    }
}

static inline void owner_feed_held(struct owner *owner) {
    struct conns *conns = &owner->test->conns;
    if (!conn_may_feed(conns, owner->test->index)) {
        return;
    }
    uint32_t block;
    struct span_mut held = conn_held_take(conns, owner->test->index, &block);
    owner_feed(owner, held);
    if (block != 0) {
        arena_give(conns->arena, block);
    }
}

// Goes through the touched: held bytes, then what there is to send.
static inline void owner_pump(struct owner *owner) {
    for (uint32_t index = conn_touched_next(&owner->test->conns); index != 0;
         index = conn_touched_next(&owner->test->conns)) {
        if (index == owner->test->index && conn_test_state(owner->test) != CONN_ENDED) {
            owner_feed_held(owner);
            if (!owner->is_deaf) {
                conn_test_send(owner->test);
            }
        }
    }
}

// As if they had been received: into the message's own memory where there is a target, from a
// buffer otherwise. False: the connection does not read (any more).
static inline bool owner_receive(struct owner *owner, const void *bytes, uint32_t length) {
    struct conns *conns = &owner->test->conns;
    uint32_t index = owner->test->index;
    const uint8_t *at = bytes;
    while (length > 0) {
        if (conn_test_state(owner->test) == CONN_ENDED || !conn_may_read(conns, index)) {
            return false;
        }
        struct span_mut target = conn_receive_target(conns, index);
        uint32_t taken = length;
        if (target.length > 0) {
            taken = length < target.length ? length : target.length;
            memcpy(target.data, at, taken);
            struct conn_event event = conn_feed_target(conns, index, taken);
            owner_on_ask(owner, &event);
        } else {
            taken = length < RECEIVE_BUFFER_BYTES ? length : RECEIVE_BUFFER_BYTES;
            uint8_t *copy = malloc(taken); // exactly that long: a sanitizer sees a byte too far
            cr_assert_not_null(copy);
            memcpy(copy, at, taken);
            owner_feed(owner, (struct span_mut){.data = copy, .length = taken});
            free(copy);
        }
        at += taken;
        length -= taken;
        owner_pump(owner);
    }
    return true;
}

static inline bool owner_receive_text(struct owner *owner, const char *text) {
    return owner_receive(owner, text, (uint32_t)strlen(text));
}

// A piece of the answer of /relay.
static inline bool owner_put(struct owner *owner, const char *text) {
    struct conns *conns = &owner->test->conns;
    bool is_put =
        conn_relay_put(conns, owner->test->index, payload_bytes(conns->arena, span_text(text)));
    owner_pump(owner);
    return is_put;
}

static inline struct owner *owner_open(void) {
    struct owner *owner = calloc(1, sizeof *owner);
    cr_assert_not_null(owner);
    owner->test = conn_test_open();
    return owner;
}

static inline void owner_close(struct owner *owner) {
    conn_test_close(owner->test);
    free(owner);
}
