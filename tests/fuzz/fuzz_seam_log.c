// Can a logged value break its line? The first two bytes choose the form and the room, the rest is
// cut into fields. The line must be one line of clean UTF-8 with balanced quotes, in its room.
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/utf8.h"
#include "gateway/seam/log_format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 8192) {
        return 0;
    }
    bool is_json = (data[0] & 1) != 0;
    uint32_t room = LOG_LINE_BYTES_MIN + data[1] * 7U;
    struct log_field fields[FIELDS_MAX];
    uint32_t count = 0;
    struct span rest = span_make(data + 2, (uint32_t)size - 2);
    while (count < FIELDS_MAX && rest.length > 0) {
        uint32_t length = rest.data[0] < rest.length ? rest.data[0] : rest.length - 1;
        struct span value = span_first(span_from(rest, 1), length);
        fields[count] = log_span("v", value);
        fields[count].kind = (uint8_t)(length % 5 == 4 ? LOG_KIND_SIGNED : LOG_KIND_TEXT);
        fields[count++].number = length * 0x123456789abcdefULL;
        rest = span_from(rest, length + 1);
    }
    const struct log_line line = {.name = "t",
                                  .event = "e",
                                  .fields = fields,
                                  .wall_ms = size * 1000003,
                                  .field_count = count,
                                  .level = LOG_LEVEL_INFO,
                                  .is_json = is_json};
    uint8_t *bytes = malloc(room);
    check(bytes != NULL);
    uint32_t length = log_format(&line, (struct span_mut){.data = bytes, .length = room});
    check(length > 0 && length <= room && bytes[length - 1] == '\n');
    check(utf8_is_valid(span_make(bytes, length)));
    uint32_t quotes = 0;
    for (uint32_t i = 0; i + 1 < length; i++) {
        check(bytes[i] >= 0x20 && bytes[i] != 0x7f);
        if (bytes[i] == '\\') {
            i++;
        } else {
            quotes += bytes[i] == '"';
        }
    }
    check(quotes % 2 == 0);
    free(bytes);
    return 0;
}
