// The end of the process after a failed check: one line to standard error, then abort. It may run
// with anything broken, so it calls only what is async-signal-safe and keeps its text on the stack.
// Any thread.
// house: allow pure: a failed check must speak and end the process wherever it happens; write(2)
// and abort(3) are the whole of that path.
#include "core/base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHECK_TEXT_BYTES = 512 };

// Appends as much of `text` as fits, and returns the new length.
static uint32_t text_append(char *target, uint32_t length, const char *text) {
    uint32_t room = CHECK_TEXT_BYTES - length;
    size_t wanted = strlen(text);
    uint32_t taken = wanted < room ? (uint32_t)wanted : room;
    memcpy(target + length, text, taken);
    return length + taken;
}

_Noreturn void check_failed(const char *condition, const char *file, int line) {
    char digits[12];
    uint32_t first = sizeof(digits) - 1;
    uint32_t rest = line > 0 ? (uint32_t)line : 0;
    digits[first] = '\0';
    do {
        digits[--first] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0 && first != 0);

    char text[CHECK_TEXT_BYTES];
    uint32_t length = text_append(text, 0, "check failed: ");
    length = text_append(text, length, condition);
    length = text_append(text, length, " at ");
    length = text_append(text, length, file);
    length = text_append(text, length, ":");
    length = text_append(text, length, digits + first);
    length = text_append(text, length, "\n");
    ssize_t written = write(STDERR_FILENO, text, length);
    (void)written; // Nobody is left to be told when standard error is gone.
    abort();
}
