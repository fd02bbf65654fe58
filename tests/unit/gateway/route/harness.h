// A route table from the routes of a configuration.
#pragma once
#include "gateway/route/route.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static inline int no_file(void *context, const char *path, struct span *bytes) {
    (void)context; // there are none
    (void)path;
    (void)bytes;
    return -ENOENT;
}

static inline const char *no_environment(void *context, const char *name) {
    (void)context; // it is empty
    (void)name;
    return NULL;
}

static inline const struct config *routes_open(const char *routes) {
    char text[8192];
    int length =
        snprintf(text, sizeof(text), "listeners: [{address: 127.0.0.1:8080}]\nroutes:\n%s", routes);
    cr_assert(length > 0 && (size_t)length < sizeof(text));
    struct config_errors *errors = calloc(1, sizeof(*errors));
    cr_assert(errors != NULL);
    const struct config_source source = {.text = span_make(text, (uint32_t)length),
                                         .file = "f.yaml",
                                         .load = no_file,
                                         .environment = no_environment};
    const struct config *config = config_open(&source, errors);
    cr_assert(config != NULL, "%s", errors->lines[0]);
    free(errors);
    return config;
}

// A request whose bytes end exactly where their memory does.
struct asked {
    char *path;
    char *host;
    struct route_request request;
};

static inline struct asked ask(const char *host, const char *path, uint8_t kind) {
    size_t path_bytes = strlen(path);
    size_t host_bytes = strlen(host);
    struct asked asked = {.path = malloc(path_bytes + 1), .host = malloc(host_bytes + 1)};
    cr_assert(asked.path != NULL && asked.host != NULL);
    memcpy(asked.path + 1, path, path_bytes); // shifted by one: the end is the end of the block
    memcpy(asked.host + 1, host, host_bytes);
    asked.request = (struct route_request){.path = span_make(asked.path + 1, (uint32_t)path_bytes),
                                           .host = span_make(asked.host + 1, (uint32_t)host_bytes),
                                           .kind = kind};
    return asked;
}

static inline void asked_free(struct asked *asked) {
    free(asked->path);
    free(asked->host);
}
