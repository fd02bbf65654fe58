// Checks of a service's health: it is well, but for the times that the world draws, in which it
// answers so, says nothing, or goes.
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/service.h"

enum { UNWELL_US = 4 * 1000 * 1000 };

static bool is_unwell(struct service_line *line) {
    struct services *services = line->services;
    struct service_place *place = &services->places[line->service];
    struct sim *sim = services->sim;
    if (sim->phase != SIM_STORM) {
        return false;
    }
    if (place->unwell_until_us <= sim->now_us && sim_fault(sim, SIM_FAULT_service_unwell)) {
        place->unwell_until_us = sim->now_us + service_below(line, UNWELL_US);
    }
    return place->unwell_until_us > sim->now_us;
}

// Whether it is as health.c writes it: no more than this.
static bool is_check(const struct service_line *line, struct span head) {
    char wanted[256];
    static const char *const hosts[] = {"10.9.0.%u:8000", "web.test:8000", "feed.test:8000"};
    for (uint32_t i = 0; i < 3; i++) {
        char host[32];
        if (i == 0) {
            (void)snprintf(host, sizeof host, "10.9.0.%u:8000", line->service + 1); // it fits
        } else {
            (void)snprintf(host, sizeof host, "%s", hosts[i]); // as this does
        }
        int length = snprintf(wanted, sizeof wanted,
                              "GET /health HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast/"
                              "" HOLDFAST_VERSION "\r\nConnection: close\r\n\r\n",
                              host);
        check(length > 0 && length < (int)sizeof wanted);
        if (span_is(head, wanted)) {
            return true;
        }
    }
    return false;
}

bool service_is_check(struct span head) {
    static const char begin[] = "GET /health ";
    return head.length >= sizeof begin - 1 && memcmp(head.data, begin, sizeof begin - 1) == 0;
}

void service_check(struct service_line *line, struct span head) {
    static const char *const bad[] = {"HTTP/1.1 503 Unwell\r\nContent-Length: 0\r\n\r\n",
                                      "HTTP/1.1 404 Where\r\nContent-Length: 3\r\n\r\nwho",
                                      "unwell\r\n\r\n"};
    if (line->requests > 0 || !is_check(line, head)) {
        service_fail(line, "a check that is not in order");
    }
    line->phase = SERVICE_DEAF;
    line->ends = true;
    if (!is_unwell(line)) {
        service_text(line,
                     "HTTP/1.1 200 Well\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell");
    } else if (service_below(line, 3) == 0) {
        service_drop(line);
        return;
    } else if (service_below(line, 3) == 0) {
        line->ends = false; // and it says nothing
    } else {
        service_text(line, "%s", bad[service_below(line, 3)]);
    }
    service_flush(line);
}
