#include "tests/sim/net_tls.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/tls/tls.h"
#include "tests/sim/clients.h"
#include "tests/sim/cover.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/tls_line.h"
#include "tests/unit/gateway/tls/tls_certificates.h"

enum { LIBRARY = 4 }; // one world of so many has the library's own record layer

static struct {
    struct tls_line **lines; // by the network's number
    uint32_t room;
    struct tls_ends *ends;
} net_tls; // of one world: one in a process

// --- the world's side (sim_internal.h)

void sim_tls_choose(struct sim *sim, bool is_drawn) {
    (void)is_drawn; // every world is one of TLS here
    struct prng prng;
    prng_init(&prng, sim->options.seed ^ 0x746c73); // disturbs no other draw
    tls_end_chance(sim->options.seed);
    sim->tls = prng_below(&prng, LIBRARY) == 0 ? ", record_layer: library" : "";
}

bool sim_tls_repeats(void) {
    return false; // sessions tell the time of day
}

struct span sim_tls_pem(void) {
    static char pem[sizeof ec_certificate + sizeof ec_key];
    memcpy(pem, ec_certificate, sizeof ec_certificate - 1);
    memcpy(pem + sizeof ec_certificate - 1, ec_key, sizeof ec_key);
    return span_text(pem);
}

// --- lines

static struct tls_line *line_find(uint32_t number) {
    return number < net_tls.room ? net_tls.lines[number] : NULL;
}

static void line_add(struct tls_line *line, uint32_t number) {
    if (number >= net_tls.room) {
        uint32_t room = number * 2 + 64;
        net_tls.lines = realloc((void *)net_tls.lines, room * sizeof net_tls.lines[0]);
        check(net_tls.lines != NULL);
        memset((void *)(net_tls.lines + net_tls.room), 0,
               (room - net_tls.room) * sizeof net_tls.lines[0]);
        net_tls.room = room;
    }
    line->number = number;
    prng_init(&line->prng, line->sim->options.seed << 24 ^ number);
    net_tls.lines[number] = line;
}

uint32_t __wrap_net_send(struct sim *sim, uint32_t number, const void *bytes, uint32_t length) {
    struct tls_line *line = line_find(number);
    if (line == NULL) {
        return __real_net_send(sim, number, bytes, length);
    }
    return tls_line_send(line, bytes, length);
}

uint32_t __wrap_net_receive(struct sim *sim, uint32_t number, void *bytes, uint32_t length) {
    struct tls_line *line = line_find(number);
    if (line == NULL) {
        return __real_net_receive(sim, number, bytes, length);
    }
    return tls_line_receive(line, bytes, length);
}

uint32_t __wrap_net_arrived(const struct sim *sim, uint32_t number) {
    const struct tls_line *line = line_find(number);
    if (line == NULL || !line->is_dry) {
        return __real_net_arrived(sim, number) + (line != NULL); // or some within the library
    }
    return 0;
}

// --- the life of a connection

static bool is_tls(const struct sim *sim, const struct net_options *options) {
    return sim->tls != NULL && memcmp(&options->to, &sim->listeners[0], sizeof options->to) == 0;
}

uint32_t __wrap_net_connect(struct sim *sim, const struct net_options *options,
                            struct net_client client) {
    if (!is_tls(sim, options)) {
        return __real_net_connect(sim, options, client);
    }
    if (net_tls.ends == NULL) {
        tls_end_chance(sim->options.seed);
        net_tls.ends = tls_ends_open();
    }
    struct tls_line *line = calloc(1, sizeof *line);
    check(line != NULL);
    *line = (struct tls_line){.sim = sim, .client = client, .ends = net_tls.ends};
    line_add(line,
             __real_net_connect(sim, options,
                                (struct net_client){.on_event = tls_line_on_net, .context = line}));
    const struct client *who = client.context;
    if (client_intents[who->kind] == CLIENT_VANISHER) {
        line->manner = (uint8_t)prng_below(&line->prng, MANNER_COUNT);
    }
    cover_add(sim, COVER_TLS_MANNERS + line->manner);
    return line->number;
}

void __wrap_net_finish(struct sim *sim, uint32_t number) {
    struct tls_line *line = line_find(number);
    if (line == NULL || net_state(sim, number) != NET_OPEN) {
        __real_net_finish(sim, number);
        return;
    }
    tls_line_say_end(line);
    line->finishes = true;
    tls_line_flush(line);
}

void __wrap_net_close(struct sim *sim, uint32_t number) {
    struct tls_line *line = line_find(number);
    if (line != NULL && net_state(sim, number) == NET_OPEN) {
        tls_line_say_end(line); // what the window does not take now is lost
    }
    __real_net_close(sim, number);
    if (line != NULL) {
        tls_line_end(line);
    }
}

void __wrap_net_reset(struct sim *sim, uint32_t number) {
    __real_net_reset(sim, number);
    if (line_find(number) != NULL) {
        tls_line_end(line_find(number));
    }
}

void __wrap_net_vanish(struct sim *sim, uint32_t number) {
    __real_net_vanish(sim, number);
    if (line_find(number) != NULL) {
        tls_line_end(line_find(number));
    }
}

void __wrap_net_shut(struct net **net) {
    for (uint32_t i = 0; i < net_tls.room; i++) {
        if (net_tls.lines[i] != NULL) {
            tls_line_end(net_tls.lines[i]);
            free(net_tls.lines[i]);
        }
    }
    free((void *)net_tls.lines);
    net_tls.lines = NULL;
    net_tls.room = 0;
    if (net_tls.ends != NULL) {
        tls_ends_close(&net_tls.ends);
    }
    __real_net_shut(net);
}
