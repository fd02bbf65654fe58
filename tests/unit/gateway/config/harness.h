// A world for config_open without files or an environment of the machine: a few of each by name.
#pragma once
#include "gateway/config/config.h"
#include "gateway/config/config_within.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// A small configuration that is right, for tests that append to it.
#define LISTENER "listeners: [{address: 127.0.0.1:8080}]\n"
#define ROUTE "routes: [{path: /e, echo: {}}]\n"
#define BASE LISTENER ROUTE

static inline int world_load(void *context, const char *path, struct span *bytes) {
    (void)context; // the same files for everyone
    static const uint8_t long_token[] = {[0 ... 256] = 'x'};
    if (strcmp(path, "good.token") == 0 || strcmp(path, "/etc/holdfast/admin.token") == 0) {
        *bytes = span_text("\n secret-token\r\n");
        return 0;
    }
    if (strcmp(path, "fullchain.pem") == 0 || strcmp(path, "key.pem") == 0) {
        *bytes = span_text(path[0] == 'f' ? "a chain" : "a key"); // not judged by this room
        return 0;
    }
    static const uint8_t keys[JWKS_BYTES_MAX + 1];
    if (strcmp(path, "keys.json") == 0) { // not judged by this room
        *bytes = span_make(keys, JWKS_BYTES_MAX);
        return 0;
    }
    if (strcmp(path, "large.json") == 0) {
        *bytes = span_make(keys, JWKS_BYTES_MAX + 1);
        return 0;
    }
    if (strcmp(path, "empty.token") == 0) {
        *bytes = span_text(" \n");
        return 0;
    }
    if (strcmp(path, "two.token") == 0) {
        *bytes = span_text("two words\n");
        return 0;
    }
    if (strcmp(path, "del.token") == 0) {
        *bytes = span_text("a\x7f");
        return 0;
    }
    if (strcmp(path, "256.token") == 0 || strcmp(path, "257.token") == 0) {
        *bytes = span_make(long_token, path[2] == '6' ? 256 : 257);
        return 0;
    }
    return strcmp(path, "secret.token") == 0 ? -EACCES : -ENOENT;
}

static inline const char *world_environment(void *context, const char *name) {
    if (strcmp(name, "DRAIN") == 0) {
        return "5s";
    }
    if (strcmp(name, "EMPTY") == 0) {
        return "";
    }
    if (strcmp(name, "LITERAL") == 0) {
        return "${DRAIN}";
    }
    return strcmp(name, "LONG") == 0 ? context : NULL; // the test's own
}

static inline const struct config *world_open_span(struct span text, struct config_errors *errors) {
    static char long_value[CONFIG_TEXT_BYTES_MAX + 1];
    memset(long_value, 'x', CONFIG_TEXT_BYTES_MAX);
    const struct config_source source = {.text = text,
                                         .file = "f.yaml",
                                         .context = long_value,
                                         .load = world_load,
                                         .environment = world_environment};
    return config_open(&source, errors);
}

static inline struct config_errors *errors_take(void) {
    struct config_errors *errors = calloc(1, sizeof(*errors)); // 50 KiB: not for the stack
    cr_assert(errors != NULL);
    return errors;
}

// Opens a text that must be right; the caller closes it.
static inline const struct config *world_open(const char *text) {
    struct config_errors *errors = errors_take();
    const struct config *config = world_open_span(span_text(text), errors);
    expect(config != NULL, "%s\nrefused: %s", text, errors->lines[0]);
    free(errors);
    return config;
}

struct refusal {
    const char *text;
    const char *lines; // all of them, each with its newline
};

// Opens a text that must be refused with exactly these lines, each of which has a place, a problem
// and a remedy.
static inline void world_refuses_span(struct span text, const char *lines) {
    struct config_errors *errors = errors_take();
    const struct config *config = world_open_span(text, errors);
    static char all[CONFIG_ERRORS_MAX * CONFIG_ERROR_BYTES];
    all[0] = 0;
    size_t length = 0;
    for (uint32_t i = 0; i < errors->count; i++) {
        length += (size_t)snprintf(all + length, sizeof(all) - length, "%s\n", errors->lines[i]);
        expect(strchr(errors->lines[i], ';') != NULL, "no remedy: %s", errors->lines[i]);
    }
    expect(config == NULL, "%.*s\naccepted", (int)text.length, (const char *)text.data);
    expect(strcmp(all, lines) == 0, "%.200s\nsaid:\n%s\nexpected:\n%s", (const char *)text.data,
           all, lines);
    free(errors);
}

static inline void world_refuses(const struct refusal *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        world_refuses_span(span_text(rows[i].text), rows[i].lines);
    }
}
