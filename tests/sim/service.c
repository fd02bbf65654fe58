// A service's connections: taken or refused, read, answered at a pace, ended.
#include "tests/sim/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

enum { READ_BYTES_MAX = 4096, REQUEST_BYTES_MAX = 1 << 20, STALL_US = 15 * 1000 * 1000 };

static void on_net(struct sim *sim, void *context, uint32_t connection, enum net_event event);

struct address service_address(uint32_t service) {
    return (struct address){.kind = ADDRESS_IP,
                            .port = 8000,
                            .ip = {[10] = 0xff, 0xff, 10, 9, 0, (uint8_t)(service + 1)}};
}

struct ask *service_ask(struct service_line *line) {
    return asks_get(&line->services->asks, line->ask);
}

void service_fail(const struct service_line *line, const char *what) {
    sim_fail(line->services->sim, "service", "connection %u, request %u: %s", line->connection,
             line->ask, what);
}

bool service_does(struct service_line *line, enum sim_fault_id deed) {
    if (!sim_fault(line->services->sim, deed)) {
        return false;
    }
    service_ask(line)->deed = (uint16_t)deed;
    return true;
}

// --- sending

void service_put(struct service_line *line, const void *bytes, uint32_t length) {
    if (line->out_first == line->out_bytes) {
        line->out_first = line->out_bytes = 0;
    }
    uint32_t wanted = line->out_bytes + length;
    if (wanted > line->out_room) {
        line->out_room = wanted * 2;
        line->out = realloc(line->out, line->out_room);
        check(line->out != NULL);
    }
    memcpy(line->out + line->out_bytes, bytes, length);
    line->out_bytes = wanted;
}

void service_text(struct service_line *line, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check(length >= 0 && length < (int)sizeof text);
    service_put(line, text, (uint32_t)length);
}

static void over(struct service_line *line) {
    line->is_over = true;
    line->out_first = line->out_bytes = 0;
    if (line->ask != 0) {
        service_ask(line)->is_dropped = true;
    }
}

void service_drop(struct service_line *line) {
    if (service_below(line, 2) == 0) {
        net_close(line->services->sim, line->connection);
    } else {
        net_reset(line->services->sim, line->connection);
    }
    over(line);
}

static void on_write_time(struct sim *sim, void *context, uint64_t argument) {
    (void)sim; // the line knows it
    (void)argument;
    struct service_line *line = context;
    line->is_write_timed = false;
    service_flush(line);
}

void service_flush(struct service_line *line) {
    struct sim *sim = line->services->sim;
    while (!line->is_over && !line->is_write_timed && line->out_first < line->out_bytes) {
        uint32_t length = line->out_bytes - line->out_first;
        bool is_paced = line->write_piece != 0 && sim->phase == SIM_STORM;
        length = is_paced && length > line->write_piece ? line->write_piece : length;
        uint32_t sent = net_send(sim, line->connection, line->out + line->out_first, length);
        line->out_first += sent;
        if (sent == 0) {
            return; // NET_WRITABLE follows
        }
        if (is_paced) {
            line->is_write_timed = true;
            sim_after(sim, 1 + service_below(line, line->write_pause_us + 1), on_write_time, line,
                      0);
        }
    }
    bool is_out = line->out_first == line->out_bytes && !line->is_over;
    if (is_out && line->resets) {
        net_reset(sim, line->connection);
        over(line);
    } else if (is_out && line->ends) {
        net_close(sim, line->connection);
        over(line);
    }
}

// --- reading

static void take(struct service_line *line) {
    uint32_t first = 0;
    while (!line->is_over && first < line->in_bytes) {
        struct span rest = span_make(line->in + first, line->in_bytes - first);
        uint32_t taken = line->phase == SERVICE_DEAF     ? rest.length
                         : line->service == SERVICE_AUTH ? service_question(line, rest)
                         : line->phase >= SERVICE_TUNNEL ? service_frame(line, rest)
                                                         : service_request(line, rest);
        if (taken == 0) {
            break;
        }
        first += taken;
    }
    line->in_bytes -= first;
    memmove(line->in, line->in + first, line->in_bytes);
    if (line->in_bytes > REQUEST_BYTES_MAX) {
        service_fail(line, "a request without an end");
    }
}

