// The io_uring engine of the floors, as the product's: direct descriptors, multishot accept,
// multishot poll and a non-blocking receive with buffer selection for each event, sends by SQE. One
// ring while the descriptor limit allows, else several behind one eventfd (a ring holds at most
// RLIMIT_NOFILE slots).
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/floor.h"

enum {
    RINGS_MAX = 64,
    SUBMISSIONS = 1024,
    COMPLETIONS = 8192,
    SLOTS_SPARE = 512, // the connections of an earlier run may still be closing
    ACCEPTS = 64,
    SLOTS_MAX = 65536,
    BUFFER_MIN = 2048,
    BUFFERS_BYTES_MAX = 4 << 20,
    SOCK_NONEMPTY_FLAG = 1 << 2, // IORING_CQE_F_SOCK_NONEMPTY, in newer headers
};

enum operation { OP_ACCEPT, OP_POLL, OP_RECEIVE, OP_SEND, OP_CANCEL, OP_CLOSE };

struct ring {
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory;
    uint32_t used;      // slots
    uint32_t first;     // index of its first connection
    uint32_t accepting; // accepts under way
};

struct engine {
    struct ring rings[RINGS_MAX];
    struct floor *floor;
    uint32_t ring_count;
    uint32_t slots; // per ring
    uint32_t buffer_size;
    uint32_t buffer_count;
    int eventfd;
};

// user_data: operation, generation, index of the connection (or ring, for accepts).
static uint64_t tag_of(enum operation operation, uint8_t generation, uint32_t index) {
    return (uint64_t)operation << 56 | (uint64_t)generation << 32 | index;
}

static struct io_uring_sqe *sqe_take(struct ring *ring) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);
    if (sqe == NULL) {
        (void)io_uring_submit(&ring->ring); // a failure shows as no room, next line
        sqe = io_uring_get_sqe(&ring->ring);
    }
    if (sqe == NULL) {
        floor_die("no room in the submission queue");
    }
    return sqe;
}

static struct ring *ring_of(struct engine *engine, const struct floor_conn *conn) {
    return &engine->rings[conn->index / engine->slots];
}

// One ring: a multishot accept, since the table holds all that may come. Several: some single ones,
// each of which is sure of a slot; a multishot would take the whole backlog before it can be told
// that the table is full.
static void arm_accept(struct engine *engine, uint32_t at) {
    struct ring *ring = &engine->rings[at];
    struct io_uring_sqe *sqe = sqe_take(ring);
    if (engine->ring_count == 1) {
        io_uring_prep_multishot_accept_direct(sqe, engine->floor->listener, NULL, NULL, 0);
    } else {
        io_uring_prep_accept_direct(sqe, engine->floor->listener, NULL, NULL, 0, 0);
        sqe->file_index = IORING_FILE_INDEX_ALLOC; // the helper of liburing 2.3 spoils it
    }
    sqe->user_data = tag_of(OP_ACCEPT, 0, at);
    ring->accepting++;
}

// Keeps accepts under way on the first ring that has room.
static void accept_where_room(struct engine *engine) {
    uint32_t accepting = 0;
    for (uint32_t i = 0; i < engine->ring_count; i++) {
        accepting += engine->rings[i].accepting;
    }
    uint32_t wanted = engine->ring_count == 1 ? 1 : ACCEPTS;
    for (uint32_t i = 0; i < engine->ring_count; i++) {
        struct ring *ring = &engine->rings[i];
        while (accepting < wanted && ring->used + ring->accepting < engine->slots) {
            arm_accept(engine, i);
            accepting++;
        }
    }
}

static void arm_poll(struct engine *engine, struct floor_conn *conn) {
    struct io_uring_sqe *sqe = sqe_take(ring_of(engine, conn));
    io_uring_prep_poll_multishot(sqe, conn->fd, POLLIN | POLLRDHUP);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = tag_of(OP_POLL, conn->generation, conn->index);
}

static void arm_receive(struct engine *engine, struct floor_conn *conn, int flags) {
    struct io_uring_sqe *sqe = sqe_take(ring_of(engine, conn));
    io_uring_prep_recv(sqe, conn->fd, NULL, 0, flags);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = tag_of(OP_RECEIVE, conn->generation, conn->index);
    conn->is_receiving = true;
    conn->has_event = false;
}

