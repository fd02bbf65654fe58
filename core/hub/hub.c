// Channels by name and the two lists each subscription is in: its channel's, newest last, and its
// owner's. A channel exists while it has subscribers or waiting messages. Not for: messages and
// their fan-out (fanout.c).
#include "core/hub/hub.h"

#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/hub/channel.h"

#include "core/base/pure.h"

static_assert(sizeof(struct hub_subscription) == 32, "exists once per subscription");
static_assert(sizeof(struct hub_channel) == 64, "one cache line per channel");
static_assert(sizeof(struct hub_message) == 32, "one per message and worker");
static_assert(HUB_NAME_SHORT_BYTES_MAX == sizeof(struct hub_subscription), "a name in its place");

static struct table_link *link_at(void *context, uint32_t index);
static bool is_key(void *context, uint32_t index, struct span key);
static uint32_t channel_open(struct hub *hub, struct span name);
static uint32_t name_take(struct hub *hub, struct span name);
static void name_give(struct hub *hub, uint32_t name, uint32_t length);
static uint32_t subscription_find(const struct hub *hub, uint32_t owner_head, uint32_t channel);
static void subscription_link(struct hub *hub, uint32_t index, uint32_t *owner_head);
static bool subscription_end(struct hub *hub, uint32_t index, uint32_t *owner_head);

void hub_init(struct hub *hub, struct pool *channels, struct pool *subscriptions,
              struct pool *messages, struct arena *arena, struct memory buckets,
              const uint64_t key[2]) {
    check(channels->element_bytes == sizeof(struct hub_channel));
    check(subscriptions->element_bytes == sizeof(struct hub_subscription));
    check(messages->element_bytes == sizeof(struct hub_message));
    *hub = (struct hub){.channels = channels,
                        .subscriptions = subscriptions,
                        .messages = messages,
                        .arena = arena,
                        .burst_bytes_max = FANOUT_BYTES_MAX};
    table_init(&hub->names, buckets, key);
    hub->names.link_at = link_at;
    hub->names.is_key = is_key;
    hub->names.context = hub;
}

enum hub_join_result hub_join(struct hub *hub, struct span name, uint32_t subscriber,
                              enum hub_form form, uint32_t *owner_head) {
    check(subscriber < UINT32_MAX);
    check(form < HUB_FORM_COUNT);
    check(name.length > 0 && name.length <= CHANNEL_NAME_BYTES_MAX);
    uint32_t channel_index = hub_channel_find(hub, name);
    if (channel_index != 0 && subscription_find(hub, *owner_head, channel_index) != 0) {
        return HUB_ALREADY;
    }
    uint32_t index = pool_take(hub->subscriptions);
    if (index == 0) {
        return HUB_REFUSED;
    }
    if (channel_index == 0) {
        channel_index = channel_open(hub, name);
        if (channel_index == 0) {
            pool_give(hub->subscriptions, index);
            return HUB_REFUSED;
        }
    }
    struct hub_channel *channel = hub_channel_at(hub, channel_index);
    *subscription_at(hub, index) = (struct hub_subscription){.channel = channel_index,
                                                             .subscriber = subscriber,
                                                             .joined = channel->sequence,
                                                             .form = (uint8_t)form};
    subscription_link(hub, index, owner_head);
    if (channel->subscriber_count == 0) {
        channel->is_confirmed = false;
    }
    channel->form_count[form]++;
    channel->subscriber_count++;
    hub->subscription_count++;
    return channel->subscriber_count == 1 ? HUB_JOINED_FIRST : HUB_JOINED;
}

void hub_confirm(struct hub *hub, struct span name, uint32_t owner_head) {
    uint32_t channel = hub_channel_find(hub, name);
    if (channel != 0 && subscription_find(hub, owner_head, channel) != 0) {
        hub_channel_at(hub, channel)->is_confirmed = true;
    }
}

enum hub_leave_result hub_leave(struct hub *hub, struct span name, uint32_t *owner_head) {
    uint32_t channel = hub_channel_find(hub, name);
    uint32_t index = channel == 0 ? 0 : subscription_find(hub, *owner_head, channel);
    if (index == 0) {
        return HUB_ABSENT;
    }
    return subscription_end(hub, index, owner_head) ? HUB_LEFT_LAST : HUB_LEFT;
}

uint32_t hub_leave_next(struct hub *hub, uint32_t *owner_head, uint8_t name[255], bool *was_last) {
    uint32_t index = *owner_head;
    *was_last = false;
    if (index == 0) {
        return 0;
    }
    struct span span = hub_channel_name(hub, subscription_at(hub, index)->channel);
    memcpy(name, span.data, span.length);
    *was_last = subscription_end(hub, index, owner_head);
    return span.length;
}

uint32_t hub_subscription_count(const struct hub *hub, uint32_t owner_head) {
    uint32_t count = 0;
    for (uint32_t i = owner_head; i != 0; i = subscription_at(hub, i)->owner_next) {
        count++;
    }
    return count;
}

uint32_t hub_channel_find(const struct hub *hub, struct span name) {
    return table_find(&hub->names, name, table_hash(&hub->names, name));
}

struct span hub_channel_name(const struct hub *hub, uint32_t index) {
    const struct hub_channel *channel = hub_channel_at(hub, index);
    const void *bytes = channel->name_bytes <= HUB_NAME_SHORT_BYTES_MAX
                            ? (const void *)subscription_at(hub, channel->name)
                            : (const void *)arena_at(hub->arena, channel->name);
    return span_make(bytes, channel->name_bytes);
}

