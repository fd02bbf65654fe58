// The epoll engine of the floors: level-triggered, one receive buffer, recv and send inline.
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/floor.h"

enum { EVENTS_PER_TURN = 256, BUFFER_SIZE = 256 * 1024, LISTENER = UINT32_MAX, CONNS_MAX = 20000 };

static void watch(struct floor *floor, const struct floor_conn *conn, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = conn->index};
    if (epoll_ctl(*(int *)floor->engine, EPOLL_CTL_MOD, conn->fd, &event) != 0) {
        floor_die("epoll_ctl: %d", errno);
    }
}

static void conn_send(struct floor *floor, struct floor_conn *conn, const struct msghdr *header) {
    ssize_t sent = header != NULL ? sendmsg(conn->fd, header, MSG_NOSIGNAL)
                                  : send(conn->fd, conn->out, conn->out_count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        return; // the receive side learns of the end
    }
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == conn->out_count) {
        return;
    }
    conn->out += done;
    conn->out_count -= done;
    conn->is_sending = true;
    watch(floor, conn, EPOLLIN | EPOLLOUT);
}

// The rest of a send that did not fit.
static void conn_continue(struct floor *floor, struct floor_conn *conn) {
    conn->is_sending = false;
    conn_send(floor, conn, NULL);
    if (!conn->is_sending) {
        watch(floor, conn, EPOLLIN);
        floor->hooks.on_sent(floor, conn);
    }
}

static void conn_close(struct floor *floor, struct floor_conn *conn) {
    close(conn->fd);
    conn->state = FLOOR_FREE;
    floor->open_count--;
    if (floor->hooks.on_closed != NULL) {
        floor->hooks.on_closed(floor, conn);
    }
}

static void accept_all(struct floor *floor) {
    for (;;) { // until the backlog is empty or the table full
        int fd = accept4(floor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if ((uint32_t)fd >= floor->conn_count) {
            floor_die("more than %u descriptors", floor->conn_count);
        }
        struct floor_conn *conn = &floor->conns[fd];
        floor_conn_open(conn, (uint32_t)fd, fd);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = conn->index};
        if (epoll_ctl(*(int *)floor->engine, EPOLL_CTL_ADD, fd, &event) != 0) {
            floor_die("epoll_ctl: %d", errno);
        }
        floor->open_count++;
    }
}

static void on_event(struct floor *floor, struct floor_conn *conn, uint32_t events,
                     uint8_t *buffer) {
    if ((events & EPOLLOUT) != 0) {
        conn_continue(floor, conn);
    }
    if ((events & ~(uint32_t)EPOLLOUT) == 0) {
        return;
    }
    ssize_t received = recv(conn->fd, buffer, BUFFER_SIZE, 0);
    if (received < 0 && errno == EAGAIN) {
        return;
    }
    bool was_open = conn->state == FLOOR_OPEN;
    if (received <= 0 || !floor_take(floor, conn, buffer, (size_t)received)) {
        conn_close(floor, conn);
    } else if (floor->options.is_unarmed && !was_open &&
               epoll_ctl(*(int *)floor->engine, EPOLL_CTL_DEL, conn->fd, NULL) != 0) {
        floor_die("epoll_ctl: %d", errno);
    }
}

int floor_epoll_run(struct floor *floor) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    uint8_t *buffer = malloc(BUFFER_SIZE);
    floor->conn_count = CONNS_MAX;
    floor->conns = calloc(CONNS_MAX, sizeof *floor->conns);
    floor->engine = &epoll;
    floor->send = conn_send;
    struct epoll_event events[EVENTS_PER_TURN] = {{.events = EPOLLIN, .data.u32 = LISTENER}};
    if (epoll < 0 || buffer == NULL || floor->conns == NULL ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, floor->listener, &events[0]) != 0) {
        floor_die("epoll: out of memory or descriptors");
    }
    bool has_ticks = floor->hooks.on_tick != NULL && floor->options.interval_ms != 0;
    uint64_t tick_ms = floor_now_ms() + floor->options.tick_ms;
    while (!floor_is_stopping()) {
        int timeout = -1;
        if (has_ticks) {
            uint64_t now_ms = floor_now_ms();
            if (now_ms >= tick_ms) {
                floor->hooks.on_tick(floor);
                tick_ms += floor->options.tick_ms;
            }
            timeout = now_ms >= tick_ms ? 0 : (int)(tick_ms - now_ms);
        }
        int count = epoll_wait(epoll, events, EVENTS_PER_TURN, timeout);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == LISTENER) {
                accept_all(floor);
            } else {
                on_event(floor, &floor->conns[events[i].data.u32], events[i].events, buffer);
            }
        }
        while (floor->hooks.on_turn != NULL && floor->hooks.on_turn(floor)) {
            // a fan-out goes on until everybody has it
        }
    }
    free(buffer);
    close(epoll);
    return 0;
}
