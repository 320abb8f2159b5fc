/*
 * Copying a few bytes without a call.
 */
#ifndef FERRY_COPY_H
#define FERRY_COPY_H

#include <stdint.h>
#include <string.h>

/* Like memcpy, quickest up to 64 bytes: a pair of copies that may overlap for each range of lengths. */
static inline void ferry_copy(void *to, const void *from, size_t length)
{
    char *t = to;
    const char *f = from;

    if (length >= 16) {
        if (length > 64) {
            memcpy(t, f, length);
            return;
        }
        if (length > 32) {
            memcpy(t + 16, f + 16, 16);
            memcpy(t + length - 32, f + length - 32, 16);
        }
        memcpy(t, f, 16);
        memcpy(t + length - 16, f + length - 16, 16);
    } else if (length >= 8) {
        memcpy(t, f, 8);
        memcpy(t + length - 8, f + length - 8, 8);
    } else if (length >= 4) {
        memcpy(t, f, 4);
        memcpy(t + length - 4, f + length - 4, 4);
    } else if (length) {
        t[0] = f[0];
        t[length / 2] = f[length / 2];
        t[length - 1] = f[length - 1];
    }
}

#endif
