// Messages waiting on channels, and their fan-out: a job per channel, in turns, resumable at any
// delivery. A job carries what waits when it starts, so a burst costs one delivery per subscriber.
//
//   posted -> waiting on its channel -> carried by the job -> dropped when the job ends
//
// Who gets what: subscriptions stand in the order in which they joined, each knows the channel's
// sequence then, and messages that wait have consecutive sequences. So one that joined in the
// middle gets the job's tail, and the first that joined after its last message ends the walk.
#include "core/hub/channel.h"

#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/hub/hub.h"

#include "core/base/pure.h"

// A subscription that far behind is brought up, long before the comparison would wrap.
enum { JOINED_AGE_MAX = 1 << 30 };
// A channel may hold a third of what it and those not flooded leave free.
enum { SHARE = 3 };

static_assert(HUB_BURST_MAX <= UINT16_MAX, "job_count holds it");

static void burst_begin(struct hub *hub, uint32_t index);
static bool delivery_fill(struct hub *hub, const struct hub_subscription *subscription,
                          uint32_t start, struct hub_delivery *delivery);
static uint32_t message_bytes(const struct hub *hub, const struct hub_message *message);
static void job_push(struct hub *hub, uint32_t index);
static void job_rotate(struct hub *hub);
static void job_end(struct hub *hub);
static void message_drop(struct hub *hub, struct hub_channel *channel);

bool hub_fanout_next(struct hub *hub, struct hub_delivery *delivery) {
    while (hub->job_first != 0) { // each round visits a subscription, or ends or moves a job
        struct hub_channel *channel = hub_channel_at(hub, hub->job_first);
        struct hub_burst *burst = &hub->burst;
        if (burst->channel != hub->job_first) {
            burst_begin(hub, hub->job_first);
        }
        if (channel->cursor == 0) {
            job_end(hub);
            continue;
        }
        if (burst->delivery_count >= SENDS_IDLE_MAX && channel->job_next != 0) {
            job_rotate(hub);
            continue;
        }
        struct hub_subscription *subscription = subscription_at(hub, channel->cursor);
        uint32_t behind = burst->sequence - 1 - subscription->joined; // negative: in the middle
        uint32_t start = (int32_t)behind < 0 ? 0 - behind : 0;
        if (start >= burst->count) {
            channel->cursor = 0; // it and all behind it joined after these messages
            continue;
        }
        if (start == 0 && behind > JOINED_AGE_MAX) {
            subscription->joined = burst->sequence - 1;
        }
        burst->subscription = channel->cursor;
        channel->cursor = subscription->channel_next;
        __builtin_prefetch(subscription_at(hub, channel->cursor));
        if (delivery_fill(hub, subscription, start, delivery)) {
            burst->delivery_count++;
            return true;
        }
    }
    return false;
}

void hub_fanout_put_off(struct hub *hub, const struct hub_delivery *delivery, uint32_t taken) {
    check(delivery->channel == hub->job_first);
    check(hub->burst.channel == hub->job_first);
    check(taken < delivery->count);
    struct hub_channel *channel = hub_channel_at(hub, hub->job_first);
    channel->cursor = hub->burst.subscription;
    channel->taken = delivery->offset + taken;
    job_rotate(hub);
}

uint32_t hub_fanout_peek(const struct hub *hub) {
    if (hub->job_first == 0 || hub->burst.channel != hub->job_first) {
        return UINT32_MAX;
    }
    uint32_t cursor = hub_channel_at(hub, hub->job_first)->cursor;
    if (cursor == 0) {
        return UINT32_MAX;
    }
    const struct hub_subscription *subscription = subscription_at(hub, cursor);
    __builtin_prefetch(subscription_at(hub, subscription->channel_next));
    return subscription->subscriber;
}

bool hub_has_work(const struct hub *hub) {
    return hub->job_first != 0;
}

// Whether more messages wait on this channel than that part of what is free for all: however many
// channels are flooded, the others find room. Those that wait have consecutive sequences.
static bool holds_more(const struct hub *hub, const struct hub_channel *channel, uint32_t part) {
    if (channel->message_first == 0) {
        return false;
    }
    uint32_t waiting = channel->sequence - message_at(hub, channel->message_first)->sequence + 1;
    return waiting > HUB_BURST_MAX && waiting > (hub->messages->limit - hub->messages->used) / part;
}

bool hub_is_crowded(const struct hub *hub, struct span name) {
    if (hub->messages->used <= HUB_BURST_MAX) {
        return false; // the usual case: no look-up
    }
    uint32_t channel = hub_channel_find(hub, name);
    return channel != 0 && holds_more(hub, hub_channel_at(hub, channel), 2 * SHARE);
}

bool hub_post(struct hub *hub, uint32_t channel_index, const uint32_t payloads[HUB_FORM_COUNT],
              uint64_t except) {
    struct hub_channel *channel = hub_channel_at(hub, channel_index);
    if (channel->subscriber_count == 0) {
        return true;
    }
    uint32_t index = holds_more(hub, channel, SHARE) ? 0 : pool_take(hub->messages);
    if (index == 0) {
        return false;
    }
    struct hub_message *message = message_at(hub, index);
    *message = (struct hub_message){.sequence = ++channel->sequence, .except = except};
    for (uint32_t form = 0; form < HUB_FORM_COUNT; form++) {
        if (channel->form_count[form] > 0) {
            check(payloads[form] != 0);
            message->payloads[form] = payloads[form];
            payload_hold(hub->arena, payloads[form]);
        }
    }
    uint32_t *link = channel->message_first == 0 ? &channel->message_first
                                                 : &message_at(hub, channel->message_last)->next;
    *link = index;
    channel->message_last = index;
    if (!channel->has_job) {
        channel->has_job = 1;
        job_push(hub, channel_index);
    }
    return true;
}

