// Messages of open connections: echo, publish, or an envelope.
#include "core/base/check.h"
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "gateway/stream/internal.h"

// The client's own bytes back, without a copy when they lie in a block already.
static void on_echo(struct stream *stream, uint32_t index, const struct conn_event *event) {
    uint32_t payload =
        event->block != 0
            ? payload_adopt(stream->arena, event->block, event->opcode, event->payload.length)
            : payload_frame(stream->arena, event->opcode, event->payload);
    if (payload == 0) {
        conn_close(stream->conns, index,
                   &(struct conn_close_options){.fault = FAULT_out_of_memory});
        return;
    }
    conn_send(stream->conns, index, payload, 0);
    payload_drop(stream->arena, payload);
    // A client that sends faster than it reads is not read: the kernel's window tells it to wait.
    const struct conn *conn = conn_at(stream->conns, index);
    if (conn->state == CONN_OPEN &&
        conn->outbox.queued_bytes > stream->settings[conn->settings].bounds.queue_bytes_max / 2) {
        conn_pause(stream->conns, index);
    }
}

void stream_on_sent(struct stream *stream, uint32_t index) {
    const struct conn *conn = conn_at(stream->conns, index);
    if (conn->state != CONN_OPEN || !conn_has(conn, CONN_PAUSED)) {
        return;
    }
    const struct config_route *route = stream_route(stream, index);
    bool is_low =
        conn->outbox.queued_bytes <= stream->settings[conn->settings].bounds.queue_bytes_max / 4;
    if (route->verb == CONFIG_VERB_ECHO && is_low) {
        conn_unpause(stream->conns, index);
    }
}

// The channel of plain messages: the session's, or (without one) the only channel that it is
// subscribed to.
static struct span publish_channel(struct stream *stream, uint32_t index,
                                   const struct config_route *route) {
    struct stream_session *session = session_find(stream, index);
    if (session != NULL) {
        return session_publish(session);
    }
    const struct conn *conn = conn_at(stream->conns, index);
    if (route->channels.publish.part_count == 0 || conn->subscriptions == 0) {
        return span_empty();
    }
    const struct hub_subscription *subscription =
        pool_at(stream->hub->subscriptions, conn->subscriptions);
    return hub_channel_name(stream->hub, subscription->channel);
}

static void on_publish(struct stream *stream, uint32_t index, const struct conn_event *event) {
    const struct config_route *route = stream_route(stream, index);
    struct span name = publish_channel(stream, index, route);
    if (name.length == 0) {
        conn_close(stream->conns, index,
                   &(struct conn_close_options){.fault = FAULT_not_publishable});
        return;
    }
    uint32_t home = bus_home(stream->bus, name);
    stream_publish(stream, index, name, event->payload, event->opcode, false);
    if (bus_is_backed_up(stream->bus, home)) {
        stream_pause_for(stream, index, home);
    }
}

void stream_on_message(struct stream *stream, uint32_t index, const struct conn_event *event) {
    const struct config_route *route = stream_route(stream, index);
    check(route != NULL);
    if (route->verb == CONFIG_VERB_ECHO) {
        on_echo(stream, index, event); // the block, if any, is the payload's now
        return;
    }
    if (conn_has(conn_at(stream->conns, index), CONN_ENVELOPE)) {
        envelope_on_message(stream, index, event); // the block, if any, is its own now
        return;
    }
    on_publish(stream, index, event);
    if (event->block != 0) {
        arena_give(stream->arena, event->block);
    }
}
