// A record of the flight recorder as a line.
#include <criterion/criterion.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/conn/conn.h"
#include "gateway/worker/trace_line.h"

static void expect(const char *wanted, enum trace_kind kind, uint32_t a, uint32_t b, int32_t c) {
    struct trace_record record = {
        .now_ms = 1234, .kind = (uint32_t)kind, .a = a, .b = b, .c = c, .sequence = 7};
    char line[TRACE_LINE_BYTES];
    uint32_t length = trace_line(&record, line, sizeof line);
    cr_assert(length == strlen(wanted) && memcmp(line, wanted, length) == 0, "%.*s", (int)length,
              line);
    for (uint32_t room = 0; room < length; room++) { // cut where the room ends
        memset(line, '#', sizeof line);
        cr_assert_eq(trace_line(&record, line, room), room);
        cr_assert_eq(memcmp(line, wanted, room), 0);
        cr_assert_eq(line[room], '#');
    }
}

Test(trace_line, says_each_kind) {
    uint32_t opened = CONN_VERDICT << 8 | CONN_OPEN;
    expect("7 t=1234 conn 3 verdict -> open", TRACE_CONN_MOVE, 3, opened, 0);
    uint32_t cut = CONN_OPEN << 8 | CONN_ENDED;
    expect("7 t=1234 conn 3 open -> ended pong_timeout", TRACE_CONN_MOVE, 3, cut,
           FAULT_pong_timeout);
    expect("7 t=1234 ring 2 slot 5 free -> open flight 1", TRACE_SLOT_MOVE, 2 << 24 | 5, 1, 1);
    expect("7 t=1234 conn 3 fault pong_timeout", TRACE_FAULT, 3, FAULT_pong_timeout, 0);
    expect("7 t=1234 io op 4 5 result -104", TRACE_IO, 4, 5, -104);
    expect("7 t=1234 worker event 1 0 result 0", TRACE_WORKER, 1, 0, 0);
}

Test(trace_line, says_what_it_does_not_know) {
    expect("7 t=1234 conn 3 fault ?", TRACE_FAULT, 3, FAULT_COUNT, 0);
    expect("7 t=1234 ring 0 slot 5 ? -> ? flight 0", TRACE_SLOT_MOVE, 5, 9 << 8 | 9, 0);
}