// Lays out the head's fan-out: begins one if none is in progress, else goes on with it.
static void burst_begin(struct hub *hub, uint32_t index) {
    struct hub_channel *channel = hub_channel_at(hub, index);
    struct hub_burst *burst = &hub->burst;
    bool is_new = channel->job_count == 0;
    uint32_t count_max = is_new ? HUB_BURST_MAX : channel->job_count;
    uint32_t message_index = channel->message_first;
    check(message_index != 0);
    burst->channel = index;
    burst->sequence = message_at(hub, message_index)->sequence;
    burst->delivery_count = 0;
    burst->has_except = 0;
    uint32_t count = 0;
    uint64_t bytes = 0;
    while (message_index != 0 && count < count_max) {
        const struct hub_message *message = message_at(hub, message_index);
        bytes += is_new ? message_bytes(hub, message) : 0;
        if (count > 0 && bytes > hub->burst_bytes_max) {
            break;
        }
        for (uint32_t form = 0; form < HUB_FORM_COUNT; form++) {
            burst->payloads[form][count] = message->payloads[form];
        }
        burst->excepts[count] = (uint32_t)message->except;
        burst->has_except |= (uint32_t)message->except;
        count++;
        message_index = message->next;
    }
    burst->count = count;
    if (is_new) {
        channel->job_count = (uint16_t)count;
        channel->cursor = channel->first;
    }
}

// Wire bytes of its largest form.
static uint32_t message_bytes(const struct hub *hub, const struct hub_message *message) {
    uint32_t bytes = 0;
    for (uint32_t form = 0; form < HUB_FORM_COUNT; form++) {
        uint32_t payload = message->payloads[form];
        uint32_t of_form = payload == 0 ? 0 : payload_at(hub->arena, payload)->wire_bytes;
        bytes = of_form > bytes ? of_form : bytes;
    }
    return bytes;
}

// False: all of them are kept from this subscriber.
static bool delivery_fill(struct hub *hub, const struct hub_subscription *subscription,
                          uint32_t start, struct hub_delivery *delivery) {
    struct hub_burst *burst = &hub->burst;
    const uint32_t *payloads = burst->payloads[subscription->form] + start;
    uint32_t count = burst->count - start;
    if (burst->has_except != 0) {
        uint32_t chosen_count = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (burst->excepts[start + i] != subscription->subscriber + 1) {
                burst->chosen[chosen_count++] = payloads[i];
            }
        }
        if (chosen_count == 0) {
            return false;
        }
        payloads = burst->chosen;
        count = chosen_count;
    }
    check(payloads[0] != 0); // made when it was posted, since this form had a subscriber
    struct hub_channel *channel = hub_channel_at(hub, subscription->channel);
    check(channel->taken < count);
    delivery->subscriber = subscription->subscriber;
    delivery->channel = subscription->channel;
    delivery->key = channel->key;
    delivery->offset = channel->taken;
    delivery->count = count - channel->taken;
    delivery->payloads = payloads + channel->taken;
    channel->taken = 0;
    return true;
}

static void job_push(struct hub *hub, uint32_t index) {
    hub_channel_at(hub, index)->job_next = 0;
    if (hub->job_first == 0) {
        hub->job_first = index;
    } else {
        hub_channel_at(hub, hub->job_last)->job_next = index;
    }
    hub->job_last = index;
}

// The head goes behind the others.
static void job_rotate(struct hub *hub) {
    uint32_t index = hub->job_first;
    hub->job_first = hub_channel_at(hub, index)->job_next;
    hub->burst.channel = 0;
    job_push(hub, index);
}

// The head's fan-out is over: its messages go, and so does a channel that nobody needs. What was
// posted meanwhile waits for another turn; to nobody at all it is not owed.
static void job_end(struct hub *hub) {
    uint32_t index = hub->job_first;
    struct hub_channel *channel = hub_channel_at(hub, index);
    for (uint32_t i = 0; i < channel->job_count; i++) {
        message_drop(hub, channel);
    }
    channel->job_count = 0;
    hub->burst.channel = 0;
    if (channel->message_first != 0) {
        job_rotate(hub);
        return;
    }
    hub->job_first = channel->job_next;
    channel->has_job = 0;
    channel_retire(hub, index);
}

// The oldest.
static void message_drop(struct hub *hub, struct hub_channel *channel) {
    uint32_t index = channel->message_first;
    struct hub_message *message = message_at(hub, index);
    for (uint32_t form = 0; form < HUB_FORM_COUNT; form++) {
        if (message->payloads[form] != 0) {
            payload_drop(hub->arena, message->payloads[form]);
        }
    }
    channel->message_first = message->next;
    pool_give(hub->messages, index);
}
