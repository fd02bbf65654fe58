// Writing replies. Nothing from outside may end a line: every value is checked before it is
// written.
#include "core/http/reply.h"
#include "core/base/check.h"
#include "core/http/chars.h"
#include "core/http/upgrade.h"
#include "core/http/writer.h"

#include "core/base/pure.h"

enum {
    REPLY_FIELDS_MAX = sizeof((struct http_reply *)0)->fields / sizeof(struct http_reply_field)
};

static void reply_put_field(struct http_writer *writer, const char *name, struct span value) {
    check(http_is_token(span_text(name)));
    check(http_text_length(value) == value.length);
    http_put_field(writer, span_text(name), value);
}

static uint32_t reply_end(const struct http_writer *writer) {
    check(writer->length <= writer->room);
    return writer->is_over ? 0 : writer->length;
}

void http_reply_add(struct http_reply *reply, const char *name, struct span value) {
    check(reply->field_count < REPLY_FIELDS_MAX);
    reply->fields[reply->field_count] = (struct http_reply_field){.name = name, .value = value};
    reply->field_count++;
}

// These have no body whatever their header says (RFC 9112 6.3), and 1xx and 204 no Content-Length
// (RFC 9110 8.6).
static bool reply_has_no_body(uint16_t status) {
    return status < 200 || status == 204 || status == 304;
}

// The fields, and Connection: close joined to a Connection field if there is one.
static void reply_put_fields(struct http_writer *writer, const struct http_reply *reply) {
    bool owes_close = !reply->keep_alive;
    for (uint32_t i = 0; i < reply->field_count; i++) {
        const struct http_reply_field *field = &reply->fields[i];
        bool is_connection = span_is_nocase(span_text(field->name), "connection");
        reply_put_field(writer, field->name, field->value);
        if (is_connection && owes_close) {
            owes_close = false;
            if (!writer->is_over) {
                writer->length -= 2; // its CR LF
            }
            http_put_text(writer, ", close\r\n");
        }
    }
    if (owes_close) {
        http_put_text(writer, "Connection: close\r\n");
    }
}

uint32_t http_reply_write_head(const struct http_reply *reply, uint64_t body_bytes,
                               struct span_mut target) {
    check(reply->status >= 100 && reply->status <= 599);
    check(reply->field_count <= REPLY_FIELDS_MAX);
    struct http_writer writer = {.data = target.data, .room = target.length};
    http_put_text(&writer, "HTTP/1.1 ");
    http_put_number(&writer, reply->status);
    http_put_text(&writer, " ");
    http_put_text(&writer, http_status_text(reply->status));
    http_put_text(&writer, "\r\n");
    if (reply->content_type.length > 0) {
        reply_put_field(&writer, "Content-Type", reply->content_type);
    }
    if (reply->date.length > 0 && reply->status >= 200) {
        reply_put_field(&writer, "Date", reply->date);
    }
    if (!reply->omits_length && !reply_has_no_body(reply->status)) {
        http_put_text(&writer, "Content-Length: ");
        http_put_number(&writer, body_bytes);
        http_put_text(&writer, "\r\n");
    }
    reply_put_fields(&writer, reply);
    http_put_text(&writer, "\r\n");
    return reply_end(&writer);
}

uint32_t http_reply_write(const struct http_reply *reply, struct span_mut target) {
    check(reply->body.length == 0 || !reply_has_no_body(reply->status));
    uint32_t used = http_reply_write_head(reply, reply->body.length, target);
    if (used == 0 || reply->is_head) {
        return used;
    }
    struct http_writer writer = {.data = target.data, .length = used, .room = target.length};
    http_put(&writer, reply->body);
    return reply_end(&writer);
}

uint32_t http_reply_write_switching(struct span key, struct span subprotocol,
                                    struct span extensions, struct span_mut target) {
    uint8_t accept_text[WEBSOCKET_ACCEPT_BYTES];
    http_upgrade_accept(key, accept_text);
    struct http_writer writer = {.data = target.data, .room = target.length};
    http_put_text(&writer, "HTTP/1.1 101 Switching Protocols\r\n"
                           "Upgrade: websocket\r\n"
                           "Connection: Upgrade\r\n");
    reply_put_field(&writer, "Sec-WebSocket-Accept", span_make(accept_text, sizeof accept_text));
    if (subprotocol.length > 0) {
        reply_put_field(&writer, "Sec-WebSocket-Protocol", subprotocol);
    }
    if (extensions.length > 0) {
        reply_put_field(&writer, "Sec-WebSocket-Extensions", extensions);
    }
    http_put_text(&writer, "\r\n");
    return reply_end(&writer);
}
