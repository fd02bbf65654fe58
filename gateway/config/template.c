#include "gateway/config/channel_byte.h"
#include "gateway/config/path.h"
#include "gateway/config/placeholder.h"

enum { PARTS_MAX = 32 };

struct template_state {
    struct config_part parts[PARTS_MAX];
    const struct config_template_rules *rules;
    struct span text;
    uint32_t part_count;
    uint32_t bytes_min; // every placeholder brings one byte or more
    bool has_star;
};

// What is wrong, and the word in question (empty: none).
struct template_problem {
    const char *text;
    struct span word;
};

static const struct template_problem fine = {.text = NULL};

static bool state_add(struct template_state *state, struct config_part part) {
    if (state->part_count == PARTS_MAX) {
        return false;
    }
    state->parts[state->part_count++] = part;
    state->bytes_min += part.kind == CONFIG_PART_LITERAL ? part.text.length : 1;
    return true;
}

static struct template_problem capture_add(struct template_state *state, struct span name,
                                           struct span braced) {
    const struct config_path *path = state->rules->path;
    struct config_part part = {.text = name, .kind = CONFIG_PART_CAPTURE};
    bool is_found = path == NULL; // an error was added for it
    for (uint32_t i = 0; path != NULL && i < path->segment_count; i++) {
        if (path->segments[i].kind == CONFIG_SEGMENT_CAPTURE) {
            is_found = span_equal(path->segments[i].text, name);
            if (is_found) {
                break;
            }
            part.capture++;
        }
    }
    if (!is_found) {
        return (struct template_problem){
            "is no placeholder of the path; write one that the path has", braced};
    }
    return state_add(state, part) ? fine
                                  : (struct template_problem){
                                        "is one part too many; write fewer placeholders", braced};
}

static struct template_problem claim_add(struct template_state *state, struct span claim,
                                         struct span braced) {
    if (!config_placeholder_is_valid(claim)) {
        return (struct template_problem){
            "is no claim; write {claim.NAME} with 1 to 32 letters, digits and _", braced};
    }
    if (state->rules->claims == NULL) {
        return (struct template_problem){"needs `auth` on the route; add it, or use another "
                                         "placeholder",
                                         braced};
    }
    struct config_claims *claims = state->rules->claims;
    uint32_t number = 0;
    while (number < claims->count && !span_equal(claims->items[number], claim)) {
        number++;
    }
    if (number == CLAIMS_MAX) {
        static_assert(CLAIMS_MAX == 16, "the message says 16");
        return (struct template_problem){
            "is one claim too many; write at most 16 different ones in a route", braced};
    }
    claims->items[number] = claim;
    claims->count += number == claims->count;
    return state_add(state, (struct config_part){.text = claim,
                                                 .kind = CONFIG_PART_CLAIM,
                                                 .claim = (uint8_t)number})
               ? fine
               : (struct template_problem){"is one part too many; write fewer placeholders",
                                           braced};
}

// Of the certificate that the client showed to a listener with `client_ca`.
static struct template_problem certificate_add(struct template_state *state,
                                               enum config_part_kind kind, struct span braced) {
    return state_add(state, (struct config_part){.text = braced, .kind = (uint8_t)kind})
               ? fine
               : (struct template_problem){"is one part too many; write fewer placeholders",
                                           braced};
}

// `rest` begins with `{`. *used is the length with both braces.
static struct template_problem placeholder_read(struct template_state *state, struct span rest,
                                                uint32_t *used) {
    int64_t end = span_find(rest, '}');
    if (end < 0) {
        return (struct template_problem){"has no closing brace; write {name}", rest};
    }
    *used = (uint32_t)end + 1;
    struct span braced = span_first(rest, *used);
    struct span name = span_first(span_from(rest, 1), *used - 2);
    if (name.length >= 6 && memcmp(name.data, "claim.", 6) == 0) {
        return claim_add(state, span_from(name, 6), braced);
    }
    bool is_subject = span_is(name, "certificate.subject");
    if (is_subject || span_is(name, "certificate.fingerprint")) {
        return certificate_add(state, is_subject ? CONFIG_PART_SUBJECT : CONFIG_PART_FINGERPRINT,
                               braced);
    }
    return capture_add(state, name, braced);
}

static struct template_problem literal_read(struct template_state *state, struct span rest,
                                            uint32_t *used) {
    uint32_t length = 0;
    while (length < rest.length && rest.data[length] != '{') {
        uint8_t byte = rest.data[length];
        bool is_star = byte == '*' && state->rules->may_have_star && length + 1 == rest.length;
        if (is_star) {
            state->has_star = true;
            break;
        }
        if (!channel_byte_is_valid(byte)) {
            return (struct template_problem){
                byte == '*' && state->rules->may_have_star
                    ? "stands before the end; write `*` only as the last byte"
                : byte == '*' ? "is no byte of a channel name; patterns stand in `allow` only"
                              : "is no byte of a channel name; use A-Z a-z 0-9 _ - @ ~ . %",
                span_first(span_from(rest, length), 1)};
        }
        length++;
    }
    *used = length + (state->has_star ? 1 : 0);
    struct span text = span_first(rest, length);
    if (length > 0 &&
        !state_add(state, (struct config_part){.text = text, .kind = CONFIG_PART_LITERAL})) {
        return (struct template_problem){"is one part too many; write fewer placeholders", text};
    }
    return fine;
}

static struct template_problem template_parse(struct template_state *state) {
    struct span text = state->text;
    if (text.length == 0) {
        return (struct template_problem){"is empty; write a channel name", text};
    }
    for (uint32_t at = 0; at < text.length;) {
        struct span rest = span_from(text, at);
        uint32_t used = 0;
        struct template_problem problem = rest.data[0] == '{' ? placeholder_read(state, rest, &used)
                                                              : literal_read(state, rest, &used);
        if (problem.text != NULL) {
            return problem;
        }
        at += used;
    }
    uint32_t bytes = state->bytes_min + (state->has_star ? 1 : 0);
    if (bytes > CHANNEL_NAME_BYTES_MAX) {
        static_assert(CHANNEL_NAME_BYTES_MAX == 255, "the message says 255");
        return (struct template_problem){"is longer than a channel name; write at most 255 bytes",
                                         text};
    }
    return fine;
}

bool config_template_read(struct config_reader *reader, const char *name,
                          const struct config_node *node, const struct config_template_rules *rules,
                          struct config_template *template) {
    struct template_state state = {.rules = rules, .text = node->text};
    struct template_problem problem = template_parse(&state);
    if (problem.text != NULL) {
        config_error(reader, node->place, "`%s`: %s %s", name, config_quote(problem.word).text,
                     problem.text);
        return false;
    }
    struct config_part *parts = config_keep(reader, sizeof(struct config_part) * state.part_count);
    if (parts == NULL) {
        return false;
    }
    memcpy(parts, state.parts, sizeof(struct config_part) * state.part_count);
    *template = (struct config_template){.text = node->text,
                                         .parts = parts,
                                         .part_count = (uint8_t)state.part_count,
                                         .has_star = state.has_star};
    return true;
}
