/*
 * Memory that processes of one node have in common.
 */
#include <errno.h>

#include "shm.h"

int ferry_shared_take(ferry_context_t *context, size_t length, uint64_t *name)
{
    struct ferry_shm *shm = ferry_shm_with_node(context);

    return shm ? ferry_board_take(shm->node, length, name) : -ENOTSUP;
}

void ferry_shared_release(ferry_context_t *context, uint64_t name, size_t length)
{
    struct ferry_shm *shm = ferry_shm_with_node(context);

    if (shm)
        ferry_board_release(shm->node, name, length);
}

int ferry_shared_map(ferry_context_t *context, uint64_t name, size_t length, size_t from,
                     size_t own, void **memory)
{
    struct ferry_shm *shm = ferry_shm_with_node(context);

    return shm ? ferry_board_map_part(shm->node, name, length, from, own, memory) : -ENOTSUP;
}

void ferry_shared_unmap(void *memory, size_t length)
{
    ferry_board_unmap(memory, length);
}
