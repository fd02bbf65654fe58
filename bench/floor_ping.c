// floor_ping: holds connections and pings each of them once an interval, evenly spread; reads the
// pongs and forgets them. With --interval-ms 0 it only accepts and holds.
#include <stdlib.h>

#include "bench/floor.h"

struct pinger {
    uint32_t next; // index into conns: who is due next
    uint32_t conn_end;
    uint64_t start_ms;
    double owed; // fractions of a ping
};

static const uint8_t PING[] = {0x89, 8, '0', '1', '2', '3', '4', '5', '6', '7'};

static void on_bytes(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes,
                     size_t count) {
    (void)floor; // a pong, or a Close; the client's end comes as the end of the stream
    (void)conn;
    (void)bytes;
    (void)count;
}

static void on_sent(struct floor *floor, struct floor_conn *conn) {
    (void)floor; // nothing waits for it
    (void)conn;
}

// Pings as many as this tick's share: all of them once an interval.
static void on_tick(struct floor *floor) {
    struct pinger *pinger = floor->program;
    double ticks = (double)floor->options.interval_ms / (double)floor->options.tick_ms;
    pinger->owed += (double)floor->open_count / ticks;
    uint32_t looked = 0;
    while (pinger->owed >= 1 && looked < pinger->conn_end) {
        pinger->next = pinger->next + 1 < pinger->conn_end ? pinger->next + 1 : 0;
        struct floor_conn *conn = &floor->conns[pinger->next];
        looked++;
        if (conn->state == FLOOR_OPEN && !conn->is_sending) {
            floor_send(floor, conn, PING, sizeof PING, NULL);
            pinger->owed -= 1;
        }
    }
}

static void on_open(struct floor *floor, struct floor_conn *conn) {
    struct pinger *pinger = floor->program;
    if (conn->index >= pinger->conn_end) {
        pinger->conn_end = conn->index + 1;
    }
}

int main(int count, char **arguments) {
    struct floor floor;
    struct pinger pinger = {0};
    floor_init(&floor, "floor_ping", count, arguments);
    if (floor.options.tick_ms == 0) {
        floor_die("--tick-ms must be at least 1");
    }
    floor.hooks = (struct floor_hooks){
        .on_open = on_open, .on_bytes = on_bytes, .on_sent = on_sent, .on_tick = on_tick};
    floor.program = &pinger;
    return floor_run(&floor);
}