uint64_t hub_bytes(const struct hub *hub) {
    return (uint64_t)hub->channels->used * sizeof(struct hub_channel) +
           (uint64_t)hub->subscriptions->used * sizeof(struct hub_subscription) + hub->name_bytes +
           (uint64_t)hub->names.bucket_count * sizeof(uint32_t);
}

void channel_retire(struct hub *hub, uint32_t index) {
    struct hub_channel *channel = hub_channel_at(hub, index);
    if (channel->subscriber_count > 0 || channel->has_job) {
        return;
    }
    check(channel->first == 0);
    check(channel->message_first == 0);
    table_remove(&hub->names, index);
    name_give(hub, channel->name, channel->name_bytes);
    pool_give(hub->channels, index);
}

static struct table_link *link_at(void *context, uint32_t index) {
    const struct hub *hub = context;
    return &hub_channel_at(hub, index)->link;
}

static bool is_key(void *context, uint32_t index, struct span key) {
    return span_equal(hub_channel_name(context, index), key);
}

// A new channel of that name, 0 = no memory.
static uint32_t channel_open(struct hub *hub, struct span name) {
    uint32_t index = pool_take(hub->channels);
    if (index == 0) {
        return 0;
    }
    uint32_t name_index = name_take(hub, name);
    if (name_index == 0) {
        pool_give(hub->channels, index);
        return 0;
    }
    // As a key in an outbox it must keep off the topmost values (outbox.h).
    uint32_t key = pool_generation_next(hub->channels);
    while (key >= UINT32_MAX - 2) {
        key = pool_generation_next(hub->channels);
    }
    *hub_channel_at(hub, index) =
        (struct hub_channel){.name = name_index, .name_bytes = (uint8_t)name.length, .key = key};
    table_insert(&hub->names, index, table_hash(&hub->names, name));
    return index;
}

static uint32_t name_take(struct hub *hub, struct span name) {
    if (name.length <= HUB_NAME_SHORT_BYTES_MAX) {
        uint32_t index = pool_take(hub->subscriptions);
        if (index != 0) {
            memcpy(subscription_at(hub, index), name.data, name.length);
        }
        return index;
    }
    uint32_t block = arena_take(hub->arena, name.length);
    if (block != 0) {
        memcpy(arena_at(hub->arena, block), name.data, name.length);
        hub->name_bytes += arena_block_bytes(hub->arena, block);
    }
    return block;
}

static void name_give(struct hub *hub, uint32_t name, uint32_t length) {
    if (length <= HUB_NAME_SHORT_BYTES_MAX) {
        pool_give(hub->subscriptions, name);
        return;
    }
    hub->name_bytes -= arena_block_bytes(hub->arena, name);
    arena_give(hub->arena, name);
}

// The walk is bounded by the connection's channels (CHANNELS_PER_CONNECTION_MAX).
static uint32_t subscription_find(const struct hub *hub, uint32_t owner_head, uint32_t channel) {
    uint32_t index = owner_head;
    while (index != 0 && subscription_at(hub, index)->channel != channel) {
        index = subscription_at(hub, index)->owner_next;
    }
    return index;
}

// Last of its channel, first of its owner.
static void subscription_link(struct hub *hub, uint32_t index, uint32_t *owner_head) {
    struct hub_subscription *subscription = subscription_at(hub, index);
    struct hub_channel *channel = hub_channel_at(hub, subscription->channel);
    subscription->channel_prev = channel->last;
    if (channel->last == 0) {
        channel->first = index;
    } else {
        subscription_at(hub, channel->last)->channel_next = index;
    }
    channel->last = index;
    subscription->owner_next = *owner_head;
    if (*owner_head != 0) {
        subscription_at(hub, *owner_head)->owner_prev = index;
    }
    *owner_head = index;
}

// Unlinks it, moves a fan-out that stands on it, gives it back. True: nobody is left.
static bool subscription_end(struct hub *hub, uint32_t index, uint32_t *owner_head) {
    struct hub_subscription *subscription = subscription_at(hub, index);
    uint32_t channel_index = subscription->channel;
    struct hub_channel *channel = hub_channel_at(hub, channel_index);
    uint32_t next = subscription->channel_next;
    uint32_t previous = subscription->channel_prev;
    *(previous == 0 ? &channel->first : &subscription_at(hub, previous)->channel_next) = next;
    *(next == 0 ? &channel->last : &subscription_at(hub, next)->channel_prev) = previous;
    if (channel->cursor == index) {
        channel->cursor = next;
        channel->taken = 0;
    }
    uint32_t owner_next = subscription->owner_next;
    uint32_t owner_prev = subscription->owner_prev;
    *(owner_prev == 0 ? owner_head : &subscription_at(hub, owner_prev)->owner_next) = owner_next;
    if (owner_next != 0) {
        subscription_at(hub, owner_next)->owner_prev = owner_prev;
    }
    check(channel->form_count[subscription->form] > 0);
    channel->form_count[subscription->form]--;
    channel->subscriber_count--;
    hub->subscription_count--;
    pool_give(hub->subscriptions, index);
    bool is_last = channel->subscriber_count == 0;
    channel_retire(hub, channel_index);
    return is_last;
}
