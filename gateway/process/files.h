// Files read by the control thread and handed on as bytes: the configuration and what it names.
#pragma once
#include "core/base/check.h"
#include "core/base/span.h"
#include "gateway/config/config.h"

enum { FILE_BYTES_MAX = 8 << 20 };

// Reads a whole file into memory owned by the caller (free). 0 or -errno; -EFBIG above
// FILE_BYTES_MAX.
MUST_USE int file_read(const char *path, uint8_t **bytes, uint32_t *length);

// A configuration from a file, or (path NULL) the built-in demo. NULL: errors holds at least one
// line. -errno of the file itself is made such a line, too.
const struct config *files_config_open(const char *path, struct config_errors *errors);
// Where a file is that the configuration at config_path (NULL: the demo) names: a relative path
// starts from the configuration's folder. False: longer than the room.
MUST_USE bool files_path(const char *config_path, struct span path, char *full, size_t room);
// tokens.c: adds an error for each `auth` whose key set cannot be used.
void tokens_check(const struct config *config, const char *file, struct config_errors *errors);
// dialers.c: adds an error for each upstream whose `ca`, `certificate` or `key` cannot be used.
void dialers_check(const struct config *config, const char *file, struct config_errors *errors);
// error_line.c: one line more: `file:line:column: text`.
void files_error_add(struct config_errors *errors, const char *file, struct config_place place,
                     const char *text);
// certificates.c: adds an error for each listener whose certificate or key cannot be used.
void certificates_check(const struct config *config, const char *file,
                        struct config_errors *errors);
