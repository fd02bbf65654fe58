// Everything is read again each time: these files are a page at most, and a doctor runs once.
#include "gateway/doctor/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool path_join(const char *root, const char *path, char *full) {
    int printed = snprintf(full, TREE_PATH_BYTES, "%s/%s", root, path);
    return printed > 0 && printed < TREE_PATH_BYTES;
}

bool tree_text(const char *root, const char *path, char *text, size_t room) {
    char full[TREE_PATH_BYTES];
    int file = path_join(root, path, full) ? open(full, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) {
        return false;
    }
    size_t used = 0;
    ssize_t count = 1;
    // Bounded by the room: every pass reads at least one byte or ends.
    while (count > 0 && used < room - 1) {
        do {
            count = read(file, text + used, room - 1 - used);
        } while (count < 0 && errno == EINTR);
        used += count > 0 ? (size_t)count : 0;
    }
    (void)close(file); // only read from
    while (used > 0 && strchr(" \t\n", text[used - 1]) != NULL) {
        used--;
    }
    text[used] = 0;
    return count >= 0;
}

// The field-th number of the line at `at`.
static bool number_find(const char *at, uint32_t field, uint64_t *value) {
    for (uint32_t i = 0; *at != 0 && *at != '\n'; i++) {
        at += strspn(at, " \t");
        size_t length = strcspn(at, " \t\n");
        if (i == field) {
            bool is_unlimited = (length == 3 && strncmp(at, "max", 3) == 0) ||
                                (length == 9 && strncmp(at, "unlimited", 9) == 0);
            char *end = NULL;
            *value = is_unlimited ? UINT64_MAX : strtoull(at, &end, 10);
            return is_unlimited || (end != at && *at >= '0' && *at <= '9');
        }
        at += length;
    }
    return false;
}

bool tree_number(const char *root, const char *path, uint32_t field, uint64_t *value) {
    char text[TREE_TEXT_BYTES];
    return tree_text(root, path, text, sizeof text) && number_find(text, field, value);
}

// The line that begins with `key`, or NULL.
static const char *line_find(const char *text, const char *key) {
    size_t length = strlen(key);
    while (strncmp(text, key, length) != 0) {
        text = strchr(text, '\n');
        if (text == NULL) {
            return NULL;
        }
        text++;
    }
    return text;
}

bool tree_field(const char *root, const char *path, const char *key, uint32_t field,
                uint64_t *value) {
    char text[TREE_TEXT_BYTES];
    if (!tree_text(root, path, text, sizeof text)) {
        return false;
    }
    const char *line = line_find(text, key);
    return line != NULL && number_find(line + strlen(key), field, value);
}

// The number of the word `name` in a line, or -1.
static int word_index(const char *line, const char *name) {
    size_t length = strlen(name);
    for (int i = 0; *line != 0 && *line != '\n'; i++) {
        line += strspn(line, " \t");
        size_t word = strcspn(line, " \t\n");
        if (word == length && strncmp(line, name, length) == 0) {
            return i;
        }
        line += word;
    }
    return -1;
}

bool tree_netstat(const char *root, const char *group, const char *name, uint64_t *value) {
    char text[TREE_TEXT_BYTES];
    if (!tree_text(root, "proc/net/netstat", text, sizeof text)) {
        return false;
    }
    const char *names = line_find(text, group);
    const char *next = names == NULL ? NULL : strchr(names, '\n');
    const char *values = next == NULL ? NULL : line_find(next + 1, group);
    int index = names == NULL ? -1 : word_index(names, name);
    return values != NULL && index >= 0 && number_find(values, (uint32_t)index, value);
}

uint32_t tree_count(const char *root, const char *folder, const char *prefix) {
    char full[TREE_PATH_BYTES];
    DIR *open_folder = path_join(root, folder, full) ? opendir(full) : NULL;
    uint32_t count = 0;
    struct dirent *entry;
    while (open_folder != NULL && (entry = readdir(open_folder)) != NULL) {
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    }
    if (open_folder != NULL) {
        (void)closedir(open_folder); // only read from
    }
    return count;
}

int tree_link(const char *root, const char *path, char *text, size_t room) {
    char full[TREE_PATH_BYTES];
    if (!path_join(root, path, full)) {
        return -ENAMETOOLONG;
    }
    ssize_t length = readlink(full, text, room - 1);
    int error = length < 0 ? -errno : 0;
    text[error == 0 ? length : 0] = 0;
    return error;
}

bool tree_exists(const char *root, const char *path) {
    char full[TREE_PATH_BYTES];
    return path_join(root, path, full) && access(full, F_OK) == 0;
}
