/*
 * Descriptors that a library opened while it was loaded, and never closes. Where one keeps a device open that is being
 * taken away, the kernel's removal waits until the process ends: let_go() closes it for the library.
 */
#ifndef FERRY_HELD_H
#define FERRY_HELD_H

#include <stdint.h>

#define FERRY_HELD_FDS 4096u /* higher descriptors are not noted */

/* What was open before the library was loaded. */
struct ferry_held_before {
    uint64_t open[FERRY_HELD_FDS / 64];
};

void ferry_held_begin(struct ferry_held_before *before);

/* Notes those that were opened since, by any thread. Thread-safe. */
void ferry_held_end(const struct ferry_held_before *before);

/* Puts /dev/null in place of each noted descriptor that still is of this file (an absolute path), and of the RDMA
 * events that belong to it. Returns how many. Thread-safe. */
unsigned ferry_held_let_go(const char *path);

#endif
