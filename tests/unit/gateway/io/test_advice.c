// What the operator is told.
#include "gateway/io/io.h"

#include <criterion/criterion.h>
#include <errno.h>

Test(io_advice, every_error_has_one_line) {
    for (int error = 1; error < 200; error++) {
        const char *advice = io_open_advice(-error);
        cr_assert_not_null(advice, "%d", error);
        cr_assert_gt(strlen(advice), 20, "%d", error);
        cr_assert_null(strchr(advice, '\n'), "%d", error);
    }
}

Test(io_advice, names_the_remedy) {
    static const struct {
        int error;
        const char *word;
    } rows[] = {{ENOSYS, "6.1"},         {EPERM, "io_uring"},        {EACCES, "io_uring"},
                {EINVAL, "6.1"},         {ENOMEM, "LimitMEMLOCK"},   {EMFILE, "LimitNOFILE"},
                {ENFILE, "fs.file-max"}, {EEXIST, "did not open it"}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *advice = io_open_advice(-rows[i].error);
        cr_assert_not_null(strstr(advice, rows[i].word), "%d: %s", rows[i].error, advice);
    }
}
