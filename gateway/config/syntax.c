#include "gateway/config/syntax.h"

#include "gateway/config/tree.h"

#include <stdio.h>
#include <yaml.h>

struct remedy {
    const char *problem; // part of libyaml's problem
    const char *context; // part of its context, or NULL: any
    const char *text;
};

// The first row that fits.
static const struct remedy remedies[] = {
    {"expected ',' or '}'", NULL, "separate the entries by `,` and end the map with `}`"},
    {"expected ',' or ']'", NULL, "separate the items by `,` and end the list with `]`"},
    {"mapping values are not allowed", NULL,
     "indent the keys of one map alike, and quote a text that holds `: `"},
    {"cannot start any token", NULL, "put the text in quotes"},
    {"unexpected end of stream", "quoted", "end the text with its quote"},
    {"unknown escape character", NULL, "write \\\\ for a backslash, or use single quotes"},
    {"expected node content", NULL, "put the text in quotes"},
    {"alphabetic or numeric", NULL, "put the text in quotes"},
    {"expected key", NULL, "indent the keys of one map alike"},
    {"expected '-' indicator", NULL, "indent the items of one list alike"},
    {"expected ':'", NULL, "write `key: value`"},
    {"UTF-8", NULL, "save the file as UTF-8"},
    {"control characters", NULL, "remove the control character"},
    {"Unicode", NULL, "save the file as UTF-8"},
};

static const char *remedy_find(const char *problem, const char *context) {
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
        const struct remedy *row = &remedies[i];
        if (strstr(problem, row->problem) != NULL &&
            (row->context == NULL || strstr(context, row->context) != NULL)) {
            return row->text;
        }
    }
    return "correct it";
}

// The line that `place` is in, and the byte in it where `place` points; false when it points behind
// the text.
static bool line_find(struct span text, struct config_place place, struct span *line,
                      uint32_t *at) {
    uint32_t start = 0;
    for (uint32_t number = 1; number < place.line; number++) {
        int64_t end = span_find(span_from(text, start), '\n');
        if (end < 0) {
            return false;
        }
        start += (uint32_t)end + 1;
    }
    struct span rest = span_from(text, start);
    int64_t end = span_find(rest, '\n');
    *line = span_first(rest, end < 0 ? rest.length : (uint32_t)end);
    uint32_t byte = 0;
    for (uint32_t column = 1; column < place.column && byte < line->length; column++) {
        byte++;
        while (byte < line->length && (line->data[byte] & 0xc0) == 0x80) {
            byte++;
        }
    }
    *at = byte;
    return byte < line->length;
}

static bool ends_word(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == ',' || byte == '[' || byte == ']' ||
           byte == '"' || byte == '\'' || byte == '\r';
}

// `/chat/{room}` around the `{` at `at`, when that one stands inside a word; else empty.
static struct span word_find(struct span line, uint32_t at) {
    if (line.data[at] != '{' || at == 0 || ends_word(line.data[at - 1]) ||
        line.data[at - 1] == '{') {
        return span_empty();
    }
    uint32_t start = at;
    while (start > 0 && !ends_word(line.data[start - 1]) && line.data[start - 1] != '{') {
        start--;
    }
    uint32_t end = at;
    uint32_t depth = 0;
    for (; end < line.length && !ends_word(line.data[end]); end++) {
        if (line.data[end] == '{') {
            depth++;
        } else if (line.data[end] == '}') {
            if (depth == 0) {
                break; // of the map around the word
            }
            depth--;
        }
    }
    return span_first(span_from(line, start), end - start);
}

// libyaml gives a byte offset, not a mark, when the input is not text.
static struct config_place offset_place(struct span text, uint64_t offset) {
    struct config_place place = {.line = 1, .column = 1};
    for (uint32_t i = 0; i < text.length && i < offset; i++) {
        if (text.data[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if ((text.data[i] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

static struct config_place problem_place(const yaml_parser_t *parser, struct span text) {
    if (parser->error == YAML_READER_ERROR) {
        return offset_place(text, parser->problem_offset);
    }
    bool is_open_quote = parser->context != NULL && strstr(parser->context, "quoted") != NULL &&
                         strstr(parser->problem, "end of stream") != NULL;
    yaml_mark_t mark = is_open_quote ? parser->context_mark : parser->problem_mark;
    return (struct config_place){.line = (uint32_t)mark.line + 1,
                                 .column = (uint32_t)mark.column + 1};
}

void config_syntax_error(struct config_reader *reader, const struct yaml_parser_s *parser) {
    if (parser->error == YAML_MEMORY_ERROR) {
        reader->has_no_memory = true;
        return;
    }
    struct span text = reader->source->text;
    struct config_place place = problem_place(parser, text);
    const char *problem = parser->problem != NULL ? parser->problem : "unknown problem";
    const char *context = parser->context != NULL ? parser->context : "";
    const char *remedy = remedy_find(problem, context);
    struct span line;
    uint32_t at;
    if (parser->error != YAML_READER_ERROR && line_find(text, place, &line, &at)) {
        struct span word = word_find(line, at);
        if (word.length > 0) {
            config_error(reader, place, "a `{` outside of quotes; quote it: \"%.*s\"",
                         word.length < 200 ? (int)word.length : 200, (const char *)word.data);
            return;
        }
        if (line.data[at] == '\t') {
            remedy = "indent with spaces instead of the tab";
        }
    }
    bool is_elsewhere = context[0] != 0 && parser->context_mark.line + 1 != place.line;
    char begun[40] = "";
    if (is_elsewhere) {
        snprintf(begun, sizeof(begun), ", begun in line %u",
                 (unsigned)parser->context_mark.line + 1);
    }
    config_error(reader, place, "not YAML: %s%s%s%s; %s", problem, context[0] != 0 ? " " : "",
                 context, begun, remedy);
}
