#include "gateway/config/path.h"

#include "core/base/check.h"
#include "gateway/config/path_byte.h"
#include "gateway/config/placeholder.h"

enum { PLACEHOLDER_NAME_BYTES_MAX = 32 };

bool config_placeholder_is_valid(struct span name) {
    bool is_valid = name.length > 0 && name.length <= PLACEHOLDER_NAME_BYTES_MAX;
    for (uint32_t i = 0; i < name.length; i++) {
        is_valid = is_valid && (byte_is_alphanumeric(name.data[i]) || name.data[i] == '_');
    }
    return is_valid;
}

static bool has_byte(struct span text, uint8_t byte) {
    return span_find(text, byte) >= 0;
}

// Brings a literal segment into the form in which request paths are compared: unreserved bytes
// decoded, other escapes in upper case. `literal` has room for raw.length bytes. NULL, or what is
// wrong.
static const char *literal_read(struct span raw, uint8_t *literal, uint32_t *length) {
    static const char upper[] = "0123456789ABCDEF";
    *length = 0;
    for (uint32_t at = 0; at < raw.length;) {
        uint8_t byte = raw.data[at];
        if (byte == '*') {
            return "has a `*` inside; write it only as the final `/*`";
        }
        if (byte != '%' && !path_byte_is_plain(byte)) {
            return "holds a byte that no request path holds; percent-encode it";
        }
        if (byte != '%') {
            literal[(*length)++] = byte;
            at++;
            continue;
        }
        int value = path_escape_value(raw, at);
        if (value < 0) {
            return "has a broken escape; write % and two hexadecimal digits";
        }
        if (value == '/') {
            return "holds %2F, which is refused in every request; write it without";
        }
        if (path_byte_is_unreserved((uint8_t)value)) {
            literal[(*length)++] = (uint8_t)value;
        } else {
            literal[(*length)++] = '%';
            literal[(*length)++] = (uint8_t)upper[value >> 4];
            literal[(*length)++] = (uint8_t)upper[value & 15];
        }
        at += 3;
    }
    bool is_dots = (*length == 1 && literal[0] == '.') ||
                   (*length == 2 && literal[0] == '.' && literal[1] == '.');
    return is_dots ? "has a `.` or `..` segment, which is refused in every request; write the path "
                     "without it"
                   : NULL;
}

static const char *capture_read(struct span raw, const struct config_segment *segments,
                                uint32_t segment_count, struct config_segment *segment) {
    if (raw.length < 2 || raw.data[0] != '{' || raw.data[raw.length - 1] != '}') {
        return "has a placeholder that is not a whole segment; write it such as \"/chat/{room}\"";
    }
    struct span name = span_first(span_from(raw, 1), raw.length - 2);
    if (!config_placeholder_is_valid(name)) {
        return "has a placeholder without a proper name; write 1 to 32 letters, digits and _ in "
               "the braces";
    }
    for (uint32_t i = 0; i < segment_count; i++) {
        if (segments[i].kind == CONFIG_SEGMENT_CAPTURE && span_equal(segments[i].text, name)) {
            return "has two placeholders of one name; rename one";
        }
    }
    *segment = (struct config_segment){.text = name, .kind = CONFIG_SEGMENT_CAPTURE};
    return NULL;
}

// The path on the way: `literals` is the configuration's memory for the text of all segments.
struct path_state {
    struct config_segment segments[ROUTE_SEGMENTS_MAX];
    uint32_t segment_count;
    uint32_t capture_count;
    uint8_t *literals;
    bool has_rest;
};

static const char *segment_read(struct path_state *state, struct span raw, bool is_final) {
    if (raw.length == 0 && !is_final) {
        return "has an empty segment; write one `/` instead of two";
    }
    if (is_final && span_is(raw, "*")) {
        state->has_rest = true;
        return NULL;
    }
    if (state->segment_count == ROUTE_SEGMENTS_MAX) {
        return "has more than 32 segments; write fewer";
    }
    static_assert(ROUTE_SEGMENTS_MAX == 32, "the message says 32");
    struct config_segment *segment = &state->segments[state->segment_count];
    const char *problem;
    if (has_byte(raw, '{') || has_byte(raw, '}')) {
        static_assert(ROUTE_CAPTURES_MAX == 8, "the message says 8");
        if (state->capture_count == ROUTE_CAPTURES_MAX) {
            return "has more than 8 placeholders; write fewer";
        }
        problem = capture_read(raw, state->segments, state->segment_count, segment);
        state->capture_count++;
    } else {
        uint32_t length;
        problem = literal_read(raw, state->literals, &length);
        *segment = (struct config_segment){.text = span_make(state->literals, length),
                                           .kind = CONFIG_SEGMENT_LITERAL};
        state->literals += length;
    }
    state->segment_count++;
    return problem;
}

static const char *segments_read(struct path_state *state, struct span text) {
    if (text.length == 0 || text.data[0] != '/') {
        return "does not begin with `/`; write it such as /chat";
    }
    const char *problem = NULL;
    struct span rest = span_from(text, 1);
    bool is_final = false;
    while (!is_final && problem == NULL) {
        int64_t slash = span_find(rest, '/');
        is_final = slash < 0;
        problem =
            segment_read(state, is_final ? rest : span_first(rest, (uint32_t)slash), is_final);
        rest = is_final ? rest : span_from(rest, (uint32_t)slash + 1);
    }
    return problem;
}

bool config_path_read(struct config_reader *reader, const struct config_node *node,
                      struct config_path *path) {
    struct path_state state = {.literals = config_keep(reader, node->text.length)};
    if (state.literals == NULL) {
        return false;
    }
    const char *problem = segments_read(&state, node->text);
    if (problem != NULL) {
        config_error(reader, node->place, "`path` is %s, which %s", config_quote(node->text).text,
                     problem);
        return false;
    }
    struct config_segment *segments =
        config_keep(reader, sizeof(struct config_segment) * state.segment_count);
    if (segments == NULL) {
        return false;
    }
    memcpy(segments, state.segments, sizeof(struct config_segment) * state.segment_count);
    *path = (struct config_path){.text = node->text,
                                 .segments = segments,
                                 .segment_count = (uint8_t)state.segment_count,
                                 .capture_count = (uint8_t)state.capture_count,
                                 .has_rest = state.has_rest};
    return true;
}

static bool segment_covers(const struct config_segment *a, const struct config_segment *b) {
    if (a->kind == CONFIG_SEGMENT_LITERAL) {
        return b->kind == CONFIG_SEGMENT_LITERAL && span_equal(a->text, b->text);
    }
    return b->kind == CONFIG_SEGMENT_CAPTURE || b->text.length > 0;
}

bool config_path_covers(const struct config_path *a, const struct config_path *b) {
    for (uint32_t i = 0; i < a->segment_count; i++) {
        if (i >= b->segment_count || !segment_covers(&a->segments[i], &b->segments[i])) {
            return false;
        }
    }
    // `/a/*` takes one or more segments behind its own; a path with has_rest takes at least one.
    bool is_longer = b->segment_count > a->segment_count || b->has_rest;
    return a->has_rest ? is_longer : !is_longer;
}

bool config_path_is_equal(const struct config_path *a, const struct config_path *b) {
    return config_path_covers(a, b) && config_path_covers(b, a);
}
