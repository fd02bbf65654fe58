// Small files of /proc, /sys and /etc below a root, so that a recorded tree is examined as a
// machine is. Blocking; the command line only. Paths are given without a leading slash, room from
// the caller.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TREE_TEXT_BYTES = 16384, TREE_PATH_BYTES = 512 };

// The whole file, terminated, without white space at its end; what does not fit is cut. False: it
// cannot be read.
bool tree_text(const char *root, const char *path, char *text, size_t room);
// The field-th number (from 0) of the file; `max` reads as UINT64_MAX. False: there is none.
bool tree_number(const char *root, const char *path, uint32_t field, uint64_t *value);
// The field-th number behind `key` at the start of a line: tree_field(root, "proc/meminfo",
// "MemTotal:", 0, &kib). `unlimited` reads as UINT64_MAX. False: no such line or number.
bool tree_field(const char *root, const char *path, const char *key, uint32_t field,
                uint64_t *value);
// A counter of /proc/net/netstat, whose names and values stand in two lines. False: not there.
bool tree_netstat(const char *root, const char *group, const char *name, uint64_t *value);
// How many entries of a folder begin with `prefix`; 0 when there is no such folder.
uint32_t tree_count(const char *root, const char *folder, const char *prefix);
// Where a symbolic link leads to, cut to the room. 0, or -errno.
int tree_link(const char *root, const char *path, char *text, size_t room);
bool tree_exists(const char *root, const char *path);
