// What is said of a configuration after it was read.
#include <stdio.h>

#include "gateway/process/files.h"

void files_error_add(struct config_errors *errors, const char *file, struct config_place place,
                     const char *text) {
    if (errors->count == CONFIG_ERRORS_MAX) {
        errors->is_cut = true;
        return;
    }
    char *line = errors->lines[errors->count++];
    (void)snprintf(line, CONFIG_ERROR_BYTES, "%s:%u:%u: %s", file, place.line, place.column,
                   text); // cut is fine
}
