// Wiping and comparing of secrets. Pure functions, any thread.
#include "core/crypto/secret.h"

#include "core/base/pure.h"

void secret_wipe(void *bytes, uint32_t length) {
    memset(bytes, 0, length);
    // The compiler must assume that somebody reads what was written.
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

bool secret_equal(const void *a, const void *b, uint32_t length) {
    const uint8_t *left = (const uint8_t *)a;
    const uint8_t *right = (const uint8_t *)b;
    uint32_t difference = 0;
    for (uint32_t i = 0; i < length; i++) {
        difference |= (uint32_t)(left[i] ^ right[i]);
        // Nor may it leave early once a difference is known.
        __asm__ volatile("" : "+r"(difference));
    }
    return difference == 0;
}