static void service_read(struct service_line *line);

static void on_stall_over(struct sim *sim, void *context, uint64_t argument) {
    (void)sim; // the line knows it
    (void)argument;
    struct service_line *line = context;
    line->is_stalled = false;
    service_read(line);
}

static void service_read(struct service_line *line) {
    struct sim *sim = line->services->sim;
    while (!line->is_over && !line->is_stalled) {
        if (line->in_bytes + READ_BYTES_MAX > line->in_room) {
            line->in_room = line->in_room * 2 + READ_BYTES_MAX;
            line->in = realloc(line->in, line->in_room);
            check(line->in != NULL);
        }
        uint32_t length =
            net_receive(sim, line->connection, line->in + line->in_bytes, READ_BYTES_MAX);
        if (length == 0) {
            break;
        }
        line->in_bytes += length;
        take(line);
        bool stalls = !line->is_over && line->ask != 0 && line->phase != SERVICE_HEAD &&
                      service_ask(line)->deed == SIM_FAULT_COUNT &&
                      service_does(line, SIM_FAULT_service_stalls);
        if (stalls) {
            line->is_stalled = true;
            sim_after(sim, service_below(line, STALL_US), on_stall_over, line, 0);
        }
    }
    bool has_ended = !line->is_over && net_has_ended(sim, line->connection) &&
                     net_arrived(sim, line->connection) == 0;
    if (has_ended) {
        net_close(sim, line->connection);
        over(line);
    }
}

static void on_net(struct sim *sim, void *context, uint32_t connection, enum net_event event) {
    struct service_line *line = context;
    (void)sim; // the line knows it
    (void)connection;
    switch (event) {
    case NET_READABLE:
    case NET_END:
        service_read(line);
        return;
    case NET_WRITABLE:
        service_flush(line);
        return;
    case NET_RESET:
        over(line);
        return;
    default:
        return;
    }
}

static enum net_answer on_dial(struct sim *sim, void *context, uint32_t connection,
                               struct net_client *client) {
    const struct service_place *place = context;
    struct services *services = place->services;
    if (sim_fault(sim, SIM_FAULT_service_refuses)) {
        return NET_REFUSES;
    }
    if (sim_fault(sim, SIM_FAULT_service_lost)) {
        return NET_IGNORES;
    }
    if (services->line_count == services->line_room) {
        services->line_room = services->line_room * 2 + 64;
        services->lines =
            realloc((void *)services->lines, services->line_room * sizeof services->lines[0]);
        check(services->lines != NULL);
    }
    struct service_line *line = calloc(1, sizeof *line);
    check(line != NULL);
    *line = (struct service_line){
        .services = services, .connection = connection, .service = place->service};
    services->lines[services->line_count++] = line;
    *client = (struct net_client){.on_event = on_net, .context = line};
    return NET_ACCEPTS;
}

// --- of a world

void services_open(struct services *services, struct sim *sim) {
    *services = (struct services){.sim = sim};
    prng_init(&services->prng, sim->options.seed * 2 + 1);
    asks_init(&services->asks, sim);
    guests_init(&services->guests, sim);
    services->asks.guests = &services->guests;
    for (uint32_t i = 0; i < SERVICES; i++) {
        services->places[i] = (struct service_place){.services = services, .service = i};
        net_serve(sim, &(struct net_service){.address = service_address(i),
                                             .on_dial = on_dial,
                                             .context = &services->places[i]});
    }
}

void services_calm(struct services *services) {
    for (uint32_t i = 0; i < services->line_count; i++) {
        struct service_line *line = services->lines[i];
        line->is_stalled = false;
        service_flush(line);
        service_read(line);
    }
}

void services_close(struct services *services) {
    for (uint32_t i = 0; i < services->line_count; i++) {
        free(services->lines[i]->in);
        free(services->lines[i]->out);
        free(services->lines[i]);
    }
    free((void *)services->lines);
    asks_fini(&services->asks);
    guests_fini(&services->guests);
}
