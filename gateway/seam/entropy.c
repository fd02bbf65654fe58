#include "gateway/seam/entropy.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

int entropy_fill(void *bytes, size_t length) {
    uint8_t *at = bytes;
    while (length > 0) { // each turn gives a byte or more, or ends: only a signal repeats one
        ssize_t got = getrandom(at, length, 0);
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got > 0) {
            at += got;
            length -= (size_t)got;
        }
    }
    return 0;
}
