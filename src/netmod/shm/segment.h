/*
 * Segment providers: where memory that processes share comes from.
 */
#ifndef FERRY_SEGMENT_H
#define FERRY_SEGMENT_H

#include <stdint.h>

#include "place.h"

enum ferry_segment_kind { FERRY_SEGMENT_MEMFD = 1, FERRY_SEGMENT_FILE };

/* Both make a sparse segment of size bytes, without memory yet. Errors: negative errno. */
int ferry_segment_memfd(uint64_t size, int *fd);

/* In a memory-backed directory, still without a name, locked as alive. */
int ferry_segment_file(struct ferry_place *place, uint64_t size, int *fd);
/* Gives it its real name when it is filled. Errors: -EEXIST somebody was first. */
int ferry_segment_file_publish(struct ferry_place *place, const char *name, int fd);
/* Opens one that somebody else made. Errors: -ENOENT. */
int ferry_segment_file_open(struct ferry_place *place, const char *name, int *fd);

/* Whether a segment that came from elsewhere can be mapped without danger: sealed against shrinking,
 * or a file of the own user in memory; and its size. Errors: -EPERM. */
int ferry_segment_check(int fd, enum ferry_segment_kind kind, uint64_t *size);

/* Makes sure that there is memory behind a range, so that touching it can't fail. takers: so many processes may do
 * the same at the same time, each after a look at the same headroom. Errors: -ENOSPC, -ENOMEM. */
int ferry_segment_fill(int fd, uint64_t offset, uint64_t length, uint32_t takers);

#endif
