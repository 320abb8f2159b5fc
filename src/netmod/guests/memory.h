/*
 * Memory that virtual machines of one host share: ivshmem devices, DAX devices, DAX files. Which of them are used
 * FERRY_GUESTS_MEMORY says. What is in them is none of this file's business.
 */
#ifndef FERRY_GUESTS_MEMORY_H
#define FERRY_GUESTS_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio.h"

#define FERRY_GUESTS_MEMORIES_MAX 8

enum ferry_guests_memory_kind {
    FERRY_GUESTS_IVSHMEM,
    FERRY_GUESTS_DAX, /* a device */
    FERRY_GUESTS_FILE
};

struct ferry_guests_memory {
    enum ferry_guests_memory_kind kind;
    char name[256]; /* for people: 0000:01:00.0, dax0.0, /mnt/shared */
    char why[320];  /* a sentence for people where it can't be used; else "" */
    char help[320]; /* and what would help */
    uint64_t size;
    void *base;             /* NULL: not mapped */
    unsigned line_ps;       /* to read a cache line again, measured */
    _Atomic bool faulted;   /* the file behind it was truncated */
    struct ferry_vfio vfio; /* of a mapped ivshmem device that vfio-pci holds; */
    int vfio_error;         /* and why it is closed, see ferry_vfio_open() */
};

/* Lists what FERRY_GUESTS_MEMORY allows, without opening it. Returns how many. */
unsigned ferry_guests_memories_find(struct ferry_guests_memory out[FERRY_GUESTS_MEMORIES_MAX]);

/* Maps all of one and measures how it is cached. Errors: negative errno, with why and help filled. */
int ferry_guests_memory_map(struct ferry_guests_memory *memory);
void ferry_guests_memory_unmap(struct ferry_guests_memory *memory);

/* "ivshmem 0000:01:00.0" */
void ferry_guests_memory_describe(const struct ferry_guests_memory *memory, char *text,
                                  size_t room);

#endif
