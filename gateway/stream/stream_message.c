// Messages of open connections: echo, publish, or an envelope.
#include "core/base/check.h"
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "gateway/stream/internal.h"

bool stream_is_behind(const struct stream *stream, uint32_t index, uint32_t part) {
    const struct conn *conn = conn_at(stream->conns, index);
    return conn->state == CONN_OPEN &&
           conn->outbox.queued_bytes >
               stream->settings[conn->settings].bounds.queue_bytes_max / part;
}

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
    if (stream_is_behind(stream, index, 2)) {
        conn_pause(stream->conns, index);
    }
}

void stream_on_sent(struct stream *stream, uint32_t index) {
    const struct conn *conn = conn_at(stream->conns, index);
    bool passes_on =
        conn->state == CONN_RELAY || (conn->state == CONN_OPEN && stream_is_tunnel(stream, index));
    if (passes_on) {
        proxy_on_sent(stream->proxy, index);
        return;
    }
    if (conn->state != CONN_OPEN || !conn_has(conn, CONN_PAUSED)) {
        return;
    }
    if (stream_is_behind(stream, index, 4)) {
        return;
    }
    struct stream_session *session = session_find(stream, index);
    if (stream_route(stream, index)->verb == CONFIG_VERB_ECHO) {
        conn_unpause(stream->conns, index);
    } else if (session != NULL && (session->holds & STREAM_HOLD_QUEUE) != 0) {
        session->holds &= (uint8_t)~STREAM_HOLD_QUEUE;
        stream_read_on(stream, index);
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
    stream_publish(stream, index, name, event->payload, event->opcode, false);
    stream_pace(stream, index, name);
}

void stream_on_message(struct stream *stream, uint32_t index, const struct conn_event *event) {
    const struct config_route *route = stream_route(stream, index);
    check(route != NULL);
    if (!stream_rate_passes(stream, index, route, event->payload.length)) {
        if (event->block != 0) {
            arena_give(stream->arena, event->block);
        }
        conn_close(stream->conns, index, &(struct conn_close_options){.fault = FAULT_message_rate});
        return;
    }
    if (stream_is_tunnel(stream, index)) {
        proxy_on_message(stream->proxy, index, event); // the block, if any, is a run now
        return;
    }
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
