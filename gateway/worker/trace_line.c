#include "gateway/worker/trace_line.h"

#include "core/base/fault.h"
#include "core/conn/conn.h"

struct text {
    char *at;
    char *end;
};

static void put_text(struct text *text, const char *source) {
    while (*source != 0 && text->at < text->end) {
        *text->at++ = *source++;
    }
}

static void put_number(struct text *text, uint64_t value) {
    char digits[21];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0 && text->at < text->end) {
        *text->at++ = digits[--count];
    }
}

static void put_signed(struct text *text, int64_t value) {
    if (value < 0) {
        put_text(text, "-");
        value = -value;
    }
    put_number(text, (uint64_t)value);
}

static void put_field(struct text *text, const char *name, uint64_t value) {
    put_text(text, name);
    put_number(text, value);
}

static void put_conn_move(struct text *text, const struct trace_record *record) {
    put_field(text, "conn ", record->a);
    put_text(text, " ");
    put_text(text, conn_state_name((enum conn_state)(record->b >> 8)));
    put_text(text, " -> ");
    put_text(text, conn_state_name((enum conn_state)(record->b & 0xff)));
    if (record->c > 0 && record->c < FAULT_COUNT) {
        put_text(text, " ");
        put_text(text, fault_table[record->c].name);
    }
}

static void put_slot_move(struct text *text, const struct trace_record *record) {
    static const char *const states[] = {"free", "open", "stopping", "closing"};
    put_field(text, "ring ", record->a >> 24);
    put_field(text, " slot ", record->a & 0xffffff);
    put_text(text, " ");
    put_text(text, record->b >> 8 < 4 ? states[record->b >> 8] : "?");
    put_text(text, " -> ");
    put_text(text, (record->b & 0xff) < 4 ? states[record->b & 0xff] : "?");
    put_field(text, " flight ", (uint64_t)record->c);
}

uint32_t trace_line(const struct trace_record *record, char *line, uint32_t room) {
    struct text text = {.at = line, .end = line + room};
    put_number(&text, record->sequence);
    put_field(&text, " t=", record->now_ms);
    put_text(&text, " ");
    switch (record->kind) {
    case TRACE_CONN_MOVE:
        put_conn_move(&text, record);
        break;
    case TRACE_SLOT_MOVE:
        put_slot_move(&text, record);
        break;
    case TRACE_FAULT:
        put_field(&text, "conn ", record->a);
        put_text(&text, " fault ");
        put_text(&text, record->b < FAULT_COUNT ? fault_table[record->b].name : "?");
        break;
    default:
        put_field(&text, record->kind == TRACE_IO ? "io op " : "worker event ", record->a);
        put_field(&text, " ", record->b);
        put_text(&text, " result ");
        put_signed(&text, record->c);
        break;
    }
    return (uint32_t)(text.at - line);
}