static void conn_send(struct floor *floor, struct floor_conn *conn, const struct msghdr *header) {
    struct io_uring_sqe *sqe = sqe_take(ring_of(floor->engine, conn));
    if (header != NULL) {
        io_uring_prep_sendmsg(sqe, conn->fd, header, MSG_NOSIGNAL | MSG_WAITALL);
    } else {
        io_uring_prep_send(sqe, conn->fd, conn->out, conn->out_count, MSG_NOSIGNAL | MSG_WAITALL);
    }
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = tag_of(OP_SEND, conn->generation, conn->index);
    conn->is_sending = true;
}

static void conn_close(struct engine *engine, struct floor_conn *conn) {
    struct ring *ring = ring_of(engine, conn);
    if (!engine->floor->options.is_unarmed) {
        struct io_uring_sqe *cancel = sqe_take(ring);
        if (io_uring_sq_space_left(&ring->ring) == 0) {
            floor_die("no room in the submission queue"); // the pair must go together
        }
        io_uring_prep_cancel64(cancel, tag_of(OP_POLL, conn->generation, conn->index), 0);
        cancel->flags |= IOSQE_IO_HARDLINK;
        cancel->user_data = tag_of(OP_CANCEL, conn->generation, conn->index);
    }
    struct io_uring_sqe *sqe = sqe_take(ring);
    io_uring_prep_close_direct(sqe, (unsigned)conn->fd);
    sqe->user_data = tag_of(OP_CLOSE, conn->generation, conn->index);
    conn->state = FLOOR_FREE;
    engine->floor->open_count--;
    if (engine->floor->hooks.on_closed != NULL) {
        engine->floor->hooks.on_closed(engine->floor, conn);
    }
}

static void on_accept(struct engine *engine, uint32_t at, const struct io_uring_cqe *cqe) {
    struct ring *ring = &engine->rings[at];
    if (cqe->res < 0) {
        floor_die("accept: %s", strerror(-cqe->res));
    }
    uint32_t index = ring->first + (uint32_t)cqe->res;
    struct floor_conn *conn = &engine->floor->conns[index];
    floor_conn_open(conn, index, cqe->res);
    ring->used++;
    engine->floor->open_count++;
    if (engine->floor->options.is_unarmed) {
        arm_receive(engine, conn, 0);
    } else {
        arm_poll(engine, conn);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        ring->accepting--;
        accept_where_room(engine);
    }
}

static void give_buffer(struct engine *engine, struct ring *ring, uint32_t id) {
    io_uring_buf_ring_add(ring->buffers, ring->memory + (size_t)id * engine->buffer_size,
                          engine->buffer_size, (unsigned short)id,
                          io_uring_buf_ring_mask(engine->buffer_count), 0);
    io_uring_buf_ring_advance(ring->buffers, 1);
}

static void on_receive(struct engine *engine, struct floor_conn *conn,
                       const struct io_uring_cqe *cqe) {
    struct ring *ring = ring_of(engine, conn);
    bool is_fine = true;
    conn->is_receiving = false;
    if (cqe->res > 0) {
        uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        is_fine = floor_take(engine->floor, conn, ring->memory + (size_t)id * engine->buffer_size,
                             (size_t)cqe->res);
        give_buffer(engine, ring, id);
    } else if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        give_buffer(engine, ring, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    }
    if (cqe->res == -ENOBUFS) {
        conn->has_event = true; // the buffers of this turn are back when this is submitted
    }
    if (!is_fine || (cqe->res <= 0 && cqe->res != -EAGAIN && cqe->res != -ENOBUFS)) {
        conn_close(engine, conn);
    } else if (conn->has_event || (cqe->flags & SOCK_NONEMPTY_FLAG) != 0) {
        arm_receive(engine, conn, MSG_DONTWAIT);
    }
}

static void on_send(struct engine *engine, struct floor_conn *conn, int result) {
    conn->is_sending = false;
    if (result >= 0 && (size_t)result < conn->out_count) {
        conn->out += result; // MSG_WAITALL makes this rare: a signal, or the end of the connection
        conn->out_count -= (size_t)result;
        conn_send(engine->floor, conn, NULL);
        return;
    }
    if (result > 0) {
        engine->floor->hooks.on_sent(engine->floor, conn);
    }
}

