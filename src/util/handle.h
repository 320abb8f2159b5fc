/*
 * Handles: numbers that stand for objects of ours in what others send back to us. A handle is an
 * index and a generation, so that an old, a wrong or an invented one finds nothing.
 */
#ifndef FERRY_HANDLE_H
#define FERRY_HANDLE_H

#include <stddef.h>
#include <stdint.h>

struct ferry_handle_entry {
    void *object;        /* NULL: free */
    uint32_t generation; /* of the present or next use; never 0 */
    uint32_t next_free;
};

struct ferry_handles {
    struct ferry_handle_entry *entries;
    uint32_t count, first_free;
};

void ferry_handles_init(struct ferry_handles *handles);
void ferry_handles_fini(struct ferry_handles *handles);

/* Returns a handle for object (not NULL), never 0; or 0: no memory. */
uint64_t ferry_handle_new(struct ferry_handles *handles, void *object);

/* The object, or NULL. */
static inline void *ferry_handle_get(const struct ferry_handles *handles, uint64_t handle)
{
    uint32_t index = (uint32_t) handle;

    if (index >= handles->count || handles->entries[index].generation != handle >> 32)
        return NULL;
    return handles->entries[index].object;
}

/* Frees a handle that is valid. */
void ferry_handle_free(struct ferry_handles *handles, uint64_t handle);

#endif
