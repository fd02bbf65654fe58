// What hub.c and fanout.c share; nobody else includes it.
#pragma once
#include "core/hub/hub.h"

static inline struct hub_subscription *subscription_at(const struct hub *hub, uint32_t index) {
    return (struct hub_subscription *)pool_at(hub->subscriptions, index);
}

static inline struct hub_message *message_at(const struct hub *hub, uint32_t index) {
    return (struct hub_message *)pool_at(hub->messages, index);
}

// Ends the channel if nobody is subscribed and nothing waits.
void channel_retire(struct hub *hub, uint32_t index);