static void on_completion(struct engine *engine, const struct io_uring_cqe *cqe) {
    enum operation operation = (enum operation)(cqe->user_data >> 56);
    uint32_t index = (uint32_t)cqe->user_data;
    if (operation == OP_ACCEPT) {
        on_accept(engine, index, cqe);
        return;
    }
    struct floor_conn *conn = &engine->floor->conns[index];
    if (operation == OP_CANCEL) {
        return;
    }
    if (operation == OP_CLOSE) {
        ring_of(engine, conn)->used--;
        accept_where_room(engine);
        return;
    }
    if (conn->state == FLOOR_FREE || conn->generation != (uint8_t)(cqe->user_data >> 32)) {
        if (operation == OP_RECEIVE && (cqe->flags & IORING_CQE_F_BUFFER) != 0) {
            give_buffer(engine, ring_of(engine, conn), cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        }
        return; // of a connection that is gone
    }
    if (operation == OP_RECEIVE) {
        on_receive(engine, conn, cqe);
    } else if (operation == OP_SEND) {
        on_send(engine, conn, cqe->res);
    } else {
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
            arm_poll(engine, conn);
        }
        if (conn->is_receiving) {
            conn->has_event = true;
        } else {
            arm_receive(engine, conn, MSG_DONTWAIT);
        }
    }
}

static void buffers_open(struct engine *engine, struct ring *ring) {
    size_t head = (engine->buffer_count * sizeof(struct io_uring_buf) + 4095) & ~(size_t)4095;
    size_t size = head + (size_t)engine->buffer_count * engine->buffer_size;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        floor_die("out of memory for buffers");
    }
    ring->buffers = memory;
    ring->memory = (uint8_t *)memory + head;
    struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)memory,
                                            .ring_entries = engine->buffer_count};
    int result = io_uring_register_buf_ring(&ring->ring, &registration, 0);
    if (result != 0) {
        floor_die("register_buf_ring: %s", strerror(-result));
    }
    io_uring_buf_ring_init(ring->buffers);
    for (uint32_t i = 0; i < engine->buffer_count; i++) {
        give_buffer(engine, ring, i);
    }
}

static void ring_open(struct engine *engine, uint32_t at) {
    struct ring *ring = &engine->rings[at];
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS};
    int result = io_uring_queue_init_params(SUBMISSIONS, &ring->ring, &params);
    if (result == 0) {
        result = io_uring_register_files_sparse(&ring->ring, engine->slots);
    }
    if (result == 0 && engine->eventfd >= 0) {
        result = io_uring_register_eventfd(&ring->ring, engine->eventfd);
    }
    if (result != 0) {
        floor_die("io_uring: %s", strerror(-result));
    }
    if (io_uring_register_ring_fd(&ring->ring) < 0) {
        floor_die("io_uring: the ring's descriptor cannot be registered");
    }
    ring->first = at * engine->slots;
    buffers_open(engine, ring);
}

static void engine_open(struct engine *engine, struct floor *floor) {
    const struct floor_options *options = &floor->options;
    struct rlimit limit;
    engine->floor = floor;
    uint64_t slots = options->connections + SLOTS_SPARE;
    uint64_t most = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
    most = most < SLOTS_MAX ? most : SLOTS_MAX;
    engine->slots = (uint32_t)(slots < most ? slots : most);
    uint64_t rings = (slots + engine->slots - 1) / engine->slots;
    if (rings > RINGS_MAX) {
        floor_die("%lu rings would be needed", (unsigned long)rings);
    }
    engine->ring_count = (uint32_t)rings;
    uint64_t burst = (options->size + 14) * options->depth;
    engine->buffer_size = BUFFER_MIN;
    while (engine->buffer_size < burst && engine->buffer_size < BUFFERS_BYTES_MAX / 16) {
        engine->buffer_size *= 2;
    }
    engine->buffer_count = 256;
    while ((uint64_t)engine->buffer_count * engine->buffer_size > BUFFERS_BYTES_MAX) {
        engine->buffer_count /= 2;
    }
    engine->eventfd = engine->ring_count > 1 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    for (uint32_t i = 0; i < engine->ring_count; i++) {
        ring_open(engine, i);
    }
    floor->conn_count = engine->ring_count * engine->slots;
    floor->conns = calloc(floor->conn_count, sizeof *floor->conns);
    if (floor->conns == NULL) {
        floor_die("out of memory");
    }
    floor->engine = engine;
    floor->send = conn_send;
    accept_where_room(engine);
}

