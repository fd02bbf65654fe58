// floor_echo: a bare TCP echo with the bytes of a WebSocket echo on the wire. It counts the bytes
// that came and answers with as many server frames as client frames are complete; the answers'
// payload is always the same.
#include <stdlib.h>
#include <string.h>

#include "bench/floor.h"
#include "bench/frame.h"

struct echo {
    uint8_t *answers; // server frames behind each other
    size_t request_length;
    size_t answer_length;
    uint64_t answer_count; // a client has no more than `depth` messages in flight
};

// conn->user: answers that are owed.
static void answer(struct floor *floor, struct floor_conn *conn) {
    const struct echo *echo = floor->program;
    if (conn->user == 0 || conn->is_sending) {
        return;
    }
    uint64_t count = conn->user < echo->answer_count ? conn->user : echo->answer_count;
    conn->user -= count;
    floor_send(floor, conn, echo->answers, count * echo->answer_length, NULL);
}

static void on_bytes(struct floor *floor, struct floor_conn *conn, const uint8_t *bytes,
                     size_t count) {
    const struct echo *echo = floor->program;
    (void)bytes; // a floor does not look
    conn->partial += count;
    if (conn->partial >= echo->request_length) {
        conn->user += conn->partial / echo->request_length;
        conn->partial %= echo->request_length;
        answer(floor, conn);
    }
}

int main(int count, char **arguments) {
    static const uint8_t mask[4];
    struct floor floor;
    struct echo echo;
    floor_init(&floor, "floor_echo", count, arguments);
    size_t size = floor.options.size;
    size_t header = frame_header_length(size);
    echo.request_length = header + 4 + size;
    echo.answer_length = header + size;
    echo.answer_count = floor.options.depth;
    echo.answers = malloc(echo.answer_length * echo.answer_count + 4);
    if (echo.answers == NULL) {
        floor_die("out of memory");
    }
    for (size_t i = 0; i < echo.answer_count; i++) {
        uint8_t *frame = echo.answers + i * echo.answer_length;
        (void)frame_header_write(frame, OPCODE_BINARY, size, mask); // the length is known
        frame[1] &= 0x7f;                                           // a server does not mask
        memset(frame + header, 'x', size);
    }
    floor.hooks = (struct floor_hooks){.on_bytes = on_bytes, .on_sent = answer};
    floor.program = &echo;
    int status = floor_run(&floor);
    free(echo.answers);
    return status;
}
