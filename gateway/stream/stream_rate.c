// How much a connection may say: buckets that a second fills, for messages and for their bytes.
#include "gateway/stream/internal.h"

#define SECOND_US ((uint64_t)1000000)

// Lets out what the time since `at` is worth. Levels are in messages (or bytes) times microseconds,
// so that nothing is rounded.
static uint64_t leaked(uint64_t level, uint64_t rate, uint64_t elapsed_us) {
    uint64_t gone = rate * (elapsed_us < SECOND_US ? elapsed_us : SECOND_US);
    return level > gone ? level - gone : 0;
}

static bool bucket_add(uint64_t *level, uint64_t rate, uint64_t amount) {
    if (rate == 0) {
        return true;
    }
    *level += amount * SECOND_US;
    return *level <= rate * SECOND_US;
}

void stream_rate_open(struct stream *stream, uint32_t index, const struct config_route *route) {
    if (route->limits.messages_per_second != 0 || route->limits.bytes_per_second != 0) {
        stream->rates[index] = (struct stream_rate){.at_us = stream->conns->now_us};
    }
}

bool stream_rate_passes(struct stream *stream, uint32_t index, const struct config_route *route,
                        uint32_t bytes) {
    const struct config_limits *limits = &route->limits;
    if (limits->messages_per_second == 0 && limits->bytes_per_second == 0) {
        return true;
    }
    struct stream_rate *rate = &stream->rates[index];
    uint64_t elapsed_us = stream->conns->now_us - rate->at_us;
    rate->at_us = stream->conns->now_us;
    rate->messages = leaked(rate->messages, limits->messages_per_second, elapsed_us);
    rate->bytes = leaked(rate->bytes, limits->bytes_per_second, elapsed_us);
    return bucket_add(&rate->messages, limits->messages_per_second, 1) &&
           bucket_add(&rate->bytes, limits->bytes_per_second, bytes);
}