static bool ring_has_work(const struct ring *ring) {
    unsigned flags = IO_URING_READ_ONCE(*ring->ring.sq.kflags);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0 ||
           io_uring_cq_ready(&ring->ring) != 0 || io_uring_sq_ready(&ring->ring) != 0;
}

static bool engine_has_work(const struct engine *engine) {
    for (uint32_t i = 0; i < engine->ring_count; i++) {
        if (ring_has_work(&engine->rings[i])) {
            return true;
        }
    }
    return false;
}

static void events_switch(struct engine *engine, bool is_on) {
    for (uint32_t i = 0; i < engine->ring_count; i++) {
        (void)io_uring_cq_eventfd_toggle(&engine->rings[i].ring,
                                         is_on); // fails only without an eventfd
    }
    __sync_synchronize(); // (the newer builtin does not compile under TSan)
}

static void reap(struct engine *engine, struct ring *ring) {
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring->ring, head, cqe) {
        on_completion(engine, cqe);
        count++;
    }
    io_uring_cq_advance(&ring->ring, count);
}

// One ring: submits and waits in one call.
static void turn_one(struct engine *engine, bool may_wait, uint64_t wait_ms) {
    struct ring *ring = &engine->rings[0];
    struct __kernel_timespec timeout = {.tv_sec = (long long)(wait_ms / 1000),
                                        .tv_nsec = (long long)(wait_ms % 1000) * 1000000};
    struct io_uring_cqe *cqe;
    int result = !may_wait ? io_uring_submit_and_get_events(&ring->ring)
                 : wait_ms == UINT64_MAX
                     ? io_uring_submit_and_wait(&ring->ring, 1)
                     : io_uring_submit_and_wait_timeout(&ring->ring, &cqe, 1, &timeout, NULL);
    if (result < 0 && result != -ETIME && result != -EINTR) {
        floor_die("io_uring_enter: %s", strerror(-result));
    }
    reap(engine, ring);
}

// Several rings: enters those that have work; sleeps on the eventfd when none has.
static void turn_many(struct engine *engine, bool may_wait, uint64_t wait_ms) {
    if (may_wait && !engine_has_work(engine)) {
        events_switch(engine, true);
        if (!engine_has_work(engine)) {
            struct pollfd event = {.fd = engine->eventfd, .events = POLLIN};
            (void)poll(&event, 1,
                       wait_ms > INT32_MAX ? -1 : (int)wait_ms); // whatever woke it, the flags say
        }
        events_switch(engine, false);
        uint64_t count;
        (void)!read(engine->eventfd, &count, sizeof count); // empties it; it may be empty
    }
    for (uint32_t i = 0; i < engine->ring_count; i++) {
        struct ring *ring = &engine->rings[i];
        if (ring_has_work(ring)) {
            int result = io_uring_submit_and_get_events(&ring->ring);
            if (result < 0 && result != -EINTR) {
                floor_die("io_uring_enter: %s", strerror(-result));
            }
            reap(engine, ring);
        }
    }
}

int floor_uring_run(struct floor *floor) {
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        floor_die("out of memory");
    }
    engine_open(engine, floor);
    bool has_ticks = floor->hooks.on_tick != NULL && floor->options.interval_ms != 0;
    uint64_t tick_ms = floor_now_ms() + floor->options.tick_ms;
    while (!floor_is_stopping()) {
        uint64_t wait_ms = UINT64_MAX;
        if (has_ticks) {
            uint64_t now_ms = floor_now_ms();
            if (now_ms >= tick_ms) {
                floor->hooks.on_tick(floor);
                tick_ms += floor->options.tick_ms;
            }
            wait_ms = now_ms >= tick_ms ? 0 : tick_ms - now_ms;
        }
        bool may_wait = floor->hooks.on_turn == NULL || !floor->hooks.on_turn(floor);
        if (engine->ring_count == 1) {
            turn_one(engine, may_wait, wait_ms);
        } else {
            turn_many(engine, may_wait, wait_ms);
        }
    }
    for (uint32_t i = 0; i < engine->ring_count; i++) {
        io_uring_queue_exit(&engine->rings[i].ring);
    }
    free(engine);
    return 0;
}
