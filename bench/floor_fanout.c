// floor_fanout: a bare send loop. Whoever sends a message sends it to everybody, himself included:
// one send each, or one sendmsg when several messages have come together. The payload is unmasked
// once for all.
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "bench/floor.h"
#include "bench/frame.h"

enum { MESSAGES_MAX = 64, JOBS = 8 };

struct job {
    uint8_t *frames;
    struct iovec pieces[MESSAGES_MAX];
    struct msghdr header;
    size_t length;
    uint32_t next;    // index into conns
    uint32_t pending; // sends under way
};

struct fanout {
    uint8_t *incoming; // client frames of the publisher, the last one perhaps unfinished
    size_t incoming_count;
    size_t header_length;
    size_t size;
    struct job jobs[JOBS];
    struct job *running; // NULL: nothing to send
    uint32_t job_index;
    uint32_t conn_end; // above the highest index in use
};

static void job_start(struct fanout *fanout, size_t messages) {
    struct job *job = &fanout->jobs[fanout->job_index];
    fanout->job_index = (fanout->job_index + 1) % JOBS;
    if (fanout->running != NULL || job->pending != 0) {
        floor_die("a message came before the last one was sent; a floor knows no queues");
    }
    size_t header = fanout->header_length;
    size_t request_length = header + 4 + fanout->size;
    size_t answer_length = header + fanout->size;
    for (size_t i = 0; i < messages; i++) {
        const uint8_t *from = fanout->incoming + i * request_length;
        uint8_t *to = job->frames + i * answer_length;
        memcpy(to, from, header);
        to[1] &= 0x7f; // a server does not mask
        memcpy(to + header, from + header + 4, fanout->size);
        frame_mask(to + header, fanout->size, from + header);
        job->pieces[i] = (struct iovec){.iov_base = to, .iov_len = answer_length};
    }
    job->header = (struct msghdr){.msg_iov = job->pieces, .msg_iovlen = messages};
    job->length = messages * answer_length;
    job->next = 0;
    fanout->running = job;
    fanout->incoming_count -= messages * request_length;
    memmove(fanout->incoming, fanout->incoming + messages * request_length, fanout->incoming_count);
}

static void on_bytes(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes,
                     size_t count) {
    struct fanout *fanout = floor->program;
    size_t request_length = fanout->header_length + 4 + fanout->size;
    (void)conn;
    if (fanout->incoming_count + count > MESSAGES_MAX * request_length) {
        floor_die("more than %d messages at once", MESSAGES_MAX);
    }
    memcpy(fanout->incoming + fanout->incoming_count, bytes, count);
    fanout->incoming_count += count;
    size_t messages = fanout->incoming_count / request_length;
    if (messages > 0 && fanout->running == NULL) {
        job_start(fanout, messages);
    }
}

// conn->user: the number of the job whose send is under way, plus one.
static bool on_turn(struct floor *floor) {
    struct fanout *fanout = floor->program;
    struct job *job = fanout->running;
    if (job == NULL) {
        return false;
    }
    const struct msghdr *header = job->header.msg_iovlen > 1 ? &job->header : NULL;
    uint32_t sends = 0;
    for (; job->next < fanout->conn_end && sends < FLOOR_SENDS_PER_TURN; job->next++) {
        struct floor_conn *conn = &floor->conns[job->next];
        if (conn->state != FLOOR_OPEN) {
            continue;
        }
        floor_send(floor, conn, job->frames, job->length, header);
        if (conn->is_sending) {
            job->pending++;
            conn->user = (uint64_t)(job - fanout->jobs) + 1;
        }
        sends++;
    }
    if (job->next < fanout->conn_end) {
        return true;
    }
    fanout->running = NULL;
    size_t messages = fanout->incoming_count / (fanout->header_length + 4 + fanout->size);
    if (messages > 0) {
        job_start(fanout, messages); // a burst that came in pieces
    }
    return messages > 0;
}

static void on_sent(struct floor *floor, struct floor_conn *conn) {
    struct fanout *fanout = floor->program;
    if (conn->user != 0) {
        fanout->jobs[conn->user - 1].pending--;
        conn->user = 0;
    }
}

static void on_open(struct floor *floor, struct floor_conn *conn) {
    struct fanout *fanout = floor->program;
    if (conn->index >= fanout->conn_end) {
        fanout->conn_end = conn->index + 1;
    }
}

int main(int count, char **arguments) {
    struct floor floor;
    floor_init(&floor, "floor_fanout", count, arguments);
    struct fanout *fanout = calloc(1, sizeof *fanout);
    if (fanout == NULL) {
        floor_die("out of memory");
    }
    fanout->size = floor.options.size;
    fanout->header_length = frame_header_length(fanout->size);
    size_t longest = (fanout->header_length + 4 + fanout->size) * MESSAGES_MAX;
    fanout->incoming = malloc(longest);
    for (size_t i = 0; i < JOBS; i++) {
        fanout->jobs[i].frames = malloc(longest);
        if (fanout->incoming == NULL || fanout->jobs[i].frames == NULL) {
            floor_die("out of memory");
        }
    }
    floor.hooks = (struct floor_hooks){.on_open = on_open,
                                       .on_bytes = on_bytes,
                                       .on_sent = on_sent,
                                       .on_closed = on_sent,
                                       .on_turn = on_turn};
    floor.program = fanout;
    int status = floor_run(&floor);
    for (size_t i = 0; i < JOBS; i++) {
        free(fanout->jobs[i].frames);
    }
    free(fanout->incoming);
    free(fanout);
    return status;
}
