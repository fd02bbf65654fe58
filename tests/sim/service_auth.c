// The service that is asked who a client is: what it is sent, read by RFC 9112 alone, and what it
// says.
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/service.h"

enum { ANSWER_BYTES_MAX = 300 };

struct question {
    uint32_t hosts, methods, protocols, froms, targets, guests;
    uint32_t guest;
};

static uint32_t number_read(struct span text) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < text.length && i < 9; i++) {
        bool is_digit = text.data[i] >= '0' && text.data[i] <= '9';
        value = is_digit ? value * 10 + (uint32_t)(text.data[i] - '0') : UINT32_MAX / 20;
    }
    return value;
}

// Nothing but what the configuration names, and where the request goes.
static void field_read(const struct service_line *line, struct span text,
                       struct question *question) {
    const struct {
        const char *name;
        uint32_t *count;
    } known[] = {{"Host: ", &question->hosts},
                 {"X-Forwarded-Method: ", &question->methods},
                 {"X-Forwarded-Proto: ", &question->protocols},
                 {"X-Forwarded-For: ", &question->froms},
                 {"X-Forwarded-Uri: /", &question->targets},
                 {"X-Forwarded-Host: gateway.test", &question->hosts},
                 {"X-Guest: ", &question->guests}};
    for (uint32_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t length = (uint32_t)strlen(known[i].name);
        if (text.length >= length && memcmp(text.data, known[i].name, length) == 0) {
            ++*known[i].count;
            question->guest = known[i].count == &question->guests
                                  ? number_read(span_from(text, length))
                                  : question->guest;
            return;
        }
    }
    service_fail(line, "a question with a field that nobody named");
}

static void question_read(const struct service_line *line, struct span head,
                          struct question *question) {
    bool is_first = true;
    while (head.length > 0) { // each pass takes a line off
        int64_t at = span_find(head, '\n');
        if (at <= 0 || head.data[at - 1] != '\r') {
            service_fail(line, "a question with LF without CR");
        }
        struct span text = span_first(head, (uint32_t)at - 1);
        if (!is_first) {
            field_read(line, text, question);
        } else if (!span_is(text, "GET /check HTTP/1.1")) {
            service_fail(line, "another question than the configuration's");
        }
        is_first = false;
        head = span_from(head, (uint32_t)at + 1);
    }
    bool is_whole = question->hosts == 2 && question->methods == 1 && question->protocols == 1 &&
                    question->froms == 1 && question->targets == 1 && question->guests == 1;
    if (!is_whole || question->guest > line->services->guests.count) {
        service_fail(line, "a question that is not in order");
    }
}

// --- what it says

static void garbage_put(struct service_line *line) {
    static const char *const texts[] = {
        "who?\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-User: a\r\nX-User: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Down\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Elsewhere\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"};
    service_text(line, "%s", texts[service_below(line, sizeof texts / sizeof texts[0])]);
    line->phase = SERVICE_DEAF;
}

// It has made up its mind about that guest, once and for good.
static uint16_t verdict_draw(struct service_line *line, struct guest *guest) {
    if (guest->verdict == 0) {
        bool is_refused = sim_fault(line->services->sim, SIM_FAULT_auth_refuses);
        guest->verdict = !is_refused ? 200 : service_below(line, 2) == 0 ? 401 : 403;
    }
    return guest->verdict;
}

static void verdict_put(struct service_line *line, uint32_t number) {
    struct guest *guest = guests_get(&line->services->guests, number);
    uint16_t verdict = verdict_draw(line, guest);
    uint32_t body_bytes = service_below(line, 4) == 0 ? service_below(line, ANSWER_BYTES_MAX) : 0;
    service_text(line, "HTTP/1.1 %u Word\r\nServer: fake\r\n", verdict);
    bool is_nameless = sim_fault(line->services->sim, SIM_FAULT_auth_nameless);
    if (!is_nameless) { // a refusal's name is of no use to anybody
        char name[GUEST_NAME_BYTES];
        guest_name(number, name);
        service_text(line, "X-User: %s\r\n", name);
    }
    guest->is_named = guest->is_named || !is_nameless;
    guest->is_nameless = guest->is_nameless || is_nameless;
    service_text(line, "Content-Length: %u\r\n\r\n", body_bytes);
    for (uint32_t i = 0; i < body_bytes; i++) {
        service_put(line, "x", 1);
    }
    line->phase = SERVICE_HEAD; // of the next one
    line->ends = service_below(line, 6) == 0;
}

uint32_t service_question(struct service_line *line, struct span bytes) {
    const uint8_t *end = memmem(bytes.data, bytes.length, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    uint32_t length = (uint32_t)(end - bytes.data) + 4;
    struct question question = {.guest = 0};
    question_read(line, span_first(bytes, length - 2), &question);
    struct sim *sim = line->services->sim;
    if (sim_fault(sim, SIM_FAULT_auth_resets)) {
        service_drop(line);
        return length;
    }
    if (sim_fault(sim, SIM_FAULT_auth_silent)) {
        line->phase = SERVICE_DEAF;
    } else if (sim_fault(sim, SIM_FAULT_auth_garbage)) {
        garbage_put(line);
    } else {
        verdict_put(line, question.guest);
    }
    service_flush(line);
    return length;
}
