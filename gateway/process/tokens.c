// Keys that tokens are checked with: from the bytes of a configuration to what workers use, at
// start and at reload.
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "gateway/auth/jwt.h"
#include "gateway/process/files.h"
#include "gateway/process/process.h"

enum { READ_BYTES = 8 << 20 }; // address space for one key set as JSON; touched as it is used

// The thread's own arena may not be there yet, and is none of a configuration's.
struct reading_room {
    struct arena arena;
    struct arena *former;
    uint8_t *space, *book;
};

static bool room_open(struct reading_room *room) {
    uint64_t book_bytes = arena_book_bytes(READ_BYTES);
    room->space = aligned_alloc(ARENA_STEP_BYTES, READ_BYTES);
    room->book = calloc(1, book_bytes);
    if (room->space == NULL || room->book == NULL) {
        free(room->space);
        free(room->book);
        return false;
    }
    arena_init(&room->arena, (struct memory){.data = room->space, .length = READ_BYTES},
               (struct memory){.data = room->book, .length = book_bytes}, READ_BYTES);
    room->former = json_memory_set(&room->arena);
    return true;
}

static void room_close(struct reading_room *room) {
    (void)json_memory_set(room->former); // that one was ours
    free(room->space);
    free(room->book);
}

static struct jwt_keys *keys_open(const struct config_auth *auth, char problem[JWT_PROBLEM_BYTES]) {
    struct reading_room room;
    (void)snprintf(problem, JWT_PROBLEM_BYTES, "out of memory");
    if (!room_open(&room)) {
        return NULL;
    }
    struct jwt_options options = {.algorithms = auth->algorithms,
                                  .audience = auth->audience,
                                  .issuer = auth->issuer,
                                  .leeway_s = auth->leeway_s};
    struct jwt_keys *keys = jwt_keys_read(auth->jwks, &options, problem);
    room_close(&room);
    return keys;
}

void tokens_check(const struct config *config, const char *file, struct config_errors *errors) {
    for (uint32_t i = 0; i < config->auth_count; i++) {
        const struct config_auth *auth = &config->auths[i];
        if (auth->kind != CONFIG_AUTH_JWT) {
            continue;
        }
        char problem[JWT_PROBLEM_BYTES];
        char text[CONFIG_ERROR_BYTES];
        if (tls_library_open() != 0) {
            files_error_add(errors, file, auth->place,
                            "`jwt`: this wolfSSL cannot be used; build with another one");
            return;
        }
        struct jwt_keys *keys = keys_open(auth, problem);
        if (keys == NULL) {
            (void)snprintf(text, sizeof text, "`jwt.jwks_file`: %s; correct the file",
                           problem); // both fit
            files_error_add(errors, file, auth->place, text);
        }
        jwt_keys_free(keys);
    }
}

bool site_keys_open(struct site *site) {
    for (uint32_t i = 0; i < site->config->auth_count; i++) {
        if (site->config->auths[i].kind != CONFIG_AUTH_JWT) {
            continue;
        }
        char problem[JWT_PROBLEM_BYTES]; // none but memory: tokens_check has accepted it
        site->keys[i] = keys_open(&site->config->auths[i], problem);
        if (site->keys[i] == NULL) {
            return false;
        }
    }
    return true;
}

void site_keys_close(struct site *site) {
    for (uint32_t i = 0; i < AUTHS_MAX; i++) {
        jwt_keys_free(site->keys[i]);
        site->keys[i] = NULL;
    }
}
