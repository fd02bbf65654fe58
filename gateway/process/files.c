// Blocking reads are fine here: the control thread serves nobody whose messages wait.
#include "gateway/process/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int file_read(const char *path, uint8_t **bytes, uint32_t *length) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -errno;
    }
    uint8_t *data = malloc(FILE_BYTES_MAX + 1);
    size_t used = 0;
    int error = data == NULL ? -ENOMEM : 0;
    // Bounded by FILE_BYTES_MAX: every pass reads at least one byte or ends.
    while (error == 0 && used <= FILE_BYTES_MAX) {
        ssize_t count = read(file, data + used, FILE_BYTES_MAX + 1 - used);
        if (count < 0 && errno != EINTR) {
            error = -errno;
        }
        if (count == 0) {
            break;
        }
        used += count > 0 ? (size_t)count : 0;
    }
    close(file);
    if (error == 0 && used > FILE_BYTES_MAX) {
        error = -EFBIG;
    }
    if (error != 0) {
        free(data);
        return error;
    }
    *bytes = data;
    *length = (uint32_t)used;
    return 0;
}

// What a configuration's loader needs: the folder that relative paths start from, and the bytes
// lent last.
struct loader {
    const char *config_path;
    uint8_t *lent;
};

bool files_path(const char *config_path, struct span path, char *full, size_t room) {
    const char *slash = config_path == NULL ? NULL : strrchr(config_path, '/');
    bool is_relative = path.length > 0 && path.data[0] != '/' && slash != NULL;
    int folder = is_relative ? (int)(slash - config_path + 1) : 0;
    int printed = snprintf(full, room, "%.*s%.*s", folder, is_relative ? config_path : "",
                           (int)path.length, (const char *)path.data);
    return printed >= 0 && (size_t)printed < room;
}

static int loader_load(void *context, const char *path, struct span *bytes) {
    struct loader *loader = context;
    char full[4096];
    if (!files_path(loader->config_path, span_text(path), full, sizeof full)) {
        return -ENAMETOOLONG;
    }
    free(loader->lent);
    loader->lent = NULL;
    uint32_t length = 0;
    int error = file_read(full, &loader->lent, &length);
    if (error == 0) {
        *bytes = span_make(loader->lent, length);
    }
    return error;
}

static const char *loader_environment(void *context, const char *name) {
    (void)context; // the environment is the process' own
    return getenv(name);
}

static void error_set(struct config_errors *errors, const char *path, int error) {
    errors->count = 1;
    errors->is_cut = false;
    (void)snprintf(errors->lines[0], sizeof errors->lines[0],
                   "%s:1:1: cannot be read: %s; give the path of a readable file", path,
                   strerror(-error)); // cut is fine
}

const struct config *files_config_open(const char *path, struct config_errors *errors) {
    struct loader loader = {.config_path = path};
    uint8_t *text = NULL;
    uint32_t length = 0;
    struct config_source source = {.text = config_demo_text(),
                                   .file = "demo",
                                   .context = &loader,
                                   .load = loader_load,
                                   .environment = loader_environment};
    if (path != NULL) {
        int error = file_read(path, &text, &length);
        if (error != 0) {
            error_set(errors, path, error);
            return NULL;
        }
        source.text = span_make(text, length);
        source.file = path;
    }
    const struct config *config = config_open(&source, errors);
    free(loader.lent);
    free(text);
    if (config != NULL) {
        certificates_check(config, source.file, errors);
        tokens_check(config, source.file, errors);
        dialers_check(config, source.file, errors);
    }
    if (errors->count > 0) {
        config_close(&config);
    }
    return config;
}
