// A recorded tree becomes a folder, which is examined under a configuration, and goes again.
#pragma once
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/doctor/examination.h"
#include "gateway/process/files.h"

struct doctor_test {
    char root[64];
    struct config_errors errors;
    struct examination examination;
};

static inline void doctor_file_write(const char *root, const char *path, const char *text,
                                     size_t length) {
    char full[512];
    cr_assert((size_t)snprintf(full, sizeof full, "%s/%s", root, path) < sizeof full);
    for (char *slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(full, 0700); // mostly there already; the open below tells
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    cr_assert_not_null(file, "%s", full);
    cr_assert_eq(fwrite(text, 1, length, file), length);
    cr_assert_eq(fclose(file), 0);
}

// Writes the files of tests/unit/gateway/doctor/NAME.txt below a fresh folder.
static inline void doctor_tree_make(struct doctor_test *test, const char *name) {
    const char *folder = getenv("HOLDFAST_UNIT");
    char path[512];
    uint8_t *text = NULL;
    uint32_t length = 0;
    cr_assert_not_null(folder, "ctest sets HOLDFAST_UNIT to the folder tests/unit");
    (void)snprintf(path, sizeof path, "%s/gateway/doctor/%s.txt", folder, name);
    cr_assert_eq(file_read(path, &text, &length), 0, "%s", path);
    char *copy = strndup((const char *)text, length);
    free(text);
    cr_assert_not_null(copy);
    memcpy(test->root, "/tmp/holdfast-doctor-XXXXXX", sizeof "/tmp/holdfast-doctor-XXXXXX");
    cr_assert_not_null(mkdtemp(test->root));
    for (char *at = strstr(copy, "\n== "); at != NULL;) {
        char *name_end = strchr(at + 4, '\n');
        char *next = strstr(name_end, "\n== ");
        *name_end = 0;
        size_t bytes = next == NULL ? strlen(name_end + 1) : (size_t)(next - name_end);
        doctor_file_write(test->root, at + 4, name_end + 1, bytes);
        at = next;
    }
    free(copy);
}

static inline void doctor_config_set(struct doctor_test *test, const char *text) {
    struct config_source source = {.text = span_text(text), .file = "test"};
    config_close(&test->examination.config);
    test->examination.config = config_open(&source, &test->errors);
    cr_assert_not_null(test->examination.config, "%s", test->errors.lines[0]);
}

// Under the demo's configuration: a million connections, 127.0.0.1:8080.
static inline void doctor_open(struct doctor_test *test, const char *tree) {
    memset(test, 0, sizeof *test);
    doctor_tree_make(test, tree);
    test->examination.source = (struct machine_source){.root = test->root, .process = "self"};
    test->examination.config = files_config_open(NULL, &test->errors);
    cr_assert_not_null(test->examination.config);
}

static inline int doctor_remove(const char *path, const struct stat *status, int kind,
                                struct FTW *place) {
    (void)status; // whatever it is
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void doctor_close(struct doctor_test *test) {
    cr_assert_eq(nftw(test->root, doctor_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
    cr_assert_neq(access(test->root, F_OK), 0, "nothing is left");
    config_close(&test->examination.config);
}

// NULL: there is none of that name.
static inline const struct finding *doctor_find(const struct doctor_test *test, const char *name) {
    for (uint32_t i = 0; i < test->examination.finding_count; i++) {
        if (strcmp(test->examination.findings[i].name, name) == 0) {
            return &test->examination.findings[i];
        }
    }
    return NULL;
}

static inline void doctor_expect(const struct doctor_test *test, const char *name,
                                 enum verdict verdict, const char *now) {
    const struct finding *finding = doctor_find(test, name);
    cr_assert_not_null(finding, "%s", name);
    cr_expect_eq(finding->verdict, verdict, "%s: %s, wanted %s", name, finding->now,
                 finding->wanted);
    cr_expect_not_null(strstr(finding->now, now), "%s: %s", name, finding->now);
}

static inline uint64_t doctor_term(const struct doctor_test *test, const char *name) {
    const struct capacity *capacity = &test->examination.capacity;
    for (uint32_t i = 0; i < capacity->term_count; i++) {
        if (strcmp(capacity->terms[i].name, name) == 0) {
            return capacity->terms[i].connections;
        }
    }
    return UINT64_MAX;
}
